"""DPM-Solver++, multistep, for data predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bdia_numerics.program import Form, Linear, Recorder, checked
from bdia_numerics.solvers.exponential import integral, usable
from bdia_numerics.solvers.history import renew

ORDERS = (1, 2, 3)


def moved(s: Recorder, z: Linear, x: Sequence[Linear], times: Sequence[int], end: int, weights: str) -> Form:
    """Return z at t_end, from z at the first of `times` and the data predictions there."""
    top, kept = s.alpha(end), s.sigma(end) / s.sigma(times[0])
    return kept * z + integral(s, top, top - kept * s.alpha(times[0]), -1, x, times, end, weights)


def solution(s: Recorder, z: Linear, x: Sequence[Linear], weights: str) -> Form:
    """Return z_{i-1} from the latest data predictions: the letter Gamma of the paper's eq. (64)."""
    return moved(s, z, x[: usable(s, len(x))], (s.i, s.i + 1, s.i + 2), s.i - 1, weights)


@dataclass(frozen=True)
class DPMSolverPP:
    """DPM-Solver++ multistep: 1 is DDIM, 2 is 2M (the midpoint variant), 3 is 3M.

    z_{i-1} = (sigma_{i-1}/sigma_i) z_i - alpha_{i-1} (e^{-h} - 1) D,      h = l_{i-1} - l_i, l = log(alpha/sigma)
    2M: D = x_i + (h/2) (x_i - x_{i+1})/h_{i+1}, with x = (z - sigma eps)/alpha

    State     (z_i, x_{i+1}, x_{i+2}), each of shape (*batch, *data)
    Order     1, 2, 2 as published; `order` if `exact`, with a start that is as good; with its own start 2 for order 3
    NFE       1 per step
    Requires  an approximate inversion: each step drops its oldest prediction; sigma_i != 0, and one step of order 1 to
              sigma = 0
    Source    Lu, Zhou, Bao, Chen, Li, Zhu, arXiv:2211.01095; 3M and its weights from their program
    Options   `exact`: the interpolant is integrated exactly. Without it the last term of 3M has half the weight that
              its Taylor expansion asks for
    Start     order by order

    Parameters
    ----------
    order
        Number of the variant, 1, 2 or 3.
    exact
        Whether the interpolant is integrated exactly.

    Raises
    ------
    ValueError
        For another `order`.

    Examples
    --------
    >>> from bdia_numerics import DPMSolverPP, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(DPMSolverPP(), law, grid, start='own').error:.1e}"
    '1.2e-04'
    """

    order: int = 2
    exact: bool = False

    def __post_init__(self) -> None:
        checked(self, order=ORDERS)

    @property
    def registers(self) -> tuple[str, ...]:
        """z_i, and the data predictions before it."""
        return ("z", "x_1", "x_2")[: self.order]

    @property
    def evaluations(self) -> dict[str, str]:
        """The registers that hold data predictions."""
        return dict.fromkeys(self.registers[1:], "x0")

    @property
    def starter(self) -> DPMSolverPP | None:
        """The solver of one order less."""
        return DPMSolverPP(self.order - 1, self.exact) if self.order > 1 else None

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, *older = s.registers
        x = s.scratch(s.x0(z, s.eps(z)))
        s.assign(z, solution(s, z, (x, *older), "exact" if self.exact else "published"), at=s.i - 1)
        renew(s, older, x, at=s.i)
