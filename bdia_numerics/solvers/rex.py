"""Rex: the coupling of McCallum and Foster on z/alpha, or on z/sigma."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder, checked
from bdia_numerics.solvers.mccallum_foster import McCallumFoster


@dataclass(frozen=True)
class Rex(McCallumFoster):
    """Rex: McCallum-Foster on the exponential variable z/k (coupled, exactly invertible).

    With phi(t_i -> t_j | x) the increment of the base in z/k, k = alpha for noise predictions, sigma for data predictions:
    z_{i-1}/k_{i-1} = (c z_i + (1-c) y_i)/k_i + phi(t_i -> t_{i-1} | y_i)
    y_{i-1}/k_{i-1} = y_i/k_i - phi(t_{i-1} -> t_i | z_{i-1})

    State     (z_i, y_i), each of shape (*batch, *data); both start as z_N; the solution is z
    Order     that of the base for c < 1
    NFE       twice that of the base per step, both ways
    Requires  coupling != 0 to invert; a constant coupling in [0, 1] unless allow_any; sigma_0 != 0 for "x0"
    Source    Blasingame, Liu, ICML 2026, arXiv:2502.08834, Rex for ODEs, checked against the authors' program. Their bases
              are Runge-Kutta methods in sigma/alpha for "eps", as ours, and in alpha/sigma for "x0", where only Euler is
              the same: DDIM in both
    Options   `prediction`: "eps", where it is McCallumFoster if alpha = 1, or "x0"; whatever the model predicts

    Parameters
    ----------
    coupling
        Weight c in [0, 1]: a number, a symbol, or a function of the slot.
    base
        The one-step method that is coupled: Euler(), Midpoint(), RK4() or DPMSolver().
    allow_any
        Whether constants outside [0, 1] are taken.
    prediction
        What the base integrates: "eps" or "x0".

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function, and for a base without an increment.
    ValueError
        For a constant outside [0, 1] unless `allow_any`, and for another `prediction`.

    Examples
    --------
    >>> from bdia_numerics import Rex, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(Rex(), law, grid, start='own').error:.1e}"
    '6.5e-02'
    """

    prediction: str = "eps"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, prediction=("eps", "x0"))

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, y = s.registers
        c, i, end = s.value(self.coupling), s.i, s.i - 1
        increment = self.base.increment(s, y, i, end)
        scale = s.alpha(end) / s.alpha(i) if self.prediction == "eps" else s.sigma(end) / s.sigma(i)
        s.assign(z, scale * c * (z - y) + y + increment, at=end)
        s.assign(y, z + scale * (y - z - self.base.increment(s, z, end, i)), at=end)
