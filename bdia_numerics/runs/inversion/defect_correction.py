"""Defect correction: an approximate inversion, of data moved until the run from its latent returns to the data given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.inversion.ddim import DDIMInversion, Method, name_of
from bdia_numerics.runs.inversion.fixed_point import Array, Iteration, fixed_point
from bdia_numerics.runs.solving import Model, Solution, prepared, solve


@dataclass(frozen=True)
class CorrectedSolution(Solution):
    """Solution of a defect correction.

    Attributes
    ----------
    residuals : array, shape (rows,)
        For each row of x_0, the largest element of |solve(z_N) - x_0|.
    converged : array of bool, shape (rows,)
        Whether it is within the tolerance. If not in all, the status is an `Unconverged`.
    updates : int
        Updates made.
    """

    residuals: Array = field(default_factory=lambda: np.zeros(0))
    converged: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))
    updates: int = 0


@dataclass(frozen=True)
class DefectCorrection(Iteration):
    """Solve S(E(w)) = x_0 for w, with S the whole run of any solver and E an approximate inversion; the latent is E(w).

    w <- w + (x_0 - S(E(w))),       from w = x_0

    What is solved is the round trip itself, the starter and the history of a multistep solver included, whose
    predictions need no guess here: each comes from the run. E may be an inversion of another solver, since it only has
    to be near the inverse.

    Order     exact, to the tolerance, where it converges: plainly if S E is near the identity, as on fine grids
    NFE       (updates + 1) times that of `base` and of a run, and once more that of `base`
    Requires  numbers that compare: floats, mpf, and fractions with a tolerance; NumPy floats for memory > 0
    Source    Stetter, Numer. Math. 29 (1978) 425, method B, applied to the latent in place of a discretisation

    Parameters
    ----------
    iterations
        The largest number of updates.
    memory
        Earlier iterates in Anderson's acceleration; 0 is the plain iteration. Rows are accelerated each on its own.
    tolerance
        Relative to the largest |x_0| of a row, or to 1 if that is larger; None is 64 units of rounding.
    base
        E, a method of this package; DDIMInversion(substeps=4) converges on coarser grids than the default.

    Raises
    ------
    ValueError
        For parameters out of range.
    TypeError
        Called with symbols or lattice states, and with memory where NumPy's floats are not used.

    Notes
    -----
    A coarse run of a solver of order 2 or more need not be injective: then several latents return to x_0, and this finds
    one of them, which may be far from that of the ODE. Look at both sides of `round_trip`.
    """

    base: Method = field(default_factory=DDIMInversion)

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"defect correction of {name_of(self.base)}"

    def __call__(self, solver: Solver, model: Model, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; returns a `CorrectedSolution`, without a trajectory."""
        space, grid = prepared("x_0", x_0, grid)
        target, relative = self.admitted("x_0", x_0, space)
        nfe = 0

        def defect(w: Array) -> Array:
            nonlocal nfe
            there = self.base(solver, model, grid, w)
            nfe += there.nfe
            if space.finite(there.z):
                back = solve(solver, model, grid, there.z)
                nfe += back.nfe
                if back.status.ok:
                    return np.asarray(target - back.z)
            return np.full_like(target, np.inf)

        with space.working():
            solved = fixed_point(defect, target, 1, relative=relative, target=target, options=self)
            there = self.base(solver, model, grid, solved.z)
        return CorrectedSolution(
            z=there.z,
            state=None,
            nfe=nfe + there.nfe,
            status=solved.status(grid.n, structure(solver).output) if space.finite(there.z) else there.status,
            residuals=solved.residual,
            converged=np.asarray(solved.residual <= solved.enough, dtype=bool),
            updates=solved.evaluations - 1,
            inversion=self.label,
        )
