"""Observed order of convergence: how fast errors against exact flows fall with the number of steps, with its sign."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bdia_numerics.analysis.measurement.errors import STATES, Problem
from bdia_numerics.analysis.measurement.families import GridFamily
from bdia_numerics.analysis.measurement.fit import LEAST, LEAST_RANDOM, Fit
from bdia_numerics.analysis.measurement.ladder import Ladder, SolverTrial
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, refusal
from bdia_numerics.spaces import MPMath

FIRST = (8, 12, 16, 24, 32, 48, 64, 96, 128)
RANDOM = (16, 32, 64, 128, 256)
PRECISE = (16, 24, 32, 48, 64)


@dataclass(frozen=True)
class Level:
    """One number of steps.

    Attributes
    ----------
    steps : int
        Slots of the grid.
    error : float
        Root mean square at the data end over states and elements, on random grids over seeds too.
    rounding : float
        What rounding does to it, root mean square; 0 where it is far below.
    used : bool
        Whether the order rests on it.
    note : str
        Why not: "pre-asymptotic", "rounding", "not finite".
    """

    steps: int
    error: float
    rounding: float
    used: bool
    note: str


@dataclass(frozen=True)
class ObservedOrder:
    """An observed order: positive where errors fall with the number of steps, negative where they grow.

    Attributes
    ----------
    solver, family, start : str
        What was measured; the family of grids in words.
    order, low, high : float
        The fitted order and its interval.
    confidence : float
        Of the interval's statistical part.
    asymptotic : bool
        Whether an asymptotic range was found. If not, `order` is the last local slope and the interval holds what was seen.
    levels : tuple of Level
        Coarsest first.
    seeds : int
        Random grids at each number of steps; 0 for families that are not random.
    arithmetic : str
        "float64" or "mpmath".
    reason : str
        Which levels the order rests on, and why.
    """

    solver: str
    family: str
    start: str
    order: float
    low: float
    high: float
    confidence: float
    asymptotic: bool
    levels: tuple[Level, ...]
    seeds: int
    arithmetic: str
    reason: str

    @property
    def steps_used(self) -> tuple[int, ...]:
        """Numbers of steps that the order rests on."""
        return tuple(level.steps for level in self.levels if level.used)

    @property
    def local_slopes(self) -> tuple[float, ...]:
        """Orders between neighbouring levels; NaN beside a level that is not finite."""
        pairs = pairwise(self.levels)
        return tuple(
            math.log(a.error / b.error) / math.log(b.steps / a.steps)
            if 0 < a.error < math.inf > b.error > 0
            else math.nan
            for a, b in pairs
        )

    def agrees(self, order: float, within: float = 0.1) -> bool:
        """Say whether an order lies in the interval, or within `within` of the fitted one on families that are not random."""
        return self.low <= order <= self.high or (
            not self.seeds and self.asymptotic and abs(self.order - order) <= within
        )

    def __str__(self) -> str:
        return (
            f"{self.solver} on {self.family} grids: {self.order:.2f} [{self.low:.2f}, {self.high:.2f}]; {self.reason}"
        )


def observed_order(
    solver: Solver,
    problem: Problem,
    family: Callable[..., Grid] | None = None,
    *,
    steps: Sequence[int] | None = None,
    states: Any = STATES,
    start: Any = "exact",
    seeds: int = 16,
    arithmetic: str = "auto",
    confidence: float = 0.95,
    max_steps: int = 512,
) -> ObservedOrder:
    """Measure the order of a solver against the exact flow of a problem.

    The error is the root mean square over states and elements at the data end: a norm, so that nothing cancels. Levels at which
    rounding matters are left out (float64's is measured there by a run in float32, whose rounding is 2^29 times as large), and
    so are those before the asymptotic range, which is found (see `analysis.fit.fit_order`): levels are added until it is, and the
    interval is narrow, or `max_steps` is reached. Where rounding leaves too few levels the study is made again in mpmath.

    Parameters
    ----------
    solver
        Any solver.
    problem
        A law with `model`, `sample` and `flow`.
    family
        A `GridFamily`, or any function of n that returns a grid with a schedule and takes `space=` (and `seed=` if its attribute
        `kind` is "random"); by default smooth grids in asinh(sigma/alpha).
    steps
        Numbers of steps to take, as they are; by default they are chosen. At least five, three for random grids.
    states
        A number of states to draw at t_N, or an array (*batch, *data).
    start
        "exact" (first states of a multistep solver on the problem's flow), "own", or a one-step solver.
    seeds
        Random grids at each number of steps, at least 4.
    arithmetic : {"auto", "float64", "mpmath"}
        What to compute in; mpmath takes the first four states.
    confidence
        Of the interval, in (0, 1).
    max_steps
        Where chosen numbers of steps end.

    Raises
    ------
    ValueError
        For steps that are too few or not rising, another arithmetic, a confidence outside (0, 1), fewer than 4 seeds.
    """
    family = GridFamily() if family is None else family
    is_random = getattr(family, "kind", "") == "random"
    _check(steps, arithmetic, confidence, seeds, is_random)
    trial = SolverTrial(solver, problem, family, states, start)
    return climb(Ladder(trial, range(seeds) if is_random else range(1), confidence), steps, arithmetic, max_steps)


def climb(
    ladder: Ladder, steps: Sequence[int] | None = None, arithmetic: str = "auto", max_steps: int = 512
) -> ObservedOrder:
    """Measure levels until the order is known; arguments as for `observed_order`."""
    wanted = [*(steps or (RANDOM if ladder.random else FIRST))]
    if arithmetic == "mpmath":
        return _precise(ladder, steps)
    ladder.measure(wanted)
    while steps is None and not ladder.random and not ladder.settled() and wanted[-1] * 2 <= max_steps:
        wanted += [wanted[-2] * 2, wanted[-1] * 2]
        ladder.measure(wanted[-2:])
    if arithmetic == "auto" and ladder.hidden():
        try:
            return _precise(ladder, steps)
        except TypeError as error:  # what has no meaning in mpmath, as a numerical reference
            found = _result(ladder)
            return replace(found, reason=f"{found.reason}; no run in mpmath: {refusal(error)}")
    return _result(ladder)


def _precise(ladder: Ladder, steps: Sequence[int] | None) -> ObservedOrder:
    precise = ladder.precise()
    precise.measure(steps or PRECISE)
    return _result(precise)


def _check(steps: Sequence[int] | None, arithmetic: str, confidence: float, seeds: int, is_random: bool) -> None:
    least = LEAST_RANDOM if is_random else LEAST
    if steps is not None and (len(steps) < least or any(a >= b for a, b in pairwise(steps)) or steps[0] < 1):
        raise ValueError(
            f"steps={tuple(steps)}: pass at least {least} rising numbers of steps, for instance 16, 24, 32, 48, 64"
        )
    if arithmetic not in ("auto", "float64", "mpmath"):
        raise ValueError(f"arithmetic={arithmetic!r} is unknown: use 'auto', 'float64' or 'mpmath'")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} lies outside (0, 1): pass for instance 0.95")
    if is_random and seeds < 4:
        raise ValueError(f"seeds={seeds}: an interval over random grids needs at least 4")


def _result(ladder: Ladder) -> ObservedOrder:
    means, kept, window = ladder.means(), list[int](), list[int]()
    found = ladder.fit()
    if found is not None:
        fit, kept = found
        window = kept[fit.first :]
    elif math.inf in means:
        fit = Fit(-math.inf, 0.0, 0, False, f"overflows from n={ladder.steps[means.index(math.inf)]} on")
    else:
        fit = Fit(math.nan, math.inf, 0, False, "too few levels are clear of rounding")
    notes = {k: "" if k in window else "pre-asymptotic" for k in kept}
    levels = tuple(
        Level(
            n,
            means[k],
            ladder.roundings[k],
            k in window,
            notes.get(k, "rounding" if math.isfinite(means[k]) else "not finite"),
        )
        for k, n in enumerate(ladder.steps)
    )
    used = f"n = {', '.join(str(ladder.steps[k]) for k in window)}" if window else "none"
    return ObservedOrder(
        solver=ladder.trial.label,
        family=ladder.trial.family_label,
        start=ladder.trial.start_label,
        order=fit.order,
        low=fit.order - fit.half_width,
        high=fit.order + fit.half_width,
        confidence=ladder.confidence,
        asymptotic=fit.asymptotic,
        levels=levels,
        seeds=len(ladder.seeds) if ladder.random else 0,
        arithmetic="mpmath" if isinstance(ladder.trial.space, MPMath) else "float64",
        reason=f"{used} ({fit.reason})",
    )
