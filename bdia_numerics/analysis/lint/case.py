"""A configuration under the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bdia_numerics.analysis.lint.findings import Finding
from bdia_numerics.configs import SchedulerConfig, Walk, layout


@dataclass(frozen=True)
class Case:
    """A configuration, what is passed to `configs.layout`, and what the model is read as."""

    config: SchedulerConfig
    asked: Mapping[str, Any]
    walk: Walk
    prediction: str | None

    @property
    def steps(self) -> int:
        """The number of steps asked for."""
        return len(self.walk.steps) if self.asked["n"] is None else int(self.asked["n"])

    @property
    def length(self) -> int:
        """Training steps T."""
        return int(self.config["num_train_timesteps"])

    @property
    def tabled(self) -> bool:
        """Whether the noise levels come from a table of T entries."""
        return self.walk.table is not None

    def entry(self, *keys: str) -> str:
        """Return the entries that the class takes, as text; its name if there are none."""
        taken = [f"{key}={self.config[key]!r}" for key in keys if key in self.config.values]
        return ", ".join(taken) or f"_class_name={self.config.name!r}"

    def with_walk(self, **values: Any) -> Walk:
        """Return the walk with other entries."""
        return layout(self.config.changed(**values), **self.asked)


Rule = Callable[[Case], Iterator[Finding]]
