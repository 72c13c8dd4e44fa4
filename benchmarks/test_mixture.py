"""The isotropic mixture score against its two matrix products alone, in the same run."""

import time
import tracemalloc

import numpy as np
import pytest
from timing import in_turn, least

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, GaussianMixture

K, D, B = 2000, 784, 256
AT_MOST, AIM = 3.0, 2.0
FLOW = schedules.flow()


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, D)), rng.normal(size=(K, D))


def two_products(z, means):
    return (z @ means.T) @ means


@pytest.mark.benchmark(group="mixture score, K = 2000, D = 784, 256 states")
def test_two_products(benchmark, arrays):
    benchmark(two_products, *arrays)


@pytest.mark.benchmark(group="mixture score, K = 2000, D = 784, 256 states")
@pytest.mark.parametrize("kind", ["atoms", "variances"])
def test_score(benchmark, arrays, kind):
    z, means = arrays
    variances = np.random.default_rng(1).uniform(0.5, 1.5, K)
    law = Empirical(means) if kind == "atoms" else GaussianMixture(np.full(K, 1 / K), means, variances)
    model = law.model(FLOW)
    runs = {"score": lambda: model(z, 0.5), "products": lambda: two_products(z, means)}
    ratio = least(in_turn(runs, 7, time.perf_counter), "score", "products")
    tracemalloc.start()
    model(z, 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    benchmark.extra_info.update(ratio=ratio, at_most=AT_MOST, aim=AIM, peak_bytes=peak)
    benchmark(model, z, 0.5)
    assert ratio < AT_MOST
    assert peak < 8 * 6 * (K * B + K * D + B * D)  # a few arrays of O(K B + K D), against 3.2 GB of (B, K, D)
