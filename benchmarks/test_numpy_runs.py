"""Runs on NumPy arrays against hand-written loops with the same result, to the bit, which also look for NaN in every state."""

import numpy as np
import pytest
from timing import in_turn, ratio

from bdia_numerics import BDIA, grids, schedules, solve
from bdia_numerics.runs.solving import sampling
from bdia_numerics.runs.stepwise import Stepwise
from bdia_numerics.spaces import FLOAT64

GRID = grids.uniform(schedules.vp_cosine(), 200, t_max=0.9, t_min=0.01)
SIZES = (20_000, 65_536, 262_144)
DATA = (2, 64)


def numbers():
    """Return the coefficients and the times of a run of BDIA, as its plan has them."""
    (plan,) = sampling(BDIA(), GRID, "eps").plans
    instructions = [x for stage in plan.stages for x in stage.instructions]
    return [x.coefficients for x in instructions if hasattr(x, "coefficients")], [
        x.t for x in instructions if hasattr(x, "t")
    ]


def step(size):
    """Return a step's time, a look for NaN included, over that of the sums in place and the same look, written by hand."""
    coefficients, _ = numbers()
    first, output = np.random.default_rng(0).standard_normal((2, size))
    course = sampling(BDIA(), GRID, "eps")

    def ours():
        run = Stepwise(course, {"z": first}, FLOAT64)
        while not run.done:
            run.feed(output)
        return run.value

    def hand():
        (a, b), *rest = coefficients
        product = np.empty(size)
        before, z = first.copy(), a * first + b * output
        for _, c, d in rest:
            np.multiply(z, c, out=product)
            np.add(before, product, out=before)
            np.multiply(output, d, out=product)
            np.add(before, product, out=before)
            before, z = z, before
            assert np.isfinite(z).all()
        return z

    assert np.array_equal(ours(), hand())
    return {f"NumPy step: {size}": ratio(in_turn({"ours": ours, "hand": hand}, 15), "ours", "hand")}


def whole(data):
    """Return the time of `solve` on 1,000 states over that of the recursion in one line of NumPy and a look at each state."""
    coefficients, times = numbers()
    first = np.random.default_rng(0).standard_normal((1000, data))

    def model(z, t):
        return z * (t / (1 + t * t))

    def hand():
        (a, b), *rest = coefficients
        before, z = first, a * first + b * model(first, times[0])
        for (_, c, d), t in zip(rest, times[1:], strict=True):
            before, z = z, before + c * z + d * model(z, t)
            assert np.isfinite(z).all()
        return z

    def ours():
        return solve(BDIA(), model, GRID, first).z

    assert np.array_equal(ours(), hand())
    return {f"solve: 1,000 x {data}": ratio(in_turn({"ours": ours, "hand": hand}, 25), "ours", "hand")}


@pytest.mark.parametrize("size", SIZES)
def test_a_step_against_its_sums_in_place(figures, size):
    figures(lambda: step(size))


@pytest.mark.parametrize("data", DATA)
def test_solve_against_the_recursion_in_one_line(figures, data):
    figures(lambda: whole(data))
