"""BELM: bidirectional explicit linear multistep solvers of two steps, and the most accurate of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bdia_numerics.program import Parameter, Recorder
from bdia_numerics.solvers.variables import chosen, position, scale, slope


def two_steps(s: Recorder, variable: str, a: Any) -> None:
    """Record y_{i-1} = a y_{i+1} + (1-a) y_i + (a h_{i+1} + h_i) times the slope, with y = z/alpha in sigma_bar, z in the angle."""
    z_prev, z = s.registers
    end = s.i - 1
    h, h_prev = steps(s, variable)
    y = a * z_prev / scale(s, variable, s.i + 1) + (1 - a) * z / scale(s, variable, s.i)
    y += (a * h_prev + h) * slope(s, variable, z, s.eps(z))
    s.assign(z_prev, scale(s, variable, end) * y, at=end)
    s.swap(z_prev, z)


def steps(s: Recorder, variable: str) -> tuple[Any, Any]:
    """Return the step to t_{i-1} and the one before it."""
    here = position(s, variable, s.i)
    return position(s, variable, s.i - 1) - here, here - position(s, variable, s.i + 1)


@dataclass(frozen=True)
class BELM:
    """BELM of two steps: all of them that are consistent, one for each weight a of the older state.

    y_{i-1} = a y_{i+1} + (1-a) y_i + (a h_{i+1} + h_i) eps_i;    y = z/alpha, h_i = s_{i-1} - s_i, s = sigma/alpha

    State     (z_{i+1}, z_i), each of shape (*batch, *data); the start is a DDIM step
    Order     1; 2 where a = h_i^2/h_{i+1}^2, or, as a = 1, on grids smooth in sigma/alpha
    NFE       1 per step, both ways
    Requires  a != 0 to invert; alpha != 0. Zero-stable for a in (-1, 1]
    Source    Wang, Yin, Dong, Zhu, Zhang, Zhao, Qian, Li, NeurIPS 2024, the 2-step case of their linear multistep form
    Same as   BDIA with gamma_i = a alpha_{i-1}/alpha_{i+1}
    Options   `variable`: "sigma_bar", or "angle": y is z, s is atan(sigma/alpha), eps is v, on variance-preserving schedules

    Parameters
    ----------
    a
        Weight of the older state: a number, a symbol, or a function of the slot.
    variable
        "sigma_bar", or "angle" on variance-preserving schedules.

    Raises
    ------
    ValueError
        For another `variable`.

    Examples
    --------
    >>> from bdia_numerics import BELM, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BELM(), law, grid, start='own').error:.1e}"
    '1.9e-05'
    """

    a: Parameter = 1
    variable: str = "sigma_bar"
    registers = ("z_prev", "z")

    def __post_init__(self) -> None:
        chosen(self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        two_steps(s, self.variable, s.value(self.a))


@dataclass(frozen=True)
class OBELM:
    """O-BELM: the 2-step BELM with the smallest truncation error, a = h_i^2/h_{i+1}^2.

    y_{i-1} = y_i + (h_i^2/h_{i+1}^2)(y_{i+1} - y_i + h_{i+1} eps_i) + h_i eps_i

    State     (z_{i+1}, z_i), each of shape (*batch, *data); the start is a DDIM step
    Order     2 on smooth grids; with a start of order 2 also where the step ratios are bounded but not smooth
    NFE       1 per step, both ways
    Requires  alpha_{i+1} != 0 to invert
    Source    Wang et al., NeurIPS 2024, O-BELM; h_i has the other sign there
    Same as   BDIA with gamma_i = alpha_{i-1} h_i^2/(alpha_{i+1} h_{i+1}^2)
    Options   `variable`: as of BELM

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
    >>> from bdia_numerics import OBELM, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(OBELM(), law, grid, start='own').error:.1e}"
    '2.5e-03'
    """

    variable: str = "sigma_bar"
    registers = ("z_prev", "z")

    def __post_init__(self) -> None:
        chosen(self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}; with alpha_{i+1} = 0, where h_{i+1} is infinite, a DDIM step."""
        z_prev, z = s.registers
        if self.variable == "sigma_bar" and s.is_zero(s.alpha(s.i + 1)):
            s.assign(z_prev, z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
            s.swap(z_prev, z)
            return
        h, h_prev = steps(s, self.variable)
        two_steps(s, self.variable, (h / h_prev) ** 2)
