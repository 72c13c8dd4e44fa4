"""Exact flows of distributions between two times, in the number system of the states."""

from __future__ import annotations

from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_flow import ExactMarginal, Marginal, attempt, log_density, transport, transport_exact
from bdia_numerics.problems.checks import exact
from bdia_numerics.problems.enclosed_flows import slopes, transported
from bdia_numerics.problems.linear import eigen
from bdia_numerics.spaces import Array

Times = tuple[Any, Any]
Parts = tuple[Array, Array, Array]

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
    floats = (np.asarray(part, dtype=np.float64) for part in parts)
    weights, means, covs = floats
    rough = tuple(_marginal((weights, means, covs), (float(a), float(s))) for a, s in (begin, end))
    guesses = attempt(np.asarray(z[:, 0], dtype=np.float64), *rough)
    moved = [
        transport_exact(x, source, target, digits.number(exact(g)) if np.isfinite(g) else None, digits.dps)
        for x, g in zip(wide, guesses, strict=True)
    ]
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
