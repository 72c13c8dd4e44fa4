"""The integrals of DPM-Solver's multistep forms: interpolants in half the log-SNR, under an exponential weight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder
from bdia_numerics.solvers.history import reach
from bdia_numerics.solvers.interpolation import newton


def usable(s: Recorder, order: int) -> int:
    """Return how many predictions a step can use: one to sigma = 0, where the log-SNR is infinite, is of order 1."""
    return 1 if s.is_zero(s.sigma(s.i - 1)) else reach(s, order)


def half_log_snr(s: Recorder, origin: int, time: int) -> Any:
    """Return log(alpha/sigma) at a time, less that at another one."""
    return s.function("log", s.sigma_bar(origin) / s.sigma_bar(time))


def integral(
    s: Recorder, top: Any, first: Any, sign: int, m: Sequence[Linear], times: Sequence[int], end: int, weights: str
) -> Form:
    """Return what the interpolant of predictions m, taken at `times`, adds from the first of these to `end`.

    Its moments are M_0 = `first`, M_k = top h^k + sign k M_{k-1}, over l = log(alpha/sigma), with h the step in l. `weights` says where
    others stand in their place: with two predictions h M_0/2 for M_1 ("published", "bh2") or top h^2/2 ("bh1"), with three M_2/2 for
    M_2 ("published"); nowhere if "exact".
    """
    if len(m) == 1:
        return first * m[0].form()
    x, h = tuple(map(partial(half_log_snr, s, times[0]), times[: len(m)])), half_log_snr(s, times[0], end)

    def moment(k: int) -> Any:
        return top * h**k + sign * k * moment(k - 1) if k else first

    def weight(k: int) -> Any:
        if k == 1 and len(m) == 2 and weights != "exact":
            return (h * top if weights == "bh1" else first) * h / 2
        return moment(k) / 2 if k == 2 and weights == "published" else moment(k)

    return newton(x, m, weight)
