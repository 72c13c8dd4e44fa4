"""EES: explicit Runge-Kutta methods whose step back nearly undoes the step."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bdia_numerics.program import Form, Linear, Parameter, Recorder
from bdia_numerics.solvers.runge_kutta import OneStep
from bdia_numerics.texts import shown

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class EES(OneStep):
    """EES(2, 5; x) in (z/alpha, sigma/alpha): order 2, explicit and effectively symmetric to order 5.

    With slopes e_1 at 0, e_2 at c_2 = (1+2x)/(4(1-x)) and e_3 at c_3 = 3/(4(1-x)) of the step:
    u_2 = c_2 e_1,      u_3 = (c_3 - a) e_1 + a e_2 with a = (1-x)/(1-4x^2),      y_{i-1} = y_i + h (x e_1 + e_2/2 + (1/2-x) e_3)

    State     z_i, of shape (*batch, *data)
    Order     2
    NFE       3 per step
    Requires  an approximate inversion, of order 5: its steps back undo its steps up to O(h^6) each; x not 1 or +-1/2; a grid
              with a schedule
    Source    Shmelev, Ebrahimi-Fard, Tapia, Salvi, arXiv:2507.21006; both orders are derived here from the program, for every x.
              With x = 1/10 the term of y''' in the error vanishes

    Parameters
    ----------
    x
        The parameter of the family: a number, a symbol, or a function of the slot.

    Raises
    ------
    ValueError
        For x = 1, 1/2 or -1/2, where a slope or its weight has no value.

    Examples
    --------
    >>> from bdia_numerics import EES, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(EES(), law, grid, start='own').error:.1e}"
    '2.1e-04'
    """

    x: Parameter = Fraction(1, 10)

    def __post_init__(self) -> None:
        if self.x in (1, HALF, -HALF):
            raise ValueError(
                f"x={shown(self.x)} has no method in this family: pass a number that is not 1, 1/2 or -1/2"
            )

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return the increment with three slopes."""
        p = s.value(self.x)
        c2, c3, a = (1 + 2 * p) / (4 * (1 - p)), 3 / (4 * (1 - p)), (1 - p) / (1 - 4 * p * p)
        second, third = s.between(i, j, c2), s.between(i, j, c3)
        e1 = s.eps(x, at=i)
        e2 = s.eps(x + s.delta(i, second, x, e1), at=second)
        e3 = s.eps(x + s.delta(i, third, x, ((c3 - a) * e1 + a * e2) / c3), at=third)
        return s.delta(i, j, x, p * e1 + e2 / 2 + (s.one / 2 - p) * e3)
