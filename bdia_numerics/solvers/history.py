"""What solvers share: checks of options and parameters, the history of evaluations, and BDIA's use of the previous slot.

Plain numbers are checked; symbols and functions of the slot pass.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder, Register
from bdia_numerics.texts import one_of, shown


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


def checked(solver: Any, *parameters: str, **options: Sequence[object]) -> None:
    """Refuse a solver whose parameters lie outside [0, 1], unless it allows any, or an option of which is none of its choices."""
    for name in parameters:
        in_unit_interval(name, getattr(solver, name), solver.allow_any)
    for name, choices in options.items():
        one_of(name, getattr(solver, name), choices)


def reach(s: Recorder, order: int) -> int:
    """Return how many evaluations a step can use: one at alpha = 0 lies at infinity, where its weight vanishes."""
    return order - 1 if order > 1 and s.is_zero(s.alpha(s.i + order - 1)) else order


def renew(s: Recorder, history: Sequence[Register], value: Linear, at: int) -> None:
    """Put a value at the head of a history, newest first, and drop its oldest one."""
    if history:
        s.assign(history[-1], value, at=at)
        _rotate(s, history)


def _rotate(s: Recorder, history: Sequence[Register]) -> None:
    if len(history) > 1:
        s.swap(history[-2], history[-1])
        _rotate(s, history[:-1])


def over_previous_slot(s: Recorder, gamma: Any, z_prev: Register, z: Register, forward: Form) -> Form:
    """Return z_{i+1} + [(1-g)(z_i - z_{i+1}) - g Delta(t_i -> t_{i+1} | z_i)] + forward, eq. (65)."""
    g, e = s.value(gamma), s.eps(z)
    behind: Form = (1 - g) * (z - z_prev) - g * s.delta(s.i, s.i + 1, z, e)
    return z_prev + behind + forward
