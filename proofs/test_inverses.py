"""The inverses of BDIA, EDICT and CBDIA: (33), (15)-(18) and (47)-(50).

Statement. The program of each solver takes its registers from t_i to t_{i-1}. The printed formulas give them back, exactly for any eps, any
alpha and sigma and symbolic parameters, where a condition holds: gamma != 0, p != 0, gamma_1 != gamma_2.

Proof, the same for each: the library derives the inverse from the program, by solving each line for the register that it overwrote. On
symbols it is compared with the printed formula, coefficient by coefficient; the step is run on what it gives, and must return the registers
that it was given; and where the condition fails, it must be refused. Times 2, 1, 0 stand for i+1, i, i-1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy

from bdia_numerics.claims.as_printed import AS_PRINTED, MIXED, AsPrinted
from bdia_numerics.claims.equations import BDIA_MUTANTS, CBDIA_MUTANTS, EDICT_MUTANTS
from bdia_numerics.claims.formal import Formal, equal, symbols, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, mutant, require
from bdia_numerics.program import NotInvertibleError, Recorder, inverse_latex, invertibility
from bdia_numerics.solvers import BDIA, CBDIA, EDICT
from bdia_numerics.spaces import Vector


class _EvaluatesTooLate:
    """A program whose structure must be refused: eps, taken at the old z, is used after z was overwritten."""

    registers = ("z_prev", "z")

    def __init__(self, gamma: Any = 1) -> None:
        self.gamma = gamma

    def step(self, s: Recorder) -> None:
        z_prev, z = s.registers
        e = s.eps(z)
        s.assign(z, z + s.value(self.gamma) * z_prev, at=s.i - 1)
        s.assign(z_prev, z_prev + e, at=s.i)


_TWO_ASSIGNMENTS = (
    (
        "        s.swap(z_prev, z)",
        "        s.assign(z_prev, (2 * g - 1) * z_prev)\n        s.assign(z_prev, z_prev / (2 * g - 1))\n        s.swap(z_prev, z)",
    ),
)


@check(
    "eq-33",
    verdict="proved",
    mutants={
        **BDIA_MUTANTS,
        "eps used after its state is gone": {"solver": lambda: _EvaluatesTooLate},
        "another condition": {"solver": mutant(BDIA, *_TWO_ASSIGNMENTS)},
    },
)
def bdia_inverse(solver: Any = BDIA) -> dict[str, Any]:
    """(33) is the derived inverse, and it undoes the step both ways."""
    p, (z2, z1, z0), g = Formal(2), vectors("z_2", "z_1", "z_0"), sympy.Symbol("gamma")
    before, after = {"z_prev": z2, "z": z1}, {"z_prev": z1, "z": z0}
    found, e = p.undo(solver(g), after), p.eps(z1, 1)
    printed = z0 / g - (p.a(1) * z1 + p.b(1) * e) / g + (z1 / p.a(2) - p.b(2) / p.a(2) * e)
    equal(found["z_prev"], printed, "(33)")
    equal(found["z"], z1, "z_i")
    for name, value in p.undo(solver(g), p.step(solver(g), before)).items():
        equal(value, before[name], f"undo after step, {name}")
    for name, value in p.step(solver(g), found).items():
        equal(value, after[name], f"step after undo, {name}")
    conditions = invertibility(solver()).condition
    require(conditions == (g,), f"the program's condition is that {conditions} do not vanish, not that gamma does not")
    try:
        p.undo(solver(0), after)
    except NotInvertibleError:
        return {"inverse": inverse_latex(solver())}
    raise CheckFailed("gamma = 0 was not refused")


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


@check("eq-47", "eq-48", "eq-49", "eq-50", verdict="proved", mutants=CBDIA_MUTANTS)
def cbdia_inverse(solver: Any = CBDIA) -> None:
    """(47)-(50) are the derived inverse."""
    f, (z0, y0) = Formal(1), vectors("z_0", "y_0")
    g1, g2 = symbols("gamma_1", "gamma_2")
    after = {"z": z0, "y": y0}
    found = f.undo(solver(g1, g2), after)
    v = (g1 * y0 - g2 * z0) / (g1 - g2)
    w = ((1 - g1) * y0 - (1 - g2) * z0) / (g2 - g1)
    y1 = v + f.backward(1, w)
    equal(found["y"], y1, "(47)-(49)")
    equal(found["z"], w - f.forward(1, y1), "(50)")
    for name, value in f.step(solver(g1, g2), found).items():
        equal(value, after[name], f"step after undo, {name}")
    try:
        f.undo(solver(g1, g1), after)
    except NotInvertibleError:
        return
    raise CheckFailed("gamma_1 = gamma_2 was not refused")


# A check raises CheckFailed where its statement does not hold; that each can fail, its mutants show (test_claims.py).
def test_bdia() -> None:
    bdia_inverse()


def test_edict() -> None:
    edict_inverse()
    edict_inverse_16()
    edict_inverse_18()


def test_cbdia() -> None:
    cbdia_inverse()
