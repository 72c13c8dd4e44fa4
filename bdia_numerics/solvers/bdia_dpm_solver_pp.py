"""BDIA-DPM-Solver++: DPM-Solver++ ahead, BDIA's average behind."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Parameter, Recorder, checked
from bdia_numerics.solvers.dpm_solver_pp import ORDERS, DPMSolverPP, solution
from bdia_numerics.solvers.history import over_previous_slot, renew


@dataclass(frozen=True)
class BDIADPMSolverPP:
    """BDIA-DPM-Solver++: DPM-Solver++ for the slot ahead, BDIA's average for the slot behind.

    z_{i-1} = z_{i+1} + [(1-g)(z_i - z_{i+1}) - g Delta(t_i -> t_{i+1} | z_i)] + (Gamma(z_i, x_i, x_{i+1}) - z_i)

    State     (z_{i+1}, z_i, x_{i+2}), each of shape (*batch, *data)
    Order     1 for g > 0, with g/(1+g) of DDIM's error constant, of the other sign; DPM-Solver++ for g = 0; BDIA for order 1
    NFE       1 per step
    Requires  an approximate inversion, but for order 1: eps was taken at z_{i+1}, which an inverse would have to find
    Source    paper, eq. (64)-(65)

    Parameters
    ----------
    gamma
        Weight of the step back, in [0, 1]: a number, a symbol, or a function of the slot.
    order
        Number of the variant, 1, 2 or 3.
    exact
        Whether the interpolant is integrated exactly.
    allow_any
        Whether constants outside [0, 1] are taken.

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function.
    ValueError
        For a constant outside [0, 1] unless `allow_any`, and for another `order`.

    Examples
    --------
    >>> from bdia_numerics import BDIADPMSolverPP, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIADPMSolverPP(), law, grid, start='own').error:.1e}"
    '9.6e-03'
    """

    gamma: Parameter = 1
    order: int = 2
    exact: bool = False
    allow_any: bool = False

    def __post_init__(self) -> None:
        checked(self, "gamma", order=ORDERS)

    @property
    def registers(self) -> tuple[str, ...]:
        """The two states, and the data prediction before them."""
        return ("z_prev", "z", "x_2")[: max(self.order, 2)]

    @property
    def evaluations(self) -> dict[str, str]:
        """The registers that hold data predictions."""
        return dict.fromkeys(self.registers[2:], "x0")

    @property
    def starter(self) -> DPMSolverPP | None:
        """That of DPM-Solver++."""
        return DPMSolverPP(self.order, self.exact).starter

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (65)."""
        z_prev, z, *older = s.registers
        x, last = s.x0(z, s.eps(z)), s.x0(z_prev, s.eps(z_prev))
        kept = s.scratch(last) if older else last
        weights = "exact" if self.exact else "published"
        forward = solution(s, z, (x, kept, *older)[: self.order], weights) - z
        s.assign(z_prev, over_previous_slot(s, self.gamma, z_prev, z, forward), at=s.i - 1)
        renew(s, older, kept, at=s.i + 1)
        s.swap(z_prev, z)
