"""Errors of solvers over boxes of initial states, enclosed; and the theorem that one solver is nearer to the exact flow.

A run on balls encloses the result in real arithmetic, but its radius grows with every register that a ball enters
twice. So a box is taken in mean-value form, its centre with the derivative over the box, through the very same step
program; the excess is then of second order in the box, and bisection removes it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from bdia_numerics.analysis.certified.boxes import Ball, Box, Form, centre, divisible, exact, halves, setting_of, share
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, identity
from bdia_numerics.spaces.values import ordered

Progress = Callable[[float, int], None]
"""Called with the part of the box that is decided, and the number of boxes looked at."""


@dataclass(frozen=True)
class ErrorEnclosure:
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


@dataclass(frozen=True)
class Counterexample:
    """A state at which the opposite is certain, and both errors there (Euclidean norms)."""

    state: tuple[Fraction, ...]
    error_a: Ball
    error_b: Ball


@dataclass(frozen=True)
class Comparison:
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
    hull = list(done[0][1])
    with setting.space.working():
        for _, balls, _ in done[1:]:
            hull = [a.union(b) for a, b in zip(hull, balls, strict=True)]
    return ErrorEnclosure(
        error=tuple(hull),
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
