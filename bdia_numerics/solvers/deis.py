"""DEIS, exponential Adams-Bashforth."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder, checked
from bdia_numerics.solvers.history import KeepsEvaluations, reach, renew
from bdia_numerics.solvers.interpolation import VARIABLES, increment

ORDERS = (1, 2, 3, 4)


@dataclass(frozen=True)
class DEIS(KeepsEvaluations):
    """DEIS, multistep: the interpolant of the latest evaluations, integrated exactly.

    z_{i-1} = (alpha_{i-1}/alpha_i) z_i + alpha_{i-1} int p(s) ds over [s_i, s_{i-1}], s = sigma/alpha,
    p the polynomial through e_i, ..., e_{i+order-1}: in log s ("log_snr") or in s ("sigma_bar", Adams-Bashforth)

    State     (z_i, e_{i+1}, e_{i+2}, e_{i+3}), each of shape (*batch, *data)
    Order     `order`, where the step ratios are bounded, with a start that is as good; with its own start 2 for orders 3, 4
    NFE       1 per step
    Requires  an approximate inversion: each step drops its oldest evaluation
    Source    Zhang, Chen, ICLR 2023: rho-AB-DEIS ("sigma_bar"), and the log-rho form of diffusers ("log_snr")
    Same as   the linear multistep method (LMS) of k-diffusion and diffusers, in "sigma_bar"
    Start     order by order

    Parameters
    ----------
    order
        Number of the variant, 1 to 4.
    variable
        "log_snr" or "sigma_bar": in what the polynomial is.

    Raises
    ------
    ValueError
        For another `order` or `variable`.

    Examples
    --------
    >>> from bdia_numerics import DEIS, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(DEIS(), law, grid, start='own').error:.1e}"
    '2.5e-03'
    """

    order: int = 2
    variable: str = "log_snr"

    def __post_init__(self) -> None:
        checked(self, order=ORDERS, variable=VARIABLES)

    @property
    def starter(self) -> DEIS | None:
        """DEIS of one order less."""
        return DEIS(self.order - 1, self.variable) if self.order > 1 else None

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, *older = s.registers
        e, i, n = s.eps(z), s.i, reach(s, self.order)
        times = (i, i + 1, i + 2, i + 3)[:n]
        s.assign(z, z + increment(s, self.variable, i, i - 1, z, times, (e, *older)[:n]), at=i - 1)
        renew(s, older, e, at=i)
