"""CBDIA, the coupled form of BDIA."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bdia_numerics.program import Parameter, Recorder, checked


@dataclass(frozen=True)
class CBDIA:
    """CBDIA-DDIM: coupled bi-directional integration approximation (exactly invertible).

    w_{i-1} = z_i + Delta(t_i -> t_{i-1} | y_i);     v_{i-1} = y_i - Delta(t_{i-1} -> t_i | w_{i-1})
    z_{i-1} = g1 w_{i-1} + (1-g1) v_{i-1};           y_{i-1} = g2 w_{i-1} + (1-g2) v_{i-1}

    State     (z_i, y_i), each of shape (*batch, *data); both start as z_N; the solution is z
    Order     2 where g1 + g2 = 1 and |g1 - g2| < 1, but as of order 1 until N(1 - |g1 - g2|) is large; else 1; (0, 1) is BDIA
              with gamma = 1, order 2 on smooth grids
    NFE       2 per step, both ways; 1 for g2 = 1, where y_{i-1} is w_{i-1}, whose evaluation is remembered
    Requires  gamma1 != gamma2 to invert; constants in [0, 1] unless allow_any
    Source    paper, eq. (43)-(46) and (60)-(63), inverse (47)-(50)
    Same as   McCallumFoster with coupling 1 over Euler for (1, 0); its y, not its z, is BDIA gamma for (1-gamma, 1)

    Parameters
    ----------
    gamma1, gamma2
        Weight in [0, 1]: a number, a symbol, or a function of the slot.
    allow_any
        Whether constants outside [0, 1] are taken.

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function.
    ValueError
        For a constant outside [0, 1] unless `allow_any`.

    Examples
    --------
    >>> from bdia_numerics import CBDIA, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(CBDIA(), law, grid, start='own').error:.1e}"
    '1.9e-02'
    """

    gamma1: Parameter = Fraction(19, 20)
    gamma2: Parameter = Fraction(1, 20)
    allow_any: bool = False
    registers = ("z", "y")

    def __post_init__(self) -> None:
        checked(self, "gamma1", "gamma2")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (43)-(46)."""
        z, y = s.registers
        g1, g2, end = s.value(self.gamma1), s.value(self.gamma2), s.i - 1
        s.assign(z, z + s.delta(s.i, end, y, s.eps(y)), at=end)
        s.assign(y, y - s.delta(end, s.i, z, s.eps(z)), at=end)
        s.mix({z: g1 * z + (1 - g1) * y, y: g2 * z + (1 - g2) * y})
