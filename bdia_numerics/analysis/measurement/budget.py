"""Which slots cost most: local errors carried to the end of the run by the method itself; and which gamma balances them best.

For BDIA the errors of samples and of round trips are functions of gamma, from the theory and a few runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import (
    STATES,
    Exact,
    ExactProblem,
    as_floats64,
    exact_states,
    root_mean_square,
    run_from,
)
from bdia_numerics.analysis.perturbation.growth import inverse_growth, inverse_growths, listed
from bdia_numerics.analysis.perturbation.precision import DTYPES, round_trip_error
from bdia_numerics.formulas import number
from bdia_numerics.grids import Grid
from bdia_numerics.problems import Gaussian
from bdia_numerics.program import Solver, identity, structure
from bdia_numerics.runs.solving import begin, solve, starter_of
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces import Array, Drawn, ordered
from bdia_numerics.texts import one_of, shown

# The error of a central difference, of order step^2 and eps/step, is smallest near eps^(1/3).
_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


@dataclass(frozen=True, eq=False, repr=False)
class ErrorBudget(Drawn):
    """The global error as a sum over slots, to first order in the local errors.

    Attributes
    ----------
    solver
        What was analysed.
    slots : array, shape (K,)
        Index i of each slot, from t_i to t_{i-1}, in sampling order.
    contributions : array, shape (K, *batch, D)
        What the local error of each slot is at the data end.
    start : array, shape (*batch, D)
        The same of the error of the starting registers; 0 for exact starts.
    actual : array, shape (*batch, D)
        Numerical less exact state at the data end.
    """

    solver: str
    slots: Array
    contributions: Array
    start: Array
    actual: Array

    @property
    def predicted(self) -> Array:
        """Sum of all contributions, shape (*batch, D)."""
        return np.asarray(self.contributions.sum(axis=0) + self.start)

    @property
    def rms(self) -> Array:
        """Root mean square of each slot's contribution over states and elements, shape (K,)."""
        return np.array([root_mean_square(c) for c in self.contributions])

    @property
    def shares(self) -> Array:
        """Part of the predicted error that each slot makes, its projection on it, shape (K,); with the start's they sum to 1.

        Negative where a slot takes away what others add.
        """
        return self._share(self.contributions)

    @property
    def start_share(self) -> float:
        """The start's part."""
        return float(self._share(self.start[None])[0])

    @property
    def costliest(self) -> Array:
        """Slots by the size of their contributions, the largest first."""
        return np.asarray(self.slots[np.argsort(-self.rms, kind="stable")])

    @property
    def defect(self) -> float:
        """Root mean square of predicted less actual error, over that of the actual one: what the first order leaves out."""
        return root_mean_square(self.predicted - self.actual) / root_mean_square(self.actual)

    def _share(self, parts: Array) -> Array:
        whole = self.predicted
        return np.asarray(np.array([np.vdot(part, whole) for part in parts]) / np.vdot(whole, whole))


@ordered
def error_budget(
    solver: Solver, problem: ExactProblem, grid: Grid, *, states: Any = STATES, start: Any = "exact", seed: int = 0
) -> ErrorBudget:
    """Share out the error at the data end among the slots.

    A slot's local error, of all registers, is the error of its step from exact history. It travels to the end through the
    Jacobians of the later steps, each a central difference of the step itself at exact registers, so that any solver
    and any problem will do, with all elements of a state coupled.

    Parameters
    ----------
    solver, problem, grid, states, start, seed
        As for `global_error`; the grid in floats, states of shape (*batch, D).

    Raises
    ------
    ValueError
        As for `global_error`.
    TypeError
        For a grid that is not in floats.
    """
    if not grid.space.floats:
        raise TypeError(f"grid is in {grid.space.name}: the budget needs floats, pass grid.to(spaces.FLOAT64)")
    if 0 < np.ndim(states) < 2:
        raise ValueError(f"states has shape {np.shape(states)}: pass (*batch, D)")
    truth = exact_states(problem, grid, states, seed)
    history = Exact(solver, problem.model(grid.schedule), grid, truth)
    run = run_from(solver, problem, grid, truth, start)
    slots = history.slots[::-1]
    local, jacobians = map(history.errors, slots), (step_jacobian(history, i) for i in slots)
    contributions, first = carried(solver, local, jacobians, start_errors(history, start))
    return ErrorBudget(
        identity(solver), np.array(history.slots), contributions[::-1], first, as_floats64(run.z - truth[0])
    )


def carried(solver: Solver, errors: Iterable[Array], jacobians: Iterable[Array], first: Array) -> tuple[Array, Array]:
    """Return what local errors are at the data end, shape (K, *batch, D), and what errors of the starting registers are, shape (*batch, D).

    Errors of the registers have shape (r, *batch, D), Jacobians of the steps (*batch, r, D, r, D), each with the data end first.
    """
    shape, (count, *batch, size) = structure(solver), first.shape
    picked = np.zeros((size, count, size))
    picked[:, shape.registers.index(shape.output)] = np.eye(size)
    row, parts = np.broadcast_to(picked, (*batch, *picked.shape)), []
    for error, jacobian in zip(errors, jacobians, strict=True):
        parts.append(np.einsum("...drk,r...k->...d", row, error))
        row = np.einsum("...drk,...rkqj->...dqj", row, jacobian)
    return np.array(parts), np.einsum("...drk,r...k->...d", row, first)


def step_jacobian(history: Exact, i: int) -> Array:
    """Return the derivative of the registers after the step from t_i by those before it, shape (*batch, r, D, r, D)."""
    names = list(history.registers(i))
    before = np.array([as_floats64(history.registers(i)[name]) for name in names])
    count, *batch, size = before.shape
    scale = _STEP * max(1.0, *map(root_mean_square, before))
    # All directions, forwards and backwards, ride along as one more axis of the batch.
    ways = np.eye(count * size).reshape(count * size, count, *(1 for _ in batch), size)
    moved = before + scale * np.concatenate([ways, -ways])
    after = history.step(i, {name: moved[:, k] for k, name in enumerate(names)})
    forwards, backwards = np.split(np.array([as_floats64(after[name]) for name in names]), 2, axis=1)
    slopes = (forwards - backwards) / (2 * scale)
    return np.moveaxis(slopes.reshape(count, count, size, *batch, size), (0, -1, 1, 2), (-4, -3, -2, -1))


def start_errors(history: Exact, start: Any) -> Array:
    """Return the errors of the starting registers, shape (r, *batch, D)."""
    solver, model, grid, depth = history.solver, history.model, history.grid, history.depth
    n, truth, exact = grid.n, history.truth, history.registers(grid.n - history.depth)
    if isinstance(start, str) and start == "exact":
        return np.zeros((len(exact), *truth[0].shape))
    chain = {n: truth[n]}
    if depth:
        first = starter_of(solver) if isinstance(start, str) else start
        run = solve(first, model, grid[n - depth : n], truth[n], return_trajectory=True)
        chain = {n - depth + k: run.trajectory[k] for k in range(depth + 1)}
    own = begin(solver, model, grid, chain, n - depth)[0]
    return np.array([as_floats64(own[name]) - as_floats64(exact[name]) for name in exact])


TARGETS = ("sample", "round_trip", "both")
NODES = 129
FIRST = 8
"""Intervals of gamma at whose ends runs are made first."""
BENT = 0.05
"""An interval is halved, and its halves in turn, while the curve at its middle is further from a run than this, in parts of it."""
_TRIP_NODES = 13


@dataclass(frozen=True, eq=False, repr=False)
class BestGamma(Drawn):
    """A constant gamma for BDIA on one grid, and what it trades.

    Attributes
    ----------
    gamma : float
        In [0, 1]; above 0 where round trips count.
    target : str
        What was made small: "sample", "round_trip" or "both" (root of the sum of squares).
    predicted_error : float
        Of the target at this gamma, root mean square of an element of z.
    first_order_error : float
        Of samples at this gamma, by the local errors alone.
    gammas, sample, round_trip : array, shape (G,)
        The trade-off: predicted errors at the data end, and of a round trip by rounding (infinite at gamma = 0).
    dtype : str
        Of the round trips.
    costliest : int
        Index i of the slot whose local error is the largest part of the sample's error.
    inverse_growth : float
        How many times the inverse at this gamma enlarges errors on this grid; infinite at 0.
    elsewhere : mapping of str to float
        The same on the grids of `analysis.PRACTICAL` with as many slots.
    why : str
        The answer in a sentence.
    """

    gamma: float
    target: str
    predicted_error: float
    first_order_error: float
    gammas: Array
    sample: Array
    round_trip: Array
    dtype: str
    costliest: int
    inverse_growth: float
    elsewhere: Mapping[str, float]
    why: str

    def __str__(self) -> str:
        return self.why


@ordered
def best_gamma(
    problem: ExactProblem | float,
    grid: Grid,
    *,
    target: str = "sample",
    dtype: str = "float32",
    states: Any = STATES,
    start: Any = "own",
    end: str = "noise",
    seed: int = 0,
) -> BestGamma:
    """Return the constant gamma with the smallest predicted error of BDIA on this grid.

    BDIA's step is affine in gamma, so its local errors and its Jacobians at two values of gamma give them at all: one pass along
    exact trajectories gives the first-order error at the data end as a polynomial in gamma. What it leaves out is measured by runs at
    nine gammas and, where the curve bends, at gammas between, interpolated, and the minimum sought again, until it stays. This takes
    some twenty runs, and at most `NODES`. The round trip's loss is that of `round_trip_error`.

    Parameters
    ----------
    problem
        A distribution with `model`, `sample` and `flow`; or a number, the root mean square of an element of the data, for a Gaussian prior.
    grid
        A grid with a schedule, in floats.
    target : {"sample", "round_trip", "both"}
        The distance of samples from the exact solution; the loss of a round trip by rounding; the root of the sum of their squares.
    dtype : {"float16", "float32", "float64", "longdouble"}
        Of the round trip.
    states, start, seed
        As for `error_budget`; "own" starts with a DDIM step.
    end : {"noise", "data"}
        Where the round trip begins and ends, as for `round_trip_error`.

    Returns
    -------
    BestGamma
        The gamma, and the errors that were predicted at each.

    Raises
    ------
    ValueError
        For another target, dtype or end, a prior that is not positive, a grid without a schedule.
    TypeError
        For a grid that is not in floats.

    Examples
    --------
    >>> from bdia_numerics import analysis, problems
    >>> law, grid = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2]), analysis.GridFamily()(10)
    >>> round(analysis.best_gamma(law, grid, states=4).gamma, 1)
    1.0
    """
    one_of("target", target, TARGETS)
    one_of("dtype", dtype, DTYPES)
    one_of("end", end, ("noise", "data"))
    if not grid.space.floats:
        raise TypeError(f"grid is in {grid.space.name}: gamma is chosen in floats, pass grid.to(spaces.FLOAT64)")
    law: ExactProblem
    if isinstance(problem, int | float | np.number):
        if not 0 < problem < math.inf:
            raise ValueError(
                f"problem={shown(problem)} is not a prior: pass the data's root mean square, a positive number, or a distribution"
            )
        law, data_rms = Gaussian([0], float(problem) ** 2), float(problem)
    else:
        law, data_rms = problem, root_mean_square(np.asarray(problem.sample(4096, np.random.default_rng(seed))))
    theory = SampleError.of(law, grid, states, start, seed)
    gammas = np.linspace(0, 1, NODES)
    back = _round_trips(grid, gammas, data_rms, dtype, end)
    first_order = np.array([theory.end(g) for g in gammas])
    defects: dict[int, Array] = {}

    def sample() -> Array:
        missing = _between(gammas, defects) if defects else np.zeros_like(first_order)
        return np.array([root_mean_square(e) for e in first_order + missing])

    def values() -> Array:
        return {"sample": sample(), "round_trip": back, "both": np.hypot(sample(), back)}[target]

    def run(j: int) -> None:
        defects[j] = theory.measured(gammas[j]) - first_order[j]

    nodes = range(0, NODES, (NODES - 1) // FIRST)
    for j in nodes:
        run(j)
    bent = list(pairwise(nodes))
    while bent:
        low, high = bent.pop()
        if (middle := (low + high) // 2) > low:
            expected = sample()[middle]
            run(middle)
            if not abs(expected - sample()[middle]) <= BENT * sample()[middle]:
                bent += [(low, middle), (middle, high)]
    while (k := int(np.argmin(values()))) not in defects:
        run(k)
    k = min(defects, key=lambda j: values()[j])
    curve, at = sample(), (float(gammas[k]), target, float(values()[k]), root_mean_square(first_order[k]))
    here = inverse_growth(BDIA(float(gammas[k])), grid)
    growths = math.inf if here is None else here, inverse_growths(BDIA(float(gammas[k])), grid.n)
    found = BestGamma(*at, gammas, curve, back, dtype, theory.costliest(gammas[k]), *growths, "")
    return replace(found, why=_sentence(found, k))


def _between(gammas: Array, known: dict[int, Array]) -> Array:
    """Return arrays at all gammas, linear between those that are known."""
    nodes = sorted(known)
    flat = np.array([known[j].ravel() for j in nodes])
    columns = np.array([np.interp(gammas, gammas[nodes], column) for column in flat.T]).T
    return columns.reshape(len(gammas), *known[nodes[0]].shape)


@dataclass(frozen=True, eq=False)
class SampleError:
    """The first-order error at the data end as a function of gamma.

    Attributes
    ----------
    errors, slopes : array, shape (K, r, *batch, D)
        Local errors at gamma = 0, data end first, and their derivatives by gamma.
    jacobians, turns : array, shape (K, *batch, r, D, r, D)
        Jacobians of the steps at gamma = 0, and their derivatives by gamma.
    start : array, shape (r, *batch, D)
        Errors of the starting registers.
    measured
        The error at the data end of a run with a gamma, shape (*batch, D).
    """

    errors: Array
    slopes: Array
    jacobians: Array
    turns: Array
    start: Array
    measured: Callable[[float], Array]

    @classmethod
    def of(cls, problem: ExactProblem, grid: Grid, states: Any, start: Any, seed: int) -> SampleError:
        """Measure local errors and Jacobians at gamma = 0 and 1 along exact trajectories."""
        truth = exact_states(problem, grid, states, seed)
        ends = [Exact(BDIA(g), problem.model(grid.schedule), grid, truth) for g in (0, 1)]
        slots = ends[0].slots[::-1]
        errors = [np.array([end.errors(i) for i in slots]) for end in ends]
        jacobians = [np.array([step_jacobian(end, i) for i in slots]) for end in ends]
        first = start_errors(ends[1], start)

        def measured(gamma: float) -> Array:
            return np.asarray(run_from(BDIA(gamma), problem, grid, truth, start).z - truth[0])

        return cls(errors[0], errors[1] - errors[0], jacobians[0], jacobians[1] - jacobians[0], first, measured)

    def at(self, gamma: float) -> tuple[Array, Array]:
        """Return the slots' contributions, shape (K, *batch, D), data end first, and the start's."""
        errors, jacobians = self.errors + gamma * self.slopes, self.jacobians + gamma * self.turns
        return carried(BDIA(), errors, jacobians, self.start)

    def end(self, gamma: float) -> Array:
        """Return the first-order error at the data end, shape (*batch, D)."""
        parts, first = self.at(gamma)
        return np.asarray(parts.sum(axis=0) + first)

    def costliest(self, gamma: float) -> int:
        """Return the index i of the slot with the largest contribution."""
        return 1 + int(np.argmax([root_mean_square(part) for part in self.at(gamma)[0]]))


def _round_trips(grid: Grid, gammas: Array, data_rms: float, dtype: str, end: str) -> Array:
    """Return the loss by rounding at each gamma, its logarithm interpolated in log gamma; infinite at 0.

    It is nearly a power of gamma, but near 1, where the nodes are dense.
    """
    nodes = 1 - (1 - gammas[1]) * np.linspace(1, 0, _TRIP_NODES) ** 2
    found = [round_trip_error(BDIA(g), grid, end=end, data_rms=data_rms).errors[dtype] for g in nodes]
    largest = np.finfo(np.float64).max
    logs = np.log(np.minimum(found, largest))
    values = np.exp(np.interp(np.log(gammas[1:]), np.log(nodes), logs))
    return np.array([math.inf, *np.where(values >= 0.99 * largest, math.inf, values)])


def _sentence(found: BestGamma, k: int) -> str:
    own, back = found.sample[k], found.round_trip[k]
    ends = f"{number(found.sample[0])} at gamma = 0, {number(found.sample[-1])} at 1"
    if found.target == "round_trip":
        how = "a round trip's roundings grow like gamma^-N, least at 1"
    elif k == 0:
        how = "what the previous slot takes away is worse than what it leaves"
    elif k == len(found.gammas) - 1:
        how = "each slot's error takes away the one before it"
    else:
        how = "errors of neighbouring slots cancel best there"
        if found.target == "both":
            how += ", as far as the round trip allows"
    lost = (
        f"a round trip in {found.dtype} loses {number(back)}"
        if math.isfinite(back)
        else f"no round trip in {found.dtype}"
    )
    grown = (
        f"its inverse enlarges errors {number(found.inverse_growth)} times (on other grids: {listed(found.elsewhere)})"
    )
    return (
        f"gamma = {found.gamma:.3g}: {how}; the sample error is {number(own)} ({ends}), most of it from slot {found.costliest}; "
        f"{lost}{f'; {grown}' if found.elsewhere else ''}"
    )
