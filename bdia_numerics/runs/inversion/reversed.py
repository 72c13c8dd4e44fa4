"""The solver itself on the reversed grid: an inversion of the solver's own order, for solvers whose step cannot be undone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver
from bdia_numerics.runs.inversion.ddim import mirrored
from bdia_numerics.runs.solving import Solution, solve


@dataclass(frozen=True)
class Reversed:
    """Run the solver from data to noise: its own step on the reversed grid, from its own start there.

    State     those of the solver; a multistep one makes its first states at the data end by its own starter
    Order     that of the solver, on the reversed grid; the round trip misses by the errors of both runs
    NFE       that of the solver
    Requires  what the solver requires, at the data end as at the noise end: sigma_0 != 0 where it divides by sigma, or where
              the model leaves eps open at sigma = 0
    Same as   DDIM inversion told its own time, eq. (23), for DDIM
    Source    the ODE (2) has no direction; for DPM-Solver++ it is the inverse scheduler of diffusers

    Raises
    ------
    ValueError
        Called, where the solver has no step on the reversed grid: in one line, with the condition.

    Examples
    --------
    >>> import numpy as np
    >>> from bdia_numerics import encode, grids, problems, schedules, solvers
    >>> schedule = schedules.vp_cosine()
    >>> grid, law = grids.uniform(schedule, 20, t_max=0.95, t_min=0.02), problems.Gaussian([0.0], 1.0)
    >>> encode(solvers.RK4(), law.model(schedule), grid, np.array([[0.5]]), Reversed()).inversion
    'solver on the reversed grid'
    """

    label = "solver on the reversed grid"

    def __call__(self, solver: Solver, model: Any, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; raises as the class says."""
        found = solve(solver, model, grid.reversed(), x_0, return_trajectory=True)
        return replace(found, status=mirrored(found.status, grid.n), inversion=self.label)
