"""Assertions on the way back: exactly invertible, and a small round trip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import ExactProblem, root_mean_square
from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.program import invertibility
from bdia_numerics.spaces.values import ordered, share
from bdia_numerics.testing.carry import cut, disturbed, has_integers, replaced
from bdia_numerics.testing.samplers import (
    LAW,
    NOTES,
    RAISES,
    SLOTS,
    STATES,
    FunctionSampler,
    Sampler,
    SamplerRun,
    SolverSampler,
    Undecided,
    as_sampler,
    below_one,
)
from bdia_numerics.texts import shown

UNITS = 64
"""Roundings of a slot and its inverse, in units of the last place: some twenty operations each, and a margin."""
DISTURBANCE = 1e-7
OTHER = 0.1
"""How far other states are from the first ones, relative to these: near enough for any method."""
JUMP = 0.1
"""Twice a disturbance moves a smooth map twice as far; a map that jumps wherever its input is new moves no further."""
READABLE = 1e-5
"""A round trip whose rounding alone may be this large tells nothing about exactness."""
NOT_FINITE = "Look for a division by zero, a logarithm of zero or an overflow"
ENDS = {"data": "invert", "noise": "sample"}


@dataclass(frozen=True)
class Returned:
    """A round trip, with both of its sides.

    Attributes
    ----------
    end : str
        "noise" or "data": where it began.
    error : float
        What came back less what was sent, root mean square, relative to what was sent.
    latent : float
        The far end less the exact ODE state there, relative to it. A round trip can be perfect with a wrong far end.
    growth : float
        By how much the way back amplifies a disturbance.
    rounding : float
        What rounding may amount to, from `growth`.
    nfe : int or float
        Model evaluations there and back.
    fault : str
        Why the two runs are not functions of what they are given: one ignores it, recognises it, or needs what an earlier
        run left in memory. Empty if nothing showed that.
    """

    end: str
    error: float
    latent: float
    growth: float
    rounding: float
    nfe: float
    fault: str = ""

    def __str__(self) -> str:
        return (
            f"the round trip from the {self.end} has an error of {self.error:.2g} (rounding alone: at most {self.rounding:.2g}), and its "
            f"far end is {self.latent:.2g} from the ODE's state"
        )


@ordered
def returned(
    subject: Any,
    *,
    end: str = "noise",
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
    grid: Any = None,
    states: Any = STATES,
) -> Returned:
    """Measure a round trip, with what its rounding may be; parameters as for `assert_round_trip`."""
    if end not in ENDS:
        raise ValueError(f"end={shown(end)} is neither 'noise' nor 'data'")
    sampler = as_sampler(subject, invert, mu)
    return _trip(sampler, sampler.place(grid), problem, end, states)


def _trip(sampler: Sampler, place: Any, problem: ExactProblem, end: str, states: Any) -> Returned:
    there, back = ENDS[end], ENDS["noise" if end == "data" else "data"]
    out = sampler.run(problem, place, there, states)
    size, far = root_mean_square(out.start), root_mean_square(out.end)
    latent = root_mean_square(out.end - out.truth) / root_mean_square(out.truth)
    if not np.all(np.isfinite(out.end)):
        fault = f"The run from the {end} gives a state that is not finite, in {out.slots} slots. {NOT_FINITE}"
        return Returned(end, math.inf, latent, math.inf, math.inf, out.nfe, fault)
    # What a function keeps of its last run is then that of other states.
    others = disturbed(out.start, OTHER * size, out.start.size)
    other = sampler.run(problem, place, there, others)
    home = sampler.run(problem, place, back, out.start, out.carry)
    moved = [
        sampler.run(problem, place, back, out.start, disturbed(out.carry, k * DISTURBANCE * far, out.end.size)).end
        for k in (1, 2)
    ]
    steps = root_mean_square(moved[0] - home.end), root_mean_square(moved[1] - moved[0])
    growth = steps[0] / (DISTURBANCE * far)
    eps = float(np.finfo(np.float64).eps)
    rounding = UNITS * eps * out.slots * max(1.0, growth * far / size)
    error = root_mean_square(home.end - out.start) / size
    fault = ""
    if not np.all(np.isfinite(home.end)):
        fault = f"The way back to the {end} gives a state that is not finite, in {out.slots} slots. {NOT_FINITE}"
    elif np.array_equal(other.end, out.end):
        fault = f"The way from the {end} gives the same end for other states: it ignores its input"
    elif steps[0] == 0:
        fault = "The way back does not react to a disturbance of what it is given: it returns what it kept of an earlier run"
    elif _is_unread(sampler, place, problem, back, out, home.end):
        fault = (
            "The way back does not react to a disturbance of the state alone: it returns what the way there handed on together with "
            "the state"
        )
    elif steps[1] < JUMP * steps[0]:
        fault = (
            f"The way back jumps: a disturbance of {DISTURBANCE:.0e} moves its end by {steps[0]:.2g}, and twice the disturbance by hardly "
            "more: it recognises what it is given instead of computing with it"
        )
    elif fault := _is_remembered(sampler, place, problem, back, out, home.end, rounding):
        pass
    elif rounding < READABLE and error > rounding:
        again = sampler.run(problem, place, there, states)
        right = sampler.run(problem, place, back, again.start, again.carry)
        if root_mean_square(right.end - again.start) / size <= rounding:
            fault = (
                "It returns only while no other run comes between: the way back uses what the last run left in memory, and not only "
                "what it is given"
            )
        elif max(root_mean_square(again.end - out.end) / far, root_mean_square(right.end - home.end) / size) > rounding:
            fault = "Two runs from the same states end apart: it draws random numbers, or goes on from what another run left in memory"
    return Returned(end, error, latent, growth, rounding, out.nfe + home.nfe, fault)


def _is_unread(sampler: Sampler, place: Any, problem: ExactProblem, back: str, out: SamplerRun, end: Any) -> bool:
    """Say whether the way back leaves the state itself unread, in floats: an integer state may stand for it."""
    if not isinstance(out.carry, tuple) or has_integers(out.carry[1:], out.end.size):
        return False
    state = out.carry[0]
    other = disturbed(state, DISTURBANCE * root_mean_square(out.end), out.end.size)
    # An array of all states may hold it once more, and be what is read.
    rests = out.carry[1:], replaced(out.carry[1:], state, other)
    return all(np.array_equal(sampler.run(problem, place, back, out.start, (other, *rest)).end, end) for rest in rests)


def _is_remembered(
    sampler: Sampler, place: Any, problem: ExactProblem, back: str, out: SamplerRun, end: Any, rounding: float
) -> str:
    """Say in words why a way back is the start of an earlier run, moved as its end has moved; empty if nothing shows that.

    A start that is kept, moved by the difference of the ends or in their ratio, comes back exactly and reacts to what it is given.
    But it owes nothing to the model; and where the model only corrects it, other batches, of which nothing is kept, do not return.
    """
    told = [sampler.run(_scaled(problem, 1 + k * DISTURBANCE), place, back, out.start, out.carry).end for k in (1, 2)]
    steps = root_mean_square(told[0] - end), root_mean_square(told[1] - told[0])
    size = root_mean_square(out.start)
    if steps[0] <= UNITS * float(np.finfo(np.float64).eps) * out.slots * size:
        return (
            "The way back does not react to another model: it computes with what was kept of an earlier run, or was handed on, and not "
            "with the model's predictions"
        )
    if steps[1] < JUMP * steps[0]:
        return (
            f"The way back jumps: a model scaled by 1 + {DISTURBANCE:.0e} moves its end by {steps[0]:.2g}, and twice the change by hardly "
            "more: it recognises the model instead of computing with it"
        )
    rows = len(out.start) // 2
    if rows == 0 or not root_mean_square(end - out.start) <= rounding * size:
        return ""
    try:
        carry = cut(out.carry, out.start.shape, rows)
        part = sampler.run(problem, place, back, out.start[:rows], carry).end - out.start[:rows]
    except RAISES:
        return ""  # a method for one size of a batch says so
    if root_mean_square(part) <= rounding * size:
        return ""
    return (
        f"It returns the batch of {len(out.start)} states, and the first {rows} of them with an error of "
        f"{root_mean_square(part) / size:.2g}: the way back uses what an earlier run of the same batch left in memory, or what other "
        "states of the batch are"
    )


def _scaled(problem: ExactProblem, factor: float) -> Any:
    """Return a problem with its model's predictions multiplied by a number near 1; nobody looks at where its flow leads."""

    def model_of(schedule: Any) -> Predicting:
        model = problem.model(schedule)
        return Predicting(lambda z, t: factor * model(z, t), prediction_of(model))

    return SimpleNamespace(model=model_of, sample=problem.sample, flow=lambda z, *_: z)


def growth_of(sampler: Sampler, place: Any, problem: ExactProblem, states: Any) -> float:
    """Return by how much the way from data to noise amplifies a disturbance of all that a run to the data leaves."""
    return _trip(sampler, place, problem, "noise", states).growth


def assert_exactly_invertible(
    subject: Any,
    *,
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
    grid: Any = None,
    states: Any = STATES,
) -> tuple[Returned, Returned]:
    """Assert that round trips from both ends lose nothing but rounding.

    For a solver the structure of its step decides first, for all models and grids. Then, and for functions and schedulers, round trips
    run in float64; what rounding may amount to is found by disturbing all that the way back goes on from. A function runs in 24 slots
    and in 25, unless a grid is given: some faults show in an odd number of slots alone. The way back must also react to another model,
    and return a part of the batch. What it is handed on beside the state is taken for a part of the method, as a remainder of rounding
    is: that it is not a difference to the start, stored there, cannot be seen from outside.

    Parameters
    ----------
    subject, invert, mu
        See `as_sampler`.
    problem, grid, states
        As for `assert_round_trip`.

    Returns
    -------
    tuple of Returned
        From the data and from the noise, in the grid's slots or in 24.

    Raises
    ------
    AssertionError
        With the reason from the step's structure, or with what a round trip lost; where a run does not depend only on what it is given (it
        ignores it or the model, or goes on from what another run left in memory); and where rounding is amplified so much that nothing
        can be said.

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.testing import assert_exactly_invertible
    >>> [trip.end for trip in assert_exactly_invertible(BDIA())]
    ['data', 'noise']
    """
    sampler = as_sampler(subject, invert, mu)
    if isinstance(sampler, SolverSampler):
        verdict = invertibility(sampler.solver)
        if not verdict.invertible:
            raise AssertionError(f"assert_exactly_invertible: {sampler.label}: {verdict.reason}")
    places = [sampler.place(grid)]
    if grid is None and isinstance(sampler, FunctionSampler):  # a fault of parity shows in an odd number alone
        places.append(sampler.place(SLOTS + 1))
    found = list[Returned]()
    for place, end in product(places, ENDS):
        try:
            trip = _trip(sampler, place, problem, end, states)
        except RAISES:
            if len(found) < 2:
                raise
            break  # a method that takes two slots at once says so
        worst = max((*found, trip), key=lambda trip: trip.error)
        said = f"error {worst.error:.2g}, rounding alone {worst.rounding:.2g}"
        NOTES[-1:] = [said] if found else [*NOTES[-1:], said]
        if trip.fault:
            raise AssertionError(f"assert_exactly_invertible: {sampler.label}: {trip}. {trip.fault}")
        if not trip.rounding < READABLE:
            raise Undecided(
                f"assert_exactly_invertible: {sampler.label}: {trip}. The way back amplifies disturbances {trip.growth:.2g} times, "
                "too much to tell an inverse from an approximation: take fewer slots"
            )
        if not trip.error <= trip.rounding:
            exact = (
                f"It is exact in {SLOTS} slots, and not in {SLOTS + 1}: look for a counter or an exchange of registers that each way "
                "begins at its own end"
            )
            approximate = (
                "The inverse is an approximation: it must undo each assignment with the very evaluation that made it, on the same "
                "steps"
            )
            raise AssertionError(
                f"assert_exactly_invertible: {sampler.label}: {trip}. {exact if len(found) > 1 else approximate}"
            )
        found.append(trip)
    return found[0], found[1]


@ordered
def assert_round_trip(
    subject: Any,
    *,
    tolerance: float = 1e-6,
    end: str = "noise",
    invert: Any = None,
    mu: float | None = None,
    problem: ExactProblem = LAW,
    grid: Any = None,
    states: Any = STATES,
) -> Returned:
    """Assert that what comes back is what was sent. Pair it with `assert_latent_valid`: it passes with a wrong latent.

    Parameters
    ----------
    subject, invert, mu
        See `as_sampler`.
    tolerance
        Root mean square of the loss, relative to that of the states; below 1.
    end : {"noise", "data"}
        Where it begins and ends.
    problem
        A distribution with `model`, `sample` and `flow`.
    grid
        A grid with a schedule, or a number of slots; for a scheduler a number of steps.
    states
        A number of states, or an array (*batch, D).

    Raises
    ------
    AssertionError
        With both sides of the round trip.
    """
    below_one(tolerance, "a loss as large as the states is not a return")
    trip = returned(subject, end=end, invert=invert, mu=mu, problem=problem, grid=grid, states=states)
    NOTES.append(f"error {trip.error:.2g}, latent error {trip.latent:.2g}")
    if trip.fault or not trip.error <= tolerance:
        amplified = (
            "Rounding alone loses this, since the inverse amplifies it: take fewer slots, or a parameter that damps the inverse (gamma or "
            "p nearer to 1)"
        )
        steps = "Check that both ways take the same steps, and that nothing is clipped"
        raise AssertionError(
            f"assert_round_trip: {as_sampler(subject, invert, mu).label}: {trip}; claimed within {tolerance:.2g}. "
            + (trip.fault or (amplified if trip.error <= trip.rounding else steps))
        )
    return trip


share(Returned)
