"""BDIA-DDIM, the two-step exactly invertible solver of the paper."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Parameter, Recorder, checked


@dataclass(frozen=True)
class BDIA:
    """BDIA-DDIM: bi-directional integration approximation (two-step, exactly invertible).

    z_{i-1} = z_{i+1} - (1-g)(z_{i+1} - z_i) - g Delta(t_i -> t_{i+1} | z_i) + Delta(t_i -> t_{i-1} | z_i)

    State     (z_{i+1}, z_i), each of shape (*batch, *data); the start is a DDIM step, eq. (25)
    Order     2 for gamma = 1 on smooth grids, else 1 with (1-gamma)/(1+gamma) of DDIM's error constant
    NFE       1 per step, both ways (the start is the first of N; the inverse of N slots takes N - 1)
    Requires  gamma != 0 to invert; a constant gamma in [0, 1] unless allow_any
    Source    paper, eq. (25)-(28), inverse (33)

    Parameters
    ----------
    gamma
        Weight of the step back, in [0, 1]: a number, a symbol, or a function of the slot.
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
    >>> from bdia_numerics import BDIA, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(BDIA(), law, grid, start='own').error:.1e}"
    '2.5e-03'
    """

    gamma: Parameter = 1
    allow_any: bool = False
    registers = ("z_prev", "z")

    def __post_init__(self) -> None:
        checked(self, "gamma")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (27)."""
        z_prev, z = s.registers
        g, e = s.value(self.gamma), s.eps(z)
        backward, forward = s.delta(s.i, s.i + 1, z, e), s.delta(s.i, s.i - 1, z, e)
        s.assign(z_prev, z_prev - (1 - g) * (z_prev - z) - g * backward + forward, at=s.i - 1)
        s.swap(z_prev, z)
