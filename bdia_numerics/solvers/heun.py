"""Heun's method, the sampler of EDM."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Form, Linear, Recorder
from bdia_numerics.solvers.variables import chosen, moved, slope


def heun(s: Recorder, variable: str, z: Linear, base: Linear) -> Form:
    """Return z_{i-1} by eq. (35)-(36), with slopes from z_i and `base` as the point that they are added to."""
    i, end = s.i, s.i - 1
    e = s.eps(z, at=i)
    first = slope(s, variable, z, e)
    euler = moved(s, variable, base, i, end, first)
    if s.is_zero(s.sigma(end)):
        return euler
    predicted = s.scratch(euler, at=end)
    second = slope(s, variable, predicted, s.eps(predicted))
    return moved(s, variable, base, i, end, (first + second) / 2)


@dataclass(frozen=True)
class Heun:
    """Heun's method (improved Euler), which EDM takes in (z/alpha, sigma/alpha).

    ~z_{i-1} = z_i + (t_{i-1} - t_i) d(z_i, t_i)
    z_{i-1}  = z_i + (t_{i-1} - t_i) (d(z_i, t_i) + d(~z_{i-1}, t_{i-1}))/2;      ~z_{i-1} itself where sigma_{i-1} = 0

    State     z_i, of shape (*batch, *data)
    Order     2; the last step is one of order 1 where sigma_0 = 0
    NFE       2 per step, 1 for a step to sigma = 0
    Requires  an approximate inversion: its step is not exactly invertible by its structure
    Source    paper, eq. (35)-(36); Karras, Aittala, Aila, Laine, NeurIPS 2022
    Options   `variable`: "sigma_bar", where d is eps and z is z/alpha, "t", where d is that of eq. (2) and alpha and
              sigma need finite derivatives, or "angle", where t is atan(sigma/alpha) and d is v, on variance-preserving
              schedules alone

    Parameters
    ----------
    variable
        "sigma_bar", "t" or "angle": what the slopes belong to.

    Raises
    ------
    ValueError
        For another `variable`.

    Examples
    --------
    >>> from bdia_numerics import Heun, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(Heun(), law, grid, start='own').error:.1e}"
    '2.6e-03'
    """

    variable: str = "sigma_bar"
    registers = ("z",)

    def __post_init__(self) -> None:
        chosen(self.variable, "t")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (35)-(36)."""
        (z,) = s.registers
        s.assign(z, heun(s, self.variable, z, z), at=s.i - 1)
