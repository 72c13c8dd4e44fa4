"""Errors on a family of grids, from coarse to fine, what rounding does to them, and the order that they show, with its uncertainty band."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import (
    ExactProblem,
    as_floats64,
    certified_states,
    doubt,
    root_mean_square,
    run_from,
)
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, identity, structure
from bdia_numerics.spaces import FLOAT64, Array, MPMath, decimal

LEAST = 5
"""Levels that an order rests on, the finest ones: three parameters and two to judge them by."""
LEAST_RANDOM = 3
"""Levels on random grids, where the seeds give the deviations."""
OCTAVE = 2
"""Levels between n and 2n."""
PERTURBATION = 0.5
"""Largest first correction, c/n, at the coarsest level of a window of random grids: beyond it the leading term does not lead."""
DRIFT, SETTLED, TOWARDS = 0.75, 0.01, 0.05
"""How much of the change of slopes in one octave the next one may show: 1/2 is expected. A change below SETTLED is at rest, and so is one
below TOWARDS that leads to a multiple of a half, as orders are: a term of lower order leads away from it."""
DEVIATIONS, TO_COME = 2.0, 2.0
"""In half of the band: standard errors of the fit, and what the finest octave has changed. A change that falls by a third in each octave is
still to come twice."""
WIDEST = 0.5
"""The widest band, end to end, that decides an order: a wider one holds more than one multiple of a half."""


@dataclass(frozen=True)
class OrderFit:
    """An order with its uncertainty band, and the levels that it rests on.

    Attributes
    ----------
    order, half_width : float
        The band is order plus or minus half_width.
    first : int
        Index of the coarsest level used; all finer ones are used too.
    asymptotic : bool
        Whether the ratios of the errors at these levels are consistent with one order.
    reason : str
        Why they are not.
    """

    order: float
    half_width: float
    first: int
    asymptotic: bool
    reason: str

    @property
    def decided(self) -> bool:
        """Whether the ratios are consistent, and the band is no wider than `WIDEST`."""
        return self.asymptotic and 2 * self.half_width <= WIDEST


def fit_order(steps: Sequence[int], errors: Sequence[float]) -> OrderFit:
    """Return the order of errors that follow C n^-p (1 + c/n + ...) on one family of grids.

    The rule is fixed before the errors are seen: the finest five levels are fitted by log C - p log n + c/n. Half of the band is
    `DEVIATIONS` standard errors, plus |c/n| at the finest level (the extrapolation beyond the slopes seen), plus `TO_COME` times
    what the finest octave has changed (Richardson's consistency: the order is also found without it).

    The ratios of these errors are inconsistent if their slopes change as fast in the finest octave as in the one before: the change
    halves where the leading term leads, and doubles where a term of lower order comes up. Small changes are at rest. What has not come
    up by the finest level cannot be seen, so that every order holds up to that level.

    Parameters
    ----------
    steps, errors
        At least five levels, coarsest first, two to an octave; positive errors.
    """
    n, e = np.asarray(steps, dtype=float), np.asarray(errors, dtype=float)
    first, (order, correction, deviation) = len(n) - LEAST, _line(n[-LEAST:], e[-LEAST:])
    noise = DEVIATIONS * deviation
    local = -np.log(e[OCTAVE:] / e[:-OCTAVE]) / np.log(n[OCTAVE:] / n[:-OCTAVE])
    lag = OCTAVE if first >= OCTAVE else 1
    drift, earlier = abs(local[-1] - local[-1 - lag]), abs(local[-1 - lag] - local[-1 - 2 * lag])
    near = round(2 * local[-1]) / 2
    rest = TOWARDS if abs(local[-1] - near) < abs(local[-1 - lag] - near) else SETTLED
    if drift > max(DRIFT ** (lag / OCTAVE) * earlier, rest, noise):
        seen = [float(x) for x in (*local[-LEAST + OCTAVE :], order)]
        half = max(abs(x - seen[-2]) for x in seen)
        why = f"the slopes drift on, from {seen[0]:.2f} to {seen[-2]:.2f}"
        return OrderFit(seen[-2], half, first, False, why)
    known = _line(n[-LEAST - OCTAVE : -OCTAVE], e[-LEAST - OCTAVE : -OCTAVE])[0] if first >= OCTAVE else local[-1]
    half = float(noise + abs(correction) / n[-1] + TO_COME * abs(order - known))
    return OrderFit(order, half, first, True, "" if 2 * half <= WIDEST else "the band is too wide to decide")


def fit_random(steps: Sequence[int], errors: Array) -> OrderFit:
    """Return the order of the root mean square over random grids.

    log C - p log n, with a correction c/n where it is significant: where it moves the order by more than two of its standard errors.
    These are the delete-one jackknife's over the seeds. Coarse levels are left out until |c/n| is below a half.

    Parameters
    ----------
    steps
        At least three levels, coarsest first.
    errors
        Root mean square on each grid, shape (seeds, levels).

    Notes
    -----
    Half of the band is `DEVIATIONS` standard errors, plus what a correction would change, or, where there is one, |c/n| at the
    finest level, plus `TO_COME` times what the finest level has changed, as for `fit_order`.
    """
    for first in range(len(steps) - 2):
        n, e = np.asarray(steps[first:], dtype=float), errors[:, first:]
        (order, _), deviation = _jackknife(n, e, 0)
        (corrected, correction), other = _jackknife(n, e, 1)
        systematic = abs(corrected - order)
        if len(n) > LEAST_RANDOM and systematic > 2 * other:
            if abs(correction) / n[0] > PERTURBATION:
                continue
            order, deviation, systematic = corrected, other, abs(correction) / n[-1]
        changed = abs(order - _jackknife(n[:-1], e[:, :-1], 0)[0][0]) if len(n) > LEAST_RANDOM else 0.0
        half = float(DEVIATIONS * deviation + systematic + TO_COME * changed)
        return OrderFit(float(order), half, first, True, "" if 2 * half <= WIDEST else "the band is too wide to decide")
    raise AssertionError("three levels are fitted without a correction")


def _jackknife(n: Array, errors: Array, terms: int) -> tuple[Array, float]:
    """Return order and first correction of the root mean square over the first axis, and the order's standard error."""
    squares, count = errors**2, len(errors)
    total = squares.sum(axis=0)
    solve = np.linalg.pinv(_design(n, terms))

    def fitted(sums: Array) -> Array:  # how many are summed changes the constant alone
        return np.asarray(np.log(sums) @ solve.T / 2)

    left_out = fitted(total - squares)[:, 1]
    deviation = math.sqrt((count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2)))
    whole = fitted(total)
    return np.array([whole[1], whole[2] * n[0] if terms else 0.0]), deviation


def _design(n: Array, terms: int) -> Array:
    return np.stack([np.ones_like(n), -np.log(n), *((n[0] / n) ** k for k in range(1, terms + 1))], axis=1)


def _line(n: Array, e: Array) -> tuple[float, float, float]:
    """Fit log e by constant - order log n + correction / n; return order, correction, and the order's standard error."""
    design = _design(n, 1)
    solution, *_ = np.linalg.lstsq(design, np.log(e), rcond=None)
    residual = np.log(e) - design @ solution
    variance = float(residual @ residual) / (len(n) - design.shape[1])
    covariance = np.linalg.inv(design.T @ design)
    return (float(solution[1]), float(solution[2] * n[0]), math.sqrt(variance * covariance[1, 1]))


DIGITS, FEW = 50, 4
"""Of mpmath, and how many states it takes."""
CLEAR = 300.0
"""A level counts if its error is this many times what rounding does to it."""
NEAR = 1e-7
"""Relative errors above this are beyond the reach of float64's rounding, and it is not measured there."""
_FLOAT32_TO_64 = 2.0**-29


@dataclass(frozen=True)
class Trial:
    """Something whose error is measured on one grid after another, and what to call it.

    Attributes
    ----------
    solver, family, start, arithmetic : str
        What is measured, in words.
    run
        Returns the error of a run in n slots (on one random grid, for a seed), and what rounding does to it.
    precise
        Returns the same trial in mpmath, with the first few states; raises TypeError where it has no meaning there.
    """

    solver: str
    family: str
    start: str
    run: Callable[[int, int | None], tuple[float, float]]
    precise: Callable[[], Trial]
    arithmetic: str = "float64"


def solver_trial(
    solver: Solver, problem: ExactProblem, family: Callable[..., Grid], states: Any, start: Any, space: Any = FLOAT64
) -> Trial:
    """Return the trial of a solver on a family of grids, against the exact flow."""
    depth = structure(solver).depth

    def run(n: int, seed: int | None) -> tuple[float, float]:
        grid = family(n, space=space, **({} if seed is None else {"seed": seed}))
        if (n := grid.n) <= depth:
            raise ValueError(f"steps={n}: {identity(solver)} takes {depth} slots to start, use more steps")
        truth, stated = certified_states(problem, grid, states, indices=[0, *range(n - depth, n)])
        with np.errstate(all="ignore"):
            found = run_from(solver, problem, grid, truth, start)
        if not found.status.ok:
            return math.inf, 0.0
        error, size = (root_mean_square(as_floats64(x)) for x in (found.z - truth[0], truth[0]))
        with space.working():
            off = doubt(problem, truth[n], truth[0], (grid.t[n], grid.t[0]), grid.schedule, stated)
        if not space.floats or error > NEAR * size:
            return error, off
        coarse = run_from(solver, problem, grid, truth.astype(np.float32), start).z
        own = root_mean_square(as_floats64(coarse) - found.z) * _FLOAT32_TO_64
        return error, math.hypot(own, flow_rounding(size, off))

    def precise() -> Trial:
        few = min(states, FEW) if np.ndim(states) == 0 else np.asarray(states)[:FEW]
        return solver_trial(exactly(solver), problem, family, few, start, MPMath(DIGITS))

    return Trial(
        solver=identity(solver),
        family=str(getattr(family, "label", getattr(family, "__name__", repr(family)))),
        start=start if isinstance(start, str) else identity(start),
        run=run,
        precise=precise,
        arithmetic="float64" if space.floats else "mpmath",
    )


def flow_rounding(size: float, off: float) -> float:
    """Return the error of a flow of states of this size: a few units in the last place, and its own error."""
    return math.hypot(4 * float(np.finfo(float).eps) * size, off)


@dataclass
class Ladder:
    """The errors of a trial by number of steps; `measure` adds levels, `fit` reads the order off them."""

    trial: Trial
    seeds: range

    steps: list[int] = field(default_factory=list)
    errors: list[list[float]] = field(default_factory=list)  # by level, then by seed
    roundings: list[float] = field(default_factory=list)

    @property
    def random(self) -> bool:
        return len(self.seeds) > 1

    def measure(self, steps: Sequence[int]) -> None:
        for n in steps:
            found = [self.trial.run(n, seed if self.random else None) for seed in self.seeds]
            self.steps.append(n)
            self.errors.append([error for error, _ in found])
            self.roundings.append(max(rounding for _, rounding in found))

    def usable(self) -> list[int]:
        return [
            k for k, (e, r) in enumerate(zip(self.means(), self.roundings, strict=True)) if CLEAR * r < e < math.inf
        ]

    def means(self) -> list[float]:
        return [root_mean_square(np.array(errors)) for errors in self.errors]

    def fit(self) -> tuple[OrderFit, list[int]]:
        """Return the order, and the indices of the levels that it rests on; none where there is no order."""
        kept, means = self.usable(), self.means()
        # A few large steps may overflow, but once the states are finite they stay so.
        if len(kept) < (LEAST_RANDOM if self.random else LEAST) or math.inf in means[kept[0] :]:
            if math.inf not in means:
                return OrderFit(math.nan, math.inf, 0, False, "too few levels are clear of rounding"), []
            finest = self.steps[max(k for k, e in enumerate(means) if e == math.inf)]
            return OrderFit(-math.inf, 0.0, 0, False, f"not finite at n={finest}"), []
        steps = [self.steps[k] for k in kept]
        if self.random:
            return fit_random(steps, np.array([self.errors[k] for k in kept]).T), kept
        return fit_order(steps, [means[k] for k in kept]), kept

    def decided(self) -> bool:
        """Say whether the levels show one order."""
        return self.fit()[0].decided

    def drowned(self) -> bool:
        """Say whether rounding hides the errors of the finest levels."""
        return any(0 < e <= CLEAR * r for e, r in zip(self.means(), self.roundings, strict=True))


def exactly(solver: Any) -> Any:
    """Return a solver whose float parameters are the Fractions that they print as, which exact runs take."""
    if isinstance(solver, type) or not is_dataclass(solver):
        return solver
    own = {f.name: getattr(solver, f.name) for f in fields(solver) if f.init}
    changed = {k: decimal(v) if isinstance(v, float) else exactly(v) for k, v in own.items()}
    different = {k: v for k, v in changed.items() if v is not own[k]}
    made: Any = solver
    return replace(made, **different) if different else solver
