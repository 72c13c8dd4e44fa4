"""One BDIA step: its arithmetic against a memory floor measured in the same run, and its overhead without arithmetic."""

import time

import numpy as np

from bdia_numerics import BDIA, grids, schedules, solve
from bdia_numerics.program import make_plan, record_steps
from bdia_numerics.program.plan import Sum
from bdia_numerics.spaces import FLOAT64

SIZE = 8_000_000
MOST, AIM = 2.0, 1.2
MOST_OVERHEAD = 20e-6


def clock(function, repeats):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return times


def test_arithmetic_of_a_step_on_8_million_float64(benchmark):
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

    floor(), step()
    pairs = [(clock(floor, 1)[0], clock(step, 1)[0]) for _ in range(15)]
    ratio = min(b for _, b in pairs) / min(a for a, _ in pairs)
    benchmark.extra_info.update(
        ratio=ratio, floor_ms=1e3 * min(a for a, _ in pairs), step_ms=1e3 * min(b for _, b in pairs)
    )
    print(f"BDIA step on 8M float64: {ratio:.2f} of the four-pass floor (at most {MOST}, aim {AIM})")
    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
    assert ratio <= MOST


def test_overhead_of_a_step_without_arithmetic(benchmark):
    grid = grids.uniform(schedules.vp_cosine(), 1000, t_max=0.9, t_min=0.01)
    state = np.zeros(1)

    def run():
        return solve(BDIA(0.5), lambda z, t: z, grid, state)

    run()  # collapses the program, once
    seconds = min(clock(run, 7)) / grid.n
    benchmark.extra_info.update(microseconds=1e6 * seconds)
    print(f"BDIA step without arithmetic: {1e6 * seconds:.1f} microseconds (at most {1e6 * MOST_OVERHEAD:.0f})")
    benchmark.pedantic(run, rounds=3)
    assert seconds <= MOST_OVERHEAD
