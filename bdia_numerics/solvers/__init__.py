"""The solvers: one file a family, mathematics only. A new one is tested by being listed in SOLVERS."""

from __future__ import annotations

from bdia_numerics.solvers.bdia import BDIA
from bdia_numerics.solvers.ddim import DDIM

SOLVERS = {
    "DDIM": DDIM,
    "BDIA": BDIA,
}

__all__ = ["BDIA", "DDIM", "SOLVERS"]
