"""The order of Phi_{-h} Phi_h - id: of the program, and measured in 50 digits."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import (
    ALF,
    BDIA,
    DDIM,
    EES,
    RK4,
    Composed,
    DPMSolver,
    DPMSolverPPSinglestep,
    FireFlow,
    Heun,
    McCallumFoster,
    Midpoint,
    ReversibleHeun,
    RFSolver,
    analysis,
    grids,
    schedules,
    solve,
    solvers,
    spaces,
)
from bdia_numerics.program import structure

F = Fraction

FOUND = [
    *((solver, 1) for solver in (DDIM(), DPMSolver(1), McCallumFoster(F(1, 2)))),
    *((s, 3) for s in (Heun(), Heun("t"), Heun("angle"), Midpoint(), RFSolver(), McCallumFoster(F(1, 2), Midpoint()))),
    *((kind(2), 3) for kind in (DPMSolver, DPMSolverPPSinglestep)),
    *(pytest.param(kind(3), 3, marks=pytest.mark.slow) for kind in (DPMSolver, DPMSolverPPSinglestep)),
    *((solver, 5) for solver in (RK4(), RK4(variable="angle"))),
    *((s, math.inf) for v in ("sigma_bar", "angle") for s in (ALF(v), ReversibleHeun(v), Composed(ALF(v)))),
    *((EES(x), 5) for x in (F(1, 10), F(1, 4))),  # of order 2
    (FireFlow(), 0),  # it keeps the velocity of another middle
]


@pytest.mark.parametrize(("solver", "order"), FOUND, ids=str)
def test_orders_of_symmetry(solver, order):
    assert analysis.symmetry_order(solver) == order
    # A method of order p leaves 2 h^(p+1) d(y) if p is odd, which cancels if p is even.
    if order in (1, 3, 5) and not isinstance(solver, EES):
        p = analysis.symbolic_order(solver).order_rough
        assert order == p + (p % 2 == 0)


def test_every_solver_of_one_step_has_one():
    for name, kind in solvers.SOLVERS.items():
        if not structure(kind()).depth and not name.startswith("IIA"):
            assert analysis.symmetry_order(kind()) >= 0, name
    with pytest.raises(ValueError, match="BDIA takes first states, so that its step has no step back: give a one-step"):
        analysis.symmetry_order(BDIA())


@pytest.mark.slow
def test_ees_is_symmetric_to_order_5_for_every_x():
    x = sympy.Symbol("x")
    assert analysis.symmetry_order(EES(x)) == 5
    found = analysis.symbolic_order(EES(x))
    assert found.order_rough == 2
    assert sympy.cancel(found.error_constant - (10 * x - 1) / (96 * (x - 1))) == 0  # so the default x has none in y'''


@pytest.mark.parametrize(("solver", "order"), [(EES(), 5), (RK4(), 5), (Midpoint(), 3), (DDIM(), 1)], ids=str)
def test_orders_of_symmetry_are_measured(solver, order):
    flow, space = schedules.flow(), spaces.MPMath(50)

    def model(z, t):
        y, s = z / (1 - t), t / (1 - t)
        return -y * y + y * s / 3

    def missed(h):
        with space.working():
            z = np.array([space.number(F(2, 7))], dtype=object)
            times = [s / (1 + s) for s in (F(1), 1 - h)]
            there = solve(solver, model, grids.from_timesteps(flow, times, space=space), z).z
            return (solve(solver, model, grids.from_timesteps(flow, times, space=space).reversed(), there).z - z)[0]

    slope = float(mpmath.log(abs(missed(F(1, 40)) / missed(F(1, 80))), 2))
    assert order + 0.8 < slope < order + 1.2
