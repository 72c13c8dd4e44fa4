"""Planted errors: a class with one piece of its source replaced. A check that does not notice is not a check."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any


def replaced(where: str, source: str, *replacements: tuple[str, str]) -> str:
    """Return a source with each piece of text replaced; `where` says in an error whose source it is.

    Raises
    ------
    ValueError
        If a text does not occur exactly once.
    """
    for old, new in replacements:
        if source.count(old) != 1:
            raise ValueError(f"mutant of {where}: {old!r} occurs {source.count(old)} times in its source, not once")
        source = source.replace(old, new)
    return source


def mutate(subject: Any, *replacements: tuple[str, str]) -> Any:
    """Return a class or function whose source has each piece of text replaced.

    Parameters
    ----------
    subject
        The class or function.
    replacements
        Pairs of old and new text; the old text must occur exactly once, so that a mutant dies with the line it mutates.

    Raises
    ------
    ValueError
        If a text does not occur exactly once.
    """
    source = replaced(subject.__name__, textwrap.dedent(inspect.getsource(subject)), *replacements)
    namespace = dict(vars(sys.modules[subject.__module__]))
    exec(compile(source, f"<mutant of {subject.__name__}>", "exec"), namespace)
    return namespace[subject.__name__]


def mutant(subject: Any, *replacements: tuple[str, str]) -> Callable[[], Any]:
    """Return `mutate` put off until the mutant is wanted."""
    return lambda: mutate(subject, *replacements)
