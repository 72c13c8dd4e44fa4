"""NumPy floats: float16, float32, float64 and longdouble, with the dtype of the states kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import Scalar, Space, register
from bdia_numerics.spaces.kernel import linear_combination
from bdia_numerics.spaces.memory import HALF, Array, register_reader
from bdia_numerics.spaces.multiprecision import MPMath
from bdia_numerics.spaces.rationals import FRACTION, Quotient, exact
from bdia_numerics.texts import shown

_GUARDED = 60  # digits: as many beyond a quadruple-precision longdouble as mpmath gets beyond its own
_WORD = "numpy"
_PI = "3.14159265358979323846264338327950288"


@dataclass(frozen=True)
class Numpy(Space):
    """NumPy floats of one dtype.

    Scalars are Python floats (float64) for every dtype but longdouble: NumPy then keeps the dtype of the states, and
    schedules are computed in float64 even for float32 states.
    """

    dtype: np.dtype[Any]
    floats = True
    written = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        if self.dtype.kind != "f":
            raise TypeError(f"dtype={self.dtype} is not a real float: use float32, float64 or longdouble")

    # What follows of a dtype is asked for many times a slot, and NumPy takes up to some microseconds to compare dtypes or to name one.
    @cached_property
    def name(self) -> str:
        """Name of the dtype."""
        return "longdouble" if self.dtype == np.longdouble else str(self.dtype)

    @property
    def remedy(self) -> str:  # type: ignore[override]
        """A wider dtype for float16, which ends early; NumPy has no bfloat16."""
        return HALF.replace("bfloat16 or ", "") if self.dtype == np.float16 else ""

    @cached_property
    def double(self) -> bool:
        """Whether this is not a longdouble: a float64 with more digits."""
        return self.dtype != np.longdouble

    @property
    def eps(self) -> Fraction:
        """Twice the unit roundoff, a power of two."""
        return Fraction(float(np.finfo(self.dtype).eps))

    @cached_property
    def wide(self) -> Numpy:
        """float64 for all shorter floats, so that they lose nothing."""
        return LONGDOUBLE if not self.double else FLOAT64

    def guarded(self) -> Space:
        """Return mpmath with more digits than any float has."""
        return MPMath(_GUARDED)

    def cast(self, x: Any) -> Any:
        """Return a float, or an array of floats, in this dtype."""
        return x.astype(self.dtype) if isinstance(x, np.ndarray) else self.dtype.type(x)

    def states(self, array: Array) -> Array:
        """Return an array in this dtype."""
        return array.astype(self.dtype)

    def stored(self, value: Any) -> tuple[Array, str]:
        """Return the array itself."""
        return np.asarray(value), _WORD

    @cached_property
    def _extended(self) -> bool:
        return self.dtype == np.longdouble and self.dtype != np.float64

    @property
    def pi(self) -> Scalar:
        """The circle constant, rounded once."""
        return np.longdouble(_PI) if self._extended else float(_PI)

    def number(self, x: object) -> Scalar:
        """Return `x` (int, float, NumPy float, Fraction, decimal string) rounded once to this system."""
        if type(x) is float and math.isfinite(x) and not self._extended:
            return x + 0.0  # what its exact value, which has no -0.0, is rounded to
        if type(x) is Fraction and not self._extended:
            return float(x)
        if isinstance(x, np.ndarray | np.floating):
            kind: Any = np.longdouble if self._extended else float
            return np.asarray(x, dtype=kind) if isinstance(x, np.ndarray) and x.ndim else kind(x)
        return self.coefficient(self.field(x))

    def field(self, x: object) -> Quotient:
        """Return the exact value of a real number, which is a Fraction.

        Raises
        ------
        TypeError
            For anything but int, float, NumPy float, Fraction and decimal strings.
        ValueError
            For NaN and infinity.
        """
        if type(x) is Quotient:
            return x
        if isinstance(x, float | np.floating):
            try:
                return exact(x)
            except (ValueError, OverflowError):
                raise ValueError(f"{shown(x)} is not finite: pass a finite number") from None
        if isinstance(x, int | np.integer | Fraction | str):
            return exact(int(x) if isinstance(x, np.integer) else x)
        if isinstance(x, np.ndarray) and x.ndim == 0:
            return self.field(x[()])
        raise TypeError(
            f"{shown(x)} is a {type(x).__name__}, and this run is in {self.name}: pass an int, a float or a Fraction"
        )

    def coefficient(self, x: Scalar) -> Scalar:
        """Return the float nearest to a Fraction."""
        if not self._extended:
            return float(x)
        # A quotient of 80 or more bits is exact enough for the 64 of a longdouble to be rounded once.
        shift = 80 - (abs(x.numerator).bit_length() - x.denominator.bit_length())
        scaled = round(x * Fraction(2) ** shift)
        high, low = divmod(abs(scaled), 1 << 40)
        value = np.ldexp(np.ldexp(np.longdouble(high), 40) + np.longdouble(low), -shift)
        return -value if scaled < 0 else value

    def is_zero(self, x: Scalar) -> bool:
        """Decide whether a Fraction is zero."""
        return not x

    def array(self, values: Sequence[Scalar]) -> Array:
        """Return the scalars as a 1-D array of this dtype, shape (n,)."""
        return np.asarray([self.number(v) for v in values], dtype=self.dtype)

    combine = staticmethod(linear_combination)

    def holds(self, value: Any) -> bool:
        """Say whether it is an array of this dtype; one of a class of its own, such as a masked array, is looked at elsewhere."""
        return type(value) is np.ndarray and value.dtype == self.dtype

    def finite(self, value: Any) -> bool:
        """Say whether no element is NaN or infinite."""
        found = np.isfinite(value)
        return not found.size or found.item(found.argmin())  # the place of the first False is found fastest

    exp, log, sqrt, sin, cos = map(staticmethod, (np.exp, np.log, np.sqrt, np.sin, np.cos))
    acos, atan, sinh, asinh = map(staticmethod, (np.arccos, np.arctan, np.sinh, np.arcsinh))
    expm1, log1p = map(staticmethod, (np.expm1, np.log1p))  # type: ignore[assignment]  # the defaults are methods


FLOAT32 = Numpy(np.dtype(np.float32))
FLOAT64 = Numpy(np.dtype(np.float64))
LONGDOUBLE = Numpy(np.dtype(np.longdouble))


def named(space: object) -> Space:
    """Return a space, given itself, a NumPy float dtype, or the types `Fraction` and `float`.

    Raises
    ------
    TypeError
        If it names none.
    """
    if space is Fraction:
        return FRACTION
    if hasattr(type(space), "coefficient"):  # isinstance would ask a property that some systems refuse, such as pi
        return space  # type: ignore[return-value]
    try:
        return Numpy(np.dtype(space))  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(
            f"space={shown(space)} names no number system: use spaces.FLOAT64, "
            "spaces.MPMath(50), spaces.Balls(128), spaces.FRACTION or spaces.SYMBOLS"
        ) from None


def _space_of(x: Any) -> Numpy:
    return Numpy(x.dtype) if isinstance(x, np.ndarray | np.generic) else FLOAT64


def _accepts(x: object) -> bool:
    if isinstance(x, np.ndarray | np.generic):
        return x.dtype.kind == "f"
    return isinstance(x, int | float) and not isinstance(x, bool)


register(_accepts, _space_of)
register_reader(_WORD, lambda array, rest: array if array.ndim else array[()])
