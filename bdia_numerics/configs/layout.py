"""The slots that a scheduler really takes: where the model is asked, and between which noise levels the state is moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import grids
from bdia_numerics.configs.config import SchedulerConfig
from bdia_numerics.configs.tables import alphas_cumprod

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Levels:
    """alpha and sigma as functions of s = sigma/alpha: the schedule on which runs of a layout are compared.

    `kind` is "vp" (alpha^2 + sigma^2 = 1), "one" (alpha = 1) or "flow" (alpha + sigma = 1).
    """

    kind: str

    def alpha(self, s: Any) -> Any:
        """Return alpha; s may be infinite, except for "one"."""
        if self.kind == "one":
            return s * 0 + 1
        return 1 / (1 + s) if self.kind == "flow" else 1 / np.hypot(1, s)

    def sigma(self, s: Any) -> Any:
        """Return sigma; s may be infinite."""
        if self.kind == "one":
            return s
        with np.errstate(divide="ignore"):
            inverse = np.divide(1.0, s)
        return 1 / (1 + inverse) if self.kind == "flow" else 1 / np.hypot(1, inverse)


@dataclass(frozen=True)
class Step:
    """One step: the time told to the model, and sigma/alpha of the state that it takes and of the one that it makes.

    The step takes its state to stand at the time that the model is told.
    """

    t: float
    s: float
    s_end: float


@dataclass(frozen=True)
class Layout:
    """The steps of a run, noise end first (data end first for an inverse scheduler)."""

    steps: tuple[Step, ...]
    levels: Levels
    table: Array | None = None

    @property
    def consistent(self) -> bool:
        """Whether every step begins at the noise level at which the one before it ended."""
        return all(np.isclose(a.s_end, b.s, rtol=1e-9) for a, b in zip(self.steps, self.steps[1:], strict=False))

    def grid(self) -> grids.Grid:
        """Return the grid of the times at which the model is asked and the last level; slots without length are left out.

        Raises
        ------
        ValueError
            If the levels do not fall (rise, for an inverse scheduler) from step to step, or one is infinite.
        """
        levels = [step.s for step in self.steps]
        if len(self.steps) > 1 and self.steps[1].s > self.steps[0].s:
            levels = [self.steps[0].s, *(step.s_end for step in self.steps)]
        else:
            levels.append(self.steps[-1].s_end)
        levels = sorted(dict.fromkeys(levels))
        s = np.array(levels)
        return grids.from_values(s, self.levels.alpha(s), self.levels.sigma(s))


def layout(config: SchedulerConfig, steps: int) -> Layout:
    """Return the steps that a scheduler of this configuration takes.

    Parameters
    ----------
    config
        Its class decides how it walks; see `config.Family`.
    steps
        What is passed to set_timesteps.

    Raises
    ------
    ValueError
        For a number of steps that the scheduler itself would refuse.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: ask for 1 or more")
    if config.rule == "edm":
        return Layout(_pairs(_karras(config, steps)), Levels("one"))
    if config.rule == "flow":
        return Layout(_flow(config, steps), Levels("flow"))
    length = config["num_train_timesteps"]
    if steps > length:
        raise ValueError(f"steps={steps} exceeds num_train_timesteps={length}: ask for fewer")
    table = alphas_cumprod(config)
    with np.errstate(divide="ignore"):
        levels = np.sqrt((1 - table) / table)
    return Layout(_RULES[config.rule](config, steps, levels), Levels("vp"), table)


def times(config: SchedulerConfig, steps: int, *, points: int | None = None) -> list[float]:
    """Return the evaluation times in sampling order, as the spacing gives them; times outside the table are not left out."""
    length, spacing, offset = config["num_train_timesteps"], config["timestep_spacing"], config["steps_offset"]
    count = points or steps
    if spacing == "linspace":
        found = np.linspace(0, length - 1, count)
        found = found if config.rule == "sigmas" else found.round()
    elif spacing == "leading":
        found = np.arange(count) * (length // count) + offset
    else:
        found = np.arange(length, 0, -length / steps).round()[::-1] - 1
        return [float(t) for t in found[::-1]]
    return [float(t) for t in found[::-1][:steps]]


def _final(config: SchedulerConfig, levels: Array) -> float:
    return 0.0 if config["set_alpha_to_one"] else float(levels[0])


def _at(levels: Array, t: float) -> float:
    """Return a level as the scheduler looks it up: t = -1 is the last entry of the table, as in any array."""
    return float(levels[int(t)])


def _between(levels: Array, t: float) -> float:
    """Return a level of the table, between its entries by linear interpolation; beyond it the nearest entry."""
    return float(np.interp(t, range(len(levels)), levels))


def _jump(config: SchedulerConfig, steps: int, levels: Array) -> tuple[Step, ...]:
    ratio, final = config["num_train_timesteps"] // steps, _final(config, levels)
    asked = times(config, steps)
    return tuple(Step(t, _at(levels, t), _at(levels, t - ratio) if t >= ratio else final) for t in asked)


def _inverse(config: SchedulerConfig, steps: int, levels: Array) -> tuple[Step, ...]:
    ratio, final = config["num_train_timesteps"] // steps, _final(config, levels)
    asked = times(config, steps)[::-1]
    return tuple(Step(t, _at(levels, t - ratio) if t >= ratio else final, _at(levels, t)) for t in asked)


def _listed(config: SchedulerConfig, steps: int, levels: Array) -> tuple[Step, ...]:
    asked = times(config, steps)
    return _linked(asked, [*(_at(levels, t) for t in asked), 0.0])


def _sigmas(config: SchedulerConfig, steps: int, levels: Array) -> tuple[Step, ...]:
    asked = times(config, steps, points=steps + 1 if config.rule == "lambdas" else None)
    found = [_between(levels, t) for t in asked]
    if config["use_karras_sigmas"]:
        ramp = np.linspace(1, 0, len(found)) * (found[0] ** (1 / 7) - levels[0] ** (1 / 7)) + levels[0] ** (1 / 7)
        found = [float(s) for s in ramp**7]
        asked = [float(np.interp(np.log(s), np.log(levels), range(len(levels)))) for s in found]
    last = float(levels[0]) if config["final_sigmas_type"] == "sigma_min" else 0.0
    return _linked(asked, [*found, last])


def _ldm(config: SchedulerConfig, steps: int, levels: Array) -> tuple[Step, ...]:
    length = config["num_train_timesteps"]
    asked = [float(t) for t in np.arange(0, length, length // steps) + 1][::-1]
    return _linked(asked, [*(_at(levels, t) for t in asked), float(levels[0])])


_RULES = {
    "jump": _jump,
    "inverse": _inverse,
    "listed": _listed,
    "sigmas": _sigmas,
    "lambdas": _sigmas,
    "ldm": _ldm,
}


def _karras(config: SchedulerConfig, steps: int) -> list[float]:
    low, high, rho = config["sigma_min"], config["sigma_max"], config["rho"]
    if config["sigma_schedule"] == "exponential":
        found = np.geomspace(high, low, steps)
    else:
        found = np.linspace(high ** (1 / rho), low ** (1 / rho), steps) ** rho
    last = float(low) if config["final_sigmas_type"] == "sigma_min" else 0.0
    return [*(float(s) for s in found), last]


def _flow(config: SchedulerConfig, steps: int) -> tuple[Step, ...]:
    length, shift = config["num_train_timesteps"], float(config["shift"])

    def shifted(x: Any) -> Any:
        return shift * x / (1 + (shift - 1) * x)

    # The ends are shifted once when the scheduler is made, and all times once more when they are set.
    sigma = shifted(np.linspace(shifted(1.0), shifted(1 / length), steps))
    with np.errstate(divide="ignore"):
        levels = [float(s) for s in sigma / (1 - sigma)]
    return _linked([float(t) for t in sigma * length], [*levels, 0.0])


def _pairs(levels: Sequence[float]) -> tuple[Step, ...]:
    return _linked(levels[:-1], levels)


def _linked(asked: Sequence[float], levels: Sequence[float]) -> tuple[Step, ...]:
    return tuple(Step(float(t), a, b) for t, a, b in zip(asked, levels[:-1], levels[1:], strict=True))
