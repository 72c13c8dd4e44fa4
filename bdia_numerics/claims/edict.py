"""EDICT against (11)-(18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.claims.formal import Formal, equal, symbols, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.program import NotInvertibleError, inverse_latex
from bdia_numerics.run import solve
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
def edict_step(solver: Any = EDICT) -> str:
    """The EDICT program is (11)-(14)."""
    f, (z1, y1), (p,) = Formal(1), vectors("z_1", "y_1"), symbols("p")
    got = f.step(solver(p), {"z": z1, "y": y1})
    z_inter = f.a(1) * z1 + f.b(1) * f.eps(y1, 1)
    y_inter = f.a(1) * y1 + f.b(1) * f.eps(z_inter, 1)
    z0 = p * z_inter + (1 - p) * y_inter
    equal(got["z"], z0, "(11)-(13)")
    equal(got["y"], p * y_inter + (1 - p) * z0, "(14)")
    return "defines EDICT; the program, run on symbols over one slot, equals (11)-(14), for any eps."


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
def edict_inverse(solver: Any = EDICT) -> str:
    """(15) and (17) are the derived inverse."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["y"], _printed_edict_inverse(f, p, after)["y"], "(15)-(17)")
    return (
        "the inverse derived from the EDICT program gives y_i by (15), (16) (right form) and (17), coefficient by "
        "coefficient, for any eps, and the step undoes "
        f"it; the condition is p != 0: p = 0, which the paper's [0, 1] includes, is refused. Derived: "
        f"${inverse_latex(EDICT())}$"
    )


def round_trip_error(*, as_printed: bool, n: int = 10) -> float:
    """Return the largest error of z_N after EDICT and (15)-(18), with (16) right or as printed.

    A mixture of two Gaussians on the line, linear VP schedule, uniform grid, p = .93.
    """
    schedule, p = schedules.vp_linear(), 0.93
    grid = grids.uniform(schedule, n, t_min=0.01)
    model = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2]).model(schedule)
    start = np.random.default_rng(0).standard_normal((50, 1))
    end = solve(EDICT(), model, grid, start).state
    assert end is not None
    z, y, before = end.registers["z"], end.registers["y"], None
    for i in range(1, n + 1):
        a = grid.alpha[i - 1] / grid.alpha[i]
        b = grid.sigma[i - 1] - grid.sigma[i] * a
        y_inter = (y - (1 - p) * z) / p
        mixed_in = y_inter if before is None or not as_printed else before
        z_inter = (z - (1 - p) * mixed_in) / p
        y = (y_inter - b * model(z_inter, grid.t[i])) / a
        z, before = (z_inter - b * model(y, grid.t[i])) / a, y_inter
    return float(np.abs(z - start).max())


_PRINT_MUTANTS = {
    **EDICT_MUTANTS,
    "the print corrected": {
        "trip": mutant(round_trip_error, ("y_inter if before is None or not as_printed else before", "y_inter"))
    },
    "the right form spoilt": {"trip": mutant(round_trip_error, ("before is None or not as_printed", "before is None"))},
}


@check("eq-16", verdict="misprint", mutants=_PRINT_MUTANTS)
def edict_inverse_16(solver: Any = EDICT, trip: Callable[..., float] = round_trip_error) -> str:
    """(16), with the right subscript, is the derived inverse; as printed it does not undo the step."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["z"], _printed_edict_inverse(f, p, after)["z"], "(16) and (18)")
    right, printed = (trip(as_printed=as_printed) for as_printed in (False, True))
    require(right < 1e-12, f"(15)-(18) should return to rounding, not to {right:.1e}")
    require(printed > 1e-3, f"(16) as printed should miss, not by {printed:.1e}")
    return (
        "the right form is proved: the inverse derived from the program gives z_i by (15)-(18) with y_i^inter in "
        "(16), for any eps (the "
        "formula printed under (15) calls it y'_{i-1}, as it stands at t_{i-1}). Run on a Gaussian mixture with p = "
        ".93 and N = 10, "
        f"(15)-(18) return to {right:.0e}; with (16) as printed, y^inter taken from the slot undone before, they miss "
        f"by {printed:.2g}."
    )


@check("eq-18", verdict="misprint", mutants=EDICT_MUTANTS)
def edict_inverse_18(solver: Any = EDICT) -> str:
    """(18), with z_i for x_i, is the derived inverse."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["z"], _printed_edict_inverse(f, p, after)["z"], "(16) and (18)")
    return (
        "the right form is proved: the inverse derived from the program gives z_i by (15)-(18), for any eps; x_i, "
        "which is printed on the "
        "left of (18), occurs nowhere else in EDICT."
    )
