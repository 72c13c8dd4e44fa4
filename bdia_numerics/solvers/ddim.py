"""DDIM, the first-order solver that the others refine."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder


@dataclass(frozen=True)
class DDIM:
    """DDIM, the explicit Euler method in (z/alpha, sigma/alpha).

    z_{i-1} = z_i + Delta(t_i -> t_{i-1} | z_i)

    State     z_i, of shape (*batch, *data)
    Order     1
    NFE       1 per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure
    Source    paper, eq. (6)-(8); Song, Meng, Ermon, ICLR 2021

    Examples
    --------
    >>> from bdia_numerics import DDIM, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(DDIM(), law, grid, start='own').error:.1e}"
    '2.0e-02'
    """

    registers = ("z",)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (7)."""
        (z,) = s.registers
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
