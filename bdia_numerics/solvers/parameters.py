"""Checks of options, and of parameters that are plain numbers; symbols and functions of the slot pass."""

from __future__ import annotations

import numbers

from bdia_numerics.texts import shown


def in_unit_interval(name: str, value: object, allow_any: bool) -> None:
    """Raise unless a constant lies in [0, 1].

    Raises
    ------
    TypeError
        For an array, a list, a complex number, a bool, text, or None.
    ValueError
        For a number outside [0, 1] or NaN, unless `allow_any`.
    """
    if not isinstance(value, type) and (callable(value) or hasattr(value, "free_symbols")):
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name}={shown(value)} is not a real number: pass a number in [0, 1], a symbol, or a function of the slot"
        )
    if value != value:
        raise ValueError(f"{name}={shown(value)} is not a number: pass one in [0, 1]")
    if not allow_any and not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError(
            f"{name}={shown(value)} lies outside [0, 1]: pass a number in [0, 1], or allow_any=True to go there on purpose"
        )


def one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ValueError unless an option is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name}={shown(value)} is unknown: use {', '.join(map(repr, choices))}")
