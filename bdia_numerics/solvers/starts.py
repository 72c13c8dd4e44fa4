"""One-step solvers that make the first states of multistep ones, by the order that these need."""

from __future__ import annotations

from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.runge_kutta import RK4


def start_of(order: int, variable: str = "sigma_bar") -> Heun | RK4:
    """Return the start of a solver of an order whose first states stay in all later ones: Heun's method up to 3, else RK4.

    The error of a first state is O(h^(p+1)) for a start of order p. A root of modulus 1 hands it on undamped.
    """
    return Heun(variable) if order < 4 else RK4(variable=variable)
