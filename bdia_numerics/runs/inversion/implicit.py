"""Inversions by iteration: each step of the solver solved for the state that it starts from, or data moved until its run returns.

The iterations are plain, or accelerated by Anderson's method.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.inversion.steps import INVERSIONS, DDIMInversion, Method, Step, name_of, step_at
from bdia_numerics.runs.solving import Model, Solution, Status, prepared, solve
from bdia_numerics.spaces import Array, Space, kind_of, require_count, require_finite
from bdia_numerics.texts import shown

# Two differences of increments whose directions agree to this many digits say the same about the slope.
PARALLEL = 1e-10


@dataclass(frozen=True)
class Iteration:
    """How to iterate; the methods that take these options explain them."""

    iterations: int = 50
    memory: int = 0
    tolerance: Any = None

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("memory", 0)):
            require_count(name, getattr(self, name), least)
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance={shown(self.tolerance)} cannot be reached: pass a positive number, or None")

    def admitted(self, name: str, z: Any, space: Space) -> tuple[Array, Any]:
        """Return a state as an array, and the tolerance in its number system; ValueError and TypeError as documented."""
        if space.scalars is not space or space.encloses or space.symbolic:
            raise TypeError(f"{name} is in {space.name}, where iterations have no limit: use floats, mpf or fractions")
        require_finite(name, z, space)
        if self.memory and not space.floats:
            raise TypeError(f"memory={self.memory} needs NumPy floats, and {name} is in {space.name}: use memory=0")
        if self.tolerance is not None:
            return np.asarray(z), space.number(self.tolerance)
        if space.exact:
            raise ValueError("tolerance=None has no meaning in fractions, which are never rounded: pass a Fraction")
        return np.asarray(z), float(64 * space.eps) if space.floats else space.number(64 * space.eps)


@dataclass(frozen=True)
class Unconverged(Status):
    """Status of a run with iterations that missed the tolerance; `slot` is the first such one, N for whole runs.

    It is ok if each row came nearer to a solution, and not ok if one ended no nearer than it began: it diverged.
    """

    residual: float = float("nan")

    def __str__(self) -> str:
        how = "stop short of the tolerance" if self.ok else "diverge"
        return f"the iterations at slot i={self.slot} {how}: {self.register} misses by {self.residual:.1e}"


@dataclass(frozen=True)
class Solved:
    """What the iterations found.

    Attributes
    ----------
    z : array
        For each row the iterate of least residual.
    residual, first, enough : array, shape (rows,)
        The largest |defect| of each row at z, the same where the iterations began, and where they were to end.
    evaluations : int
        Evaluations of the defect.
    """

    z: Array
    residual: Array
    first: Array
    enough: Array
    evaluations: int

    @property
    def worst(self) -> float:
        """The largest residual."""
        return float(np.max(self.residual))

    @property
    def converged(self) -> bool:
        """Whether all rows came within the tolerance."""
        return bool(np.all(self.residual <= self.enough))

    @property
    def diverged(self) -> bool:
        """Whether a row is not within the tolerance and no nearer than at the start."""
        return bool(np.any((self.residual > self.enough) & (self.residual >= self.first)))

    def status(self, slot: int, register: str) -> Status:
        """Return the status of the run, as far as these iterations decide it."""
        return Status() if self.converged else Unconverged(not self.diverged, slot, register, self.worst)


def fixed_point(
    defect: Callable[[Array], Array],
    z: Array,
    inverse_slope: Any,
    *,
    relative: Any,
    target: Array,
    options: Iteration,
) -> Solved:
    """Solve defect(z) = 0 by z <- z + inverse_slope defect(z), row by row.

    Parameters
    ----------
    defect
        Maps an array of z's shape to one; its derivative should be near -1/inverse_slope.
    z
        Where to begin. The first axis of an array of two or more axes counts the rows; any other array is one row.
    inverse_slope
        Scalar of the states' number system.
    relative, target
        A row rests once its largest |defect| is at most `relative` times its largest |target|, or 1 if that is larger.
    options
        `iterations` is the largest number of updates; the defect is evaluated at most once more. A row of D elements
        uses a memory of D at most; for D = 1 it is the secant method.

    Returns
    -------
    Solved
        A row whose iterates overflow stops, and keeps its best one.

    Notes
    -----
    D. G. Anderson, J. ACM 12 (1965) 547; as written by Walker and Ni, SIAM J. Numer. Anal. 49 (2011) 1715: with
    f = inverse_slope defect, z <- z + f - (dZ + dF) w, where w minimises |f - dF w| over the differences dZ, dF of the
    latest iterates and their f.
    """
    rows = rows_of(z)
    enough = relative * np.maximum(largest(target, rows), 1)
    best, least = z, np.full(rows, np.inf, dtype=object if kind_of(z) == "objects" else np.float64)
    first: Array | None = None
    resting = np.zeros(rows, dtype=bool)
    past: deque[tuple[Array, Array]] = deque(maxlen=min(options.memory, z.size // max(rows, 1)) + 1)
    evaluations = 0
    with np.errstate(all="ignore"):
        while True:
            r = defect(z)
            evaluations += 1
            norms = largest(r, rows)
            first = norms if first is None else first
            better = norms < least
            best, least = _rowwise(better, z, best), np.where(better, norms, least)
            resting = resting | (least <= enough) | (norms == np.inf)
            if evaluations > options.iterations or resting.all():
                return Solved(best, least, first, enough, evaluations)
            f = r * inverse_slope
            past.append((z, f))
            moved = z + (f if len(past) == 1 else f - _correction(past, f, rows))
            resting = resting | (largest(moved, rows) == np.inf)
            z = _rowwise(resting, best, moved)


def _correction(past: deque[tuple[Array, Array]], f: Array, rows: int) -> Array:
    """Return (dZ + dF) w, shape of f; the weights need few digits, as they only choose the next iterate."""
    states, values = (np.stack([x.reshape(rows, -1) for x in column], axis=-1) for column in zip(*past, strict=True))
    moves, changes = np.diff(states, axis=-1), np.diff(values, axis=-1)
    sizes = np.linalg.norm(changes.astype(np.float64), axis=1, keepdims=True)
    scale = np.where((sizes > 0) & np.isfinite(sizes), 1 / sizes, 0)
    directions = np.nan_to_num(changes * scale, posinf=0, neginf=0).astype(np.float64)
    right = np.nan_to_num(f.reshape(rows, -1, 1).astype(np.float64), posinf=0, neginf=0)
    weights = np.swapaxes(scale, 1, 2) * (np.linalg.pinv(directions, rcond=PARALLEL) @ right)
    return np.asarray(((moves + changes) @ weights.astype(f.dtype)).reshape(f.shape))


def largest(x: Array, rows: int) -> Array:
    """Return the largest absolute value of each row, inf where it is not finite; shape (rows,)."""
    if kind_of(x) != "objects":
        values = np.max(np.abs(x.reshape(rows, -1)), axis=1, initial=0).astype(np.float64)
        return np.where(np.isfinite(values), values, np.inf)
    return np.max(np.abs(x.reshape(rows, -1)), axis=1)


def _rowwise(chosen: Array, x: Array, y: Array) -> Array:
    return np.where(chosen.reshape((-1, *(1,) * (x.ndim - 1))) if x.ndim > 1 else chosen[0], x, y)


def rows_of(z: Array) -> int:
    """Return how many rows an array has: its first axis, if there is another one."""
    return len(z) if z.ndim > 1 else 1


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


INVERSIONS["fixed point"] = ImplicitInversion(3, memory=1)


class _Failed(Exception):
    """The start program left the numbers; its argument is the solution."""


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
            return failure.args[0]
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
