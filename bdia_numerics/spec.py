"""Solvers named in text, on a command line or in a file: `bdia`, `bdia:gamma=9/10`, `mccallumfoster:base=RK4`, `my_module:MySolver`."""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from bdia_numerics import solvers
from bdia_numerics.program import Solver, structure
from bdia_numerics.solvers import find


def solver(text: str, **values: Any) -> Solver:
    """Return the solver that a text names.

    Parameters
    ----------
    text
        A name of SOLVERS in any case, or `module:object` (a class or an instance; the folder where the program was started is
        searched too), each with `:key=value,...` behind it if parameters are to be set.
    values
        Further parameters, texts or values; they override those of the text.

    Raises
    ------
    ValueError
        For a name that is not known, a module or object that is not there, a parameter that the solver does not have, or a value
        that it refuses.
    """
    head, given = _parts(text)
    made = _object(head) if ":" in head else find(head)
    given |= values
    if not isinstance(made, type):
        if given:
            raise ValueError(f"solver={text!r} names an instance, which has its parameters: name the class to set them")
        structure(made)
        return made  # type: ignore[no-any-return]
    default = _default(made, text)
    fields: Any = getattr(default, "__dataclass_fields__", {})
    known = {key: getattr(default, key) for key, field in fields.items() if field.init}
    for key in given:
        if key not in known:
            raise ValueError(f"{key} is no parameter of {made.__name__}, which takes {', '.join(known) or 'none'}")
    found = made(**{key: _value(key, value, known[key]) for key, value in given.items()})
    structure(found)
    return found  # type: ignore[no-any-return]


def _value(name: str, given: Any, default: Any) -> Any:
    """Return a parameter; where the default is a scheme of `solvers`, such as the base of McCallumFoster, a name is that of another."""
    if not isinstance(given, str):
        return given
    if not hasattr(default, "__dataclass_fields__"):
        return number(name, given)
    known = {key.lower(): key for key in solvers.__all__}
    if given.lower() not in known:
        raise ValueError(f"{name}={given} is none of the solvers: give one such as {type(default).__name__}")
    return getattr(solvers, known[given.lower()])()


def number(name: str, text: str) -> Any:
    """Return 9/10 and 0.9 as exact fractions, true and false as such, and any other word as it is."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{name}={text} is no ratio: write 9/10 or 0.9") from None
    except ValueError:
        if not text.isidentifier():
            raise ValueError(f"{name}={text} is no ratio: write 9/10 or 0.9") from None
        return text
    return int(value) if value.denominator == 1 else value


def _parts(text: str) -> tuple[str, dict[str, Any]]:
    head, _, tail = text.rpartition(":")
    if "=" not in tail:
        return text, {}
    pairs = [pair.partition("=") for pair in tail.split(",")]
    return head, {key.strip(): value.strip() for key, _, value in pairs}


def _object(text: str) -> Any:
    module, _, name = text.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"solver={text!r}: the module {module} cannot be imported ({error})") from None
    if not hasattr(found, name):
        raise ValueError(f"solver={text!r}: {module} has no {name}")
    return getattr(found, name)


def _default(made: type, text: str) -> Any:
    try:
        return made()
    except TypeError as error:
        raise ValueError(f"solver={text!r} cannot be made without arguments ({error}): name an instance") from None
