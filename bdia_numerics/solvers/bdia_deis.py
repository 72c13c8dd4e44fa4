"""BDIA-DEIS: DEIS ahead, BDIA's average behind."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Parameter, Recorder, checked
from bdia_numerics.solvers.deis import DEIS
from bdia_numerics.solvers.history import KeepsEvaluations, over_previous_slot, reach, renew
from bdia_numerics.solvers.interpolation import VARIABLES, increment

ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class BDIADEIS(KeepsEvaluations):
    """BDIA-DEIS: DEIS for the slot ahead, BDIA's average for the slot behind.

    z_{i-1} = z_{i+1} + [(1-g)(z_i - z_{i+1}) - g Delta(t_i -> t_{i+1} | z_i)] + DEIS increment

    State     (z_{i+1}, z_i, e_{i+2}), each of shape (*batch, *data)
    Order     1 for g > 0, with g/(1+g) of DDIM's error constant, of the other sign; DEIS for g = 0; BDIA for order 1
    NFE       1 per step
    Requires  an approximate inversion, but for order 1: eps was taken at z_{i+1}, which an inverse would have to find
    Source    paper, remark 4, by the pattern of eq. (65)

    Parameters
    ----------
    order
        1, 2 or 3: predictions through which the polynomial goes.
    gamma
        Weight of the step back, in [0, 1]: a number, a symbol, or a function of the slot.
    variable
        "log_snr" or "sigma_bar": in what the polynomial is.
    allow_any
        Whether constants outside [0, 1] are taken.

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function.
    ValueError
        For a constant outside [0, 1] unless `allow_any`, and for another `order` or `variable`.

    Examples
    --------
    >>> from bdia_numerics import BDIADEIS, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIADEIS(), law, grid, start='own').error:.1e}"
    '7.8e-03'
    """

    order: int = 2
    gamma: Parameter = 1
    variable: str = "log_snr"
    allow_any: bool = False
    states = ("z_prev", "z")

    def __post_init__(self) -> None:
        checked(self, "gamma", order=ORDERS, variable=VARIABLES)

    @property
    def starter(self) -> DEIS | None:
        """That of DEIS."""
        return DEIS(self.order, self.variable).starter

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z_prev, z, *older = s.registers
        e, last, i, n = s.eps(z), s.eps(z_prev), s.i, reach(s, self.order)
        forward = increment(s, self.variable, i, i - 1, z, (i, i + 1, i + 2)[:n], (e, last, *older)[:n])
        s.assign(z_prev, over_previous_slot(s, self.gamma, z_prev, z, forward), at=i - 1)
        renew(s, older, last, at=i + 1)
        s.swap(z_prev, z)
