"""EDICT, exact inversion by two coupled states."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bdia_numerics.program import Parameter, Recorder, checked


@dataclass(frozen=True)
class EDICT:
    """EDICT: two DDIM states that read eps off each other, then are mixed (coupled, exactly invertible).

    z_inter = a_i z_i + b_i eps(y_i, i);        y_inter = a_i y_i + b_i eps(z_inter, i)
    z_{i-1} = p z_inter + (1-p) y_inter;        y_{i-1} = p y_inter + (1-p) z_{i-1}

    State     (z_i, y_i), each of shape (*batch, *data); both start as z_N; the solution is z
    Order     1
    NFE       2 per step, both ways
    Requires  p != 0 to invert; a constant p in [0, 1] unless allow_any
    Source    paper, eq. (11)-(14), inverse (15)-(18); Wallace, Gokul, Naik, CVPR 2023
    Same as   Rex with coupling 1 over Euler, for p = 1 and `shifted`
    Options   `shifted`: the second evaluation is told t_{i-1}, where z_inter stands, instead of t_i;
              `exchange`: in steps with odd i, y takes the first half step; the mixing stays as it is. (The authors'
              program alternates so, counted from the first step, and its paper does not say it)

    Parameters
    ----------
    p
        Weight of the mixing, in [0, 1]: a number, a symbol, or a function of the slot.
    shifted
        Whether the second evaluation is told t_{i-1}.
    exchange
        Whether y takes the first half step where i is odd.
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
    >>> from bdia_numerics import EDICT, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(EDICT(), law, grid, start='own').error:.1e}"
    '2.8e-02'
    """

    p: Parameter = Fraction(93, 100)
    shifted: bool = False
    exchange: bool = False
    allow_any: bool = False
    registers = ("z", "y")

    def __post_init__(self) -> None:
        checked(self, "p", shifted=(False, True), exchange=(False, True))

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}, eq. (11)-(14)."""
        z, y = s.registers
        p, end = s.value(self.p), s.i - 1
        first, second = (y, z) if self.exchange and s.slot.i % 2 else (z, y)
        s.assign(first, first + s.delta(s.i, end, first, s.eps(second)), at=end)
        s.assign(second, second + s.delta(s.i, end, second, s.eps(first, at=end if self.shifted else s.i)), at=end)
        s.assign(z, p * z + (1 - p) * y)
        s.assign(y, p * y + (1 - p) * z)
