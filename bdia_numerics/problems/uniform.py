"""Uniform distributions on an interval or a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems import uniform_exact, uniform_flow
from bdia_numerics.problems.certificate import UNIFORM_TRANSPORT, Certificate
from bdia_numerics.problems.checks import embed, exact_values, parameter
from bdia_numerics.problems.monotone import solve_increasing
from bdia_numerics.problems.problem import Problem, Times
from bdia_numerics.problems.transports import digits_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Uniform(Problem):
    """The uniform distribution on the box [low, high], with exact score and flow; an interval for D = 1.

    Parameters
    ----------
    low, high
        Corners, shape (D,), low < high in every coordinate. Floats are taken at their exact binary value in mpmath and
        longdouble.

    Raises
    ------
    ValueError
        For shapes that do not match, NaN, infinity, and low >= high.
    TypeError
        For complex numbers.

    Notes
    -----
    Coordinates are independent. In each, with u the distance from the centre and h half the length, both in units of
    sigma, the density is (Phi(u+h) - Phi(u-h)) / (2h sigma). The score does not exist at sigma = 0; the flow may end
    there, and may begin there inside the box.
    """

    low: Any
    high: Any

    def __post_init__(self) -> None:
        low, high = parameter("low", self.low), parameter("high", self.high)
        if low.ndim != 1 or low.size == 0 or high.shape != low.shape:
            raise ValueError(
                f"low has shape {low.shape} and high {high.shape}: pass two corners of D >= 1 numbers each"
            )
        bad = exact_values(low) >= exact_values(high)
        if np.any(bad):
            raise ValueError(
                f"low={low[bad][0]} is not below high={high[bad][0]}: exchange them, or use Gaussian for an atom"
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        return int(self.low.size)

    @property
    def flow_certificate(self) -> Certificate:
        """Conservation of the distribution function in each coordinate."""
        return UNIFORM_TRANSPORT

    def _check_density(self, sigma: Any, t: object) -> None:
        if sigma == 0:
            raise ValueError(
                f"sigma(t = {t}) is 0, where the density of a uniform distribution jumps: use a time with sigma > 0"
            )

    def _check_flow(self, begin: Times, end: Times, t_from: object, t_to: object, certificate: Certificate) -> None:
        pass

    def _draw(self, n: int, rng: np.random.Generator) -> Array:
        low, high = embed(self.low, spaces.FLOAT64), embed(self.high, spaces.FLOAT64)
        return low + (high - low) * rng.random((n, self.dimension))

    def _box(self, alpha: Any, space: spaces.Space) -> tuple[Array, Array]:
        """Return centre and half lengths, shape (D,), of the box at a time."""
        low, high = embed(self.low, space), embed(self.high, space)
        return alpha * (low + high) / 2, alpha * (high - low) / 2

    def _score_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        centre, half = self._box(alpha, space)
        offset = z - centre
        x, h = np.broadcast_arrays(abs(offset) / sigma, half / sigma)
        if _plain(space):
            size = uniform_flow.pull(x.ravel(), h.ravel()).reshape(z.shape)
        else:
            size = uniform_exact.each(uniform_exact.pull, space, x, h)
        return np.asarray(-_sign(offset) * size / sigma)

    def _moved(self, z: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        centre, half = self._box(begin[0], space)
        new_centre, new_half = self._box(end[0], space)
        offset = z - centre
        if begin[1] == 0 and np.any(abs(offset) >= half):
            raise ValueError(
                "z lies outside the open box at sigma = 0: start the flow inside, or at a time with sigma > 0"
            )
        arguments = np.broadcast_arrays(abs(offset), half, new_half)
        if _plain(space):
            distance = _distances([a.ravel() for a in arguments], begin[1], end[1]).reshape(z.shape)
        else:
            distance = uniform_exact.each(uniform_exact.distance, space, *arguments, begin[1], end[1])
        return np.asarray(new_centre + _sign(offset) * distance)

    def _derivative(self, z: Array, moved: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        logs = []
        for state, (alpha, sigma) in ((z, begin), (moved, end)):
            centre, half = self._box(alpha, space)
            offset, half = np.broadcast_arrays(abs(state - centre), half)
            if sigma == 0:
                logs.append(-space.log(2 * half))
            elif _plain(space):
                x, h = (offset / sigma).ravel(), (half / sigma).ravel()
                logs.append(uniform_flow.log_density(x, h).reshape(z.shape) - np.log(sigma))
            else:
                density = uniform_exact.each(uniform_exact.density, space, offset / sigma, half / sigma)
                logs.append(space.log(density / sigma))
        return np.asarray(space.exp(logs[0] - logs[1])[:, :, None] * np.eye(self.dimension, dtype=int))


def _plain(space: spaces.Space) -> bool:
    """Say whether the float formulas serve; in other systems each state goes through mpmath."""
    if not space.double:
        digits_of(space)
    return space.double


def _sign(offset: Array) -> Array:
    return np.asarray(np.where(offset < 0, -1, 1))


def _distances(arguments: list[Array], sigma: float, new_sigma: float) -> Array:
    """Return the distances from the centre after the flow, shape (n,), from those before and both half lengths."""
    from scipy.special import ndtri_exp

    offset, half, new_half = arguments
    clean = sigma == 0
    level = np.log((half - offset) / (2 * half)) if clean else uniform_flow.log_tail(offset / sigma, half / sigma)
    if new_sigma == 0:
        return np.asarray(new_half * -np.expm1(np.log(2.0) + level))
    # log 1/2 at the centre, where rounding must not leave the domain; the quantile of the sum lies between those of the
    # interval's ends.
    level = np.minimum(level, -np.log(2.0))
    h, quantile = new_half / new_sigma, -ndtri_exp(level)

    def gap(x: Array, h: Array, level: Array) -> Array:
        return level - uniform_flow.log_tail(np.maximum(x, 0.0), h) + np.minimum(x, 0.0)

    low, high = np.maximum(quantile - h, 0.0), quantile + h
    return new_sigma * np.maximum(solve_increasing(gap, low, high, h, level), 0.0)
