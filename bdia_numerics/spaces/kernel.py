"""The array kernels: sums of multiples of float arrays, and x <- c x + round(increment) on int64, exactly undone by the same code.

Small arrays are added up in one go. Large contiguous ones are cut into blocks that stay in the cache, and many blocks are shared out
to threads (NumPy releases the interpreter lock inside its loops). Either way the same products are added in the same order, so that
the result does not depend on the path.

On the lattice the contraction by c = p/q is a bijection of (x, head): the digit x mod q that the division drops is pushed on the
head, and the digit of base p that the product has room for is popped from it. Contraction by q/p is its inverse (Maclaurin,
Duvenaud, Adams, ICML 2015, algorithm 3, there for the decay of a velocity).
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy import add, multiply, ndarray  # looked up once: small states are summed in a microsecond or two

from bdia_numerics.spaces.memory import Array

BLOCK = 65536
_FEW = 4  # blocks that one thread does alone: to wake others takes longer than they save
_MOST_THREADS = 4  # a few cores saturate the memory bus

LIMIT = 1 << 60
"""Absolute values of the lattice's integers stay below it, so that one addition never wraps an int64."""

FAILED = LIMIT
"""Returned for the largest absolute value of what does not fit."""


class _Room(threading.local):
    """Three temporaries of each thread: fresh pages for every sum would cost as much as its arithmetic."""

    def __init__(self) -> None:
        self._bytes = np.empty(
            (3, BLOCK * np.dtype(np.longdouble).itemsize), dtype=np.uint8
        )  # pages that nobody writes to take no memory
        self._shape: Any = None
        self._dtype: Any = None

    def of(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Array, ...]:
        """Return the three in a shape of at most a block; they are kept ready for the next call, which mostly has the same."""
        if shape != self._shape or dtype != self._dtype:
            self._shape, self._dtype = shape, dtype
            self._views = tuple(self._bytes.view(dtype)[:, : math.prod(shape)].reshape(3, *shape))
        return self._views


_ROOM = _Room()


@np.errstate(all="ignore")  # what overflows is a value, which a run looks at afterwards
def linear_combination(coefficients: Sequence[Any], values: Sequence[Any], out: Any = None) -> Any:
    """Return sum_k coefficients[k] * values[k].

    Parameters
    ----------
    coefficients : sequence of scalar
        Python floats, or longdoubles for longdouble values.
    values : sequence of array
        Arrays of one shape and dtype, or NumPy scalars.
    out : array, optional
        Where the result is written; it may be one of the values.
    """
    first = values[0]
    apart = out is first  # a term that is read later must not be written over by the sum so far
    if type(out) is not ndarray:
        if not isinstance(first, np.ndarray) or not first.ndim:  # nothing to write into
            return sum(
                (c * v for c, v in zip(coefficients[1:], values[1:], strict=True)), start=coefficients[0] * first
            )
        out, apart = np.empty_like(first, subok=False), True
    # Below a block the calls cost more than the memory does, so there is one of each.
    if first.size <= BLOCK:
        partial, product, _ = _ROOM.of(first.shape, first.dtype)
        _add_up(coefficients, values, out, out if apart else partial, product)
    elif all(v.flags.c_contiguous for v in (out, *values)):
        flat, target = [v.reshape(-1) for v in values], out.reshape(-1)

        def part(k: slice, work: Sequence[Array]) -> None:
            here, partial, product = target[k], work[0], work[1]
            _add_up(coefficients, [v[k] for v in flat], here, here if apart else partial, product)

        _share(part, target.size, target.dtype)
    else:
        _add_up(coefficients, values, out, *np.empty((2, *first.shape), first.dtype))
    return out


def _add_up(coefficients: Sequence[Any], values: Sequence[Array], out: Array, partial: Array, product: Array) -> None:
    """Write the sum to `out`, by way of `partial`, which may be the same array; a product by 1 is the value itself."""
    c, total, rest = coefficients[0], values[0], len(values) - 1
    if c != 1 or not rest:
        total = multiply(total, c, partial if rest else out)
    for k in range(1, rest + 1):
        c, term = coefficients[k], values[k]
        if c != 1:
            term = multiply(term, c, product)
        total = add(total, term, partial if k < rest else out)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="linear-combination")


# A forked child has none of its parent's threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)


def threads() -> int:
    """Return the number of threads that large arrays are shared out to."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _MOST_THREADS)


def dequantise(integers: Array, factor: float, out: Array | None = None) -> Array:
    """Return integers * factor in float64."""
    target = np.empty(integers.shape) if out is None else out
    flat, source = target.reshape(-1), integers.reshape(-1)

    def part(k: slice, work: Sequence[Array]) -> None:
        np.multiply(source[k], factor, out=flat[k])

    _share(part, flat.size)
    return target


def combination(coefficients: Sequence[float], values: Sequence[Array]) -> Array:
    """Return sum_k coefficients[k] * values[k] in float64, the products rounded and added in their order."""
    total = np.empty(np.shape(values[0]))
    flat, sources = total.reshape(-1), [np.reshape(v, -1) for v in values]

    def part(k: slice, work: Sequence[Array]) -> None:
        _combine(coefficients, sources, k, flat[k], work[0].view(np.float64))

    _share(part, flat.size)
    return total


def largest(integers: Array) -> int:
    """Return the largest absolute value."""
    return max(int(integers.max(initial=0)), -int(integers.min(initial=0)))


def rounded(values: Array, out: Array) -> int:
    """Round floats to integers; return the largest absolute value, or FAILED if one is NaN or reaches 2^60."""
    np.rint(values, out=values)
    # NaN fails every comparison, so that the one test below finds it as well.
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (high < LIMIT and low > -LIMIT):
        return FAILED
    np.copyto(out, values, casting="unsafe")
    return int(max(high, -low))


def assign(
    old: Array,
    out: Array,
    own: tuple[int, int],
    coefficients: Sequence[float],
    values: Sequence[Array],
    head: Array | None,
    *,
    bound: int,
    undo: bool,
    floats: Array | None = None,
    factor: float = 1.0,
) -> int:
    """Compute out = own * old + round(sum_k coefficients[k] * values[k]), or undo that.

    Parameters
    ----------
    old, out
        int64 arrays of one shape; they may be the same array.
    own
        (p, q), p of either sign, q > 0: the own coefficient p/q.
    coefficients, values
        The increment, in units of the lattice; values are float32 or float64.
    head
        int64 array of the same shape, changed in place; None where |p/q| = 1.
    bound
        At least the largest absolute value of `old`, below 2^60.
    undo
        Subtract the increment, then contract by q/p.
    floats, factor
        Where to write out * factor, while it is in the cache.

    Returns
    -------
    int
        At least the largest absolute value of `out`; FAILED if a value left the range, and `out` then has no meaning.
    """
    source, target, sources = old.reshape(-1), out.reshape(-1), [np.reshape(v, -1) for v in values]
    digits = None if head is None else head.reshape(-1)
    shown = None if floats is None else floats.reshape(-1)
    p, q = abs(own[0]), own[1]

    def part(k: slice, work: Sequence[Array]) -> int:
        # Three temporaries are enough: what is not needed any more makes room for the next.
        increment, product, number = work
        x, y, h, size = source[k], target[k], None if digits is None else digits[k], 0
        if sources:
            total = increment.view(np.float64)
            _combine(coefficients, sources, k, total, product.view(np.float64))
            size = rounded(total, product)
            if size == FAILED:
                return FAILED
            # The integers stand in `product` now, and the floats that they were rounded from are used up.
            increment, product = product, increment
        if undo:
            x = np.subtract(x, increment, out=increment) if sources else x
            grown = _contract(x, y, q, p, h, product, number, bound + size)
            if own[0] < 0:
                np.negative(y, out=y)
        else:
            x = np.negative(x, out=y) if own[0] < 0 else x
            grown = _contract(x, y, p, q, h, product, number, bound) + size
            if sources:
                np.add(y, increment, out=y)
        if shown is not None:
            np.multiply(y, factor, out=shown[k])
        # A bound that is too large may still be one of small numbers: only then the array is looked at.
        return grown if grown < LIMIT else min(largest(y), FAILED) if grown < 4 * LIMIT else FAILED

    return _share(part, target.size)


def _contract(
    x: Array, out: Array, p: int, q: int, head: Array | None, quotient: Array, number: Array, bound: int
) -> int:
    """Take (x, head) to (p (x // q) + s, h) with q head + x mod q = p h + s, 0 <= s < p; return a bound of the first.

    Products may wrap here; the sums that they enter are in range, so these come out right. A bound of 2^62 or more says that
    this cannot be promised.
    """
    if head is None:
        if out is not x:
            np.copyto(out, x)
        return bound
    np.floor_divide(x, q, out=quotient)
    bound = (bound // q + 2) * p
    if bound >= LIMIT:  # only then is it worth a look at the array
        bound = (largest(quotient) + 1) * p
    if bound >= 2 * LIMIT:
        return 4 * LIMIT
    # number = q head + (x - q quotient) = q head + x mod q, formed without a second division.
    np.subtract(head, quotient, out=number)
    np.multiply(number, q, out=number)
    np.add(number, x, out=number)
    if p == 1:
        np.copyto(head, number)
        np.copyto(out, quotient)
        return bound
    np.floor_divide(
        number.view(np.uint64), np.uint64(p), out=head.view(np.uint64)
    )  # never negative; unsigned is faster
    np.subtract(quotient, head, out=quotient)
    np.multiply(quotient, p, out=quotient)
    np.add(quotient, number, out=out)
    return bound


def _combine(coefficients: Sequence[float], values: Sequence[Array], k: slice, total: Array, product: Array) -> None:
    np.multiply(values[0][k], coefficients[0], out=total, dtype=np.float64)
    for c, v in zip(coefficients[1:], values[1:], strict=True):
        np.multiply(v[k], c, out=product, dtype=np.float64)
        np.add(total, product, out=total)


def _share(part: Callable[[slice, Sequence[Array]], int | None], size: int, dtype: Any = np.int64) -> int:
    """Call `part` on blocks, each with room for three temporaries of a dtype, from several threads if there are many.

    Returns
    -------
    int
        The largest of what the calls return, if they return anything. All are made, so that the outcome does not depend on the
        number of threads.
    """
    blocks = [slice(k, min(k + BLOCK, size)) for k in range(0, size, BLOCK)]

    @np.errstate(all="ignore")  # each thread has its own error state
    def several(mine: list[slice]) -> int:
        return max((part(k, _ROOM.of((k.stop - k.start,), np.dtype(dtype))) or 0 for k in mine), default=0)

    if len(blocks) <= _FEW:
        return several(blocks)
    share = -(-len(blocks) // threads())
    jobs = [_pool().submit(several, blocks[k : k + share]) for k in range(0, len(blocks), share)]
    return max(job.result() for job in jobs)
