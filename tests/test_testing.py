"""Each assertion passes on a right method and fails on a planted wrong one."""

import re

import numpy as np
import pytest

from bdia_numerics import BDIA, BDIA2, DDIM, EDICT, OBELM, RK4, grids, problems, schedules
from bdia_numerics.analysis import GridFamily
from bdia_numerics.claims.mutants import mutate
from bdia_numerics.testing import (
    assert_exactly_invertible,
    assert_latent_valid,
    assert_nfe,
    assert_order,
    assert_round_trip,
    returned,
)

ALTERNATING = GridFamily("alternating")


def leap(eps, grid, pair, i, j, back):
    """One slot of BDIA with gamma = 1 from t_i to t_j, where the state before stands at t_back."""
    before, z = pair
    e = eps(z, grid.t[i])
    x0 = (z - grid.sigma[i] * e) / grid.alpha[i]
    return z, before + grid.alpha[j] * x0 + grid.sigma[j] * e - grid.alpha[back] * x0 - grid.sigma[back] * e


def step(eps, grid, z, i, j, told=None):
    e = eps(z, grid.t[i if told is None else told])
    return grid.alpha[j] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[j] * e


def sample(eps, grid, z):
    n = grid.n
    pair = z if isinstance(z, tuple) else (z, step(eps, grid, z, n, n - 1))
    for i in range(n - 1, 0, -1):
        pair = leap(eps, grid, pair, i, i - 1, i + 1)
    return pair[::-1]


def inverse(first):
    def invert(eps, grid, x):
        pair = x if isinstance(x, tuple) else (x, first(eps, grid, x))
        for i in range(1, grid.n):
            pair = leap(eps, grid, pair, i, i + 1, i - 1)
        return pair[::-1]

    return invert


invert = inverse(lambda eps, grid, x: step(eps, grid, x, 0, 1))
without_eps = inverse(lambda eps, grid, x: grid.alpha[1] / grid.alpha[0] * x)


def ddim(eps, grid, z):
    for i in range(grid.n, 0, -1):
        z = step(eps, grid, z, i, i - 1)
    return z


def ddim_inversion(eps, grid, z):
    for i in range(grid.n):
        z = step(eps, grid, z, i, i + 1)
    return z


def told_the_index(eps, grid, z):
    for i in range(grid.n, 0, -1):
        z = step(eps, grid, z, i, i - 1, told=i - 1)
    return z


def test_a_right_function_passes_all():
    assert_order(sample, 2)
    assert_order(sample, 2, invert=invert, direction="invert")
    data, noise = assert_exactly_invertible(sample, invert=invert)
    assert data.start == "data"
    assert noise.error <= noise.rounding < 1e-11
    assert assert_round_trip(sample, invert=invert, start="noise").latent > 1e-6
    assert 0 < assert_latent_valid(sample, invert=invert) < 0.05
    assert assert_nfe(sample, 1) == (12, 24)


def test_an_order_is_held_from_both_sides():
    assert_order(ddim, 1)
    for claimed in (0, 2):
        with pytest.raises(AssertionError, match=f"claimed {claimed}, observed 1.0"):
            assert_order(ddim, claimed, steps=(16, 24, 32, 48, 64))
    assert_order(BDIA(1), 1, family=ALTERNATING)
    with pytest.raises(AssertionError, match="steps that are taken as equal"):
        assert_order(BDIA(1), 2, family=ALTERNATING)
    assert_order(OBELM(), 2, family=ALTERNATING)


def test_starts_and_directions_are_told_apart():
    assert_order(BDIA2(), 2, start="own")
    with pytest.raises(ValueError, match="use 'own'"):
        assert_order(sample, 2, start="exact")
    with pytest.raises(ValueError, match="use 'sample' or 'invert'"):
        assert_order(sample, 2, direction="back")
    with pytest.raises(TypeError, match="pass invert="):
        assert_order(sample, 2, direction="invert")


def test_a_start_without_eps_passes_the_round_trip_alone():
    wrong = {"invert": without_eps}
    assert assert_round_trip(sample, **wrong).error < 1e-12
    assert_exactly_invertible(sample, **wrong)
    with pytest.raises(AssertionError, match="a start of lower order"):
        assert_order(sample, 2, direction="invert", **wrong)
    with pytest.raises(AssertionError, match="a round trip does not see it"):
        assert_latent_valid(sample, **wrong)


def test_a_wrong_time_does_not_converge():
    # One index beside is one order less; for DDIM that would hide in order 1, but not in the error.
    def table_entry(eps, grid, z):
        for i in range(grid.n, 0, -1):
            e = eps(z, grid.t[0])
            z = grid.alpha[i - 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i - 1] * e
        return z

    with pytest.raises(AssertionError, match="does not converge to the ODE"):
        assert_order(table_entry, 1)


def test_a_stage_that_reads_the_wrong_predecessor():
    wrong = mutate(RK4, ("x + s.delta(i, j, x, e3)", "x + s.delta(i, j, x, e1)"))()
    assert_order(RK4(), 4)
    with pytest.raises(AssertionError, match=r"claimed 4, observed [12]\.\d"):
        assert_order(wrong, 4)


def test_evaluations_are_counted():
    assert_nfe(EDICT(), 2)
    assert_nfe(RK4(), 4)

    def twice(eps, grid, z):
        eps(z, grid.t[grid.n])
        return sample(eps, grid, z)

    with pytest.raises(AssertionError, match="1 a step and 1 beside"):
        assert_nfe(twice, 1)
    with pytest.raises(AssertionError, match=r"2 a step and 0 beside.*has not changed"):
        assert_nfe(EDICT(), 1)
    with pytest.raises(AssertionError, match="Correct the claim"):
        assert_nfe(sample, 2)
    assert assert_nfe(twice, 1, extra=1) == (13, 25)


def test_an_approximate_inverse_is_told_from_an_exact_one():
    with pytest.raises(AssertionError, match="The inverse is an approximation"):
        assert_exactly_invertible(ddim, invert=ddim_inversion)
    with pytest.raises(AssertionError, match="no longer stands"):
        assert_exactly_invertible(DDIM())
    with pytest.raises(AssertionError, match=r"claimed within 1e-06.*same steps"):
        assert_round_trip(ddim, invert=ddim_inversion)
    assert_round_trip(ddim, invert=ddim_inversion, within=0.1)
    # What is exact but amplifies rounding beyond reading is neither passed nor called an approximation.
    with pytest.raises(AssertionError, match="too much to tell"):
        assert_exactly_invertible(BDIA(0.5), grid=40)
    assert_exactly_invertible(BDIA(0.5), grid=8)


def test_a_latent_is_held_to_ddim_inversion_or_to_a_number():
    assert_latent_valid(DDIM())
    assert_latent_valid(BDIA(1), within=0.01)
    with pytest.raises(AssertionError, match=r"claimed within 0\.001"):
        assert_latent_valid(BDIA(1), within=0.001)
    with pytest.raises(AssertionError, match="an unstable inverse"):
        assert_latent_valid(BDIA(0.5))


def test_rounding_is_measured_by_what_the_way_back_amplifies():
    assert returned(BDIA(1)).growth < 10
    assert returned(BDIA(0.5), start="noise").growth > 1e4


def test_other_laws_and_grids():
    law = problems.Gaussian([0.3, -0.2], [0.5, 0.1])
    grid = grids.quadratic(schedules.vp_linear(), 20, t_max=1.0, t_min=0.01)
    states = np.random.default_rng(3).standard_normal((5, 2))
    assert_exactly_invertible(sample, invert=invert, problem=law, grid=grid)
    trip = assert_round_trip(sample, invert=invert, problem=law, grid=grid, states=states)
    assert re.search(r"from the data it comes back \S+ off", str(trip))


@pytest.mark.parametrize("subject", [3, "DDIM", DDIM, object()])
def test_what_is_no_sampler_is_refused(subject):
    with pytest.raises(TypeError, match="is no sampler"):
        assert_nfe(subject, 1)


def test_arguments_that_fit_nothing():
    with pytest.raises(TypeError, match="derived from its step"):
        assert_nfe(DDIM(), 1, invert=ddim)
    with pytest.raises(TypeError, match="pass a grid with a schedule"):
        assert_round_trip(DDIM(), grid="leading")
    with pytest.raises(ValueError, match="neither 'data' nor 'noise'"):
        assert_round_trip(BDIA(1), start="middle")
    with pytest.raises(TypeError, match="return the state at the other end"):
        assert_nfe(lambda eps, grid, z: z[:1], 1)
