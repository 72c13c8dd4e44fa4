"""A run on the lattice against the float64 run of the same solver, the model's time left out."""

import time
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from timing import in_turn, least

from bdia_numerics import BDIA, CBDIA, EDICT, OBELM, grids, invert, schedules, solve
from bdia_numerics.spaces import Lattice

ELEMENTS, STEPS, AT_MOST = 1_000_000, 20, 3.0
SOLVERS = {
    "BDIA 1": BDIA(1),
    "BDIA 9/10": BDIA(Fraction(9, 10)),
    "BDIA 1/2": BDIA(Fraction(1, 2)),
    "EDICT 93/100": EDICT(Fraction(93, 100)),
    "CBDIA 19/20 1/20": CBDIA(Fraction(19, 20), Fraction(1, 20)),
    "O-BELM": OBELM(),
}
GRID = grids.uniform(schedules.vp_linear(), STEPS)


@pytest.mark.benchmark(group=f"lattice, {ELEMENTS} elements, {STEPS} steps")
@pytest.mark.parametrize("direction", ["solve", "invert"])
@pytest.mark.parametrize("name", SOLVERS)
def test_lattice(benchmark, name, direction):
    rng = np.random.default_rng(0)
    z, e = rng.standard_normal((2, ELEMENTS))
    lattice, solver = Lattice.from_float(z), SOLVERS[name]

    def model(z, t):
        return e

    runs = {"float64": lambda: solve(solver, model, GRID, z), "lattice": lambda: solve(solver, model, GRID, lattice)}
    if direction == "invert":
        states = {name: run().state for name, run in runs.items()}
        runs = {name: partial(invert, solver, model, GRID, state) for name, state in states.items()}
    ratio = least(in_turn(runs, 9, time.perf_counter), "lattice", "float64")
    benchmark.extra_info.update(ratio=ratio, at_most=AT_MOST)
    benchmark(runs["lattice"])
    assert ratio < AT_MOST
