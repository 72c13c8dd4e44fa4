"""Both reference integrators on 1,000 states of a mixture in the plane: processor time and accuracy."""

import numpy as np
import pytest
from timing import processor

from bdia_numerics import schedules
from bdia_numerics.problems import GaussianMixture, reference_flow

EDM = schedules.edm()
# Means on a line: the reference does not use that, and so has an exact flow to be measured against.
LAW = GaussianMixture([0.25, 0.5, 0.25], [[-0.6, -0.8], [0.3, 0.4], [0.6, 0.8]], [0.0625, 0.0625, 0.0625])
T_FROM, T_TO = 10.0, 0.0625
RUNS = {"Taylor": {}, "DOP853": {}, "DOP853 at 1e-13": {"rtol": 1e-13}}


def seconds(name):
    """Return the seconds of the second run (the first compiles), after a look at its accuracy."""
    method = name.split()[0]
    z = np.random.default_rng(0).standard_normal((1000, 2)) * T_FROM

    def integrate():
        return reference_flow(
            LAW.model(EDM), EDM, z, T_FROM, T_TO, method=method.replace("Taylor", "taylor"), **RUNS[name]
        )

    run = integrate()
    miss = float(abs(run.z - LAW.flow(z, T_FROM, T_TO, EDM)).max())
    assert miss <= run.error
    if method == "Taylor":
        assert miss < 1e-13
    return {f"reference in the plane: {name}": processor(integrate)}


@pytest.mark.parametrize("name", RUNS)
def test_reference(figures, name):
    if name == "Taylor":
        pytest.importorskip("heyoka", reason="needs the extra reference")
    figures(lambda: seconds(name))
