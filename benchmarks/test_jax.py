"""Runs on arrays of JAX, compiled, against a loop with the same coefficients that is written by hand: each call, and the first."""

import numpy as np
import pytest
from timing import in_turn, least, ratio

from bdia_numerics import BDIA, grids, schedules, solve
from bdia_numerics.runs.solving import sampling

GRID = grids.uniform(schedules.vp_cosine(), 20, t_max=0.9, t_min=0.01)


def compiled():
    """Return a compiled call's time over that of the loop, and the same of the first calls, which trace and compile."""
    jax = pytest.importorskip("jax", reason="needs the extra jax")
    (plan,) = sampling(BDIA(), GRID, "eps").plans
    instructions = [x for stage in plan.stages for x in stage.instructions]
    (a, b), *rest = [x.coefficients for x in instructions if hasattr(x, "coefficients")]
    times = [x.t for x in instructions if hasattr(x, "t")]
    first = jax.random.normal(jax.random.key(0), (1000, 64))

    def model(z, t):
        return jax.numpy.tanh(z) / (1 + t)

    def loop(z):
        before, z = z, a * z + b * model(z, times[0])
        for (_, c, d), t in zip(rest, times[1:], strict=True):
            before, z = z, before + c * z + d * model(z, t)
        return z

    def anew(function):
        return lambda: jax.jit(lambda z: function(z)).lower(first).compile()  # noqa: PLW0108 - a new function is traced anew

    def ours(z):
        return solve(BDIA(), model, GRID, z).z

    runs = {"ours": jax.jit(ours), "hand": jax.jit(loop)}
    np.testing.assert_allclose(runs["ours"](first), runs["hand"](first), rtol=1e-4, atol=1e-4)
    each = in_turn({name: lambda run=run: run(first).block_until_ready() for name, run in runs.items()}, 101)
    both = in_turn({"ours": anew(ours), "hand": anew(loop)}, 9)
    return {"jax: call": ratio(each, "ours", "hand"), "jax: first call": least(both, "ours", "hand")}


def test_a_compiled_run_against_a_compiled_loop(figures):
    figures(compiled)
