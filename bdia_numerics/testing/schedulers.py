"""Schedulers of diffusers as samplers; torch is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import grids
from bdia_numerics.analysis.measurement.errors import ExactProblem
from bdia_numerics.grids import Grid
from bdia_numerics.spaces import plain
from bdia_numerics.testing.samplers import SLOTS, STATES, Asked, Run, law_states, truth_of

NEAR = 1e-9
PATTERNS: dict[Any, tuple[int, ...]] = {"smooth": (1,), "alternating": (1, 2), "own": ()}
OWN_STEPS = 25
"""Divides 1000, also doubled and redoubled."""


@dataclass(frozen=True, eq=False)
class Steps:
    """A place of a scheduler: a number of steps, on its own times or on levels that repeat a pattern of steps."""

    n: int
    pattern: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SchedulerSampler:
    """A scheduler, the one that inverts it, and what both shift their levels by."""

    scheduler: Any
    inverse: Any = None
    mu: float | None = None

    @property
    def label(self) -> str:
        """The class of the scheduler."""
        return type(self.scheduler).__name__

    def place(self, grid: Any) -> Any:
        """Return the steps."""
        if grid is None or isinstance(grid, int):
            return Steps(SLOTS if grid is None else grid)
        raise TypeError(f"grid={grid!r}: a scheduler makes its own times: pass a number of steps")

    def family(self, family: Any) -> tuple[str, Callable[[int, int | None], Any]]:
        """Return smooth times, or alternating ones (h, 2h), or with "own" those of the configuration."""
        chosen = "smooth" if family is None else family
        if chosen not in PATTERNS:
            raise TypeError(
                f"family={family!r}: a scheduler makes its own times: pass None, 'alternating', 'any' or 'own'"
            )
        return "own times" if chosen == "own" else chosen, lambda n, _: Steps(n, PATTERNS[chosen])

    takes_grids = False

    def divided(self, grid: Any, family: Any) -> tuple[str, Callable[..., Any]]:
        """Return its own times, k times as many, and more."""
        if family not in (None, "own"):
            raise TypeError(f"family={family!r}: a scheduler makes its own times: pass None or 'own'")
        n = self.place(OWN_STEPS if grid is None else grid).n
        return "own", lambda k, more=0: Steps(k * n + more)

    def grid(self, place: Steps) -> tuple[Grid, Any]:
        """Return the grid of the levels at which the scheduler evaluates the model, with both ends, in times s = sigma/alpha."""
        from bdia_numerics.torch.scheduler_runs import drive

        found = drive(self.scheduler, place.n, lambda _: lambda z, s: 0 * z, lambda a, b: np.zeros((1, 1)), self.mu)
        s = np.array(sorted((*found.told, found.s_from, found.s_to)))
        # A level that is looked up twice differs by rounding.
        s = s[np.concatenate([[True], np.diff(s) > NEAR * s[1:]])]
        return grids.from_values(s, found.levels.alpha(s), found.levels.sigma(s)), found.levels

    def run(self, problem: ExactProblem, place: Steps, direction: str, states: Any = STATES, carry: Any = None) -> Run:
        """Drive the scheduler of a direction by `set_timesteps` and `step`."""
        from bdia_numerics.torch.scheduler_runs import drive
        from bdia_numerics.torch.scheduler_tables import refined

        scheduler = self.scheduler if direction == "sample" else self.inverse
        if scheduler is None:
            raise TypeError(f"{self.label} has no inverse: pass invert=, a scheduler that takes data to noise")
        chosen, passed = refined(scheduler, place.n, pattern=place.pattern) if place.pattern else (scheduler, None)
        model = Asked(None)

        def model_of(levels: Any) -> Any:
            model.model = problem.model(levels)
            return model

        given = None if carry is None else np.array(plain("carry", carry))

        def made(alpha: float, sigma: float) -> Any:
            start = law_states(problem, alpha, sigma, states) if given is None else given
            model.part = start.size
            return start

        found = drive(chosen, place.n, model_of, made, self.mu, passed)
        truth = truth_of(problem, found.start, found.s_from, found.s_to, found.levels)
        return Run(found.start, found.end, *truth, model.nfe, place.n, found.end)
