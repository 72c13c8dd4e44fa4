"""The misprints that can be run, as a study: errors as printed and right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.claims.as_printed import AS_PRINTED
from bdia_numerics.studies import Study, Variable
from bdia_numerics.studies.study import Cell

FORMS = ("as printed", "right")


@dataclass(frozen=True)
class MisprintsConfig:
    """Which are run: names of `claims.as_printed.AS_PRINTED`."""

    claims: tuple[str, ...] = tuple(AS_PRINTED)

    def __post_init__(self) -> None:
        for name in self.claims:
            if name not in AS_PRINTED:
                raise ValueError(f"claims={name!r} is none of {', '.join(AS_PRINTED)}")


def compute(config: MisprintsConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the errors of one misprint in one form; NaN at numbers of steps that it is not run with."""
    case = AS_PRINTED[str(cell["claim"])]
    errors = {n: case.run(cell["form"] == FORMS[0], n) for n in case.steps}
    return {
        "error": np.array([errors.get(n, np.nan) for n in _steps(config)]),
        "quantity": case.what,
        "label": case.label,
    }


def _steps(config: MisprintsConfig) -> tuple[int, ...]:
    return tuple(sorted({n for name in config.claims for n in AS_PRINTED[name].steps}))


MISPRINTS = Study(
    "misprints",
    "Misprints of the paper, run as printed and right",
    MisprintsConfig,
    dims=lambda config: {"claim": config.claims, "form": FORMS},
    inner=lambda config: {"steps": _steps(config)},
    compute=compute,
    variables={
        "error": Variable("root mean square of the quantity", dims=("steps",)),
        "quantity": Variable("of which the error is"),
        "label": Variable("number of the equation, or name"),
    },
)
