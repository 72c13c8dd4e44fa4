# Made by scripts/stubs.py: where the public names of bdia_numerics come from.

from typing import Any

from bdia_numerics import analysis as analysis
from bdia_numerics import claims as claims
from bdia_numerics import configs as configs
from bdia_numerics import grids as grids
from bdia_numerics import models as models
from bdia_numerics import plots as plots
from bdia_numerics import problems as problems
from bdia_numerics import program as program
from bdia_numerics import schedules as schedules
from bdia_numerics import spaces as spaces
from bdia_numerics import studies as studies
from bdia_numerics import testing as testing
from bdia_numerics import torch as torch
from bdia_numerics.analysis.sheet.datasheet import Datasheet as Datasheet
from bdia_numerics.analysis.sheet.datasheet import datasheet as datasheet
from bdia_numerics.program.inverse import NotInvertibleError as NotInvertibleError
from bdia_numerics.program.inverse import invertibility as invertibility
from bdia_numerics.program.latex import inverse_latex as inverse_latex
from bdia_numerics.program.latex import step_latex as step_latex
from bdia_numerics.runs import inversion as inversion
from bdia_numerics.runs.encoding import RoundTrip as RoundTrip
from bdia_numerics.runs.encoding import encode as encode
from bdia_numerics.runs.encoding import round_trip as round_trip
from bdia_numerics.runs.fitting import fit as fit
from bdia_numerics.runs.solving import invert as invert
from bdia_numerics.runs.solving import solve as solve
from bdia_numerics.runs.state import State as State
from bdia_numerics.runs.stepwise import Solution as Solution
from bdia_numerics.runs.stepwise import Status as Status
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

SOLVERS: dict[str, Any]
__version__: str

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
    "Datasheet",
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
    "NotInvertibleError",
    "OBELM",
    "PLMS",
    "RFSolver",
    "RK4",
    "ReversibleHeun",
    "Rex",
    "RoundTrip",
    "SASolver",
    "SOLVERS",
    "Solution",
    "State",
    "Status",
    "StormerVerlet",
    "SymmetricMultistep",
    "UniPC",
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
