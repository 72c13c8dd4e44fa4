"""Schedules and grids of networks, from the configuration of the scheduler that they were trained with."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from bdia_numerics import configs, grids, schedules
from bdia_numerics.grids import Grid
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces.base import decimal


def schedule_of(config: configs.SchedulerConfig) -> Schedule:
    """Return the schedule of a configuration: exact where its betas follow a rule, (1, t) for EDM's, (1-t, t) for flows."""
    if config.rule == "edm":
        return schedules.edm()
    if config.rule == "flow":
        return schedules.flow()
    rule = str(config["beta_schedule"])
    if rule in ("linear", "scaled_linear") and config["trained_betas"] is None and not config["rescale_betas_zero_snr"]:
        first, last = (decimal(config[key]) for key in ("beta_start", "beta_end"))
        return _tabled(rule, config["num_train_timesteps"], first, last)
    return schedules.from_alphas_cumprod(configs.alphas_cumprod(config))


@cache
def _tabled(rule: str, steps: int, first: Fraction, last: Fraction) -> Schedule:
    """Return the schedule of a rule, once: its table of 50 digits takes a while."""
    return schedules.Discrete(betas=(rule, steps, first, last))


def make_grid(schedule: Schedule, config: configs.SchedulerConfig | None, n: int, spacing: str | None = None) -> Grid:
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
        "leading", "linspace" or "trailing" instead of the configuration's, or over the whole schedule "uniform",
        "quadratic", "log_snr", "asinh" or "karras".

    Raises
    ------
    ValueError
        For an unknown spacing.
    """
    whole = {name: getattr(grids, name) for name in ("uniform", "quadratic", "log_snr", "asinh", "karras")}
    if spacing in whole:
        made: Grid = whole[spacing](schedule, n)
        return made
    counted = ("leading", "linspace", "trailing")
    if config is None or config.rule in ("edm", "flow"):
        if spacing is not None:
            raise ValueError(f"spacing={spacing!r} is none of {', '.join(whole)}")
        if config is not None and config.rule == "flow":
            return _flow(schedule, float(config["shift"] or 1), n)
        return (
            grids.karras(schedule, n, t_min=0.002, append_zero=True)
            if isinstance(schedule, schedules.EDM)
            else grids.uniform(schedule, n)
        )
    name = spacing or str(config["timestep_spacing"])
    if name not in counted:
        raise ValueError(f"spacing={spacing!r} is none of {', '.join((*counted, *whole))}")
    final = 1 if config["set_alpha_to_one"] else None
    if name == "leading":
        return grids.leading(schedule, n, steps_offset=int(config["steps_offset"]), final_alpha=final)
    return (grids.linspace if name == "linspace" else grids.trailing)(schedule, n, final_alpha=final)


def _flow(schedule: Schedule, shift: float, n: int) -> Grid:
    """Return the times of flow matching: equal steps from 1 to 0, moved to the noise end by a shift."""
    plain = [k / n for k in range(n, -1, -1)]
    return grids.from_timesteps(schedule, [shift * t / (1 + (shift - 1) * t) for t in plain])
