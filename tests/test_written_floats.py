"""A float among a solver's parameters is the decimal that it prints as, but in runs on arrays of floats."""

from fractions import Fraction

import numpy as np
import pytest
import sympy

from bdia_numerics import (
    BDIA,
    BDIA2,
    CBDIA,
    EDICT,
    OBELM,
    analysis,
    datasheet,
    grids,
    invert,
    invertibility,
    problems,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.analysis.measurement.ladder import exactly
from bdia_numerics.spaces import Lattice
from bdia_numerics.spaces.base import decimal

F = Fraction
SCHEDULE = schedules.flow()
GRID = grids.uniform(SCHEDULE, 8, t_max=F(9, 10), t_min=F(1, 10))
MODEL = problems.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.25, 0.5]).model(SCHEDULE)

PAIRS = {
    "BDIA": (BDIA(0.9), BDIA(F(9, 10))),
    "a float of NumPy": (BDIA(np.float64(0.7)), BDIA(F(7, 10))),
    "a short float": (BDIA(np.float32(0.9)), BDIA(F(9, 10))),
    "a function of the slot": (BDIA(lambda slot: 0.9), BDIA(F(9, 10))),
    "EDICT": (EDICT(0.93), EDICT(F(93, 100))),
    "CBDIA": (CBDIA(0.95, 0.05), CBDIA(F(19, 20), F(1, 20))),
    "BDIA2": (BDIA2(0.8, 0.1), BDIA2(F(4, 5), F(1, 10))),
}
each_pair = pytest.mark.parametrize(("written", "meant"), PAIRS.values(), ids=PAIRS)


@each_pair
def test_proofs_take_floats_as_they_print(written, meant):
    ours, theirs = analysis.symbolic_order(written), analysis.symbolic_order(meant)
    for name in ("order", "local", "principal", "error_constant", "ddim_ratio"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for ask in (analysis.characteristic_polynomial, analysis.zero_stability, analysis.stability_interval):
        assert str(ask(written)) == str(ask(meant))
    assert invertibility(written).invertible == invertibility(meant).invertible


def test_the_ratio_to_ddims_error_is_that_of_the_paper():
    """(1 - gamma)/(1 + gamma) is 1/19 for 9/10, and for the float nearest to it 900719925474099/17113678584007885."""
    for gamma in (0.9, np.float32(0.9), sympy.Float(0.9)):
        assert analysis.symbolic_order(BDIA(gamma)).ddim_ratio == sympy.Rational(1, 19)
    assert datasheet(BDIA(0.9), measured=False).given.order.ddim_ratio == sympy.Rational(1, 19)
    assert analysis.symbolic_order(BDIA(F(0.9))).ddim_ratio != sympy.Rational(1, 19)


@pytest.mark.parametrize("space", [spaces.FRACTION, spaces.MPMath(40), spaces.Balls(128)], ids=lambda space: space.name)
@each_pair
def test_exact_runs_take_floats_as_they_print(written, meant, space):
    grid = GRID.to(space)
    z = space.array([space.number(F(3, 10))]).reshape(1, 1)
    model = (lambda z, t: z / 3) if space is spaces.FRACTION else MODEL
    ours, theirs = solve(written, model, grid, z), solve(meant, model, grid, z)
    assert str(ours.z) == str(theirs.z)


@each_pair
def test_lattices_take_floats_as_they_print(written, meant):
    z = Lattice.from_float(np.array([[0.3], [-1.7], [0.02]]))
    ours, theirs = solve(written, MODEL, GRID, z), solve(meant, MODEL, GRID, z)
    assert np.array_equal(ours.z.integers, theirs.z.integers) and ours.z.scale == theirs.z.scale
    assert invert(written, MODEL, GRID, ours.state).z.differing_bits(z) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_arrays_of_floats_take_the_float_itself(dtype):
    z = np.array([[0.3], [-1.7]], dtype)
    grid = GRID if dtype != np.longdouble else GRID.to(np.longdouble)
    assert np.array_equal(solve(BDIA(0.9), MODEL, grid, z).z, solve(BDIA(F(0.9)), MODEL, grid, z).z)


def test_a_solver_made_exact_and_the_numbers_written():
    found = exactly(CBDIA(0.95, 0.05))
    assert (found.gamma1, found.gamma2) == (F(19, 20), F(1, 20))
    assert decimal(np.float32(0.1)) == decimal(0.1) == decimal("0.1") == F(1, 10)
    with pytest.raises(ValueError, match="inf is not finite: pass a finite number"):
        decimal(float("inf"))


def test_lengths_of_steps_are_what_they_print_as():
    found = analysis.zero_stability(OBELM(), pattern=(0.1, 0.3))
    assert str(found) == str(analysis.zero_stability(OBELM(), pattern=(F(1, 10), F(3, 10))))
