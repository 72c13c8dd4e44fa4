"""Both reference integrators on 1,000 states of a mixture in the plane: processor time and accuracy."""

from functools import partial

import numpy as np
import pytest
from timing import timed

from bdia_numerics import schedules
from bdia_numerics.problems import GaussianMixture, reference_flow

EDM = schedules.edm()
# Means on a line: the reference does not use that, and so has an exact flow to be measured against.
LAW = GaussianMixture([0.25, 0.5, 0.25], [[-0.6, -0.8], [0.3, 0.4], [0.6, 0.8]], [0.0625, 0.0625, 0.0625])
T_FROM, T_TO = 10.0, 0.0625
RUNS = {"taylor": {}, "DOP853": {}, "DOP853 at 1e-13": {"rtol": 1e-13}}


@pytest.mark.benchmark(group="reference flow of 1e3 states in the plane")
@pytest.mark.parametrize("name", RUNS)
def test_reference(benchmark, name):
    method = name.split()[0]
    if method == "taylor":
        pytest.importorskip("heyoka", reason="needs the extra reference")
    z = np.random.default_rng(0).standard_normal((1000, 2)) * T_FROM
    arguments = (LAW.model(EDM), EDM, z, T_FROM, T_TO)
    flow = partial(reference_flow, *arguments, method=method, **RUNS[name])
    (_, first), (run, seconds) = timed(flow), timed(flow)  # the first compiles
    benchmark.pedantic(flow, rounds=1, iterations=1)
    miss = float(abs(run.z - LAW.flow(z, T_FROM, T_TO, EDM)).max())
    benchmark.extra_info.update(first_cpu=first, cpu=seconds, miss=miss, estimate=run.error)
    assert miss <= run.error
    if method == "taylor":
        assert miss < 1e-13
