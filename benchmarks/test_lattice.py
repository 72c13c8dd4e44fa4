"""A run on the lattice against the float64 run of the same solver, the model's time left out."""

from fractions import Fraction

import numpy as np
import pytest
from timing import in_turn, least

from bdia_numerics import BDIA, CBDIA, EDICT, OBELM, grids, invert, schedules, solve
from bdia_numerics.spaces import Lattice

ELEMENTS, STEPS = 1_000_000, 20
SOLVERS = {
    "BDIA 1": BDIA(1),
    "BDIA 9/10": BDIA(Fraction(9, 10)),
    "BDIA 1/2": BDIA(Fraction(1, 2)),
    "EDICT 93/100": EDICT(Fraction(93, 100)),
    "CBDIA 19/20 1/20": CBDIA(Fraction(19, 20), Fraction(1, 20)),
    "O-BELM": OBELM(),
}
GRID = grids.uniform(schedules.vp_linear(), STEPS)


def runs(name):
    """Return the time of a lattice run, and of its inverse, over that of the float64 run."""
    z, e = np.random.default_rng(0).standard_normal((2, ELEMENTS))
    lattice, solver = Lattice.from_float(z), SOLVERS[name]

    def model(z, t):
        return e

    there = {kind: lambda z=z: solve(solver, model, GRID, z) for kind, z in (("floats", z), ("lattice", lattice))}
    states = {kind: run().state for kind, run in there.items()}
    back = {kind: lambda state=state: invert(solver, model, GRID, state) for kind, state in states.items()}
    worst = max(least(in_turn(both, 5), "lattice", "floats") for both in (there, back))
    return {f"lattice: {name}": worst}


@pytest.mark.parametrize("name", SOLVERS)
def test_lattice(figures, name):
    figures(lambda: runs(name))
