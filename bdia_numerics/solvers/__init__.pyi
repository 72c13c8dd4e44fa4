# Made by scripts/stubs.py: where the public names of bdia_numerics.solvers come from.

from typing import Any

from bdia_numerics.solvers.alf import ALF as ALF
from bdia_numerics.solvers.alf import Composed as Composed
from bdia_numerics.solvers.bdia import BDIA as BDIA
from bdia_numerics.solvers.bdia2 import BDIA2 as BDIA2
from bdia_numerics.solvers.bdia3 import BDIA3 as BDIA3
from bdia_numerics.solvers.bdia_deis import BDIADEIS as BDIADEIS
from bdia_numerics.solvers.bdia_dpm_solver_pp import BDIADPMSolverPP as BDIADPMSolverPP
from bdia_numerics.solvers.bdia_heun import BDIAHeun as BDIAHeun
from bdia_numerics.solvers.bdia_plms import BDIAPLMS as BDIAPLMS
from bdia_numerics.solvers.belm import BELM as BELM
from bdia_numerics.solvers.belm import OBELM as OBELM
from bdia_numerics.solvers.cbdia import CBDIA as CBDIA
from bdia_numerics.solvers.ddim import DDIM as DDIM
from bdia_numerics.solvers.deis import DEIS as DEIS
from bdia_numerics.solvers.dpm_solver import DPMSolver as DPMSolver
from bdia_numerics.solvers.dpm_solver_multistep import DPMSolverMultistep as DPMSolverMultistep
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP as DPMSolverPP
from bdia_numerics.solvers.dpm_solver_pp_singlestep import DPMSolverPPSinglestep as DPMSolverPPSinglestep
from bdia_numerics.solvers.edict import EDICT as EDICT
from bdia_numerics.solvers.ees import EES as EES
from bdia_numerics.solvers.heun import Heun as Heun
from bdia_numerics.solvers.iia import IIADDIM as IIADDIM
from bdia_numerics.solvers.iia import IIAEDM as IIAEDM
from bdia_numerics.solvers.leapfrog import Leapfrog as Leapfrog
from bdia_numerics.solvers.mccallum_foster import McCallumFoster as McCallumFoster
from bdia_numerics.solvers.mccallum_foster import Rex as Rex
from bdia_numerics.solvers.plms import IPNDM as IPNDM
from bdia_numerics.solvers.plms import PLMS as PLMS
from bdia_numerics.solvers.rectified_flow import FireFlow as FireFlow
from bdia_numerics.solvers.rectified_flow import RFSolver as RFSolver
from bdia_numerics.solvers.reversible_heun import ReversibleHeun as ReversibleHeun
from bdia_numerics.solvers.runge_kutta import Euler as Euler
from bdia_numerics.solvers.runge_kutta import Midpoint as Midpoint
from bdia_numerics.solvers.runge_kutta import RK4 as RK4
from bdia_numerics.solvers.stormer_verlet import StormerVerlet as StormerVerlet
from bdia_numerics.solvers.symmetric_multistep import SymmetricMultistep as SymmetricMultistep
from bdia_numerics.solvers.unipc import SASolver as SASolver
from bdia_numerics.solvers.unipc import UniPC as UniPC

SECOND_ORDER: dict[str, Any]
SOLVERS: dict[str, Any]

def find(name: str) -> Any: ...

__all__ = [
    "ALF",
    "BDIA",
    "BDIA2",
    "BDIA3",
    "BDIADEIS",
    "BDIADPMSolverPP",
    "BDIAHeun",
    "BDIAPLMS",
    "BELM",
    "CBDIA",
    "Composed",
    "DDIM",
    "DEIS",
    "DPMSolver",
    "DPMSolverMultistep",
    "DPMSolverPP",
    "DPMSolverPPSinglestep",
    "EDICT",
    "EES",
    "Euler",
    "FireFlow",
    "Heun",
    "IIADDIM",
    "IIAEDM",
    "IPNDM",
    "Leapfrog",
    "McCallumFoster",
    "Midpoint",
    "OBELM",
    "PLMS",
    "RFSolver",
    "RK4",
    "ReversibleHeun",
    "Rex",
    "SASolver",
    "SECOND_ORDER",
    "SOLVERS",
    "StormerVerlet",
    "SymmetricMultistep",
    "UniPC",
    "find",
]
