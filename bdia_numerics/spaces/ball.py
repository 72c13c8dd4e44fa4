"""The scalar of the ball system: an Arb ball that remembers a rational value, and decides comparisons or refuses them.

Imports python-flint: nothing but `spaces.balls` imports this module, and only when balls are used.
"""

from __future__ import annotations

import copyreg
import operator
from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from bdia_numerics.spaces.base import UndecidedError

_LOG10_2 = 0.30103
_RATIONAL_BITS = 2048
"""Rational values of more bits are forgotten, so that long products stay cheap; the ball holds them all the same."""


class Ball(arb):
    """An arb that keeps its exact value where that is rational, and whose comparisons are certain.

    Operations round as flint's working precision says; between rational balls they are exact. A comparison that the radii
    leave open raises `UndecidedError`, so no branch of a program is taken by chance.
    """

    rational: Fraction | None = None

    def __float__(self) -> float:
        if self.rational is not None:
            return float(self.rational)
        raise TypeError(f"{self} is not a float: a ball would lose its radius; take float(ball.mid()) for the midpoint")

    def __int__(self) -> int:
        if self.rational is not None:
            return int(self.rational)
        # int() cuts towards 0, and floor downwards.
        whole = (-(-arb(self)).floor() if self < 0 else arb(self).floor()).unique_fmpz()
        if whole is None:
            raise UndecidedError(f"{self} holds numbers with different whole parts: use a smaller ball or more bits")
        return int(whole)

    def __hash__(self) -> int:
        return hash(self.rational) if self.rational is not None else int(arb.__hash__(self))

    def __str__(self) -> str:
        if self.rational is not None:
            return str(self.rational)
        digits = int(max(self.mid().bits(), 53) * _LOG10_2)
        return str(self.str(digits))

    __repr__ = __str__

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __pos__(self) -> Ball:
        return self

    def __neg__(self) -> Ball:
        return ball(-arb(self), None if self.rational is None else -self.rational)

    def __abs__(self) -> Ball:
        return ball(abs(arb(self)), None if self.rational is None else abs(self.rational))

    def __pow__(self, n: Any, modulo: None = None) -> Any:
        if not isinstance(n, int):
            return NotImplemented
        if self.rational is not None:
            return rounded(self.rational**n)
        # By products: Arb's own power of a ball around 0 is NaN.
        power = prod([arb(self)] * abs(n), start=arb(1))
        return ball(power if n >= 0 else 1 / nonzero(power))


def ball(value: Any, rational: Fraction | None = None) -> Ball:
    """Return an arb as a Ball; `rational` is its exact value, where that is known. An exact arb is its own."""
    made = Ball(value)
    if rational is None and value.is_exact() and value.is_finite() and value.bits() <= _RATIONAL_BITS:
        rational = fraction(value)
    if rational is not None:
        made.rational = rational
    return made


def rounded(x: Fraction) -> Ball:
    """Return the ball of a rational number at the working precision."""
    return ball(arb(fmpq(x.numerator, x.denominator)), x)


def fraction(x: Any) -> Fraction:
    """Return the value of an exact arb."""
    mantissa, exponent = x.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def rational_of(x: object) -> Fraction | None:
    """Return the exact value of what has one: ints, Fractions, floats, rational balls."""
    if isinstance(x, Ball):
        return x.rational
    if isinstance(x, bool):
        return None
    if isinstance(x, int | np.integer):
        return Fraction(int(x))
    if isinstance(x, Fraction):
        return x
    return Fraction(x) if isinstance(x, float) and np.isfinite(x) else None


def as_arb(x: object) -> Any:
    """Return a number as a plain arb at the working precision, None for what is not a number."""
    if isinstance(x, arb):
        return arb(x)
    q = rational_of(x)
    return None if q is None else arb(fmpq(q.numerator, q.denominator))


def nonzero(x: Any) -> Any:
    """Return an arb that is certainly not zero, to divide by."""
    if x.is_zero():
        raise ZeroDivisionError(f"{x} is zero")
    if x.contains(0):
        raise UndecidedError(f"{x} may be zero, and something is divided by it: use a smaller ball or more bits")
    return x


def _arithmetic(op: Callable[[Any, Any], Any], *, divides: bool = False, swapped: bool = False) -> Any:
    def method(self: Ball, other: Any) -> Any:
        p, q = self.rational, rational_of(other)
        if p is not None and q is not None:
            exact = op(q, p) if swapped else op(p, q)
            # Longer quotients are forgotten, and the ball goes on without them.
            if max(exact.numerator.bit_length(), exact.denominator.bit_length()) <= _RATIONAL_BITS:
                return rounded(exact)
        value = as_arb(other)
        if value is None:
            return NotImplemented
        left, right = (value, arb(self)) if swapped else (arb(self), value)
        return ball(op(left, nonzero(right) if divides else right))

    return method


def _comparison(op: Callable[[Any, Any], Any], opposite: Callable[[Any, Any], Any]) -> Any:
    def method(self: Ball, other: Any) -> Any:
        # The same ball twice is the same number, whatever its radius; NaN equals nothing.
        if self is other and self.is_finite():
            return op(0, 0)
        p, q = self.rational, rational_of(other)
        if p is not None and q is not None:
            return op(p, q)
        value = as_arb(other)
        if value is None:
            return NotImplemented
        here = arb(self)
        if op(here, value):
            return True
        if opposite(here, value):
            return False
        raise UndecidedError(f"{self} against {other}: the balls leave the comparison open: use more bits")

    return method


def parts(x: arb) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return mantissas and exponents of midpoint and radius; ValueError for a ball that is not finite."""
    (mid, mid_exponent), (rad, rad_exponent) = x.mid().man_exp(), x.rad().man_exp()
    return (int(mid), int(mid_exponent)), (int(rad), int(rad_exponent))


def restored(kind: type, mid: tuple[int, int], rad: tuple[int, int], rational: Fraction | None = None) -> Any:
    """Return the arb or Ball of given parts, exactly."""
    with ctx.workprec(abs(mid[0]).bit_length() + 2):
        # A radius of 30 bits is rounded up to the next one when it is set; from just below, to itself.
        below = 2 * rad[0] - 1, rad[1] - 1
        value = arb(mid, rad)
        if parts(value) != (mid, rad) and rad[0]:
            value = arb(mid, below)
        made = kind(value)
    if rational is not None:
        made.rational = rational
    return made


for _kind in (arb, Ball):
    # Arb offers no pickles of its own.
    copyreg.pickle(_kind, lambda x: (restored, (type(x), *parts(x), getattr(x, "rational", None))))
_ORDERS = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
for _name in ("add", "sub", "mul", "truediv"):
    _op = getattr(operator, _name)
    setattr(Ball, f"__{_name}__", _arithmetic(_op, divides=_name == "truediv"))
    setattr(Ball, f"__r{_name}__", _arithmetic(_op, divides=_name == "truediv", swapped=True))
for _name, _other in _ORDERS.items():
    setattr(Ball, f"__{_name}__", _comparison(getattr(operator, _name), getattr(operator, _other)))
