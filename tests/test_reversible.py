"""The exactly invertible one- and two-step solvers: order, condition, round trip, and what they have in common."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from test_onestep import FAR, FLOW, LAW, MODEL, NEAR, Z, alternating, assert_order, smooth

from bdia_numerics import grids, invertibility, models, round_trip, schedules, solve
from bdia_numerics.claims.formal import Formal, equal, vectors
from bdia_numerics.program import structure
from bdia_numerics.solvers import (
    ALF,
    BDIA,
    CBDIA,
    DDIM,
    RK4,
    DPMSolver,
    Euler,
    Leapfrog,
    McCallumFoster,
    Midpoint,
    ReversibleHeun,
    Rex,
)
from bdia_numerics.spaces import Vector, formal_model

HALF = Fraction(1, 2)
# solver, order on smooth grids, order on alternating ones, evaluations a step and for the start, condition
CASES = [
    (ReversibleHeun(), 2, 2, 1, 1, "always"),
    (ALF(), 2, 2, 1, 1, "always"),
    (Leapfrog(), 2, 1, 1, 0, "always"),
    (McCallumFoster(HALF), 1, 1, 2, 0, "coupling != 0"),
    (McCallumFoster(1), 1, 1, 2, 0, "coupling != 0"),
    (McCallumFoster(HALF, Midpoint()), 2, 2, 4, 0, "coupling != 0"),
    (McCallumFoster(HALF, RK4()), 4, 4, 8, 0, "coupling != 0"),
    (McCallumFoster(HALF, DPMSolver(3)), 3, 3, 6, 0, "coupling != 0"),
    (Rex(HALF), 1, 1, 2, 0, "coupling != 0"),
    (Rex(HALF, Midpoint()), 2, 2, 4, 0, "coupling != 0"),
    (Rex(HALF, RK4()), 4, 4, 8, 0, "coupling != 0"),
    (Rex(HALF, prediction="x0"), 1, 1, 2, 0, "coupling != 0"),
    (Rex(HALF, Midpoint(), prediction="x0"), 2, 2, 4, 0, "coupling != 0"),
]
NAMES = [f"{c[0]!r}" for c in CASES]
each = pytest.mark.parametrize("case", CASES, ids=NAMES)


@each
def test_order(case):
    solver, on_smooth, on_alternating = case[:3]
    # DPM-Solver-3 on alternating steps reaches its slope later than the others.
    counts = (128, 256) if isinstance(getattr(solver, "base", None), DPMSolver) else (48, 96)
    assert_order(solver, on_smooth, smooth, counts)
    assert_order(solver, on_alternating, alternating, counts)


@each
def test_evaluations_condition_and_round_trip(case):
    solver, _, _, nfe, start, condition = case
    model, n = models.counted(MODEL), 10
    assert structure(solver).nfe == nfe
    assert solve(solver, model, smooth(n), Z).nfe == model.nfe == nfe * n + start
    assert str(invertibility(solver)) == condition
    for side in ("noise", "data"):
        trip = round_trip(solver, MODEL, smooth(n), Z, side)
        # A coupling of 1/2 doubles roundings in each of the 10 steps back; the states have size 2.
        assert 0 < float(trip.error) < 50 * 2**n * np.finfo(float).eps


@pytest.mark.parametrize("solver", [McCallumFoster, Rex])
@pytest.mark.parametrize("base", [Euler(), Midpoint(), RK4(), DPMSolver(2)], ids=repr)
def test_coupling_is_undone_on_symbols(solver, base):
    p, (z, y), c = Formal(1), vectors("z", "y"), sympy.Symbol("c")
    before = {"z": z, "y": y}
    for name, value in p.undo(solver(c, base), p.step(solver(c, base), before)).items():
        equal(value, before[name], f"{name} after there and back")


@pytest.mark.parametrize("solver", [ReversibleHeun(), ALF(), Leapfrog()], ids=repr)
def test_steps_are_undone_on_symbols(solver):
    names = structure(solver).registers
    p = Formal(1 + structure(solver).depth)
    before = dict(zip(names, vectors(*names), strict=True))
    for name, value in p.undo(solver, p.step(solver, before)).items():
        equal(value, before[name], f"{name} after there and back")


def test_cbdia_1_0_is_mccallum_foster_with_coupling_1_over_ddim_on_symbols():
    p, (z, y) = Formal(1), vectors("z", "y")
    before = {"z": z, "y": y}
    left, right = p.step(CBDIA(1, 0), before), p.step(McCallumFoster(1, Euler()), before)
    for name in before:
        equal(left[name], right[name], name)
    # With another coupling, and with the scale of Rex, it is another method.
    assert p.step(McCallumFoster(HALF, Euler()), before) != right
    assert p.step(Rex(1, Euler()), before) != right


def test_coupling_0_is_the_base_on_symbols():
    p, (z, y) = Formal(1), vectors("z", "y")
    for solver in (McCallumFoster, Rex):
        equal(p.step(solver(0, Euler()), {"z": z, "y": y})["z"], p.step(DDIM(), {"z": y})["z"], "z of coupling 0")


def test_rex_is_mccallum_foster_in_the_scaled_variable_on_symbols():
    p, (z, y), c = Formal(1), vectors("z", "y"), sympy.Symbol("c")
    got = p.step(Rex(c, Euler()), {"z": z, "y": y})
    (a1, a0), h = (p.alpha(1), p.alpha(0)), p.s(0) - p.s(1)
    newer = c * z / a1 + (1 - c) * y / a1 + h * p.eps(y, 1)
    equal(got["z"] / a0, newer, "z/alpha")
    equal(got["y"] / a0, y / a1 + h * p.eps(newer * a0, 0), "y/alpha")


def test_rex_for_data_predictions_is_mccallum_foster_on_z_over_sigma_on_symbols():
    """The authors' form: Euler's method for d(z/sigma)/d(alpha/sigma) = x0, written with x0 = (z - sigma eps)/alpha."""
    p, (z, y), c = Formal(1), vectors("z", "y"), sympy.Symbol("c")
    got = p.step(Rex(c, Euler(), prediction="x0"), {"z": z, "y": y})
    (s1, s0), h = (p.sigma(1), p.sigma(0)), p.alpha(0) / p.sigma(0) - p.alpha(1) / p.sigma(1)

    def x0(x, i):
        return (x - p.sigma(i) * p.eps(x, i)) / p.alpha(i)

    newer = c * z / s1 + (1 - c) * y / s1 + h * x0(y, 1)
    equal(got["z"] / s0, newer, "z/sigma")
    equal(got["y"] / s0, y / s1 + h * x0(newer * s0, 0), "y/sigma")
    with pytest.raises(ValueError, match="prediction='v' is unknown: use one of eps, x0"):
        Rex(prediction="v")


def test_leapfrog_is_bdia_with_gamma_1_where_alpha_is_1():
    levels = sympy.symbols("s_0:5", positive=True)
    model, z = formal_model(), Vector.basis("z")
    grid = grids.from_values(levels, [sympy.Integer(1)] * 5, levels)
    for left, right in zip(
        *(solve(s, model, grid, z, return_trajectory=True).trajectory for s in (Leapfrog(), BDIA(1))), strict=True
    ):
        equal(left, right, "Leapfrog and BDIA")
    # Elsewhere they differ by their scales: alpha_{i-1}/alpha_{i+1} before z_{i+1} against 1.
    p, (z2, z1) = Formal(2), vectors("z_2", "z_1")
    before = {"z_prev": z2, "z": z1}
    assert p.step(Leapfrog(), before)["z"].coefficient("z_2") == p.alpha(0) / p.alpha(2)
    assert p.step(BDIA(1), before)["z"].coefficient("z_2") == 1


def test_reversible_heun_is_its_published_step_on_symbols():
    p, (v, z) = Formal(1), vectors("v", "z")
    got = p.step(ReversibleHeun(), {"v": v, "z": z})
    (a1, a0), h = (p.alpha(1), p.alpha(0)), p.s(0) - p.s(1)
    second = 2 * z / a1 - v / a1 + h * p.eps(v, 1)
    equal(got["v"] / a0, second, "v")
    equal(got["z"] / a0, z / a1 + h * (p.eps(v, 1) + p.eps(second * a0, 0)) / 2, "z")


def test_the_mean_of_coupling_1_is_of_order_2():
    truth, errors = LAW.flow(Z, FAR, NEAR, FLOW), []
    for n in (64, 128):
        state = solve(McCallumFoster(1), MODEL, smooth(n), Z).state
        mean = (state.registers["z"] + state.registers["y"]) / 2
        errors.append(np.sqrt(np.mean((mean - truth) ** 2)))
    assert 1.66 < np.log2(errors[0] / errors[1]) < 2.34


def test_mccallum_foster_and_rex_agree_where_alpha_is_1():
    edm = schedules.edm()
    grid = grids.log_snr(edm, 12, t_max=5.0, t_min=0.1)
    left, right = (solve(s, LAW.model(edm), grid, 5.0 * Z).z for s in (McCallumFoster(HALF, RK4()), Rex(HALF, RK4())))
    assert np.max(np.abs(left - right)) < 200 * np.finfo(float).eps


def test_a_base_without_increment_is_named():
    with pytest.raises(TypeError, match=r"base=DDIM\(\) is not an instance with an increment: use Euler"):
        McCallumFoster(1, DDIM())
