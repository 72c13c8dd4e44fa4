"""What a run on a network does to perturbations, at its own states.

`growth` measures how much they grow, against companion matrices of the network's own slopes; `probed_defect` how far the steps are from
conformally symplectic. Both take products with the Jacobians of recorded steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from bdia_numerics.analysis.geometry import step_determinants
from bdia_numerics.analysis.perturbation.amplification import amplification, directed_run, running_products, slot_matrix
from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.program import Run, Solver, make_plan, structure
from bdia_numerics.program.plan import Call, Instruction, Plan
from bdia_numerics.runs.solving import begun, invert, solve
from bdia_numerics.spaces import of
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.networks.jacobians import Linearised, Store, linearised, pull, push

Array = np.ndarray[Any, Any]
Map = tuple[Callable[[Store], Store], Callable[[Store], Store]]


@dataclass(frozen=True, eq=False)
class Growth:
    """Amplification of perturbations by a run on a network, at the states of the run, for each state of the batch.

    Attributes
    ----------
    direction : str
        "sample" or "invert".
    slots : array, shape (K,)
        Index i of each slot, in run order.
    steps : array, shape (K, batch)
        Leading singular value of each step, registers after it from registers before it, by power iteration: converged from below.
    total : array, shape (batch,)
        Leading singular value of the whole run of steps, by power iteration: converged from below.
    change : float
        Largest relative change of `total` in the last iteration.
    predicted : array, shape (batch,)
        Spectral norm of the product of companion matrices whose slopes are the Rayleigh quotients `slopes`.
    bare : float
        The same with slope 0: zero-stability alone.
    slopes : array, shape (E, batch)
        v^T E v / v^T v of the model's Jacobian E at each evaluation, v the tangent there of the perturbation that grows most.
    """

    direction: str
    slots: Array
    steps: Array
    total: Array
    change: float
    predicted: Array
    bare: float
    slopes: Array


def growth(
    solver: Solver,
    model: Any,
    grid: Grid,
    z: torch.Tensor,
    *,
    direction: str = "sample",
    iterations: int = 12,
    seed: int = 0,
) -> Growth:
    """Measure how a run amplifies perturbations of the registers that its steps begin with.

    Parameters
    ----------
    solver, model, grid
        As for `bdia_numerics.solve`; the model must treat the states of a batch independently and be differentiable twice.
    z
        z_N, shape (batch, *data), float32 or float64. "invert" is taken at the states of the way back from where z leads.
    direction : {"sample", "invert"}
        The steps, or their derived inverse.
    iterations
        Power iterations for the whole run; half as many for each step.
    seed
        Of the random perturbations.

    Returns
    -------
    Growth

    Raises
    ------
    NotInvertibleError
        (a ValueError) for "invert" of a solver without derived inverse.
    ValueError
        For iterations below 2 and runs that are not finite.
    """
    if iterations < 2:
        raise ValueError(f"iterations={iterations}: take 2 or more")
    run, plan, at = linearised_run(solver, model, grid, z, direction)
    space, calls = of(z), calls_of(plan)
    draw = torch.Generator().manual_seed(seed)

    def random(numbers: list[int]) -> Store:
        return {n: torch.randn(z.shape, generator=draw, dtype=torch.float64).to(z) for n in numbers}

    held = [[h.number for h in at_slot.values()] for at_slot in (plan.inputs, *(x.held for x in plan.stages))]
    slots = [
        tangent_map(slot_instructions(plan, k, before), after, at, space)
        for k, (before, after) in enumerate(pairwise(held))
    ]
    steps = [_leading(step, random(held[k]), max(iterations // 2, 2))[0][-1] for k, step in enumerate(slots)]
    whole = [x for stage in plan.stages for x in stage.instructions]
    ends = [h.number for h in plan.final.values()]
    values, v = _leading(tangent_map(whole, ends, at, space), random(held[0]), iterations)
    slopes = _slopes(whole, v, calls, at, space)
    total = values[-1].numpy()
    return Growth(
        direction=direction,
        slots=np.array([stage.slot for stage in plan.stages]),
        steps=torch.stack(steps).numpy(),
        total=total,
        change=float(np.max(np.abs(total / values[-2].numpy() - 1))),
        predicted=_predicted(run, calls, slopes),
        bare=amplification(solver, grid, direction, J=0.0).total,
        slopes=slopes,
    )


def calls_of(plan: Plan) -> list[Call]:
    """Return the evaluations of a plan, in run order."""
    return [x for stage in plan.stages for x in stage.instructions if isinstance(x, Call)]


def linearised_run(
    solver: Solver, model: Any, grid: Grid, z: torch.Tensor, direction: str
) -> tuple[Run, Plan, dict[int, Linearised]]:
    """Return the steps of a run in one direction, ready for tensors, and the model at each evaluation, by its number."""
    run = directed_run(solver, grid, direction, prediction_of(model))
    plan, places = make_plan(run, of(z).scalars), list[tuple[torch.Tensor, Any]]()

    def noted(x: torch.Tensor, t: Any) -> Any:
        places.append((x.detach().clone(), t))
        return model(x, t)

    with torch.no_grad():
        registers, _, status = begun(solver, model, grid, z)
        listening = Predicting(noted, prediction_of(model))
        if status.ok:
            found = solve(solver, listening if direction == "sample" else model, grid, z, registers)
            if (status := found.status).ok and direction == "invert":
                assert found.state is not None
                status = invert(solver, listening, grid, found.state).status
    if not status.ok:
        raise ValueError(f"the run is not finite ({status}): take more steps or a wider dtype")
    calls = calls_of(plan)
    asked = places[len(places) - len(calls) :]
    return run, plan, {x.target: linearised(model, *place) for x, place in zip(calls, asked, strict=True)}


def tangent_map(instructions: list[Instruction], ends: list[int], at: dict[int, Linearised], space: Any) -> Map:
    """Return the products with the Jacobian of instructions, by the values `ends` that they lead to, and with its transpose."""

    def forwards(tangents: Store) -> Store:
        store = dict(tangents)
        push(instructions, store, lambda n, v: at[n].push(v), space)
        return {n: store[n] for n in ends}

    def backwards(adjoints: Store) -> Store:
        store = dict(adjoints)
        pull(instructions, store, lambda n, u: at[n].pull(u), space)
        return store

    return forwards, backwards


def slot_instructions(plan: Plan, k: int, before: list[int]) -> list[Instruction]:
    """Return the instructions of a slot, after those of earlier slots whose results it remembers."""
    made = {x.target: x for stage in plan.stages[:k] for x in stage.instructions}
    own = list(plan.stages[k].instructions)
    known, first = {*before, *(x.target for x in own)}, list[Instruction]()

    def need(n: int) -> None:
        if n in known or n not in made:
            return
        known.add(n)
        for source in made[n].sources:
            need(source)
        first.append(made[n])

    for x in own:
        for n in x.sources:
            need(n)
    return [*first, *own]


def _leading(step: Map, v: Store, iterations: int) -> tuple[list[torch.Tensor], Store]:
    """Return the estimates of the leading singular value, shape (batch,) each, and the perturbation that grows most."""
    forwards, backwards = step
    names, values = list(v), []
    v = _scaled(v, 1 / _size(v))
    for _ in range(iterations):
        w = forwards(v)
        values.append(_size(w))
        u = backwards(w)
        u = {n: u.get(n, torch.zeros_like(v[n])) for n in names}
        v = _scaled(u, 1 / _size(u))
    values.append(_size(forwards(v)))
    return values, v


def _size(v: Store) -> torch.Tensor:
    return torch.stack([x.flatten(1).double().square().sum(1) for x in v.values()]).sum(0).sqrt().cpu()


def _scaled(v: Store, factors: torch.Tensor) -> Store:
    return {n: x * factors.to(x).reshape(-1, *[1] * (x.ndim - 1)) for n, x in v.items()}


def _slopes(whole: list[Instruction], v: Store, calls: list[Call], at: dict[int, Linearised], space: Any) -> Array:
    found: dict[int, torch.Tensor] = {}

    def slope(number: int, tangent: torch.Tensor) -> torch.Tensor:
        pushed = at[number].push(tangent)
        rows, images = tangent.flatten(1).double(), pushed.flatten(1).double()
        found[number] = ((rows * images).sum(1) / rows.square().sum(1)).cpu()
        return pushed

    push(whole, dict(v), slope, space)
    return torch.stack([found[x.target] for x in calls]).numpy()


def _predicted(run: Run, calls: list[Call], slopes: Array) -> Array:
    """Return the norm of the product of companion matrices, one for each state of the batch."""
    definitions = run.definitions()
    sizes = []
    for column in slopes.T:
        numbers = {x.target: float(J) for x, J in zip(calls, column, strict=True)}
        matrices = np.array([slot_matrix(segment, numbers, definitions) for segment in run.segments])
        sizes.append(np.linalg.norm(running_products(matrices)[-1], 2))
    return np.array(sizes)


@dataclass(frozen=True, eq=False)
class ProbedDefect:
    """Estimates of the Frobenius norms of M^T Omega M - c Omega, divided by that of c Omega; M and c as for `SymplecticDefect`.

    Attributes
    ----------
    slots : array, shape (K,)
        Index i of each step, in run order.
    factors : array, shape (K,)
        c of each step; that of the run is their product.
    steps, step_errors : array, shape (K, batch)
        Of each step, and its standard error, from the spread of the probes.
    run, run_errors : array, shape (batch,)
        Of the whole run of steps.
    """

    slots: Array
    factors: Array
    steps: Array
    step_errors: Array
    run: Array
    run_errors: Array


def probed_defect(
    solver: Solver, model: Any, grid: Grid, z: torch.Tensor, *, probes: int = 8, seed: int = 0
) -> ProbedDefect:
    """Estimate what `analysis.symplectic_defect` computes, and the same of the whole run, where d is too large for matrices.

    For A = M^T Omega M - c Omega and a vector v of independent standard normals |A v|^2 has the mean |A|^2 (Frobenius norm).
    It takes a product with each Jacobian and one with its transpose, and spreads less than u^T A v of a pair.

    Parameters
    ----------
    solver
        Exactly invertible, with two registers.
    model, grid, z
        As for `growth`.
    probes
        Random directions for each step, and for the run.
    seed
        Of the directions.

    Raises
    ------
    NotInvertibleError
        (a ValueError) for a solver that is not exactly invertible.
    ValueError
        For a solver without exactly two registers, probes below 2, runs that are not finite.
    """
    names = structure(solver).registers
    refuse(
        (len(names) != 2, f"{shown(solver)} has {len(names)} registers: the symplectic form pairs exactly two"),
        (probes < 2, f"probes={probes}: take 2 or more, so that they have a spread"),
    )
    factors = np.array([float(c) for c in step_determinants(solver, grid)])
    _, plan, at = linearised_run(solver, model, grid, z, "sample")
    draw, space = torch.Generator().manual_seed(seed), of(z)
    held = [[at_slot[name].number for name in names] for at_slot in (plan.inputs, *(x.held for x in plan.stages))]

    def estimate(instructions: list[Any], before: list[int], after: list[int], factor: float) -> tuple[Array, Array]:
        step = tangent_map(instructions, after, at, space)
        vectors = [torch.randn(2, *z.shape, generator=draw, dtype=torch.float64).to(z) for _ in range(probes)]
        squares = torch.stack([_square(step, before, after, factor, *v) for v in vectors]).numpy()
        size = abs(factor) * np.sqrt(2 * z[0].numel())
        norm, spread = np.sqrt(np.mean(squares, 0)), np.std(squares, 0, ddof=1) / np.sqrt(probes)
        error = np.divide(spread, 2 * norm, out=np.zeros_like(norm), where=norm != 0)
        return norm / size, error / size

    slots = range(len(plan.stages))
    each = [
        estimate(slot_instructions(plan, k, held[k]), held[k], held[k + 1], c)
        for k, c in zip(slots, factors, strict=True)
    ]
    steps, errors = map(np.array, zip(*each, strict=True))
    whole = [x for stage in plan.stages for x in stage.instructions]
    run = estimate(whole, held[0], held[-1], float(np.prod(factors)))
    return ProbedDefect(np.array([x.slot for x in plan.stages]), factors, steps, errors, *run)


def _square(
    step: Map, before: list[int], after: list[int], factor: float, first: torch.Tensor, second: torch.Tensor
) -> torch.Tensor:
    """Return |(M^T Omega M - c Omega) (first, second)|^2, shape (batch,)."""
    forwards, backwards = step
    moved = forwards({before[0]: first, before[1]: second})
    back = backwards({after[0]: moved[after[1]], after[1]: -moved[after[0]]})
    parts = back[before[0]] - factor * second, back[before[1]] + factor * first
    return torch.stack([x.flatten(1).double().square().sum(1) for x in parts]).sum(0).cpu()
