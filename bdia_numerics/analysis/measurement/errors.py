"""Errors against the exact flow of a problem: of a whole run, of single steps from exact history, and of a run over DDIM's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.problems.checks import generator
from bdia_numerics.problems.problem import known_flow
from bdia_numerics.program import Solver, identity, structure
from bdia_numerics.runs.solving import Solution, begin, solve
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces import Array, Drawn, kind_of, of_kind, ordered, plain
from bdia_numerics.texts import one_of

STATES = 32


class ExactProblem(Protocol):
    """What is measured against: a distribution with exact eps and the solution of its probability-flow ODE."""

    def model(self, schedule: Any, /) -> Any:
        """Return the exact eps(z, t) under a schedule."""

    def sample(self, n: int, rng: Any, /) -> Any:
        """Return n draws of clean data, shape (n, D)."""

    def flow(self, z: Any, t_from: Any, t_to: Any, schedule: Any, /) -> Any:
        """Return the states at t_to that the ODE reaches from z at t_from."""


@dataclass(frozen=True, eq=False, repr=False)
class GlobalError(Drawn):
    """How far a run is from the exact solution, at every point of the grid.

    Attributes
    ----------
    solver, start
        What ran, and how its first states were made.
    t, rms, largest : array, shape (N+1,)
        Times; root mean square and largest absolute value of the error over all states and elements; index 0 is the data end.
        A norm, so that errors of different states or of different sign cannot cancel.
    end : array, shape (*batch, *data)
        Numerical less exact state at the data end.
    nfe : int
        Model evaluations of the run; those of an exact start are not counted, but for filling registers that hold evaluations.
    """

    solver: str
    start: str
    t: Array
    rms: Array
    largest: Array
    end: Array
    nfe: int

    @property
    def error(self) -> float:
        """Root mean square at the data end."""
        return float(self.rms[0])


@dataclass(frozen=True, eq=False, repr=False)
class LocalErrors(Drawn):
    """The errors of single steps from exact history.

    Attributes
    ----------
    solver
        What was analysed.
    slots : array, shape (K,)
        Index i of each slot, from t_i to t_{i-1}, in sampling order; K is N less the slots that the start takes.
    registers
        Names, in the order of the second axis of `errors`.
    output
        The register that is the solution's `.z`.
    errors : array, shape (K, r, *batch, *data)
        Numerical less exact registers after the step.
    h : array, shape (K,)
        Step in sigma/alpha, negative in sampling; NaN where it is infinite.
    """

    solver: str
    slots: Array
    registers: tuple[str, ...]
    output: str
    errors: Array
    h: Array

    @property
    def of_output(self) -> Array:
        """Error of the state that the step computes, shape (K, *batch, *data)."""
        return np.asarray(self.errors[:, self.registers.index(self.output)])

    @property
    def rms(self) -> Array:
        """Root mean square of `of_output` over states and elements, shape (K,)."""
        return np.array([root_mean_square(e) for e in self.of_output])


@ordered
def global_error(
    solver: Solver, problem: ExactProblem, grid: Grid, *, states: Any = STATES, start: Any = "exact", seed: int = 0
) -> GlobalError:
    """Return the error of a run along the whole grid.

    Parameters
    ----------
    solver
        Any solver.
    problem
        A distribution with `model`, `sample` and `flow`.
    grid
        A grid with a schedule, in floats or mpmath.
    states
        A number of states to draw at t_N, or the states, shape (*batch, *data).
    start
        "exact": the first states of a multistep solver lie on the problem's flow; "own": as the solver makes them; or a
        one-step solver that makes them.
    seed
        Of the states that are drawn.

    Returns
    -------
    GlobalError
        By index of the grid.

    Raises
    ------
    ValueError
        For a grid without a schedule, another start, a number of states below 1.

    Examples
    --------
    >>> from bdia_numerics import DDIM, analysis, problems
    >>> found = analysis.global_error(DDIM(), problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20))
    >>> f"{found.error:.1e}", found.nfe
    ('2.0e-02', 20)
    """
    truth = exact_states(problem, grid, states, seed)
    run = run_from(solver, problem, grid, truth, start, return_trajectory=True)
    # States of an exact start are given, and the run does not show them.
    given = grid.n - structure(solver).depth if isinstance(start, str) and start == "exact" else grid.n
    gaps = [as_floats64((truth[i] if i > given else run.trajectory[i]) - truth[i]) for i in range(grid.n + 1)]
    return GlobalError(
        solver=identity(solver),
        start=start if isinstance(start, str) else identity(start),
        t=as_floats64(grid.t),
        rms=np.array([root_mean_square(g) for g in gaps]),
        largest=np.array([float(np.max(np.abs(g))) for g in gaps]),
        end=gaps[0],
        nfe=run.nfe,
    )


@ordered
def local_truncation_error(
    solver: Solver, problem: ExactProblem, grid: Grid, *, states: Any = STATES, seed: int = 0
) -> LocalErrors:
    """Return the error of each step whose registers are all exact before it.

    Registers that hold states are put on the problem's flow at the time at which they stand, those that hold evaluations are
    evaluated there.

    Parameters
    ----------
    solver, problem, grid, states, seed
        As for `global_error`.

    Raises
    ------
    ValueError
        As for `global_error`, and for a grid too short for the start.
    """
    truth = exact_states(problem, grid, states, seed)
    shape, history = structure(solver), Exact(solver, problem.model(grid.schedule), grid, truth)
    slots = np.array(history.slots)
    errors = np.array([history.errors(i) for i in history.slots])
    with np.errstate(all="ignore"):
        s = as_floats64(grid.sigma) / as_floats64(grid.alpha)
        h = s[slots - 1] - s[slots]
    h[~np.isfinite(h)] = np.nan
    return LocalErrors(identity(solver), slots, shape.registers, shape.output, errors, h)


@dataclass
class Exact:
    """Registers of a solver filled from exact states, and single steps from them."""

    solver: Solver
    model: Any
    grid: Grid
    truth: Array

    def __post_init__(self) -> None:
        self.depth = structure(self.solver).depth
        if self.grid.n <= self.depth:
            raise ValueError(
                f"grid of n={self.grid.n} slots leaves no step after the start of {identity(self.solver)}: take more slots"
            )
        self._filled: dict[int, Mapping[str, Any]] = {}

    @property
    def slots(self) -> list[int]:
        """Indices i of the slots that steps take, in sampling order."""
        return list(range(self.grid.n - self.depth, 0, -1))

    def registers(self, i: int) -> Mapping[str, Any]:
        """Return the exact registers before the step from t_i."""
        if i not in self._filled:
            chain = {k: self.truth[k] for k in range(i, i + self.depth + 1)}
            self._filled[i] = begin(self.solver, self.model, self.grid, chain, i)[0]
        return self._filled[i]

    def step(self, i: int, registers: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the registers after the step from t_i to t_{i-1}."""
        part = self.grid[i - 1 : i + self.depth]
        solution = solve(self.solver, self.model, part, next(iter(registers.values())), start=dict(registers))
        if solution.state is None or not solution.status.ok:
            raise ArithmeticError(f"the step of {identity(self.solver)} from i={i} failed: {solution.status}")
        return solution.state.registers

    def errors(self, i: int) -> Array:
        """Return the errors of the step from t_i in all registers, shape (r, *batch, *data)."""
        after, exact = self.step(i, self.registers(i)), self.registers(i - 1)
        return np.array([as_floats64(after[name] - exact[name]) for name in structure(self.solver).registers])


def run_from(
    solver: Solver, problem: ExactProblem, grid: Grid, truth: Array, start: Any, *, return_trajectory: bool = False
) -> Solution:
    """Run a solver from exact states at the noise end; `start` as for `global_error`."""
    if isinstance(start, str):
        one_of("start", start, ("exact", "own"))
        given = range(grid.n - 1, grid.n - structure(solver).depth - 1, -1)
        start = [truth[k] for k in given] if start == "exact" else None
    model = problem.model(grid.schedule)
    return solve(solver, model, grid, truth[grid.n], start, return_trajectory=return_trajectory)


def noisy_states(problem: ExactProblem, grid: Grid, states: Any, seed: int = 0) -> Any:
    """Return states at t_N in the grid's number system: given ones, or that many draws of the distribution at its noise level."""
    if grid.schedule is None:
        raise ValueError(
            "grid has no schedule, and the exact flow needs one: make it with a named grid or from_timesteps"
        )
    with grid.space.working():
        if np.ndim(states) or not isinstance(states, int | np.integer) or isinstance(states, bool):
            array = np.asarray(plain("states", states))
            return array if kind_of(array) != "objects" and grid.space.floats else grid.space.states(array)
        if states < 1:
            raise ValueError(f"states={states}: draw at least 1, or pass an array of states")
        of_kind("problem", "problem", problem, "sample")
        rng = generator(seed)
        x = np.asarray(problem.sample(int(states), rng), dtype=np.float64)
        alpha, sigma = float(grid.alpha[grid.n]), float(grid.sigma[grid.n])
        return grid.space.states(alpha * x + sigma * rng.standard_normal(x.shape))


def exact_states(
    problem: ExactProblem, grid: Grid, states: Any, seed: int = 0, indices: Iterable[int] | None = None
) -> Array:
    """Return `noisy_states` z and the exact states that they lead to, shape (N+1, *batch, *data); where not at all indices, z elsewhere."""
    return certified_states(problem, grid, states, seed, indices)[0]


def certified_states(
    problem: ExactProblem, grid: Grid, states: Any, seed: int = 0, indices: Iterable[int] | None = None
) -> tuple[Array, float]:
    """Return `exact_states`, and the error that the problem's certificates state for them; NaN if it has none."""
    n, t, z = grid.n, grid.t, noisy_states(problem, grid, states, seed)
    certificate = getattr(problem, "flow_certificate", None)
    numerical = certificate is not None and not certificate.exact
    truth, error = [z] * (n + 1), 0.0
    with grid.space.working():
        latest = n
        for i in sorted(range(n) if indices is None else indices, reverse=True):
            if i < n:
                # A numerical reference goes on from the last point; what is exact starts anew, so that no rounding adds up.
                origin = latest if numerical else n
                truth[i], stated = known_flow(problem, truth[origin], t[origin], t[i], grid.schedule)
                error, latest = error + stated, i
    return np.array(truth, dtype=z.dtype), error


def doubt(
    problem: ExactProblem, start: Array, end: Array, times: tuple[Any, Any], schedule: Any, stated: float
) -> float:
    """Return the error of an exact end apart from rounding: what is stated, and else what its flow misses on the way back."""
    if not math.isnan(stated):
        return stated
    back, _ = known_flow(problem, end, times[1], times[0], schedule)
    return root_mean_square(as_floats64(back) - as_floats64(start))


def as_floats64(array: Any) -> Array:
    """Return an array of any real number system as float64."""
    return np.asarray(array, dtype=np.float64)


def root_mean_square(array: Array) -> float:
    """Return the root mean square over all elements; infinite where it is not finite."""
    with np.errstate(all="ignore"):
        scale = float(np.max(np.abs(array)))
        if scale == 0 or not math.isfinite(scale):
            return 0.0 if scale == 0 else math.inf
        return scale * float(np.sqrt(np.mean((array / scale) ** 2)))


STEPS = (48, 64, 96, 128, 192, 256)
LEAST = 5
WIDER = 2.0
"""The half-width is this many times what the choice of levels and the degree of the fit change."""


@dataclass(frozen=True, repr=False)
class ErrorRatio(Drawn):
    """A solver's error over DDIM's on the same states and grids: the factor by which DDIM's errors fit it best, with its sign.

    Attributes
    ----------
    solver : str
        What was measured.
    limit, half_width : float
        Extrapolated to infinitely many steps, and how far that can be off.
    steps : tuple of int
        Numbers of steps.
    ratios : tuple of float
        The factor at each.
    alignment : float
        Cosine between the two errors over the states, at the finest grid: 1 or -1 where one is a multiple of the other.
    """

    solver: str
    limit: float
    half_width: float
    steps: tuple[int, ...]
    ratios: tuple[float, ...]
    alignment: float


def error_over_ddim(
    solver: Solver,
    problem: ExactProblem,
    family: Callable[[int], Grid],
    *,
    steps: Sequence[int] = STEPS,
    states: int = 32,
) -> ErrorRatio:
    """Measure the limit of a solver's global error over DDIM's on smooth grids, from exact first states.

    Parameters
    ----------
    solver
        Any solver.
    problem
        A distribution with an exact flow.
    family
        Grids by their number of slots, smooth; even numbers, so that what oscillates has one sign.
    steps
        At least five rising numbers of slots.
    states
        How many are drawn at t_N.

    Raises
    ------
    ValueError
        For fewer numbers of steps.
    ArithmeticError
        If a run is not finite.
    """
    if len(steps) < LEAST or list(steps) != sorted(set(steps)):
        raise ValueError(f"steps={tuple(steps)}: pass at least {LEAST} rising numbers of steps")
    depth, ratios, alignment = structure(solver).depth, [], 0.0
    for n in steps:
        grid = family(n)
        truth = exact_states(problem, grid, states, indices=[0, *range(grid.n - depth, grid.n)])
        with np.errstate(all="ignore"):
            runs = [run_from(s, problem, grid, truth, "exact") for s in (solver, DDIM())]
        if bad := next((run.status for run in runs if not run.status.ok), None):
            raise ArithmeticError(f"{identity(solver)} over {n} slots: {bad}")
        own, other = (np.asarray(run.z - truth[0], dtype=np.float64) for run in runs)
        product, size = float(np.sum(own * other)), float(np.sum(other**2))
        ratios.append(product / size)
        alignment = product / float(np.sqrt(size * np.sum(own**2))) if np.any(own) else 0.0
    # Polynomials in 1/N, at 0.
    inverse = 1 / np.array(steps, dtype=float)
    limits = [float(np.polyfit(inverse[k:], ratios[k:], degree)[-1]) for k, degree in ((0, 2), (1, 2), (2, 1), (0, 3))]
    width = WIDER * max(abs(x - limits[0]) for x in limits[1:])
    return ErrorRatio(identity(solver), limits[0], width, tuple(steps), tuple(ratios), alignment)
