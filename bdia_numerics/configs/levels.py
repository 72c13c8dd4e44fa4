"""The levels of a walk as a schedule whose time is sigma/alpha."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bdia_numerics import grids
from bdia_numerics.schedules.base import Derived, sigma_bar_of
from bdia_numerics.spaces import Scalar, Space


@dataclass(frozen=True)
class RatioLevels(Derived):
    """alpha and sigma as functions of s = sigma/alpha: the schedule on which runs of a layout are compared.

    `kind` is "vp" (alpha^2 + sigma^2 = 1), "one" (alpha = 1) or "flow" (alpha + sigma = 1).
    """

    kind: str
    t_min = Fraction(0)
    t_max = Fraction(10**8)
    domain = (t_min, None)

    @property
    def variance_preserving(self) -> bool:  # type: ignore[override]
        """Whether alpha^2 + sigma^2 = 1."""
        return self.kind == "vp"

    def alpha(self, s: Any) -> Any:
        """Return alpha; s may be infinite, except for "one"."""
        return grids.levels_of(self.kind, s)[0]

    def sigma(self, s: Any) -> Any:
        """Return sigma; s may be infinite."""
        return grids.levels_of(self.kind, s)[1]

    def alpha_dot(self, s: Any) -> Any:
        """Return d alpha/ds."""
        alpha, sigma = grids.levels_of(self.kind, s)
        return {"one": 0 * alpha, "flow": -(alpha**2), "vp": -sigma * alpha**2}[self.kind]

    def sigma_dot(self, s: Any) -> Any:
        """Return d sigma/ds."""
        return grids.levels_of(self.kind, s)[0] ** {"one": 0, "flow": 2, "vp": 3}[self.kind]

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        return sigma_bar_of(space, variable, value)
