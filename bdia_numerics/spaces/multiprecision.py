"""mpmath at any precision."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import (
    GenericArithmetic,
    Scalar,
    borrowed,
    float_in_exact_run,
    lift,
    of_class,
    register,
)
from bdia_numerics.spaces.later import libmp
from bdia_numerics.spaces.memory import Array, register_reader
from bdia_numerics.spaces.precision import digits, of_mpmath as _mp
from bdia_numerics.spaces.rationals import as_text, from_text
from bdia_numerics.texts import ratio, shown, whole

_WORD = "mpmath"


@dataclass(frozen=True)
class MPMath(GenericArithmetic):
    """mpmath floats with `dps` decimal digits.

    An mpf does not carry a precision, so a run sets mpmath's working precision to `dps` digits while it lasts, for its thread
    alone: neither does it reach other threads, nor does a change of `mpmath.mp.dps` there reach the run.
    """

    dps: int = 50

    def __post_init__(self) -> None:
        if isinstance(self.dps, bool) or self.dps != int(self.dps) or self.dps < 1:
            raise ValueError(
                f"dps={shown(self.dps)} is not a number of digits: use a positive integer, for instance 50"
            )

    @property
    def name(self) -> str:
        """Name with the number of digits."""
        return f"mpmath ({self.dps} digits)"

    @property
    def pi(self) -> Scalar:
        """The circle constant to `dps` digits."""
        with self.working():
            return +_mp().pi

    @property
    def eps(self) -> Fraction:
        """The last of `dps` decimal digits."""
        return Fraction(1, 10**self.dps)

    def guarded(self) -> MPMath:
        """Return the system with 25 digits more."""
        return MPMath(self.dps + 25)

    def working(self) -> AbstractContextManager[object]:
        """Return the context in which mpmath computes with `dps` digits, in this thread."""
        return digits(self.dps)

    def number(self, x: object) -> Scalar:
        """Return `x` (int, Fraction, decimal string, mpf) rounded once; TypeError for floats."""
        mp = _mp()
        with self.working():
            if isinstance(x, mp.mpf):
                return +x
            if isinstance(x, np.ndarray):
                return lift(self.number)(x)
            if isinstance(x, str):
                x = ratio("number", x)
            if isinstance(x, Fraction):
                return mp.make_mpf(libmp.from_rational(x.numerator, x.denominator, mp.prec, "n"))
            if isinstance(x, int | np.integer) and not isinstance(x, bool):
                return mp.mpf(int(x))
        raise float_in_exact_run(x, self.name)

    def field(self, x: object) -> Fraction:
        """Return the exact value as a Fraction; ValueError for NaN and infinity, TypeError for floats."""
        if isinstance(x, int | Fraction | str):
            return ratio("number", x) if isinstance(x, str) else Fraction(x)
        # The very value of an mpf, which may have more digits than this system works with.
        value = x if isinstance(x, _mp().mpf) else self.number(x)
        if not _mp().isfinite(value):
            raise ValueError(f"{shown(x)} is not finite: pass a finite number")
        # gmpy2's integers, which mpmath uses where it is installed, are no ints to Fraction.
        return Fraction(*map(int, libmp.to_rational(value._mpf_)))

    def coefficient(self, x: Scalar) -> Scalar:
        """Return the mpf nearest to a Fraction."""
        return self.number(x)

    def finite(self, value: Any) -> bool:
        """Say whether no element is NaN or infinite."""
        return all(bool(_mp().isfinite(v)) for v in np.ravel(np.asarray(value, dtype=object)))

    def stored(self, value: Any) -> tuple[Array, str]:
        """Return the exact values as text, and how many digits they need."""
        exact = np.asarray(np.frompyfunc(self.field, 1, 1)(np.asarray(value, dtype=object)), dtype=object)
        # An mpf does not know the precision that it was made in: enough digits for the longest one here.
        bits = max((x.numerator.bit_length() for x in exact.flat), default=1)
        return as_text(exact), f"{_WORD}:{bits * 3 // 10 + 2}"

    exp, expm1, log, log1p, sqrt, sin, cos, acos, atan, sinh, asinh = map(
        partial(borrowed, _mp),
        ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "acos", "atan", "sinh", "asinh"),
    )


def _read(array: Array, digits: str) -> Any:
    return from_text(array, MPMath(whole("digits", digits, 1)).number)


register_reader(_WORD, _read)
register(of_class("mpmath", "mpf"), lambda x: MPMath(_mp().dps))
