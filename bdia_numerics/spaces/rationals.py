"""Fractions: rational operations only, exact; and quotients of integers that are brought to lowest terms only where somebody looks.

A step is collapsed to coefficients in exact arithmetic, a dozen operations on floats a coefficient, each a small integer over a
power of 2. `Fraction` looks for a common factor in every one of them, which takes longer than the operation itself. Here a sum, a
difference, a product and a quotient are two to four products of integers; what is rounded to a float at the end is the same number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import GenericArithmetic, float_in_exact_run, lacked, register
from bdia_numerics.spaces.memory import Array, register_reader
from bdia_numerics.texts import ratio

_WORD = "fraction"
_EXACT = re.compile(r"-?\d+(/\d+)?")


def as_text(exact: Array) -> Array:
    """Return an array of Fractions as text."""
    return np.asarray(np.frompyfunc(str, 1, 1)(exact), dtype=str)


def from_text(array: Array, convert: Any) -> Any:
    """Return the numbers of a text that `as_text` wrote; ValueError for any other, as 1e99999999 is, which no memory holds."""
    if array.dtype.kind != "U" or any(not _EXACT.fullmatch(text) for text in array.flat):
        raise ValueError("not ratios of integers")
    return np.frompyfunc(convert, 1, 1)(array.astype(object))


@dataclass(frozen=True)
class Rationals(GenericArithmetic):
    """Exact rational numbers; `exp`, `log`, `sqrt` and their like raise TypeError."""

    name = "fractions"
    exact = True

    def lacking(self, function: str) -> TypeError:
        """Return the error for a function whose values are not rational."""
        what = function if function == "pi" else f"{function} of a Fraction"
        return TypeError(f"{what} is not rational: use spaces.MPMath(digits) or a float64 grid")

    # Neither is rational where the other is not, so that a message names the function that was asked for.
    expm1, log1p = map(lacked, ("expm1", "log1p"))

    def number(self, x: object) -> Fraction:
        """Return `x` (int, Fraction, decimal string) as a Fraction; TypeError for floats."""
        if isinstance(x, np.integer):
            return Fraction(int(x))
        if isinstance(x, bool) or not isinstance(x, int | Fraction | str):
            raise float_in_exact_run(x, self.name)
        return ratio("number", x) if isinstance(x, str) else Fraction(x)

    def stored(self, value: Any) -> tuple[Array, str]:
        """Return numerators and denominators as text."""
        return as_text(np.asarray(value, dtype=object)), _WORD


FRACTION = Rationals()
register(lambda x: isinstance(x, Fraction), lambda x: FRACTION)
register_reader(_WORD, lambda array, rest: from_text(array, Fraction))


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
