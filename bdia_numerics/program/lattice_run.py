"""The interpreter of lattice plans: integers in the registers, floats for the model, one remainder buffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.program.plan import Arithmetic, Call, Stage
from bdia_numerics.spaces import Lattice, LatticeSpace, Memory, kernel
from bdia_numerics.spaces.lattice import OVERFLOW, Remainder
from bdia_numerics.spaces.memory import Array

BUFFER, FLOATS, SPARE, BEFORE = -1, -2, -3, -4
"""Where a run's store keeps the remainder, registers as floats by number, arrays to be used again, and the remainder before the slot."""


@dataclass(frozen=True, slots=True)
class Assign:
    """target = own * old + round(sum of coefficient * other), in integers; `others` are floats, registers in z.

    With `undo`, `old` is what that made and `target` is what it was made from.
    """

    target: int
    old: int
    own: Fraction
    coefficients: tuple[float, ...]
    others: tuple[int, ...]
    scales: tuple[Fraction, Fraction]
    undo: bool = False
    reuse: int | None = None
    dead: tuple[int, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """Every value that it reads."""
        return (self.old, *self.others)

    def undone(self) -> Assign:
        """Return what undoes it."""
        return replace(self, target=self.old, old=self.target, scales=self.scales[::-1], undo=True)


@dataclass(frozen=True, slots=True)
class Weigh:
    """target = sum of coefficient * source: floats, or a first state, rounded to integers with a `scale`."""

    target: int
    coefficients: tuple[float, ...]
    sources: tuple[int, ...]
    scale: Fraction | None
    reuse: int | None = None
    dead: tuple[int, ...] = ()


@dataclass(frozen=True)
class Integers(Arithmetic):
    """Arithmetic of a lattice plan.

    Attributes
    ----------
    scales
        Scales of the inputs, by number.
    read
        Registers' versions that something reads as floats.
    """

    space: LatticeSpace
    scales: Mapping[int, Fraction]
    read: frozenset[int]

    def enter(self, store: dict[int, Any], remainder: Mapping[str, Array]) -> None:
        """Bring the inputs to the units of the run, every bit kept, and take up the buffer."""
        for number, scale in self.scales.items():
            store[number] = store[number].embedded(scale)
        store.update({BUFFER: Remainder(remainder), FLOATS: {}, SPARE: []})

    def remainder(self, store: Mapping[int, Any]) -> Mapping[str, Array]:
        """Return the buffer as arrays."""
        buffer: Remainder = store[BUFFER]
        return buffer.arrays()

    def shown(self, value: Lattice) -> Lattice:
        """Return a state in units of z, rounded where its own are finer."""
        return value.rescaled(Fraction(1))

    def begin(self, stage: Stage, store: dict[int, Any]) -> None:
        """Begin a slot: remember the buffer where the model is evaluated after it has changed."""
        # Arrays of floats whose register is gone are used for the next one.
        for number in [n for n in store[FLOATS] if n not in store]:
            store[SPARE].append(store[FLOATS].pop(number))
        store[BEFORE] = store[BUFFER].copy() if _asks_after_a_contraction(stage.instructions) else store[BUFFER]

    def argument(self, number: int, store: dict[int, Any]) -> Any:
        """Return a register as floats of the model's dtype."""
        return _in_z(store, number).astype(self.space.dtype, copy=False)

    def receive(self, x: Call, output: Any, store: dict[int, Any], space: Memory) -> None:
        """Take the model's output; a copy where it lasts, or shares the memory of the state."""
        shares = isinstance(output, np.ndarray) and (
            x.copy or np.may_share_memory(output, self.argument(x.argument, store))
        )
        store[x.target] = output.copy() if shares else output
        for n in x.dead:
            self._forget(n, store)

    def carry_out(self, x: Any, store: dict[int, Any], space: Memory) -> None:
        """Carry out an assignment or a rounded sum."""
        (self._assign if isinstance(x, Assign) else self._weigh)(x, store)
        for n in x.dead:
            self._forget(n, store)

    def abandon(self, store: dict[int, Any]) -> None:
        """Leave the slot: the buffer is again as it was before it."""
        store[BUFFER] = store[BEFORE]

    def _assign(self, x: Assign, store: dict[int, Any]) -> None:
        old: Lattice = store[x.old]
        p, q = abs(x.own.numerator), x.own.denominator
        # Contraction by q/p undoes that by p/q, and takes from the buffer what that one has put there.
        exchanged = (q, p) if x.undo else (p, q)
        head = None if p == q else store[BUFFER].opened(*exchanged, old.shape)
        values = [_in_z(store, n) for n in x.others]
        out = old.integers if x.reuse == x.old else np.empty(old.shape, dtype=np.int64)
        floats = _spare(store, old.shape) if x.target in self.read else None
        # Bounds are carried along, so that the range is checked without a pass over the array.
        bound = kernel.largest(old.integers) if old.bound is None else old.bound
        made = Lattice(out, self.space.bits, self.space.dtype, x.scales[1])
        bound = kernel.FAILED if bound >= kernel.LIMIT else kernel.assign(
            old.integers, out, (x.own.numerator, q), x.coefficients, values, head,
            bound=bound, undo=x.undo, floats=floats, factor=made.factor,
        )  # fmt: skip
        if bound == kernel.FAILED:
            out.fill(OVERFLOW)
        elif floats is not None:
            store[FLOATS][x.target] = floats
        if head is not None:
            store[BUFFER].closed(*exchanged)
        store[x.target] = replace(made, bound=bound)

    def _weigh(self, x: Weigh, store: dict[int, Any]) -> None:
        total = kernel.combination(x.coefficients, [_in_z(store, n) for n in x.sources])
        if x.scale is None:
            store[x.target] = total
            return
        out = np.empty(total.shape, dtype=np.int64)
        bound = kernel.rounded(total, out)
        if bound == kernel.FAILED:
            out.fill(OVERFLOW)
        store[x.target] = Lattice(out, self.space.bits, self.space.dtype, x.scale, bound)

    def _forget(self, number: int, store: dict[int, Any]) -> None:
        floats = store[FLOATS].pop(number, None)
        if floats is not None:
            store[SPARE].append(floats)
        store.pop(number, None)


def _in_z(store: dict[int, Any], number: int) -> Any:
    """Return a value as floats in z; a register is converted once for each version."""
    value, floats = store[number], store[FLOATS]
    if not hasattr(value, "integers"):
        return value
    if number not in floats:
        floats[number] = kernel.dequantise(value.integers, value.factor, _spare(store, value.shape))
    return floats[number]


def _spare(store: dict[int, Any], shape: tuple[int, ...]) -> Any:
    return store[SPARE].pop() if store[SPARE] else np.empty(shape)


def _asks_after_a_contraction(instructions: Iterable[Any]) -> bool:
    contracted = False
    for x in instructions:
        if contracted and isinstance(x, Call):
            return True
        # A factor of 1 or -1 drops no digits, so that the buffer stays as it was.
        contracted |= isinstance(x, Assign) and abs(x.own) != 1
    return False
