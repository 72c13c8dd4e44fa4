"""Integers with a stated unit: the number system in which a run is inverted to the last bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import plain, register
from bdia_numerics.spaces.floats import Numpy
from bdia_numerics.spaces.kernel import LIMIT, dequantise
from bdia_numerics.spaces.memory import register_reader
from bdia_numerics.texts import ratio, whole

_WORD = "lattice"
OVERFLOW = np.iinfo(np.int64).min
"""Fills a register that left the range: what NaN is to floats."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """States on the lattice scale * 2^-bits * integers.

    Attributes
    ----------
    integers : array of int64, shape (*batch, *data)
        Absolute values stay below 2^60; a run that would pass that ends with a status, it does not wrap.
    bits : int
        Minus the binary logarithm of the unit.
    dtype : dtype
        What the model is given and gives back: float32 or float64.
    scale : Fraction
        1 for states in z; alpha_i/2 where a solver's own coefficients are rational in z/alpha alone.
    bound : int or None
        At least the largest absolute value, where that is known.
    """

    integers: np.ndarray[Any, Any]
    bits: int
    dtype: np.dtype[Any]
    scale: Fraction = Fraction(1)
    bound: int | None = None

    @classmethod
    def from_float(cls, z: Any, *, bits: int = 40) -> Lattice:
        """Round floats to the lattice with unit 2^-bits: each element moves by half a unit at most.

        Parameters
        ----------
        z
            float32 or float64 array; its dtype is the model's.
        bits
            From 0 to 59.

        Raises
        ------
        TypeError
            For another dtype.
        ValueError
            For NaN, infinity, values of 2^(60 - bits) or more, and bits outside the range.
        """
        z = np.asarray(plain("z", z))
        if z.dtype not in (np.float32, np.float64):
            raise TypeError(f"z has dtype {z.dtype}: a lattice is made of float32 or float64 states")
        if bits not in range(60):
            raise ValueError(f"bits={bits!r}: pass an int from 0 to 59")
        scaled = np.rint(np.ldexp(z.astype(np.float64), bits))
        if not np.all(np.abs(scaled) < LIMIT):
            largest = float(np.max(np.abs(z)))
            raise ValueError(
                f"z goes up to {largest:g}, and bits={bits} reaches 2^{60 - bits}: pass finite states, or fewer bits"
            )
        return cls(np.array(scaled, dtype=np.int64, order="C"), bits, z.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (*batch, *data)."""
        shape: tuple[int, ...] = self.integers.shape
        return shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.integers.size

    @property
    def factor(self) -> float:
        """The unit in z: scale * 2^-bits, rounded once."""
        return float(self.scale / 2**self.bits)

    @property
    def valid(self) -> bool:
        """Whether the register stayed in range."""
        return not self.size or int(self.integers.flat[0]) != OVERFLOW

    def to_float(self) -> np.ndarray[Any, Any]:
        """Return z in the model's dtype, as the model is given it; NaN where the register left the range."""
        if not self.valid:
            return np.full(self.shape, np.nan, self.dtype)
        return dequantise(self.integers, self.factor).astype(self.dtype, copy=False)

    def rescaled(self, scale: Fraction) -> Lattice:
        """Return the state in the units of another scale, rounded once."""
        if scale == self.scale or not self.valid:
            return self
        moved = np.rint(self.integers * float(self.scale / scale))
        if not np.all(np.abs(moved) < LIMIT):
            return replace(self, integers=np.full(self.shape, OVERFLOW), scale=scale, bound=None)
        return replace(self, integers=np.asarray(moved).astype(np.int64), scale=scale, bound=None)

    def embedded(self, scale: Fraction) -> Lattice:
        """Return the state in the units of another scale, so that going back gives the same integers.

        Raises
        ------
        ValueError
            If it would not.
        """
        moved = self.rescaled(scale)
        if not moved.valid or not np.array_equal(moved.rescaled(self.scale).integers, self.integers):
            raise ValueError(
                f"bits={self.bits} is too fine to keep every bit in units of z/alpha here: pass fewer bits"
            )
        return moved

    def differing_bits(self, other: Lattice) -> int:
        """Count the bits in which two states differ, over all elements (two's complement, 64 bits an element)."""
        if (other.shape, other.bits, other.scale) != (self.shape, self.bits, self.scale):
            raise ValueError("the states have different shapes or units: compare states of one run")
        return int(np.bitwise_count((self.integers ^ other.integers).view(np.uint64)).sum())

    def frozen(self) -> Lattice:
        """Return a read-only copy."""
        integers = self.integers.copy()
        integers.flags.writeable = False
        return replace(self, integers=integers)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.to_float().astype(dtype or self.dtype, copy=False)

    def __sub__(self, other: Any) -> np.ndarray[Any, Any]:
        if isinstance(other, Lattice):
            if (other.bits, other.scale) == (self.bits, self.scale):
                return dequantise(self.integers - other.integers, self.factor)  # exact, also below a float's last digit
            other = other.to_float()
        return np.asarray(self.to_float() - other)


@dataclass(frozen=True)
class LatticeSpace(Numpy):
    """States on a lattice, coefficients in float64; `dtype` is the model's."""

    bits: int = 40
    integers = True
    written = True

    @property
    def name(self) -> str:
        """Unit and dtype."""
        return f"a lattice of unit 2^-{self.bits} with a {self.dtype} model"

    def finite(self, value: Any) -> bool:
        """Say whether a register stayed in range."""
        return value.valid if isinstance(value, Lattice) else super().finite(value)

    def frozen(self, value: Any) -> Any:
        """Return a read-only copy."""
        return value.frozen() if isinstance(value, Lattice) else super().frozen(value)

    def stored(self, value: Any) -> tuple[np.ndarray[Any, Any], str]:
        """Return the integers, and their unit and scale with the model's dtype."""
        return value.integers, f"{_WORD}:{value.bits}:{value.dtype}:{value.scale}"


def on_lattice(z: Any, bits: int) -> Lattice:
    """Return a lattice state as it is, and floats rounded to the unit 2^-bits."""
    return z if isinstance(z, Lattice) else Lattice.from_float(z, bits=bits)


def as_floats(z: Any) -> Any:
    """Return a lattice state as floats of the model's dtype, anything else as it is."""
    return z.to_float() if isinstance(z, Lattice) else z


def _read(array: np.ndarray[Any, Any], rest: str) -> Lattice:
    bits, dtype, scale = rest.split(":")
    return Lattice(array, whole("bits", bits), np.dtype(dtype), ratio("scale", scale))


register_reader(_WORD, _read)
register(lambda x: isinstance(x, Lattice), lambda x: LatticeSpace(x.dtype, x.bits))
