"""A table of noise levels: times of one's own on it, levels at its entries and between them, and the grid of some of its times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from bdia_numerics import grids
from bdia_numerics.grids import Grid, Point
from bdia_numerics.schedules import Schedule
from bdia_numerics.texts import shown


def table_grid(schedule: Schedule, table: torch.Tensor, times: list[float], *, clean: bool) -> Grid:
    """Return the grid of falling times on a table, which ends at clean data or at t = 0."""
    if all(float(t).is_integer() for t in times):
        ends: Any = (times, 1) if clean else ([*times, 0], None)
        return grids.from_timesteps(schedule, *ends)
    points = [*(level(table, t) for t in times), Point(-1.0, 1.0, 0.0) if clean else level(table, 0)]
    return grids.from_values(*zip(*(p[:3] for p in points), strict=True), schedule=schedule)


def level(table: torch.Tensor, t: float, square: torch.Tensor | None = None) -> Point:
    """Return the level of a time; `square` is alpha^2 where the table has none. ValueError for a time outside of it.

    Between two training steps sigma/alpha is linear, as for the schedulers of diffusers that tell such times.
    """
    if t > len(table) - 1 or (square is None and t < -1):
        raise ValueError(f"timestep={t:g} is not a training step: they are 0 to {len(table) - 1}")
    if square is None and t != int(t):
        low, high = (level(table, k) for k in (math.floor(t), math.ceil(t)))
        part = t - math.floor(t)
        s = (1 - part) * low.sigma / low.alpha + part * high.sigma / high.alpha
        return Point(float(t), *map(float, grids.levels_of("vp", s)))
    # Trailing spacing makes a time -1 for some numbers of steps, at which DDIMScheduler reads the last entry of the table.
    known = float(table[int(t)] if square is None else square)
    return Point(float(t), known**0.5, (1 - known) ** 0.5)


def whole_number(timestep: float) -> int:
    """Return the training step that a timestep is; ValueError for one between two."""
    t = float(timestep)
    if not t.is_integer():
        raise ValueError(f"timestep={t:g} is not a training step: pass a whole number, such as round(t)")
    return int(t)


def floats(name: str, given: Sequence[float]) -> list[float]:
    """Return a user's list as floats; TypeError for what is not a list of numbers."""
    try:
        return [float(x) for x in given]
    except (TypeError, ValueError):
        raise TypeError(f"{name}={shown(given)} is not a list of numbers: pass one number for each step") from None


def listed(
    given: Sequence[float], number: int | None, length: int, end: int, *, fractional: bool = False
) -> list[float]:
    """Return a user's list of times; ValueError unless they fall from below `length`, and one is not before `end`.

    They are training steps, unless the class takes fractions of them.
    """
    numbers = floats("timesteps", given)
    fractions = [t for t in numbers if not t.is_integer()]
    if fractions and not fractional:
        raise ValueError(
            f"timesteps has {fractions[0]:g}, which is not a training step: pass whole numbers, such as round(t)"
        )
    times = [t if t in fractions else int(t) for t in numbers]
    if not times or times[-1] < 0 or any(a <= b for a, b in pairwise(times)):
        raise ValueError(f"timesteps={times} must fall strictly, to 0 at the least: sort them, noise end first")
    if times[0] >= length:
        raise ValueError(f"timesteps begins with {times[0]}, after the last training step: leave it out")
    if times[0] < end:
        raise ValueError(
            f"timesteps={times} has no slot, since set_alpha_to_one=False ends at t = 0: add a time before it"
        )
    if number not in (None, len(times)):
        raise ValueError(f"num_inference_steps={number}, but timesteps has {len(times)}: leave num_inference_steps out")
    return times
