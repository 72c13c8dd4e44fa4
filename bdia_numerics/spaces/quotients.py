"""Exact quotients of integers that are brought to lowest terms only where somebody looks at the terms.

A step is collapsed to coefficients in exact arithmetic, a dozen operations on floats a coefficient, each a small integer over a
power of 2. `Fraction` looks for a common factor in every one of them, which takes longer than the operation itself. Here a sum, a
difference, a product and a quotient are two to four products of integers; what is rounded to a float at the end is the same number.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import gcd
from typing import Any

from bdia_numerics.texts import ratio

_LONG = 2048
"""Bits of a denominator from which on a common factor is looked for: long chains of operations would square the work."""
_new = object.__new__


class Quotient(Fraction):
    """A Fraction whose stored terms may have a common factor. It equals, hashes, prints and pickles as the Fraction does.

    Sums, differences, products, quotients and powers with ints and Fractions are Quotients, too; all else is `Fraction`'s.

    Examples
    --------
    >>> exact(0.75) / exact(0.5) - Fraction(1, 3)
    Fraction(7, 6)
    """

    __slots__ = ()
    _numerator: int
    _denominator: int

    @property
    def numerator(self) -> int:
        """The numerator in lowest terms."""
        return self._numerator // gcd(self._numerator, self._denominator)

    @property
    def denominator(self) -> int:
        """The positive denominator in lowest terms."""
        return self._denominator // gcd(self._numerator, self._denominator)

    def __neg__(self) -> Quotient:
        return quotient(-self._numerator, self._denominator)

    def __pos__(self) -> Quotient:
        return self

    def __abs__(self) -> Quotient:
        return quotient(abs(self._numerator), self._denominator)

    def __pow__(self, power: Any, modulus: Any = None) -> Any:
        if type(power) is int and power >= 0:
            return quotient(self._numerator**power, self._denominator**power)
        return Fraction(self) ** power

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self._numerator == other * self._denominator
        if type(other) is Quotient:
            return self._numerator * other._denominator == other._numerator * self._denominator
        return Fraction(self) == other

    def __hash__(self) -> int:  # type: ignore[override]  # a number without a hash, says its abstract class
        return hash(Fraction(self))

    def __float__(self) -> float:
        return self._numerator / self._denominator  # of two ints, which Python rounds once

    def __repr__(self) -> str:
        return repr(Fraction(self))

    def __str__(self) -> str:
        return str(Fraction(self))

    def as_integer_ratio(self) -> tuple[int, int]:
        """Return numerator and denominator in lowest terms."""
        return self.numerator, self.denominator

    def is_integer(self) -> bool:
        """Say whether it is a whole number."""
        return not self._numerator % self._denominator

    def __reduce__(self) -> tuple[Any, ...]:
        return exact, (Fraction(self),)

    def __copy__(self) -> Quotient:
        return self

    def __deepcopy__(self, memo: object) -> Quotient:
        return self


def quotient(numerator: int, denominator: int) -> Quotient:
    """Return the quotient of two ints, the second one positive."""
    if denominator.bit_length() > _LONG:
        common = gcd(numerator, denominator)
        numerator, denominator = numerator // common, denominator // common
    made = _new(Quotient)
    made._numerator, made._denominator = numerator, denominator
    return made


def exact(x: Any) -> Quotient:
    """Return the exact value of an int, a Fraction, a float of Python's or of NumPy's, or a decimal string.

    Raises
    ------
    ValueError
        For NaN.
    OverflowError
        For infinity.
    """
    return x if type(x) is Quotient else quotient(*(ratio("number", x) if isinstance(x, str) else x).as_integer_ratio())


Terms = Callable[[int, int, int, int], tuple[int, int]]


def _sum(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return (a + c, b) if b == d else (a * d + c * b, b * d)


def _difference(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return (a - c, b) if b == d else (a * d - c * b, b * d)


def _product(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return a * c, b * d


def _ratio(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    if not c:
        raise ZeroDivisionError(f"{Fraction(a, b)} / 0")
    return (a * d, b * c) if c > 0 else (-a * d, -b * c)


def _operators(terms: Terms, name: str) -> None:
    """Give the class an operation and its mirror image; what is neither int nor Fraction, such as a float, is `Fraction`'s."""
    forward, mirrored = getattr(Fraction, f"__{name}__"), getattr(Fraction, f"__r{name}__")

    def operator(self: Quotient, other: Any) -> Any:
        kind = type(other)
        if kind is Quotient or kind is Fraction:
            return quotient(*terms(self._numerator, self._denominator, other._numerator, other._denominator))
        if kind is int:
            return quotient(*terms(self._numerator, self._denominator, other, 1))
        # A linear form answers by itself; `Fraction` would say so, too, once it had been made.
        return forward(Fraction(self), other) if isinstance(other, float | complex) else NotImplemented

    def mirror(self: Quotient, other: Any) -> Any:
        kind = type(other)
        if kind is int:
            return quotient(*terms(other, 1, self._numerator, self._denominator))
        if kind is Fraction:
            return quotient(*terms(other._numerator, other._denominator, self._numerator, self._denominator))
        return mirrored(Fraction(self), other)

    setattr(Quotient, f"__{name}__", operator)
    setattr(Quotient, f"__r{name}__", mirror)


for _terms, _name in ((_sum, "add"), (_difference, "sub"), (_product, "mul"), (_ratio, "truediv")):
    _operators(_terms, _name)
