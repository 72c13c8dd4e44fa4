"""The integrals of DPM-Solver's multistep forms: interpolants in half the log-SNR, under an exponential weight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder
from bdia_numerics.solvers.history import reach
from bdia_numerics.solvers.interpolation import divided


def usable(s: Recorder, order: int) -> int:
    """Return how many predictions a step can use: one to sigma = 0, where the log-SNR is infinite, is of order 1."""
    return 1 if s.is_zero(s.sigma(s.i - 1)) else reach(s, order)


def half_log_snr(s: Recorder, time: int) -> Any:
    """Return log(alpha/sigma) at a time, less that at t_i."""
    return s.function("log", s.sigma_bar(s.i) / s.sigma_bar(time))


def _earlier(s: Recorder, k: int) -> Any:
    return half_log_snr(s, s.i + k)


def integral(s: Recorder, top: Any, first: Any, sign: int, m: Sequence[Linear], exact: bool) -> Form:
    """Return M_0 m_0 + M_1 [01] + (M_2 + h_{i+1} M_1) [012], with the moments M_k = top h^k + sign k M_{k-1}.

    m are the latest predictions, the newest first; [01] and [012] their divided differences over l = log(alpha/sigma);
    h = l_{i-1} - l_i. Unless `exact`, the weights are those of the published programs: h M_0/2 for M_1 with two
    predictions, M_2/2 for M_2 with three.
    """
    total: Form = first * m[0].form()
    if len(m) == 1:
        return total
    x, h = tuple(map(partial(_earlier, s), range(len(m)))), half_log_snr(s, s.i - 1)
    one = top * h + sign * first
    differences = divided(x, m)
    if len(m) == 2:
        total += (one if exact else h * first / 2) * differences[1]
        return total
    two = top * h**2 + 2 * sign * one
    total += one * differences[1] + ((two if exact else two / 2) - x[1] * one) * differences[2]
    return total
