"""Gradients on arrays of JAX with states rebuilt by the inverse: those of plain differentiation, in memory that does not grow."""

import gc

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra jax")

import jax.numpy as jnp  # noqa: E402

from bdia_numerics import BDIA, DDIM, EDICT, SOLVERS, grids, models, schedules, solve  # noqa: E402
from bdia_numerics.program import NotInvertibleError, structure  # noqa: E402
from bdia_numerics.runs import gradients  # noqa: E402

jax.config.update("jax_enable_x64", True)
EPS = float(np.finfo(np.float64).eps)
RNG = np.random.default_rng(0)
Z, WEIGHTS = jnp.asarray(RNG.standard_normal((3, 4))), jnp.asarray(RNG.standard_normal((4, 4)) / 3)


def grid_of(n):
    return grids.asinh(schedules.vp_linear(), n, t_max=1.0, t_min=0.05)


def loss(run, solver, grid, z, weights):
    """Of a run and the registers that it leaves, with a network whose parameters the model closes over."""
    found = run(solver, models.v(lambda z, t: jnp.tanh(z @ weights) / (2 + t)), grid, z)
    return (found.z**2).sum() + sum(x.sum() for x in found.state.registers.values())


QUICK = ("BDIA", "BDIA2")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in SOLVERS])
def test_gradients_are_those_of_plain_differentiation(name):
    solver, grid = SOLVERS[name](), grid_of(4)
    try:
        found = jax.grad(loss, argnums=(3, 4))(gradients.solve, solver, grid, Z, WEIGHTS)
    except NotInvertibleError:
        pytest.skip("has no exact inverse")
    for ours, plain in zip(found, jax.grad(loss, argnums=(3, 4))(solve, solver, grid, Z, WEIGHTS), strict=True):
        # The inverse magnifies roundings, by up to some hundred times on these slots.
        assert float(abs(ours - plain).max()) < 1e4 * EPS * float(abs(plain).max())


def test_the_run_is_that_of_solve():
    def network(z, t):
        return jnp.tanh(z) / 2

    for n in (2, 5):
        grid = grid_of(n)
        found, plain = (run(BDIA(), network, grid, Z) for run in (gradients.solve, solve))
        assert (found.z == plain.z).all() and found.nfe == plain.nfe and bool(found.status.ok)
        assert found.state == plain.state
    part = solve(BDIA(), network, grid[3:], Z).state
    assert (gradients.solve(BDIA(), network, grid[:4], part).z == plain.z).all()


@pytest.mark.parametrize("solver", [BDIA(), pytest.param(EDICT(), marks=pytest.mark.slow)], ids=["BDIA", "EDICT"])
def test_memory_does_not_grow_with_the_slots(solver):
    """The arrays that stand between the way there and the way back; a plain gradient holds more with each slot."""
    states, calls = jnp.ones((5, 7)), []

    def watched(z, t):
        jax.debug.callback(lambda: calls.append(t))
        return jnp.tanh(z) / 2

    def counted(run, n):
        calls.clear()
        end, pull = jax.vjp(lambda z: run(solver, watched, grid_of(n), z).z, states)
        jax.effects_barrier()
        gc.collect()
        held = sum(x.shape == states.shape for x in jax.live_arrays())
        pull(end)
        jax.effects_barrier()
        return len(calls), held

    (few, most), (many, also) = counted(gradients.solve, 4), counted(gradients.solve, 5)
    # One or two in each slot there, and as many to undo it and to repeat it, but for the slots that come first.
    evaluations, first = structure(solver).nfe, structure(solver).depth + 1
    assert (few, many) == tuple(evaluations * (n + 2 * (n - first)) for n in (4, 5))
    assert most == also < counted(solve, 5)[1]


def test_a_gradient_that_cannot_be_rebuilt_is_nan():
    """Each step of the inverse magnifies by 1/gamma."""
    for slope in jax.grad(loss, argnums=(3, 4))(gradients.solve, BDIA(1e-9), grid_of(4), Z, WEIGHTS):
        assert bool(jnp.isnan(slope).all())


def test_it_is_compiled_and_mapped():
    grid = grid_of(4)
    mapped = jax.jit(jax.vmap(jax.grad(lambda z: loss(gradients.solve, BDIA(), grid, z[None], WEIGHTS))))(Z)
    plain = jax.grad(lambda z: loss(solve, BDIA(), grid, z, WEIGHTS))(Z)
    assert float(abs(mapped - plain).max()) < 1e4 * EPS * float(abs(plain).max())


def test_refused_in_one_line():
    grid = grid_of(4)
    with pytest.raises(NotInvertibleError, match="DDIM is not exactly invertible here"):
        gradients.solve(DDIM(), lambda z, t: z, grid, Z)
    with pytest.raises(
        TypeError, match=r"z is in float64: pass arrays of JAX, and tensors to bdia_numerics\.torch\.gradients"
    ):
        gradients.solve(BDIA(), lambda z, t: z, grid, np.asarray(Z))
