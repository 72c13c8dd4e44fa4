"""How the time of a first run, in which its plan is made, grows with the number of slots: in proportion to it."""

import numpy as np
import pytest
from timing import timed

from bdia_numerics import BDIA, EDICT, grids, invert, schedules, solve

N, MOST = 10_000, 2.5


def cost(solver, n: int) -> float:
    """Return the processor time of a first run and its inverse, in which both plans are made, on a grid of n slots."""
    grid = grids.uniform(schedules.vp_cosine(), n, t_max=0.95, t_min=0.02)

    def both():
        return invert(solver, lambda z, t: z, grid, solve(solver, lambda z, t: z, grid, np.ones((1, 2))).state)

    return timed(both)[1]


@pytest.mark.parametrize("solver", [BDIA(), EDICT()], ids=["BDIA", "EDICT"])
def test_twice_the_slots_take_twice_the_time(benchmark, solver):
    short = cost(solver, N)
    long = benchmark.pedantic(lambda: cost(solver, 2 * N), rounds=1)
    benchmark.extra_info.update(ratio=long / short)
    assert long / short <= MOST
