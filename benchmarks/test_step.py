"""One BDIA step: its arithmetic against a memory floor measured in the same run, and its overhead without arithmetic."""

import time

import numpy as np
from timing import in_turn, least, processor

from bdia_numerics import BDIA, grids, schedules, solve
from bdia_numerics.program import make_plan, record_steps
from bdia_numerics.program.plan import Sum
from bdia_numerics.spaces import FLOAT64

SIZE = 8_000_000


def arithmetic():
    """Return a step's time, in place on 8M float64, over that of four passes over memory."""
    grid = grids.uniform(schedules.vp_cosine(), 3, t_max=0.9, t_min=0.01)
    plan = make_plan(record_steps(BDIA(0.5), grid), FLOAT64)
    instructions = plan.stages[0].instructions
    rng = np.random.default_rng(0)
    z_prev, z, eps = (rng.standard_normal(SIZE) for _ in range(3))
    held = plan.stages[0].held

    def step():
        # As in a run: z_prev belongs to the run, and the new state is written over it.
        asked, total = instructions
        store = {plan.inputs["z_prev"].number: z_prev, plan.inputs["z"].number: z, asked.target: eps}
        own = Sum(total.target, total.coefficients, total.sources, plan.inputs["z_prev"].number)
        plan.arithmetic.carry_out(own, store, FLOAT64)
        assert FLOAT64.finite(store[held["z"].number])
        return store[held["z"].number]

    before = z_prev.copy()
    result = step()
    assert result is z_prev, "not in place"
    # The same linear combination as plain expressions, on a few elements.
    few = slice(None, None, SIZE // 7)
    (combine,) = instructions[1:]
    values = dict(zip(combine.sources, combine.coefficients, strict=True))
    plain = sum(
        c * {plan.inputs["z_prev"].number: before, plan.inputs["z"].number: z}.get(n, eps)[few]
        for n, c in values.items()
    )
    # Three products and two sums.
    assert np.allclose(result[few], plain, rtol=0, atol=8 * np.finfo(float).eps * np.max(np.abs(plain)))
    z_prev[...] = before

    target, other = np.empty(SIZE), np.empty(SIZE)

    def floor():
        # Four passes, two read and two written: as many as a step's three reads and one write.
        np.copyto(target, z)
        np.copyto(other, eps)

    # By the clock on the wall: large arrays are cut into blocks that are shared out to threads, and memory is what both wait for.
    times = in_turn({"floor": floor, "step": step}, 15, time.perf_counter)
    return {"step: arithmetic": least(times, "step", "floor")}


def overhead():
    """Return the microseconds of a step of one element."""
    grid = grids.uniform(schedules.vp_cosine(), 1000, t_max=0.9, t_min=0.01)
    state = np.zeros(1)

    def run():
        return solve(BDIA(0.5), lambda z, t: z, grid, state)

    run()  # collapses the program, once
    return {"step: overhead": 1e6 * min(processor(run) for _ in range(7)) / grid.n}


def test_arithmetic_of_a_step_on_8_million_float64(figures):
    figures(arithmetic)


def test_overhead_of_a_step_without_arithmetic(figures):
    figures(overhead)
