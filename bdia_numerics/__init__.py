"""Analysis and verification of exactly invertible diffusion ODE solvers."""

from __future__ import annotations

from bdia_numerics import grids, inversion, models, problems, program, schedules, spaces
from bdia_numerics.integrate import RoundTrip, Solution, Status, encode, invert, round_trip, solve
from bdia_numerics.program import NotInvertibleError, inverse_latex, invertibility, step_latex
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT, SOLVERS
from bdia_numerics.state import State

__version__ = "0.1.0"

__all__ = [
    "BDIA",
    "CBDIA",
    "DDIM",
    "EDICT",
    "SOLVERS",
    "NotInvertibleError",
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
