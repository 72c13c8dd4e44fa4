"""Theorems over boxes of initial states, by ball arithmetic on the imported solvers and the exact flow."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from bdia_numerics import grids, problems, schedules
from bdia_numerics.analysis import Comparison, certify_better, enclose_error
from bdia_numerics.claims.ledger import LeftOpen, Skipped, check, mutant, mutate, require
from bdia_numerics.grids import Grid
from bdia_numerics.solvers import BDIA, DDIM

SLOTS = 10
BOX = (Fraction(1, 2), Fraction(3))
CROSSING = (Fraction(-2), Fraction(2))


def law() -> problems.GaussianMixture:
    """Return 1/4 N(-1, 1/4) + 3/4 N(1, 1/4)."""
    quarter = Fraction(1, 4)
    return problems.GaussianMixture([quarter, 3 * quarter], [[-1], [1]], [quarter, quarter])


def grid(n: int) -> Grid:
    """Return n equal steps of t from 1 to 1/100, linear VP schedule."""
    return grids.uniform(schedules.vp_linear(), n, t_max=1, t_min=Fraction(1, 100))


def compared(a: Any, b: Any, box: Any, **options: Any) -> Comparison:
    """Return the comparison of two solvers on the distribution and the grid of the claims."""
    try:
        return certify_better(a, b, law(), grid(SLOTS), box, **options)
    except ImportError as error:
        raise Skipped(str(error)) from None


def _without_eps() -> Any:
    bare = mutate(DDIM, ("z, s.eps(z)", "z, 0 * s.eps(z)"))
    return type("WithoutEps", (BDIA,), {"starter": bare()})


@check(
    "enclosure-1",
    verdict="proved",
    extra="balls",
    mutants={
        "sign of the backward increment": {"better": mutant(BDIA, ("- g * backward", "+ g * backward"))},
        "start without eps": {"better": _without_eps},
        "gamma dropped from the increment": {
            "better": lambda: lambda g: mutate(BDIA, ("g * backward", "backward"))(g / 2)
        },
        "eps at the older state": {
            "better": mutant(BDIA, ("s.value(self.gamma), s.eps(z)", "s.value(self.gamma), s.eps(z_prev)"))
        },
        "gamma near 0": {"better": lambda: lambda gamma: BDIA(gamma / 8)},
        "the solvers exchanged": {"better": lambda: lambda gamma: DDIM(), "worse": lambda: lambda: BDIA(1)},
    },
)
def bdia_is_nearer(better: Callable[..., Any] = BDIA, worse: Callable[[], Any] = DDIM) -> dict[str, Any]:
    """From every state of an interval BDIA ends nearer to the exact flow than half of DDIM's distance."""
    found = compared(better(Fraction(1)), worse(), BOX, factor=Fraction(1, 2), budget=200)
    if found.verdict == "undecided":
        raise LeftOpen(_failure(found))
    require(found.verdict == "proved", _failure(found))
    covered = sum(high - low for ((low, high),) in found.pieces)
    require(covered == BOX[1] - BOX[0], f"the pieces cover {covered} of {BOX[1] - BOX[0]}")
    alone = compared(better(Fraction(1)), worse(), BOX, factor=Fraction(1, 2), budget=12, form="natural")
    require(
        alone.verdict == "undecided" and not alone.pieces,
        "balls without derivatives decide it, too: reword the evidence",
    )
    return {"pieces": len(found.pieces), "found": found}


@check(
    "enclosure-2",
    verdict="proved",
    extra="balls",
    mutants={
        "the interval to the left of it": {"box": lambda: (Fraction(-2), Fraction(-1))},
        "gamma = 0, which is DDIM": {"better": lambda: lambda: BDIA(0)},
        "an interval on which BDIA is nearer": {"box": lambda: BOX},
    },
)
def ddim_is_nearer_somewhere(
    better: Callable[[], Any] = BDIA, worse: Callable[[], Any] = DDIM, box: Any = CROSSING
) -> dict[str, Any]:
    """There is a state from which DDIM ends nearer."""
    found = compared(better(), worse(), box, budget=40)
    witness = found.witness
    if found.verdict == "undecided":
        raise LeftOpen(_failure(found))
    require(found.verdict == "refuted" and witness is not None and witness.error_a > witness.error_b, _failure(found))
    assert witness is not None
    zero = [enclose_error(worse(), law(), grid(SLOTS), (state, state)).error[0] for state in box]
    require(zero[0] > 0 and zero[1] < 0, f"the error of DDIM does not change sign between {box[0]} and {box[1]}")
    return {"witness": witness, "bdia": witness.error_a.str(8), "ddim": witness.error_b.str(8), "box": box}


def _failure(found: Comparison) -> str:
    if found.witness is None:
        return f"{found.verdict} after {found.evaluated} pieces"
    where = ", ".join(map(str, found.witness.state))
    return f"{found.verdict}: from z_N = {where} the errors are {found.witness.error_a.str(6)} and {found.witness.error_b.str(6)}"
