"""The solvers: one file a family, mathematics only. A new one is tested by being listed in SOLVERS."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bdia_numerics.spaces.values import share
from bdia_numerics.texts import one_of, shown

ORDERS: dict[str, tuple[int, int]] = {}
"""Orders on smooth grids and on rough ones with the default parameters, which `analysis.symbolic_order` takes seconds to prove."""


def _classes(files: dict[str, tuple[str, int, int]]) -> dict[str, Any]:
    ORDERS.update({name: orders for name, (_, *orders) in files.items()})  # type: ignore[misc]
    return {name: getattr(import_module(f"{__name__}.{file}"), name) for name, (file, *_) in files.items()}


SOLVERS: dict[str, Any] = _classes(
    {
        "DDIM": ("ddim", 1, 1),
        "BDIA": ("bdia", 2, 1),
        "EDICT": ("edict", 1, 1),
        "CBDIA": ("cbdia", 2, 2),
        "Heun": ("heun", 2, 2),
        "BDIAHeun": ("bdia_heun", 2, 2),
        "IIADDIM": ("iia", 1, 1),
        "IIAEDM": ("iia", 2, 2),
        "Midpoint": ("runge_kutta", 2, 2),
        "RK4": ("runge_kutta", 4, 4),
        "DPMSolver": ("dpm_solver", 2, 2),
        "ReversibleHeun": ("reversible_heun", 2, 2),
        "ALF": ("alf", 2, 2),
        "McCallumFoster": ("mccallum_foster", 1, 1),
        "Rex": ("rex", 1, 1),
        "RFSolver": ("rectified_flow", 2, 2),
        "FireFlow": ("rectified_flow", 2, 2),
        "Leapfrog": ("leapfrog", 2, 1),
        "BDIA2": ("bdia2", 2, 2),
        "BDIA3": ("bdia3", 4, 3),
        "BELM": ("belm", 2, 1),
        "OBELM": ("belm", 2, 2),
        "PLMS": ("plms", 2, 1),
        "BDIAPLMS": ("bdia_plms", 1, 1),
        "DEIS": ("deis", 2, 2),
        "BDIADEIS": ("bdia_deis", 1, 1),
        "DPMSolverPP": ("dpm_solver_pp", 2, 2),
        "BDIADPMSolverPP": ("bdia_dpm_solver_pp", 1, 1),
        "DPMSolverMultistep": ("dpm_solver_multistep", 2, 2),
    }
)
"""The class of each solver by its name, written above with its file and its orders: a new solver is its file and a line here."""

SECOND_ORDER: dict[str, Any] = _classes({"StormerVerlet": ("stormer_verlet", 2, 2)})
"""Solvers of z'' = a(z, t): the model gives a, and a start the first velocity, so that nothing asks them for samples."""

PUBLIC: dict[str, Any] = SOLVERS | SECOND_ORDER | _classes({"Euler": ("runge_kutta", 1, 1)})
"""Whatever can be imported. Euler's method in sigma_bar is DDIM, so that it is not listed twice."""

globals().update(PUBLIC)


def find(name: str) -> Any:
    """Return the class of `SOLVERS` of a name, in any case; ValueError, with the nearest names, if there is none."""
    if not isinstance(name, str):
        raise TypeError(f"name={shown(name)} is not text: pass a name of SOLVERS, for instance 'BDIA'")
    if name.lower() in map(str.lower, SECOND_ORDER):
        raise ValueError(
            f"name={shown(name)} solves z'' = a(z, t), not the ODE of diffusion: import it, and pass a as the model"
        )
    return SOLVERS[one_of("solver", {key.lower(): key for key in SOLVERS}.get(name.lower(), name), SOLVERS)]


__all__ = ["ORDERS", "SECOND_ORDER", "SOLVERS", "find"]
__all__ += list(PUBLIC)

__dir__ = __all__.copy  # what completion shows
share(*PUBLIC.values())
