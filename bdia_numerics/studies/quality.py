"""Distances between two samples of a law: what a sampler's outputs are worth, state by state pairing left aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

Array = np.ndarray[Any, Any]
PROJECTIONS = 64


def frechet(a: Array, b: Array) -> float:
    """Return the squared Frechet distance of the Gaussians with the moments of two samples, shapes (n, D) and (m, D).

    |mean(a) - mean(b)|^2 + tr(A + B - 2 (AB)^(1/2)). On the features of an Inception network this is FID; here it is taken on
    the states themselves.
    """
    difference = a.mean(axis=0) - b.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    return float(difference @ difference + np.trace(covariances[0] + covariances[1] - 2 * root))


def sliced_wasserstein(a: Array, b: Array, seed: int = 0) -> float:
    """Return the mean Wasserstein-1 distance over `PROJECTIONS` random directions; in one dimension, the distance itself."""
    dimension = a.shape[1]
    if dimension == 1:
        return float(wasserstein_distance(a[:, 0], b[:, 0]))
    directions = np.random.default_rng(seed).standard_normal((dimension, PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    pairs = zip((a @ directions).T, (b @ directions).T, strict=True)
    return float(np.mean([wasserstein_distance(x, y) for x, y in pairs]))


def energy(a: Array, b: Array) -> float:
    """Return the squared energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Szekely and Rizzo 2013)."""
    between, within_a, within_b = (float(cdist(x, y).mean()) for x, y in ((a, b), (a, a), (b, b)))
    return 2 * between - within_a - within_b


DISTANCES: dict[str, Callable[[Array, Array], float]] = {
    "frechet": frechet,
    "sliced_wasserstein": sliced_wasserstein,
    "energy": energy,
}
