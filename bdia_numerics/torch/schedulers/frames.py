"""Between a pipeline and a run: the grid of a configuration, the sample as a multiple of z, and what the network is given and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from bdia_numerics import configs, grids, schedules
from bdia_numerics.configs.tables import times_of
from bdia_numerics.grids import Grid
from bdia_numerics.schedules import Schedule
from bdia_numerics.torch.scheduling import falling

Form = tuple[float, float]
Level = tuple[float, float]
At = tuple[float, float, Form | None]
SAMPLE: At = (1.0, 1.0, None)
"""The sample is z, the network is given the sample, and its output is taken as it is."""


@dataclass(frozen=True)
class Frame:
    """What a pipeline of a family knows of a run.

    Attributes
    ----------
    scaled : bool
        Whether the sample is z/alpha, and the network given z: so it is for the classes that work with sigma/alpha.
    conditioned : tuple of (float, int) or None
        sigma_data and the sign of the output under EDM's preconditioning (Karras et al. 2022, eq. (7) and table 1).
    sign : int
        -1 where the network predicts data less noise.
    told
        The time that the network is told, of a time of the grid.
    fractions : bool
        Whether `timesteps` are floats even where all are whole, as the family has them.
    own : bool
        Whether the levels at `timesteps` are others than those of a table.
    """

    scaled: bool = False
    conditioned: tuple[float, int] | None = None
    sign: int = 1
    told: Callable[[float], float] = lambda t: max(t, 0.0)
    fractions: bool = False
    own: bool = False

    @property
    def plain(self) -> bool:
        """Whether samples and outputs are those of the run, at every level."""
        return not self.scaled and self.conditioned is None and self.sign == 1

    def at(self, level: Level, stands: Level) -> At:
        """Return what z and the sample are multiplied by to be the sample and the network's input, and the form of the output.

        The form is (a, b) where the run's prediction is a z + b output, and None where it is the output.

        Parameters
        ----------
        level
            Alpha and sigma that the network is told.
        stands
            Those at which z stands, which for EDICT may be others.
        """
        if self.conditioned is not None:
            # eps and not x0 of the denoiser D = c_skip z + c_out F: it is finite at sigma = 0, too.
            data, sign = self.conditioned
            total = math.hypot(level[1], data)
            return 1.0, 1 / total, (level[1] / total**2, -sign * data / total)
        if self.scaled:
            return 1 / stands[0], stands[0], None
        return 1.0, 1.0, None if self.sign == 1 else (0.0, -1.0)


PLAIN = Frame()
"""Samples and outputs are those of the run."""


def kind_of(read: configs.SchedulerConfig) -> str:
    """Return the prediction that a run of a configuration takes; ValueError for one that is not known."""
    kind = read.prediction
    return kind if read.preconditioned is None else "eps"


def own_levels(read: configs.SchedulerConfig) -> bool:
    """Say whether the levels of a configuration are others than those that its table has at the times that are told."""
    beyond = read.kind or read.preconditioned or read["interpolation_type"] == "log_linear"
    return bool(beyond) or read.flow


def levelled(read: configs.SchedulerConfig, walk: configs.Walk) -> tuple[Grid, Frame]:
    """Return the grid of a walk whose levels are its own, and its frame; slots without length are left out.

    The grid's times are the levels themselves: sigma of flow matching, else sigma/alpha.
    """
    conditioned = read.preconditioned
    steps = [step for step in walk.steps if step.s != step.s_end]
    if not steps:
        raise ValueError(
            f"num_inference_steps={len(walk.steps)}: the run of {read.name} ends at the level at which it begins: ask for more steps, or "
            "for final_sigmas_type='zero' where the class has it"
        )
    ratios = np.array([*(step.s for step in steps), walk.steps[-1].s_end])
    falling(read, ratios)
    schedule: Schedule
    if read.flow:
        levels, schedule = walk.levels.sigma(ratios), schedules.flow()
    else:
        levels, schedule = ratios, schedules.edm() if conditioned else _preserving()
    if read.flow or conditioned:
        grid = grids.from_timesteps(schedule, levels.tolist())
    else:
        grid = grids.from_values(levels, *grids.levels_of("vp", levels), schedule=schedule)
    known = {float(t): step.t for t, step in zip(levels.tolist(), steps, strict=False)}
    told = _Told(known, _formula(read, walk, min(known)))
    frame = Frame(
        read.rule == "points" and not conditioned,
        conditioned,
        -1 if read["invert_sigmas"] else 1,
        told,
        read.rule in ("flow", "points", "edm"),
        own=True,
    )
    return grid, frame


@dataclass(frozen=True)
class _Told:
    """The times that are told: those of the walk at its levels, and a formula between and at the data end."""

    known: Mapping[float, float]
    formula: Callable[[float], float]

    def __call__(self, t: float) -> float:
        return self.known[t] if t in self.known else self.formula(t)


def _formula(read: configs.SchedulerConfig, walk: configs.Walk, least: float) -> Callable[[float], float]:
    """Return the time that a level is told as; a level of no noise has no logarithm, and is told as the least one of the walk."""
    if read.preconditioned is not None:
        return lambda s: math.log(s if s > 0 else least) / 4
    if read.flow:
        length = read["num_train_timesteps"]
        return lambda sigma: (1 - sigma if read["invert_sigmas"] else sigma) * length
    assert walk.table is not None
    ratios = np.sqrt((1 - walk.table) / walk.table)
    return lambda s: float(times_of(np.array([s]), ratios)[0]) if s > 0 else 0.0


@cache
def _preserving() -> Schedule:
    """Return alpha and sigma of the ratio, where their squares add up to 1."""
    return schedules.from_functions(
        lambda s: grids.levels_of("vp", s)[0],
        lambda s: grids.levels_of("vp", s)[1],
        t_max=1e10,
        variance_preserving=True,
    )
