"""Local and global errors against exact flows, and the budget that joins them."""

from fractions import Fraction

import numpy as np
import pytest
from small_solvers import INVERTIBLE

from bdia_numerics import BDIA, DDIM, EDICT, PLMS, SOLVERS, Heun, grids, problems, round_trip, schedules, solve, spaces
from bdia_numerics.analysis import GridFamily, error_budget, global_error, local_truncation_error
from bdia_numerics.program import structure
from bdia_numerics.testing.samplers import as_sampler

LINE = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
PLANE = problems.Gaussian([1.0, 0.0], [[1.0, 0.5], [0.5, 2.0]])
SCHEDULE = schedules.vp_linear()


def at_levels(s):
    t = [SCHEDULE.time("sigma_bar", x) for x in s]
    return grids.from_timesteps(SCHEDULE, t[::-1])


def second_derivative(z, i, grid, law=LINE):
    """y'' = d eps/ds along the exact solution, by a central difference of the exact flow's own eps: no solver in it."""
    t, s = float(grid.t[i]), float(grid.sigma[i] / grid.alpha[i])
    eps, d = law.model(SCHEDULE), 1e-4 * s
    ahead, behind = (SCHEDULE.time("sigma_bar", s + x) for x in (d, -d))
    return (eps(law.flow(z, t, ahead, SCHEDULE), ahead) - eps(law.flow(z, t, behind, SCHEDULE), behind)) / (2 * d)


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 2), Fraction(1)])
def test_local_error_of_bdia_is_that_of_the_expansion(gamma):
    """-1/2 (alpha_{i-1} h_i^2 - gamma alpha_{i+1} h_{i+1}^2) y'' + O(h^3), numerical less exact."""
    gaps = []
    for n in (40, 80):
        grid = GridFamily("alternating")(n)
        found = local_truncation_error(BDIA(gamma), LINE, grid, states=5)
        s, i = grid.sigma / grid.alpha, n // 2
        place = int(np.flatnonzero(found.slots == i)[0])
        assert found.h[place] == s[i - 1] - s[i]
        z = LINE.flow(np.array(start_states(grid)), grid.t[n], grid.t[i], SCHEDULE)
        factor = (
            grid.alpha[i - 1] * (s[i - 1] - s[i]) ** 2 - float(gamma) * grid.alpha[i + 1] * (s[i] - s[i + 1]) ** 2
        ) / 2
        expected = -factor * second_derivative(z, i, grid)
        gaps.append(np.abs(found.of_output[place] - expected).max() / np.abs(expected).max())
    # The relative gap is of order h: it halves, two-sidedly.
    assert gaps[1] < 0.06
    assert 1.6 < gaps[0] / gaps[1] < 2.5


def start_states(grid, count=5):
    x = LINE.sample(count, rng := np.random.default_rng(0))
    return grid.alpha[grid.n] * x + grid.sigma[grid.n] * rng.standard_normal(x.shape)


@pytest.mark.parametrize("law", [LINE, PLANE], ids=["line", "plane"])
def test_global_error_is_that_of_a_plain_run(law):
    grid = GridFamily()(12)
    z = law.sample(6, np.random.default_rng(1))
    found = global_error(DDIM(), law, grid, states=z)
    run = solve(DDIM(), law.model(SCHEDULE), grid, z, return_trajectory=True)
    for i in (0, 5, 12):
        gap = run.trajectory[i] - law.flow(z, grid.t[12], grid.t[i], SCHEDULE)
        assert found.rms[i] == pytest.approx(np.sqrt(np.mean(gap**2)), rel=1e-12, abs=1e-15)
        assert found.largest[i] == pytest.approx(np.abs(gap).max(), rel=1e-12, abs=1e-15)
    assert found.error == found.rms[0] > 0 == found.rms[12]
    assert found.nfe == 12


def test_starts():
    grid = GridFamily("alternating")(40)
    exact, own, heun = (global_error(SOLVERS["OBELM"](), LINE, grid, start=s).error for s in ("exact", "own", Heun()))
    assert own > 1.5 * exact  # a DDIM start spoils O-BELM here
    assert heun < 1.2 * exact


def test_errors_in_mpmath_agree_with_floats():
    family = GridFamily()
    z = np.linspace(-1, 1, 3)[:, None]
    floats = global_error(PLMS(2), LINE, family(10), states=z)
    precise = global_error(PLMS(2), LINE, family(10, space=spaces.MPMath(40)), states=z)
    assert precise.rms == pytest.approx(floats.rms, rel=1e-9)
    ours, theirs = (
        local_truncation_error(EDICT(), LINE, family(10, space=s), states=z).errors
        for s in (spaces.FLOAT64, spaces.MPMath(40))
    )
    assert np.abs(ours - theirs).max() < 1e-13


BUDGETED = ["DDIM", "BDIA", "EDICT", "CBDIA", "Heun", "ALF", "PLMS", "DEIS", "OBELM"]


@pytest.mark.parametrize(
    ("name", "start"),
    [(name, "exact") for name in BUDGETED]
    + [(n, "own") for n in BUDGETED if n in ("BDIA", "ALF", "PLMS", "DEIS", "OBELM")]
    + [("OBELM", Heun()), ("EDICT", Heun())],  # which the second has no use for
)
def test_budget_sums_to_the_global_error_to_first_order(name, start):
    """What is left over is of second order: its part of the error halves, at least, when the steps do."""
    solver, coarse, fine = (
        SOLVERS[name](),
        *(error_budget(SOLVERS[name](), LINE, GridFamily()(n), start=start, states=6) for n in (20, 40)),
    )
    assert coarse.defect < 0.05
    left, whole = np.linalg.norm(coarse.predicted - coarse.actual), np.linalg.norm(coarse.actual)
    assert coarse.defect == pytest.approx(left / whole, rel=1e-12, abs=0)
    # Central differences leave 1e-8 or so of the error.
    assert fine.defect < 0.62 * coarse.defect + 1e-8
    assert fine.shares.sum() + fine.start_share == pytest.approx(1, abs=1e-12)
    assert len(fine.slots) == 40 - structure(solver).depth == len(set(fine.costliest))
    assert fine.actual == pytest.approx(global_error(solver, LINE, GridFamily()(40), start=start, states=6).end, abs=0)
    assert (start == "exact" or structure(solver).depth == 0) == (fine.start_share == 0)


class InPlace:
    """A distribution of one's own whose flow writes into the states that it is given."""

    dimension, model, sample = 1, LINE.model, LINE.sample

    def flow(self, z, t_from, t_to, schedule):
        z[...] = LINE.flow(z, t_from, t_to, schedule)
        return z


def test_a_flow_may_write_into_what_it_gets():
    grid, z = GridFamily()(12), np.ones((2, 1))
    for solver in (DDIM(), BDIA()):
        own, wanted = (global_error(solver, law, grid, states=4).rms for law in (InPlace(), LINE))
        assert own == pytest.approx(wanted, rel=1e-12, abs=0)
    assert round_trip(BDIA(), LINE.model(grid.schedule), grid, z, reference=InPlace()).error < 1e-14 and (z == 1).all()
    run = as_sampler(DDIM()).run(InPlace(), grid, "sample", z)
    assert run.truth == pytest.approx(LINE.flow(z, grid.t[12], grid.t[0], grid.schedule), rel=1e-12, abs=0)


def test_budget_couples_the_elements_of_a_state():
    found = error_budget(DDIM(), PLANE, GridFamily()(40), states=4)
    # eps of a Gaussian is linear: DDIM's error is propagated without remainder, but for the differences' rounding, a few units
    # of eps over their step, which is its third root.
    assert found.defect < 1e-9


def test_budget_finds_the_slot_that_was_spoilt():
    """One slot four times as long has sixteen times the local error of first order."""
    s = np.sinh(np.cumsum([0.0, *np.where(np.arange(20) == 12, 0.2, 0.05)]) + np.arcsinh(0.3))
    found = error_budget(DDIM(), LINE, at_levels(s))
    assert found.costliest[0] == 13
    assert found.shares[found.slots == 13] > 0.3


def test_a_strangers_solver_has_a_budget():
    assert error_budget(INVERTIBLE["EDICT"], LINE, GridFamily()(20), states=4).defect < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: global_error(BDIA(), LINE, GridFamily()(8), start="fine"), "start='fine' is unknown"),
        (lambda: global_error(BDIA(), LINE, GridFamily()(8), states=0), "states=0"),
        (lambda: global_error(BDIA(), LINE, grids.from_values([0, 1], [1, 1], [0, 1])), "no schedule"),
        (lambda: local_truncation_error(BDIA(), LINE, GridFamily()(1)), "leaves no step"),
        (lambda: error_budget(BDIA(), LINE, GridFamily()(8), states=np.zeros(3)), "shape"),
        (lambda: GridFamily("rough"), "kind='rough'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_budget_needs_floats():
    with pytest.raises(TypeError, match="needs floats"):
        error_budget(DDIM(), LINE, GridFamily()(4, space=spaces.MPMath(30)))
