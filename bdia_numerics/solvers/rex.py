"""Rex: the coupling of McCallum and Foster on z/alpha."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder
from bdia_numerics.solvers.mccallum_foster import McCallumFoster


@dataclass(frozen=True)
class Rex(McCallumFoster):
    """Rex for a noise prediction: McCallum-Foster on the exponential variable z/alpha (coupled, exactly invertible).

    With phi(t_i -> t_j | x) the increment of the base in z/alpha:
    z_{i-1}/alpha_{i-1} = (c z_i + (1-c) y_i)/alpha_i + phi(t_i -> t_{i-1} | y_i)
    y_{i-1}/alpha_{i-1} = y_i/alpha_i - phi(t_{i-1} -> t_i | z_{i-1})

    State     (z_i, y_i), each of shape (*batch, *data); both start as z_N; the solution is z
    Order     that of the base for c < 1
    NFE       twice that of the base per step, both ways
    Requires  coupling != 0 to invert; a constant coupling in [0, 1] unless allow_any
    Source    Blasingame, Liu, arXiv:2502.08834, Rex (ODE) with noise prediction; it is McCallumFoster where alpha = 1
    """

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, y = s.registers
        c, i, end = s.value(self.coupling), s.i, s.i - 1
        increment = self.base.increment(s, y, i, end)
        scale = s.alpha(end) / s.alpha(i)
        s.assign(z, scale * c * (z - y) + y + increment, at=end)
        s.assign(y, z + scale * (y - z - self.base.increment(s, z, end, i)), at=end)
