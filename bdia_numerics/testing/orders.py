"""assert_order and assert_nfe: the order and the evaluations of a sampler are those claimed, no less and no more.

Where runs do not decide an order it is said to be undecided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from bdia_numerics.analysis import GridFamily, ObservedOrder
from bdia_numerics.analysis.measurement.errors import ExactProblem, root_mean_square
from bdia_numerics.analysis.measurement.ladder import Ladder, Trial, flow_rounding, solver_trial
from bdia_numerics.analysis.measurement.observed import STALLED, check, climb, first_steps
from bdia_numerics.analysis.sheet.proved import proved_on
from bdia_numerics.spaces.values import ordered
from bdia_numerics.testing.returns import NOT_FINITE
from bdia_numerics.testing.samplers import (
    DIRECTIONS,
    LAW,
    NOTES,
    RAISES,
    STATES,
    FunctionSampler,
    OnGrids,
    Sampler,
    SolverSampler,
    Undecided,
    as_sampler,
    below_one,
    family_of,
)
from bdia_numerics.texts import one_of, shown

LEVELS, LIMIT, BESIDE = 512, 4096, 256
"""Where chosen numbers of steps end: of every order, of one that is undecided at the first, and of what is only reported."""
ODD = 2.0
"""An error may be so many times as large in one step more; orders beyond ten move it less than this among 128 steps."""
BEHIND = 0.3
"""How far the order in odd numbers may stay below that in even ones."""
STAYS = 16
"""Errors that have fallen so many times before they stay are those of a method that converges, to something near by."""
UNITS = 8
"""Roundings of a slot, in units of the last place of its states: a sum of a few terms, each rounded."""
AGAIN, SAME = 5, 1e-6
"""How many runs of the fewest steps are made again, twice, where an order does not hold; errors that differ by a smaller part are the same.
What is done at every second, third or fourth run alone falls on others then."""
ANY, EVEN = (12, 25), (12, 24)
"""An even number and an odd one, and what a method is counted on that takes two slots at once and refuses an odd number."""


def sampler_trial(sampler: Sampler, problem: ExactProblem, family: Any, direction: str, states: Any) -> Trial:
    """Return the trial of a sampler on a family of grids, against the exact flow, in float64."""
    label, place = sampler.family(family)

    def run(n: int, seed: int | None) -> tuple[float, float]:
        found = sampler.run(problem, place(n, seed), direction, states)
        if not np.all(np.isfinite(found.end)):
            return math.inf, 0.0
        size = root_mean_square(found.truth)
        own = UNITS * n * float(np.finfo(np.float64).eps) * size
        return root_mean_square(found.end - found.truth), math.hypot(own, flow_rounding(size, found.doubt))

    def precise() -> Trial:
        raise TypeError(f"{sampler.label} runs in float64 alone")

    return Trial(sampler.label + (", inverting" if direction == "invert" else ""), label, "own", run, precise)


class UndecidedOrder(Undecided):
    """Neither the claim nor its contrary was shown, up to the number of steps that the message names."""


def order_of(
    subject: Any,
    *,
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
    family: Any = None,
    direction: str = "sample",
    start: Any = None,
    steps: Sequence[int] | None = None,
    states: Any = STATES,
    seeds: int = 16,
    max_steps: int | None = None,
) -> ObservedOrder:
    """Measure the order of a solver, a function or a scheduler; parameters as for `assert_order`, but for family="any"."""
    sampler = as_sampler(subject, invert, mu)
    family = family_of(family) if isinstance(sampler, OnGrids) else family
    return _measured(sampler, family, problem, direction, start, steps, states, seeds, max_steps)


def _measured(
    sampler: Sampler,
    family: Any,
    problem: ExactProblem,
    direction: str,
    start: Any,
    steps: Sequence[int] | None,
    states: Any,
    seeds: int,
    max_steps: int | None,
    levels: int = LEVELS,
) -> ObservedOrder:
    """Measure up to `levels` where the program proves nothing, or else as far as it takes, and to the limit while undecided."""
    one_of("direction", direction, DIRECTIONS)
    is_random = getattr(family, "kind", "") == "random"
    steps = sampler.steps_of(family) if steps is None else steps
    check(steps, "auto", seeds, is_random)
    proved = None
    if isinstance(sampler, SolverSampler) and direction == "sample":
        trial = solver_trial(sampler.solver, problem, family, states, "exact" if start is None else start)
        if start in (None, "exact", "own"):
            proved = proved_on(sampler.solver, family, own=start == "own")
    elif start not in (None, "own"):
        raise ValueError(f"start={shown(start)}: only a solver that samples takes other first states, use 'own'")
    else:
        trial = sampler_trial(sampler, problem, family, direction, states)
    ladder = Ladder(trial, range(seeds) if is_random else range(1))
    most = levels if levels < LEVELS or proved is not None else LIMIT
    ends = (0 if proved is not None else levels, most) if max_steps is None else (min(levels, max_steps), max_steps)
    found = climb(ladder, steps, max_steps=ends[0], further=ends[1], first=first_steps(family))
    return replace(found, proved=proved)


@ordered
def assert_order(
    subject: Any,
    order: float,
    *,
    tolerance: float = 0.15,
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
    family: Any = None,
    direction: str = "sample",
    start: Any = None,
    steps: Sequence[int] | None = None,
    states: Any = STATES,
    seeds: int = 16,
    max_steps: int | None = None,
) -> ObservedOrder:
    """Assert that errors against the exact flow fall with n^-order: a lower order fails, and so does a higher one.

    What is measured holds up to the finest number of steps that was run, and the verdict says which: an error of order 2 with a small
    part of order 1 looks like order 2 until that part leads. Where the slopes drift, or the uncertainty band is wider than a half, finer
    levels are run, and in the end the answer is "undecided". Of a solver the program is there: the order that follows from it decides
    such a case, and a claim that it contradicts fails.

    A method that takes steps as equal shows it on unequal ones only: the order on alternating grids is measured, too, and reported.

    Parameters
    ----------
    subject, invert, mu
        See `as_sampler`. A scheduler is made anew, with its own options, on tables that are smooth (or alternating) in
        asinh(sigma/alpha), unless `family` is "own".
    order
        The claimed order; negative for errors that grow.
    tolerance
        How far the observed order may be from it, where its band is narrower; below 1.
    problem
        A distribution with `model`, `sample` and an exact `flow`.
    family
        An `analysis.GridFamily`, its kind ("smooth", "alternating:ratio=3", "random"), the name of grids in use ("leading" or
        "trailing" with Stable Diffusion's levels, "flow"), or a function of n that returns a grid with a schedule. Smooth grids by
        default, where the order on alternating ones (h, 2h) is reported and not required; "any" requires it on both. For a scheduler
        "smooth" (the default), "alternating", "any" or "own"; where its levels stand in no table and its set_timesteps takes no `sigmas`,
        it has no alternating ones.
    direction : {"sample", "invert"}
        From noise to data, or from data to noise by the inverse.
    start
        First states of a multistep solver that samples: "exact" by default, which is the order of its step; "own", what a user gets; or
        a one-step solver. Functions, schedulers and inverses make their own, and "own" is their default.
    steps
        Numbers of steps, at least five; chosen by default.
    states
        A number of states, or an array (*batch, D).
    seeds
        As for `analysis.observed_order`.
    max_steps
        Where chosen numbers of steps end. By default at 512, and at 4096 while the order is undecided; where a program proves the
        order, as soon as it is decided, and at 512.

    Returns
    -------
    ObservedOrder
        With its band and the error at each number of steps; `.alternating` is the order on alternating grids, up to 256 steps, and
        `.proved` the order that follows from the program of a solver.

    Raises
    ------
    UndecidedOrder
        An AssertionError: if the errors show neither this order nor another one.
    AssertionError
        If the order is another one.
    TypeError, ValueError
        For arguments that are not a sampler, family or direction.

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.testing import assert_order
    >>> assert_order(BDIA(gamma=1), 2).decided
    True
    >>> assert_order(BDIA(gamma=1), 1, family="alternating").family
    'alternating in asinh'
    """
    given: Any = order
    if not (isinstance(given, int | float | Fraction) and math.isfinite(given)):
        raise ValueError(f"order={shown(order)} is not an order: pass a finite number, such as 2")
    below_one(tolerance, "orders are 1 apart")
    both = isinstance(family, str) and family == "any"
    sampler = as_sampler(subject, invert, mu)
    main: Any = None if both else family
    main = family_of(main) if isinstance(sampler, OnGrids) else main or "smooth"
    run = partial(
        _measured,
        sampler,
        problem=problem,
        direction=direction,
        start=start,
        steps=steps,
        states=states,
        seeds=seeds,
        max_steps=max_steps,
    )
    found = run(main)
    beside = ""
    is_smooth = isinstance(main, GridFamily) and main.kind == "smooth"
    if both or is_smooth:
        try:
            uneven = replace(main, kind="alternating") if is_smooth else "alternating"
            other = run(uneven, levels=LEVELS if both else BESIDE)
            found, beside = replace(found, alternating=other), f"; on alternating grids {other.value}"
        except RAISES as error:  # as of a method for equal steps, which says so
            if str(error).startswith("cannot be tested"):
                raise
            beside = f"; on alternating grids it raises {type(error).__name__}: {error}"
            found = replace(found, reason=found.reason + beside)
    NOTES.append(f"{found.value}{beside}")
    if not isinstance(sampler, SolverSampler) and not found.seeds and found.agrees(order, tolerance) is not True:
        _try_again(found, sampler, problem, main, direction, states)
    _judge(found, order, tolerance, beside)
    if isinstance(sampler, FunctionSampler) and steps is None and main == GridFamily():
        _try_odd(found, sampler, problem, main, direction, states)
    if both and found.alternating is None:
        raise AssertionError(f"assert_order: {found.solver}: holds on {found.family} grids{beside}")
    if both and found.alternating is not None:
        _judge(found.alternating, order, tolerance, "; on smooth grids the claim holds, without family='any'")
    return found


def _try_odd(
    found: ObservedOrder, sampler: Sampler, problem: ExactProblem, family: Any, direction: str, states: Any
) -> None:
    """Raise if the error in an odd number of steps is not like that in the even one before, and does not fall as these do.

    All chosen numbers are even.
    """
    even, trial = (
        next(level for level in found.levels if level.used),
        sampler_trial(sampler, problem, family, direction, states),
    )
    try:
        error, _ = trial.run(even.steps + 1, None)
    except RAISES:
        return  # a method that takes two steps at once says so
    falls, half = error <= ODD * even.error, even.steps // 2 | 1
    if not falls:  # what a root -1 carries has the other sign in odd numbers, and falls in these, too
        with suppress(*RAISES):
            falls = error <= trial.run(half, None)[0] * (half / (even.steps + 1)) ** (found.order - BEHIND)
    if not falls:
        raise AssertionError(
            f"assert_order: {worded(found)}, but the error is {error:.2g} in {even.steps + 1} steps and {even.error:.2g} in {even.steps}. "
            "It holds for even numbers alone: look for what is done at every second step, or for two steps at once"
        )


def _try_again(
    found: ObservedOrder, sampler: Sampler, problem: ExactProblem, family: Any, direction: str, states: Any
) -> None:
    """Raise if the same run has another error than before."""
    trial = sampler_trial(sampler, problem, family, direction, states)
    for level in 2 * found.levels[:AGAIN]:
        error, _ = trial.run(level.steps, None)
        if not math.isclose(error, level.error, rel_tol=SAME):
            raise AssertionError(
                f"assert_order: {found.solver}: the error in {level.steps} steps is {level.error:.3g}, and {error:.3g} in another run from "
                "the same states. It draws random numbers, or goes on from what another run left in memory: make a run depend on its "
                "arguments alone"
            )


def _judge(found: ObservedOrder, order: float, tolerance: float, beside: str) -> None:
    """Raise if an order does not hold: by what was measured, by the proof where that is undecided, and never against either."""
    agrees, proved = found.agrees(order, tolerance), found.proved
    if (proved is None and agrees) or (proved == order and agrees is not False):
        return
    said = f"assert_order: {found.solver}: claimed {order:g}, {worded(found)}"
    said += beside
    if proved == order:
        raise UndecidedOrder(
            f"{said}. Undecided up to n = {found.up_to}: its program proves order {proved} as n grows, and the errors show another one. "
            "Take more steps, or look for a defect"
        )
    if proved is not None:
        advice = f" {_advice(found, order)}." if agrees is False else ""
        raise AssertionError(
            f"{said}.{advice} Its program proves order {proved} on such grids as n grows: claim {proved} there"
        )
    raise (UndecidedOrder if agrees is None else AssertionError)(f"{said}. {_advice(found, order)}")


def worded(found: ObservedOrder) -> str:
    """Return an observed order with its band, its grids and its errors in words."""
    levels = [level for level in found.levels if math.isfinite(level.error)]
    ends = ", ".join(f"{level.error:.2g} at n={level.steps}" for level in (levels[:1] + levels[-1:]))
    starts = " from exact first states" if found.start == "exact" else ""
    observed = f"observed {found.value}" if found.decided else found.value
    return f"{observed} on {found.family} grids{starts} (errors {ends or 'not finite'})"


def _advice(found: ObservedOrder, claimed: float) -> str:
    if math.isnan(found.order):
        return "Rounding hides the errors: take fewer steps, or a distribution with sharper modes"
    if found.order == -math.inf:
        bad = max(level.steps for level in found.levels if not math.isfinite(level.error))
        return f"The state is not finite in {bad} steps. {NOT_FINITE}"
    if found.agrees(claimed) is None:
        return f"Fix what makes the errors irregular, or take more steps: {found.reason}"
    errors = [level.error for level in found.levels if math.isfinite(level.error)]
    if found.order <= STALLED and errors[-1] * STAYS < max(errors):
        return (
            f"The errors fall to {errors[-1]:.1e} and stay there: look for single precision, or for an end, a time or a factor that is "
            "wrong by about as much"
        )
    if found.order <= STALLED:
        return "It does not converge to the ODE: look for a time, a coefficient, a step size, clipping or an end that is wrong"
    if found.order < claimed:
        return "Look for a stage, a history or a start of lower order, or for steps that are taken as equal"
    other = found.alternating
    rougher = ""
    if other is not None and other.agrees(claimed):
        grids_of = "'alternating'" if other.family == "alternating" else "GridFamily('alternating')"
        rougher = f", or {claimed:g} with family={grids_of}"
    return f"Claim {found.order:.0f}{rougher}"


@ordered
def assert_nfe(
    subject: Any,
    per_step: int,
    *,
    extra: int = 0,
    direction: str = "sample",
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
) -> tuple[float, float]:
    """Assert that a run in n slots takes ``per_step * n + extra`` evaluations of the model.

    Evaluations are counted at the model, in runs of two lengths, each made twice. A call counts as many evaluations as it has states of the
    batch's size: two states stacked into one array are two.

    Parameters
    ----------
    subject, invert, mu
        See `as_sampler`.
    per_step
        Evaluations of each slot.
    extra
        Those that a whole run takes besides, as for a start; negative where the start or the end saves some.
    direction : {"sample", "invert"}
        Which way.
    problem
        A distribution with `model`, `sample` and `flow`.

    Returns
    -------
    tuple of int
        Evaluations in 12 and in 25 slots.

    Raises
    ------
    AssertionError
        With the numbers counted; also where the second run takes another number than the first.

    Examples
    --------
    >>> from bdia_numerics import EDICT
    >>> from bdia_numerics.testing import assert_nfe
    >>> assert_nfe(EDICT(), 2)
    (24, 50)
    """
    one_of("direction", direction, DIRECTIONS)
    sampler = as_sampler(subject, invert, mu)

    def counted(slots: tuple[int, int]) -> list[list[float]]:
        return [[sampler.run(problem, sampler.place(n), direction, count).nfe for n in slots] for count in (2, 3)]

    slots = ANY
    try:
        (short, long), again = counted(slots)
    except RAISES:
        slots = EVEN
        (short, long), again = counted(slots)
    NOTES.append(f"{short:g} and {long:g} in {slots[0]} and {slots[1]} slots")
    if [short, long] != again:
        raise AssertionError(
            f"assert_nfe: {sampler.label}: counted {short:g} and {long:g} in {slots[0]} and {slots[1]} slots, and in a second run "
            f"{again[0]:g} and {again[1]:g}, of another batch of states. It keeps evaluations over runs, or evaluates a part of the batch: "
            "evaluate the model anew in each run, at all states"
        )
    if (short, long) != (per_step * slots[0] + extra, per_step * slots[1] + extra):
        slope = (long - short) / (slots[1] - slots[0])
        rest = short - slope * slots[0]
        raise AssertionError(
            f"assert_nfe: {sampler.label}: claimed {per_step} a step and {extra} more evaluations, counted {short:g} in {slots[0]} "
            f"slots and {long:g} in {slots[1]}: {slope:g} a step and {rest:g} more. "
            + (
                "That is not a whole number a step: look for evaluations of a part of the batch, or for some slots alone"
                if slope != int(slope)
                else "Keep an evaluation of a state that has not changed; states stacked into one call count one by one"
                if slope > per_step
                else "Correct the claim"
            )
        )
    return short, long
