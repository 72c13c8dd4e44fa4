"""The Frechet distance between two samples, in whatever features they are given."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bdia_numerics.spaces import Array
from bdia_numerics.texts import refuse


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


def scatter(x: Array) -> tuple[Array, Array]:
    """Return the mean of features (n, d), and the upper triangle of their products about it, row by row, shape (d (d+1)/2,), float64."""
    x = np.asarray(x, float)
    mean = x.mean(0)
    return mean, ((x - mean).T @ (x - mean))[np.triu_indices(x.shape[1])]


def joined(parts: Iterable[tuple[int, Array, Array]]) -> Moments:
    """Return the moments of features of which parts are known: how many rows, and their `scatter`.

    Two parts join as in Chan, Golub and LeVeque 1983, so that no mean is squared and taken away again.

    Raises
    ------
    ValueError
        For fewer than two rows in all.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((9, 2))
    >>> mean, covariance = joined((len(part), *scatter(part)) for part in (x[:2], x[2:]))
    >>> bool(np.allclose(covariance, moments(x)[1], rtol=1e-12))
    True
    """
    count, mean, products = 0, np.zeros(()), np.zeros(())
    for more, own, about in parts:
        away, total = own - mean, count + more
        if not count:
            upper = np.triu_indices(len(own))
        products = products + about + np.outer(away, away)[upper] * (count * more / total)
        mean, count = mean + away * (more / total), total
    refuse((count < 2, f"{count} images have no covariance: take two or more"))
    covariance = np.zeros((len(mean), len(mean)))
    covariance[upper] = products / (count - 1)
    return mean, covariance + np.triu(covariance, 1).T


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """Return the squared Frechet distance of the normal distributions with these moments."""
    (m, S), (k, R) = first, second
    # The eigenvalues of S R are those of a symmetric product, so no root of a general matrix is needed.
    values, vectors = np.linalg.eigh(S)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ R @ root), 0, None)).sum()
    return float(np.sum((m - k) ** 2) + np.trace(S) + np.trace(R) - 2 * cross)
