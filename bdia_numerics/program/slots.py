"""What a parameter that varies along the run is told about a slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bdia_numerics.grids import Levels
from bdia_numerics.spaces import Scalar


@dataclass(frozen=True)
class Slot:
    """The slot from t_i to t_{i-1}; numbers are in the grid's own system."""

    grid: Levels
    index: Any

    @property
    def i(self) -> Any:
        """Index i on the whole grid, also in a run over a part of it."""
        return self.index + self.grid.offset

    @property
    def t(self) -> Scalar:
        """Time t_i."""
        return self.grid.level(self.index)[0]

    @property
    def alpha(self) -> Scalar:
        """alpha_i."""
        return self.grid.level(self.index)[1]

    @property
    def sigma(self) -> Scalar:
        """sigma_i."""
        return self.grid.level(self.index)[2]

    @property
    def sigma_bar(self) -> Scalar:
        """sigma_i / alpha_i."""
        return self.sigma / self.alpha

    @property
    def h(self) -> Scalar:
        """Step sigma_bar_{i-1} - sigma_bar_i, negative in sampling."""
        return self.next.sigma_bar - self.sigma_bar

    @property
    def next(self) -> Slot:
        """The slot that starts at t_{i-1}."""
        return Slot(self.grid, self.index - 1)

    @property
    def previous(self) -> Slot:
        """The slot that starts at t_{i+1}; its step h ends at t_i."""
        return Slot(self.grid, self.index + 1)


Parameter = int | float | Fraction | Callable[[Slot], Any] | Any
"""A solver's parameter: a number, a symbol, or a function of the slot."""
