"""What multistep solvers share: the history of evaluations, BDIA's use of the previous slot, and starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder, Register
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.runge_kutta import RK4


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


class KeepsEvaluations:
    """A multistep solver: its registers are its states, and the evaluations of as many slots before them as its order needs."""

    order: int
    states: tuple[str, ...] = ("z",)

    @property
    def registers(self) -> tuple[str, ...]:
        """The states, and the evaluations before them."""
        return (*self.states, *("e_1", "e_2", "e_3")[len(self.states) - 1 : self.order - 1])

    @property
    def evaluations(self) -> tuple[str, ...]:
        """The registers that hold evaluations."""
        return self.registers[len(self.states) :]


def start_of(order: int, variable: str = "sigma_bar") -> Heun | RK4:
    """Return the start of a solver of an order whose first states stay in all later ones: Heun's method up to 3, else RK4.

    The error of a first state is O(h^(p+1)) for a start of order p. A root of modulus 1 hands it on undamped.
    """
    return Heun(variable) if order < 4 else RK4(variable=variable)
