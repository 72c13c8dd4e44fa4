"""Reversible Heun, exactly invertible by a second state."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder


@dataclass(frozen=True)
class ReversibleHeun:
    """Reversible Heun in (z/alpha, sigma/alpha).

    With y = z/alpha, s = sigma/alpha and the second state v in the same scale:
    v_{i-1} = 2 y_i - v_i + h eps(v_i, t_i);      y_{i-1} = y_i + h (eps(v_i, t_i) + eps(v_{i-1}, t_{i-1}))/2

    State     (v_i, z_i), each of shape (*batch, *data); both start as z_N; the solution is z
    Order     2; v follows to order 1 on alternating steps
    NFE       1 per step, both ways, and 1 more in all
    Requires  nothing to invert
    Source    Kidger, Foster, Li, Lyons, NeurIPS 2021, in the variables of eq. (34)

    Examples
    --------
    >>> from bdia_numerics import ReversibleHeun, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(ReversibleHeun(), law, grid, start='own').error:.1e}"
    '2.5e-03'
    """

    registers = ("v", "z")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        v, z = s.registers
        i, end = s.i, s.i - 1
        s.assign(z, z + s.delta(i, end, z, s.eps(v) / 2), at=end)
        scale = s.alpha(end) / s.alpha(i)
        s.assign(v, 2 * z - scale * v, at=end)
        s.assign(z, z + (s.sigma(end) - scale * s.sigma(i)) / 2 * s.eps(v))
