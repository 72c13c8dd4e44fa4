"""A uniform distribution under Gaussian noise, on the line: functions of x >= 0 and h in units of sigma.

The distribution at one time is uniform on [-h, h] plus a standard normal; x is the distance of a state from the centre. All functions are
made of positive terms: where Phi(x+h) - Phi(x-h) would cancel (a narrow interval, h < 1 and x h < 4) the integral over the
interval is taken by Gauss's rule, in the tail a power of e is taken out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_FAR = 8.0
_FRACTIONS = 30
"""Terms of the continued fraction: from v = 8 on the next ones change no digit."""
_SQRT_HALF = float(np.sqrt(0.5))
_LOG_NORMAL = float(np.log(2 * np.pi) / 2)


def _cases(x: Array, h: Array) -> tuple[Array, Array, Array]:
    narrow = (h < 1) & (x * h < 4)
    return narrow, ~narrow & (x >= h), ~narrow & (x < h)


def _mills(v: Array) -> Array:
    """Return (1 - Phi(v)) / phi(v)."""
    from scipy.special import erfcx

    return np.asarray(np.sqrt(np.pi / 2) * erfcx(v * _SQRT_HALF))


def _excess(v: Array) -> Array:
    """Return 1 - v (1 - Phi(v)) / phi(v), v >= 0: far out by the continued fraction of Mills' ratio, 1/(v + rest)."""
    far, rest = np.maximum(v, _FAR), np.zeros_like(v)
    for n in range(_FRACTIONS, 0, -1):
        rest = n / (far + rest)
    return np.asarray(np.where(v < _FAR, 1 - v * _mills(v), rest / (far + rest)))


def _mass(x: Array, h: Array) -> Array:
    """Return (Phi(x+h) - Phi(x-h)) / phi(x-h) outside the interval, x >= h."""
    return np.asarray(_mills(x - h) - np.exp(-2 * x * h) * _mills(x + h))


def _inside(x: Array, h: Array) -> Array:
    """Return Phi(x+h) - Phi(x-h) inside the interval, x < h."""
    from scipy.special import erf

    return np.asarray((erf((h + x) * _SQRT_HALF) + erf((h - x) * _SQRT_HALF)) / 2)


def pull(x: Array, h: Array) -> Array:
    """Return minus the score, (phi(x-h) - phi(x+h)) / (Phi(x+h) - Phi(x-h)), towards the centre; shape (n,)."""
    result = np.empty_like(x)
    narrow, outside, within = _cases(x, h)
    with np.errstate(all="ignore"):
        a, b = x[narrow], h[narrow]
        v = np.multiply.outer(b, (_NODES + 1) / 2)
        integral = (np.cosh(a[:, None] * v) * np.exp((b[:, None] ** 2 - v * v) / 2)) @ _WEIGHTS / 2
        result[narrow] = np.where(b > 0, np.sinh(a * b) / np.where(b > 0, b, 1), a) / integral
        a, b = x[outside], h[outside]
        result[outside] = -np.expm1(-2 * a * b) / _mass(a, b)
        a, b = x[within], h[within]
        result[within] = -np.expm1(-2 * a * b) * np.exp(-((b - a) ** 2) / 2 - _LOG_NORMAL) / _inside(a, b)
    return result


def log_density(x: Array, h: Array) -> Array:
    """Return the logarithm of (Phi(x+h) - Phi(x-h)) / (2h), shape (n,)."""
    result = np.empty_like(x)
    narrow, outside, within = _cases(x, h)
    with np.errstate(all="ignore"):
        a, b = x[narrow, None], h[narrow, None] * (_NODES + 1) / 2
        result[narrow] = np.log((np.cosh(a * b) * np.exp(-b * b / 2)) @ _WEIGHTS / 2) - a[:, 0] ** 2 / 2 - _LOG_NORMAL
        a, b = x[outside], h[outside]
        result[outside] = np.log(_mass(a, b) / (2 * b)) - (a - b) ** 2 / 2 - _LOG_NORMAL
        a, b = x[within], h[within]
        result[within] = np.log(_inside(a, b) / (2 * b))
    return result


def log_tail(x: Array, h: Array) -> Array:
    """Return the logarithm of the probability beyond the distance x on one side, at most log(1/2), shape (n,)."""
    from scipy.special import erfcx

    result = np.empty_like(x)
    narrow, outside, within = _cases(x, h)
    with np.errstate(all="ignore"):
        a, b = x[narrow, None], h[narrow, None]
        # Phi(-(x - h u)) over u in [-1, 1], relative to exp(-(x-h)^2/2).
        rest = (a - b) ** 2 / 2 - (a - b * _NODES) ** 2 / 2
        result[narrow] = np.log((erfcx((a - b * _NODES) * _SQRT_HALF) * np.exp(rest)) @ _WEIGHTS / 4)
        result[narrow] -= (a[:, 0] - b[:, 0]) ** 2 / 2
        a, b = x[outside], h[outside]
        near, far = (_excess(v) for v in (a - b, a + b))
        result[outside] = np.log((near - np.exp(-2 * a * b) * far) / (2 * b)) - (a - b) ** 2 / 2 - _LOG_NORMAL
        a, b = x[within], h[within]
        near, far = (_excess(v) * np.exp(-v * v / 2 - _LOG_NORMAL) for v in (b - a, a + b))
        result[within] = np.log((b - a + near - far) / (2 * b))
    return result
