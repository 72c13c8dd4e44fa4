"""Symbols: sympy expressions, exact; and the formal model of the proofs, an uninterpreted eps over a free module of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import GenericArithmetic, Scalar, float_in_exact_run, lift, register


def _sympy() -> Any:
    import sympy

    return sympy


def _normal(x: Scalar) -> Scalar:
    """Return an expression as a quotient of two polynomials without common factor.

    The expression is rebuilt from its leaves in the field of fractions, which divides common factors out of every sum and
    product. `sympy.cancel` first expands all over one common denominator, whose degree is the sum of the degrees of all the
    denominators in it, and the one greatest common divisor that is left then takes minutes for a quadratic interpolant.
    """
    sympy = _sympy()
    from sympy.core.sorting import default_sort_key
    from sympy.polys.fields import FracField

    # Sorted, so that one expression has one normal form in every process.
    symbols = sorted(x.free_symbols, key=default_sort_key) if isinstance(x, sympy.Expr) else []
    if not symbols:
        return sympy.cancel(x)
    try:
        return FracField(symbols, sympy.ZZ).from_expr(x).as_expr()
    except ValueError:  # not rational in its symbols
        return sympy.cancel(sympy.together(x))


def _function(name: str) -> Any:
    def function(self: Symbols, x: Scalar) -> Scalar:
        return lift(getattr(_sympy(), name))(x)

    return function


@dataclass(frozen=True)
class Symbols(GenericArithmetic):
    """sympy expressions over the rationals; floats raise TypeError, since they would make equal expressions differ."""

    name = "symbols"
    exact = True
    symbolic = True

    @property
    def pi(self) -> Scalar:
        """The circle constant, exact."""
        return _sympy().pi

    def number(self, x: object) -> Scalar:
        """Return `x` (int, Fraction, decimal string, expression) as an expression; TypeError for floats."""
        sympy = _sympy()
        if isinstance(x, np.ndarray):
            return lift(self.number)(x)
        if isinstance(x, str):
            x = Fraction(x)
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
        """Decide whether a rational expression vanishes identically."""
        return bool(_normal(x) == 0)

    def combine(self, coefficients: Sequence[Scalar], values: Sequence[Any], out: Any = None) -> Any:
        """Return sum_k coefficients[k] * values[k]; expressions are brought to normal form."""
        total = super().combine(coefficients, values)
        if isinstance(total, _sympy().Expr):
            return _normal(total)
        return lift(_normal)(total) if isinstance(total, np.ndarray) else total

    exp, log, sqrt = map(_function, ("exp", "log", "sqrt"))
    sin, cos, acos, sinh, asinh = map(_function, ("sin", "cos", "acos", "sinh", "asinh"))


SYMBOLS = Symbols()


def _accepts(x: object) -> bool:
    sympy = sys.modules.get("sympy")
    return sympy is not None and isinstance(x, sympy.Expr)


register(_accepts, lambda x: SYMBOLS)


@lru_cache(maxsize=65536)
def _normal_form(c: Scalar) -> Scalar:
    return SYMBOLS.coefficient(c)


@dataclass(frozen=True)
class Vector:
    """An element of the free module over rational expressions: coefficients by the name of the basis element.

    Coefficients are kept without common factor and zeros are dropped, so two vectors are equal exactly when their
    `terms` are.
    """

    terms: Mapping[Any, Scalar]

    def __post_init__(self) -> None:
        # Without a normal form a coefficient that vanishes need not look like 0, and equal vectors would differ.
        normal = {name: _normal_form(SYMBOLS.number(c)) for name, c in self.terms.items()}
        object.__setattr__(self, "terms", {name: c for name, c in normal.items() if c != 0})

    @classmethod
    def basis(cls, name: Any) -> Vector:
        """Return a basis element."""
        return cls({name: 1})

    def __add__(self, other: object) -> Vector:
        if not isinstance(other, Vector):
            return NotImplemented
        names = dict.fromkeys((*self.terms, *other.terms))
        return Vector({n: self.terms.get(n, 0) + other.terms.get(n, 0) for n in names})

    def __neg__(self) -> Vector:
        return -1 * self

    def __sub__(self, other: object) -> Vector:
        if not isinstance(other, Vector):
            return NotImplemented
        return self + -other

    def __mul__(self, scalar: object) -> Vector:
        number = SYMBOLS.number(scalar)
        return Vector({n: number * c for n, c in self.terms.items()})

    __rmul__ = __mul__

    def __truediv__(self, scalar: object) -> Vector:
        return self.__mul__(1 / SYMBOLS.number(scalar))

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __hash__(self) -> int:
        return self._hash  # kept, since arguments nest as deep as the run is long

    def __reduce__(self) -> tuple[Any, ...]:
        return Vector, (self.terms,)  # without the hash, which differs from process to process

    def coefficient(self, name: Any) -> Scalar:
        """Return the coefficient of a basis element, 0 if it does not occur."""
        return self.terms.get(name, SYMBOLS.number(0))


@dataclass(frozen=True)
class Evaluated:
    """The basis element that stands for eps at one argument and one time; equal arguments give equal elements."""

    argument: Vector
    t: Any


def formal_model() -> Callable[[Vector, Any], Vector]:
    """Return an uninterpreted noise prediction for proofs.

    Returns
    -------
    callable
        ``model(z, t)`` maps a Vector to the basis element that stands for eps(z, t). Nothing is assumed of eps: what is
        proved with it holds for every network, componentwise or not. Arguments are compared by their coefficients,
        normalised in the field of fractions.
    """
    known: dict[Evaluated, Evaluated] = {}

    def model(z: Vector, t: Any) -> Vector:
        element = Evaluated(z, t)
        return Vector.basis(known.setdefault(element, element))  # equal elements are one object: compared at once

    return model


register(lambda x: isinstance(x, Vector), lambda x: SYMBOLS)
