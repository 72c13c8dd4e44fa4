"""EDICT against (11)-(18)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bdia_numerics.claims.as_printed import AS_PRINTED, MIXED, AsPrinted
from bdia_numerics.claims.formal import Formal, equal, symbols, vectors
from bdia_numerics.claims.ledger import CheckFailed, check
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.program import NotInvertibleError, inverse_latex
from bdia_numerics.solvers import EDICT
from bdia_numerics.spaces import Vector

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


def _edict_inverse(solver: Any) -> tuple[Formal, Any, dict[str, Vector], dict[str, Vector]]:
    """Return what the derived inverse gives from (z_{i-1}, y_{i-1}), and those states."""
    f, (z0, y0), (p,) = Formal(1), vectors("z_0", "y_0"), symbols("p")
    after = {"z": z0, "y": y0}
    found = f.undo(solver(p), after)
    for name, value in f.step(solver(p), found).items():
        equal(value, after[name], f"step after undo, {name}")
    try:
        f.undo(solver(0), after)
    except NotInvertibleError:
        return f, p, found, after
    raise CheckFailed("p = 0 was not refused")


def _printed_edict_inverse(f: Formal, p: Any, after: dict[str, Vector]) -> dict[str, Vector]:
    """(15)-(18), with (16) and (18) as they should read."""
    y_inter = (after["y"] - (1 - p) * after["z"]) / p
    z_inter = (after["z"] - (1 - p) * y_inter) / p
    y1 = (y_inter - f.b(1) * f.eps(z_inter, 1)) / f.a(1)
    return {"y": y1, "z": (z_inter - f.b(1) * f.eps(y1, 1)) / f.a(1)}


@check("eq-15", "eq-17", verdict="proved", mutants=EDICT_MUTANTS)
def edict_inverse(solver: Any = EDICT) -> dict[str, Any]:
    """(15) and (17) are the derived inverse."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["y"], _printed_edict_inverse(f, p, after)["y"], "(15)-(17)")
    return {"inverse": inverse_latex(EDICT())}


@check(
    "eq-16",
    verdict="misprint",
    mutants={
        **EDICT_MUTANTS,
        "the published text corrected": {"reading": AS_PRINTED["eq-16"].corrected},
        "the right form spoilt": {"reading": lambda: replace(AS_PRINTED["eq-16"], run=_spoilt)},
    },
)
def edict_inverse_16(solver: Any = EDICT, reading: AsPrinted = AS_PRINTED["eq-16"]) -> dict[str, Any]:
    """(16), with the right subscript, is the derived inverse; as printed it does not undo the step."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["z"], _printed_edict_inverse(f, p, after)["z"], "(16) and (18)")
    return {"mixed": MIXED, "seen": reading.seen()}


def _spoilt(printed: bool, n: int) -> float:
    """Run the published form in both cases."""
    return AS_PRINTED["eq-16"].run(True, n)


@check(
    "eq-18",
    verdict="misprint",
    mutants={**EDICT_MUTANTS, "the published text corrected": {"reading": AS_PRINTED["eq-18"].corrected}},
)
def edict_inverse_18(solver: Any = EDICT, reading: AsPrinted = AS_PRINTED["eq-18"]) -> dict[str, Any]:
    """(18), with z_i for x_i, is the derived inverse."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["z"], _printed_edict_inverse(f, p, after)["z"], "(16) and (18)")
    return {"seen": reading.seen()}
