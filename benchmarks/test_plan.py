"""How the time of a first run, in which its plan is made, grows with the number of slots: in proportion to it."""

import numpy as np
import pytest
from timing import processor

from bdia_numerics import BDIA, EDICT, grids, invert, schedules, solve

SOLVERS = {"BDIA": BDIA(), "EDICT": EDICT()}


def first_run(solver, n, back):
    """Return the processor time of a first run on n slots, in which its plan is made, with its inverse if asked for."""
    grid = grids.uniform(schedules.vp_cosine(), n, t_max=0.95, t_min=0.02)

    def run():
        state = solve(solver, lambda z, t: z, grid, np.ones((1, 2))).state
        if back:
            invert(solver, lambda z, t: z, grid, state)

    return processor(run)


def growth():
    """Return the time of a slot of a first run on 10,000 slots over that on 100, and the seconds of EDICT's."""
    first_run(BDIA(), 100, back=False)
    short = min(first_run(BDIA(), 100, back=False) for _ in range(20)) / 100
    long = min(first_run(BDIA(), 10_000, back=False) for _ in range(2)) / 10_000
    return {"first run: a slot of 10,000": long / short, "first run: EDICT": first_run(EDICT(), 10_000, back=False)}


def doubled(name):
    """Return the time of a first run and its inverse on 20,000 slots over that on 10,000."""
    short, long = (first_run(SOLVERS[name], n, back=True) for n in (10_000, 20_000))
    return {f"first run: twice the slots, {name}": long / short}


def test_a_slot_costs_the_same_on_long_grids(figures):
    figures(growth)


@pytest.mark.parametrize("name", SOLVERS)
def test_twice_the_slots_take_twice_the_time(figures, name):
    figures(lambda: doubled(name))
