"""What a lint finds: the defect, where it stands, what it costs, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass

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
