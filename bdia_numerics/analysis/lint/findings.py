"""What rules look at, a configuration, and what they find: the defect, where it stands, what it costs, and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bdia_numerics.configs import SchedulerConfig, Walk, layout
from bdia_numerics.texts import shown

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Cost:
    """A number measured on the reference distribution: as configured, and with the remedy.

    Attributes
    ----------
    what
        What was measured, with its unit.
    configured, remedied : float
        The number as configured, and where the remedy is followed; NaN where there is none to run.
    """

    what: str
    configured: float
    remedied: float

    def __str__(self) -> str:
        after = "" if self.remedied != self.remedied else f", {self.remedied:.2g} with the remedy"
        return f"{self.what}: {self.configured:.2g}{after}"


@dataclass(frozen=True)
class Finding:
    """A defect.

    Attributes
    ----------
    rule
        Its name, such as "clip-sample".
    severity
        "error": the run is wrong, stops, or cannot be inverted; "warning": it loses accuracy; "note": worth knowing.
    where
        The entry of the configuration and its value, or the slot.
    message, remedy
        One sentence each.
    cost
        What it costs on the reference distribution, if that can be measured.
    """

    rule: str
    severity: str
    where: str
    message: str
    remedy: str
    cost: Cost | None = None

    def __str__(self) -> str:
        cost = f" [{self.cost}]" if self.cost else ""
        return f"{self.severity}: {self.rule} ({self.where}): {self.message}; {self.remedy}{cost}"


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
        taken = [f"{key}={shown(self.config[key])}" for key in keys if key in self.config.values]
        return ", ".join(taken) or f"_class_name={self.config.name!r}"

    def with_walk(self, **values: Any) -> Walk | None:
        """Return the walk with other entries; None where the class, or what is passed, does not leave that choice."""
        try:
            return layout(self.config.changed(**values), **self.asked)
        except ValueError:
            return None


Rule = Callable[[Case], Iterator[Finding]]
