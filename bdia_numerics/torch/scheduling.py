"""Schedules and grids of networks, from what `configs` reads of their schedulers, and levels of a table, also between its entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from bdia_numerics import configs, grids, names, schedules
from bdia_numerics.grids import Grid, Point
from bdia_numerics.grids.live import INVERTED
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.base import decimal
from bdia_numerics.texts import refuse, shown


def schedule_of(config: configs.SchedulerConfig) -> Schedule:
    """Return the schedule of a configuration: exact where its betas follow a rule, (1, t) under preconditioning, (1-t, t) for flows.

    Raises
    ------
    ValueError
        For a class whose walk is not read, and a table of alpha^2 that does not fall strictly.
    """
    if not config.known:
        raise ValueError(f"the walk of {config.name[:80]} is not read: {config.family.why}")
    if config.preconditioned is not None or config.rule == "consistency":
        return schedules.edm()
    if config.flow:
        return schedules.flow()
    rule, plain = (
        str(config["beta_schedule"]),
        config["snr_shift_scale"] is None and not config["rescale_betas_zero_snr"],
    )
    if rule in ("linear", "scaled_linear") and config["trained_betas"] is None and plain:
        first, last = (decimal(config[key]) for key in ("beta_start", "beta_end"))
        return _tabled(rule, config["num_train_timesteps"], first, last)
    return of_table(config, configs.alphas_cumprod(config))


def of_table(config: configs.SchedulerConfig, table: Array) -> Schedule:
    """Return the schedule of a configuration's table of alpha^2, shape (T,), data end first; ValueError unless it falls strictly."""
    if not (falls := np.diff(table) < 0).all():
        k = int(np.argmin(falls)) + 1
        remedy = (
            "set rescale_betas_zero_snr to false, or lower beta_end"
            if config["rescale_betas_zero_snr"]
            else "change beta_start and beta_end, or trained_betas"
        )
        raise ValueError(
            f"alpha^2 of {config.name} must fall strictly, and is {table[k]:.3g} at training step {k} after {table[k - 1]:.3g}: {remedy}"
        )
    return _of_values(table.tobytes(), table.dtype)


@lru_cache(maxsize=8)
def _of_values(content: bytes, dtype: np.dtype[Any]) -> Schedule:
    """Return the schedule of a table's numbers, once: each new scheduler of a pipeline brings the same thousand."""
    return schedules.from_alphas_cumprod(np.frombuffer(content, dtype))


def falling(config: configs.SchedulerConfig, levels: Array) -> None:
    """Raise ValueError where sigma/alpha of a walk, noise end first, falls to `sigma_min` and rises to the table's lowest level."""
    if len(levels) > 2 and config["sigma_min"] is not None and levels[-1] > levels[-2] and levels[0] > levels[1]:
        raise ValueError(
            f"sigma_min={config['sigma_min']:g} lies below the table's lowest level, {levels[-1]:.4g}, at which the run ends: give that or "
            "more, or final_sigmas_type='zero'"
        )


@cache
def _tabled(rule: str, steps: int, first: Fraction, last: Fraction) -> Schedule:
    """Return the schedule of a rule, once: its table of 50 digits takes a while."""
    return schedules.Discrete(betas=(rule, steps, first, last))


def make_grid(
    schedule: Schedule,
    config: configs.SchedulerConfig | None,
    n: int,
    spacing: str | None = None,
    *,
    mu: float | None = None,
) -> Grid:
    """Return the grid of n slots that a configuration describes.

    Parameters
    ----------
    schedule
        Of the network.
    config
        Of its scheduler, if there is one.
    n
        Slots.
    spacing
        A grid of `names.GRIDS`: "leading", "linspace" or "trailing" instead of the configuration's, or another over the whole schedule.
    mu
        See `configs.layout`.

    Raises
    ------
    ValueError
        For an unknown spacing, and as `configs.layout`.
    """
    counted = config is not None and "timestep_spacing" in config.values
    if spacing is not None and not (counted and spacing in configs.SPACINGS):
        return names.grid(spacing)(schedule, n)
    if config is None:
        edm = isinstance(schedule, schedules.EDM)
        return grids.karras(schedule, n, t_min=0.002, append_zero=True) if edm else grids.uniform(schedule, n)
    chosen = config if spacing is None else config.changed(timestep_spacing=spacing)
    return _grid_of(schedule, chosen, configs.layout(chosen, n, mu=mu))


def _grid_of(schedule: Schedule, config: configs.SchedulerConfig, walk: configs.Walk) -> Grid:
    """Return the grid of a walk: on the schedule where its levels are the schedule's own at the times that are told."""
    if config["invert_sigmas"]:
        raise ValueError(f"invert_sigmas=True: {INVERTED}")
    # Trailing spacing counts one time too many for some n, and tells it as -1.
    steps = [step for step in walk.steps if step.t >= 0 or config.preconditioned is not None]
    levels = np.array([*(step.s for step in steps), walk.steps[-1].s_end])
    if config.preconditioned is not None or config.rule == "consistency":
        return grids.from_timesteps(schedule, levels.tolist())
    if config.flow:
        return grids.from_timesteps(schedule, walk.levels.sigma(levels).tolist())
    falling(config, levels)
    times = [step.t for step in steps]
    if len(set(times)) < len(times):
        raise ValueError(
            f"{len(set(times))} times are told for {len(times)} levels: no network can tell them apart, take fewer steps"
        )
    if all(t.is_integer() for t in times) and not config.kind:
        if levels[-1] == 0:
            return grids.from_timesteps(schedule, times, final_alpha=1)
        assert walk.table is not None
        end = int(np.argmin(np.abs(walk.table - 1 / (1 + levels[-1] ** 2))))
        return grids.from_timesteps(schedule, [*times, end])
    return grids.from_values([*times, times[-1] - 1], walk.levels.alpha(levels), walk.levels.sigma(levels))


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
    count = len(times)
    refuse(
        (times[0] >= length, f"timesteps begins with {times[0]}, after the last training step: leave it out"),
        (
            times[0] < end,
            f"timesteps={times} has no slot, since set_alpha_to_one=False ends at t = 0: add a time before it",
        ),
        (
            number not in (None, count),
            f"num_inference_steps={number}, but timesteps has {count}: leave num_inference_steps out",
        ),
    )
    return times
