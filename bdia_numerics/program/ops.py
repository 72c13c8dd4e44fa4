"""What a recorded run consists of: numbered values, and the operations that define them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bdia_numerics.grids import Levels, Point
from bdia_numerics.grids.levels import Time as Time
from bdia_numerics.spaces import Scalar as Scalar


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
        if time not in self.points or (derivatives and self.points[time].alpha_dot is None):
            t, *raw = self.grid.point(time) if derivatives else self.grid.level(time)
            self.points[time] = Point(t, *(None if x is None else self.grid.space.field(x) for x in raw))
        return self.points[time]
