"""Approximate inversions: how a state of data is taken to noise where the solver's step cannot be undone exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bdia_numerics.grids import Grid
from bdia_numerics.program import Recorder, Solver
from bdia_numerics.run import Solution, Status, solve

Method = Callable[[Solver, Any, Grid, Any], Solution]
"""method(solver, model, grid, x_0) returns a Solution whose `.z` is the latent, z_N."""


@dataclass(frozen=True)
class DDIMInversion:
    """DDIM inversion: the DDIM step towards the noise, with the model told the time at which the step ends.

    z_i = z_{i-1} + Delta(t_{i-1} -> t_i | z_{i-1}), eps taken at (z_{i-1}, t_i)

    It is a step program for the reversed grid, and a method for `encode`.

    State     z_{i-1}, of shape (*batch, *data)
    Order     1; the round trip with DDIM misses by O(1/N)
    NFE       1 per step
    Source    paper, eq. (10); with `at_target` False the time is that of the state, as in eq. (23)
    """

    at_target: bool = True
    registers = ("z",)

    def step(self, s: Recorder) -> None:
        """Record the step between two neighbours of the reversed grid."""
        (z,) = s.registers
        e = s.eps(z, at=s.i - 1 if self.at_target else s.i)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, e), at=s.i - 1)

    def __call__(self, solver: Solver, model: Any, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; the solver is not used."""
        found = solve(self, model, grid.reversed(), x_0, return_trajectory=True)
        return replace(found, status=mirrored(found.status, grid.n))


def mirrored(status: Status, n: int) -> Status:
    """Return the status of a run on the reversed grid of n slots with the slot counted as in sampling."""
    return status if status.slot is None else replace(status, slot=n + 1 - status.slot)
