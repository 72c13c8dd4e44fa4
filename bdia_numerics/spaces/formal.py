"""The formal model of the proofs: an uninterpreted eps over a free module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from bdia_numerics.spaces.base import Scalar, register
from bdia_numerics.spaces.symbolic import SYMBOLS


@lru_cache(maxsize=65536)
def _normal(c: Scalar) -> Scalar:
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
        normal = {name: _normal(SYMBOLS.number(c)) for name, c in self.terms.items()}
        vars(self)["terms"] = {name: c for name, c in normal.items() if c != 0}

    @classmethod
    def basis(cls, name: Any) -> Vector:
        """Return a basis element."""
        return cls({name: 1})

    def __add__(self, other: object) -> Vector:
        if not isinstance(other, Vector):
            return NotImplemented
        # What one of the two has alone is in normal form already.
        new = {n: _normal(self.terms[n] + c) if n in self.terms else c for n, c in other.terms.items()}
        return _vector({**self.terms, **new})

    def __neg__(self) -> Vector:
        return -1 * self

    def __sub__(self, other: object) -> Vector:
        return self + -other if isinstance(other, Vector) else NotImplemented

    def __mul__(self, scalar: object) -> Vector:
        number = SYMBOLS.number(scalar)
        return self if number == 1 else _vector({n: _normal(number * c) for n, c in self.terms.items()})

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
