"""A uniform distribution under Gaussian noise in mpmath, to any precision: the functions of `uniform_flow`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_exact import increasing_root
from bdia_numerics.problems.checks import exact
from bdia_numerics.problems.transports import digits_of

Array = np.ndarray[Any, Any]

_GUARD = 15


def each(function: Callable[..., Any], space: spaces.Space, *arguments: Any) -> Array:
    """Apply a function of mpf element by element, in the digits of a number system; longdouble is widened and rounded.

    Arguments are arrays of one shape, or scalars; the function has the number of digits as its last argument.
    """
    digits = digits_of(space)
    results = []
    with digits.working():
        for values in np.broadcast(*(np.asarray(a, dtype=object) for a in arguments)):
            found = function(*(digits.number(exact(v)) for v in values), digits.dps)
            results.append(found if space == digits else exact(+found))
        return space.array(results).reshape(arguments[0].shape)


def _digits(dps: int, *scales: Any) -> int:
    """Return the digits in which differences over a narrow interval, and far out, keep `dps` digits."""
    from mpmath import mp

    return dps + _GUARD + 2 * int(sum(abs(mp.log10(s)) for s in scales if s > 0))


def pull(x: Any, h: Any, dps: int) -> Any:
    """Return minus the score towards the centre, at x >= 0, in units of sigma."""
    from mpmath import mp

    if h == 0:
        return x
    with spaces.MPMath(_digits(dps, h)).working():
        return (mp.npdf(x - h) - mp.npdf(x + h)) / (2 * h * density(x, h, dps))


def density(x: Any, h: Any, dps: int) -> Any:
    """Return (Phi(x+h) - Phi(x-h)) / (2h)."""
    from mpmath import mp

    if h == 0:
        return mp.npdf(x)
    with spaces.MPMath(_digits(dps, h)).working():
        root = mp.sqrt(2)
        return (mp.erfc((x - h) / root) - mp.erfc((x + h) / root)) / (4 * h)


def tail(x: Any, h: Any) -> Any:
    """Return the probability beyond x on one side."""
    from mpmath import mp

    if h == 0:
        return mp.erfc(x / mp.sqrt(2)) / 2
    with spaces.MPMath(_digits(mp.dps, h, 1 + x)).working():
        near, far = (mp.npdf(v) - v * mp.erfc(v / mp.sqrt(2)) / 2 for v in (x - h, x + h))
        return (near - far) / (2 * h)


def distance(offset: Any, half: Any, new_half: Any, sigma: Any, new_sigma: Any, dps: int) -> Any:
    """Return the distance from the centre after the flow from that before."""
    from mpmath import mp

    with spaces.MPMath(dps + _GUARD).working():
        level = (half - offset) / (2 * half) if sigma == 0 else tail(offset / sigma, half / sigma)
        if new_sigma == 0:
            return new_half * (1 - 2 * level)
        if offset == 0:
            return mp.mpf(0)
        h = new_half / new_sigma

        def gap(x: Any) -> tuple[Any, Any]:
            if x < 0:
                return -1 + x, mp.mpf(1)
            beyond = tail(x, h)
            return mp.log(level / beyond), density(x, h, mp.dps) / beyond

        width = 1 + h
        return new_sigma * increasing_root(
            gap, offset / (sigma or half) * width, width, mp.mpf(10) ** (-dps - _GUARD // 2)
        )
