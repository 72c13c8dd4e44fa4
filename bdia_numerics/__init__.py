"""Analysis and verification of exactly invertible diffusion ODE solvers."""

from __future__ import annotations

from bdia_numerics import grids, inversion, models, problems, program, schedules, spaces
from bdia_numerics.integrate import RoundTrip, Solution, Status, encode, invert, round_trip, solve
from bdia_numerics.program import NotInvertibleError, inverse_latex, invertibility, step_latex
from bdia_numerics.solvers import (
    ALF,
    BDIA,
    CBDIA,
    DDIM,
    EDICT,
    RK4,
    SOLVERS,
    BDIAHeun,
    DPMSolver,
    Euler,
    FireFlow,
    Heun,
    Leapfrog,
    McCallumFoster,
    Midpoint,
    ReversibleHeun,
    Rex,
    RFSolver,
)
from bdia_numerics.state import State

__version__ = "0.1.0"

__all__ = [
    "ALF",
    "BDIA",
    "CBDIA",
    "DDIM",
    "EDICT",
    "RK4",
    "SOLVERS",
    "BDIAHeun",
    "DPMSolver",
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
    "encode",
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
