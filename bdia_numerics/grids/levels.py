"""What a step sees of a grid: times, their noise levels, and the numbers that it computes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Number
from typing import Any, NamedTuple, Protocol

from bdia_numerics.spaces import Scalar, Space
from bdia_numerics.texts import shown


class Point(NamedTuple):
    """A time with its noise level; the derivatives are None where they are not known or diverge."""

    t: Scalar
    alpha: Scalar
    sigma: Scalar
    alpha_dot: Scalar | None = None
    sigma_dot: Scalar | None = None


@dataclass(frozen=True, eq=False)  # `spaces.values.share` compares it
class Between:
    """The time at which a variable is (1-theta) times its value at index i plus theta times its value at index j.

    `variable` is "sigma_bar", "log_snr", "angle" or "t".
    """

    i: int
    j: int
    theta: Any
    variable: str = "sigma_bar"

    def __post_init__(self) -> None:
        if self.variable not in ("sigma_bar", "log_snr", "angle", "t"):
            raise ValueError(f"variable={shown(self.variable)} is unknown: use 'sigma_bar', 'log_snr', 'angle' or 't'")

    def __hash__(self) -> int:
        # A time is looked up many times a step, and one index rarely has two values of theta, whose hash takes longest.
        return hash((self.i, self.j, self.variable))


Time = Any
"""An index of the grid (an int, or an `Index`), or a `Between`."""


class Levels(Protocol):
    """What a step sees of a grid.

    A `Grid` has these members, and so has whatever else a step program is recorded on: series in the step size, symbols at
    indices of which nothing is known, or one level for all times.
    """

    @property
    def space(self) -> Space:
        """The numbers in which the step's coefficients are formed."""

    @property
    def n(self) -> int:
        """Number of slots."""

    @property
    def offset(self) -> int:
        """Index of point 0 in the whole grid."""

    @property
    def entire(self) -> Levels:
        """The whole grid, of which this may be a part: a parameter that varies from slot to slot may ask for it."""

    @property
    def is_reversed(self) -> bool:
        """Whether point 0 is the noise end."""

    def point(self, time: Time) -> Point:
        """Return a time with its noise level and their derivatives."""

    def level(self, time: Time) -> tuple[Scalar, Scalar, Scalar]:
        """Return (t, alpha, sigma) at a time: what most steps need, without the price of the derivatives."""


@dataclass(frozen=True)
class Pointwise:
    """A grid that is known by its points alone: a point for every time that a step asks for."""

    space: Space
    point: Callable[[Time], Point]
    n: int = 0
    offset: int = 0
    is_reversed: bool = False

    @property
    def entire(self) -> Pointwise:
        """Itself."""
        return self

    def level(self, time: Time) -> tuple[Scalar, Scalar, Scalar]:
        """Return (t, alpha, sigma) at a time."""
        return self.point(time)[:3]


@dataclass(frozen=True, eq=False)
class Index:
    """The index of a slot, `offset` slots from one of which nothing is known.

    It can be moved, and told from another such index. A step that looks at it otherwise is not one step for every slot.
    """

    offset: int = 0

    def __str__(self) -> str:
        return str(self.offset)

    def refuse(self) -> Any:
        """Raise the error for a step that looks at its index."""
        raise TypeError("the step depends on its index i: what is proved of one slot would not hold for all")

    def __add__(self, k: int) -> Index:
        return type(self)(self.offset + k)

    __radd__ = __add__

    def __sub__(self, k: int) -> Index:
        return type(self)(self.offset - k)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number):
            self.refuse()
        return isinstance(other, Index) and self.offset == other.offset

    def __hash__(self) -> int:
        return hash(self.offset)

    def _refused(self, *_: object) -> Any:
        return self.refuse()

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __int__ = __index__ = __rsub__ = __pow__ = _refused
    __mod__ = __floordiv__ = __truediv__ = __mul__ = __rmul__ = __rtruediv__ = _refused
