"""Grids: the times of a run with their noise levels, indexed as in the paper."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids.levels import Between, Point
from bdia_numerics.schedules import Schedule
from bdia_numerics.schedules.base import angle_of, inside, write
from bdia_numerics.spaces import Scalar, Shown, Space, decimal
from bdia_numerics.texts import MOST, ratio, shown

Time = Any
"""t of a schedule, a number of any system."""
Column = Sequence[Scalar] | np.ndarray[Any, Any]
Columns = tuple[Column, Column, Column]
"""t, alpha and sigma, data end first: arrays where a schedule was asked, else as they were given."""


class Spacing(Protocol):
    """How the points of a grid are computed in any number system."""

    def points(self, space: Space) -> Columns:
        """Return t, alpha and sigma, the data end first."""


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Shown):
    """N slots between N+1 times.

    Attributes
    ----------
    t, alpha, sigma
        Read-only arrays of shape (N+1,), index 0 the data end and N the noise end, in the grid's number system.
    space, schedule
        The number system; the schedule, None if only values are known.
    recipe
        What computes the points in other number systems.
    root, offset
        A fingerprint of the whole grid that this one is a part of, and the index in it of point 0.
    """

    whole: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]] = field(repr=False)
    space: Space
    schedule: Schedule | None
    recipe: Spacing = field(repr=False)
    _span: range = field(repr=False)
    t: np.ndarray[Any, Any] = field(init=False)
    alpha: np.ndarray[Any, Any] = field(init=False)
    sigma: np.ndarray[Any, Any] = field(init=False)
    _plans: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, column in zip(("t", "alpha", "sigma"), self.whole, strict=True):
            column.setflags(write=False)
            values = column[list(self._span)]
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def __hash__(self) -> int:
        return hash((self.root, self._span))

    def __len__(self) -> int:
        return self.n

    @property
    def n(self) -> int:
        """The number N of slots."""
        return len(self._span) - 1

    @property
    def timesteps(self) -> np.ndarray[Any, Any]:
        """The times in sampling order, t_N first, shape (N+1,)."""
        return self.t[::-1]

    @property
    def is_reversed(self) -> bool:
        """Whether point 0 is the noise end, as in `reversed`."""
        return self._span.step < 0

    @property
    def offset(self) -> int:
        """The index of point 0 in the whole grid (in the whole reversed one, for a reversed grid)."""
        start = self._span[0]
        return start if self._span.step > 0 else len(self.whole[0]) - 1 - start

    @cached_property
    def root(self) -> str:
        """The fingerprint of the whole grid: SHA-256 of number system and values, and "-reversed" if it is reversed."""
        if self.entire is not self:
            return self.entire.root
        text = ";".join(",".join(str(self.space.field(v)) for v in column) for column in self.whole)
        fingerprint = hashlib.sha256(f"{self.space.name}:{text}".encode()).hexdigest()
        return fingerprint if self._span.step > 0 else f"{fingerprint}-reversed"

    @cached_property
    def entire(self) -> Grid:
        """The whole grid that this one is a part of, in the same direction."""
        points = range(len(self.whole[0]))
        span = points if self._span.step > 0 else points[::-1]
        return self if span == self._span else Grid(self.whole, self.space, self.schedule, self.recipe, span)

    def reversed(self) -> Grid:
        """The same points with index i and N-i exchanged, as encoding runs through them."""
        return self._with(self._span[::-1])

    def __getitem__(self, part: slice) -> Grid:
        """Return slots a..b, that is points a..b with both ends, as a grid of b-a slots."""
        if not hasattr(part, "indices") or part.step not in (None, 1):
            raise TypeError(f"grid[{shown(part)}]: take a part with grid[a:b], 0 <= a < b <= {self.n}")
        a = 0 if part.start is None else part.start
        b = self.n if part.stop is None else part.stop
        if not 0 <= a < b <= self.n:
            raise ValueError(f"grid[{a}:{b}] has no slot of this grid: need 0 <= a < b <= {self.n}")
        return self._with(self._span[a : b + 1])

    def to(self, space: Any) -> Grid:
        """Return the grid evaluated anew in another number system.

        Parameters
        ----------
        space
            A space of `spaces`, a NumPy float dtype, or Fraction.

        Raises
        ------
        TypeError
            If the grid has no faithful values there: given floats as fractions, an exponential as a fraction.
        """
        target = spaces.named(space)
        return self._with(self._span, columns(target, self.recipe), target)

    def point(self, time: int | Between) -> Point:
        """Return a time with its noise level and their derivatives, as scalars of the grid's system.

        Parameters
        ----------
        time
            An index 0..N, or a `Between`.

        Raises
        ------
        IndexError
            For an index outside 0..N.
        ValueError
            For a `Between` on a grid without a schedule, or at a value that the schedule does not reach.
        """
        level = self.level(time)
        symbolic = getattr(self.recipe, "symbols", None)
        if symbolic is not None:
            return symbolic(str(level[0]).removeprefix("t_"))
        with self.space.working():
            return Point(*level, *self._derivatives(level[0]))

    def level(self, time: int | Between) -> tuple[Scalar, Scalar, Scalar]:
        """Return (t, alpha, sigma) at a time as scalars, without the derivatives of `point`; errors as there."""
        if isinstance(time, Between):
            return self._between(time)
        if not 0 <= time <= self.n:
            raise IndexError(f"index {time} is outside the grid: its points are 0..{self.n}")
        with self.space.working():
            t, alpha, sigma = (self.space.number(column[time]) for column in (self.t, self.alpha, self.sigma))
            return t, alpha, sigma

    def _between(self, time: Between) -> tuple[Scalar, Scalar, Scalar]:
        theta = self.space.number(time.theta)
        if theta in (0, 1):
            return self.level(time.j if theta == 1 else time.i)
        first, last = self.level(time.i), self.level(time.j)
        symbolic = getattr(self.recipe, "symbols", None)
        if symbolic is not None:
            i, j = self._span[time.i], self._span[time.j]
            # One time has one name, from whichever side it is reached.
            low, high, part = (i, j, theta) if i < j else (j, i, 1 - theta)
            return symbolic(f"{{{low},{high},{str(part).replace(' ', '')},{time.variable}}}")[:3]
        if self.schedule is None:
            raise ValueError(
                f"the step evaluates the model between t={shown(first[0])} and {shown(last[0])}, and this grid has values only: use "
                "grids.from_timesteps, or from_values(..., schedule=)"
            )
        with self.space.working():
            ends = [level[0] if time.variable == "t" else self._value(time.variable, *level) for level in (first, last)]
            t = self.schedule.time(time.variable, ends[0] + (ends[1] - ends[0]) * theta)
            return t, self.schedule.alpha(t), self.schedule.sigma(t)

    def _value(self, variable: str, t: Scalar, alpha: Scalar, sigma: Scalar) -> Scalar:
        if variable == "angle":
            return angle_of(self.space, alpha, sigma)
        if alpha == 0 or (variable == "log_snr" and sigma == 0):
            raise ValueError(
                f"{'alpha' if alpha == 0 else 'sigma'} = 0 at t={t}: {variable} is infinite there: end the grid before it, "
                "or take variable='t'"
            )
        ratio = sigma / alpha
        return ratio if variable == "sigma_bar" else write(self.space, -2 * self.space.log(ratio), None)

    def _derivatives(self, t: Scalar) -> tuple[Scalar | None, Scalar | None]:
        if self.schedule is None:
            return None, None
        found: list[Scalar | None] = []
        for derivative in (self.schedule.alpha_dot, self.schedule.sigma_dot):
            try:
                value = derivative(t)
                found.append(value if self.space.finite(value) else None)
            except (ValueError, TypeError):
                found.append(None)
        return found[0], found[1]

    def _with(self, span: range, whole: Any = None, space: Space | None = None) -> Grid:
        made = Grid(self.whole if whole is None else whole, space or self.space, self.schedule, self.recipe, span)
        if whole is None and (span.step > 0) == (self._span.step > 0):
            vars(made)["entire"] = self.entire  # parts share its fingerprint, which takes a pass over all points
        return made


def columns(space: Space, recipe: Spacing) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return a recipe's points in a number system as three checked arrays of shape (N+1,)."""
    with space.working():
        t, alpha, sigma = (
            space.cast(column) if isinstance(column, np.ndarray) else space.array(column)
            for column in recipe.points(space)
        )
    check(space, t, alpha, sigma)
    return t, alpha, sigma


def check(space: Space, t: Any, alpha: Any, sigma: Any) -> None:
    """Raise ValueError unless all is finite, alpha and sigma at least 0, t strictly monotone and sigma/alpha rising."""
    if space.floats and _sound(t, alpha, sigma):
        return
    for name, column in (("t", t), ("alpha", alpha), ("sigma", sigma)):
        for i, value in enumerate(column):
            check_value(space, name, i, value)
    for i in range(len(t) - 1):
        if decided(t[i] == t[i + 1]):
            raise ValueError(f"t={t[i]!s} occurs twice (points {i} and {i + 1}): leave one out")
        if (decided(t[i + 1] > t[i]) and decided(t[1] < t[0])) or (decided(t[i + 1] < t[i]) and decided(t[1] > t[0])):
            raise ValueError(f"t={t[i + 1]!s} (point {i + 1}) turns back after t={t[i]!s}: sort the times")
        # Compared as products, so that alpha = 0 is fine at the noise end.
        if decided(sigma[i + 1] * alpha[i] <= sigma[i] * alpha[i + 1]):
            raise ValueError(
                f"sigma/alpha does not rise from point {i} (t={t[i]!s}) to point {i + 1} (t={t[i + 1]!s}): "
                "each point needs more noise than the one before it"
            )


def _sound(t: Any, alpha: Any, sigma: Any) -> bool:
    """Say at once what `check` finds point by point, for arrays of floats."""
    steps, rises = np.diff(t), sigma[1:] * alpha[:-1] > sigma[:-1] * alpha[1:]
    levels = np.isfinite([t, alpha, sigma]).all() and (alpha >= 0).all() and (sigma >= 0).all()
    return bool(levels and ((steps > 0).all() or (steps < 0).all()) and rises.all())


def check_value(space: Space, name: str, i: int, value: Any) -> None:
    """Raise ValueError unless point i's t, alpha or sigma is finite, and a noise level at least 0."""
    if not space.finite(value):
        raise ValueError(not_finite(f"{name}[{i}]", value))
    if name != "t" and decided(value < 0):
        raise ValueError(f"{name}[{i}]={value!s} is negative: noise levels are at least 0")


def not_finite(name: str, x: Any) -> str:
    """Return the message on a NaN or an infinity."""
    return f"{name}={x!s} is not finite: pass finite numbers"


def decided(relation: Any) -> bool:
    """Say whether a relation is known to hold; between symbols most are undecided, and then nothing is refused."""
    try:
        return bool(relation)
    except TypeError:
        return False


def exact(name: str, x: Any) -> Fraction:
    """Return a parameter as the Fraction that was meant: written decimals for floats, the very value for all else."""
    if isinstance(x, int | np.integer):
        return Fraction(int(x))
    if isinstance(x, str):
        return ratio(name, x)
    space = spaces.of(x, name)
    if not space.finite(x):
        raise ValueError(not_finite(name, x))
    try:
        return decimal(x) if spaces.is_float(x) else Fraction(str(space.field(x)))
    except (TypeError, ValueError):
        raise TypeError(f"{name}={x} is not a number: pass an int, a float or a Fraction") from None


def build(recipe: Spacing, space: Any, schedule: Schedule | None) -> Grid:
    """Return the grid of a recipe in a number system."""
    target = spaces.named(space)
    whole = columns(target, recipe)
    return Grid(whole, target, schedule, recipe, range(len(whole[0])))


def slots_of(n: Any, least: int = 1) -> int:
    """Return a number of slots; TypeError or ValueError unless it is an int of at least `least`."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"n={shown(n)} is not a number of slots: pass an int")
    if n < least:
        raise ValueError(f"n={n}: a grid needs at least {least} slot{'s' if least > 1 else ''}")
    if n > MOST:
        raise ValueError(f"n={shown(n)} is too large: a grid has at most {MOST} slots")
    return int(n)


def ends_of(schedule: Schedule, t_max: Time | None, t_min: Time | None) -> tuple[Fraction, Fraction]:
    """Return t_max and t_min, the schedule's own by default; ValueError unless t_min < t_max inside its domain."""
    top = inside(schedule, "t_max", schedule.t_max if t_max is None else exact("t_max", t_max))
    bottom = inside(schedule, "t_min", schedule.t_min if t_min is None else exact("t_min", t_min))
    if not bottom < top:
        raise ValueError(f"t_min={float(bottom):g}, t_max={float(top):g}: need t_min < t_max")
    return top, bottom
