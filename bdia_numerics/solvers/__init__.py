"""The solvers: one file a family, mathematics only. A new one is tested by being listed in SOLVERS."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bdia_numerics.program import latex
from bdia_numerics.spaces.values import share
from bdia_numerics.texts import one_of, shown


def _classes(files: dict[str, str]) -> dict[str, Any]:
    return {name: getattr(import_module(f"{__name__}.{file}"), name) for name, file in files.items()}


SOLVERS: dict[str, Any] = _classes(
    {
        "DDIM": "ddim",
        "BDIA": "bdia",
        "EDICT": "edict",
        "CBDIA": "cbdia",
        "Heun": "heun",
        "BDIAHeun": "bdia_heun",
        "IIADDIM": "iia",
        "IIAEDM": "iia",
        "Midpoint": "runge_kutta",
        "RK4": "runge_kutta",
        "EES": "ees",
        "DPMSolver": "dpm_solver",
        "ReversibleHeun": "reversible_heun",
        "ALF": "alf",
        "Composed": "alf",
        "McCallumFoster": "mccallum_foster",
        "Rex": "mccallum_foster",
        "RFSolver": "rectified_flow",
        "FireFlow": "rectified_flow",
        "Leapfrog": "leapfrog",
        "BDIA2": "bdia2",
        "BDIA3": "bdia3",
        "BELM": "belm",
        "OBELM": "belm",
        "SymmetricMultistep": "symmetric_multistep",
        "PLMS": "plms",
        "IPNDM": "plms",
        "BDIAPLMS": "bdia_plms",
        "DEIS": "deis",
        "BDIADEIS": "bdia_deis",
        "DPMSolverPP": "dpm_solver_pp",
        "BDIADPMSolverPP": "bdia_dpm_solver_pp",
        "DPMSolverMultistep": "dpm_solver_multistep",
        "DPMSolverPPSinglestep": "dpm_solver_pp_singlestep",
        "UniPC": "unipc",
        "SASolver": "unipc",
    }
)
"""The class of each solver by its name, written above with its file: a new solver is its file and a line here."""

SECOND_ORDER: dict[str, Any] = _classes({"StormerVerlet": "stormer_verlet"})
"""Solvers of z'' = a(z, t): the model gives a, and a start the first velocity, so that nothing asks them for samples."""

PUBLIC: dict[str, Any] = SOLVERS | SECOND_ORDER | _classes({"Euler": "runge_kutta"})
"""Whatever can be imported. Euler's method in sigma_bar is DDIM, so that it is not listed twice."""

globals().update(PUBLIC)

for _solver in PUBLIC.values():
    _solver._repr_latex_ = latex


def find(name: str) -> Any:
    """Return the class of `SOLVERS` of a name, in any case; ValueError, with the nearest names, if there is none."""
    if not isinstance(name, str):
        raise TypeError(f"name={shown(name)} is not text: pass a name of SOLVERS, for instance 'BDIA'")
    if name.lower() in map(str.lower, SECOND_ORDER):
        raise ValueError(
            f"name={shown(name)} solves z'' = a(z, t), not the ODE of diffusion: import it, and pass a as the model"
        )
    return SOLVERS[one_of("solver", {key.lower(): key for key in SOLVERS}.get(name.lower(), name), SOLVERS)]


__all__ = ["SECOND_ORDER", "SOLVERS", "find"]
__all__ += list(PUBLIC)

__dir__ = __all__.copy  # what completion shows
share(*PUBLIC.values())
