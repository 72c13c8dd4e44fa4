"""The solvers: one file a family, mathematics only. A new one is tested by being listed in SOLVERS."""

from __future__ import annotations

from bdia_numerics.solvers.bdia import BDIA
from bdia_numerics.solvers.cbdia import CBDIA
from bdia_numerics.solvers.ddim import DDIM
from bdia_numerics.solvers.edict import EDICT

SOLVERS = {
    "DDIM": DDIM,
    "BDIA": BDIA,
    "EDICT": EDICT,
    "CBDIA": CBDIA,
}

__all__ = ["BDIA", "CBDIA", "DDIM", "EDICT", "SOLVERS"]
