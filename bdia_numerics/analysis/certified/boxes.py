"""Boxes of initial states, and what solvers do over them on balls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, Literal

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.problems.enclosed_scores import square
from bdia_numerics.program import Solver
from bdia_numerics.runs.solving import solve
from bdia_numerics.spaces import Balls, MeanValue, parameter
from bdia_numerics.spaces.mean_value import ball_of

Box = tuple[tuple[Fraction, Fraction], ...]
"""For each coordinate its two ends."""
Ball = Any
"""A flint.arb."""
Form = Literal["mean value", "natural"]
FORMS: tuple[Form, ...] = ("mean value", "natural")

_SMALLEST = Fraction(1, 2**60)
"""Sides are not halved below this part of their own length and size."""


@dataclass(frozen=True)
class EnclosureSetting:
    """A problem on a grid in balls, and in which form boxes are run through it."""

    problem: Any
    grid: Grid
    space: Balls
    form: Form

    def state(self, box: Box) -> np.ndarray[Any, Any]:
        """Return the states of a box: balls, or their centre with the derivative by the initial coordinates."""
        plain = self.space.coefficient
        ends = [(plain(low), plain(high)) for low, high in box]
        values: list[Any] = [low.union(high) for low, high in ends]
        if self.form == "mean value":
            centres = [plain((low + high) / 2) for low, high in box]
            kind = type(centres[0])
            reach = tuple(kind(0, plain((high - low) / 2).upper()) for low, high in box)
            unit = [tuple(kind(int(j == k)) for j in range(len(box))) for k in range(len(box))]
            values = [MeanValue(c, slopes, reach) for c, slopes in zip(centres, unit, strict=True)]
        state = np.empty(len(values), dtype=object)
        state[:] = values
        return state

    def errors(self, solvers: Sequence[Solver], box: Box) -> tuple[list[list[Any]], int]:
        """Return each solver's error over a box, in the form of the setting, and the model evaluations made."""
        with self.space.working():
            state, schedule = self.state(box), self.grid.schedule
            ends = self.grid.t[self.grid.n], self.grid.t[0]
            truth = self.problem.flow_certified(state, *ends, schedule).z
            runs = [solve(s, self.problem.model(schedule), self.grid, state) for s in solvers]
            return [list(r.z - truth) for r in runs], sum(r.nfe for r in runs)

    def values(self, errors: Sequence[Any]) -> list[Ball]:
        """Return the balls of errors over the whole box."""
        with self.space.working():
            return [self.space.coefficient(ball_of(e)) for e in errors]

    def at_centre(self, solvers: Sequence[Solver], box: Box, errors: list[list[Any]]) -> list[list[Ball]]:
        """Return the errors at the centre of a box."""
        if self.form == "mean value":
            return [[e.centre for e in own] for own in errors]
        middle = tuple((m, m) for m in centre(box))
        return [self.values(own) for own in self.errors(solvers, middle)[0]]

    def norm(self, errors: Sequence[Ball]) -> Ball:
        """Return the Euclidean norm."""
        with self.space.working():
            squares = [square(e) for e in errors]
            return sum(squares[1:], start=squares[0]).nonnegative_part().sqrt()


def centre(box: Box) -> tuple[Fraction, ...]:
    """Return the middle of a box."""
    return tuple((low + high) / 2 for low, high in box)


def halves(box: Box) -> Iterator[Box]:
    """Cut a box in two across its longest side."""
    k = max(range(len(box)), key=lambda d: box[d][1] - box[d][0])
    low, high = box[k]
    for part in ((low, (low + high) / 2), ((low + high) / 2, high)):
        yield (*box[:k], part, *box[k + 1 :])


def divisible(box: Box) -> bool:
    """Say whether a box is worth being halved."""
    return any(high - low > _SMALLEST * max(Fraction(1), abs(low), abs(high)) for low, high in box)


def share(box: Box, whole: Box) -> float:
    """Return the part of the whole box that a piece is; sides without length count as one."""
    sides = zip(box, whole, strict=True)
    parts = (float((high - low) / (end - start)) for (low, high), (start, end) in sides if end > start)
    return prod(parts, start=1.0)


def exact(name: str, x: Any, space: Balls) -> Fraction:
    """Return a parameter's exact value; a float means the decimal that it prints as."""
    try:
        value = parameter(space, x)
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, Fraction):
        raise TypeError(f"{name}={x!r} is not an exact number: pass an int, a float, a Fraction or a decimal string")
    return value


def box_of(value: Any, dimension: int, space: Balls) -> Box:
    """Return a box, given a pair in one dimension or a pair for each coordinate."""
    remedy = "pass (low, high)" if dimension == 1 else f"pass {dimension} pairs (low, high)"
    try:
        rows = list(value)
        pairs = [rows] if dimension == 1 and len(rows) == 2 and np.ndim(rows[0]) == 0 else [list(row) for row in rows]
    except TypeError:
        raise ValueError(f"box={value!r} is not a box: {remedy}") from None
    if len(pairs) != dimension or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"box={value!r} is not a box in D = {dimension}: {remedy}")
    box = tuple((exact("box", low, space), exact("box", high, space)) for low, high in pairs)
    for low, high in box:
        if low > high:
            raise ValueError(f"box={value!r} has its ends {low} > {high} in the wrong order: {remedy}")
    return box


def setting_of(problem: Any, grid: Grid, box: Any, budget: int, prec: int, form: Form) -> tuple[EnclosureSetting, Box]:
    """Return the checked setting and box."""
    space = Balls(prec)
    if form not in FORMS:
        raise ValueError(f"form={form!r} is unknown: use {' or '.join(map(repr, FORMS))}")
    if isinstance(budget, bool) or not hasattr(budget, "bit_length") or budget < 1:
        raise ValueError(f"budget={budget!r} is not a number of boxes: use a positive integer")
    if not isinstance(grid, Grid):
        raise TypeError(f"grid={grid!r} is not a Grid: make one, for instance grids.uniform(schedule, 20)")
    if grid.schedule is None:
        raise ValueError(
            "grid was made from values, and the exact flow needs its schedule: use another grid of `grids`"
        )
    if not hasattr(problem, "flow_certified"):
        raise TypeError(f"problem={problem!r} has no flow_certified: pass a distribution of `problems`")
    return EnclosureSetting(problem, grid.to(space), space, form), box_of(box, problem.dimension, space)
