"""Which gamma: the error of BDIA's samples and of its round trips as functions of gamma, from the theory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.budget import carried, start_errors, step_jacobian
from bdia_numerics.analysis.measurement.errors import (
    STATES,
    Exact,
    ExactProblem,
    exact_states,
    root_mean_square,
    run_from,
)
from bdia_numerics.analysis.perturbation.amplification import Array, inverse_growth, inverse_growths, listed
from bdia_numerics.analysis.perturbation.precision import DTYPES, round_trip_error
from bdia_numerics.formulas import number
from bdia_numerics.grids import Grid
from bdia_numerics.problems import Gaussian
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import one_of, shown

TARGETS = ("sample", "round_trip", "both")
NODES = 129
FIRST = 8
"""Intervals of gamma at whose ends runs are made first."""
BENT = 0.05
"""An interval is halved, and its halves in turn, while the curve at its middle is further from a run than this, in parts of it."""
_TRIP_NODES = 13


@dataclass(frozen=True, eq=False)
class BestGamma:
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

    Raises
    ------
    ValueError
        For another target, dtype or end, a prior that is not positive, a grid without a schedule.
    TypeError
        For a grid that is not in floats.

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
