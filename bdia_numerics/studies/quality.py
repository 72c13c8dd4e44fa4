"""Distances between two samples of a distribution: what a sampler's outputs are worth, state by state pairing left aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics.analysis.frechet import frechet_distance

Array = np.ndarray[Any, Any]
PROJECTIONS = 64


def sliced_wasserstein(a: Array, b: Array, seed: int = 0) -> float:
    """Return the mean Wasserstein-1 distance over `PROJECTIONS` random directions; in one dimension, the distance itself."""
    from scipy.stats import wasserstein_distance  # which takes longer to import than all studies

    dimension = a.shape[1]
    if dimension == 1:
        return float(wasserstein_distance(a[:, 0], b[:, 0]))
    directions = np.random.default_rng(seed).standard_normal((dimension, PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    pairs = zip((a @ directions).T, (b @ directions).T, strict=True)
    return float(np.mean([wasserstein_distance(x, y) for x, y in pairs]))


def energy(a: Array, b: Array) -> float:
    """Return the squared energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Szekely and Rizzo 2013)."""
    from scipy.spatial.distance import cdist

    between, within_a, within_b = (float(cdist(x, y).mean()) for x, y in ((a, b), (a, a), (b, b)))
    return 2 * between - within_a - within_b


DISTANCES: dict[str, Callable[[Array, Array], float]] = {
    "frechet": frechet_distance,
    "sliced_wasserstein": sliced_wasserstein,
    "energy": energy,
}
