"""The exact flow of a 1-D mixture in floats: it conserves the cumulative distribution function.

With F = sum_k w_k Phi(x_k), x_k = (z - m_k) / s_k, the flow from one time to another solves F'(z') = F(z). F itself
rounds to a sum of weights in gaps between modes and to 1 in the upper tail. So each component left of z enters by its
survival function instead: with A the sum of w_k Phi(x_k) over the components right of z and B that of w_k Phi(-x_k)
over those left of z, F = A - B + const, with the same constant at both times, and what is solved is

    log(A' + B) = log(B' + A),

sums of positive terms only, small where z is far from every mode.

Beyond float64 the same equation is solved in mpmath, where exponents are unlimited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import mp, special

_BLOCK = 1 << 18
_NODES = 512
_LIMIT = 300
_EPS = float(np.finfo(np.float64).eps)
SQRT_HALF = float(np.sqrt(0.5))
LOG_NORMAL = float(np.log(2 * np.pi) / 2)


@dataclass(frozen=True, eq=False)
class Marginal:
    """A 1-D mixture of N(mean, scale^2) at one time; arrays of shape (K, 1), float64, scales positive."""

    weights: Array
    means: Array
    scales: Array


@dataclass(frozen=True, eq=False)
class _Sums:
    """Logarithms of A, of B and of their slopes at n points; curvature bounds |h''/h'| for Newton's method."""

    left: Array
    log_a: Array
    log_b: Array
    log_slope_a: Array
    log_slope_b: Array
    curvature: Array


def _sums(law: Marginal, z: Array, left: Array | None = None) -> _Sums:
    """Evaluate at points of shape (n,); `left`, (K, n), says which components enter by their survival function."""
    x = (z - law.means) / law.scales
    curvature = ((np.abs(x) + 1) / law.scales).max(axis=0)
    if left is None:
        left = x > 0
    x = np.where(left, -x, x)
    beyond = x > 0
    gauss = -x * x / 2
    mills = special.erfcx(np.abs(x) * SQRT_HALF) / 2
    # A weight enters by its logarithm, so that a negligible component alone on one side does not underflow.
    exponent = np.log(law.weights) + np.where(beyond, 0.0, gauss)
    top_a, top_b = _top(exponent, ~left), _top(exponent, left)
    scaled = np.exp(exponent - np.where(left, top_b, top_a))
    density = np.where(beyond, np.exp(gauss), 1.0)
    terms = scaled * np.where(beyond, 1 - density * mills, mills)
    slopes = scaled * density / law.scales
    return _Sums(
        left,
        np.log((terms * ~left).sum(axis=0)) + top_a,
        np.log((terms * left).sum(axis=0)) + top_b,
        np.log((slopes * ~left).sum(axis=0)) + top_a - LOG_NORMAL,
        np.log((slopes * left).sum(axis=0)) + top_b - LOG_NORMAL,
        curvature,
    )


def _top(exponent: Array, side: Array) -> Array:
    top: Array = np.where(side, exponent, -np.inf).max(axis=0)
    return np.where(np.isfinite(top), top, 0.0)


def log_density(law: Marginal, z: Array) -> Array:
    """Return the logarithm of the density at points of shape (n,)."""
    with np.errstate(divide="ignore"):
        sums = _sums(law, z)
    return np.logaddexp(sums.log_slope_a, sums.log_slope_b)


def transport(z: Array, source: Marginal, target: Marginal) -> Array:
    """Return the states z' with F_target(z') = F_source(z).

    Parameters
    ----------
    z
        Finite states, shape (n,), float64.
    source, target
        The distribution at the time of z and at the time of the result.

    Raises
    ------
    ArithmeticError
        Where squares of states overflow.

    Notes
    -----
    A few hundred states are solved from brackets; a Hermite interpolant through them, whose slopes are density ratios,
    starts Newton's method on the others. Each state is then solved on its own until its error is below rounding.
    """
    moved = attempt(z, source, target)
    lost = np.isnan(moved)
    if lost.any():
        raise ArithmeticError(
            f"the CDF flow did not settle for {np.count_nonzero(lost)} of {len(z)} states, z={z[lost][0]} among them: "
            "use mpmath states"
        )
    return moved


def attempt(z: Array, source: Marginal, target: Marginal) -> Array:
    """Return `transport`, NaN for states that do not settle: squares of z that overflow, scales that vanish in floats."""
    # Logarithms of empty sums are -inf; no other operation on finite states is invalid unless squares overflow.
    with np.errstate(all="ignore"):
        if len(z) <= 2 * _NODES:
            return _in_blocks(z, source, target)
        order = np.argsort(z)
        ordered = z[order]
        nodes = np.unique(ordered[np.linspace(0, len(z) - 1, _NODES).astype(int)])
        images = np.maximum.accumulate(_in_blocks(nodes, source, target))
        slopes = np.exp(log_density(source, nodes) - log_density(target, images))
        result = np.empty_like(z)
        result[order] = _in_blocks(ordered, source, target, (nodes, images, slopes))
    return result


def _in_blocks(z: Array, source: Marginal, target: Marginal, nodes: tuple[Array, Array, Array] | None = None) -> Array:
    result = np.empty_like(z)
    size = max(1, _BLOCK // len(source.weights))
    for start in range(0, len(z), size):
        part = z[start : start + size]
        known = _sums(source, part)
        low, high = _bracket(source, target, part)
        guess = (low + high) / 2 if nodes is None else np.clip(_hermite(part, *nodes), low, high)
        result[start : start + size] = _solve(target, known, guess, low, high)
    return result


def _bracket(source: Marginal, target: Marginal, z: Array) -> tuple[Array, Array]:
    """Return bounds of the image: it lies between the images under each component's own flow."""
    images = target.means + target.scales * ((z - source.means) / source.scales)
    low, high = images.min(axis=0), images.max(axis=0)
    # The images are rounded.
    slack = 1e-10 * (np.abs(low) + np.abs(high) + target.scales.max())
    return low - slack, high + slack


def _hermite(z: Array, nodes: Array, images: Array, slopes: Array) -> Array:
    """Return the cubic Hermite interpolant, kept between the images of the neighbouring nodes."""
    i = np.clip(np.searchsorted(nodes, z, side="right") - 1, 0, max(len(nodes) - 2, 0))
    j = np.minimum(i + 1, len(nodes) - 1)
    width = np.where(j > i, nodes[j] - nodes[i], 1.0)
    u = (z - nodes[i]) / width
    rise = images[j] - images[i]
    cubic = images[i] + u * u * (3 - 2 * u) * rise + width * u * (1 - u) * ((1 - u) * slopes[i] - u * slopes[j])
    return np.asarray(np.fmin(np.fmax(cubic, images[i]), images[j]))  # a node's image where the cubic is NaN


def _solve(target: Marginal, known: _Sums, z: Array, low: Array, high: Array) -> Array:
    """Newton's method on log(A' + B) - log(B' + A), with bisection where it leaves the bracket or is slow; NaN if lost."""
    result = np.full_like(z, np.nan)
    active = np.arange(len(z))
    left, log_a, log_b = known.left, known.log_a, known.log_b
    last = high - low
    for _ in range(_LIMIT):
        sums = _sums(target, z, left)
        upward, downward = np.logaddexp(sums.log_a, log_b), np.logaddexp(sums.log_b, log_a)
        gap = upward - downward
        low, high = np.where(gap < 0, z, low), np.where(gap > 0, z, high)
        step = gap / (np.exp(sums.log_slope_a - upward) + np.exp(sums.log_slope_b - downward))
        newton = z - step
        good = (newton >= low) & (newton <= high) & (2 * np.abs(step) <= last)
        moved = np.where(good, newton, (low + high) / 2)
        moved = np.where(gap == 0, z, moved)
        last = np.abs(moved - z)
        # Newton's error is below curvature * step^2 / 2: under rounding once curvature * step is under sqrt(eps).
        quadratic = np.where(good, 1e-8 / sums.curvature, 0.0)
        # Steps end at the last digit of z or, where scales are wide, at the rounding of the logarithms.
        level = np.abs(gap) <= 2 * _EPS * (1 + np.abs(upward))
        done = (level | (last <= np.maximum(quadratic, 2 * _EPS * np.abs(moved)))) & ~np.isnan(gap)
        z = moved
        if not done.any():
            continue
        result[active[done]] = z[done]
        keep = ~done
        if not keep.any():
            return result
        active, z, low, high, last = active[keep], z[keep], low[keep], high[keep], last[keep]
        left, log_a, log_b = left[:, keep], log_a[keep], log_b[keep]
    return result


def solve_increasing(function: Callable[..., Array], low: Array, high: Array, *known: Array) -> Array:
    """Return x with ``function(x, *known) = 0``, element by element, to the last digits.

    Parameters
    ----------
    function
        Increasing in x; called with arrays of shape (m,), those of `known` cut down alike.
    low, high
        A bracket for each root, shape (n,), right but for some roundings.
    known
        What belongs to each element, shape (n,).

    Raises
    ------
    ArithmeticError
        If a bracket holds no root.
    """
    from scipy.optimize import elementwise

    if len(low) == 0:
        return low
    slack = 1e-10 * (1 + abs(low) + abs(high))
    with np.errstate(all="ignore"):
        found = elementwise.find_root(function, (low - slack, high + slack), args=known)
    if not np.all(found.success):
        raise ArithmeticError(
            f"the flow did not settle for {np.count_nonzero(~found.success)} of {len(low)} states: use mpmath states"
        )
    return np.asarray(found.x)


GUARD = 15


@dataclass(frozen=True)
class ExactMarginal:
    """A 1-D mixture of N(mean, variance) at one time, variances positive; in mpmath, or in balls with their `functions`."""

    weights: Sequence[Any]
    means: Sequence[Any]
    variances: Sequence[Any]
    functions: Any = mp

    def floats(self) -> Marginal:
        """Return the same in float64."""
        columns = (np.array([float(x) for x in part])[:, None] for part in (self.weights, self.means, self.variances))
        weights, means, variances = columns
        return Marginal(weights, means, np.sqrt(variances))

    def density(self, z: Any) -> Any:
        """Return the density at z."""
        return self.sums(z, [False] * len(self.means))[2]

    def sums(self, z: Any, left: Sequence[bool]) -> tuple[Any, Any, Any, Any]:
        """Return A, B and their slopes: left components enter by their survival function, the others by their CDF."""
        f, a = self.functions, 0 * z
        b, slope_a, slope_b = a, a, a
        for w, m, v, is_left in zip(self.weights, self.means, self.variances, left, strict=True):
            root = f.sqrt(2 * v)
            x = (z - m) / root
            density = w * f.exp(-x * x) / (root * f.sqrt(f.pi))
            if is_left:
                b, slope_b = b + w * f.erfc(x) / 2, slope_b + density
            else:
                a, slope_a = a + w * f.erfc(-x) / 2, slope_a + density
        return a, b, slope_a, slope_b

    def images(self, z: Any, target: ExactMarginal) -> list[Any]:
        """Return the images of z under each component's own flow to another time, between which its own image lies."""
        parts = zip(self.means, self.variances, target.means, target.variances, strict=True)
        return [new_m + self.functions.sqrt(new_v / v) * (z - m) for m, v, new_m, new_v in parts]

    def sides(self, z: Any, target: ExactMarginal) -> Callable[[Any], tuple[Any, Any, Any]]:
        """Return a function of y: A' + B and B' + A, which are equal at the image of z, and the slope of log of their ratio."""
        left = [bool(z > m) for m in self.means]
        a, b, *_ = self.sums(z, left)

        def at(y: Any) -> tuple[Any, Any, Any]:
            new_a, new_b, slope_a, slope_b = target.sums(y, left)
            up, down = new_a + b, new_b + a
            return up, down, slope_a / up + slope_b / down

        return at


def transport_exact(z: Any, source: ExactMarginal, target: ExactMarginal, guess: Any, dps: int) -> Any:
    """Return z' with F_target(z') = F_source(z), rounded to `dps` digits.

    Parameters
    ----------
    z
        One finite mpf.
    guess
        A start for Newton's method; what is not finite stands for the middle of the bounds.
    """

    def beyond(law: ExactMarginal, *points: Any) -> int:
        """Return the digits that exponents of size x^2 lose at some points."""
        pairs = zip(law.means, law.variances, strict=True)
        return 2 * int(mp.log10(1 + max(abs(x - m) / mp.sqrt(v) for m, v in pairs for x in points)))

    with spaces.MPMath(dps + GUARD + beyond(source, z)).working():
        images = source.images(z, target)
        low, high = min(images), max(images)
    with spaces.MPMath(dps + GUARD + max(beyond(source, z), beyond(target, low, high))).working():
        guess = min(max(mp.mpf(guess), low), high) if np.isfinite(guess) else (low + high) / 2
        sides = source.sides(z, target)

        def gap(x: Any) -> tuple[Any, Any]:
            up, down, slope = sides(x)
            return mp.log(up / down), slope

        root = increasing_root(gap, guess, mp.sqrt(max(target.variances)) / 1024, mp.mpf(10) ** (-dps - GUARD // 2))
    with spaces.MPMath(dps).working():
        return +root


def increasing_root(gap: Any, x: Any, reach: Any, tolerance: Any) -> Any:
    """Return the root of an increasing function, gap(x) = (value, slope), in mpmath.

    Newton's method inside a bracket that is first grown around x, beginning with `reach` on each side.
    """
    low, high = x - reach, x + reach
    while gap(low)[0] > 0:
        reach *= 2
        low -= reach
    while gap(high)[0] < 0:
        reach *= 2
        high += reach
    last = high - low
    while True:
        value, slope = gap(x)
        if value < 0:
            low = x
        else:
            high = x
        moved = x - value / slope if slope > 0 else low
        if slope > 0 and abs(moved - x) <= tolerance * max(abs(x), tolerance):
            return moved
        if not low < moved < high or 2 * abs(moved - x) > last:
            moved = (low + high) / 2
        last, x = abs(moved - x), moved
