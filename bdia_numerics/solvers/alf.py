"""The asynchronous leapfrog method, exactly invertible by a velocity that it keeps, and its triple and fivefold jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

from bdia_numerics.program import Recorder, checked
from bdia_numerics.solvers.variables import PREDICTIONS, chosen, moved, slope
from bdia_numerics.texts import shown

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class ALF:
    """Asynchronous leapfrog in (z/alpha, sigma/alpha).

    With m half-way between t_i and t_{i-1} in sigma/alpha:
    z_m = z_i + Delta(t_i -> t_m) with v_i for eps;      v_{i-1} = 2 eps(z_m, t_m) - v_i
    z_{i-1} = z_m + Delta(t_m -> t_{i-1}) with v_{i-1} for eps

    State     (v_i, z_i), each of shape (*batch, *data); v starts as eps(z_N, t_N), in the angle as v(z_N, t_N)
    Order     2
    NFE       1 per step, both ways, and 1 for the start
    Requires  nothing to invert; a grid with a schedule
    Source    Mutze, arXiv:1311.6602; as MALI, Zhuang, Dvornek, Tatikonda, Duncan, ICLR 2021
    Options   `variable`: "sigma_bar", or "angle", where z itself moves along v, on variance-preserving schedules alone

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
    >>> from bdia_numerics import ALF, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(ALF(), law, grid, start='own').error:.1e}"
    '4.9e-06'
    """

    variable: str = "sigma_bar"
    registers = ("v", "z")

    def __post_init__(self) -> None:
        chosen(self.variable)

    @property
    def evaluations(self) -> dict[str, str]:
        """What v holds."""
        return {"v": PREDICTIONS[self.variable]}

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        self.through(s, s.i, [s.between(s.i, s.i - 1, HALF, self.variable)])

    def through(self, s: Recorder, begin: Any, middles: Sequence[Any]) -> None:
        """Record the way from a time through the middles of steps, at each of which v is reflected, to t_{i-1}."""
        v, z = s.registers
        end = s.i - 1
        if not middles:
            s.assign(z, moved(s, self.variable, z, begin, end, v), at=end)
            return
        s.assign(z, moved(s, self.variable, z, begin, middles[0], v), at=middles[0])
        s.assign(v, 2 * slope(s, self.variable, z, s.eps(z)) - v, at=end)
        self.through(s, middles[0], middles[1:])


@dataclass(frozen=True)
class Composed:
    """Steps of ALF ahead and back within a slot, which cancel its leading error (exactly invertible).

    The slot is taken in steps of the parts w, 1 - 2 w, w of it, w = 1/(2 - 2^(1/3)) ("yoshida"), or of the parts
    w, w, 1 - 4 w, w, w, w = 1/(4 - 4^(1/3)) ("suzuki"); the model is evaluated at their middles, which lie within the slot

    State     (v_i, z_i), as of the base
    Order     4 on smooth grids, 2 where the step ratios are bounded
    NFE       3 ("yoshida") or 5 ("suzuki") per step, both ways, and 1 for the start
    Requires  nothing to invert; a grid with a schedule
    Source    Yoshida, Phys. Lett. A 150 (1990) 262; Suzuki, Phys. Lett. A 146 (1990) 319

    Parameters
    ----------
    base
        The symmetric method that is composed, an `ALF`.
    scheme
        "yoshida" or "suzuki".

    Raises
    ------
    TypeError
        For a base without steps within a slot.
    ValueError
        For another `scheme`.

    Examples
    --------
    >>> from bdia_numerics import Composed, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(Composed(), law, grid, start='own').error:.1e}"
    '2.8e-06'
    """

    base: ALF = field(default_factory=ALF)
    scheme: str = "yoshida"
    registers = ("v", "z")

    def __post_init__(self) -> None:
        checked(self, scheme=("yoshida", "suzuki"))
        if isinstance(self.base, type) or not callable(getattr(self.base, "through", None)):
            raise TypeError(f"base={shown(self.base)} has no steps within a slot: use ALF()")

    @property
    def evaluations(self) -> dict[str, str]:
        """What v holds."""
        return self.base.evaluations

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        outer = 2 if self.scheme == "yoshida" else 4
        root = s.root(outer, 3)
        w = (outer**2 + outer * root + root * root) / (outer**3 - outer)  # 1/(outer - root), as root^3 = outer
        parts = (w / 2, s.one / 2, 1 - w / 2) if outer == 2 else (w / 2, 3 * w / 2, s.one / 2, 1 - 3 * w / 2, 1 - w / 2)
        self.base.through(s, s.i, list(map(partial(self._time, s), parts)))

    def _time(self, s: Recorder, part: Any) -> Any:
        return s.between(s.i, s.i - 1, part, self.base.variable)
