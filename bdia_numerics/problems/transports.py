"""Exact flows of distributions between two times, in the number system of the states.

In a mixture of isotropic Gaussians with one centre, directions from the centre stay. The radius is that of a mixture of chi
distributions, F(r) = sum_k w_k P(D/2, r^2/(2 v_k)) with the regularised lower incomplete gamma function P, and the flow solves
F'(r') = F(r). Between two shells F rounds to a sum of weights, so the components whose shell lies inside r enter by their
survival function, as in `cdf_flow`: with A the sum of w_k P over the others and B that of w_k (1 - P) over these,
log(A' + B) = log(B' + A) is solved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_flow import (
    GUARD,
    ExactMarginal,
    Marginal,
    attempt,
    increasing_root,
    log_density,
    solve_increasing,
    transport,
    transport_exact,
)
from bdia_numerics.problems.checks import Parts, Times, eigen, exact
from bdia_numerics.problems.enclosures import slopes, transported
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import mp, special

_LONGDOUBLE_DIGITS = 25


def closed(z: Array, begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return the flow of one Gaussian, states (n, D); begin and end are (alpha, sigma)."""
    mean, cov = parts[1][0], parts[2][0]
    return np.asarray(end[0] * mean + _stretched(z - begin[0] * mean, cov, begin, end, space))


def _stretched(centred: Array, cov: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
    if np.ndim(cov) < 2:
        return np.asarray(_stretch(cov, begin, end, space) * centred)
    values, vectors = root_vectors(cov, space)
    return np.asarray((centred @ vectors * _stretch(values, begin, end, space)) @ vectors.T)


def closed_matrix(begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return the derivative of the flow of one Gaussian, shape (D, D)."""
    size, cov = parts[1].shape[1], parts[2][0]
    if np.ndim(cov) < 2:
        return np.asarray(np.eye(size, dtype=int) * _stretch(cov, begin, end, space))
    values, vectors = root_vectors(cov, space)
    return np.asarray((vectors * _stretch(values, begin, end, space)) @ vectors.T)


def along_line(z: Array, begin: Times, end: Times, parts: Parts, axis: Array, space: spaces.Space) -> Array:
    """Return the flow of a mixture whose means lie on a line along `axis`, a unit vector and a common eigenvector."""
    centre, inner = parts[1][0], _along(parts, axis)
    centred = z - begin[0] * centre
    along = centred @ axis
    across = centred - np.multiply.outer(along, axis)
    moved = cdf(along[:, None], begin, end, inner, space)
    return np.asarray(end[0] * centre + moved * axis + _stretched(across, parts[2][0], begin, end, space))


def along_line_derivative(
    z: Array, moved: Array, begin: Times, end: Times, parts: Parts, axis: Array, space: spaces.Space
) -> Array:
    """Return the derivative of `along_line`, shape (n, D, D), at states z that it moved."""
    centre, inner = parts[1][0], _along(parts, axis)
    old, new = (z - begin[0] * centre) @ axis, (moved - end[0] * centre) @ axis
    ratio = density_ratio(old[:, None], new[:, None], begin, end, inner, space)
    projector = np.multiply.outer(axis, axis)
    across = closed_matrix(begin, end, parts, space) @ (np.eye(len(axis), dtype=int) - projector)
    return np.asarray(ratio[:, :, None] * projector + across)


def _along(parts: Parts, axis: Array) -> Parts:
    """Return the 1-D mixture along an axis, positions taken from the first mean."""
    weights, means, covs = parts
    variances = covs @ axis @ axis if covs.ndim == 3 else covs @ (axis * axis) if covs.ndim == 2 else covs
    return weights, ((means - means[0]) @ axis)[:, None], variances


def _stretch(variance: Any, begin: Times, end: Times, space: spaces.Space) -> Any:
    """Return the ratio of the standard deviations at the two times."""
    (alpha, sigma), (new_alpha, new_sigma) = begin, end
    old, new = alpha * alpha * variance + sigma * sigma, new_alpha * new_alpha * variance + new_sigma * new_sigma
    return space.sqrt(new / old)


def root_vectors(cov: Array, space: spaces.Space) -> tuple[Array, Array]:
    """Return eigenvalues and eigenvectors for a root of a covariance matrix; TypeError in exact systems."""
    if space.encloses:
        raise TypeError(f"no root of a covariance matrix in {space.name}: use problems.certified_flow")
    if space.exact:
        raise TypeError(f"the square root of a covariance matrix is not rational: use MPMath, not {space.name}")
    return eigen(cov, space)


def cdf(z: Array, begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return the 1-D flow by conservation of the cumulative distribution function, states (n, 1).

    float64 for all shorter floats; longdouble states go through mpmath, element by element.
    """
    if space.encloses:
        return transported(z, begin, end, parts, space)  # type: ignore[arg-type]  # what encloses are balls
    if space.double:
        return transport(z[:, 0].astype(np.float64), _marginal(parts, begin), _marginal(parts, end))[:, None]
    digits = digits_of(space)
    wide, source, target = _widened(z, parts, begin, end, digits)
    guesses = attempt(np.asarray(z[:, 0], dtype=np.float64), source.floats(), target.floats())
    moved = [transport_exact(x, source, target, float(g), digits.dps) for x, g in zip(wide, guesses, strict=True)]
    return space.array([x if space == digits else exact(x) for x in moved])[:, None]


def density_ratio(z: Array, moved: Array, begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return p(z) / p'(z'), the derivative of the 1-D flow, shape (n, 1)."""
    if space.encloses:
        return slopes(z, moved, begin, end, parts, space)  # type: ignore[arg-type]
    if space.double:
        old = log_density(_marginal(parts, begin), z[:, 0].astype(np.float64))
        new = log_density(_marginal(parts, end), moved[:, 0].astype(np.float64))
        return np.asarray(np.exp(old - new))[:, None]
    digits = digits_of(space)
    with digits.working():
        wide, source, target = _widened(z, parts, begin, end, digits)
        images = [digits.number(exact(x)) for x in moved[:, 0]]
        ratios = [source.density(x) / target.density(y) for x, y in zip(wide, images, strict=True)]
    return space.array([x if space == digits else exact(x) for x in ratios])[:, None]


def digits_of(space: spaces.Space) -> spaces.MPMath:
    """Return the mpmath precision in which states beyond float64 are moved; TypeError for exact systems."""
    if space.floats:
        return spaces.MPMath(_LONGDOUBLE_DIGITS)
    if space.encloses:
        raise TypeError(f"no distribution function of the radius in {space.name}: use problems.certified_flow")
    if space.exact:
        raise TypeError(
            f"the normal distribution function is not rational: use MPMath or float states, not {space.name}"
        )
    return space  # type: ignore[return-value]  # what rounds and is no float of the processor is mpmath's


def _widened(
    z: Array, parts: Parts, begin: Times, end: Times, digits: spaces.MPMath
) -> tuple[list[Any], ExactMarginal, ExactMarginal]:
    """Return the states and the two marginals in mpmath, all with their exact values."""
    with digits.working():
        weights, means, covs = ([digits.number(exact(x)) for x in part.flat] for part in parts)
        laws = []
        for alpha, sigma in ((digits.number(exact(a)), digits.number(exact(s))) for a, s in (begin, end)):
            variances = [alpha * alpha * c + sigma * sigma for c in covs]
            laws.append(ExactMarginal(weights, [alpha * m for m in means], variances))
        return [digits.number(exact(x)) for x in z[:, 0]], laws[0], laws[1]


def _marginal(parts: Parts, time: Times) -> Marginal:
    weights, means, covs = parts
    alpha, sigma = time
    variances = alpha * alpha * covs.reshape(len(weights)) + sigma * sigma
    return Marginal(weights[:, None], alpha * means, np.sqrt(variances)[:, None])


_TINY = -645.0
"""The logarithm of what is not yet subnormal, with a margin: from there on SciPy's functions lose digits, and end in 0."""


def radial(z: Array, begin: Times, end: Times, parts: Parts, space: spaces.Space) -> Array:
    """Return the flow of a mixture with one centre and isotropic covariances, states (n, D)."""
    weights, centre, old, new = _levels(begin, end, parts)
    centred = z - begin[0] * centre
    return np.asarray(end[0] * centre + _scales(centred, weights, old, new, space)[:, None] * centred)


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
    with np.errstate(all="ignore"):
        logs = [np.log(special.gammainc(a, x)), np.log(special.gammaincc(a, x))]
        shape = a * np.log(x) - x - special.gammaln(a)
        # What is left of them without x^a exp(-x)/Gamma(a).
        rests: tuple[Callable[[Array], Array], ...] = (
            lambda x: special.hyp1f1(1, a + 1, x) / a,
            lambda x: special.hyperu(1, a + 1, x),
        )
        for log, rest in zip(logs, rests, strict=True):
            small = (log < _TINY) & (x > 0)
            log[small] = shape[small] + np.log(rest(x[small]))
    return logs[0], logs[1]


def _exact_scales(
    centred: Array, weights: Array, old: Array, new: Array, digits: spaces.MPMath, space: spaces.Space
) -> Array:
    size = centred.shape[1]
    result = []
    with spaces.MPMath(digits.dps + GUARD).working():
        wide = [[digits.number(exact(x)) for x in row] for row in (weights, old, new)]
        for state in centred:
            numbers = [digits.number(exact(x)) for x in state]
            result.append(_exact_scale(sum(x * x for x in numbers), wide, size, digits.dps))
    with digits.working():
        return space.array([x if space == digits else exact(+x) for x in result])


def _exact_scale(square: Any, levels: list[list[Any]], size: int, dps: int) -> Any:
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
    return increasing_root(gap, (low + high) / 2, reach, mp.mpf(10) ** (-dps - GUARD // 2)) / radius
