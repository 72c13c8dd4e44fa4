"""Symmetric matrices in any number system: L D L^T for rational work, eigenvectors where square roots are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.spaces import Array

SEEN = 2.0**-36
"""Relative difference of variances in some direction from which on two matrices differ, whatever their entries say."""
_GRADED = 1e4
"""How much more spread covariances may have than their correlations for LAPACK to serve."""
_GUARD, _BITS = 10, 3.32
"""Digits that no result shows, and bits a digit."""


def ldl(a: Array) -> tuple[Array, Array]:
    """Return L (unit lower triangular) and d with a = L diag(d) L^T, by rational operations only.

    Parameters
    ----------
    a
        Symmetric, shape (D, D), of any dtype, objects included.
    """
    a = a.copy()
    size = a.shape[0]
    lower = np.zeros_like(a)
    for j in range(size):
        lower[j, j] = a[j, j] / a[j, j]
        column = a[j + 1 :, j] / a[j, j]
        lower[j + 1 :, j] = column
        a[j + 1 :, j + 1 :] = a[j + 1 :, j + 1 :] - column[:, None] * a[j, j + 1 :][None, :]
    return lower, a.diagonal().copy()


def ldl_solve(factors: tuple[Array, Array], b: Array) -> Array:
    """Return the solution x of L diag(d) L^T x = b, shape (D,)."""
    lower, d = factors
    x = b.copy()
    for j in range(len(d)):
        x[j + 1 :] = x[j + 1 :] - lower[j + 1 :, j] * x[j]
    x = x / d
    for j in range(len(d) - 1, -1, -1):
        x[:j] = x[:j] - lower[j, :j] * x[j]
    return x


def alike(a: Array, b: Array, slack: Any, *, matrices: bool) -> bool:
    """Say whether covariances are equal up to a rounding of each entry, and no direction tells them apart.

    Parameters
    ----------
    a, b
        Variances, or matrices in the last two axes; shapes that broadcast, float64 or Fractions.
    slack
        Largest difference of two variances, relative to either; for entries of matrices D times as much, relative to
        sqrt(c_ii c_jj). 0 asks for equality.
    matrices
        Whether the last two axes are a matrix.

    Notes
    -----
    A rounding of large entries can hide a small eigenvalue. So the variances of two matrices may differ by 2^-36 at most
    in any direction, too, which is a relative error of 1e-11 in the flow.
    """
    if np.all(a == b) or not slack:
        return bool(np.all(a == b))
    if not matrices:
        return bool(np.all(abs(a - b) <= slack * np.minimum(a, b)))
    size, deviations = b.shape[-1], np.sqrt(np.einsum("...dd->...d", b))
    if not np.all(abs(a - b) <= slack * size * deviations[..., :, None] * deviations[..., None, :]):
        return False
    return bool(np.all(abs(_whitened(a - b, b)) <= SEEN))


def _whitened(a: Array, b: Array) -> Array:
    """Return L^-1 a L^-T, b = L L^T; infinite where b is positive definite in no floats."""
    try:
        lower = np.linalg.cholesky(b)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.inf)
    return np.asarray(np.linalg.solve(lower, np.swapaxes(np.linalg.solve(lower, a), -1, -2)))


def commuting(a: Array, b: Array, slack: Any) -> bool:
    """Say whether two covariance matrices commute up to a rounding of their entries, as `alike` understands it."""
    difference = a @ b - b @ a
    if not slack:
        return bool(np.all(difference == 0))
    bound = slack * len(a) * (abs(a) @ abs(b) + abs(b) @ abs(a))
    if not np.all(abs(difference) <= bound):
        return False
    return bool(np.all(difference == 0) or np.all(abs(_whitened(_whitened(difference, a), b)) <= SEEN))


def narrowest(covs: Array, *, matrices: bool) -> Array:
    """Return the deviation of each coordinate while the others stand, shape of the variances."""
    if not matrices:
        return np.asarray(np.sqrt(covs))
    try:
        precisions = np.einsum("...dd->...d", np.linalg.inv(covs))
    except np.linalg.LinAlgError:
        return np.zeros(covs.shape[:-1])
    return np.asarray(np.where(precisions > 0, 1 / np.sqrt(abs(precisions)), 0.0))


def positive_definite(a: Array) -> bool:
    """Decide by the signs of the pivots; exact for Fractions."""
    try:
        with np.errstate(all="ignore"):
            return bool(np.all(ldl(a)[1] > 0))
    except ZeroDivisionError:
        return False


def eigen(a: Array, space: spaces.Space) -> tuple[Array, Array]:
    """Return eigenvalues (D,) and orthonormal eigenvectors in columns (D, D) of a symmetric matrix.

    LAPACK in float64, which knows small eigenvalues to eps of the largest. Where the matrix of the correlations has far
    less spread, so that the entries say more, and in every other system that has square roots: mpmath, with as many more
    digits as the spread takes.
    """
    if space.double:
        values, vectors = np.linalg.eigh(a)
        deviations = np.sqrt(a.diagonal())
        correlations = np.linalg.eigvalsh(a / np.multiply.outer(deviations, deviations))
        if correlations[0] * values[-1] <= _GRADED * values[0] * correlations[-1]:
            return values, vectors
    from mpmath import mp

    largest, smallest = (space.field(x) for x in (max(a.diagonal()), min(ldl(a)[1])))
    spread = int(largest / smallest) * space.eps.denominator
    digits = spaces.MPMath(_GUARD + int(spread.bit_length() / _BITS))
    with digits.working():
        found, axes = mp.eigsy(mp.matrix([[digits.number(space.field(x)) for x in row] for row in a]))
        values, vectors = (np.array([digits.field(x) for x in part], dtype=object) for part in (found, axes))
    return space.array(list(values)), space.array(list(vectors)).reshape(a.shape)
