"""How far the steps of a run on a network are from conformally symplectic, by products with Jacobians at random directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bdia_numerics.analysis.geometry import step_determinants
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.spaces import of
from bdia_numerics.torch.growth import Map, linearised_run, slot_instructions, tangent_map

Array = np.ndarray[Any, Any]


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
    if len(names) != 2:
        raise ValueError(f"{solver!r} has {len(names)} registers: the symplectic form pairs exactly two")
    if probes < 2:
        raise ValueError(f"probes={probes}: take 2 or more, so that they have a spread")
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
