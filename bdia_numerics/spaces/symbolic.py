"""Symbols: sympy expressions, exact; and the formal model of the proofs, an uninterpreted eps over a free module."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, partial, reduce
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
    # Sorted, so that one expression has one normal form in every process. Logarithms are symbols of their own, between which no
    # rational relation is known.
    symbols = (
        sorted(x.free_symbols | x.atoms(sympy.log), key=sympy.default_sort_key) if isinstance(x, sympy.Expr) else []
    )
    if not symbols:
        return sympy.cancel(x)
    try:
        found = sympy.polys.fields.FracField(symbols, sympy.ZZ).from_expr(x)
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


_known_normal = lru_cache(maxsize=65536)(_normal)


@dataclass(frozen=True)
class Vector:
    """An element of the free module over rational expressions: coefficients by the name of the basis element.

    Coefficients are kept without common factor and zeros are dropped, so two vectors are equal exactly when their
    `terms` are.
    """

    terms: Mapping[Any, Scalar]

    def __post_init__(self) -> None:
        # Without a normal form a coefficient that vanishes need not look like 0, and equal vectors would differ.
        normal = {name: _known_normal(SYMBOLS.number(c)) for name, c in self.terms.items()}
        vars(self)["terms"] = {name: c for name, c in normal.items() if c != 0}

    @classmethod
    def basis(cls, name: Any) -> Vector:
        """Return a basis element."""
        return cls({name: 1})

    def __add__(self, other: object) -> Vector:
        if not isinstance(other, Vector):
            return NotImplemented
        # What one of the two has alone is in normal form already.
        new = {n: _known_normal(self.terms[n] + c) if n in self.terms else c for n, c in other.terms.items()}
        return _vector({**self.terms, **new})

    def __neg__(self) -> Vector:
        return -1 * self

    def __sub__(self, other: object) -> Vector:
        return self + -other if isinstance(other, Vector) else NotImplemented

    def __mul__(self, scalar: object) -> Vector:
        number = SYMBOLS.number(scalar)
        return self if number == 1 else _vector({n: _known_normal(number * c) for n, c in self.terms.items()})

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


def _vector(normal: Mapping[Any, Scalar]) -> Vector:
    """Return the vector of coefficients in normal form."""
    made = object.__new__(Vector)
    vars(made)["terms"] = {name: c for name, c in normal.items() if c != 0}
    return made


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
