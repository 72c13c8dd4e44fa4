"""Analysis and verification of exactly invertible diffusion ODE solvers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bdia_numerics import grids, models, problems, program, schedules, spaces
from bdia_numerics.program import NotInvertibleError, inverse_latex, invertibility, step_latex
from bdia_numerics.runs import inversion
from bdia_numerics.runs.encoding import RoundTrip, Solution, Status, encode, invert, round_trip, solve
from bdia_numerics.runs.fitting import fit
from bdia_numerics.runs.state import State
from bdia_numerics.solvers import PUBLIC, SOLVERS

__version__ = "0.1.0"

# Not needed to sample, and most of the import's time: loaded when first asked for, by the room that has the name.
_LATER = {
    **dict.fromkeys(("analysis", "claims", "configs", "plots", "studies", "testing", "torch"), ""),
    "Datasheet": "analysis",
    "datasheet": "analysis",
}

globals().update(PUBLIC)

__all__ = [
    "SOLVERS",
    "NotInvertibleError",
    "RoundTrip",
    "Solution",
    "State",
    "Status",
    "encode",
    "fit",
    "grids",
    "inverse_latex",
    "inversion",
    "invert",
    "invertibility",
    "models",
    "problems",
    "program",
    "round_trip",
    "schedules",
    "solve",
    "spaces",
    "step_latex",
]
__all__ += ["Datasheet", "analysis", "datasheet"]
__all__ += list(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = import_module(f"{__name__}.{_LATER[name] or name}")
    return getattr(room, name) if _LATER[name] else room


def __dir__() -> list[str]:
    return sorted({*__all__, *_LATER, "__version__"})
