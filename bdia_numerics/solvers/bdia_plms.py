"""BDIA-PLMS: PLMS ahead, BDIA's average behind."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Parameter, Recorder, checked
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.history import KeepsEvaluations, over_previous_slot, renew
from bdia_numerics.solvers.plms import ORDERS, PLMS, increment


@dataclass(frozen=True)
class BDIAPLMS(KeepsEvaluations):
    """BDIA-PLMS: PLMS for the slot ahead, BDIA's average for the slot behind.

    z_{i-1} = z_{i+1} + [(1-g)(z_i - z_{i+1}) - g Delta(t_i -> t_{i+1} | z_i)] + PLMS increment

    State     (z_{i+1}, z_i, e_{i+2}, e_{i+3}), each of shape (*batch, *data)
    Order     1 for g > 0, with g/(1+g) of DDIM's error constant, of the other sign; PLMS for g = 0; BDIA for order 1
    NFE       1 per step; the start of PLMS
    Requires  an approximate inversion, but for order 1: eps was taken at z_{i+1}, which an inverse would have to find
    Source    paper, remark 4, by the pattern of eq. (65)

    Parameters
    ----------
    gamma
        Weight of the step back, in [0, 1]: a number, a symbol, or a function of the slot.
    order
        Number of the variant, 1, 2, 3 or 4.
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
    >>> from bdia_numerics import BDIAPLMS, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIAPLMS(), law, grid, start='own').error:.1e}"
    '1.1e-02'
    """

    gamma: Parameter = 1
    order: int = 4
    allow_any: bool = False
    states = ("z_prev", "z")

    def __post_init__(self) -> None:
        checked(self, "gamma", order=ORDERS)

    @property
    def starter(self) -> PLMS | Heun | None:
        """That of PLMS; DDIM for order 1."""
        return PLMS(self.order).starter if self.order > 1 else None

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z_prev, z, *older = s.registers
        e, last = s.eps(z), s.eps(z_prev)
        forward = increment(s, z, e, (last, *older)[: self.order - 1])
        s.assign(z_prev, over_previous_slot(s, self.gamma, z_prev, z, forward), at=s.i - 1)
        renew(s, older, last, at=s.i + 1)
        s.swap(z_prev, z)
