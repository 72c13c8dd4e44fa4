"""assert_order: the order that a sampler shows is the one claimed, no less and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis import GridFamily, ObservedOrder, observed_order
from bdia_numerics.analysis.measurement.errors import Problem, root_mean_square
from bdia_numerics.analysis.measurement.ladder import Ladder, flow_rounding
from bdia_numerics.analysis.measurement.observed import climb
from bdia_numerics.spaces import FLOAT64
from bdia_numerics.testing.samplers import DIRECTIONS, LAW, STATES, Sampler, SolverSampler, as_sampler

WIDEST = 0.45
"""Half of the widest interval that still tells an order from its neighbours."""
UNITS = 8
"""Roundings of a slot, in units of the last place of its states: a sum of a few terms, each rounded."""


@dataclass(frozen=True)
class SamplerTrial:
    """A sampler on a family of grids, against the exact flow, in float64."""

    sampler: Sampler
    problem: Problem
    place: Callable[[int, int | None], Any]
    family_label: str
    direction: str
    states: Any
    start_label: str = "own"
    space: Any = FLOAT64

    @property
    def label(self) -> str:
        """What runs, and which way if it is not sampling."""
        return self.sampler.label + (", inverting" if self.direction == "invert" else "")

    def __call__(self, n: int, seed: int | None) -> tuple[float, float]:
        """Return the error of a run and an estimate of its rounding."""
        run = self.sampler.run(self.problem, self.place(n, seed), self.direction, self.states)
        if not np.all(np.isfinite(run.end)):
            return math.inf, 0.0
        size = root_mean_square(run.truth)
        own = UNITS * n * float(np.finfo(np.float64).eps) * size
        return root_mean_square(run.end - run.truth), math.hypot(own, flow_rounding(self.problem, size))

    def precise(self) -> SamplerTrial:
        """Refuse: only solvers run in mpmath."""
        raise TypeError(f"{self.sampler.label} runs in float64 alone")


def order_of(
    subject: Any,
    *,
    invert: Any = None,
    problem: Problem = LAW,
    family: Any = None,
    direction: str = "sample",
    start: Any = None,
    steps: Sequence[int] | None = None,
    states: Any = STATES,
    seeds: int = 16,
    max_steps: int = 512,
) -> ObservedOrder:
    """Measure the order of a solver, a function or a scheduler; parameters as for `assert_order`."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={direction!r} is unknown: use 'sample' or 'invert'")
    sampler = as_sampler(subject, invert)
    if isinstance(sampler, SolverSampler) and direction == "sample":
        return observed_order(
            sampler.solver,
            problem,
            GridFamily() if family is None else family,
            steps=steps,
            states=states,
            start="exact" if start is None else start,
            seeds=seeds,
            max_steps=max_steps,
        )
    if start not in (None, "own"):
        raise ValueError(f"start={start!r}: only a solver that samples takes other first states, use 'own'")
    label, place = sampler.family(family)
    trial = SamplerTrial(sampler, problem, place, label, direction, states)
    is_random = getattr(family, "kind", "") == "random"
    return climb(Ladder(trial, range(seeds) if is_random else range(1), 0.95), steps, "auto", max_steps)


def assert_order(
    subject: Any,
    order: float,
    *,
    within: float = 0.15,
    invert: Any = None,
    problem: Problem = LAW,
    family: Any = None,
    direction: str = "sample",
    start: Any = None,
    steps: Sequence[int] | None = None,
    states: Any = STATES,
    seeds: int = 16,
    max_steps: int = 512,
) -> ObservedOrder:
    """Assert that errors against the exact flow fall with n^-order: a lower order fails, and so does a higher one.

    Parameters
    ----------
    subject, invert
        See `as_sampler`. A scheduler is made anew, with its own options, on tables that are smooth in asinh(sigma/alpha), unless
        `family` is "own".
    order
        The claimed order; negative for errors that grow.
    within
        How far the fitted order may be from it, where its interval is narrower.
    problem
        A law with `model`, `sample` and an exact `flow`.
    family
        An `analysis.GridFamily` or a function of n that returns a grid with a schedule. Smooth grids by default; take "alternating" ones to
        see a method that assumes equal steps. For a scheduler None or "own".
    direction : {"sample", "invert"}
        From noise to data, or from data to noise by the inverse.
    start
        First states of a multistep solver that samples: "exact" by default, "own", or a one-step solver. Functions, schedulers and
        inverses make their own.
    steps
        Numbers of steps, at least five; chosen by default.
    states
        A number of states, or an array (*batch, D).
    seeds, max_steps
        As for `analysis.observed_order`.

    Returns
    -------
    ObservedOrder
        With its interval and the error at each number of steps.

    Raises
    ------
    AssertionError
        If the order is another one, or the errors show none.
    TypeError, ValueError
        For arguments that are no sampler, family or direction.
    """
    found = order_of(
        subject,
        invert=invert,
        problem=problem,
        family=family,
        direction=direction,
        start=start,
        steps=steps,
        states=states,
        seeds=seeds,
        max_steps=max_steps,
    )
    half = found.high - found.order
    off = abs(found.order - order)
    if found.asymptotic and half <= WIDEST and off <= max(within, half):
        return found
    raise AssertionError(f"assert_order: {found.solver}: claimed {order:g}, {shown(found)}. {_advice(found, order)}")


def shown(found: ObservedOrder) -> str:
    """Return an observed order with its interval, its grids and its errors in words."""
    levels = [level for level in found.levels if math.isfinite(level.error)]
    ends = ", ".join(f"{level.error:.2g} at n={level.steps}" for level in (levels[:1] + levels[-1:]))
    kind = "observed" if found.asymptotic else "no asymptotic range, last slope"
    interval = f"[{found.low:.2f}, {found.high:.2f}]"
    return f"{kind} {found.order:.2f} {interval} on {found.family} grids (errors {ends or 'not finite'})"


def _advice(found: ObservedOrder, claimed: float) -> str:
    if math.isnan(found.order):
        return "Rounding hides the errors: take fewer steps, or a law with sharper modes"
    if not found.asymptotic and abs(found.order) > 0.3:
        return f"Fix what makes the errors irregular, or pass other steps ({found.reason})"
    if found.order <= 0.3:
        return "It does not converge to the ODE: look for a time, a coefficient, a step size, clipping or an end that is wrong"
    if found.order < claimed:
        return "Look for a stage, a history or a start of lower order, or for steps that are taken as equal"
    return f"Claim {found.order:.0f}, or take rougher grids (family=GridFamily('alternating')) if it holds on smooth ones alone"
