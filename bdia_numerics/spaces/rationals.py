"""Fractions: rational operations only, exact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
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
