"""Assertions on the way back: exactly invertible, a small round trip, a latent that is the ODE's own state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import Problem, root_mean_square
from bdia_numerics.analysis.perturbation.precision import damping
from bdia_numerics.inversion import DDIMInversion
from bdia_numerics.program import invertibility, structure
from bdia_numerics.solvers import DDIM
from bdia_numerics.testing.samplers import LAW, STATES, Sampler, SolverSampler, as_sampler, disturbed

UNITS = 64
"""Roundings of a slot and its inverse, in units of the last place: some twenty operations each, and a margin."""
DISTURBANCE = 1e-7
READABLE = 1e-5
"""A round trip whose rounding alone may be this large tells nothing about exactness."""
PLAIN, OWN = 1.25, 5.0
"""Schedulers tell the model of an inversion the time at which a step ends, (10) where it begins; right inverses of second order were up to
3.4 times as far off as their samplers."""
ENDS = {"data": "invert", "noise": "sample"}


@dataclass(frozen=True)
class Returned:
    """A round trip, with both of its sides.

    Attributes
    ----------
    start : str
        "data" or "noise": where it began.
    error : float
        What came back less what was sent, root mean square, relative to what was sent.
    latent : float
        The far end less the exact ODE state there, relative to it. A round trip can be perfect with a wrong far end.
    growth : float
        By how much the way back amplifies a disturbance.
    rounding : float
        What rounding may amount to, from `growth`.
    nfe : int
        Model evaluations there and back.
    """

    start: str
    error: float
    latent: float
    growth: float
    rounding: float
    nfe: int

    def __str__(self) -> str:
        return (
            f"from the {self.start} it comes back {self.error:.2g} off (rounding: at most {self.rounding:.2g}), its far end is "
            f"{self.latent:.2g} from the ODE's state"
        )


def returned(
    subject: Any,
    *,
    start: str = "data",
    invert: Any = None,
    problem: Problem = LAW,
    grid: Any = None,
    states: Any = STATES,
) -> Returned:
    """Measure a round trip, with what its rounding may be; parameters as for `assert_round_trip`."""
    if start not in ENDS:
        raise ValueError(f"start={start!r} is neither 'data' nor 'noise'")
    sampler = as_sampler(subject, invert)
    return _trip(sampler, sampler.place(grid), problem, start, states)


def _trip(sampler: Sampler, place: Any, problem: Problem, start: str, states: Any) -> Returned:
    there, back = ENDS[start], ENDS["noise" if start == "data" else "data"]
    out = sampler.run(problem, place, there, states)
    size = root_mean_square(out.start)
    latent = root_mean_square(out.end - out.truth) / root_mean_square(out.truth)
    if not np.all(np.isfinite(out.end)):
        return Returned(start, math.inf, latent, math.inf, math.inf, out.nfe)
    home = sampler.run(problem, place, back, out.start, out.carry)
    delta = DISTURBANCE * root_mean_square(out.end)
    moved = sampler.run(problem, place, back, out.start, disturbed(out.carry, delta))
    growth = root_mean_square(moved.end - home.end) / delta
    eps = float(np.finfo(np.float64).eps)
    rounding = UNITS * eps * out.slots * max(1.0, growth * root_mean_square(out.end) / size)
    return Returned(start, root_mean_square(home.end - out.start) / size, latent, growth, rounding, out.nfe + home.nfe)


def assert_exactly_invertible(
    subject: Any, *, invert: Any = None, problem: Problem = LAW, grid: Any = None, states: Any = STATES
) -> tuple[Returned, Returned]:
    """Assert that round trips from both ends lose nothing but rounding.

    For a solver the structure of its step decides first, for all models and grids. Then, and for functions and schedulers, round trips
    run in float64; what rounding may amount to is found by disturbing all that the way back goes on from.

    Parameters
    ----------
    subject, invert
        See `as_sampler`.
    problem, grid, states
        As for `assert_round_trip`.

    Returns
    -------
    tuple of Returned
        From the data and from the noise.

    Raises
    ------
    AssertionError
        With the reason from the step's structure, or with what a round trip lost; also where rounding is amplified so much
        that nothing can be said.
    """
    sampler = as_sampler(subject, invert)
    if isinstance(sampler, SolverSampler):
        verdict = invertibility(sampler.solver)
        if not verdict.invertible:
            raise AssertionError(f"assert_exactly_invertible: {sampler.label}: {verdict.reason}")
    place = sampler.place(grid)
    found = []
    for start in ("data", "noise"):
        trip = _trip(sampler, place, problem, start, states)
        if not trip.rounding < READABLE:
            raise AssertionError(
                f"assert_exactly_invertible: {sampler.label}: {trip}. The way back amplifies disturbances {trip.growth:.2g} times, "
                "too much to tell an inverse from an approximation: take fewer slots"
            )
        if not trip.error <= trip.rounding:
            raise AssertionError(
                f"assert_exactly_invertible: {sampler.label}: {trip}. The inverse is an approximation: it must undo each assignment "
                "with the very evaluation that made it, on the same steps"
            )
        found.append(trip)
    return found[0], found[1]


def assert_round_trip(
    subject: Any,
    *,
    within: float = 1e-6,
    start: str = "data",
    invert: Any = None,
    problem: Problem = LAW,
    grid: Any = None,
    states: Any = STATES,
) -> Returned:
    """Assert that what comes back is what was sent. Pair it with `assert_latent_valid`: it passes with a wrong latent.

    Parameters
    ----------
    subject, invert
        See `as_sampler`.
    within
        Root mean square of the loss, relative to that of the states.
    start : {"data", "noise"}
        Where it begins.
    problem
        A law with `model`, `sample` and `flow`.
    grid
        A grid with a schedule, or a number of slots; for a scheduler a number of steps.
    states
        A number of states, or an array (*batch, D).

    Raises
    ------
    AssertionError
        With both sides of the round trip.
    """
    sampler = as_sampler(subject, invert)
    if start not in ENDS:
        raise ValueError(f"start={start!r} is neither 'data' nor 'noise'")
    trip = _trip(sampler, sampler.place(grid), problem, start, states)
    if not trip.error <= within:
        raise AssertionError(
            f"assert_round_trip: {sampler.label}: {trip}; claimed within {within:.2g}. "
            "Check that both ways take the same steps, and that nothing is clipped"
        )
    return trip


def assert_latent_valid(
    subject: Any,
    *,
    within: float | None = None,
    invert: Any = None,
    problem: Problem = LAW,
    grid: Any = None,
    states: Any = STATES,
) -> float:
    """Assert that the noise end, made from data, is the state of the probability-flow ODE there.

    Parameters
    ----------
    subject, invert, problem, grid, states
        As for `assert_round_trip`.
    within
        Root mean square of the distance, relative to that of the exact state. By default what DDIM inversion, eq. (10), errs by on the same
        grid and a quarter more, or five times what the sampler itself errs by on the way to the data, whichever is less.

    Returns
    -------
    float
        The distance.

    Raises
    ------
    AssertionError
        With the distance, and that of DDIM inversion.
    """
    sampler = as_sampler(subject, invert)
    place = sampler.place(grid)
    run = sampler.run(problem, place, "invert", states)
    size = root_mean_square(run.truth)
    distance = root_mean_square(run.end - run.truth) / size
    points, schedule = sampler.grid(place)
    plain = DDIMInversion()(DDIM(), problem.model(schedule), points, run.start).z
    baseline = root_mean_square(plain - run.truth) / size
    forth = sampler.run(problem, place, "sample", states)
    own = root_mean_square(forth.end - forth.truth) / root_mean_square(forth.truth)
    bound = min(PLAIN * baseline, OWN * own) if within is None else within
    if not distance <= bound:
        raise AssertionError(
            f"assert_latent_valid: {sampler.label}: the noise end is {distance:.2g} from the ODE's state; DDIM inversion errs by "
            f"{baseline:.2g}, the sampler by {own:.2g}"
            f"{'' if within is None else f', claimed within {within:.2g}'} ({run.slots} slots). {_advice(sampler)}"
        )
    return distance


def _advice(sampler: Sampler) -> str:
    if isinstance(sampler, SolverSampler) and structure(sampler.solver).depth:
        less = f" or {damping(sampler.solver)}" if damping(sampler.solver) else ""
        return f"Look at analysis.amplification(..., direction='invert'): an unstable inverse needs fewer slots{less}"
    return "Check the first step from the data (noise prediction, alpha, time); a round trip does not see it"
