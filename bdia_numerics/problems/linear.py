"""Symmetric matrices in any number system: L D L^T for rational work, eigenvectors where square roots are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from bdia_numerics import spaces

Array = np.ndarray[Any, Any]


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


def positive_definite(a: Array) -> bool:
    """Decide by the signs of the pivots; exact for Fractions."""
    try:
        with np.errstate(all="ignore"):
            return bool(np.all(ldl(a)[1] > 0))
    except ZeroDivisionError:
        return False


def eigen(a: Array, space: spaces.Space) -> tuple[Array, Array]:
    """Return eigenvalues (D,) and orthonormal eigenvectors in columns (D, D) of a symmetric matrix.

    LAPACK in float64, cyclic Jacobi rotations in every other system that has square roots.
    """
    if a.dtype == np.float64:
        values, vectors = np.linalg.eigh(a)
        return values, vectors
    return _jacobi(a, space)


def _jacobi(a: Array, space: spaces.Space) -> tuple[Array, Array]:
    a = a.copy()
    size = a.shape[0]
    vectors = np.full_like(a, space.number(0))
    for j in range(size):
        vectors[j, j] = space.number(1)
    rotated = True
    while rotated:
        rotated = False
        for p in range(size):
            for q in range(p + 1, size):
                off = a[p, q]
                # What no longer changes either diagonal element is rounding: dropping it ends the sweeps.
                if a[p, p] + off == a[p, p] and a[q, q] + off == a[q, q]:
                    a[p, q] = a[q, p] = 0 * off
                    continue
                rotated = True
                ratio = (a[q, q] - a[p, p]) / (2 * off)
                tangent = (1 if ratio >= 0 else -1) / (abs(ratio) + space.sqrt(1 + ratio * ratio))
                cosine = 1 / space.sqrt(1 + tangent * tangent)
                sine = tangent * cosine
                _rotate(a, p, q, cosine, sine)
                _rotate(a.T, p, q, cosine, sine)
                _rotate(vectors, p, q, cosine, sine)
                a[p, q] = a[q, p] = 0 * off
    return a.diagonal().copy(), vectors


def _rotate(a: Array, p: int, q: int, cosine: Any, sine: Any) -> None:
    left, right = cosine * a[:, p] - sine * a[:, q], sine * a[:, p] + cosine * a[:, q]
    a[:, p], a[:, q] = left, right
