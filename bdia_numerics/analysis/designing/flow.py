"""Elementary differentials along the exact flow of a Gaussian: what a leading error is an integral of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bdia_numerics.analysis.expansion.series import Element, weight as derivatives
from bdia_numerics.grids import Grid
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces.later import mp, scipy

_DIGITS = 30


@dataclass(eq=False)
class GaussianFlow:
    """Elementary differentials along the flow of a Gaussian, over the state, in the variable x of a grid.

    A state is a multiple of its standard deviation w(x), dw/dx = J w, and an error at x is carried to the end as the state is. All is taken
    from Taylor series of w and of its logarithm, whose derivative is J.
    """

    grid: Grid
    variable: str
    variance: float
    known: dict[Element, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = [
            tuple(float(column[i]) for column in (self.grid.alpha, self.grid.sigma, self.grid.t))
            for i in (0, self.grid.n)
        ]
        self.low, self.high = (
            {"sigma_bar": s / a if a else math.inf, "t": t, "angle": math.atan2(s, a)}[self.variable]
            for a, s, t in points
        )
        self.span = self.high - self.low

    def deviation(self, x: Any) -> Any:
        """Return w(x) in mpmath."""
        alpha, sigma = 1, x
        if self.variable == "angle":
            alpha, sigma = mp.cos(x), mp.sin(x)
        elif self.variable == "t":
            schedule = cast(Schedule, self.grid.schedule)
            alpha, sigma = schedule.alpha(x), schedule.sigma(x)
        return mp.sqrt(alpha**2 * self.variance + sigma**2)

    def at(self, element: Element, x: float) -> float:
        """Return an elementary differential over the state."""
        with mp.workdps(_DIGITS):
            terms = derivatives(element)
            state = mp.taylor(self.deviation, mp.mpf(x), terms)
            logarithm = mp.taylor(lambda u: mp.log(self.deviation(u)), mp.mpf(x), terms)
            return float(differential(element, state, logarithm) / state[0])

    def added(self, element: Element) -> float:
        """Return the integral."""
        if element not in self.known:
            self.known[element] = float(
                scipy.integrate.quad_vec(lambda x: self.at(element, x), self.low, self.high, epsrel=1e-6)[0]
            )
        return self.known[element]

    def at_end(self, element: Element) -> float:
        """Return the value at the data end."""
        return self.at(element, self.low)


def differential(element: Element, state: Sequence[Any], logarithm: Sequence[Any]) -> Any:
    """Return an elementary differential of the linear ODE from Taylor coefficients; further derivatives by the state vanish."""
    if element[0] == 0:
        return mp.factorial(element[1]) * state[element[1]]
    _, a, arguments = element
    if len(arguments) > 1:
        return mp.mpf(0)
    return mp.factorial(a + 1) * logarithm[a + 1] * differential(arguments[0], state, logarithm)
