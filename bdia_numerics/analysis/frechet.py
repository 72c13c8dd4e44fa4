"""The Frechet distance between two samples, in whatever features they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def frechet_distance(first: Array, second: Array) -> float:
    """Return the squared Frechet distance of the normal laws with the moments of two sets of features.

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
    (m, S), (k, R) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (first, second))
    # The eigenvalues of S R are those of a symmetric product, so no root of a general matrix is needed.
    values, vectors = np.linalg.eigh(np.atleast_2d(S))
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ np.atleast_2d(R) @ root), 0, None)).sum()
    return float(np.sum((m - k) ** 2) + np.trace(np.atleast_2d(S)) + np.trace(np.atleast_2d(R)) - 2 * cross)
