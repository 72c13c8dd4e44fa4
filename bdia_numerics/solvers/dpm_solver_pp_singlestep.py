"""DPM-Solver++, singlestep, for data predictions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bdia_numerics.program import Form, Linear, Recorder, checked
from bdia_numerics.solvers.runge_kutta import OneStep

THIRD = Fraction(1, 3)


@dataclass(frozen=True)
class DPMSolverPPSinglestep(OneStep):
    """DPM-Solver++ of one step: 1 is DDIM, 2 is 2S, 3 is 3S: exponential Runge-Kutta methods in l = log(alpha/sigma).

    With h = l_j - l_i and b_h = alpha_j - sigma_j alpha_i/sigma_i, stages u_r at l_i + r h, x the data predictions:
    2: b_h x(u_{1/2}) in place of DDIM's b_h x(z_i).
    3: u_{1/3} by DDIM; u_{2/3} by DDIM and 2 f(2h/3) (x(u_{1/3}) - x(z_i));
       z_{i-1} by DDIM and 3/2 f(h) (x(u_{2/3}) - x(z_i)),      f(h) = alpha_j - b_h/h

    State     z_i, of shape (*batch, *data)
    Order     `order`: 1, 2 or 3
    NFE       `order` per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure; sigma > 0, and for orders
              2 and 3 a grid with a schedule
    Source    Lu, Zhou, Bao, Chen, Li, Zhu, arXiv:2211.01095: 2S (r = 1/2), and 3S (r = 1/3, 2/3) from their program

    Parameters
    ----------
    order
        1, 2 or 3: the stages of a step.

    Raises
    ------
    ValueError
        For another `order`.

    Examples
    --------
    >>> from bdia_numerics import DPMSolverPPSinglestep, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(DPMSolverPPSinglestep(), law, grid, start='own').error:.1e}"
    '1.1e-03'
    """

    order: int = 2

    def __post_init__(self) -> None:
        checked(self, order=(1, 2, 3))

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return what the step from t_i to t_j adds."""
        first = s.eps(x, at=i)
        if self.order == 1:
            return s.delta(i, j, x, first)

        def by(time: Any, weight: Any, later: Linear) -> Form:
            """Return x moved by DDIM, with a multiple of the difference of a later data prediction from the first."""
            return x + s.delta(i, time, x, first) + weight * (later - s.x0(x, first))

        def later(time: Any, stage: Form) -> Linear:
            w = s.scratch(stage, at=time)
            return s.x0(w, s.eps(w))

        if self.order == 2:
            middle = s.between(i, j, Fraction(1, 2), "log_snr")
            return by(j, _b(s, i, j), later(middle, x + s.delta(i, middle, x, first))) - x
        one, two = s.between(i, j, THIRD, "log_snr"), s.between(i, j, 2 * THIRD, "log_snr")
        h = s.half_log_snr(j) - s.half_log_snr(i)
        x_1 = later(one, x + s.delta(i, one, x, first))
        x_2 = later(two, by(two, 2 * (s.alpha(two) - _b(s, i, two) / (2 * h / 3)), x_1))
        return by(j, (s.alpha(j) - _b(s, i, j) / h) * 3 / 2, x_2) - x


def _b(s: Recorder, i: Any, j: Any) -> Any:
    """Return alpha_j (1 - e^{-h}), the weight of a constant data prediction."""
    return s.alpha(j) - s.sigma(j) / s.sigma(i) * s.alpha(i)
