"""CBDIA against (43)-(50) and (60)-(63)."""

from __future__ import annotations

from typing import Any

from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted, MisprintedCBDIA
from bdia_numerics.claims.formal import Formal, equal, symbols, vectors
from bdia_numerics.claims.ledger import check
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.solvers import CBDIA
from bdia_numerics.spaces import Vector

CBDIA_MUTANTS = {
    "backward increment added": {"solver": mutant(CBDIA, ("y - s.delta(end", "y + s.delta(end"))},
    "ends of the backward increment exchanged": {
        "solver": mutant(CBDIA, ("s.delta(end, s.i, z", "s.delta(s.i, end, z"))
    },
    "weights of the mixing exchanged": {
        "solver": mutant(CBDIA, ("z: g1 * z + (1 - g1) * y", "z: (1 - g1) * z + g1 * y"))
    },
}


@check(
    "eq-43",
    "eq-44",
    verdict="proved",
    mutants={**CBDIA_MUTANTS, "the published text corrected": {"reading": AS_PRINTED["eq-43"].corrected}},
)
def cbdia_lines(solver: Any = CBDIA, reading: AsPrinted = AS_PRINTED["eq-43"]) -> dict[str, Any]:
    """(43) and (44) in their right form are the CBDIA program."""
    _is_cbdia(solver)
    return {"seen": reading.seen()}


def _is_cbdia(solver: Any) -> None:
    f, z1, y1, w, v = _cbdia_parts()
    g1, g2 = symbols("gamma_1", "gamma_2")
    got = f.step(solver(g1, g2), {"z": z1, "y": y1})
    equal(got["z"], g1 * w + (1 - g1) * v, "z, (45)")
    equal(got["y"], g2 * w + (1 - g2) * v, "y, (46)")


_WRONG_PRINT = ("+ s.sigma(s.i) * e", "- s.sigma(s.i) * e")


@check(
    "eq-61",
    verdict="misprint",
    mutants={
        **CBDIA_MUTANTS,
        "the published text corrected": {"reading": AS_PRINTED["eq-61"].corrected},
        "another print": {"printed": mutant(MisprintedCBDIA, _WRONG_PRINT)},
    },
)
def cbdia_backward_line(
    solver: Any = CBDIA, printed: Any = MisprintedCBDIA, reading: AsPrinted = AS_PRINTED["eq-61"]
) -> dict[str, Any]:
    """(61) in its right form is the CBDIA program; as printed it does not converge where alpha varies."""
    _is_cbdia(solver)
    f, z1, y1, w, _ = _cbdia_parts()
    v = y1 - (f.sigma(1) - f.sigma(0)) * f.eps(w, 0)  # what is left of (61) as printed, where alpha_{i-1} cancels
    equal(f.step(printed(0, 1), {"z": z1, "y": y1})["z"], v, "(61) as printed")
    return {"seen": reading.seen()}


def _cbdia_parts() -> tuple[Formal, Vector, Vector, Vector, Vector]:
    f, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    w = z1 + f.forward(1, y1)
    return f, z1, y1, w, y1 - f.backward(1, w)


@check("eq-45", "eq-46", "eq-62", "eq-63", verdict="definition", mutants=CBDIA_MUTANTS)
def cbdia_mixing(solver: Any = CBDIA) -> None:
    """The mixing of the CBDIA program."""
    _is_cbdia(solver)


@check(
    "eq-60",
    verdict="proved",
    mutants={"eps of the other state": {"solver": mutant(CBDIA, ("y, s.eps(y)", "y, s.eps(z)"))}},
)
def cbdia_forward_part(solver: Any = CBDIA) -> None:
    """(60): with g1 = 1 the step's z is w."""
    f, z1, y1, _, _ = _cbdia_parts()
    e = f.eps(y1, 1)
    got = f.step(solver(1, 0), {"z": z1, "y": y1})["z"]
    equal(got, z1 + f.alpha(0) * ((y1 - f.sigma(1) * e) / f.alpha(1)) + f.sigma(0) * e - y1, "(60)")
