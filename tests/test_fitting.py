"""Coefficients fitted slot by slot: what is minimised, what it is good for, and what is refused."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from bdia_numerics import (
    DDIM,
    IIADDIM,
    IIAEDM,
    Heun,
    encode,
    fit,
    grids,
    invertibility,
    models,
    problems,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.claims.formal import Formal, equal, vectors
from bdia_numerics.models import as_prediction
from bdia_numerics.program import identity
from bdia_numerics.runs.fitting import PerSlot, fit_slots

VP = schedules.vp_linear()
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.3, 0.4])
TEN = grids.uniform(VP, 10, t_max=1.0, t_min=0.01)
BATCH = np.random.default_rng(0).standard_normal((400, 1))
HELD_BACK = np.random.default_rng(1).standard_normal((200, 1))
EPS = np.finfo(np.float64).eps
each = pytest.mark.parametrize(("solver", "base"), [(IIADDIM(), DDIM()), (IIAEDM(), Heun())], ids=["IIADDIM", "IIAEDM"])


@each
def test_without_a_fit_it_is_its_base(solver, base):
    p, (z,) = Formal(3), vectors("z")
    for left, right in zip(p.run(solver, z), p.run(base, z), strict=True):
        equal(left, right, "without a fit")
    ours, theirs = (solve(s, LAW.model(VP), TEN, BATCH) for s in (solver, base))
    assert np.array_equal(ours.z, theirs.z) and ours.nfe == theirs.nfe
    assert solver.base == base


@each
@pytest.mark.parametrize("prediction", models.PREDICTIONS)
def test_every_prediction_and_a_step_to_sigma_0(solver, base, prediction):
    flow = schedules.flow()
    model = as_prediction(LAW.model(flow), flow, prediction)
    grid = grids.uniform(flow, 6, t_max=0.9, t_min=0 if prediction == "x0" else 0.1)
    if prediction == "x0":  # at sigma = 0, where the base takes one step of Euler's method
        assert solve(solver, model, grid, BATCH).nfe == solve(base, model, grid, BATCH).nfe
    found = fit_slots(solver, model, grid, BATCH)
    assert np.all(found.mse <= found.base_mse * (1 + 1e-9))
    assert np.mean(found.mse) < np.mean(found.base_mse) / 2


@each
def test_every_slot_is_nearer_to_the_fine_steps_and_the_run_to_the_exact_flow(solver, base):
    model, counted = LAW.model(VP), models.counted(LAW.model(VP))
    found = fit_slots(solver, counted, TEN, BATCH)
    assert found.mse.shape == found.base_mse.shape == (10,)
    assert np.all(found.mse <= found.base_mse * (1 + 1e-9))
    assert found.nfe == counted.nfe
    # One evaluation is shared by the first fine step and the coarse one.
    assert found.nfe == (100 if base == DDIM() else 210)
    truth = LAW.flow(HELD_BACK, 1.0, 0.01, VP)
    before, after = (np.sqrt(np.mean((solve(s, model, TEN, HELD_BACK).z - truth) ** 2)) for s in (base, found.solver))
    # Measured on states that were not fitted: DDIM 0.15 and 0.03, EDM 0.046 and 0.002.
    assert after < before / (3 if base == DDIM() else 10)
    assert found.solver != solver and type(found.solver) is type(solver)
    assert solve(found.solver, model, TEN, HELD_BACK).nfe == solve(base, model, TEN, HELD_BACK).nfe


@each
def test_on_a_centred_gaussian_fitted_steps_are_the_fine_steps(solver, base):
    """eps is then a multiple of z, so one coefficient can meet any target: any state goes where the fine steps go."""
    law = problems.Gaussian([0.0], 0.3)
    grid, fine = (grids.uniform(VP, n, t_max=1, t_min=Fraction(1, 5)) for n in (4, 32))
    found = fit(solver, law.model(VP), grid, BATCH, fine=8)
    target = solve(base, law.model(VP), fine, HELD_BACK).z
    if base == DDIM():  # whose first slot has no earlier predictions to be corrected by
        first = solve(DDIM(), law.model(VP), grid[3:4], HELD_BACK).z
        target = solve(DDIM(), law.model(VP), fine[0:24], first).z
    # Directions are differences of states that agree in two digits or so.
    assert np.max(np.abs(solve(found, law.model(VP), grid, HELD_BACK).z - target)) < 5000 * EPS
    assert np.max(np.abs(solve(base, law.model(VP), grid, HELD_BACK).z - target)) > 1e-3


def test_the_coefficients_are_those_of_the_normal_equations():
    """The third slot of IIA-DDIM by hand: the update written out, and its two normal equations solved in 30 digits."""
    model, grid = LAW.model(VP), grids.uniform(VP, 3, t_max=0.9, t_min=0.3)
    found = fit(IIADDIM(), model, grid, BATCH, fine=2)
    level = {k: (float(grid.t[k]), grid.alpha[k], grid.sigma[k]) for k in range(4)}
    half = (level[1][0] + level[0][0]) / 2
    level["half"] = (half, VP.alpha(half), VP.sigma(half))

    def predictions(z, k):
        t, alpha, sigma = level[k]
        e = model(z, t)
        return (z - sigma * e) / alpha, e

    def ddim(z, k, j):
        x, e = predictions(z, k)
        return level[j][1] * x + level[j][2] * e

    assert found.phi0.values[2] == found.phi1.values[2] == 0
    z2 = ddim(BATCH, 3, 2)
    (x3, e3), (x2, e2) = predictions(BATCH, 3), predictions(z2, 2)
    z1 = ddim(z2, 2, 1) + float(found.phi0.values[1]) * (x2 - x3) + float(found.phi1.values[1]) * (e2 - e3)
    x1, e1 = predictions(z1, 1)
    residual = ddim(ddim(z1, 1, "half"), "half", 0) - ddim(z1, 1, 0)
    q = [np.ravel(x1 - x2).tolist(), np.ravel(e1 - e2).tolist()]
    with mpmath.workdps(30):
        a = mpmath.matrix([[mpmath.fdot(u, v) for v in q] for u in q])
        b = mpmath.matrix([mpmath.fdot(u, np.ravel(residual).tolist()) for u in q])
        expected = [float(c) for c in mpmath.lu_solve(a, b)]
    # Directions are differences of states; the two are nearly parallel.
    assert [float(found.phi0.values[0]), float(found.phi1.values[0])] == pytest.approx(expected, rel=1e-8)


def test_after_a_step_of_ddim_both_corrections_are_one():
    """alpha (x_i - x_{i+1}) + sigma (e_i - e_{i+1}) is what the last step was corrected by: two coefficients, one direction."""
    p, (z,) = Formal(2), vectors("z")
    one = p.run(IIADDIM(p.alpha(1), p.sigma(1)), z)
    equal(one[0], p.run(DDIM(), z)[0], "phi0 : phi1 = alpha : sigma")
    # It is not so two steps on, where the fit finds two coefficients; where it is, it takes the smaller pair.
    found = fit(IIADDIM(), LAW.model(VP), TEN, BATCH)
    assert abs(found.phi0.values[8]) + abs(found.phi1.values[8]) < 1
    with_fine_1 = fit(IIADDIM(), LAW.model(VP), TEN, BATCH, fine=1)  # one fine step is DDIM's own: nothing to correct
    assert max(abs(float(v)) for v in (*with_fine_1.phi0.values, *with_fine_1.phi1.values)) < 1e-6


def test_a_part_of_the_coefficients_and_other_fine_times():
    model = LAW.model(VP)
    found = fit(IIADDIM(phi0=Fraction(1, 100)), model, TEN, BATCH, names=("beta",), variable="log_snr")
    assert isinstance(found.beta, PerSlot) and found.phi0 == Fraction(1, 100) and found.phi1 == 0
    both = fit_slots(found, model, TEN, BATCH, names=("beta", "phi0"))  # goes on from what was fitted
    alone = fit_slots(found, model, TEN, BATCH, names=("beta",))
    assert np.mean(both.mse) < np.mean(alone.mse)


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_other_floats(dtype):
    seen, grid = [], grids.uniform(VP, 4, t_max=0.9, t_min=0.2)
    found = fit_slots(IIADDIM(), LAW.model(VP), grid, BATCH.astype(dtype), callback=seen.append)
    double = fit_slots(IIADDIM(), LAW.model(VP), grid, BATCH)
    assert seen == [4, 3, 2, 1]
    assert found.mse == pytest.approx(double.mse, rel=1e-2)
    assert solve(found.solver, LAW.model(VP), grid, BATCH.astype(dtype)).z.dtype == dtype


def test_a_fitted_solver_is_frozen_known_by_its_values_and_runs_in_every_system():
    model = LAW.model(VP)
    one, other = (fit(IIADDIM(), model, TEN, z) for z in (BATCH, HELD_BACK))
    assert hash(one) != hash(other)
    assert len(str(one)) < 150 and "PerSlot(10 values, " in str(one)
    assert identity(one, TEN) != identity(other, TEN)
    assert one == fit(IIADDIM(), model, TEN, BATCH)
    assert "own coefficient 0" in invertibility(one).reason
    z = np.array([mpmath.mpf(1) / 3], dtype=object)
    exact = solve(one, lambda z, t: z * t / 3, TEN.to(spaces.MPMath(30)), z).z
    assert float(exact[0]) == pytest.approx(
        solve(one, lambda z, t: z * t / 3, TEN, np.array([1 / 3])).z[0], rel=1e-13, abs=0
    )
    part = solve(one, model, TEN[4:10], BATCH)
    assert np.array_equal(solve(one, model, TEN[0:4], part.state).z, solve(one, model, TEN, BATCH).z)
    with pytest.raises(ValueError, match="of 10 slots, and this grid has 5: fit again"):
        solve(one, model, grids.uniform(VP, 5), BATCH)
    for run, grid in ((solve, grids.quadratic(VP, 10)), (encode, TEN)):  # it encodes on the reversed grid
        with pytest.raises(ValueError, match=r"are those of a grid from t=.* of other times: fit again, or encode by"):
            run(one, model, grid, BATCH)
    assert encode(one, model, TEN, BATCH, "ddim").status.ok


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"solver": DDIM()}, TypeError, "no coefficients to fit"),
        ({"fine": 0}, ValueError, "fine=0"),
        ({"fine": 1.5}, TypeError, "fine=1.5 is not a whole number"),
        ({"names": ("gamma",)}, ValueError, "names='gamma' is not a coefficient of IIADDIM: use phi0, phi1, beta"),
        ({"variable": "s"}, ValueError, "variable='s'"),
        ({"z": BATCH * np.nan}, ValueError, "z holds NaN"),
        ({"z": np.array([Fraction(1, 2)], dtype=object), "grid": TEN.to(spaces.MPMath(20))}, TypeError, "z is in"),
        ({"z": np.array([mpmath.mpf(1)]), "grid": TEN.to(spaces.MPMath(20))}, TypeError, "fitted on NumPy floats"),
        ({"grid": grids.from_values([0.1, 0.5], [0.9, 0.6], [0.1, 0.5])}, ValueError, "schedule"),
        ({"model": lambda z, t: z * 1e300}, ValueError, "not finite: take a finer grid"),
        ({"solver": IIADDIM(beta=lambda slot: slot.i / 0)}, ZeroDivisionError, "division"),
    ],
)
def test_refusals(arguments, error, message):
    given = {
        "solver": IIADDIM(),
        "model": LAW.model(VP),
        "grid": TEN,
        "z": BATCH,
        "names": ("phi0", "beta"),
        **arguments,
    }
    options = {k: given.pop(k) for k in ("fine", "names", "variable") if k in given}
    with np.errstate(all="ignore"), pytest.raises(error, match=message):
        fit(*given.values(), **options)
