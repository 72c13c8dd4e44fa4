"""One BDIA step: its arithmetic against a memory floor measured in the same run, and its overhead without arithmetic."""

import time

import numpy as np
from timing import in_turn, least

from bdia_numerics import BDIA, grids, schedules, solve
from bdia_numerics.program import make_plan, record_steps
from bdia_numerics.runs.stepwise import Course, Stepwise
from bdia_numerics.spaces import FLOAT64

SIZE = 8_000_000
MOST, AIM = 2.0, 1.2
MOST_OVERHEAD = 20e-6


def test_arithmetic_of_a_step_on_8_million_float64(benchmark):
    grid = grids.uniform(schedules.vp_cosine(), 3, t_max=0.9, t_min=0.01)
    plan = make_plan(record_steps(BDIA(0.5), grid), FLOAT64)
    course = Course(BDIA(0.5), grid, (plan,))
    instructions = plan.stages[0].instructions
    rng = np.random.default_rng(0)
    z_prev, z, eps = (rng.standard_normal(SIZE) for _ in range(3))
    held = plan.stages[0].held

    def step():
        # As in a run: z_prev belongs to the run, and the new state is written over it.
        run = Stepwise(course, {"z_prev": z_prev, "z": z}, FLOAT64)
        run._owned |= set(run.store)
        run.feed(eps)
        assert run.completed == 1
        return run.store[held["z"].number]

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

    times = in_turn({"floor": floor, "step": step}, 15, time.perf_counter)
    ratio = least(times, "step", "floor")
    benchmark.extra_info.update({f"{k}_ms": 1e3 * min(v) for k, v in times.items()}, ratio=ratio, at_most=MOST, aim=AIM)
    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
    assert ratio <= MOST


def test_overhead_of_a_step_without_arithmetic(benchmark):
    grid = grids.uniform(schedules.vp_cosine(), 1000, t_max=0.9, t_min=0.01)
    state = np.zeros(1)

    def run():
        return solve(BDIA(0.5), lambda z, t: z, grid, state)

    # The first call, which is not counted, collapses the program.
    seconds = min(in_turn({"run": run}, 7, time.perf_counter)["run"]) / grid.n
    benchmark.extra_info.update(microseconds=1e6 * seconds, at_most=1e6 * MOST_OVERHEAD)
    benchmark.pedantic(run, rounds=3)
    assert seconds <= MOST_OVERHEAD
