"""DPM-Solver, singlestep, for noise predictions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder, checked
from bdia_numerics.solvers.runge_kutta import OneStep

THIRD = Fraction(1, 3)


@dataclass(frozen=True)
class DPMSolver(OneStep):
    """DPM-Solver-1, -2 and -3: exponential Runge-Kutta methods in l = log(alpha/sigma).

    With h = l_j - l_i and b_h = sigma_j (1 - e^h) = sigma_j - sigma_i alpha_j/alpha_i, stages u_r at l_i + r h:
    1: DDIM.      2: b_h eps(u_{1/2}) in place of DDIM's b_h eps(z_i).
    3: u_{1/3} by DDIM; u_{2/3} by DDIM and 2 f(2h/3) (eps(u_{1/3}) - eps(z_i));
       z_{i-1} by DDIM and 3/2 f(h) (eps(u_{2/3}) - eps(z_i)),      f(h) = b_h/h + sigma_j

    State     z_i, of shape (*batch, *data)
    Order     `order`: 1, 2 or 3
    NFE       `order` per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure; sigma > 0, and for orders
              2 and 3 a grid with a schedule
    Source    Lu, Zhou, Bao, Chen, Li, Zhu, NeurIPS 2022, DPM-Solver-2 (r = 1/2) and DPM-Solver-3 (r = 1/3, 2/3)

    Parameters
    ----------
    order
        Number of the variant, 1, 2 or 3.

    Raises
    ------
    ValueError
        For another `order`.

    Examples
    --------
    >>> from bdia_numerics import DPMSolver, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(DPMSolver(), law, grid, start='own').error:.1e}"
    '1.2e-03'
    """

    order: int = 2

    def __post_init__(self) -> None:
        checked(self, order=(1, 2, 3))

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return what the step from t_i to t_j adds."""
        e = s.eps(x, at=i)
        ddim = s.delta(i, j, x, e)
        if self.order == 1:
            return ddim
        if self.order == 2:
            middle = s.between(i, j, Fraction(1, 2), "log_snr")
            return s.delta(i, j, x, s.eps(x + s.delta(i, middle, x, e), at=middle))
        first, second = s.between(i, j, THIRD, "log_snr"), s.between(i, j, 2 * THIRD, "log_snr")
        h = s.half_log_snr(j) - s.half_log_snr(i)
        e1 = s.eps(x + s.delta(i, first, x, e), at=first)
        stage = x + s.delta(i, second, x, e) + (e1 - e) * (2 * _f(s, i, second, 2 * h / 3))
        e2 = s.eps(stage, at=second)
        return (e2 - e) * (3 * _f(s, i, j, h) / 2) + ddim


def _f(s: Recorder, i: Any, j: Any, h: Any) -> Any:
    """Return -sigma_j ((e^h - 1)/h - 1), the weight of a first difference of eps."""
    return (s.sigma(j) - s.alpha(j) / s.alpha(i) * s.sigma(i)) / h + s.sigma(j)
