"""Analysis and verification of exactly invertible diffusion ODE solvers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bdia_numerics import grids, models, problems, program, schedules, spaces
from bdia_numerics.program import NotInvertibleError, inverse_latex, invertibility, step_latex
from bdia_numerics.runs import inversion
from bdia_numerics.runs.encoding import RoundTrip, Solution, Status, encode, invert, round_trip, solve
from bdia_numerics.runs.fitting import fit
from bdia_numerics.runs.state import State
from bdia_numerics.solvers import (
    ALF,
    BDIA,
    BDIA2,
    BDIA3,
    BDIADEIS,
    BDIAPLMS,
    BELM,
    CBDIA,
    DDIM,
    DEIS,
    EDICT,
    IIADDIM,
    IIAEDM,
    OBELM,
    PLMS,
    RK4,
    SOLVERS,
    BDIADPMSolverPP,
    BDIAHeun,
    DPMSolver,
    DPMSolverMultistep,
    DPMSolverPP,
    Euler,
    FireFlow,
    Heun,
    Leapfrog,
    McCallumFoster,
    Midpoint,
    ReversibleHeun,
    Rex,
    RFSolver,
    StormerVerlet,
)

if TYPE_CHECKING:
    from bdia_numerics import analysis
    from bdia_numerics.analysis.sheet.datasheet import Datasheet, datasheet

__version__ = "0.1.0"

__all__ = [
    "ALF",
    "BDIA",
    "BDIA2",
    "BDIA3",
    "BDIADEIS",
    "BDIAPLMS",
    "BELM",
    "CBDIA",
    "DDIM",
    "DEIS",
    "EDICT",
    "IIADDIM",
    "IIAEDM",
    "OBELM",
    "PLMS",
    "RK4",
    "SOLVERS",
    "BDIADPMSolverPP",
    "BDIAHeun",
    "DPMSolver",
    "DPMSolverMultistep",
    "DPMSolverPP",
    "Datasheet",
    "Euler",
    "FireFlow",
    "Heun",
    "Leapfrog",
    "McCallumFoster",
    "Midpoint",
    "NotInvertibleError",
    "RFSolver",
    "ReversibleHeun",
    "Rex",
    "RoundTrip",
    "Solution",
    "State",
    "Status",
    "StormerVerlet",
    "analysis",
    "datasheet",
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

# Half of the package's import time, and not needed to sample: loaded when it is first asked for.
_ANALYSIS = {"Datasheet", "analysis", "datasheet"}


def __getattr__(name: str) -> Any:
    if name not in _ANALYSIS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module("bdia_numerics.analysis")
    return module if name == "analysis" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ANALYSIS})
