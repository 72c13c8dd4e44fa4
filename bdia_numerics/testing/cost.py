"""assert_nfe: how often a sampler evaluates the model."""

from __future__ import annotations

from typing import Any

from bdia_numerics.analysis.measurement.errors import ExactProblem
from bdia_numerics.testing.samplers import DIRECTIONS, LAW, RAISES, as_sampler

SLOTS, EVEN = (12, 25), (12, 24)
"""An even number and an odd one, and what a method is counted on that takes two slots at once and refuses an odd number."""


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
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={direction!r} is unknown: use 'sample' or 'invert'")
    sampler = as_sampler(subject, invert, mu)

    def counted(slots: tuple[int, int]) -> list[list[float]]:
        return [[sampler.run(problem, sampler.place(n), direction, count).nfe for n in slots] for count in (2, 3)]

    slots = SLOTS
    try:
        (short, long), again = counted(slots)
    except RAISES:
        slots = EVEN
        (short, long), again = counted(slots)
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
