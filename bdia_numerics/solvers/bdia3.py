"""BDIA of third order: three earlier slots, each integrated again with an interpolated noise prediction."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Form, Linear, Parameter, Recorder, checked
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.history import start_of
from bdia_numerics.solvers.interpolation import Formula, increment, known
from bdia_numerics.solvers.runge_kutta import RK4


@dataclass(frozen=True)
class BDIA3:
    """Third-order BDIA over four slots (exactly invertible), the continuation of eq. (29).

    z_{i-1} = z_{i+3} + sum over k = 1..3 of [-(1-g_k)(z_{i+k} - z_{i+k-1}) - g_k Delta(t_{i+k-1} -> t_{i+k} | z_i, z_{i+1}, z_{i+2})]
                      + Delta(t_i -> t_{i-1} | z_i, z_{i+1}, z_{i+2})

    State     (z_{i+3}, ..., z_i), each of shape (*batch, *data); the start is three steps of Heun's method, of RK4 where the
              order is 4
    Order     3, where the step ratios are bounded and z^3 + g1 z^2 + g2 z + g3 has its roots in the unit disc, those on the
              circle simple: so for 1 >= g1 >= g2 >= g3 >= 0, but not in all of [0, 1]^3; 4 on smooth grids for g1 = g2, g3 = 1
    NFE       1 per step, both ways; the start takes 6, or 12 where it is RK4
    Requires  gamma3 != 0 to invert; constants in [0, 1] unless allow_any; alpha != 0
    Source    announced in the paper's remark 1, without a formula; eps is quadratic in `variable`
    Options   `variable`: as of BDIA2

    Parameters
    ----------
    gamma1, gamma2, gamma3
        Weight in [0, 1]: a number, a symbol, or a function of the slot.
    variable
        "sigma_bar", "log_snr", or a formula: in what eps is interpolated.
    allow_any
        Whether constants outside [0, 1] are taken.

    Raises
    ------
    TypeError
        For a weight that is not a number, a symbol or a function.
    ValueError
        For a constant outside [0, 1] unless `allow_any`, and for another `variable`.

    Examples
    --------
    >>> from bdia_numerics import BDIA3, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIA3(), law, grid, start='own').error:.1e}"
    '1.6e-05'
    """

    gamma1: Parameter = 1
    gamma2: Parameter = 1
    gamma3: Parameter = 1
    variable: str | Formula = "sigma_bar"
    allow_any: bool = False
    registers = ("z_3", "z_2", "z_1", "z")

    @property
    def starter(self) -> Heun | RK4:
        """A start of the order that the parameters give."""
        return start_of(4 if self.gamma1 == self.gamma2 and self.gamma3 == 1 else 3)

    def __post_init__(self) -> None:
        checked(self, "gamma1", "gamma2", "gamma3")
        known(self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z_3, z_2, z_1, z = s.registers
        i, m = s.i, (s.eps(z), s.eps(z_1), s.eps(z_2))

        def again(gamma: Parameter, k: int, newer: Linear, older: Linear) -> Form:
            g, past = s.value(gamma), increment(s, self.variable, i + k - 1, i + k, newer, (i, i + 1, i + 2), m)
            return -(1 - g) * (older - newer) - g * past

        slots = again(self.gamma1, 1, z, z_1) + again(self.gamma2, 2, z_1, z_2) + again(self.gamma3, 3, z_2, z_3)
        forward = increment(s, self.variable, i, i - 1, z, (i, i + 1, i + 2), m)
        s.assign(z_3, z_3 + slots + forward, at=i - 1)
        s.swap(z_3, z_2)
        s.swap(z_2, z_1)
        s.swap(z_1, z)
