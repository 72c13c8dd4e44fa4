"""Gradients of a run on arrays of JAX in memory that does not grow with its steps: states are rebuilt by the derived inverse.

    import jax
    from bdia_numerics.runs import gradients

    slope = jax.grad(lambda z: loss(gradients.solve(BDIA(), model, grid, z).z))(z)

`bdia_numerics.torch.gradients` is the same for tensors. No formula of any solver stands here.
"""

from __future__ import annotations

from typing import Any

from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs import solving
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Model, Solution, Status
from bdia_numerics.spaces import of, ordered
from bdia_numerics.spaces.later import jax, jnp

__all__ = ["solve"]


@ordered
def solve(solver: Solver, model: Model, grid: Grid, z: Any, start: Any = None, *, tolerance: float = 1e-3) -> Solution:
    """Run an exactly invertible solver from noise to data, so that its gradient holds a few states whatever the number of slots.

    Parameters
    ----------
    solver, model, grid, z, start
        As for `bdia_numerics.solve`: arrays of JAX of shape (*batch, *data), or a State of them. The model may close over arrays in which
        the gradient is wanted, such as a network's parameters. On the way back it is evaluated twice more at each point, and must
        give the same output again.
    tolerance
        The beginning of the run is rebuilt from its end. If its relative error (Euclidean norm) exceeds this, all gradients are NaN, since
        they would have an error of this size: take fewer slots, float64, or a gamma nearer to 1.

    Returns
    -------
    Solution
        As of `bdia_numerics.solve`.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the step cannot be undone, with the reason.
    ValueError, TypeError
        As `bdia_numerics.solve`.

    Notes
    -----
    Each slot is undone by `invert` on its part of the grid, and its step is then differentiated by `jax.vjp`. The slots that make the first
    states of a multistep solver, and the first slot of its own, are differentiated as they are. There are neither second derivatives nor
    those of forward mode. Under `jax.jit` the compiler orders the work, and may keep a few states of each slot besides.

    Examples
    --------
    >>> import jax
    >>> from bdia_numerics import BDIA, grids, schedules
    >>> from bdia_numerics.runs import gradients
    >>> grid = grids.uniform(schedules.vp_linear(), 4, t_min=0.1)
    >>> ones = jax.numpy.ones(3)
    >>> jax.grad(lambda z: gradients.solve(BDIA(), lambda z, t: jax.numpy.tanh(z), grid, z).z.sum())(ones).shape
    (3,)
    """
    solving.check_arguments(solver, model, grid)
    shape, kind, begun = structure(solver), prediction_of(model), Solution(z, z, 0)
    if not isinstance(z, State):
        begun = solving.solve(solver, model, grid[max(grid.n - shape.depth - 1, 0) :], z, start)
        if grid.n <= shape.depth + 1:
            return begun
        grid = grid[: grid.n - 1]
    first: State = begun.state  # type: ignore[assignment]  # whole at the end of a run
    like = next(iter(first.registers.values()))
    space = of(like)
    if not hasattr(like, "at"):
        raise TypeError(f"z is in {space.name}: pass arrays of JAX, and tensors to bdia_numerics.torch.gradients.solve")
    solving.inverse_plan(solver, grid, kind, space)
    # What the model closes over must be an argument of what is given a gradient of its own; each array once for all times.
    calls = solving.resumed(solver, grid, kind, space).calls
    made = {x.t: jax.closure_convert(lambda z, t=x.t: space.asked(model, z, t), like) for x in calls}
    held = {id(x): x for _, own in made.values() for x in own}

    def opened(values: dict[int, Any]) -> Predicting:
        return Predicting(lambda z, t: made[t][0](z, *(values[id(x)] for x in made[t][1])), kind)

    def stepped(part: Grid, state: State, values: dict[int, Any]) -> tuple[State | None, Any]:
        found = solving.solve(solver, opened(values), part, state)
        return found.state, found.status.ok

    def forward(state: State, values: dict[int, Any]) -> tuple[Any, Any]:
        found = stepped(grid, state, values)
        return found, (state, found[0], values)

    def backward(kept: tuple[State, State, dict[int, Any]], weights: tuple[Any, Any]) -> tuple[Any, Any]:
        first, state, values = kept
        adjoints, slopes = weights[0], jax.tree.map(jnp.zeros_like, values)
        for i in range(1, grid.n - shape.depth + 1):
            part = grid[i - 1 : i + shape.depth]
            state = solving.invert(solver, opened(values), part, state).state  # type: ignore[assignment]
            _, pull = jax.vjp(lambda *x, part=part: stepped(part, *x)[0], state, values)
            adjoints, more = pull(adjoints)
            slopes = jax.tree.map(jnp.add, slopes, more)
        pairs = [(jnp.ravel(x), jnp.ravel(state.registers[name] - x)) for name, x in first.registers.items()]
        near = jnp.stack([jnp.linalg.norm(e) <= tolerance * jnp.linalg.norm(x) for x, e in pairs]).all()
        return jax.tree.map(lambda x: jnp.where(near, x, jnp.nan), (adjoints, slopes))

    run = jax.custom_vjp(lambda state, values: stepped(grid, state, values))
    run.defvjp(forward, backward)
    state, ok = run(first, held)
    return Solution(state.registers[shape.output], state, begun.nfe + len(calls), Status(begun.status.ok & ok))
