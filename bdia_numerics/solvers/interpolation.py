"""Increments whose noise prediction is interpolated through several times, the base of DEIS and of high-order BDIA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from operator import mul, sub
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder
from bdia_numerics.texts import one_of

VARIABLES = ("sigma_bar", "log_snr")
Formula = Callable[[Recorder, int, int, Linear, Sequence[int], Sequence[Linear]], Form]
"""formula(s, start, end, z, times, m): the increment from z at t_start to t_end, by evaluations m taken at times."""


def known(variable: str | Formula) -> None:
    """Raise ValueError unless this is a formula, or a variable of the interpolant."""
    if not callable(variable):
        one_of("variable", variable, VARIABLES)


def on_values(x: Sequence[Any], c: Sequence[Any], k: int) -> list[Any]:
    """Return the weights of values m with the sum of c_j [x_0, ..., x_j] m, where those beyond [x_0, ..., x_{j-k}] are yet to be taken."""
    d = list(map(lambda a, p, q: a / (p - q), c[k:], x[k:], x))
    c = [*c[: k - 1], *map(sub, (c[k - 1], *d), d), d[-1]]
    return on_values(x, c, k - 1) if k > 1 else c


def newton(x: Sequence[Any], m: Sequence[Linear], moment: Callable[[int], Any]) -> Any:
    """Return what a linear functional makes of the interpolant of two to four values `m` at places x, x_0 = 0.

    It is m_0 + x [01] + x (x - x_1) [012] + x (x - x_1) (x - x_2) [0123], Newton's form; `moment(k)` is the functional of x^k. The
    divided differences are taken of the weights, which are scalars, and not of `m`.
    """
    c = [moment(0), moment(1)]
    if len(m) > 2:
        c.append(moment(2) - x[1] * moment(1))
    if len(m) > 3:
        c.append(moment(3) - (x[1] + x[2]) * moment(2) + x[1] * x[2] * moment(1))
    return sum(map(mul, on_values(x, c, len(m) - 1), m))


def place(s: Recorder, variable: str, origin: int, time: int) -> Any:
    """Return where a time lies, seen from `origin`: s - s_0, or log(s/s_0), with s = sigma/alpha."""
    if variable == "sigma_bar":
        return s.sigma_bar(time) - s.sigma_bar(origin)
    return s.function("log", s.sigma_bar(time) / s.sigma_bar(origin))


def primitive(s: Recorder, variable: str, origin: int, time: int, k: int) -> Any:
    """Return a primitive of place^k with respect to sigma/alpha; for log_snr it is 0 at sigma = 0, its limit."""
    if variable == "sigma_bar":
        return place(s, variable, origin, time) ** (k + 1) / (k + 1)
    top = s.sigma_bar(time)
    if k == 0 or s.is_zero(top):
        return top
    return top * place(s, variable, origin, time) ** k - k * primitive(s, variable, origin, time, k - 1)


def increment(
    s: Recorder, variable: str | Formula, start: int, end: int, z: Linear, times: Sequence[int], m: Sequence[Linear]
) -> Form:
    """Return Delta(t_start -> t_end) from z at t_start: the integral of the interpolant of the evaluations, exact.

    z (alpha_end/alpha_start - 1) + alpha_end int p ds, with the polynomial p in `variable` through up to four evaluations
    `m` taken at `times`
    """
    if callable(variable):
        return variable(s, start, end, z, times, m)
    if len(m) == 1:
        return s.delta(start, end, z, m[0])
    x = tuple(map(partial(place, s, variable, times[0]), times))

    @cache
    def moment(k: int) -> Any:
        return primitive(s, variable, times[0], end, k) - primitive(s, variable, times[0], start, k)

    return (s.alpha(end) / s.alpha(start) - 1) * z + s.alpha(end) * newton(x, m, moment)
