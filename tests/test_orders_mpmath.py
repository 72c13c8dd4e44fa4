"""Orders where float64 would end: errors of 1e-12 and less in 40 digits, with their sign, from exact starts."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from bdia_numerics import (
    BDIA3,
    DEIS,
    PLMS,
    RK4,
    DPMSolver,
    DPMSolverPP,
    McCallumFoster,
    Rex,
    grids,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.program import structure

SPACE = spaces.MPMath(40)
FLOW = schedules.flow()
FAR, NEAR = Fraction(3, 2), Fraction(1, 2)


def model(z, t):
    """eps = dy/ds with y = z/alpha, s = sigma/alpha: nonlinear, not autonomous, with the solution y = 1/(1+s)."""
    y, s = z / (1 - t), t / (1 - t)
    return -y * y + (y * (1 + s) - 1) / 3


def exact(t):
    """z = alpha/(1+s), and 1 + s = 1/(1-t)."""
    return np.array([(1 - t) ** 2], dtype=object)


def grid_of(parts):
    """The grid whose s falls from FAR to NEAR in steps like these parts."""
    total, at, levels = sum(parts), Fraction(0), [FAR]
    for part in parts:
        at += part
        levels.append(FAR + (NEAR - FAR) * at / total)
    return grids.from_timesteps(FLOW, [s / (1 + s) for s in levels], space=spaces.FRACTION).to(SPACE)


def uniform(n):
    return grid_of([1] * n)


def alternating(n):
    return grid_of([1 + k % 2 for k in range(n)])


def error(solver, grid):
    with grid.space.working():
        t, depth = [grid.space.number(x) for x in grid.timesteps], structure(solver).depth
        found = solve(solver, model, grid, exact(t[0]), start=[exact(x) for x in t[1 : depth + 1]] if depth else None).z
        return found[0] - exact(t[-1])[0]


@pytest.mark.parametrize(
    ("solver", "make", "order"),
    [
        (BDIA3(), uniform, 4),
        (BDIA3(), alternating, 3),
        (BDIA3(1, 1, Fraction(1, 2)), uniform, 3),
        (RK4(), uniform, 4),
        (RK4(), alternating, 4),
        (DEIS(3), uniform, 3),
        (DEIS(4), alternating, 4),
        (PLMS(4), uniform, 4),
        (DPMSolver(3), uniform, 3),
        (DPMSolverPP(3), uniform, 2),
        (DPMSolverPP(3, exact=True), uniform, 3),
        (McCallumFoster(Fraction(1, 2), RK4()), uniform, 4),
        (Rex(Fraction(1, 2), RK4()), alternating, 4),
    ],
    ids=lambda x: getattr(x, "__name__", repr(x)),
)
def test_order_holds_and_the_next_one_fails(solver, make, order):
    coarse, fine = (error(solver, make(n)) for n in (32, 64))
    # Signed: the leading term rules, so both errors have its sign. At 64 steps the slopes lie within 0.15 of the order.
    assert abs(fine) > mpmath.mpf(10) ** -20
    assert order - 0.2 < float(mpmath.log(coarse / fine, 2)) < order + 0.2
