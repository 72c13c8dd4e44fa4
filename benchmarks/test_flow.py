"""The exact 1-D flow of 1e5 states against scipy's DOP853 at equal accuracy, in the same run."""

import time

import numpy as np
import pytest
from timing import in_turn, timed

from bdia_numerics import schedules
from bdia_numerics.problems import GaussianMixture, reference_flow

STATES, AT_LEAST = 100_000, 50.0
MANY, AT_MOST = 1_000_000, 5.0
FLOW = schedules.flow()
LAW = GaussianMixture([0.25, 0.5, 0.25], [[-2.0], [0.5], [1.5]], [0.0625, 0.25, 0.015625])
T_FROM, T_TO, RTOL = 0.9375, 0.0625, 1e-13


@pytest.fixture(scope="module")
def states():
    return np.random.default_rng(0).standard_normal((STATES, 1))


@pytest.mark.benchmark(group="1-D flow of 1e5 states")
def test_cdf_flow(benchmark, states):
    # One integration alone, at the tolerance of the finer run, so that the comparison is not doubled.
    from bdia_numerics.problems.reference import _dop853

    benchmark(LAW.flow, states, T_FROM, T_TO, FLOW)
    clock = time.perf_counter
    seconds = min(in_turn({"flow": lambda: LAW.flow(states, T_FROM, T_TO, FLOW)}, 5, clock)["flow"])
    (solved, nfe), ode = timed(lambda: _dop853(LAW.model(FLOW), FLOW, states, T_FROM, T_TO, RTOL), clock)
    difference = float(abs(solved - LAW.flow(states, T_FROM, T_TO, FLOW)).max())
    benchmark.extra_info.update(ratio=ode / seconds, at_least=AT_LEAST, nfe=nfe, difference=difference)
    assert difference < 1e-10
    assert ode / seconds > AT_LEAST


@pytest.mark.benchmark(group="1-D flow of 1e6 states")
def test_a_million_states(benchmark):
    """Processor time, all threads together: an upper bound for the clock on a quiet machine."""
    z = np.random.default_rng(1).standard_normal((MANY, 1))
    _, seconds = timed(lambda: benchmark.pedantic(LAW.flow, (z, T_FROM, T_TO, FLOW), rounds=1, iterations=1))
    benchmark.extra_info.update(cpu_seconds=seconds, at_most=AT_MOST)
    assert seconds < AT_MOST


@pytest.mark.benchmark(group="1-D flow of 1e5 states")
def test_dop853_on_a_hundredth(benchmark, states):
    benchmark.pedantic(
        reference_flow, (LAW.model(FLOW), FLOW, states[::100], T_FROM, T_TO), {"rtol": RTOL}, rounds=1, iterations=1
    )
