"""The remainder buffer: the digits that contractions drop, as a stack of words with an int64 head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

WORD = 16
"""Bits of a word. The head holds below 2^44, so that a digit of base 2^16 can be pushed without a wrap."""
_FRACTION = 32
_LEVEL = 1 << (_FRACTION + 4)  # one word, in units of 2^-32 bits

Array = np.ndarray[Any, Any]


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
        for level in range(self.fill // _LEVEL, (self.fill + _bits(q) - _bits(p)) // _LEVEL):
            word = self.head.astype(np.uint16)
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
