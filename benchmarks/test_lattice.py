"""A run on the lattice against the float64 run of the same solver, the model's time left out."""

import time
from fractions import Fraction

import numpy as np
import pytest

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


def interleaved(first, second, rounds=9):
    """Return the fastest of each: alternating, so that both meet the same load."""
    seconds = ([], [])
    for _ in range(rounds):
        for function, kept in zip((first, second), seconds, strict=True):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return min(seconds[0]), min(seconds[1])


@pytest.mark.benchmark(group=f"lattice, {ELEMENTS} elements, {STEPS} steps")
@pytest.mark.parametrize("direction", ["solve", "invert"])
@pytest.mark.parametrize("name", SOLVERS)
def test_lattice(benchmark, name, direction):
    rng = np.random.default_rng(0)
    z, e = rng.standard_normal((2, ELEMENTS))
    lattice, solver = Lattice.from_float(z), SOLVERS[name]

    def model(z, t):
        return e

    runs = [lambda: solve(solver, model, GRID, z), lambda: solve(solver, model, GRID, lattice)]
    if direction == "invert":
        states = [run().state for run in runs]
        runs = [lambda: invert(solver, model, GRID, states[0]), lambda: invert(solver, model, GRID, states[1])]
    floats, integers = interleaved(*runs)
    benchmark.extra_info.update(ratio=integers / floats, at_most=AT_MOST)
    benchmark(runs[1])
    print(
        f"\n{name}, {direction}: {integers / floats:.2f} times the float64 run ({1e3 * integers / STEPS:.1f} ms a step)"
    )
    assert integers / floats < AT_MOST
