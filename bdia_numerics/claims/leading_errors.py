"""Errors to leading order without an ODE solve: local defects carried to the end of exact paths by the flow's derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from bdia_numerics import grids
from bdia_numerics.claims.ledger import require
from bdia_numerics.grids import Grid
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.runs.solving import solve
from bdia_numerics.spaces import Array


class Paths:
    """Exact paths of a distribution on the line in y = z/alpha over s = sigma/alpha, from time `begin` to time `end`.

    Interpolated in Chebyshev points; arrays have the shape ``(*s, B)`` for B states.
    """

    def __init__(
        self, law: GaussianMixture, schedule: Any, z: Array, begin: float, end: float, degree: int = 80
    ) -> None:
        self.far, self.near = float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end))
        nodes = self._s(_points(degree))
        times = [begin, *(schedule.time("sigma_bar", s) for s in nodes[1:-1]), end]
        model, self._degree = law.model(schedule), degree
        states = [law.flow(z, begin, t, schedule) for t in times]
        self._slope = _coefficients([model(y, t)[:, 0] for y, t in zip(states, times, strict=True)])
        moved = [law.flow_jacobian(z, begin, t, schedule)[:, 0, 0] / schedule.alpha(t) for t in times]
        self._growth = _coefficients(moved)

    def _s(self, x: Any) -> Any:
        return (self.far + self.near) / 2 + (self.far - self.near) / 2 * x

    def _at(self, coefficients: Array, s: Any, m: int = 0) -> Array:
        x = (2 * np.asarray(s) - self.far - self.near) / (self.far - self.near)
        derived = chebyshev.chebder(coefficients, m, scl=2 / (self.far - self.near)) if m else coefficients
        return np.moveaxis(np.asarray(chebyshev.chebval(x, derived)), 0, -1)

    def second(self, s: Any) -> Array:
        """Return y''."""
        return self._at(self._slope, s, 1)

    def third(self, s: Any) -> Array:
        """Return y'''."""
        return self._at(self._slope, s, 2)

    def growth(self, s: Any) -> Array:
        """Return exp of the integral of J = d eps/dy from s to the end: the derivative of the flow from there."""
        return self._at(self._growth, self.near) / self._at(self._growth, s)

    def jacobian(self, s: Any) -> Array:
        """Return J along the path."""
        return self._at(self._growth, s, 1) / self._at(self._growth, s)

    def integral(self, function: Callable[[Any], Array]) -> Array:
        """Return the integral of a function of s, with values of shape ``(*s, B)``, from the far end to the near one."""
        values = function(self._s(_points(2 * self._degree)))
        ends = chebyshev.chebval([1.0, -1.0], chebyshev.chebint(_coefficients(values)))
        total: Array = (self.far - self.near) / 2 * (ends[..., 1] - ends[..., 0])
        return total

    def carried(self, sign: int) -> Array:
        """Return the integral of y'' times the flow's derivative to the end (1), or over it, for the parasitic mode (-1)."""
        return self.integral(lambda s: self.second(s) * self.growth(s) ** sign)


def _points(degree: int) -> Array:
    points: Array = np.cos(np.pi * np.arange(degree + 1) / degree)
    return points


def _coefficients(values: Any) -> Array:
    """Return the coefficients of the Chebyshev interpolant of values in `_points`."""
    from scipy.fft import dct

    found: Array = dct(np.asarray(values), type=1, axis=0) / (len(values) - 1)
    found[[0, -1]] /= 2
    return found


def errors(
    law: GaussianMixture, schedule: Any, solver: Any, z: Array, grid: Grid, start: Any = None, reading: Any = None
) -> Array:
    """Return exact minus numerical z, or what `reading` makes of the registers, at the data end, one for each state."""
    exact = law.flow(z, grid.t[grid.n], grid.t[0], schedule)
    run = solve(solver, law.model(schedule), grid, z, start)
    found: Array = (exact - (run.z if reading is None else reading(run.state.registers)))[:, 0]  # type: ignore[union-attr]
    return found


def require_order(coarse: float, fine: float, order: float, what: str, within: float = 0.3) -> float:
    """Return the slope of errors between two numbers of steps, one twice the other; it has to lie around an order.

    At these numbers of steps the slope contains a share of the next order, so it differs from a whole number by less than a half.
    """
    slope = float(np.log2(coarse / fine))
    require(abs(slope - order) < within, f"{what}: order {slope:.2f}, not {order}")
    return slope


def in_sigma_bar(schedule: Any, steps: Array, begin: float, end: float) -> Grid:
    """Return a grid whose steps in sigma/alpha, in sampling order, have given ratios."""
    return _with_steps(schedule, steps, begin, end, lambda x: x, lambda x: x)


def in_asinh(schedule: Any, steps: Array, begin: float, end: float) -> Grid:
    """Return a grid whose steps in asinh(sigma/alpha), in sampling order, have given ratios."""
    return _with_steps(schedule, steps, begin, end, np.arcsinh, np.sinh)


def _with_steps(schedule: Any, steps: Array, begin: float, end: float, to: Any, back: Any) -> Grid:
    far, near = (to(float(schedule.sigma_bar(t))) for t in (begin, end))
    inner = back(far + (near - far) * np.cumsum(steps)[:-1] / np.sum(steps))
    return grids.from_timesteps(schedule, [begin, *(schedule.time("sigma_bar", s) for s in inner), end])


def alternating(n: int) -> Array:
    """Return steps h, 2h, h, 2h, ..."""
    return np.where(np.arange(n) % 2 == 0, 1.0, 2.0)


def random_steps(n: int, seed: int) -> Array:
    """Return independent steps, uniform between h/2 and 3h/2."""
    return 0.5 + np.random.default_rng(seed).random(n)
