"""The solvers: one file a family, mathematics only. A new one is tested by being listed in SOLVERS."""

from __future__ import annotations

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
from bdia_numerics.solvers.leapfrog import Leapfrog
from bdia_numerics.solvers.mccallum_foster import McCallumFoster
from bdia_numerics.solvers.plms import PLMS
from bdia_numerics.solvers.rectified_flow import FireFlow, RFSolver
from bdia_numerics.solvers.reversible_heun import ReversibleHeun
from bdia_numerics.solvers.rex import Rex
from bdia_numerics.solvers.runge_kutta import RK4, Euler, Midpoint

SOLVERS = {
    "DDIM": DDIM,
    "BDIA": BDIA,
    "EDICT": EDICT,
    "CBDIA": CBDIA,
    "Heun": Heun,
    "BDIAHeun": BDIAHeun,
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
    "OBELM",
    "PLMS",
    "RK4",
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
]
