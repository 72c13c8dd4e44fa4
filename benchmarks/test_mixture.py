"""The isotropic mixture score against its two matrix products alone, in the same run."""

import tracemalloc

import numpy as np
import pytest
from timing import in_turn, ratio

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, GaussianMixture

K, D, B = 2000, 784, 256
FLOW = schedules.flow()


def score(kind):
    rng = np.random.default_rng(0)
    z, means = rng.normal(size=(B, D)), rng.normal(size=(K, D))
    variances = rng.uniform(0.5, 1.5, K)
    model = (Empirical(means) if kind == "atoms" else GaussianMixture(np.full(K, 1 / K), means, variances)).model(FLOW)
    model(z, 0.5)
    tracemalloc.start()
    model(z, 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 6 * (K * B + K * D + B * D)  # a few arrays of O(K B + K D), against 3.2 GB of (B, K, D)
    times = in_turn({"products": lambda: (z @ means.T) @ means, "score": lambda: model(z, 0.5)}, 9)
    return {f"score: {kind}": ratio(times, "score", "products")}


@pytest.mark.parametrize("kind", ["atoms", "variances"])
def test_score(figures, kind):
    figures(lambda: score(kind))
