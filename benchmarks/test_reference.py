"""Both reference integrators on 1,000 states of a mixture in the plane: processor time and accuracy."""

import time

import numpy as np
import pytest

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
    seconds = []
    for _ in range(2):  # the first compiles
        start = time.process_time()
        run = reference_flow(*arguments, method=method, **RUNS[name])
        seconds.append(time.process_time() - start)
    benchmark.pedantic(reference_flow, arguments, {"method": method, **RUNS[name]}, rounds=1, iterations=1)
    miss = float(abs(run.z - LAW.flow(z, T_FROM, T_TO, EDM)).max())
    benchmark.extra_info.update(first_cpu=seconds[0], cpu=seconds[1], miss=miss, estimate=run.error)
    assert miss <= run.error
    if method == "taylor":
        assert miss < 1e-13
