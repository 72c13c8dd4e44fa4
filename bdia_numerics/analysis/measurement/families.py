"""Families of grids, one for each number of steps: on what an order is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

from bdia_numerics import schedules
from bdia_numerics.grids import Grid, alternating, random
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces import FLOAT64

KINDS = ("smooth", "alternating", "random")


@dataclass(frozen=True)
class GridFamily:
    """Grids of one kind over one span, for every number of steps.

    Attributes
    ----------
    kind : {"smooth", "alternating", "random"}
        Equal steps of `variable`; steps that alternate h, ratio h; independent steps, uniform between h and ratio h.
    schedule
        Gives alpha and sigma.
    t_max, t_min
        The span; decimals mean what they print as.
    variable : {"asinh", "sigma_bar", "log_snr", "t"}
        What the steps are of, see `grids.alternating`.
    ratio
        Of the steps of the kinds that are not smooth.

    Raises
    ------
    ValueError
        For another kind.
    """

    kind: str = "smooth"
    schedule: Schedule = field(default_factory=schedules.vp_linear)
    t_max: Any = Fraction(6, 10)
    t_min: Any = Fraction(1, 10)
    variable: str = "asinh"
    ratio: Any = 2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} is unknown: use {', '.join(map(repr, KINDS))}")

    @property
    def label(self) -> str:
        """The kind with its variable, in words."""
        return f"{self.kind} in {self.variable}"

    def __call__(self, n: int, *, seed: int = 0, space: Any = FLOAT64) -> Grid:
        """Return the grid of n slots; `seed` concerns random ones alone."""
        make: Callable[..., Grid] = partial(random, seed=seed) if self.kind == "random" else alternating
        ratio = 1 if self.kind == "smooth" else self.ratio
        return make(
            self.schedule,
            n,
            ratio=ratio,
            variable=self.variable,
            t_max=self.t_max,
            t_min=self.t_min,
            space=space,
        )
