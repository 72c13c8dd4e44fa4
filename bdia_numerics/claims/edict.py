"""EDICT against (11)-(18)."""

from __future__ import annotations

from typing import Any

from bdia_numerics.claims.formal import Formal, equal, symbols, vectors
from bdia_numerics.claims.ledger import check
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.solvers import EDICT

EDICT_MUTANTS = {
    "second evaluation at the old state": {
        "solver": mutant(EDICT, ("s.eps(first, at=end if self.shifted else s.i)", "s.eps(second)"))
    },
    "p and 1 - p exchanged in one mixing": {"solver": mutant(EDICT, ("p * y + (1 - p) * z", "(1 - p) * y + p * z"))},
    "second evaluation at t_{i-1}": {"solver": mutant(EDICT, ("end if self.shifted else s.i", "end"))},
}


@check("eq-11", "eq-12", "eq-13", "eq-14", verdict="definition", mutants=EDICT_MUTANTS)
def edict_step(solver: Any = EDICT) -> None:
    """The EDICT program is (11)-(14)."""
    f, (z1, y1), (p,) = Formal(1), vectors("z_1", "y_1"), symbols("p")
    got = f.step(solver(p), {"z": z1, "y": y1})
    z_inter = f.a(1) * z1 + f.b(1) * f.eps(y1, 1)
    y_inter = f.a(1) * y1 + f.b(1) * f.eps(z_inter, 1)
    z0 = p * z_inter + (1 - p) * y_inter
    equal(got["z"], z0, "(11)-(13)")
    equal(got["y"], p * y_inter + (1 - p) * z0, "(14)")
