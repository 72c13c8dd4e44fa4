"""BDIA of second order: two earlier slots, each integrated again with an interpolated noise prediction."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Form, Linear, Parameter, Recorder, checked
from bdia_numerics.solvers.interpolation import Formula, increment, known


@dataclass(frozen=True)
class BDIA2:
    """Second-order BDIA over three slots (exactly invertible).

    z_{i-1} = z_{i+2} + [-(1-g2)(z_{i+2} - z_{i+1}) - g2 Delta(t_{i+1} -> t_{i+2} | z_i, z_{i+1})]
                      + [-(1-g1)(z_{i+1} - z_i) - g1 Delta(t_i -> t_{i+1} | z_i, z_{i+1})] + Delta(t_i -> t_{i-1} | z_i, z_{i+1})

    State     (z_{i+2}, z_{i+1}, z_i), each of shape (*batch, *data); the start is two steps of DDIM
    Order     2, where the step ratios are bounded
    NFE       1 per step, both ways
    Requires  gamma2 != 0 to invert; constants in [0, 1] unless allow_any; alpha != 0
    Source    paper, eq. (29); its increments are left open there: here eps is linear in `variable`, "sigma_bar" (sigma/alpha)
              or "log_snr", and integrated exactly
    Options   `variable`: as above, or a formula (s, start, end, z, times, evaluations) -> increment of another integration,
              remark 1

    Parameters
    ----------
    gamma1, gamma2
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
    >>> from bdia_numerics import BDIA2, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIA2(), law, grid, start='own').error:.1e}"
    '3.9e-03'
    """

    gamma1: Parameter = 1
    gamma2: Parameter = 1
    variable: str | Formula = "sigma_bar"
    allow_any: bool = False
    registers = ("z_2", "z_1", "z")

    def __post_init__(self) -> None:
        checked(self, "gamma1", "gamma2")
        known(self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (29)."""
        z_2, z_1, z = s.registers
        g1, g2, i = s.value(self.gamma1), s.value(self.gamma2), s.i

        def delta(start: int, end: int, base: Linear) -> Form:
            return increment(s, self.variable, start, end, base, (i, i + 1), (s.eps(z), s.eps(z_1)))

        older = -(1 - g2) * (z_2 - z_1) - g2 * delta(i + 1, i + 2, z_1)
        newer = -(1 - g1) * (z_1 - z) - g1 * delta(i, i + 1, z)
        s.assign(z_2, z_2 + older + newer + delta(i, i - 1, z), at=i - 1)
        s.swap(z_2, z_1)
        s.swap(z_1, z)
