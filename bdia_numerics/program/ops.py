"""What a recorded run consists of, numbered values and the operations that define them, and what the operations mean.

Every operation is either an evaluation of the model, or gives linear combinations of values. `rows` says which ones, and
`interpret` computes them for values of any kind: numbers, series, matrices, dictionaries of coefficients, text. A reader
brings the two operations of its values, and nothing else. A `Slot` is what a parameter that varies along the run is told, and
`checked` refuses parameters that are none.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from bdia_numerics.grids import Levels, Point
from bdia_numerics.grids.levels import Time as Time
from bdia_numerics.spaces import Number, Scalar, UndecidedError, takes
from bdia_numerics.texts import one_of, shown


class Held(NamedTuple):
    """What a register holds: the number of the value, and the time it stands at (an index of the grid)."""

    number: int
    time: Time


@dataclass(frozen=True)
class Evaluate:
    """Evaluate the model at a value."""

    target: int
    argument: int
    time: Time


@dataclass(frozen=True)
class Combine:
    """target = sum of coefficient * value. For an assignment, `old` is the version that it overwrites."""

    target: int
    terms: tuple[tuple[Scalar, int], ...]
    register: str | None = None
    old: int | None = None


@dataclass(frozen=True)
class Mix:
    """targets = matrix @ olds, in one go."""

    targets: tuple[int, ...]
    olds: tuple[int, ...]
    matrix: tuple[tuple[Scalar, ...], ...]
    registers: tuple[str, ...]


Op = Evaluate | Combine | Mix


@dataclass
class Trace:
    """The straight-line program of a whole run: what every value is, and which evaluations are remembered.

    `written` says that a float parameter is the decimal that it prints as on a grid of floats, too, as a lattice needs it.
    """

    grid: Levels
    prediction: str = "eps"
    written: bool = False
    names: list[str] = field(default_factory=list)
    evaluations: dict[tuple[int, Time], int] = field(default_factory=dict)
    points: dict[Time, Point] = field(default_factory=dict)
    times: dict[int, Time] = field(default_factory=dict)
    conversions: dict[Any, tuple[Scalar, Scalar]] = field(default_factory=dict, init=False, repr=False)
    ratios: dict[Time, Scalar] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def one(self) -> Scalar:
        """The exact number 1."""
        return self.grid.space.field(1)

    def new(self, name: str, time: Time | None = None) -> int:
        """Number a new value; the name is for messages, the time is that of a register's version."""
        self.names.append(name)
        if time is not None:
            self.times[len(self.names) - 1] = time
        return len(self.names) - 1

    def point(self, time: Time, derivatives: bool = False) -> Point:
        """Return (t, alpha, sigma) at a time, exact in the field of the grid's system, and what the model or the caller needs more.

        alpha_dot and sigma_dot are asked for where a velocity is predicted or, with `derivatives`, wanted: only it needs them.
        """
        derivatives = derivatives or self.prediction == "velocity"
        point = self.points.get(time)
        if point is None or (derivatives and point.alpha_dot is None):
            t, *raw = self.grid.point(time) if derivatives else self.grid.level(time)
            point = Point(t, *(None if x is None else self.grid.space.field(x) for x in raw))
            self.points[time] = point
        return point


Value = TypeVar("Value")
Terms = tuple[tuple[Scalar, int], ...]


class Row(NamedTuple):
    """target = sum of coefficient * value; `register` is the one that is assigned, None for a scratch value."""

    target: int
    register: str | None
    terms: Terms


def rows(op: Op) -> Iterator[Row]:
    """Yield the linear combinations that an operation computes; an evaluation has none.

    What a mix takes over as it is has no row, since it keeps its number. A coefficient 0 of a mix stands for what the row
    does not mention, and is left out, but never the last term: an empty sum is not a state.
    """
    if isinstance(op, Combine):
        yield Row(op.target, op.register, op.terms)
    elif not isinstance(op, Evaluate):
        for target, register, row in zip(op.targets, op.registers, op.matrix, strict=True):
            # A value that is only handed on keeps its number, so there is nothing to compute.
            if target not in op.olds:
                terms = tuple(zip(row, op.olds, strict=True))
                yield Row(target, register, tuple(term for term in terms if _counts(term[0])) or terms[:1])


def _counts(c: Scalar) -> bool:
    """Say whether a coefficient may differ from 0; a ball that holds 0 and more may."""
    try:
        return bool(c)
    except UndecidedError:
        return True


def interpret(
    ops: Iterable[Op],
    values: MutableMapping[int, Value],
    evaluate: Callable[[Evaluate, Value], Value],
    combine: Callable[[Sequence[tuple[Scalar, Value]]], Value],
    definitions: Mapping[int, Op] | None = None,
) -> None:
    """Run operations on values of any kind.

    Parameters
    ----------
    ops
        In the order in which they run.
    values
        By number, those that stand before; what the operations compute is added. A mapping with defaults, as
        `collections.defaultdict`, says what a number that is not there stands for.
    evaluate
        Gives what an evaluation makes of its argument.
    combine
        Gives the sum of coefficient * value over pairs of them.
    definitions
        Operations by their target: from these a value of an earlier slot is made again where it is not there.
    """

    def value(number: int) -> Value:
        if definitions is not None and number not in values:
            # An evaluation that an earlier slot has left is made again from its definition, in a run that begins after it.
            interpret((definitions[number],), values, evaluate, combine, definitions)
        return values[number]

    for op in ops:
        if isinstance(op, Evaluate):
            values[op.target] = evaluate(op, value(op.argument))
        for target, _, terms in rows(op):
            values[target] = combine([(c, value(n)) for c, n in terms])


def weighted(terms: Iterable[tuple[Scalar, Mapping[Any, Any]]]) -> dict[Any, Any]:
    """Return a combination of vectors that are known by their coefficients, by what these belong to: a `combine` of `interpret`."""
    total: dict[Any, Any] = {}
    for c, vector in terms:
        for key, x in vector.items():
            total[key] = total[key] + c * x if key in total else c * x
    return total


@dataclass(frozen=True)
class Slot:
    """The slot from t_i to t_{i-1}; numbers are in the grid's own system."""

    grid: Levels
    index: Any

    @property
    def i(self) -> Any:
        """Index i on the whole grid, also in a run over a part of it."""
        return self.index + self.grid.offset

    @property
    def t(self) -> Scalar:
        """Time t_i."""
        return self.grid.level(self.index)[0]

    @property
    def alpha(self) -> Scalar:
        """alpha_i."""
        return self.grid.level(self.index)[1]

    @property
    def sigma(self) -> Scalar:
        """sigma_i."""
        return self.grid.level(self.index)[2]

    @property
    def sigma_bar(self) -> Scalar:
        """sigma_i / alpha_i."""
        return self.sigma / self.alpha

    @property
    def h(self) -> Scalar:
        """Step sigma_bar_{i-1} - sigma_bar_i, negative in sampling."""
        return self.next.sigma_bar - self.sigma_bar

    @property
    def next(self) -> Slot:
        """The slot that starts at t_{i-1}."""
        return Slot(self.grid, self.index - 1)

    @property
    def previous(self) -> Slot:
        """The slot that starts at t_{i+1}; its step h ends at t_i."""
        return Slot(self.grid, self.index + 1)


OfSlot = Callable[[Slot], Any]
"""A parameter by its slot: ``gamma(slot)`` with .i, .alpha, .sigma and .h."""
Parameter = Number | OfSlot | Any
"""A solver's parameter: a number, a function of the slot, or a symbol, whose type is sympy's own matter."""


def in_interval(
    name: str, value: object, low: int, high: int, *, interior: bool = False, allow_any: bool | None = None
) -> None:
    """Raise unless a constant lies between two ends, with `interior` strictly; a symbol or a function of the slot may be anything.

    Raises
    ------
    TypeError
        For an array, a list, a complex number, a bool, text, or None.
    ValueError
        For a number outside or NaN, unless `allow_any`; None is a solver without that option.
    """
    if hasattr(value, "free_symbols"):
        return
    if callable(value) and not isinstance(value, type):
        takes(name, value, "slot")
        return
    interval = f"({low}, {high})" if interior else f"[{low}, {high}]"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name}={shown(value)} is not a real number: pass a number in {interval}, a symbol, or a function of the slot"
        )
    number: Any = value
    if number != number:
        raise ValueError(f"{name}={shown(value)} is not a number: pass one in {interval}")
    if not (allow_any or (low < number < high if interior else low <= number <= high)):
        also = "" if allow_any is None else ", or allow_any=True to go there on purpose"
        raise ValueError(f"{name}={shown(value)} lies outside {interval}: pass a number in {interval}{also}")


def checked(solver: Any, *parameters: str, **options: Sequence[object]) -> None:
    """Refuse a solver whose parameters lie outside [0, 1], unless it allows any, or an option of which is none of its choices."""
    for name in parameters:
        in_interval(name, getattr(solver, name), 0, 1, allow_any=solver.allow_any)
    for name, choices in options.items():
        one_of(name, getattr(solver, name), choices)
