"""Implicit inversion: each step of the solver, solved for the state that it starts from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.inversion.ddim import DDIMInversion
from bdia_numerics.runs.inversion.fixed_point import (
    Array,
    Iteration,
    Solved,
    fixed_point,
    largest,
    rows_of,
)
from bdia_numerics.runs.inversion.steps import Step, step_at
from bdia_numerics.runs.solving import Model, Solution, Status, prepared, solve


@dataclass(frozen=True)
class ImplicitSolution(Solution):
    """Solution of an implicit inversion; its status is an `Unconverged` where a slot missed the tolerance.

    The slots after such a one go on from the best that was found.

    Attributes
    ----------
    residuals : array, shape (N,)
        For slot i, at index i-1, the largest element of |F_i(z_i; z_{i+1}, ...) - z_{i-1}| at the states returned.
    converged : array of bool, shape (N,)
        Whether the iterations of slot i came within the tolerance in every row, with the history that they were given.
    updates : array of int, shape (N,)
        Updates in each slot.
    """

    residuals: Array = field(default_factory=lambda: np.zeros(0))
    converged: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))
    updates: Array = field(default_factory=lambda: np.zeros(0, dtype=int))


@dataclass(frozen=True)
class ImplicitInversion(Iteration):
    """Solve each step of a solver, F_i(z_i; z_{i+1}, ..., z_{i+depth}) = z_{i-1}, for z_i by fixed-point iterations.

    z_i <- z_i + (z_{i-1} - F_i(z_i; ...))/c_i,       c_i the coefficient of z_i in F_i, eps held

    For DDIM this reads z_i <- a(z_{i-1}, eps(z_i, i)), eq. (9), and it starts at eq. (10). The slots are solved one
    after the other, from data to noise.

    For a one-step solver these are the equations of the run itself. A multistep solver has its predictions at z_{i+1},
    ..., z_{i+depth} in the equation of slot i, and those states are not known yet. They are taken from `start`, run on
    from z_{i-1}, and stay fixed, as in the source: then the equations hold for that history and not for the one that a
    run from the latent will have, and the round trip is not exact. `residuals` tells by how much, and
    `DefectCorrection` closes the gap.

    Order     exact, to the tolerance, where the iterations converge and the solver is one-step: the round trip misses by
              the residuals, as the sampler amplifies them. Else that of `start` in the history
    NFE       per slot that of the step times (updates + 1), and `start` over depth + 1 slots; with a history its depth,
              and 1 + depth once more to take the residual
    Requires  numbers that compare: floats, mpf, and fractions with a tolerance; NumPy floats for memory > 0
    Source    paper, eq. (9); Pan et al., ICCV 2023 (AIDI); Hong et al., CVPR 2024 (DPM-Solver++ (2M))

    Parameters
    ----------
    iterations
        The largest number of updates in each slot.
    memory
        Earlier iterates in Anderson's acceleration; 0 is the plain iteration. Rows are accelerated each on its own.
    tolerance
        Relative to the largest |z_{i-1}| of a row, or to 1 if that is larger; None is 64 units of rounding.
    start
        Makes the first guesses and the history.

    Raises
    ------
    ValueError
        For parameters out of range; called, for a solver with several states at one time, and at alpha_i = 0 for
        models that predict eps, x0 or score.
    TypeError
        Called with symbols or lattice states, and with memory where NumPy's floats are not used.

    Notes
    -----
    On the exact model of a distribution the DDIM step has one solution at most. In y = z/alpha, s = sigma/alpha, with
    eps = (y - E[x|y])/s, dF_i/dy = s_{i-1}/s_i + (1 - s_{i-1}/s_i) Cov(x|y)/s_i^2 is symmetric and positive definite
    wherever s_{i-1} > 0. The plain iteration contracts near the solution if there (1 - s_{i-1}/s_i) |1 - Cov(x|y)/s_i^2| < 1:
    always for a single Gaussian, where Cov(x|y) < s_i^2, and not between distant modes on a coarse grid. To sigma = 0
    the step is E[x|y], and data outside its range have no z_1.
    """

    start: DDIMInversion = field(default_factory=DDIMInversion)
    label = "implicit inversion"

    def __call__(self, solver: Solver, model: Model, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; returns an `ImplicitSolution`."""
        space, grid = prepared("x_0", x_0, grid)
        x_0, relative = self.admitted("x_0", x_0, space)
        with space.working():
            steps = [step_at(solver, model, grid, i + 1) for i in range(grid.n)]
            return replace(_Search(self, model, relative).run(steps, x_0), inversion=self.label)


class _Failed(Exception):
    """The start program left the numbers."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution


@dataclass
class _Search:
    method: ImplicitInversion
    model: Model
    relative: Any
    nfe: int = 0

    def run(self, steps: list[Step], x_0: Array) -> Solution:
        slopes = [step.inverse_slope() for step in steps]
        chain, solved = [x_0], list[Solved]()
        try:
            for i, (step, slope) in enumerate(zip(steps, slopes, strict=True), 1):
                solved.append(self._slot(i, step, slope, chain[-1]))
                chain.append(solved[-1].z)
        except _Failed as failure:
            return failure.solution
        found = [
            s.status(i, structure(step.solver).output) for i, (step, s) in enumerate(zip(steps, solved, strict=True), 1)
        ]
        failures = sorted((s for s in found if s != Status()), key=lambda s: s.ok)
        residuals = [
            self._residual(step, chain[i : i + step.depth + 2]) if step.depth else slot.worst
            for i, (step, slot) in enumerate(zip(steps, solved, strict=True))
        ]
        return ImplicitSolution(
            z=chain[-1][()],
            state=None,
            nfe=self.nfe,
            status=failures[0] if failures else Status(),
            trajectory=np.stack(chain[::-1]),
            residuals=np.asarray(residuals),
            converged=np.asarray([slot.converged for slot in solved]),
            updates=np.asarray([slot.evaluations - 1 for slot in solved]),
        )

    def _slot(self, i: int, step: Step, inverse_slope: Any, target: Array) -> Solved:
        naive = solve(self.method.start, self.model, step.part.reversed(), target, return_trajectory=True)
        self.nfe += naive.nfe
        if not naive.status.ok:
            raise _Failed(replace(naive, nfe=self.nfe, trajectory=None, status=replace(naive.status, slot=i)))
        history, nfe = step.history(naive.trajectory[step.depth :: -1])
        self.nfe += nfe

        def defect(z: Array) -> Array:
            found = step(z, history)
            self.nfe += found.nfe
            return np.asarray(target - found.z)

        guess = np.asarray(naive.trajectory[step.depth])
        return fixed_point(defect, guess, inverse_slope, relative=self.relative, target=target, options=self.method)

    def _residual(self, step: Step, states: list[Array]) -> float:
        """Return how far a step, with its history from the states returned, ends from the one that it should."""
        history, nfe = step.history(states[1:])
        there = step(states[1], history)
        self.nfe += nfe + there.nfe
        with np.errstate(all="ignore"):
            return float(np.max(largest(np.asarray(states[0] - there.z), rows_of(states[0]))))
