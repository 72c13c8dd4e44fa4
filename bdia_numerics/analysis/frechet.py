"""The Frechet distance between two samples, in whatever features they are given."""

from __future__ import annotations

import numpy as np

from bdia_numerics.spaces import Array


def frechet_distance(first: Array, second: Array) -> float:
    """Return the squared Frechet distance of the normal distributions with the moments of two sets of features.

    |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), as Heusel et al. 2017 take it in the features of another network.

    Parameters
    ----------
    first, second
        Features, shapes (n, d) and (m, d).

    Raises
    ------
    ValueError
        For fewer than two rows, features that are not finite, or of different widths.
    """
    for name, x in (("first", first), ("second", second)):
        if x.ndim != 2 or len(x) < 2 or not np.all(np.isfinite(x)):
            raise ValueError(f"{name} has shape {x.shape}: pass finite features of two images or more")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"first has {first.shape[1]} features, second {second.shape[1]}: take both from one network")
    return frechet_of_moments(moments(first), moments(second))


Moments = tuple[Array, Array]


def moments(x: Array) -> Moments:
    """Return the mean, shape (d,), and the covariance, shape (d, d), of features of shape (n, d)."""
    return x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """Return the squared Frechet distance of the normal distributions with these moments."""
    (m, S), (k, R) = first, second
    # The eigenvalues of S R are those of a symmetric product, so no root of a general matrix is needed.
    values, vectors = np.linalg.eigh(S)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ R @ root), 0, None)).sum()
    return float(np.sum((m - k) ** 2) + np.trace(S) + np.trace(R) - 2 * cross)
