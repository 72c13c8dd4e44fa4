"""The registers with which the steps of a run begin, made with their graph where one is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from bdia_numerics import run
from bdia_numerics.driver import Model, Status
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure


def begun(
    solver: Solver, model: Model, grid: Grid, z: torch.Tensor, start: Any = None
) -> tuple[dict[str, torch.Tensor], int, Status]:
    """Return the registers before the first step, the evaluations that they took, and whether their making went well.

    Parameters
    ----------
    solver, model, grid, z, start
        As for `bdia_numerics.solve`.
    """
    if isinstance(start, Mapping):
        return {**start}, 0, Status()
    depth, chain, nfe = structure(solver).depth, {grid.n: z}, 0
    first = grid.n - depth
    if start is not None and not hasattr(start, "step"):
        chain |= {grid.n - 1 - k: state for k, state in enumerate(start)}
    elif depth:
        part = run.solve(start or run.starter_of(solver), model, grid[first : grid.n], z, return_trajectory=True)
        if not part.status.ok:
            return {}, part.nfe, part.status
        chain |= {first + k: part.trajectory[k] for k in range(depth)}
        nfe = part.nfe
    registers, more = run.begin(solver, model, grid, chain, first)
    return registers, nfe + more, Status()
