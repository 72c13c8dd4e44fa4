"""Explicit Runge-Kutta methods in (z/alpha, sigma/alpha), as solvers and as bases of others."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from bdia_numerics.program import Form, Linear, Recorder, checked
from bdia_numerics.solvers.variables import chosen, moved, slope

HALF = Fraction(1, 2)


class Base(Protocol):
    """A one-step method as a function: what it adds to a value, in either direction."""

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return what a step from t_i to t_j adds to the value `x` at t_i."""


class OneStep:
    """A solver whose step adds its increment."""

    registers = ("z",)

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return what a step from t_i to t_j adds to the value `x` at t_i."""
        raise NotImplementedError

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        (z,) = s.registers
        s.assign(z, z + self.increment(s, z, s.i, s.i - 1), at=s.i - 1)


@dataclass(frozen=True)
class Euler(OneStep):
    """The explicit Euler method in (z/alpha, sigma/alpha), which is DDIM, as a base of other methods.

    State     z_i, of shape (*batch, *data)
    Order     1
    NFE       1 per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure
    Source    paper, eq. (6)-(8), (21)

    Examples
    --------
    >>> from bdia_numerics import Euler, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(Euler(), law, grid, start='own').error:.1e}"
    '2.0e-02'
    """

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return Delta(t_i -> t_j | x), eq. (21) and (23)."""
        return s.delta(i, j, x, s.eps(x, at=i))


@dataclass(frozen=True)
class Midpoint(OneStep):
    """The explicit midpoint rule in (z/alpha, sigma/alpha).

    State     z_i, of shape (*batch, *data)
    Order     2
    NFE       2 per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure; a grid with a schedule
    Source    Runge, Math. Ann. 1895, in the variables of eq. (34)

    Examples
    --------
    >>> from bdia_numerics import Midpoint, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(Midpoint(), law, grid, start='own').error:.1e}"
    '7.4e-05'
    """

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return the increment with the slope half-way in sigma/alpha."""
        middle = s.between(i, j, HALF)
        return s.delta(i, j, x, s.eps(x + s.delta(i, middle, x, s.eps(x, at=i)), at=middle))


@dataclass(frozen=True)
class RK4(OneStep):
    """The classical Runge-Kutta method in (z/alpha, sigma/alpha).

    State     z_i, of shape (*batch, *data)
    Order     4 with the middle in sigma/alpha; 2 with it in t
    NFE       4 per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure; a grid with a schedule
    Source    Kutta, Z. Math. Phys. 1901, in the variables of eq. (34); Liu, Ren, Lin, Zhao, ICLR 2022, eq. (13), for "t"
    Options   `middle`: where the second and third slope are taken, half-way in "sigma_bar" or in "t", the pseudo Runge-Kutta
              step of PNDM, whose first three it makes: PLMS(4) with start=RK4("t"). `variable`: as of Heun, with its middle

    Parameters
    ----------
    middle
        Where the middle slopes are taken: "sigma_bar" or "t".
    variable
        "sigma_bar", "t" or "angle": what the slopes belong to.

    Raises
    ------
    ValueError
        For another `middle` or `variable`.

    Examples
    --------
    >>> from bdia_numerics import RK4, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(RK4(), law, grid, start='own').error:.1e}"
    '3.4e-06'
    """

    middle: str = "sigma_bar"
    variable: str = "sigma_bar"

    def __post_init__(self) -> None:
        checked(self, middle=("sigma_bar", "t"))
        chosen(self.variable, "t")

    def increment(self, s: Recorder, x: Linear, i: Any, j: Any) -> Form:
        """Return the increment with slopes at both ends and two half-way."""
        variable = self.variable
        middle = s.between(i, j, HALF, self.middle if variable == "sigma_bar" else variable)

        def there(time: Any, d: Linear) -> Linear:
            stage = s.scratch(moved(s, variable, x, i, time, d), at=time)
            return slope(s, variable, stage, s.eps(stage))

        d2 = there(middle, d1 := slope(s, variable, x, s.eps(x, at=i)))
        return moved(s, variable, x, i, j, (d1 + 2 * d2 + 2 * (d3 := there(middle, d2)) + there(j, d3)) / 6) - x
