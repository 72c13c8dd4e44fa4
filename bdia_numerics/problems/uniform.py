"""Uniform distributions on an interval or a box.

On the line, under Gaussian noise, functions of x >= 0 and h in units of sigma: the distribution at one time is uniform on [-h, h] plus a
standard normal; x is the distance of a state from the centre. In floats all of them are made of positive terms: where Phi(x+h) - Phi(x-h)
would cancel (a narrow interval, h < 1 and x h < 4) the integral over the interval is taken by Gauss's rule, in the tail a power of e is
taken out. In mpmath they are the definitions, with the digits that cancel added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_flow import GUARD, LOG_NORMAL, SQRT_HALF, increasing_root, solve_increasing
from bdia_numerics.problems.checks import Times, embed, exact, exact_values, parameter
from bdia_numerics.problems.problem import UNIFORM_TRANSPORT, Certificate, Problem
from bdia_numerics.problems.transports import digits_of
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import mp, special

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_FAR = 8.0
_FRACTIONS = 30
"""Terms of the continued fraction: from v = 8 on the next ones change no digit."""
Formula = Callable[[Array, Array], Array]


def _case_by_case(x: Array, h: Array, integrated: Formula, outside: Formula, inside: Formula) -> Array:
    """Return a function of arrays of shape (n,), each element by the formula that keeps its digits."""
    result, narrow = np.empty_like(x), (h < 1) & (x * h < 4)
    with np.errstate(all="ignore"):
        for where, formula in ((narrow, integrated), (~narrow & (x >= h), outside), (~narrow & (x < h), inside)):
            result[where] = formula(x[where], h[where])
    return result


def _mills(v: Array) -> Array:
    """Return (1 - Phi(v)) / phi(v)."""
    return np.asarray(np.sqrt(np.pi / 2) * special.erfcx(v * SQRT_HALF))


def _excess(v: Array) -> Array:
    """Return 1 - v (1 - Phi(v)) / phi(v), v >= 0: far out by the continued fraction of Mills' ratio, 1/(v + rest)."""
    far, rest = np.maximum(v, _FAR), np.zeros_like(v)
    for n in range(_FRACTIONS, 0, -1):
        rest = n / (far + rest)
    return np.asarray(np.where(v < _FAR, 1 - v * _mills(v), rest / (far + rest)))


def _mass(x: Array, h: Array) -> Array:
    """Return (Phi(x+h) - Phi(x-h)) / phi(x-h) outside the interval, x >= h."""
    return np.asarray(_mills(x - h) - np.exp(-2 * x * h) * _mills(x + h))


def _inside(x: Array, h: Array) -> Array:
    """Return Phi(x+h) - Phi(x-h) inside the interval, x < h."""
    return np.asarray((special.erf((h + x) * SQRT_HALF) + special.erf((h - x) * SQRT_HALF)) / 2)


def pull(x: Array, h: Array) -> Array:
    """Return minus the score, (phi(x-h) - phi(x+h)) / (Phi(x+h) - Phi(x-h)), towards the centre; shape (n,)."""

    def integrated(a: Array, b: Array) -> Array:
        v = np.multiply.outer(b, (_NODES + 1) / 2)
        integral = (np.cosh(a[:, None] * v) * np.exp((b[:, None] ** 2 - v * v) / 2)) @ _WEIGHTS / 2
        return np.asarray(np.where(b > 0, np.sinh(a * b) / b, a) / integral)

    def outside(a: Array, b: Array) -> Array:
        return np.asarray(-np.expm1(-2 * a * b) / _mass(a, b))

    def inside(a: Array, b: Array) -> Array:
        return np.asarray(-np.expm1(-2 * a * b) * np.exp(-((b - a) ** 2) / 2 - LOG_NORMAL) / _inside(a, b))

    return _case_by_case(x, h, integrated, outside, inside)


def log_density(x: Array, h: Array) -> Array:
    """Return the logarithm of (Phi(x+h) - Phi(x-h)) / (2h), shape (n,)."""

    def integrated(a: Array, b: Array) -> Array:
        v = np.multiply.outer(b, (_NODES + 1) / 2)
        integral = (np.cosh(a[:, None] * v) * np.exp(-v * v / 2)) @ _WEIGHTS / 2
        return np.asarray(np.log(integral) - a**2 / 2 - LOG_NORMAL)

    def outside(a: Array, b: Array) -> Array:
        return np.asarray(np.log(_mass(a, b) / (2 * b)) - (a - b) ** 2 / 2 - LOG_NORMAL)

    def inside(a: Array, b: Array) -> Array:
        return np.asarray(np.log(_inside(a, b) / (2 * b)))

    return _case_by_case(x, h, integrated, outside, inside)


def log_tail(x: Array, h: Array) -> Array:
    """Return the logarithm of the probability beyond the distance x on one side, at most log(1/2), shape (n,)."""

    def integrated(a: Array, b: Array) -> Array:
        # Phi(-(x - h u)) over u in [-1, 1], relative to exp(-(x-h)^2/2).
        places, nearest = a[:, None] - np.multiply.outer(b, _NODES), (a - b) ** 2 / 2
        tails = special.erfcx(places * SQRT_HALF) * np.exp(nearest[:, None] - places**2 / 2)
        return np.asarray(np.log(tails @ _WEIGHTS / 4) - nearest)

    def outside(a: Array, b: Array) -> Array:
        both = _excess(a - b) - np.exp(-2 * a * b) * _excess(a + b)
        return np.asarray(np.log(both / (2 * b)) - (a - b) ** 2 / 2 - LOG_NORMAL)

    def inside(a: Array, b: Array) -> Array:
        near, far = (_excess(v) * np.exp(-v * v / 2 - LOG_NORMAL) for v in (b - a, a + b))
        return np.asarray(np.log((b - a + near - far) / (2 * b)))

    return _case_by_case(x, h, integrated, outside, inside)


def evaluated(floats: Callable[..., Array], precise: Callable[..., Any], space: spaces.Space, *arguments: Any) -> Array:
    """Return a function of arrays of one shape, or of scalars: in floats at once, beyond float64 in mpmath, element by element.

    The function in mpmath has the number of digits as its last argument; longdouble is widened and rounded.
    """
    shape = arguments[0].shape
    if space.double:
        return floats(*(a.ravel() if isinstance(a, np.ndarray) else a for a in arguments)).reshape(shape)
    digits = digits_of(space)
    results = []
    with digits.working():
        for values in np.broadcast(*(np.asarray(a, dtype=object) for a in arguments)):
            found = precise(*(digits.number(exact(v)) for v in values), digits.dps)
            results.append(found if space == digits else exact(+found))
        return space.array(results).reshape(shape)


def _digits(dps: int, *scales: Any) -> int:
    """Return the digits in which differences over a narrow interval, and far out, keep `dps` digits."""
    return dps + GUARD + 2 * int(sum(abs(mp.log10(s)) for s in scales if s > 0))


def exact_pull(x: Any, h: Any, dps: int) -> Any:
    """Return minus the score towards the centre, at x >= 0, in units of sigma."""
    if h == 0:
        return x
    with spaces.MPMath(_digits(dps, h)).working():
        return (mp.npdf(x - h) - mp.npdf(x + h)) / (2 * h * exact_density(x, h, dps))


def exact_density(x: Any, h: Any, dps: int) -> Any:
    """Return (Phi(x+h) - Phi(x-h)) / (2h)."""
    if h == 0:
        return mp.npdf(x)
    with spaces.MPMath(_digits(dps, h)).working():
        root = mp.sqrt(2)
        return (mp.erfc((x - h) / root) - mp.erfc((x + h) / root)) / (4 * h)


def exact_log_density(x: Any, h: Any, dps: int) -> Any:
    """Return the logarithm of `exact_density`."""
    return mp.log(exact_density(x, h, dps))


def exact_tail(x: Any, h: Any) -> Any:
    """Return the probability beyond x on one side."""
    if h == 0:
        return mp.erfc(x / mp.sqrt(2)) / 2
    with spaces.MPMath(_digits(mp.dps, h, 1 + x)).working():
        near, far = (mp.npdf(v) - v * mp.erfc(v / mp.sqrt(2)) / 2 for v in (x - h, x + h))
        return (near - far) / (2 * h)


def exact_distance(offset: Any, half: Any, new_half: Any, sigma: Any, new_sigma: Any, dps: int) -> Any:
    """Return the distance from the centre after the flow from that before."""
    with spaces.MPMath(dps + GUARD).working():
        level = (half - offset) / (2 * half) if sigma == 0 else exact_tail(offset / sigma, half / sigma)
        if new_sigma == 0:
            return new_half * (1 - 2 * level)
        if offset == 0:
            return mp.mpf(0)
        h = new_half / new_sigma

        def gap(x: Any) -> tuple[Any, Any]:
            if x < 0:
                return -1 + x, mp.mpf(1)
            beyond = exact_tail(x, h)
            return mp.log(level / beyond), exact_density(x, h, mp.dps) / beyond

        width = 1 + h
        return new_sigma * increasing_root(
            gap, offset / (sigma or half) * width, width, mp.mpf(10) ** (-dps - GUARD // 2)
        )


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
        vars(self).update(low=low, high=high)

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        return int(self.low.size)

    def _certificate_in(self, space: spaces.Space) -> Certificate:
        return UNIFORM_TRANSPORT

    def _check_density(self, sigma: Any, t: object) -> None:
        if sigma == 0:
            raise ValueError(
                f"sigma(t = {t}) is 0, where the density of a uniform distribution jumps: use a time with sigma > 0"
            )

    def _check_flow(self, begin: Times, end: Times, t_from: object, t_to: object, certificate: Certificate) -> None:
        """Every time has a flow: one from clean data begins inside the box, where it is looked at."""

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
        return np.asarray(-_sign(offset) * evaluated(pull, exact_pull, space, x, h) / sigma)

    def _moved(self, z: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        centre, half = self._box(begin[0], space)
        new_centre, new_half = self._box(end[0], space)
        offset = z - centre
        if begin[1] == 0 and np.any(abs(offset) >= half):
            raise ValueError(
                "z lies outside the open box at sigma = 0: start the flow inside, or at a time with sigma > 0"
            )
        arguments = np.broadcast_arrays(abs(offset), half, new_half)
        distance = evaluated(_distances, exact_distance, space, *arguments, begin[1], end[1])
        return np.asarray(new_centre + _sign(offset) * distance)

    def _derivative(self, z: Array, moved: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        logs = []
        for state, (alpha, sigma) in ((z, begin), (moved, end)):
            centre, half = self._box(alpha, space)
            offset, half = np.broadcast_arrays(abs(state - centre), half)
            if sigma == 0:
                logs.append(-space.log(2 * half))
                continue
            density = evaluated(log_density, exact_log_density, space, offset / sigma, half / sigma)
            logs.append(density - space.log(sigma))
        return np.asarray(space.exp(logs[0] - logs[1])[:, :, None] * np.eye(self.dimension, dtype=int))


def _sign(offset: Array) -> Array:
    return np.asarray(np.where(offset < 0, -1, 1))


def _distances(offset: Array, half: Array, new_half: Array, sigma: float, new_sigma: float) -> Array:
    """Return the distances from the centre after the flow, shape (n,), from those before and both half lengths."""
    clean = sigma == 0
    level = np.log((half - offset) / (2 * half)) if clean else log_tail(offset / sigma, half / sigma)
    if new_sigma == 0:
        return np.asarray(new_half * -np.expm1(np.log(2.0) + level))
    # log 1/2 at the centre, where rounding must not leave the domain; the quantile of the sum lies between those of the
    # interval's ends.
    level = np.minimum(level, -np.log(2.0))
    h, quantile = new_half / new_sigma, -special.ndtri_exp(level)

    def gap(x: Array, h: Array, level: Array) -> Array:
        return level - log_tail(np.maximum(x, 0.0), h) + np.minimum(x, 0.0)

    low, high = np.maximum(quantile - h, 0.0), quantile + h
    return new_sigma * np.maximum(solve_increasing(gap, low, high, h, level), 0.0)
