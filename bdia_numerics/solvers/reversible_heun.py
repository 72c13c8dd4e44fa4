"""Reversible Heun, exactly invertible by a second state."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder
from bdia_numerics.solvers.variables import chosen, moved, position, scale, slope


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
    Options   `variable`: "sigma_bar", or "angle", with y = z, s = atan(sigma/alpha) and the prediction v for eps, on
              variance-preserving schedules alone

    Parameters
    ----------
    variable
        "sigma_bar", or "angle" on variance-preserving schedules.

    Raises
    ------
    ValueError
        For another `variable`.

    Examples
    --------
    >>> from bdia_numerics import ReversibleHeun, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(ReversibleHeun(), law, grid, start='own').error:.1e}"
    '2.5e-03'
    """

    variable: str = "sigma_bar"
    registers = ("v", "z")

    def __post_init__(self) -> None:
        chosen(self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        v, z = s.registers
        i, end, variable = s.i, s.i - 1, self.variable
        s.assign(z, moved(s, variable, z, i, end, slope(s, variable, v, s.eps(v)) / 2), at=end)
        s.assign(v, 2 * z - scale(s, variable, end) / scale(s, variable, i) * v, at=end)
        half = scale(s, variable, end) * (position(s, variable, end) - position(s, variable, i)) / 2
        s.assign(z, z + half * slope(s, variable, v, s.eps(v)))
