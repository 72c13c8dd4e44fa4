"""Errors of solvers over boxes of initial states, enclosed; and the theorem that one solver is nearer to the exact flow.

A run on balls encloses the result in real arithmetic, but its radius grows with every register that a ball enters
twice. So a box is taken in mean-value form, its centre with the derivative over the box, through the very same step
program; the excess is then of second order in the box, and bisection removes it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import prod
from typing import Any, Literal

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.problems.enclosures import square
from bdia_numerics.program import Solver, identity
from bdia_numerics.runs.solving import solve
from bdia_numerics.spaces import Balls, Drawn, MeanValue, Shown, ball_of, ordered, parameter
from bdia_numerics.texts import one_of, shown

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
        return np.array(values, dtype=object)

    def errors(self, solvers: Sequence[Solver], box: Box) -> tuple[list[list[Any]], int]:
        """Return each solver's error over a box, in the form of the setting, and the model evaluations made."""
        with self.space.working():
            state, schedule = self.state(box), self.grid.schedule
            truth = self.problem.flow_certified(state, self.grid.t[self.grid.n], self.grid.t[0], schedule).z
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
            return sum(map(square, errors)).nonnegative_part().sqrt()


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
        raise TypeError(
            f"{name}={shown(x)} is not an exact number: pass an int, a float, a Fraction or a decimal string"
        )
    return value


def box_of(value: Any, dimension: int, space: Balls) -> Box:
    """Return a box, given a pair in one dimension or a pair for each coordinate."""
    remedy = "pass (low, high)" if dimension == 1 else f"pass {dimension} pairs (low, high)"
    try:
        rows = list(value)
        pairs = [rows] if dimension == 1 and len(rows) == 2 and np.ndim(rows[0]) == 0 else [list(row) for row in rows]
    except TypeError:
        raise ValueError(f"box={shown(value)} is not a box: {remedy}") from None
    if len(pairs) != dimension or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"box={shown(value)} is not a box in D = {dimension}: {remedy}")
    box = tuple((exact("box", low, space), exact("box", high, space)) for low, high in pairs)
    for low, high in box:
        if low > high:
            raise ValueError(f"box={shown(value)} has its ends {low} > {high} in the wrong order: {remedy}")
    return box


def setting_of(problem: Any, grid: Grid, box: Any, budget: int, prec: int, form: Form) -> tuple[EnclosureSetting, Box]:
    """Return the checked setting and box."""
    space = Balls(prec)
    one_of("form", form, FORMS)
    if isinstance(budget, bool) or not hasattr(budget, "bit_length") or budget < 1:
        raise ValueError(f"budget={shown(budget)} is not a number of boxes: use a positive integer")
    if grid.schedule is None:
        raise ValueError(
            "grid was made from values, and the exact flow needs its schedule: use another grid of `grids`"
        )
    if not hasattr(problem, "flow_certified"):
        raise TypeError(f"problem={shown(problem)} has no flow_certified: pass a distribution of `problems`")
    return EnclosureSetting(problem, grid.to(space), space, form), box_of(box, problem.dimension, space)


Progress = Callable[[float, int], None]
"""Called with the part of the box that is decided, and the number of boxes looked at."""


@dataclass(frozen=True, repr=False)
class ErrorEnclosure(Drawn):
    """Where the error of a solver, numerical less exact state at the data end, lies over a box of initial states.

    Attributes
    ----------
    error : tuple of arb
        For each coordinate a ball that holds the error from every state of the box.
    pieces : tuple of (box, error)
        The subdivision, with the enclosure on each piece.
    evaluated : int
        Boxes looked at.
    complete : bool
        Whether every piece reached the wanted radius; False if the budget was used up before.
    prec : int
        Bits of the midpoints.
    seconds : float
        Processor time.
    """

    error: tuple[Ball, ...]
    pieces: tuple[tuple[Box, tuple[Ball, ...]], ...]
    evaluated: int
    complete: bool
    prec: int
    seconds: float

    @property
    def radius(self) -> float:
        """The largest radius of a piece."""
        return max(float(e.rad()) for _, errors in self.pieces for e in errors)


@dataclass(frozen=True, repr=False)
class Counterexample(Shown):
    """A state at which the opposite is certain, and both errors there (Euclidean norms)."""

    state: tuple[Fraction, ...]
    error_a: Ball
    error_b: Ball


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """What became of the statement that a's error is smaller than b's, from every state of a box.

    Attributes
    ----------
    verdict : {"proved", "refuted", "undecided"}
        "proved": for every state of the box. "refuted": at `witness`. "undecided": the budget was used up.
    statement : str
        The statement in words.
    ratio : float
        Proved: a bound of |error of a| / |error of b| over the box; otherwise over the decided pieces.
    pieces : tuple of boxes
        Those on which the statement is proved; together they cover the box if the verdict is "proved".
    open : tuple of boxes
        Those that were left undecided.
    evaluated, nfe : int
        Boxes looked at, and model evaluations made on balls.
    witness : Counterexample or None
        The counterexample.
    prec : int
        Bits of the midpoints.
    seconds : float
        Processor time.
    """

    verdict: Literal["proved", "refuted", "undecided"]
    statement: str
    ratio: float
    pieces: tuple[Box, ...]
    open: tuple[Box, ...]
    evaluated: int
    nfe: int
    witness: Counterexample | None
    prec: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.verdict}: {self.statement} ({self.evaluated} boxes, {self.prec} bits, {self.seconds:.1f} s)"


@ordered
def enclose_error(
    solver: Solver,
    problem: Any,
    grid: Grid,
    box: Any,
    *,
    radius: float | None = None,
    budget: int = 1024,
    prec: int = 128,
    form: Form = "mean value",
    progress: Progress | None = None,
) -> ErrorEnclosure:
    """Enclose the error of a solver, numerical less exact state at the data end, over a box of initial states.

    Parameters
    ----------
    solver
        Any solver.
    problem
        A distribution with an exact flow on balls: one dimension, or one component.
    grid
        A grid of a schedule, in any number system that keeps its decimals; it is evaluated in balls.
    box
        (low, high) in one dimension, else a pair for each coordinate; ints, Fractions, decimal strings, or floats with
        their binary value.
    radius
        Pieces are halved until no coordinate's error has a larger radius; without it the box is taken whole.
    budget
        The largest number of boxes looked at.
    prec
        Bits of the midpoints.
    form : {"mean value", "natural"}
        Whether derivatives are carried along, or balls alone.
    progress
        Told how far the work has come.

    Returns
    -------
    ErrorEnclosure
        An enclosure in any case; `complete` says whether the radius was reached.

    Raises
    ------
    ValueError, TypeError
        For a box that is none, a budget below 1, an unknown form, a grid without a schedule, a problem without exact flow.
    ImportError
        Without python-flint, naming the extra.
    """
    began = time.process_time()
    setting, whole = setting_of(problem, grid, box, budget, prec, form)
    waiting, done, evaluated, volume = deque([whole]), [], 0, 0.0
    while waiting:
        piece = waiting.popleft()
        (errors,), _ = setting.errors([solver], piece)
        balls = tuple(setting.values(errors))
        evaluated += 1
        small = radius is None or all(e.is_finite() and float(e.rad()) <= radius for e in balls)
        if small or evaluated + len(waiting) + 2 > budget or not divisible(piece):
            done.append((piece, balls, small))
            volume += share(piece, whole)
        else:
            waiting.extend(halves(piece))
        if progress is not None:
            progress(volume, evaluated)
    with setting.space.working():
        hull = tuple(
            reduce(lambda a, b: a.union(b), each) for each in zip(*(balls for _, balls, _ in done), strict=True)
        )
    return ErrorEnclosure(
        error=hull,
        pieces=tuple((piece, balls) for piece, balls, _ in done),
        evaluated=evaluated,
        complete=all(small for *_, small in done),
        prec=prec,
        seconds=time.process_time() - began,
    )


@ordered
def certify_better(
    a: Solver,
    b: Solver,
    problem: Any,
    grid: Grid,
    box: Any,
    *,
    factor: Any = 1,
    budget: int = 4096,
    prec: int = 128,
    form: Form = "mean value",
    progress: Progress | None = None,
) -> Comparison:
    """Decide whether a's error is smaller than b's from EVERY state of a box: a proof, a counterexample, or neither.

    Errors are Euclidean norms of numerical less exact state at the data end. The box is bisected until on every piece
    the largest |error of a| is certainly below `factor` times the smallest |error of b|, or until at the centre of a
    piece the opposite is certain.

    Parameters
    ----------
    a, b
        Two solvers.
    factor
        Positive; 1/2 for "at most half".
    problem, grid, box, budget, prec, form, progress
        As for `enclose_error`.

    Returns
    -------
    Comparison
        Its verdict is "undecided" when the budget is used up, with the boxes that are left.

    Raises
    ------
    ValueError, TypeError, ImportError
        As for `enclose_error`; ValueError for a factor that is not positive.
    """
    began = time.process_time()
    setting, whole = setting_of(problem, grid, box, budget, prec, form)
    bound = exact("factor", factor, setting.space)
    if bound <= 0:
        raise ValueError(f"factor={factor} is not positive: use 1, or less to prove more")
    waiting, proved, stuck = deque([whole]), list[Box](), list[Box]()
    evaluated = nfe = 0
    ratio = volume = 0.0
    witness = None
    while waiting and evaluated < budget and witness is None:
        piece = waiting.popleft()
        errors, made = setting.errors([a, b], piece)
        evaluated, nfe = evaluated + 1, nfe + made
        worst, best = (setting.norm(setting.values(own)) for own in errors)
        if worst.is_finite() and best.is_finite() and bool(worst < setting.space.coefficient(bound) * best):
            proved.append(piece)
            ratio = max(ratio, float((worst / best).upper()))
            volume += share(piece, whole)
        else:
            there = [setting.norm(own) for own in setting.at_centre([a, b], piece, errors)]
            if bool(there[0] >= setting.space.coefficient(bound) * there[1]):
                witness = Counterexample(centre(piece), *there)
            elif divisible(piece):
                waiting.extend(halves(piece))
            else:
                stuck.append(piece)
        if progress is not None:
            progress(volume, evaluated)
    left = (*waiting, *stuck)
    return Comparison(
        verdict="refuted" if witness is not None else "undecided" if left else "proved",
        statement=_statement(a, b, problem, setting.grid, whole, bound),
        ratio=ratio,
        pieces=tuple(proved),
        open=left,
        evaluated=evaluated,
        nfe=nfe,
        witness=witness,
        prec=prec,
        seconds=time.process_time() - began,
    )


def _statement(a: Solver, b: Solver, problem: Any, grid: Grid, box: Box, factor: Fraction) -> str:
    ends = " x ".join(f"[{low}, {high}]" for low, high in box)
    times = "" if factor == 1 else f"{factor} "
    return (
        f"|error of {identity(a, grid)}| < {times}|error of {identity(b, grid)}| for {type(problem).__name__}, "
        f"{grid.n} slots from t={grid.t[grid.n]} to {grid.t[0]} of {grid.schedule}, from every state in {ends}"
    )
