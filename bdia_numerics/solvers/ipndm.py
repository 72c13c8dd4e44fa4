"""iPNDM: PLMS that begins with lower orders in place of Runge-Kutta steps."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.solvers.plms import PLMS


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
