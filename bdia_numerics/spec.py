"""Solvers named in text, on a command line or in a file of experiments.

`bdia`, `BDIA(gamma=9/10)`, `bdia:gamma=9/10`, `McCallumFoster(1/2, base=RK4)`, `my_module:MySolver(weight=3)`. Numbers are exact: 9/10
and 0.9 are the same Fraction.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from bdia_numerics import solvers
from bdia_numerics.program import Solver, refusal, structure

_WORDS = {"true": True, "false": False, "none": None}
_SHORT = re.compile(r"(?P<head>.*?):(?P<pairs>\w+=.*)")


def solver(text: str, **values: Any) -> Solver:
    """Return the solver that a text names.

    Parameters
    ----------
    text
        A name of `solvers`, in any case, or `module:object` (a class or an instance; the present folder is searched too), with parameters
        behind it as a call, `(1/2, base=RK4)`, or as `:key=value,...`. A word that names no solver is a text.
    values
        Further parameters, texts or values; they override those of the text.

    Raises
    ------
    ValueError
        For a name that is not known, a module or object that is not there, a parameter that the solver does not have, or a value
        that it refuses.
    """
    short = _SHORT.fullmatch(text)
    source = f"{short['head']}({short['pairs']})" if short else text
    place, colon, call = source.partition(":")
    module = _module(place) if colon else None
    written = (call if colon else source).strip()
    try:
        node = ast.parse(written, mode="eval").body
    except SyntaxError:
        raise ValueError(f"solver={text!r} is not a solver: write BDIA, 'BDIA(gamma=9/10)' or module:name") from None
    given = {name: number(name, value) if isinstance(value, str) else value for name, value in values.items()}
    found = _made(node, written, module, given)
    try:
        structure(found)
    except (TypeError, ValueError) as error:
        if (said := refusal(error)) == str(error):
            raise
        reads = (
            "a step is read on symbols before it runs: take arithmetic, or a parameter that is a function of the slot"
        )
        raise TypeError(f"{text}: {said}; {reads}") from error
    return found  # type: ignore[no-any-return]


def module_of(text: str) -> str | None:
    """Return the module of a text `module:object`, which can be imported from here on; None if it names none."""
    place, colon, _ = ("", "", "") if _SHORT.fullmatch(text) and text.count(":") == 1 else text.partition(":")
    if not colon or not all(map(str.isidentifier, place.split("."))):
        return None
    _search_here()
    return place


def number(name: str, text: str) -> Any:
    """Return 9/10 and 0.9 as exact fractions, true, false and none as such, and any other word as it is."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = Fraction(text.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        if text.isidentifier():
            return text
        raise ValueError(f"{name}={text} is not a ratio: write 9/10 or 0.9") from None
    return int(value) if value.denominator == 1 else value


def _search_here() -> None:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _module(place: str) -> Any:
    _search_here()
    try:
        return importlib.import_module(place)
    except ImportError as error:
        raise ValueError(f"solver={place}: the module {place} cannot be imported ({error})") from None


def _made(node: ast.expr, source: str, module: Any, values: dict[str, Any]) -> Any:
    call = node if isinstance(node, ast.Call) else None
    name = call.func if call else node
    if not isinstance(name, ast.Name):
        raise ValueError(f"solver={source!r} is not a solver: write BDIA, 'BDIA(gamma=9/10)' or module:name")  # noqa: TRY004
    make = _listed(name.id) if module is None else getattr(module, name.id, None)
    if make is None:
        if module is not None:
            raise ValueError(f"solver={source!r}: {module.__name__} has no {name.id}")
        make = solvers.find(name.id)  # refuses, with the nearest names
    named = {str(k.arg): _value(str(k.arg), k.value, source) for k in call.keywords} | values if call else values
    if not isinstance(make, type):
        if call or named:
            raise ValueError(
                f"solver={source!r} names an instance, which has its parameters: name the class to set them"
            )
        return make
    fields = [key for key, field in getattr(make, "__dataclass_fields__", {}).items() if field.init]
    for key in named:
        if key not in fields:
            raise ValueError(f"{key} is not a parameter of {make.__name__}, which takes {', '.join(fields) or 'none'}")
    try:
        return make(*(_value("a parameter", a, source) for a in call.args) if call else (), **named)
    except TypeError as error:
        raise ValueError(f"solver={source!r} cannot be made so ({error})") from None


def _listed(name: str) -> Any:
    known = {key.lower(): key for key in solvers.__all__ if isinstance(getattr(solvers, key), type)}
    return getattr(solvers, known[name.lower()]) if name.lower() in known else None


def _value(name: str, node: ast.expr, source: str) -> Any:
    text = ast.get_source_segment(source, node) or ""
    if isinstance(node, ast.Call) or (isinstance(node, ast.Name) and _listed(node.id) is not None):
        return _made(node, source, None, {})
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return number(name, text)
