"""The one array kernel: a linear combination in one pass over memory.

Large contiguous float32 and float64 arrays are cut into blocks that stay in the cache, and the blocks are shared out to
threads (NumPy releases the interpreter lock inside its loops). Small arrays, longdouble and float16 take the plain
expression. Both add the same products in the same order, so the result does not depend on the path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

BLOCK = 32768
_SMALLEST = 8 * BLOCK
_MOST_THREADS = 4  # a few cores saturate the memory bus


def linear_combination(coefficients: Sequence[Any], values: Sequence[Any], out: Any = None) -> Any:
    """Return sum_k coefficients[k] * values[k].

    Parameters
    ----------
    coefficients : sequence of scalar
        Python floats, or longdoubles for longdouble values.
    values : sequence of array
        Arrays of one shape and dtype.
    out : array, optional
        Where large results are written; it may be one of the values.
    """
    with np.errstate(all="ignore"):
        if len(values) > 1 and _is_large(values):
            return _in_blocks(coefficients, values, np.empty_like(values[0]) if out is None else out)
        total = coefficients[0] * values[0]
        for c, v in zip(coefficients[1:], values[1:], strict=True):
            total = total + c * v
    return total


def _is_large(values: Sequence[Any]) -> bool:
    first = values[0]
    return (
        isinstance(first, np.ndarray)
        and first.size >= _SMALLEST
        and first.dtype in (np.float32, np.float64)
        and all(v.flags.c_contiguous and v.shape == first.shape and v.dtype == first.dtype for v in values)
    )


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="linear-combination")


# A forked child has none of its parent's threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)


def threads() -> int:
    """Return the number of threads that large arrays are shared out to."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _MOST_THREADS)


def _in_blocks(coefficients: Sequence[Any], values: Sequence[Any], out: Any) -> Any:
    flat, target = [v.reshape(-1) for v in values], out.reshape(-1)
    share = -(-target.size // threads())
    parts = [slice(k, min(k + share, target.size)) for k in range(0, target.size, share)]
    for part in [_pool().submit(_part, coefficients, flat, target, part) for part in parts]:
        part.result()
    return out


def _part(coefficients: Sequence[Any], values: Sequence[Any], out: Any, part: slice) -> None:
    total, term = np.empty((2, BLOCK), dtype=out.dtype)
    with np.errstate(all="ignore"):
        for begin in range(part.start, part.stop, BLOCK):
            block = slice(begin, min(begin + BLOCK, part.stop))
            acc, product = total[: block.stop - begin], term[: block.stop - begin]
            np.multiply(values[0][block], coefficients[0], out=acc)
            for c, v in zip(coefficients[1:-1], values[1:-1], strict=True):
                np.multiply(v[block], c, out=product)
                np.add(acc, product, out=acc)
            np.multiply(values[-1][block], coefficients[-1], out=product)
            np.add(acc, product, out=out[block])
