"""The asynchronous leapfrog method, exactly invertible by a velocity that it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bdia_numerics.program import Recorder


@dataclass(frozen=True)
class ALF:
    """Asynchronous leapfrog in (z/alpha, sigma/alpha).

    With m half-way between t_i and t_{i-1} in sigma/alpha:
    z_m = z_i + Delta(t_i -> t_m) with v_i for eps;      v_{i-1} = 2 eps(z_m, t_m) - v_i
    z_{i-1} = z_m + Delta(t_m -> t_{i-1}) with v_{i-1} for eps

    State     (v_i, z_i), each of shape (*batch, *data); v starts as eps(z_N, t_N)
    Order     2
    NFE       1 per step, both ways, and 1 for the start
    Requires  nothing to invert; a grid with a schedule
    Source    Mutze, arXiv:1311.6602; as MALI, Zhuang, Dvornek, Tatikonda, Duncan, ICLR 2021

    Examples
    --------
    >>> from bdia_numerics import ALF, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(ALF(), law, grid, start='own').error:.1e}"
    '4.9e-06'
    """

    registers = ("v", "z")
    evaluations = ("v",)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        v, z = s.registers
        middle, end = s.between(s.i, s.i - 1, Fraction(1, 2)), s.i - 1
        s.assign(z, z + s.delta(s.i, middle, z, v), at=middle)
        s.assign(v, 2 * s.eps(z) - v, at=end)
        s.assign(z, z + s.delta(middle, end, z, v), at=end)
