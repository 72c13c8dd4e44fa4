"""The exact flow on the line against scipy's DOP853 at equal accuracy, in the same run."""

import numpy as np
from timing import processor

from bdia_numerics import schedules
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.problems.reference import dop853

STATES, MANY = 100_000, 1_000_000
FLOW = schedules.flow()
LAW = GaussianMixture([0.25, 0.5, 0.25], [[-2.0], [0.5], [1.5]], [0.0625, 0.25, 0.015625])
T_FROM, T_TO, RTOL = 0.9375, 0.0625, 1e-13


def exact(states):
    return LAW.flow(states, T_FROM, T_TO, FLOW)


def speed():
    """Return how many times as fast the exact flow is as one integration at a tolerance that reaches its accuracy."""
    states = np.random.default_rng(0).standard_normal((STATES, 1))
    solved = []
    ode = processor(lambda: solved.append(dop853(LAW.model(FLOW), FLOW, states, T_FROM, T_TO, RTOL)[0]))
    assert abs(solved[0] - exact(states)).max() < 1e-10
    return {"exact flow": ode / min(processor(lambda: exact(states)) for _ in range(5))}


def a_million():
    z = np.random.default_rng(1).standard_normal((MANY, 1))
    return {"exact flow: a million states": processor(lambda: exact(z))}


def test_exact_flow(figures):
    figures(speed)


def test_a_million_states(figures):
    figures(a_million)
