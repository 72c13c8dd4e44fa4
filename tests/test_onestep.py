"""The one-step solvers: order, evaluations, last steps, and what is the same method under another name."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import sympy

from bdia_numerics import NotInvertibleError, grids, invert, invertibility, models, problems, schedules, solve
from bdia_numerics.claims.formal import Formal, equal, vectors
from bdia_numerics.models import as_prediction
from bdia_numerics.program import structure
from bdia_numerics.solvers import DDIM, RK4, BDIAHeun, DPMSolver, Euler, FireFlow, Heun, Midpoint, RFSolver

LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.3, 0.4])
Z = np.linspace(-2.0, 2.0, 20)[:, None]
FAR, NEAR = 0.8, 0.2
FLOW = schedules.flow()
MODEL = LAW.model(FLOW)
"""One for all runs, since it remembers its noise levels."""

ORDERS = [
    (Euler(), 1, 1),
    (Midpoint(), 2, 2),
    (RK4(), 4, 4),
    (RK4("t"), 2, 4),
    (Heun(), 2, 2),
    (Heun("t"), 2, 2),
    (DPMSolver(1), 1, 1),
    (DPMSolver(2), 2, 2),
    (DPMSolver(3), 3, 3),
    (RFSolver(), 2, 2),
    (FireFlow(), 2, 1),
    *(
        (BDIAHeun(g, base, variable), 2, 2)
        for g in (0.5, 1)
        for base in ("z", "z_hat")
        for variable in ("sigma_bar", "t")
    ),
]
NAMES = [repr(case[0]) for case in ORDERS]


@cache
def smooth(n):
    return grids.asinh(FLOW, n, t_max=FAR, t_min=NEAR)


@cache
def alternating(n):
    """Steps of 1, 2, 1, 2, ... parts in asinh(sigma/alpha)."""
    steps = np.where(np.arange(n) % 2 == 0, 1.0, 2.0)
    ends = np.arcsinh([FLOW.sigma_bar(FAR), FLOW.sigma_bar(NEAR)])
    s = np.sinh(ends[0] + (ends[1] - ends[0]) * np.cumsum(steps)[:-1] / np.sum(steps))
    return grids.from_timesteps(FLOW, [FAR, *(s / (1 + s)), NEAR])


@cache
def truth():
    return LAW.flow(Z, FAR, NEAR, FLOW)


def errors(solver, make, counts, model=MODEL):
    return [np.sqrt(np.mean((solve(solver, model, make(n), Z).z - truth()) ** 2)) for n in counts]


def assert_order(solver, order, make, counts=(32, 64)):
    """Both sides: halving the steps divides the error by 2^order, within a third of an order, so order + 1 fails."""
    coarse, fine = errors(solver, make, counts)
    # The error of the exact flow, about 1e-13, and rounding stay far below.
    assert fine > 1e-11
    assert order - 0.34 < np.log2(coarse / fine) < order + 0.34


@pytest.mark.parametrize("make", [smooth, alternating])
@pytest.mark.parametrize(("solver", "order", "_nfe"), ORDERS, ids=NAMES)
def test_order(solver, order, _nfe, make):
    assert_order(solver, order, make)


@pytest.mark.parametrize(("solver", "_order", "nfe"), ORDERS, ids=NAMES)
def test_evaluations_and_verdict(solver, _order, nfe):
    assert structure(solver).nfe == nfe
    model, n = models.counted(MODEL), 10
    there = solve(solver, model, smooth(n), Z)
    # FireFlow's first velocity is one more; BDIA-EDM's first step is one of Heun's.
    assert model.nfe == there.nfe == nfe * n + isinstance(solver, FireFlow)
    verdict = invertibility(solver)
    assert not verdict.invertible
    assert "has overwritten" in verdict.reason or "own coefficient 0" in verdict.reason
    with pytest.raises(NotInvertibleError, match="not exactly invertible"):
        invert(solver, MODEL, smooth(n), there.state)


@pytest.mark.parametrize("prediction", models.PREDICTIONS)
@pytest.mark.parametrize(("solver", "_order", "_nfe"), ORDERS, ids=NAMES)
def test_every_prediction_gives_the_same_states(solver, _order, _nfe, prediction):
    eps = MODEL
    plain, grid = solve(solver, eps, smooth(8), Z).z, smooth(8)
    other = solve(solver, as_prediction(eps, FLOW, prediction), grid, Z).z
    # Conversions there and back, and 8 steps of up to 4 stages: a few hundred roundings of numbers of size 1.
    assert np.max(np.abs(other - plain)) < 500 * np.finfo(float).eps


@pytest.mark.parametrize("variable", ["sigma_bar", "t"])
@pytest.mark.parametrize(
    "solver", [Heun, lambda v: BDIAHeun(1, "z", v), lambda v: BDIAHeun(1, "z_hat", v)], ids=["Heun", "z", "z_hat"]
)
def test_the_last_step_to_sigma_0_is_one_of_euler(solver, variable):
    n, grid = 6, grids.uniform(FLOW, 6, t_max=FAR, t_min=0)
    model = models.counted(models.x0(as_prediction(MODEL, FLOW, "x0")))
    run = solve(solver(variable), model, grid, Z, return_trajectory=True)
    assert run.nfe == model.nfe == 2 * n - 1
    if isinstance(solver(variable), Heun):
        # x0 is what Euler's method reaches from t_1, exactly, in both variables.
        x0 = as_prediction(MODEL, FLOW, "x0")(run.trajectory[1], grid.t[1])
        assert np.max(np.abs(run.z - x0)) < 20 * np.finfo(float).eps


def test_euler_is_ddim_on_symbols():
    p, (z,) = Formal(2), vectors("z")
    for left, right in zip(p.run(Euler(), z), p.run(DDIM(), z), strict=True):
        equal(left, right, "Euler and DDIM")
    equal(p.run(DPMSolver(1), z)[0], p.run(DDIM(), z)[0], "DPM-Solver-1 and DDIM")


def test_rf_solver_is_the_midpoint_rule_in_t_on_symbols():
    p, (z,) = Formal(1), vectors("z")
    middle = p.grid.point(grids.Between(1, 0, Fraction(1, 2), "t"))

    def velocity(x, point):
        x0 = (x - point.sigma * p.model(x, point.t)) / point.alpha
        return point.alpha_dot * x0 + point.sigma_dot * p.model(x, point.t)

    h = p.grid.t[0] - p.grid.t[1]
    equal(p.run(RFSolver(), z)[0], z + h * velocity(z + h / 2 * velocity(z, p.grid.point(1)), middle), "RF-Solver")


def test_midpoint_and_rk4_are_their_tableaus_on_symbols():
    p, (z,) = Formal(1), vectors("z")
    middle = p.grid.point(grids.Between(1, 0, Fraction(1, 2)))
    (s1, s0), (a1, a0), sm = (p.s(1), p.s(0)), (p.alpha(1), p.alpha(0)), middle.sigma / middle.alpha
    y = z / a1

    def f(x, alpha, t):
        return p.model(x * alpha, t)

    k1 = f(y, a1, p.grid.t[1])
    k2 = f(y + (sm - s1) * k1, middle.alpha, middle.t)
    equal(p.run(Midpoint(), z)[0] / a0, y + (s0 - s1) * k2, "midpoint")
    k3 = f(y + (sm - s1) * k2, middle.alpha, middle.t)
    k4 = f(y + (s0 - s1) * k3, a0, p.grid.t[0])
    equal(p.run(RK4(), z)[0] / a0, y + (s0 - s1) * (k1 + 2 * k2 + 2 * k3 + k4) / 6, "RK4")


def test_bad_options_are_named():
    for make, word in (
        (lambda: Heun("log_snr"), "variable='log_snr'"),
        (lambda: BDIAHeun(base="y"), "base='y'"),
        (lambda: BDIAHeun(2), "gamma=2"),
        (lambda: DPMSolver(4), "order=4"),
        (lambda: RK4("log_snr"), "middle='log_snr'"),
    ):
        with pytest.raises(ValueError, match=word):
            make()


def test_a_step_to_sigma_0_that_a_method_cannot_take_is_refused():
    grid = grids.uniform(FLOW, 4, t_max=FAR, t_min=0)
    with pytest.raises(ValueError, match="log_snr is infinite"):
        solve(DPMSolver(2), MODEL, grid, Z)
    with pytest.raises(ValueError, match="log_snr is infinite"):
        solve(DPMSolver(3), MODEL, grid, Z)


def test_gamma_of_bdia_heun_may_be_a_symbol():
    p, (z,), g = Formal(2), vectors("z"), sympy.Symbol("gamma")
    general, zero = p.run(BDIAHeun(g), z), p.run(BDIAHeun(0), z)
    equal(zero[0], p.run(Heun(), z)[0], "gamma = 0")
    assert general[0] != zero[0]
