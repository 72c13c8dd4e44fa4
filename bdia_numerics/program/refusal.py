"""Which exceptions say that a question has no answer, and which ones are faults."""

from __future__ import annotations

import dis
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

KINDS = (ArithmeticError, IndexError, TypeError, ValueError)
THEIR_KINDS = (AttributeError, TypeError, ValueError)
"""What a function that is written for numbers raises on symbols, by itself or by what it calls."""

_PACKAGE = __name__.partition(".")[0]
_RAISE = dis.opmap["RAISE_VARARGS"]


def theirs(function: Callable[..., T], *arguments: Any) -> T:
    """Call a solver's step, or a parameter that is a function: the code of others, wherever it is written."""
    return function(*arguments)


def refusal(error: Exception) -> str:
    """Return the sentence of an exception that is a refusal; raise it again if it is a fault.

    A refusal is what a `raise` statement of this package says, or what a step that was called by `theirs` raises where it cannot
    be done with symbols. Whatever else the interpreter or a library raises is a fault, and says nothing about a solver.

    Parameters
    ----------
    error
        As caught, with its traceback.
    """
    ours, last = None, error.__traceback__
    # The innermost frame says where it was raised, and the innermost one of this package says who called that.
    while last is not None:
        if str(last.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE:
            ours = last
        if last.tb_next is None:
            break
        last = last.tb_next
    if ours is None:
        raise error
    # The bytecode tells a `raise` statement from an operation that failed, such as 1/0 or None + 1.
    stated = ours is last and ours.tb_frame.f_code.co_code[ours.tb_lasti] == _RAISE
    if stated and isinstance(error, KINDS):
        return str(error)
    if ours is not last and ours.tb_frame.f_code is theirs.__code__ and isinstance(error, THEIR_KINDS):
        return f"the step raises {type(error).__name__}: {error}"
    raise error
