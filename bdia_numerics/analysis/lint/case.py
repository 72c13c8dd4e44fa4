"""A configuration under the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bdia_numerics.analysis.lint.findings import Finding
from bdia_numerics.configs import Layout, SchedulerConfig, layout


@dataclass(frozen=True)
class Case:
    """A configuration with a number of steps, and what the model is read as."""

    config: SchedulerConfig
    steps: int
    walk: Layout
    prediction: str | None

    @property
    def length(self) -> int:
        """Training steps T."""
        return int(self.config["num_train_timesteps"])

    @property
    def tabled(self) -> bool:
        """Whether the noise levels come from a table of T entries."""
        return self.walk.table is not None

    def entry(self, *keys: str) -> str:
        """Return entries as text."""
        return ", ".join(f"{key}={self.config[key]!r}" for key in keys)

    def with_walk(self, **values: Any) -> Layout:
        """Return the walk with other entries."""
        return layout(self.config.changed(**values), self.steps)


Rule = Callable[[Case], Iterator[Finding]]
