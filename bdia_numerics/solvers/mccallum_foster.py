"""The coupling of McCallum and Foster: any one-step method made exactly invertible; and Rex, which takes it on z/alpha, or on z/sigma."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from bdia_numerics.program import Parameter, Recorder, checked
from bdia_numerics.solvers.runge_kutta import Base, Euler
from bdia_numerics.texts import shown


@dataclass(frozen=True)
class McCallumFoster:
    """McCallum-Foster coupling of a one-step method (coupled, exactly invertible).

    With Psi(t_i -> t_j | x) the increment of the base:
    z_{i-1} = c z_i + (1-c) y_i + Psi(t_i -> t_{i-1} | y_i);      y_{i-1} = y_i - Psi(t_{i-1} -> t_i | z_{i-1})

    State     (z_i, y_i), each of shape (*batch, *data); both start as z_N; the solution is z
    Order     that of the base for c < 1; for c = 1 over Euler z is of order 1 and (z + y)/2 of order 2
    NFE       twice that of the base per step, both ways
    Requires  coupling != 0 to invert; a constant coupling in [0, 1] unless allow_any
    Source    McCallum, Foster, arXiv:2410.11648, Algorithm 1, where c is lambda; c = 1 over Euler is CBDIA (1, 0), eq. (58)-(59)

    Parameters
    ----------
    coupling
        Weight c in [0, 1]: a number, a symbol, or a function of the slot.
    base
        The one-step method that is coupled: Euler(), Midpoint(), RK4() or DPMSolver().
    allow_any
        Whether constants outside [0, 1] are taken.

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function, and for a base without an increment.
    ValueError
        For a constant outside [0, 1] unless `allow_any`.

    Examples
    --------
    >>> from bdia_numerics import McCallumFoster, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(McCallumFoster(), law, grid, start='own').error:.1e}"
    '3.0e-02'
    """

    coupling: Parameter = Fraction(999, 1000)
    base: Base = field(default_factory=Euler)
    allow_any: bool = False
    registers = ("z", "y")

    def __post_init__(self) -> None:
        checked(self, "coupling")
        if isinstance(self.base, type) or not callable(getattr(self.base, "increment", None)):
            raise TypeError(
                f"base={shown(self.base)} is not an instance with an increment: use Euler(), Midpoint(), RK4() or DPMSolver()"
            )

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, y = s.registers
        c, i, end = s.value(self.coupling), s.i, s.i - 1
        s.assign(z, c * z + (1 - c) * y + self.base.increment(s, y, i, end), at=end)
        s.assign(y, y - self.base.increment(s, z, end, i), at=end)


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
