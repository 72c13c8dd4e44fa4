"""Scores of Gaussian mixtures: one vectorised form for floats, one generic form for every other number system.

At time t the distribution of z = alpha x + sigma noise, x from the mixture of N(m_k, C_k), is the mixture of
N(alpha m_k, V_k), V_k = alpha^2 C_k + sigma^2 I, so that

    score(z) = sum_k r_k V_k^-1 (alpha m_k - z),
    r_k ~ w_k det(V_k)^(-1/2) exp(-(z - alpha m_k)^T V_k^-1 (z - alpha m_k) / 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.checks import eigen, ldl, ldl_solve
from bdia_numerics.spaces import Array

_FEW = 8
"""Dimensions up to which distances are summed coordinate by coordinate, free of cancellation and as fast."""
_BLOCK = 1 << 22
"""Elements of the largest (states, components) array: 32 MB in float64."""
_SMALL, _LEVELS = 64, 4096
"""Numbers in the means up to which what a noise level makes of a mixture is kept, and how many levels: a few MB."""
_LARGE = 1 << 22
"""Numbers in the means from which on a second copy of them is worth avoiding: 32 MB in float64."""
_CACHED = 1 << 15
"""Elements of the part of an array that is worked on while it stays in the processor's cache: 256 kB in float64."""


@dataclass(frozen=True, eq=False)
class Components:
    """Arrays of a mixture in one float dtype, made ready for many evaluations.

    Parameters
    ----------
    log_weights
        Shape (K,).
    centre
        What all coordinates are taken at, shape (D,): the weighted mean of the distribution, or 0 where that is as near.
    means
        Means minus `centre`, shape (K, D).
    squares
        Squared norms of `means`, shape (K,).
    covs
        Variances, shape (K,) or (K, D), or eigenvalues of the covariance matrices, shape (K, D).
    axes
        Eigenvectors in columns, shape (K, D, D), or None.
    last
        Tables of diagonal covariances at one noise level, by that level.
    levels
        What noise levels make of a few components, by the level: solvers that are compared are at the same times.
    """

    log_weights: Array
    centre: Array
    means: Array
    squares: Array
    covs: Array
    axes: Array | None
    last: dict[Any, tuple[Array, Array] | None] = field(default_factory=dict)
    levels: dict[Any, tuple[Array, ...]] = field(default_factory=dict)

    def cast(self, dtype: Any) -> Components:
        """Return them rounded to a shorter dtype."""
        arrays = {name: part.astype(dtype) for name, part in vars(self).items() if isinstance(part, np.ndarray)}
        return replace(self, **arrays, last={}, levels={})


def components(weights: Array, means: Array, covs: Array, space: spaces.Space) -> Components:
    """Return the ready arrays of a mixture given in a float dtype."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    centre = weights @ means / weights.sum()
    squares = np.einsum("kd,kd->k", means, means)
    # A large data set is not copied to be centred where that gains no digit: no mean is then twice as far from 0 as the farthest
    # from the centre.
    if means.size < _LARGE or 2 * centre @ centre > weights @ squares / weights.sum():
        means = means - centre
        squares = np.einsum("kd,kd->k", means, means)
    else:
        centre = np.zeros_like(centre)
    axes = None
    if covs.ndim == 3:
        pairs = [eigen(c, space) for c in covs]
        covs, axes = np.array([values for values, _ in pairs]), np.array([vectors for _, vectors in pairs])
    return Components(log_weights, centre, means, squares, covs, axes)


def float_score(z: Array, alpha: Any, sigma: Any, law: Components) -> Array:
    """Return the score at states of shape (n, D), in the dtype of the components.

    Memory is O(n K + K D); blocks of states keep it bounded. For isotropic covariances and D > 8 the work is two matrix
    products. The exponents then carry an absolute error of a few eps (|z|^2 + alpha^2 max |m_k|^2) / min v_k,
    coordinates taken at the centre of the distribution (or, for large data sets around it, at 0): as much as moving
    every mean by eps of the distribution's radius does. Up to D = 8, and with covariance matrices, distances are formed
    from differences, and only the rounding of alpha m_k is left.
    """
    centred = z - alpha * law.centre
    few = z.shape[1] <= _FEW or len(law.means) == 1 or law.axes is not None
    rows = max(1, 4 * _CACHED // law.means.size if few else _BLOCK // len(law.means))
    with np.errstate(all="ignore"):
        starts = range(0, len(z), rows)
        blocks = [_block_score(centred[k : k + rows], alpha, sigma, law, few) for k in starts]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks or [centred])


def _block_score(z: Array, alpha: Any, sigma: Any, law: Components, few: bool) -> Array:
    if law.covs.ndim == 2 and not few:
        return _diagonal(z, alpha, sigma, law)
    if few:
        return _from_differences(z, law, *(law.levels.get((alpha, sigma)) or _level(alpha, sigma, law)))
    return _isotropic(z, alpha, _variances(alpha, sigma, law), law)


def _variances(alpha: Any, sigma: Any, law: Components) -> Array:
    return np.asarray(alpha * alpha * law.covs + sigma * sigma)


def _level(alpha: Any, sigma: Any, law: Components) -> tuple[Array, ...]:
    """Return the scaled means, the inverse variances, what squares are multiplied by, and what exponents have of no state."""
    v, size = _variances(alpha, sigma, law), law.means.shape[1]
    inverse = 1 / (v if v.ndim == 1 else v.T[:, None])
    constant = law.log_weights - (size * np.log(v) if v.ndim == 1 else np.log(v).sum(axis=1)) / 2
    found = (alpha * law.means.T)[:, None], inverse, (-inverse / 2 if v.ndim == 1 else v.dtype.type(-0.5)), constant
    if law.means.size <= _SMALL:
        if len(law.levels) >= _LEVELS:
            law.levels.clear()
        law.levels[alpha, sigma] = found
    return found


@cache
def _negligible(dtype: Any) -> float:
    """Return the log-weight of a dtype to which smaller ones are raised, so that no subnormal slows a product.

    exp(-600) = 1e-261, and exp(-75) = 2e-33 in float32, change no digit.
    """
    return max(-600.0, -0.85 * float(np.log(np.finfo(dtype).max)))


def _softmax(exponents: Array) -> Array:
    """Overwrite exponents, shape (n, K), by responsibilities."""
    exponents -= np.maximum.reduce(exponents, axis=1, keepdims=True)
    np.maximum(exponents, _negligible(exponents.dtype), out=exponents)
    np.exp(exponents, out=exponents)
    exponents /= np.add.reduce(exponents, axis=1, keepdims=True)
    return exponents


def _isotropic(z: Array, alpha: Any, v: Array, law: Components) -> Array:
    r = z @ law.means.T
    half = v.dtype.type(1) / 2
    constant = law.log_weights - half * alpha * alpha * law.squares / v
    if np.all(v == v[0]):
        # |z|^2 and the determinants are common to all components and leave the responsibilities alone.
        r *= alpha / v[0]
        r += constant
        return np.asarray((alpha * (_softmax(r) @ law.means) - z) / v[0])
    r *= alpha / v
    r += constant - half * z.shape[1] * np.log(v)
    r -= np.multiply.outer(half * np.einsum("nd,nd->n", z, z), 1 / v)
    r = _softmax(r)
    r /= v
    total = r.sum(axis=1, keepdims=True)
    return np.asarray(alpha * (r @ law.means) - total * z)


def _from_differences(z: Array, law: Components, means: Array, inverse: Array, factor: Array, constant: Array) -> Array:
    """Return the score from the differences of states and means, for covariances of every shape, shape (n, D)."""
    (n, size), count = z.shape, len(law.covs)
    # The longer axis lies last in memory, whatever the view: inner loops over a handful of components would be all overhead.
    differences = (
        np.empty((size, count, n), z.dtype).swapaxes(1, 2) if n > count else np.empty((size, n, count), z.dtype)
    )
    np.subtract(means, z.T[:, :, None], out=differences)
    if law.axes is not None:  # along the axes of each component, (D, n, K) as before
        differences = (differences.T @ law.axes).T
    squares = differences * differences if inverse.ndim == 1 else differences * differences * inverse
    exponents = squares[0] if size == 1 else np.add.reduce(squares, axis=0)
    exponents *= factor
    exponents += constant
    r = _softmax(exponents)
    if inverse.ndim == 1:
        r *= inverse
    else:
        differences *= inverse
    differences *= r
    if law.axes is not None:
        differences = (differences.T @ law.axes.swapaxes(1, 2)).T
    return np.asarray(np.add.reduce(differences, axis=2).T)


def _diagonal(z: Array, alpha: Any, sigma: Any, law: Components) -> Array:
    size, half = z.shape[1], z.dtype.type(1) / 2
    paired = np.concatenate([alpha * z, -half * (z * z)], axis=1)
    shape = (len(z), 1)
    # Not -inf, which the exponents of a part without weight are.
    top, total = np.full(shape, -np.finfo(z.dtype).max), np.zeros(shape, dtype=z.dtype)
    pulled = np.zeros_like(paired)
    # A few states at a new time: tables that stay in the cache, and are not kept before the time has come again.
    is_new = (alpha, sigma) not in law.last
    if is_new:
        law.last.clear()
        law.last[alpha, sigma] = None
    rows = max(1, (8 * _CACHED if is_new and len(z) <= _FEW else _BLOCK) // (2 * size))
    for start in range(0, len(law.means), rows):
        tables, constant = _tables(law, slice(start, start + rows), alpha, sigma)
        r = paired @ tables.T
        r += constant
        # The largest exponent so far: what was summed under a smaller one is scaled down to it.
        known, top = top, np.maximum(top, r.max(axis=1, keepdims=True))
        r -= top
        np.maximum(r, _negligible(r.dtype), out=r)
        np.exp(r, out=r)
        scale = np.exp(known - top)
        total = scale * total + r.sum(axis=1, keepdims=True)
        pulled *= scale
        pulled += r @ tables
    pulled /= total
    return np.asarray(alpha * pulled[:, :size] - z * pulled[:, size:])


def _tables(law: Components, part: slice, alpha: Any, sigma: Any) -> tuple[Array, Array]:
    """Return (m_k / v_k, 1 / v_k) of some components, shape (k, 2 D), and what their exponents have of no state, (k,).

    A distribution that is one part keeps those of the last time: they cost as much as 30 states, and a time is often asked
    again, by methods that iterate, by those that evaluate two registers, and for the next batch.
    """
    size, whole = law.means.shape[1], part.start == 0 and part.stop >= len(law.means)
    found = law.last.get((alpha, sigma)) if whole else None
    if found is not None:
        return found
    means, covs = law.means[part], law.covs[part]
    tables, constant = np.empty((len(means), 2 * size), dtype=means.dtype), law.log_weights[part].copy()
    rows = max(1, _CACHED // size)
    for start in range(
        0, len(means), rows
    ):  # all while the rows are at hand: the arrays are too large to be read ten times
        near = slice(start, start + rows)
        scaled, inverse = tables[near, :size], tables[near, size:]
        np.multiply(covs[near], alpha * alpha, out=inverse)
        inverse += sigma * sigma
        logs = _log_products(inverse)
        np.divide(1, inverse, out=inverse)
        np.multiply(means[near], inverse, out=scaled)
        logs += alpha * alpha * np.einsum("kd,kd->k", scaled, means[near])
        logs /= 2
        constant[near] -= logs
    if whole:
        law.last[alpha, sigma] = tables, constant
    return tables, constant


def _log_products(v: Array) -> Array:
    """Return the sums of the logarithms of the rows, of products as long as none can overflow: logarithms are slow."""
    reach, most = np.abs(np.log2([v.min(), v.max()])).max(), np.finfo(v.dtype).maxexp - 2
    while v.shape[1] > 1 and 3 * reach < most:
        half = v.shape[1] // 2
        product = v[:, :half] * v[:, half : 2 * half]
        if v.shape[1] % 2:
            product[:, 0] *= v[:, -1]
        v, reach = product, 3 * reach
    return np.asarray(np.log(v).sum(axis=1))


def generic_score(
    z: Array,
    alpha: Any,
    sigma: Any,
    weights: Array,
    means: Array,
    covs: Array,
    space: Any,
    largest: Callable[[Sequence[Any]], Any] | None = None,
) -> Array:
    """Return the score at states of shape (n, D), element by element with plain operators.

    One component takes rational operations only, so Fractions and symbols pass; more take exp and sqrt of `space`.
    Where exp underflows, `largest` says which exponent is subtracted from all.
    """
    size = means.shape[1]
    factors = [covariance(c, alpha, sigma, size) for c in covs]
    result = np.empty_like(z)
    for row, state in enumerate(z):
        differences = [state - alpha * m for m in means]
        pulls = [ldl_solve(f, d) for f, d in zip(factors, differences, strict=True)]
        if len(pulls) == 1:
            result[row] = -pulls[0]
            continue
        exponents = [-(d @ p) / 2 for d, p in zip(differences, pulls, strict=True)]
        if largest is not None:
            top = largest(exponents)
            exponents = [e - top for e in exponents]
        densities = [
            w * space.exp(e) / space.sqrt(np.prod(f[1])) for w, e, f in zip(weights, exponents, factors, strict=True)
        ]
        result[row] = -sum(r * p for r, p in zip(densities, pulls, strict=True)) / sum(densities)
    return result


def covariance(c: Any, alpha: Any, sigma: Any, size: int) -> tuple[Array, Array]:
    """Return the factors of alpha^2 C + sigma^2 I for a variance, a vector of variances or a matrix."""
    noise = sigma * sigma
    if np.ndim(c) == 2:
        return ldl(alpha * alpha * c + noise * np.eye(size, dtype=int))
    d = np.empty(size, dtype=object)
    d[:] = alpha * alpha * c + noise
    return np.eye(size, dtype=int).astype(object), d
