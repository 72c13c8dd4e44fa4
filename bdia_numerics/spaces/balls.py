"""Balls: every number a midpoint with a radius that certainly holds the true value (Arb, by python-flint).

Balls that carry their derivative are the mean-value form of whatever is computed from a box of initial states.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import GenericArithmetic, Scalar, lift, of_class, register
from bdia_numerics.spaces.memory import register_reader
from bdia_numerics.spaces.precision import Shared
from bdia_numerics.texts import ratio, shown

_WORD = "balls"
_PRECISION = Shared(lambda: int(_flint().ctx.prec), lambda bits: setattr(_flint().ctx, "prec", bits))
MISSING = "python-flint is not installed: pip install 'bdia_numerics[balls]'"


def _flint() -> Any:
    try:
        import flint
    except ImportError:
        raise ImportError(MISSING) from None
    return flint


def _ball() -> Any:
    _flint()
    from bdia_numerics.spaces import ball

    return ball


def _function(name: str, *, partial: bool = False) -> Any:
    def one(x: Any) -> Any:
        balls = _ball()
        argument = balls.as_arb(x)
        value = getattr(argument.nonnegative_part() if name == "sqrt" else argument, name)()
        # Arb answers with a ball of all numbers where a function is not defined; a run would go on with it and prove nothing.
        if partial and argument.is_finite() and not value.is_finite():
            if argument.is_zero() or (name == "log1p" and (argument + 1).is_zero()):
                raise ZeroDivisionError(f"{name} diverges at {x}")
            raise ValueError(f"{name} is not defined on all of {x}: use a smaller ball or more bits")
        return balls.ball(value)

    def function(self: Balls, x: Scalar) -> Scalar:
        with self.working():
            return lift(one)(x)

    return function


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


@dataclass(frozen=True)
class Balls(GenericArithmetic):
    """Arb balls with midpoints of `prec` bits: enclosures of the results in real arithmetic.

    A run sets flint's working precision to `prec` while it lasts, or to more if a run in another thread asks for more: it is
    one for the process, and a ball of more bits is an enclosure, too. So the radii of runs that overlap in threads are not
    repeatable where their `prec` differ: each ball encloses. For radii that are the same every time give all threads one `prec`,
    or run in processes. (A lock held over a run would stop all other threads while a model is evaluated; one that is held over each
    operation takes as long as the operation.) Decimals and Fractions are kept exactly, a float means its binary
    value; zero is decided only where it is certain. `sqrt` takes the part of a ball that is not negative.

    Parameters
    ----------
    prec
        Bits of the midpoints; 128 by default.

    Raises
    ------
    ImportError
        If python-flint is not installed; the message names the extra.
    """

    prec: int = 128
    encloses = True

    def __post_init__(self) -> None:
        if isinstance(self.prec, bool) or not hasattr(self.prec, "bit_length") or self.prec < 2:
            raise ValueError(
                f"prec={shown(self.prec)} is not a number of bits: use an integer from 2 on, for instance 128"
            )
        _flint()

    @property
    def name(self) -> str:
        """Name with the number of bits."""
        return f"balls ({self.prec} bits)"

    @property
    def pi(self) -> Scalar:
        """The circle constant."""
        with self.working():
            return _ball().ball(_flint().arb.pi())

    @property
    def eps(self) -> Fraction:
        """The last of `prec` bits."""
        return Fraction(2, 2**self.prec)

    def guarded(self) -> Balls:
        """Return the system with 32 bits more, for long products that are to keep all digits of this one."""
        return Balls(self.prec + 32)

    def working(self) -> AbstractContextManager[object]:
        """Return the context in which flint computes with at least `prec` bits; the precision before is given back."""
        return _PRECISION.at_least(self.prec)

    def number(self, x: object) -> Scalar:
        """Return `x` (int, float, Fraction, decimal string, arb) as a ball; TypeError for anything else."""
        if isinstance(x, np.ndarray):
            return lift(self.number)(x)
        if isinstance(x, MeanValue):
            return x
        balls = _ball()
        # A ball that is not rational keeps its radius; one that is is rounded anew at the precision of this system.
        if isinstance(x, _flint().arb) and getattr(x, "rational", None) is None:
            return x if isinstance(x, balls.Ball) else balls.ball(x)
        with self.working():
            return balls.rounded(self._rational(x))

    def field(self, x: object) -> Scalar:
        """Return the exact value as a Fraction where it is rational, else the ball; ValueError for NaN and infinity."""
        if isinstance(x, _flint().arb):
            value = self.number(x)
            if not value.is_finite():
                raise ValueError(f"{x} is not finite: pass a finite number")
            return value if value.rational is None else value.rational
        return self._rational(x)

    def _rational(self, x: object) -> Fraction:
        if isinstance(x, float | np.floating) and not np.isfinite(x):
            raise ValueError(f"{shown(x)} is not finite: pass a finite number")
        if isinstance(x, str):
            return ratio("number", x)
        found = Fraction(*x.as_integer_ratio()) if isinstance(x, np.floating) else _ball().rational_of(x)
        if found is None:
            raise TypeError(
                f"{shown(x)} is a {type(x).__name__}, which is not a ball: pass an int, a float, a Fraction or an arb"
            )
        return Fraction(found)

    def coefficient(self, x: Scalar) -> Scalar:
        """Return a Fraction or a ball as a plain arb."""
        with self.working():
            return _ball().as_arb(x)

    def combine(self, coefficients: Sequence[Scalar], values: Sequence[Any], out: Any = None) -> Any:
        """Return sum_k coefficients[k] * values[k]."""
        total = None
        for c, v in zip(coefficients, values, strict=True):
            # The value stands on the left, since an arb on the left takes no value with derivatives.
            term = v * c
            total = term if total is None else total + term
        return total

    def finite(self, value: Any) -> bool:
        """Say whether no element is NaN, and no ball reaches infinity."""
        return all(bool(v.is_finite()) for v in np.ravel(np.asarray(value, dtype=object)) if hasattr(v, "is_finite"))

    def stored(self, value: Any) -> tuple[np.ndarray[Any, Any], str]:
        """Return balls as text, mantissas and exponents of midpoint and radius; TypeError for values with derivatives."""
        if any(isinstance(x, MeanValue) for x in np.ravel(value)):
            raise TypeError("a state with derivatives has no file form: save balls")
        text = np.frompyfunc(_text, 1, 1)(np.asarray(value, dtype=object))
        return np.asarray(text, dtype=str), f"{_WORD}:{max(x.mid().bits() for x in np.ravel(value))}"

    exp, expm1, sinh, asinh, sin, cos, atan = map(_function, ("exp", "expm1", "sinh", "asinh", "sin", "cos", "atan"))
    log, log1p = _function("log", partial=True), _function("log1p", partial=True)
    sqrt, acos = _function("sqrt", partial=True), _function("acos", partial=True)


def _text(x: Any) -> str:
    return " ".join(str(n) for part in _ball().parts(x) for n in part)


def _read(array: np.ndarray[Any, Any], bits: str) -> Any:
    balls = _ball()

    def one(text: str) -> Any:
        numbers = tuple(map(int, text.split()))
        return balls.ball(balls.restored(_flint().arb, numbers[:2], numbers[2:]))

    return np.frompyfunc(one, 1, 1)(array.astype(object))


register_reader(_WORD, _read)
for _accepts in (carries_slopes, of_class("flint", "arb")):
    register(_accepts, lambda x: Balls(_PRECISION.own))
