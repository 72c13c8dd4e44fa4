"""DDIM inversion, explicit and approximate: the start of the implicit methods, and the pivot of the guided ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from bdia_numerics.grids import Grid
from bdia_numerics.program import Linear, Recorder, Solver
from bdia_numerics.runs.solving import Solution, Status, solve
from bdia_numerics.texts import shown

Method = Callable[[Solver, Any, Grid, Any], Solution]
"""method(solver, model, grid, x_0) returns a Solution whose `.z` is the latent, z_N; its trajectory begins there."""


@dataclass(frozen=True)
class DDIMInversion:
    """DDIM inversion: the DDIM step towards the noise, with the model told the time at which the step ends.

    z_i = z_{i-1} + Delta(t_{i-1} -> t_i | z_{i-1}), eps taken at (z_{i-1}, t_i)

    It is a step program for the reversed grid, and a method for `encode`.

    State     z_{i-1}, of shape (*batch, *data)
    Order     1; the round trip with DDIM misses by O(1/N)
    NFE       `substeps` per step
    Source    paper, eq. (10); with `at_target` False the time is that of the state, as in eq. (23)
    Options   `substeps` equal parts of each slot in sigma/alpha, for which the grid needs a schedule: the finer naive
              inversion of Hong et al., CVPR 2024
    """

    at_target: bool = True
    substeps: int = 1
    registers = ("z",)

    @property
    def label(self) -> str:
        """Its name in results."""
        parts = f", {self.substeps} parts a slot" if self.substeps > 1 else ""
        return f"DDIM inversion ({10 if self.at_target else 23}){parts}"

    def __post_init__(self) -> None:
        if self.substeps != int(self.substeps) or self.substeps < 1:
            raise ValueError(f"substeps={shown(self.substeps)}: a slot has at least 1 part, pass an int")

    def step(self, s: Recorder) -> None:
        """Record the step between two neighbours of the reversed grid."""
        (z,) = s.registers
        times = [s.i, *(s.between(s.i, s.i - 1, Fraction(k, self.substeps)) for k in range(1, self.substeps)), s.i - 1]
        state: Linear = z
        for start, end in pairwise(times):
            moved = state + s.delta(start, end, state, s.eps(state, at=end if self.at_target else start))
            state = s.scratch(moved, at=end) if end != s.i - 1 else moved
        s.assign(z, state, at=s.i - 1)

    def __call__(self, solver: Solver, model: Any, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; the solver is not used."""
        found = solve(self, model, grid.reversed(), x_0, return_trajectory=True)
        return replace(found, status=mirrored(found.status, grid.n), inversion=self.label)


def name_of(method: Method) -> str:
    """Return what results call an inversion: its `label`, or the name of a function."""
    return str(getattr(method, "label", None) or getattr(method, "__name__", None) or repr(method))


def mirrored(status: Status, n: int) -> Status:
    """Return the status of a run on the reversed grid of n slots with the slot counted as in sampling."""
    return status if status.slot is None else replace(status, slot=n + 1 - status.slot)
