"""assert_latent_valid: the noise end that is made from data tends to the state of the ODE, as fast as the sampler's own error falls."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import ExactProblem, root_mean_square
from bdia_numerics.grids import Grid
from bdia_numerics.runs.inversion import DDIMInversion
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces.values import ordered
from bdia_numerics.testing.orders import ODD
from bdia_numerics.testing.returns import NOT_FINITE, growth_of
from bdia_numerics.testing.samplers import (
    IN_USE,
    LAW,
    NOTES,
    RAISES,
    STATES,
    InUse,
    Sampler,
    SamplerRun,
    Undecided,
    as_sampler,
    family_of,
)

FACTORS, FURTHER = (1, 2, 4, 8), (16,)
"""Numbers of slots, in units of the fewest; further ones where these do not decide."""
BEHIND = 0.3
"""How far the order of the latents may stay below that of the samples: orders differ by whole numbers."""
SUDDEN = 1.0
"""Orders of successive octaves do not differ by more, but where odd numbers of slots and even ones do."""
WATCHED, DRIFT = 0.15, 0.05
"""A smaller gap that still grows by this much from one octave to the next is looked at once more."""
RISES = 1.1
"""An amplification that still rises by this in the last octave is an instability; a stable one settles."""
FEWEST, PER_OCTAVE, FAR_ABOVE = 4, 4, 10.0
"""Where the distance begins to rise is looked for among four numbers of slots an octave, until it is ten times the least one."""
FEWER = "For the reason see analysis.amplification(..., direction='invert'); to claim a number of slots pass it as grid= with tolerance="
CHECK = (
    "Check the first step from the data (noise prediction, alpha, time), the start of a second register, and the scale of what is "
    "returned; a round trip does not see it"
)
STAYS = 0.5
"""Which part of the last distance may be left where it is extrapolated to any number of slots: powers of 1/n beyond the second."""
FLOOR = 1e-12
"""Distances below are rounding's."""
PRACTICAL_SLOTS, WORSE = (10, 20, 50), 2.0
"""On grids in use a latent is of no use if its error is this many times that of DDIM inversion."""


@ordered
def assert_latent_valid(
    subject: Any,
    *,
    tolerance: float | None = None,
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
    family: Any = None,
    grid: Any = None,
    states: Any = STATES,
) -> float:
    """Assert that the noise end, made from data, tends to the state of the probability-flow ODE there.

    The distance is measured in n, 2n+1, 4n+1 and 8n+1 slots, and in 16n+1 where these do not decide. It must fall at the order at
    which the sampler's own error falls on the same grids, and at least at order 1, and be alike in 4n and 4n+1 slots. On smooth grids the
    last three errors are also extrapolated to any number of slots: what is left must be less than half of the last distance, so that a
    part that stays is seen where it cancels the method's own error. An unstable inverse is refused, with the number of slots from which
    it is unstable.

    Parameters
    ----------
    subject, invert, mu, problem, states
        As for `assert_round_trip`.
    tolerance
        If given, only the distance at n slots is looked at, and it must not be more than this: root mean square, relative
        to that of the exact state.
    family
        As for `assert_order`; smooth grids by default. "any" also requires that the latents on grids in use (Stable Diffusion's
        "leading" and "trailing" ones, and a uniform "flow", in 10, 20 and 50 slots) have less than twice the error of DDIM inversion,
        eq. (10); the name of one of these requires it there alone. By default that is looked at, too, and a warning says where it is
        not so, with the amplification of a disturbance there.
    grid
        The number n, 24 by default; or a grid with a schedule, whose slots are then divided: by its own rule, or, where it was made
        from single times, into equal parts of t. For a scheduler the number of its steps, 25 by default, on its own times.

    Returns
    -------
    float
        The distance at n slots.

    Raises
    ------
    AssertionError
        If the distance does not fall so; "undecided" where the runs cannot tell.
    TypeError, ValueError
        For arguments that are not a sampler, family or grid.

    Warns
    -----
    UserWarning
        Where the latents are far from the exact ones on a grid in use.

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.testing import assert_latent_valid
    >>> assert_latent_valid(BDIA(gamma=1)) < 0.01
    True
    """
    sampler = as_sampler(subject, invert, mu)
    family = family_of(family) if sampler.takes_grids and family not in (None, "any") else family
    label, place = sampler.divided(grid, family)
    head = f"assert_latent_valid: {sampler.label}"
    first = sampler.run(problem, place(1), "invert", states)
    NOTES.append(f"distance {distance(first):.2g} in {first.slots} slots")
    if isinstance(family, InUse) and tolerance is None:
        if fault := "; ".join(_in_use(sampler, problem, states, (family,))):
            raise AssertionError(f"{head}: {fault}")
        return distance(first)
    if tolerance is not None:
        if not distance(first) <= tolerance:
            raise AssertionError(
                f"{head}: the noise end is {distance(first):.2g} from the ODE's state, claimed within {tolerance:.2g} "
                f"({first.slots} slots). DDIM inversion's distance is {_plain(sampler, place(1), problem, first):.2g}"
            )
        return distance(first)
    if not math.isfinite(distance(first)):
        raise AssertionError(
            f"{head}: the noise end is not finite, in {first.slots} slots of {label} grids. {NOT_FINITE}"
        )
    slots, far, own, missed, left = list[int](), list[float](), list[float](), list[Any](), 0.0
    # On grids of one smooth rule errors are powers of 1/n; on others they need not be.
    smooth = sampler.takes_grids and family in (None, "any") and not isinstance(grid, Grid)
    kind = "climb"
    for factor in (*FACTORS, *FURTHER):
        if factor in FURTHER and kind != "climb":
            break
        there, run = _run(sampler, place, factor, problem, states) if factor > 1 else (place(1), first)
        slots.append(run.slots)
        far.append(distance(run))
        own.append(distance(sampler.run(problem, there, "sample", states)))
        missed.append((run.end - run.truth) / root_mean_square(run.truth))
        if factor >= FACTORS[-1]:
            kind = judged(far, own, last=factor == FURTHER[-1])
            if smooth and math.isfinite(far[-3]):
                left = _left(slots[-3:], missed[-3:], far, own)
            if kind == "holds" and left > max(FLOOR, STAYS * far[-1]):
                kind = "climb"
    if kind == "climb":
        raise AssertionError(
            f"{head}: the distance does not vanish. It is {far[-1]:.2g} in {slots[-1]} slots of {label} grids, and {left:.2g} where "
            f"those in {', '.join(map(str, slots[-3:]))} slots are extrapolated to all: "
            f"a part that stays cancels the method's own error. {CHECK}"
        )
    if kind == "holds" and not all(map(math.isfinite, far)):
        n = slots[[math.isfinite(d) for d in far].index(False)]
        raise AssertionError(f"{head}: the noise end is not finite, in {n} slots of {label} grids. {NOT_FINITE}")
    sudden = any(abs(a - b) > SUDDEN for a, b in pairwise(_rates(far)))
    if sampler.takes_grids or sudden:
        _same_in_even(head, sampler, place, problem, states, due=_paces(own)[-1])
    if kind not in ("unstable", "flat") and (fault := _far_off(sampler, place(1), problem, states, first)):
        raise AssertionError(f"{head}: in {slots[0]} slots of {label} grids {fault}")
    if kind != "holds":
        reason = _reason(
            kind,
            slots,
            far,
            own,
            growth=lambda k: growth_of(sampler, place(k), problem, states),
            at=None
            if isinstance(grid, Grid) or not sampler.takes_grids
            else lambda n: distance(sampler.run(problem, sampler.divided(n, family)[1](1), "invert", states)),
        )
        shown = ", ".join(f"{d:.2g} ({o:.2g})" for d, o in zip(far, own, strict=True))
        raise (Undecided if kind == "undecided" else AssertionError)(
            f"{f'undecided up to n = {slots[-1]}: ' if kind == 'undecided' else ''}{head}: {reason} In "
            f"{', '.join(map(str, slots))} slots of {label} grids the distances from the ODE's state (errors of the samples) are {shown}"
        )
    if family == "any" or (family is None and not isinstance(grid, Grid)):
        fault = "; ".join(_in_use(sampler, problem, states, IN_USE.values()))
        if fault and family == "any":
            raise AssertionError(f"{head}: holds on {label} grids, but {fault}")
        if fault:
            warnings.warn(f"{head}: holds on {label} grids, but {fault}", stacklevel=3)
    return far[0]


def _run(sampler: Sampler, place: Any, factor: int, problem: ExactProblem, states: Any) -> tuple[Any, SamplerRun]:
    """Return a place with so many times the slots and one more, and the inverse's run there."""
    if sampler.takes_grids:
        try:
            return (there := place(factor, 1)), sampler.run(problem, there, "invert", states)
        except RAISES:
            pass  # a method that takes two slots at once says so
    return (there := place(factor)), sampler.run(problem, there, "invert", states)


def _same_in_even(head: str, sampler: Sampler, place: Any, problem: ExactProblem, states: Any, due: float) -> None:
    """Raise if the latents of two neighbouring numbers of slots are not alike, and the worse do not fall at the order that is due.

    What a root -1 carries has the other sign in every second number, and may take most of an error away.
    """
    factor = FACTORS[2] if sampler.takes_grids else 1  # a scheduler's times are another walk in one step more
    try:
        runs = {more: sampler.run(problem, place(factor, more), "invert", states) for more in (1, 0)}
        worse = max(runs, key=lambda more: distance(runs[more]))
        pair = [runs[1 - worse], runs[worse]]
        least, most = map(distance, pair)
        if factor > 1 and math.isfinite(most) and most > ODD * least:
            before = distance(sampler.run(problem, place(factor // 2, worse), "invert", states))
            if _rates([before, most])[0] > due - BEHIND:
                return
    except RAISES:
        return  # a method that takes two slots at once says so
    if math.isfinite(least) and not math.isfinite(most):
        raise AssertionError(f"{head}: the noise end is not finite, in {pair[1].slots} slots. {NOT_FINITE}")
    if pair[0].slots != pair[1].slots and math.isfinite(most) and most > max(FLOOR, ODD * least):
        raise AssertionError(
            f"{head}: the noise end is {most:.2g} from the ODE's state in {pair[1].slots} slots and {least:.2g} in {pair[0].slots}. "
            f"It holds for {'odd' if pair[0].slots % 2 else 'even'} numbers alone: look for what is done at every second step"
        )


def _left(slots: list[int], missed: list[Any], far: list[float], own: list[float]) -> float:
    """Return the error that is left of three where the two leading powers of 1/n are taken away: those due, or those at which it falls."""
    due, falls = round(_paces(own)[-1]), _rates(far)[-1]
    steps, found = np.array([1 / n for n in slots]), list[float]()
    for power in {due, max(due, round(falls) if math.isfinite(falls) else due)}:
        weights = np.linalg.solve([np.ones(3), steps**power, steps ** (power + 1)], [1.0, 0.0, 0.0])
        found.append(root_mean_square(sum(w * error for w, error in zip(weights, missed, strict=True))))
    return min(found)


def distance(run: SamplerRun) -> float:
    """Return how far a run ends from the ODE's state, relative to it; infinite where it is not finite."""
    return root_mean_square(run.end - run.truth) / root_mean_square(run.truth)


def judged(far: list[float], own: list[float], *, last: bool) -> str:
    """Judge distances of latents by the errors of samples, at three or more numbers of slots that double, coarsest first.

    Parameters
    ----------
    far, own
        The distances and the errors.
    last
        Whether no further number can be looked at.

    Returns
    -------
    str
        "holds"; "unstable" where distances rise (or have crossed 0 on the way to what they tend to), "flat" where they stay,
        "behind" where they fall at a lower order; "climb" where more slots may tell, and "undecided" where there are no more.
    """
    if far[-1] <= FLOOR:
        return "holds"
    rates, paces = _rates(far), _paces(own)
    gaps = [pace - rate for pace, rate in zip(paces, rates, strict=True)]
    if rates[-1] < -BEHIND / 2:  # or they have crossed 0, where they stay below the errors of the samples
        return "climb" if far[-1] <= own[-1] and not last else "unstable"
    if far[-1] <= own[-1] <= own[-2] * 2 ** -(1 - BEHIND) and rates[-1] > 0:
        return "holds"  # better latents than samples, which do converge
    if sum(gaps[-2:]) / 2 <= BEHIND:
        drifts = gaps[-1] > WATCHED and gaps[-1] > gaps[-2] + DRIFT
        return "climb" if drifts and not last else "holds"
    closing = gaps[-1] < gaps[-2] - DRIFT
    if closing and not last:
        return "climb"
    return "flat" if rates[-1] <= BEHIND else "undecided" if closing else "behind"


def _rates(far: list[float]) -> list[float]:
    return [math.log2(a / b) if 0 < a < math.inf > b > 0 else -math.inf for a, b in pairwise(far)]


def _limit(far: list[float]) -> float:
    """Return what the last three distances tend to (Aitken), or the last one where they do not tell."""
    first, second = far[-2] - far[-3], far[-1] - far[-2]
    return far[-1] - second * second / (second - first) if abs(second) < abs(first) else far[-1]


def _paces(own: list[float]) -> list[float]:
    """Return the orders that are due: the samples' own ones, and 1 where their errors are not finite, rounding's or do not fall."""
    return [max(1.0, math.log2(a / b)) if FLOOR < b < a < math.inf else 1.0 for a, b in pairwise(own)]


def _reason(kind: str, slots: list[int], far: list[float], own: list[float], growth: Any, at: Any) -> str:
    """Return in words why latents were refused, and where to look; `growth` is of a multiple of slots, `at` the distance in any number."""
    rates, paces = _rates(far), _paces(own)
    falls = f"the distance falls at order {rates[-1]:.2f}, and the samples' error at order {paces[-1]:.2f}"
    if kind == "undecided":
        return f"{falls}, and the two still draw nearer: begin with more slots, grid=."
    before, after = (growth(n // slots[0]) for n in slots[-2:])
    rises = not (math.isfinite(after) and after <= RISES * before)
    if rises and kind == "unstable":
        return f"the inverse is unstable from {_turn(dict(zip(slots, far, strict=True)), at)}. {FEWER}."
    if rises:
        late = next(n for n, pace, rate in zip(slots[1:], paces, rates, strict=True) if pace - rate > BEHIND)
        return (
            f"the inverse is slowly unstable: it amplifies a disturbance {before:.2g} times in {slots[-2]} slots and {after:.2g} in "
            f"{slots[-1]}. From {late} slots on {falls}. {FEWER}."
        )
    limit = _limit(far)
    stays = kind in ("flat", "unstable") or limit > far[-1] / 2
    return f"{f'the distance does not vanish, it tends to about {limit:.2g}' if stays else falls}. {CHECK}."


def _turn(tried: dict[int, float], at: Any) -> str:
    """Return the number of slots after the one with the least distance, in words."""
    last = max(tried)
    for n in (round(FEWEST * 2 ** (k / PER_OCTAVE)) for k in range(PER_OCTAVE * 8)) if at else ():
        if n > last or tried.get(n, 0.0) > FAR_ABOVE * min(tried.values()):
            break
        tried.setdefault(n, at(n))
    least = min(tried, key=lambda n: tried[n])
    first = min((n for n in tried if n > least), default=least)
    return f"{first} slots on (least distance: {tried[least]:.2g} in {least})"


def _in_use(sampler: Sampler, problem: ExactProblem, states: Any, kinds: Iterable[InUse]) -> Iterator[str]:
    """Yield where latents are far from the exact ones on grids in use, in words: of each kind of grid the fewest slots where they are."""
    for kind in kinds if sampler.takes_grids else ():
        for n in PRACTICAL_SLOTS:
            grid = kind(n)
            try:
                said = _far_off(sampler, grid, problem, states, sampler.run(problem, grid, "invert", states))
            except RAISES as error:
                said = f"it raises {type(error).__name__}: {error}"
            if said:
                yield f"in {n} slots of {kind.label} grid {said}"
                break


def _far_off(sampler: Sampler, place: Any, problem: ExactProblem, states: Any, run: SamplerRun) -> str:
    """Say how far latents are from the exact ones, if much farther than DDIM inversion's, and how much the inverse amplifies."""
    off, plain = distance(run), _plain(sampler, place, problem, run)
    if off <= max(FLOOR, WORSE * plain):
        return ""
    growth = growth_of(sampler, place, problem, states)
    return (
        f"the noise end is {off:.2g} from the ODE's state (DDIM inversion: {plain:.2g}), and the inverse amplifies a disturbance of its "
        f"registers {growth:.2g} times"
    )


def _plain(sampler: Sampler, place: Any, problem: ExactProblem, run: SamplerRun) -> float:
    """Return how far DDIM inversion, eq. (10), is off from the same data on the same grid."""
    points, schedule = sampler.grid(place)
    with np.errstate(all="ignore"):
        end = DDIMInversion()(DDIM(), problem.model(schedule), points, run.start).z
    return root_mean_square(end - run.truth) / root_mean_square(run.truth)
