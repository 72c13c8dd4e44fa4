"""Gradients of a whole run in memory that does not grow with its steps: states are rebuilt by the derived inverse.

    from bdia_numerics.torch import gradients

    found = gradients.solve(BDIA(), model, grid, z)
    loss(found.z).backward()  # z.grad, and the .grad of the network's parameters

Back-propagation walks the slots of a run backwards. At each it undoes the slot by the derived inverse, which evaluates the model where the
run did, and pulls the adjoints of the registers back through the same instructions that the run carried out. No formula of any
solver stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import NotInvertibleError, Solver, inverse_run, make_plan, record_steps
from bdia_numerics.runs import solving
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Callback, Course, Model, Solution
from bdia_numerics.spaces import of
from bdia_numerics.spaces.values import ordered
from bdia_numerics.torch.networks.jacobians import recording
from bdia_numerics.torch.reversal import OneByOne, ReversibleRun

__all__ = ["invert", "solve"]


@ordered
def solve(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: torch.Tensor | State,
    start: Any = None,
    *,
    parameters: Iterable[torch.Tensor] | None = None,
    checkpoints: int = 0,
    tolerance: float = 1e-3,
) -> Solution:
    """Run an exactly invertible solver from noise to data, differentiably, holding a few states whatever the number of slots.

    Parameters
    ----------
    solver, model, grid, z, start
        As for `bdia_numerics.solve`: tensors of shape (*batch, *data). The model is evaluated once more at each point on the way back, so
        it must give the same output again (dropout off).
    parameters
        Tensors besides z that the model depends on and whose gradients are wanted; the parameters of the model's network that require
        gradients by default.
    checkpoints
        How many states, equally far apart, are kept besides the two ends. Rebuilding begins anew at each: the remedy where the
        inverse magnifies rounding (gamma < 1, long runs), and memory grows with them.
    tolerance
        The beginning of the run is rebuilt from its end. If its relative error (root mean square) exceeds this, the gradients are that far
        off, and a RuntimeWarning says so. It is always compared, and costs one state.

    Returns
    -------
    Solution
        Its `.z` and the registers of its `.state` carry the graph. A run that was not finite carries none; see `.status`.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the step cannot be undone, with the reason.
    ValueError
        For a model that depends on other tensors that require gradients, one that records none, and as `bdia_numerics.solve`.

    Notes
    -----
    The graph of one evaluation stands at a time, and its memory is all that a run takes besides its states; of two for BDIA2 and of three
    for BDIA3, which undo a step with evaluations of steps before it. The start of a multistep solver, at most three slots, keeps its
    states; what its evaluations would be remembered for is evaluated again, which takes BDIA2 one more and BDIA3 two. The gradient has no
    derivative of its own.
    """
    model = recording(model)
    if isinstance(z, State):
        registers, nfe = dict(z.registers), 0
    else:
        registers, nfe, status = solving.begun(solver, OneByOne(model), grid, z, start)
        if not status.ok:
            return solving.solve(solver, model, grid, z.detach(), start)

    def go(values: dict[str, torch.Tensor], callback: Callback | None) -> Solution:
        if isinstance(z, State):
            return solving.solve(solver, model, grid, replace(z, registers=values), callback=callback)
        return solving.solve(solver, model, grid, z.detach(), values, callback=callback)

    job = _job(solver, model, grid, registers, go, parameters, checkpoints, tolerance, direction="sample")
    found = job.apply(registers)
    return replace(found, nfe=found.nfe + nfe)


@ordered
def invert(
    solver: Solver,
    model: Model,
    grid: Grid,
    state: State,
    *,
    parameters: Iterable[torch.Tensor] | None = None,
    checkpoints: int = 0,
    tolerance: float = 1e-3,
) -> Solution:
    """Run the derived inverse from data to noise, differentiably; its states are rebuilt by the steps of the solver.

    Parameters
    ----------
    solver, model, grid, state
        As for `bdia_numerics.invert`; the registers of the state may require gradients.
    parameters, checkpoints, tolerance
        As for `solve`.

    Returns
    -------
    Solution
        As of `solve`.

    Raises
    ------
    NotInvertibleError, ValueError
        As `solve` and `bdia_numerics.invert`.
    """
    model = recording(model)

    def go(values: dict[str, torch.Tensor], callback: Callback | None) -> Solution:
        return solving.invert(solver, model, grid, replace(state, registers=values), callback=callback)

    registers = dict(state.registers)
    job = _job(solver, model, grid, registers, go, parameters, checkpoints, tolerance, direction="invert")
    return job.apply(registers)


def _job(
    solver: Solver,
    model: Model,
    grid: Grid,
    registers: Mapping[str, torch.Tensor],
    go: Callable[[dict[str, torch.Tensor], Callback | None], Solution],
    parameters: Iterable[torch.Tensor] | None,
    checkpoints: Any,
    tolerance: float,
    *,
    direction: str,
) -> ReversibleRun:
    some = next(iter(registers.values()))
    if not isinstance(some, torch.Tensor):
        raise TypeError(f"z is a {type(some).__name__}: gradients are those of tensors, pass torch.from_numpy(z)")
    if isinstance(checkpoints, bool) or not isinstance(checkpoints, int) or checkpoints < 0:
        raise ValueError(f"checkpoints={checkpoints!r}: pass the number of states to keep, 0 or more")
    space, kind = of(some), prediction_of(model)
    steps = record_steps(solver, grid, kind)
    try:
        undone, _ = inverse_run(steps)
    except NotInvertibleError:
        solving.inverse_plan(solver, grid, kind, space)  # raises the same with the condition and the remedy
        raise
    way, home = (steps, undone) if direction == "sample" else (undone, steps)
    there = make_plan(way, space.scalars)
    back = Course(solver, grid, (make_plan(home, space.scalars, rebuilding=True),), kind)
    wanted = tuple(_trainable(model) if parameters is None else parameters)
    count = len(there.stages)
    places = {round(k * count / (checkpoints + 1)) for k in range(1, checkpoints + 1)} - {0, count}
    kept_at = frozenset(there.stages[k - 1].reached for k in places)
    return ReversibleRun(there, back, model, space, go, wanted, kept_at, tolerance)


def _trainable(model: Any) -> Iterable[torch.Tensor]:
    while model is not None and not isinstance(model, torch.nn.Module):
        model = getattr(model, "network", None) or getattr(model, "model", None)
    return () if model is None else (p for p in model.parameters() if p.requires_grad)
