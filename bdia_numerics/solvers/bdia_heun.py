"""BDIA-EDM: Heun's method from a refined base point."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Form, Linear, Parameter, Recorder, checked
from bdia_numerics.solvers.heun import Heun, heun
from bdia_numerics.solvers.variables import chosen, moved, slope


@dataclass(frozen=True)
class BDIAHeun:
    """BDIA-EDM: Heun's method whose base point is refined by the slope of the present state.

    ^z_i    = (1-g) z_i + g (z_{i+1} + (t_i - t_{i+1}) (d_{i+1} + d_i)/2),     d_i = d(z_i, t_i)
    z_{i-1} = ^z_i + (t_{i-1} - t_i) (d_i + d(~z_{i-1}, t_{i-1}))/2,           ~z_{i-1} = ^z_i + (t_{i-1} - t_i) d_i;
              ~z_{i-1} itself where sigma_{i-1} = 0, which Alg. 1 forgets

    State     (z_{i+1}, z_i), with base "z_hat" (z_{i+1}, z_i, ^z_{i+1}), each of shape (*batch, *data); the start is a
              step of Heun's method
    Order     2 for every gamma
    NFE       2 per step, 1 for a step to sigma = 0
    Requires  an approximate inversion: its step is not exactly invertible by its structure; a constant gamma in [0, 1]
              unless allow_any
    Source    paper, eq. (37) and Alg. 1
    Options   `variable`: as of Heun; `base`: "z" for z_{i+1} in (37) as printed, "z_hat" for the refined state from
              which the step to z_i began

    Parameters
    ----------
    gamma
        Weight of the step back, in [0, 1]: a number, a symbol, or a function of the slot.
    base
        "z" or "z_hat": from where the step back goes.
    variable
        "sigma_bar", "t" or "angle": what the slopes belong to.
    allow_any
        Whether constants outside [0, 1] are taken.

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function.
    ValueError
        For a constant outside [0, 1] unless `allow_any`, and for another `variable` or `base`.

    Examples
    --------
    >>> from bdia_numerics import BDIAHeun, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIAHeun(), law, grid, start='own').error:.1e}"
    '2.0e-03'
    """

    gamma: Parameter = 1
    base: str = "z"
    variable: str = "sigma_bar"
    allow_any: bool = False

    def __post_init__(self) -> None:
        checked(self, "gamma", base=("z", "z_hat"))
        chosen(self.variable, "t")

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of the registers."""
        return ("z_prev", "z") if self.base == "z" else ("z_prev", "z", "z_hat")

    @property
    def starter(self) -> Heun:
        """What makes z_{N-1}: Alg. 1 without line 6."""
        return Heun(self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, Alg. 1 with the else that its line 14 lacks."""
        z_prev, z, *hat = s.registers
        refined = self._refined(s, hat[0] if hat else z_prev)
        if hat:
            s.assign(hat[0], refined, at=s.i)
            refined = hat[0].form()
        s.assign(z_prev, heun(s, self.variable, z, refined), at=s.i - 1)
        s.swap(z_prev, z)

    def _refined(self, s: Recorder, base: Linear) -> Form:
        """Return ^z_i, eq. (37)."""
        z_prev, z = s.registers[:2]
        g = s.value(self.gamma)
        average = (slope(s, self.variable, z_prev, s.eps(z_prev)) + slope(s, self.variable, z, s.eps(z))) / 2
        return moved(s, self.variable, base, s.i + 1, s.i, average) * g + z * (1 - g)
