"""The solvers: one file a family, mathematics only. A new one is tested by being listed in SOLVERS."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from bdia_numerics.solvers.alf import ALF
from bdia_numerics.solvers.bdia import BDIA
from bdia_numerics.solvers.bdia2 import BDIA2
from bdia_numerics.solvers.bdia3 import BDIA3
from bdia_numerics.solvers.bdia_deis import BDIADEIS
from bdia_numerics.solvers.bdia_dpm_solver_pp import BDIADPMSolverPP
from bdia_numerics.solvers.bdia_heun import BDIAHeun
from bdia_numerics.solvers.bdia_plms import BDIAPLMS
from bdia_numerics.solvers.belm import BELM, OBELM
from bdia_numerics.solvers.cbdia import CBDIA
from bdia_numerics.solvers.ddim import DDIM
from bdia_numerics.solvers.deis import DEIS
from bdia_numerics.solvers.dpm_solver import DPMSolver
from bdia_numerics.solvers.dpm_solver_multistep import DPMSolverMultistep
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP
from bdia_numerics.solvers.edict import EDICT
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.iia import IIADDIM, IIAEDM
from bdia_numerics.solvers.leapfrog import Leapfrog
from bdia_numerics.solvers.mccallum_foster import McCallumFoster
from bdia_numerics.solvers.plms import PLMS
from bdia_numerics.solvers.rectified_flow import FireFlow, RFSolver
from bdia_numerics.solvers.reversible_heun import ReversibleHeun
from bdia_numerics.solvers.rex import Rex
from bdia_numerics.solvers.runge_kutta import RK4, Euler, Midpoint
from bdia_numerics.solvers.stormer_verlet import StormerVerlet
from bdia_numerics.values import share

SOLVERS = {
    "DDIM": DDIM,
    "BDIA": BDIA,
    "EDICT": EDICT,
    "CBDIA": CBDIA,
    "Heun": Heun,
    "BDIAHeun": BDIAHeun,
    "IIADDIM": IIADDIM,
    "IIAEDM": IIAEDM,
    "Midpoint": Midpoint,
    "RK4": RK4,
    "DPMSolver": DPMSolver,
    "ReversibleHeun": ReversibleHeun,
    "ALF": ALF,
    "McCallumFoster": McCallumFoster,
    "Rex": Rex,
    "RFSolver": RFSolver,
    "FireFlow": FireFlow,
    "Leapfrog": Leapfrog,
    "BDIA2": BDIA2,
    "BDIA3": BDIA3,
    "BELM": BELM,
    "OBELM": OBELM,
    "PLMS": PLMS,
    "BDIAPLMS": BDIAPLMS,
    "DEIS": DEIS,
    "BDIADEIS": BDIADEIS,
    "DPMSolverPP": DPMSolverPP,
    "BDIADPMSolverPP": BDIADPMSolverPP,
    "DPMSolverMultistep": DPMSolverMultistep,
}

SECOND_ORDER = {"StormerVerlet": StormerVerlet}
"""Solvers of z'' = a(z, t): the model gives a, and a start the first velocity, so that nothing asks them for samples."""


def find(name: str) -> Any:
    """Return the class of `SOLVERS` of a name, in any case; ValueError, with the nearest names, if there is none."""
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} is not text: pass a name of SOLVERS, for instance 'BDIA'")
    lowered = {key.lower(): key for key in SOLVERS}
    if name.lower() in lowered:
        return SOLVERS[lowered[name.lower()]]
    if name.lower() in map(str.lower, SECOND_ORDER):
        raise ValueError(
            f"name={name!r} solves z'' = a(z, t), not the ODE of diffusion: import it, and pass a as the model"
        )
    near = [lowered[key] for key in get_close_matches(name.lower(), lowered)]
    raise ValueError(
        f"name={name!r} is none of the solvers: use {' or '.join(near)}"
        if near
        else f"name={name!r} is none of {', '.join(SOLVERS)}"
    )


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
    "SECOND_ORDER",
    "SOLVERS",
    "BDIADPMSolverPP",
    "BDIAHeun",
    "DPMSolver",
    "DPMSolverMultistep",
    "DPMSolverPP",
    "Euler",
    "FireFlow",
    "Heun",
    "Leapfrog",
    "McCallumFoster",
    "Midpoint",
    "RFSolver",
    "ReversibleHeun",
    "Rex",
    "StormerVerlet",
    "find",
]

share(*map(globals().get, __all__))
