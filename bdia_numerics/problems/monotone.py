"""Roots of increasing functions, many at a time, in floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def solve_increasing(function: Callable[..., Array], low: Array, high: Array, *known: Array) -> Array:
    """Return x with ``function(x, *known) = 0``, element by element, to the last digits.

    Parameters
    ----------
    function
        Increasing in x; called with arrays of shape (m,), those of `known` cut down alike.
    low, high
        A bracket for each root, shape (n,), right but for some roundings.
    known
        What belongs to each element, shape (n,).

    Raises
    ------
    ArithmeticError
        If a bracket holds no root.
    """
    from scipy.optimize import elementwise

    if len(low) == 0:
        return low
    slack = 1e-10 * (1 + abs(low) + abs(high))
    with np.errstate(all="ignore"):
        found = elementwise.find_root(function, (low - slack, high + slack), args=known)
    if not np.all(found.success):
        raise ArithmeticError(
            f"the flow did not settle for {np.count_nonzero(~found.success)} of {len(low)} states: use mpmath states"
        )
    return np.asarray(found.x)
