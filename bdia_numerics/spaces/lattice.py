"""Integers with a stated unit: the number system in which a run is inverted to the last bit.

The digits that contractions drop are kept in a buffer, a stack of words with an int64 head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import given, register, require_numpy
from bdia_numerics.spaces.floats import Numpy
from bdia_numerics.spaces.kernel import LIMIT, dequantise
from bdia_numerics.spaces.memory import Array, register_reader
from bdia_numerics.texts import ratio, shown, whole

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
        require_numpy("z", z, "a lattice is made of those, pass numpy.asarray(z) and a model of such arrays")
        z = np.asarray(given("z", z))
        if z.dtype not in (np.float32, np.float64):
            raise TypeError(f"z={shown(z)} has dtype {z.dtype}: pass float32 or float64 states")
        if bits not in range(60):
            raise ValueError(f"bits={shown(bits)}: pass an int from 0 to 59")
        # A shift by `bits` is exact in float64, so that only rint rounds.
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
        return tuple(self.integers.shape)

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

    def to_float(self) -> Array:
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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.to_float().astype(dtype or self.dtype, copy=False)

    def __sub__(self, other: Any) -> Array:
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

    def stored(self, value: Any) -> tuple[Array, str]:
        """Return the integers, and their unit and scale with the model's dtype."""
        return value.integers, f"{_WORD}:{value.bits}:{value.dtype}:{value.scale}"


def on_lattice(z: Any, bits: int) -> Lattice:
    """Return a lattice state as it is, and floats rounded to the unit 2^-bits."""
    return z if isinstance(z, Lattice) else Lattice.from_float(z, bits=bits)


def as_floats(z: Any) -> Any:
    """Return a lattice state as floats of the model's dtype, anything else as it is."""
    return z.to_float() if isinstance(z, Lattice) else z


def _read(array: Array, rest: str) -> Lattice:
    bits, dtype, scale = rest.split(":")
    return Lattice(array, whole("bits", bits), np.dtype(dtype), ratio("scale", scale))


register_reader(_WORD, _read)
register(lambda x: isinstance(x, Lattice), lambda x: LatticeSpace(x.dtype, x.bits))


WORD = 16
"""Bits of a word. The head holds below 2^44, so that a digit of base 2^16 can be pushed without a wrap."""
_FRACTION = 32
_LEVEL = 1 << (_FRACTION + 4)  # one word, in units of 2^-32 bits


def _bits(n: int) -> int:
    return round(math.log2(n) * (1 << _FRACTION))


class Remainder:
    """The buffer of a run, shared by all its registers; empty, it gives zeros without end.

    `fill` counts the bits pushed less the bits popped, in fixed point, so that undoing an operation restores it exactly.
    Whenever it passes a multiple of 16 bits a word moves between the head and the stack. Where that happens depends on
    `fill` alone, never on the data, so the way back meets the same words at the same operations. Below `fill` = 0 there
    are zeros.
    """

    def __init__(self, arrays: Mapping[str, Any] | None = None) -> None:
        self.head: Array | None = None
        self.fill = 0
        self.words: dict[int, Array] = {}
        if arrays:
            self.head, self.fill = arrays["head"].astype(np.int64), int(arrays["fill"])
            self.words = {int(k): w.copy() for k, w in zip(arrays["levels"], arrays["words"], strict=True)}

    def arrays(self) -> dict[str, Array]:
        """Return copies, fit for a State: head, fill, and the words with their levels; nothing for an empty buffer."""
        if self.head is None or (not self.fill and not self.words and not self.head.any()):
            return {}
        smallest = np.min_scalar_type(int(self.head.max(initial=0)))
        levels = sorted(self.words)
        words = np.array([self.words[k] for k in levels], dtype=np.uint16).reshape(len(levels), *self.head.shape)
        return {
            "head": self.head.astype(smallest),
            "fill": np.array(self.fill),
            "levels": np.array(levels, dtype=np.int64),
            "words": words,
        }

    def copy(self) -> Remainder:
        """Return an independent copy."""
        other = Remainder()
        other.head = None if self.head is None else self.head.copy()
        other.fill, other.words = self.fill, dict(self.words)
        return other

    def opened(self, p: int, q: int, shape: tuple[int, ...]) -> Array:
        """Return the head, with room for a contraction by p/q: words are spilled where it will be fuller."""
        if self.head is None:
            self.head = np.zeros(shape, dtype=np.int64)
        # A word moves whenever the fill passes a multiple of 16 bits: known before the digits are, and the same on the way back.
        for level in range(self.fill // _LEVEL, (self.fill + _bits(q) - _bits(p)) // _LEVEL):
            word = self.head.astype(np.uint16)
            # Words of zeros are not kept: where none is found there are zeros.
            if word.any():
                self.words[level] = word
            self.head >>= WORD
        return self.head

    def closed(self, p: int, q: int) -> None:
        """Take note of a contraction by p/q: words come back where the head is emptier."""
        assert self.head is not None
        before, self.fill = self.fill, self.fill + _bits(q) - _bits(p)
        for level in reversed(range(self.fill // _LEVEL, before // _LEVEL)):
            self.head <<= WORD
            word = self.words.pop(level, None)
            if word is not None:
                self.head |= word


def bits_per_element(arrays: Mapping[str, Any]) -> tuple[float, float]:
    """Return the size of a State's remainder in bits an element, and the bound: log2(1/|det|) summed over the run.

    The size is that of the words and of the head's longest element.
    """
    if not arrays:
        return 0.0, 0.0
    size = WORD * len(arrays["levels"]) + int(arrays["head"].max(initial=0)).bit_length()
    return float(size), int(arrays["fill"]) / 2**_FRACTION
