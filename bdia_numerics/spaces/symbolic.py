"""Symbols: sympy expressions, exact."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import GenericArithmetic, Scalar, borrowed, float_in_exact_run, lift, of_class, register
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import ratio


def _normal(x: Scalar) -> Scalar:
    """Return an expression as a quotient of two polynomials without common factor.

    The expression is rebuilt from its leaves in the field of fractions, which divides common factors out of every sum and
    product. `sympy.cancel` first expands all over one common denominator, whose degree is the sum of the degrees of all the
    denominators in it, and the one greatest common divisor that is left then takes minutes for a quadratic interpolant.
    """
    if getattr(x, "is_Rational", False) or getattr(x, "is_Symbol", False):
        return x
    from sympy.core.sorting import default_sort_key
    from sympy.polys.fields import FracField

    # Sorted, so that one expression has one normal form in every process. Logarithms are symbols of their own, between which no
    # rational relation is known.
    symbols = sorted(x.free_symbols | x.atoms(sympy.log), key=default_sort_key) if isinstance(x, sympy.Expr) else []
    if not symbols:
        return sympy.cancel(x)
    try:
        found = FracField(symbols, sympy.ZZ).from_expr(x)
        sign = -1 if found.denom.LC < 0 else 1  # an inverse has the sign where sympy left it
        return (sign * found.numer).as_expr() / (sign * found.denom).as_expr()
    except ValueError:  # not rational in its symbols
        return sympy.cancel(sympy.together(x))


_PRIME = 2**61 - 1


@lru_cache(maxsize=4096)
def _drawn(name: str) -> int:
    """Return the number at which a symbol is tried: the same in every process, so that nothing depends on chance."""
    return random.Random(name).randrange(1, _PRIME)


def _residue(x: Any) -> int:
    """Return the value of a rational expression at drawn numbers, modulo a prime.

    Raises
    ------
    ValueError
        Where it divides by a multiple of the prime, or is not rational in its symbols.
    """
    if x.is_Symbol:
        return _drawn(x.name)
    if x.is_Rational:
        return int(x.p) * pow(int(x.q), -1, _PRIME) % _PRIME
    if x.is_Add:
        return sum(map(_residue, x.args)) % _PRIME
    if x.is_Mul:
        return reduce(lambda a, b: a * b % _PRIME, map(_residue, x.args))
    if x.is_Pow and x.exp.is_Integer:
        return pow(_residue(x.base), int(x.exp), _PRIME)
    raise ValueError(f"{x} is not rational in its symbols")


def _certainly_not_zero(x: Any) -> bool:
    """Say whether a residue proves that an expression is not identically zero, whose residues are all zero."""
    try:
        return isinstance(x, sympy.Expr) and _residue(x) != 0
    except ValueError:
        return False


@dataclass(frozen=True)
class Symbols(GenericArithmetic):
    """sympy expressions over the rationals; floats raise TypeError, since they would make equal expressions differ."""

    name = "symbols"
    exact = True
    symbolic = True

    @property
    def pi(self) -> Scalar:
        """The circle constant, exact."""
        return sympy.pi

    def number(self, x: object) -> Scalar:
        """Return `x` (int, Fraction, decimal string, expression) as an expression; TypeError for floats."""
        if isinstance(x, np.ndarray):
            return lift(self.number)(x)
        if isinstance(x, str):
            x = ratio("number", x)
        if isinstance(x, Fraction):
            return sympy.Rational(x.numerator, x.denominator)
        if isinstance(x, int | np.integer) and not isinstance(x, bool):
            return sympy.Integer(int(x))
        if isinstance(x, sympy.Expr) and not x.has(sympy.Float):
            return x
        raise float_in_exact_run(x, self.name)

    def coefficient(self, x: Scalar) -> Scalar:
        """Return the expression as a quotient of polynomials without common factor."""
        return _normal(x)

    def is_zero(self, x: Scalar) -> bool:
        """Decide whether a rational expression vanishes identically: mostly not, which one value of it proves."""
        return not _certainly_not_zero(x) and bool(_normal(x) == 0)

    def combine(self, coefficients: Sequence[Scalar], values: Sequence[Any], out: Any = None) -> Any:
        """Return sum_k coefficients[k] * values[k]; expressions are brought to normal form."""
        total = super().combine(coefficients, values)
        if isinstance(total, sympy.Expr):
            return _normal(total)
        return lift(_normal)(total) if isinstance(total, np.ndarray) else total

    exp, log, sqrt, sin, cos, acos, atan, sinh, asinh = map(
        partial(borrowed, lambda: sympy), ("exp", "log", "sqrt", "sin", "cos", "acos", "atan", "sinh", "asinh")
    )


SYMBOLS = Symbols()


register(of_class("sympy", "Expr"), lambda x: SYMBOLS)
