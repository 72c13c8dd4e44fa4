"""The lattice's array kernel: x <- c x + round(increment) on int64, exactly undone by the same code.

Blocks stay in the cache and are shared out to threads, as in the float kernel. The contraction by c = p/q is a bijection of
(x, head): the digit x mod q that the division drops is pushed on the head, and the digit of base p that the product has
room for is popped from it. Contraction by q/p is its inverse (Maclaurin, Duvenaud, Adams, ICML 2015,
algorithm 3, there for the decay of a velocity).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bdia_numerics.spaces.kernel import BLOCK as _B, _pool, threads
import os
BLOCK=int(os.environ.get('BL',_B))

LIMIT = 1 << 60
"""Absolute values of the integers stay below it, so that one addition never wraps an int64."""

Array = np.ndarray[Any, Any]
_LOCAL = threading.local()


def dequantise(integers: Array, factor: float, out: Array | None = None) -> Array:
    """Return integers * factor in float64."""
    target = np.empty(integers.shape) if out is None else out
    flat, source = target.reshape(-1), integers.reshape(-1)

    def part(k: slice, work: Array) -> bool:
        np.multiply(source[k], factor, out=flat[k])
        return True

    _share(part, flat.size)
    return target


def combination(coefficients: Sequence[float], values: Sequence[Array]) -> Array:
    """Return sum_k coefficients[k] * values[k] in float64, the products rounded and added in their order."""
    total = np.empty(np.shape(values[0]))
    flat, sources = total.reshape(-1), [np.reshape(v, -1) for v in values]

    def part(k: slice, work: Array) -> bool:
        _combine(coefficients, sources, k, flat[k], work[0].view(np.float64))
        return True

    _share(part, flat.size)
    return total


def rounded(values: Array, out: Array) -> bool:
    """Round floats to integers; False, with `out` of no meaning, if one is NaN or reaches 2^60."""
    np.rint(values, out=values)
    if values.size and not (values.max() < LIMIT and values.min() > -LIMIT):
        return False
    np.copyto(out, values, casting="unsafe")
    return True


def assign(
    old: Array,
    out: Array,
    own: tuple[int, int],
    coefficients: Sequence[float],
    values: Sequence[Array],
    head: Array | None,
    *,
    undo: bool,
    floats: Array | None = None,
    factor: float = 1.0,
) -> bool:
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
    undo
        Subtract the increment, then contract by q/p.
    floats, factor
        Where to write out * factor, while it is in the cache.

    Returns
    -------
    bool
        False if a value left the range; `out` then has no meaning.
    """
    source, target, sources = old.reshape(-1), out.reshape(-1), [np.reshape(v, -1) for v in values]
    digits = None if head is None else head.reshape(-1)
    shown = None if floats is None else floats.reshape(-1)
    p, q = abs(own[0]), own[1]

    def part(k: slice, work: Array) -> bool:
        increment, product, number = work
        x, y, h = source[k], target[k], None if digits is None else digits[k]
        if sources:
            total = increment.view(np.float64)
            _combine(coefficients, sources, k, total, product.view(np.float64))
            if not rounded(total, product):
                return False
            increment, product = product, increment
        if undo:
            x = np.subtract(x, increment, out=increment) if sources else x
            if not _contract(x, y, q, p, h, product, number):
                return False
            if own[0] < 0:
                np.negative(y, out=y)
        else:
            if own[0] < 0:
                x = np.negative(x, out=y)
            if not _contract(x, y, p, q, h, product, number):
                return False
            if sources:
                np.add(y, increment, out=y)
        if shown is not None:
            np.multiply(y, factor, out=shown[k])
        return bool(not y.size or (y.max() < LIMIT and y.min() > -LIMIT))

    return _share(part, target.size)


def _contract(x: Array, out: Array, p: int, q: int, head: Array | None, quotient: Array, number: Array) -> bool:
    """Take (x, head) to (p (x // q) + s, h) with q head + x mod q = p h + s, 0 <= s < p; p, q > 0, |x| below 2^61.

    Products may wrap here; the sums that they enter are in range, so these come out right.
    """
    if head is None:
        if out is not x:
            np.copyto(out, x)
        return True
    np.floor_divide(x, q, out=quotient)
    if p > q and x.size and max(quotient.max(), -quotient.min()) > LIMIT // p:
        return False
    np.subtract(head, quotient, out=number)
    np.multiply(number, q, out=number)
    np.add(number, x, out=number)
    if p == 1:
        np.copyto(head, number)
        np.copyto(out, quotient)
        return True
    np.floor_divide(number.view(np.uint64), np.uint64(p), out=head.view(np.uint64))  # never negative; unsigned is faster
    np.subtract(quotient, head, out=quotient)
    np.multiply(quotient, p, out=quotient)
    np.add(quotient, number, out=out)
    return True


def _combine(coefficients: Sequence[float], values: Sequence[Array], k: slice, total: Array, product: Array) -> None:
    np.multiply(values[0][k], coefficients[0], out=total, dtype=np.float64)
    for c, v in zip(coefficients[1:], values[1:], strict=True):
        np.multiply(v[k], c, out=product, dtype=np.float64)
        np.add(total, product, out=total)


def _share(part: Callable[[slice, Array], bool], size: int) -> bool:
    """Call `part` on blocks, each with room for three temporaries, from several threads if there are many.

    Returns
    -------
    bool
        Whether every call returned True. All are made, so that the outcome does not depend on the number of threads.
    """
    blocks = [slice(k, min(k + BLOCK, size)) for k in range(0, size, BLOCK)]

    def several(mine: list[slice]) -> bool:
        # Fresh pages for every block would cost as much as the arithmetic.
        if not hasattr(_LOCAL, "work") or _LOCAL.work.shape[1] < min(BLOCK, size):
            _LOCAL.work = np.empty((3, min(BLOCK, size)), dtype=np.int64)
        with np.errstate(all="ignore"):  # each thread has its own error state
            outcomes = [part(k, _LOCAL.work[:, : k.stop - k.start]) for k in mine]
        return all(outcomes)

    if len(blocks) < 8:
        return several(blocks)
    share = -(-len(blocks) // threads())
    jobs = [_pool().submit(several, blocks[k : k + share]) for k in range(0, len(blocks), share)]
    outcomes = [job.result() for job in jobs]
    return all(outcomes)
