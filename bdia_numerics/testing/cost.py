"""assert_nfe: how often a sampler asks the model."""

from __future__ import annotations

from typing import Any

from bdia_numerics.analysis.measurement.errors import Problem
from bdia_numerics.testing.samplers import DIRECTIONS, LAW, as_sampler

SLOTS = (12, 24)


def assert_nfe(
    subject: Any,
    per_step: int,
    *,
    extra: int = 0,
    direction: str = "sample",
    invert: Any = None,
    mu: float | None = None,
    problem: Problem = LAW,
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
        Those of a whole run beside them, as of a start; negative where the start or the end saves some.
    direction : {"sample", "invert"}
        Which way.
    problem
        A law with `model`, `sample` and `flow`.

    Returns
    -------
    tuple of int
        Evaluations in 12 and in 24 slots.

    Raises
    ------
    AssertionError
        With the numbers counted; also where the second run takes another number than the first.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={direction!r} is unknown: use 'sample' or 'invert'")
    sampler = as_sampler(subject, invert, mu)
    (short, long), again = (
        [sampler.run(problem, sampler.place(n), direction, count).nfe for n in SLOTS] for count in (2, 3)
    )
    if [short, long] != again:
        raise AssertionError(
            f"assert_nfe: {sampler.label}: counted {short:g} and {long:g} in {SLOTS[0]} and {SLOTS[1]} slots, and in a second run "
            f"{again[0]:g} and {again[1]:g}. It keeps evaluations over runs, which are of other states: make each run ask anew"
        )
    if (short, long) != (per_step * SLOTS[0] + extra, per_step * SLOTS[1] + extra):
        slope = (long - short) / (SLOTS[1] - SLOTS[0])
        rest = short - slope * SLOTS[0]
        raise AssertionError(
            f"assert_nfe: {sampler.label}: claimed {per_step} a step and {extra} beside, counted {short:g} in {SLOTS[0]} slots and "
            f"{long:g} in {SLOTS[1]}: {slope:g} a step and {rest:g} beside. "
            + (
                "Keep an evaluation of a state that has not changed; states stacked into one call count one by one"
                if slope > per_step
                else "Correct the claim"
            )
        )
    return short, long
