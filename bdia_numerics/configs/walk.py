"""The steps of a run: what a configuration, or a live scheduler, comes down to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import grids

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RatioLevels:
    """alpha and sigma as functions of s = sigma/alpha: the schedule on which runs of a layout are compared.

    `kind` is "vp" (alpha^2 + sigma^2 = 1), "one" (alpha = 1) or "flow" (alpha + sigma = 1).
    """

    kind: str

    def alpha(self, s: Any) -> Any:
        """Return alpha; s may be infinite, except for "one"."""
        return grids.levels_of(self.kind, s)[0]

    def sigma(self, s: Any) -> Any:
        """Return sigma; s may be infinite."""
        return grids.levels_of(self.kind, s)[1]


@dataclass(frozen=True)
class WalkStep:
    """One step: the time told to the model, and sigma/alpha of the state that it takes and of the one that it makes.

    The step takes its state to stand at the time that the model is told.
    """

    t: float
    s: float
    s_end: float


@dataclass(frozen=True)
class Walk:
    """The steps of a run, noise end first (data end first for an inverse scheduler).

    Attributes
    ----------
    steps
        One for each change of the noise level.
    levels
        alpha and sigma of sigma/alpha.
    told
        The times of all evaluations in their order, as the scheduler's `timesteps` list them: a method of two stages has two a step.
    table
        alpha^2 by training step as the scheduler holds it, where it has a table.
    """

    steps: tuple[WalkStep, ...]
    levels: RatioLevels
    told: tuple[float, ...]
    table: Array | None = None

    @property
    def nfe(self) -> int:
        """Model evaluations."""
        return len(self.told)

    @property
    def consistent(self) -> bool:
        """Whether every step begins at the noise level at which the one before it ended."""
        return all(np.isclose(a.s_end, b.s, rtol=1e-9) for a, b in zip(self.steps, self.steps[1:], strict=False))

    def grid(self) -> grids.Grid:
        """Return the grid of the times at which the model is evaluated and the last level; slots without length are left out.

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


def from_scheduler(scheduler: Any) -> Walk:
    """Return the steps of a live scheduler after its set_timesteps, from what it holds and not from its configuration.

    Raises
    ------
    TypeError, ValueError
        As `grids.live`.
    """
    walk = grids.live(scheduler)
    columns = zip(walk.times, walk.begins, walk.ends, strict=True)
    steps = tuple(WalkStep(float(t), float(s), float(end)) for t, s, end in columns)
    return Walk(steps, RatioLevels(walk.kind), tuple(walk.told.tolist()), walk.table)
