"""PLMS, the linear multistep part of PNDM, and iPNDM, which begins with lower orders in place of Runge-Kutta steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bdia_numerics.program import Evaluation, Form, Linear, Recorder, checked
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.history import KeepsEvaluations, renew

ORDERS = (1, 2, 3, 4)
WEIGHTS = ((1,), (3, -1), (23, -16, 5), (55, -59, 37, -9))
"""Adams and Bashforth's, over their sums 1, 2, 12 and 24; the newest first."""


def increment(s: Recorder, z: Linear, e: Evaluation, older: Sequence[Linear]) -> Form:
    """Return the DDIM increment of the extrapolated noise prediction."""
    if not older:
        return s.delta(s.i, s.i - 1, z, e)
    weights = WEIGHTS[len(older)]
    slope: Any = sum(Fraction(w, sum(weights)) * m for w, m in zip(weights, (e, *older), strict=True))
    return s.delta(s.i, s.i - 1, z, slope)


@dataclass(frozen=True)
class PLMS(KeepsEvaluations):
    """PLMS: DDIM with the noise prediction of Adams and Bashforth, whose weights are those of equal steps.

    z_{i-1} = z_i + Delta(t_i -> t_{i-1} | z_i) with (55 e_i - 59 e_{i+1} + 37 e_{i+2} - 9 e_{i+3})/24 for eps,
    with (23, -16, 5)/12 for order 3, (3, -1)/2 for order 2, 1 for order 1

    State     (z_i, e_{i+1}, e_{i+2}, e_{i+3}), each of shape (*batch, *data)
    Order     `order` on grids uniform in sigma/alpha, with a start that is as good; 2 on other smooth grids (1 for
              order 1), 1 where the step ratios only are bounded
    NFE       1 per step; the start takes one more
    Requires  an approximate inversion: each step drops its oldest evaluation
    Source    Liu, Ren, Lin, Zhao, ICLR 2022, eq. (9) and (12) (S-PNDM: order 2, F-PNDM: order 4)
    Start     order by order, the first step by Heun's method, as in PLMS without the Runge-Kutta steps of PNDM; these are
              start=RK4("t")

    Parameters
    ----------
    order
        Number of the variant, 1 to 4.

    Raises
    ------
    ValueError
        For another `order`.

    Examples
    --------
    >>> from bdia_numerics import PLMS, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(PLMS(), law, grid, start='own').error:.1e}"
    '4.8e-05'
    """

    order: int = 4

    def __post_init__(self) -> None:
        checked(self, order=ORDERS)

    @property
    def starter(self) -> PLMS | Heun:
        """PLMS of one order less, at first Heun's method."""
        return PLMS(self.order - 1) if self.order > 2 else Heun()

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, *older = s.registers
        e = s.eps(z)
        s.assign(z, z + increment(s, z, e, older), at=s.i - 1)
        renew(s, older, e, at=s.i)


@dataclass(frozen=True)
class IPNDM(PLMS):
    """iPNDM: the steps of PLMS, begun order by order from a step of DDIM.

    State     (z_i, e_{i+1}, e_{i+2}, e_{i+3}), each of shape (*batch, *data)
    Order     as of PLMS; 2 at most with its own start
    NFE       1 per step
    Requires  an approximate inversion: each step drops its oldest evaluation
    Source    Zhang, Chen, ICLR 2023, appendix, where it is named; Liu, Ren, Lin, Zhao, ICLR 2022, eq. (12)
    Start     order by order

    Parameters
    ----------
    order
        Number of the variant, 1 to 4.

    Raises
    ------
    ValueError
        For another `order`.

    Examples
    --------
    >>> from bdia_numerics import IPNDM, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(IPNDM(), law, grid, start='own').error:.1e}"
    '7.7e-05'
    """

    @property
    def starter(self) -> IPNDM | None:  # type: ignore[override]
        """IPNDM of one order less, at first DDIM."""
        return IPNDM(self.order - 1) if self.order > 1 else None
