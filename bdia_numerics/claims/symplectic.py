"""Fact 8: the determinant and the symplectic structure of BDIA's two-step map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis import step_determinants, symplectic_defect
from bdia_numerics.claims.formal import Formal, for_every_slot, symbols, vectors
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces.later import sympy

_CURL = np.array([[0.0, 0.1, 0.2], [-0.1, 0.0, 0.05], [-0.2, -0.05, 0.0]])


def defect_factor(a: Any, b: Any, g: Any) -> Any:
    """Return b_i + gamma b_{i+1}/a_{i+1}, on slots named 1 and 2 as a(1) = a_i, a(2) = a_{i+1}."""
    return b(1) + g * b(2) / a(2)


_FORM_MUTANTS = {
    "a dropped": {"factor": mutant(defect_factor, ("b(2) / a(2)", "b(2)"))},
    "gamma dropped": {"factor": mutant(defect_factor, ("g * b(2)", "b(2)"))},
    "next slot for the previous one": {"factor": mutant(defect_factor, ("b(2) / a(2)", "b(1) / a(1)"))},
}


@check(
    "fact-8",
    verdict="refuted",
    mutants={
        **_FORM_MUTANTS,
        "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
        "another gamma at the oldest state": {"solver": mutant(BDIA, ("z_prev - (1 - g)", "z_prev - (1 - g * g)"))},
        "forward increment dropped": {"solver": mutant(BDIA, (" + forward", ""))},
    },
)
def bdia_is_conformally_symplectic(solver: Any = BDIA, factor: Callable[..., Any] = defect_factor) -> dict[str, Any]:
    """Determinant, conformal factor and defect, by blocks in any dimension; the library's numbers agree."""
    p, (g,) = Formal(2), symbols("gamma")
    for_every_slot(solver(g))
    z2, z1 = vectors("z_2", "z_1")
    after = p.step(solver(g), {"z_prev": z2, "z": z1})
    require(after["z_prev"].terms == {"z_1": 1}, "the step does not hand z_i on")
    (e,) = p.eps(z1, 1).terms
    strangers = set(after["z"].terms) - {"z_2", "z_1", e}
    require(not strangers, f"the step uses {strangers}, so its Jacobian has other blocks")
    own, middle, slope = (after["z"].coefficient(name) for name in ("z_2", "z_1", e))
    E, Et = sympy.symbols("E E_T", commutative=False)  # d eps/dz and its transpose, of any size
    M, Mt = _blocks(0, 1, own, middle + slope * E), _blocks(0, own, 1, middle + slope * Et)
    form = _blocks(0, 1, -1, 0)
    got = _times(_times(Mt, form), M)
    defect = factor(p.a, p.b, g)
    for (i, j), value in got.items():
        wanted = -g * form[i, j] + (defect * (E - Et) if (i, j) == (1, 1) else 0)
        require(_is_zero(value - wanted), f"block {i}{j} of M^T Omega M + gamma Omega should be {wanted}, is {value}")
    # M is the exchange of the two registers after a block triangular matrix with gamma I and I on its diagonal.
    split = _times(_blocks(0, 1, 1, 0), _blocks(own, middle + slope * E, 0, 1))
    require(all(_is_zero(split[k] - M[k]) for k in M), "M is not an exchange of registers times a triangular matrix")
    require(_is_zero(own - g), f"the oldest state enters with {own}")
    found = step_determinants(solver(g), grids.symbolic(3))
    require(found == (-g, -g), f"the determinants are the powers of {found}, not of -gamma")
    level, planted = _measured(solver, factor)
    return {"level": level, "planted": planted}


def _blocks(a: Any, b: Any, c: Any, d: Any) -> dict[tuple[int, int], Any]:
    return {(0, 0): sympy.sympify(a), (0, 1): sympy.sympify(b), (1, 0): sympy.sympify(c), (1, 1): sympy.sympify(d)}


def _times(left: dict[tuple[int, int], Any], right: dict[tuple[int, int], Any]) -> dict[tuple[int, int], Any]:
    return {(i, j): sum(left[i, k] * right[k, j] for k in (0, 1)) for i in (0, 1) for j in (0, 1)}


def _is_zero(value: Any) -> bool:
    """Decide whether a polynomial in E and E^T vanishes, monomial by monomial."""
    parts: dict[Any, Any] = {}
    for term in sympy.Add.make_args(sympy.expand(value)):
        commuting, word = term.args_cnc()
        parts[tuple(word)] = parts.get(tuple(word), 0) + sympy.Mul(*commuting)
    return all(sympy.cancel(sympy.together(c)) == 0 for c in parts.values())


def _measured(solver: Any, factor: Callable[..., Any]) -> tuple[float, float]:
    """Return the library's defect on an exact score, and its distance from the closed form with a planted curl."""
    law = GaussianMixture([0.4, 0.6], [[-1.0, 0.0, 0.3], [1.5, 0.2, -1.0]], [0.3, 0.4])
    schedule, g = schedules.vp_linear(), 0.5
    grid, exact = grids.uniform(schedule, 5, t_min=0.01), law.model(schedule)
    z = np.random.default_rng(0).standard_normal((4, 3))
    level = float(symplectic_defect(solver(g), exact, grid, z).defects.max())
    # Differences of fourth order leave eps^(4/5) = 3e-13 of the slope; five slots have coefficients below 10.
    require(level < 1e-10, f"the defect of an exact score is {level:.1e}")
    curled = symplectic_defect(solver(g), lambda x, t: exact(x, t) + x @ _CURL.T, grid, z)
    misses = []
    for defect, i in zip(curled.defects, curled.slots, strict=True):
        a, b = zip(*(_slot(grid, j) for j in (i, i + 1)), strict=True)
        closed = abs(factor(lambda k, a=a: a[k - 1], lambda k, b=b: b[k - 1], g)) * np.linalg.norm(2 * _CURL)
        misses.append(float(np.abs(defect / closed - 1).max()))
    require(max(misses) < 1e-9, f"with a planted curl the defect differs from the closed form by {max(misses):.1e}")
    return level, max(misses)


def _slot(grid: Any, i: int) -> tuple[float, float]:
    """Return a_i and b_i."""
    a = grid.alpha[i - 1] / grid.alpha[i]
    return a, grid.sigma[i - 1] - grid.sigma[i] * a
