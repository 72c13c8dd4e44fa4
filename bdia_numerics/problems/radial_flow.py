"""The exact flow of a mixture of isotropic Gaussians with one centre.

Directions from the centre stay. The radius is that of a mixture of chi distributions, F(r) = sum_k w_k P(D/2, r^2/(2 v_k))
with the regularised lower incomplete gamma function P, and the flow solves F'(r') = F(r). Between two shells F rounds to a sum
of weights, so the components whose shell lies inside r enter by their survival function, as in `cdf_flow`: with A the sum of
w_k P over the others and B that of w_k (1 - P) over these, log(A' + B) = log(B' + A) is solved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_flow import increasing_root, solve_increasing
from bdia_numerics.problems.checks import exact
from bdia_numerics.problems.transports import digits_of
from bdia_numerics.spaces import Array

Times = tuple[Any, Any]
Parts = tuple[Array, Array, Array]

_TINY = -645.0
"""The logarithm of what is not yet subnormal, with a margin: from there on SciPy's functions lose digits, and end in 0."""
_GUARD = 15


def radial(z: Array, begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return the flow of a mixture with one centre and isotropic covariances, states (n, D)."""
    weights, centre, old, new = _levels(begin, end, parts)
    centred = z - begin[0] * centre
    scales = _scales(centred, weights, old, new, space)
    return np.asarray(end[0] * centre + scales[:, None] * centred)


def radial_derivative(z: Array, begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return the derivative of `radial`, shape (n, D, D).

    It is r'/r across the radius and, along it, the ratio of the densities of z over (r'/r)^(D-1).
    """
    weights, centre, old, new = _levels(begin, end, parts)
    centred, size = z - begin[0] * centre, z.shape[1]
    scales, squares = _scales(centred, weights, old, new, space), (centred * centred).sum(axis=1)
    logs = _log_density(squares, weights, old, size, space) - _log_density(
        squares * scales**2, weights, new, size, space
    )
    lengthwise = space.exp(logs - (size - 1) * space.log(scales)) - scales
    # At the centre both are equal, and any direction will do.
    lengths = squares + (squares == 0)
    along = np.einsum("ni,nj->nij", centred, centred) * (lengthwise / lengths)[:, None, None]
    return np.asarray(scales[:, None, None] * np.eye(size, dtype=int) + along)


def _levels(begin: Times, end: Times, parts: Parts) -> tuple[Array, Array, Array, Array]:
    """Return weights, centre, and the variances at both times."""
    weights, means, covs = parts
    variances = covs.reshape(len(weights), -1)[:, 0]
    old, new = (alpha * alpha * variances + sigma * sigma for alpha, sigma in (begin, end))
    return weights, means[0], old, new


def _log_density(squares: Array, weights: Array, v: Array, size: int, space: spaces.Space) -> Array:
    """Return the logarithm of the density of z, but for a constant, at squared radii (n,)."""
    half = space.number(size) / 2
    exponents = space.log(weights) - half * space.log(v) - np.multiply.outer(squares, 1 / (2 * v))
    top = exponents.max(axis=1)
    return np.asarray(top + space.log(space.exp(exponents - top[:, None]).sum(axis=1)))


def _scales(centred: Array, weights: Array, old: Array, new: Array, space: spaces.Space) -> Array:
    """Return r'/r for states (n, D)."""
    size = centred.shape[1]
    if not space.double:
        return _exact_scales(centred, weights, old, new, digits_of(space), space)
    radius = np.sqrt((centred * centred).sum(axis=1))
    # At the centre F(r) ~ r^D sum_k w_k v_k^(-D/2).
    result = np.full(len(radius), np.exp((_log_power(weights, old, size) - _log_power(weights, new, size)) / size))
    away = radius > 0
    radius = radius[away]
    log_a, log_b = _log_sides(radius, weights, old, size, _inside(radius, old, size))

    def gap(log_radius: Array, log_a: Array, log_b: Array, radius: Array) -> Array:
        new_a, new_b = _log_sides(np.exp(log_radius), weights, new, size, _inside(radius, old, size))
        return np.asarray(np.logaddexp(new_a, log_b) - np.logaddexp(new_b, log_a))

    # A component alone would move r to r (v'/v)^(1/2); the mixture moves it to between the extremes.
    stretches = np.log(new / old) / 2
    start = np.log(radius)
    found = solve_increasing(gap, start + stretches.min(), start + stretches.max(), log_a, log_b, radius)
    result[away] = np.exp(found - start)
    return result


def _log_power(weights: Array, v: Array, size: int) -> Any:
    logs = np.log(weights) - size / 2 * np.log(v)
    return logs.max() + np.log(np.exp(logs - logs.max()).sum())


def _inside(radius: Array, v: Array, size: int) -> Array:
    """Say which shells, of mean squared radius D v_k, lie inside each radius; shape (n, K)."""
    return np.asarray((radius * radius)[:, None] > size * v)


def _log_sides(radius: Array, weights: Array, v: Array, size: int, inside: Array) -> tuple[Array, Array]:
    """Return log A and log B of the radius, shape (n,)."""
    lower, upper = _log_gamma_tails(size / 2, (radius * radius)[:, None] / (2 * v))
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    sides = ((lower, ~inside), (upper, inside))
    log_a, log_b = (np.logaddexp.reduce(np.where(side, log_weights + log, -np.inf), axis=1) for log, side in sides)
    return log_a, log_b


def _log_gamma_tails(a: float, x: Array) -> tuple[Array, Array]:
    """Return the logarithms of both regularised incomplete gamma functions, where they underflow, too."""
    from scipy.special import gammainc, gammaincc, gammaln, hyp1f1, hyperu

    with np.errstate(all="ignore"):
        logs = [np.log(gammainc(a, x)), np.log(gammaincc(a, x))]
        shape = a * np.log(x) - x - gammaln(a)
        # What is left of them without x^a exp(-x)/Gamma(a).
        rests: tuple[Callable[[Array], Array], ...] = (lambda x: hyp1f1(1, a + 1, x) / a, lambda x: hyperu(1, a + 1, x))
        for log, rest in zip(logs, rests, strict=True):
            small = (log < _TINY) & (x > 0)
            log[small] = shape[small] + np.log(rest(x[small]))
    return logs[0], logs[1]


def _exact_scales(
    centred: Array, weights: Array, old: Array, new: Array, digits: spaces.MPMath, space: spaces.Space
) -> Array:
    size = centred.shape[1]
    result = []
    with spaces.MPMath(digits.dps + _GUARD).working():
        wide = [[digits.number(exact(x)) for x in row] for row in (weights, old, new)]
        for state in centred:
            numbers = [digits.number(exact(x)) for x in state]
            scale = _exact_scale(sum(x * x for x in numbers), wide, size, digits.dps)
            result.append(scale)
    with digits.working():
        return space.array([x if space == digits else exact(+x) for x in result])


def _exact_scale(square: Any, levels: list[list[Any]], size: int, dps: int) -> Any:
    from mpmath import mp

    weights, old, new = levels
    a = mp.mpf(size) / 2
    if square == 0:
        powers = [sum(w / v**a for w, v in zip(weights, level, strict=True)) for level in (old, new)]
        return mp.root(powers[0] / powers[1], size)

    inside = [square > size * v for v in old]

    def sides(square: Any, level: list[Any]) -> tuple[Any, Any, Any, Any]:
        """Return A, B and what they add to r dF/dr."""
        below = above = slope_below = slope_above = mp.mpf(0)
        for w, v, is_inside in zip(weights, level, inside, strict=True):
            y = square / (2 * v)
            ends, slope = ((y,) if is_inside else (0, y)), 2 * w * y**a * mp.exp(-y) / mp.gamma(a)
            part = w * mp.gammainc(a, *ends, regularized=True)
            if is_inside:
                above, slope_above = above + part, slope_above + slope
            else:
                below, slope_below = below + part, slope_below + slope
        return below, above, slope_below, slope_above

    below, above, *_ = sides(square, old)

    def gap(radius: Any) -> tuple[Any, Any]:
        new_below, new_above, slope_below, slope_above = sides(radius * radius, new)
        up, down = new_below + above, new_above + below
        return mp.log(up / down), (slope_below / up + slope_above / down) / radius

    radius = mp.sqrt(square)
    stretches = [mp.sqrt(n / o) for n, o in zip(new, old, strict=True)]
    low, high = radius * min(stretches), radius * max(stretches)
    reach = (high - low) / 2 + high / 10**9
    return increasing_root(gap, (low + high) / 2, reach, mp.mpf(10) ** (-dps - _GUARD // 2)) / radius
