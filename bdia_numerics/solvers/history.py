"""What multistep solvers share: the history of evaluations, and BDIA's use of the previous slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder, Register


def reach(s: Recorder, order: int) -> int:
    """Return how many evaluations a step can use: one at alpha = 0 lies at infinity, where its weight vanishes."""
    return order - 1 if order > 1 and s.is_zero(s.alpha(s.i + order - 1)) else order


def renew(s: Recorder, history: Sequence[Register], value: Linear, at: int) -> None:
    """Put a value at the head of a history, newest first, and drop its oldest one."""
    if history:
        s.assign(history[-1], value, at=at)
        rotate(s, history)


def rotate(s: Recorder, history: Sequence[Register]) -> None:
    """Make the last register of a history its first."""
    if len(history) > 1:
        s.swap(history[-2], history[-1])
        rotate(s, history[:-1])


def over_previous_slot(s: Recorder, gamma: Any, z_prev: Register, z: Register, forward: Form) -> Form:
    """Return z_{i+1} + [(1-g)(z_i - z_{i+1}) - g Delta(t_i -> t_{i+1} | z_i)] + forward, eq. (65)."""
    g, e = s.value(gamma), s.eps(z)
    behind: Form = (1 - g) * (z - z_prev) - g * s.delta(s.i, s.i + 1, z, e)
    return z_prev + behind + forward
