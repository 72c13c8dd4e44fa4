"""Each assertion passes on a right method and fails on a planted wrong one."""

import re
from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics import BDIA, BDIA2, DDIM, EDICT, OBELM, RK4, McCallumFoster, grids, problems, schedules
from bdia_numerics.analysis import GridFamily
from bdia_numerics.claims.mutants import mutate
from bdia_numerics.testing import (
    Undecided,
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


def euler_started(eps, grid, z):
    """Three-step Adams-Bashforth on variable steps; its first two steps are Euler's, whose error, once, is O(h^2)."""
    s, y, slopes = grid.sigma / grid.alpha, z / grid.alpha[grid.n], []
    for i in range(grid.n, 0, -1):
        slopes.append(eps(grid.alpha[i] * y, grid.t[i]))
        h, known = s[i - 1] - s[i], s[i : i + 3] - s[i]
        weights = [h]
        if len(slopes) > 2:
            weights = np.linalg.solve(np.vander(known, increasing=True).T, [h, h**2 / 2, h**3 / 3])
        y = y + sum(w * e for w, e in zip(weights, reversed(slopes), strict=False))
    return grid.alpha[0] * y


def multistep(extrapolation=0.5, equal=False):
    """DPM-Solver++(2M) of data predictions, with its coefficient 1/2 and its ratio of steps to be spoiled."""

    def sample(eps, grid, z):
        lam, old = np.log(grid.alpha / grid.sigma), None
        for i in range(grid.n, 0, -1):
            h = lam[i - 1] - lam[i]
            x0 = (z - grid.sigma[i] * eps(z, grid.t[i])) / grid.alpha[i]
            ratio = 1 if equal or old is None else (lam[i] - lam[i + 1]) / h
            data = x0 if old is None else x0 + extrapolation / ratio * (x0 - old)
            z, old = grid.sigma[i - 1] / grid.sigma[i] * z - grid.alpha[i - 1] * np.expm1(-h) * data, x0
        return z

    return sample


def nearly(gamma):
    """BDIA with a gamma: of order 1 with (1-gamma)/(1+gamma) of DDIM's error, and up to there like 2."""

    def sample(eps, grid, z):
        before, z = z, step(eps, grid, z, grid.n, grid.n - 1)
        for i in range(grid.n - 1, 0, -1):
            e = eps(z, grid.t[i])
            ahead, back = (step(lambda *_, e=e: e, grid, z, i, j) - z for j in (i - 1, i + 1))
            before, z = z, before - (1 - gamma) * (before - z) - gamma * back + ahead
        return z

    return sample


@pytest.mark.parametrize(
    ("make", "claims"),
    [(lambda: multistep(0.501), (1, 2)), (lambda: nearly(0.999), (1, 2))],
    ids=["2M with .501", "BDIA .999"],
)
def test_an_order_that_a_lower_one_will_replace_is_undecided(make, claims):
    for claimed in claims:
        with pytest.raises(Undecided, match=r"undecided up to n = 1024 .*the slopes drift on"):
            assert_order(make(), claimed, max_steps=1024, states=8)


def test_a_start_of_lower_order_is_never_certified():
    """The slopes fall from 2.8 at 64 steps to 2.0 at 4096: undecided, and the finest levels decide for 2."""
    for claimed in (2, 3):
        with pytest.raises(Undecided, match="undecided up to n = 512"):
            assert_order(euler_started, claimed, max_steps=512, states=8)
    assert assert_order(euler_started, 2, states=4).up_to in (2048, 4096)


def test_of_a_solver_the_program_decides_what_its_runs_do_not():
    slow = McCallumFoster(Fraction(95, 100))
    found = assert_order(slow, 1, states=2, max_steps=128)
    assert found.proved == 1 and not found.decided
    for claimed in (1.5, 2):
        with pytest.raises(AssertionError, match=r"undecided up to n = 128.*Its program proves order 1") as raised:
            assert_order(slow, claimed, states=2, max_steps=128)
        assert "look for a stage" not in str(raised.value).lower()
    # What is measured as 2, and proved to be 1, holds for neither.
    with pytest.raises(AssertionError, match="Its program proves order 1"):
        assert_order(BDIA(0.9999), 2, states=2, max_steps=256)
    with pytest.raises(Undecided, match=r"observed 1\.\d\d .*Undecided up to n = 256: its program proves order 1"):
        assert_order(BDIA(0.9999), 1, states=2, max_steps=256)


def test_steps_taken_as_equal_show_on_alternating_grids():
    found = assert_order(multistep(equal=True), 2, states=8)
    assert found.alternating.agrees(1) and re.search(r"on alternating grids (0\.9|1\.0)", str(found))
    with pytest.raises(AssertionError, match=r"claimed 2, observed [01]\.\d\d .*steps that are taken as equal"):
        assert_order(multistep(equal=True), 2, family="any", states=8)
    both = assert_order(multistep(), 2, family="any", states=8)
    assert both.agrees(2) and both.alternating.agrees(2) and both.alternating.up_to == 512
    with pytest.raises(AssertionError, match=r"claimed 2, observed [01]"):
        assert_order(sample, 2, family="any", states=4, max_steps=256)


def test_errors_that_do_not_fall_are_refuted_however_irregular():
    def irregular(eps, grid, z):
        return ddim(eps, grid, z) + 0.5 + 0.02 * np.sin(grid.n)

    with pytest.raises(AssertionError, match="does not converge") as raised:
        assert_order(irregular, 2, states=4, max_steps=256)
    assert not isinstance(raised.value, Undecided)


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
