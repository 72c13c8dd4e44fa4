"""What the constructors of grids share: the checks of their arguments."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids.grid import Grid, Recipe, columns, exact
from bdia_numerics.schedules import Schedule

Time = Any


def build(recipe: Recipe, space: Any, schedule: Schedule | None) -> Grid:
    """Return the grid of a recipe in a number system."""
    target = spaces.named(space)
    whole = columns(target, recipe)
    return Grid(whole, target, schedule, recipe, range(len(whole[0])))


def slots_of(n: Any, least: int = 1) -> int:
    """Return a number of slots; TypeError or ValueError unless it is an int of at least `least`."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"n={n!r} is not a number of slots: pass an int")
    if n < least:
        raise ValueError(f"n={n}: a grid needs at least {least} slot{'s' if least > 1 else ''}")
    return int(n)


def inside(schedule: Schedule, name: str, t: Fraction) -> Fraction:
    """Return a time; ValueError outside the schedule's domain."""
    low, high = schedule.domain
    if t < low or (high is not None and t > high):
        upper = "" if high is None else f" <= {float(high):g}"
        raise ValueError(f"{name}={float(t):g} is outside the schedule: need {float(low):g} <= t{upper}")
    return t


def ends_of(schedule: Schedule, t_max: Time | None, t_min: Time | None) -> tuple[Fraction, Fraction]:
    """Return t_max and t_min, the schedule's own by default; ValueError unless t_min < t_max inside its domain."""
    top = inside(schedule, "t_max", schedule.t_max if t_max is None else exact("t_max", t_max))
    bottom = inside(schedule, "t_min", schedule.t_min if t_min is None else exact("t_min", t_min))
    if not bottom < top:
        raise ValueError(f"t_min={float(bottom):g}, t_max={float(top):g}: need t_min < t_max")
    return top, bottom
