"""Balls that carry their derivative: the mean-value form of whatever is computed from a box of initial states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


def carries_slopes(x: object) -> bool:
    """Say whether a value carries its derivatives."""
    return isinstance(x, MeanValue)


def ball_of(x: Any) -> Any:
    """Return the ball over the whole box of a value with derivatives, and a ball as it is."""
    return x.value if isinstance(x, MeanValue) else x


@dataclass(frozen=True, slots=True, eq=False)
class MeanValue:
    """A function f of a box m + R, known by f(m) and by its derivatives over the box.

    f(m + r) lies in centre + sum_k slopes[k] r[k] for every r in R, by the mean-value theorem. Through a run, what the
    balls of plain arithmetic lose by forgetting that two registers come from one initial state is so kept; the excess is
    of second order in the box.

    Parameters
    ----------
    centre
        Encloses f(m).
    slopes
        slopes[k] encloses the derivative by the k-th initial coordinate over the whole box.
    reach
        Balls R around 0, the same objects for all values of a run.
    """

    centre: Any
    slopes: tuple[Any, ...]
    reach: tuple[Any, ...]

    @property
    def value(self) -> Any:
        """The ball that holds f on the box."""
        return sum((s * r for s, r in zip(self.slopes, self.reach, strict=True)), start=self.centre)

    def is_finite(self) -> bool:
        """Say whether centre and slopes are finite."""
        return all(bool(x.is_finite()) for x in (self.centre, *self.slopes))

    def _other(self, other: Any) -> MeanValue | None:
        """Return another value of the same box; a number is constant on it."""
        if isinstance(other, MeanValue):
            if other.reach is not self.reach:
                raise ValueError("two values over different boxes: make the states of one run with one box")
            return other
        # An array on the other side takes the operation over, element by element.
        if hasattr(other, "shape") or not hasattr(other, "__add__"):
            return None
        return MeanValue(other, tuple(0 * s for s in self.slopes), self.reach)

    def __add__(self, other: Any) -> MeanValue:
        term = self._other(other)
        if term is None:
            return NotImplemented
        slopes = tuple(a + b for a, b in zip(self.slopes, term.slopes, strict=True))
        return MeanValue(self.centre + term.centre, slopes, self.reach)

    __radd__ = __add__

    def __neg__(self) -> MeanValue:
        return MeanValue(-self.centre, tuple(-s for s in self.slopes), self.reach)

    def __sub__(self, other: Any) -> MeanValue:
        term = self._other(other)
        return NotImplemented if term is None else self + (-term)

    def __rsub__(self, other: Any) -> MeanValue:
        term = self._other(other)
        return NotImplemented if term is None else term + (-self)

    def __mul__(self, other: Any) -> MeanValue:
        term = self._other(other)
        if term is None:
            return NotImplemented
        # On the left factor the ball of the whole box stands: d(fg) = f' g + f g'.
        left, right = (self.value, term.value) if isinstance(other, MeanValue) else (None, other)
        slopes = (
            tuple(a * right for a in self.slopes)
            if left is None
            else tuple(a * right + left * b for a, b in zip(self.slopes, term.slopes, strict=True))
        )
        return MeanValue(self.centre * term.centre, slopes, self.reach)

    __rmul__ = __mul__
