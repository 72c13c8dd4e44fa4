"""Fractions: rational operations only, exact."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import GenericArithmetic, Scalar, float_in_exact_run, register


def _undefined(name: str) -> Any:
    def function(self: Rationals, x: Scalar) -> Scalar:
        raise TypeError(f"{name} of a Fraction is not rational: use spaces.MPMath(digits) or a float64 grid")

    return function


@dataclass(frozen=True)
class Rationals(GenericArithmetic):
    """Exact rational numbers; `exp`, `log`, `sqrt` and their like raise TypeError."""

    name = "fractions"
    exact = True

    @property
    def pi(self) -> Scalar:
        """Not rational: raises TypeError."""
        raise TypeError("pi is not rational: use spaces.MPMath(digits) or a float64 grid")

    def number(self, x: object) -> Fraction:
        """Return `x` (int, Fraction, decimal string) as a Fraction; TypeError for floats."""
        if isinstance(x, np.integer):
            return Fraction(int(x))
        if isinstance(x, bool) or not isinstance(x, int | Fraction | str):
            raise float_in_exact_run(x, self.name)
        return Fraction(x)

    field = number

    def coefficient(self, x: Scalar) -> Scalar:
        """Return the Fraction itself."""
        return x

    def is_zero(self, x: Scalar) -> bool:
        """Decide whether a Fraction is zero."""
        return bool(x == 0)

    def finite(self, value: Any) -> bool:
        """Fractions are finite."""
        return True

    exp, expm1, log, log1p, sqrt = map(_undefined, ("exp", "expm1", "log", "log1p", "sqrt"))
    sin, cos, acos, sinh, asinh = map(_undefined, ("sin", "cos", "acos", "sinh", "asinh"))


FRACTION = Rationals()
register(lambda x: isinstance(x, Fraction), lambda x: FRACTION)
