"""Errors on a family of grids, from coarse to fine, and what rounding does to them."""

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
    noisy_states,
    root_mean_square,
    run_from,
)
from bdia_numerics.analysis.measurement.fit import LEAST, LEAST_RANDOM, OrderFit, fit_order, fit_random
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.state import identity
from bdia_numerics.spaces import FLOAT64, MPMath
from bdia_numerics.spaces.base import decimal

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
        z = noisy_states(problem, grid, states)
        if n <= depth:
            raise ValueError(f"steps={n}: {identity(solver)} takes {depth} slots to start, use more steps")
        truth, stated = certified_states(problem, grid, z, [0, *range(n - depth, n)])
        with np.errstate(all="ignore"):
            found = run_from(solver, problem, grid, truth, start)
        if not found.status.ok:
            return math.inf, 0.0
        error, size = (root_mean_square(as_floats64(x)) for x in (found.z - truth[0], truth[0]))
        with space.working():
            off = doubt(problem, z, truth[0], (grid.t[n], grid.t[0]), grid.schedule, stated)
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

    def fit(self) -> tuple[OrderFit, list[int]] | None:
        kept, means = self.usable(), self.means()
        if len(kept) < (LEAST_RANDOM if self.random else LEAST) or math.inf in means[kept[0] :]:
            return None  # a few large steps may overflow, but once the states are finite they stay so
        steps = [self.steps[k] for k in kept]
        if self.random:
            return fit_random(steps, np.array([self.errors[k] for k in kept]).T), kept
        return fit_order(steps, [means[k] for k in kept]), kept

    def decided(self) -> bool:
        """Say whether the levels show one order."""
        found = self.fit()
        return found is not None and found[0].decided

    def drowned(self) -> bool:
        """Say whether rounding hides the errors of the finest levels."""
        return any(0 < e < math.inf and e <= CLEAR * r for e, r in zip(self.means(), self.roundings, strict=True))


def exactly(solver: Any) -> Any:
    """Return a solver whose float parameters are the Fractions that they print as, which exact runs take."""
    if isinstance(solver, type) or not is_dataclass(solver):
        return solver
    own = {f.name: getattr(solver, f.name) for f in fields(solver) if f.init}
    changed = {k: decimal(v) if isinstance(v, float) else exactly(v) for k, v in own.items()}
    different = {k: v for k, v in changed.items() if v is not own[k]}
    made: Any = solver
    return replace(made, **different) if different else solver
