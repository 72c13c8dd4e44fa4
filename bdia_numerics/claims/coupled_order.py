"""Facts 12 and 13: stability, order and error constants of EDICT and CBDIA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import schedules
from bdia_numerics.analysis import step_determinants, symbolic_order
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.bdia_order import Z, law
from bdia_numerics.claims.cbdia import CBDIA_MUTANTS
from bdia_numerics.claims.edict import EDICT_MUTANTS
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, symbols, vectors
from bdia_numerics.claims.leading_errors import Array, alternating, errors, in_asinh
from bdia_numerics.claims.ledger import check, printed, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT, McCallumFoster
from bdia_numerics.spaces.later import sympy

STEPS = (40, 80)
State = Mapping[str, Array]
_READINGS: dict[str, Callable[[State], Array]] = {
    "z": lambda r: r["z"],
    "y": lambda r: r["y"],
    "mean": lambda r: (r["z"] + r["y"]) / 2,
}


def _eigenvalues(solver: Any, parasitic: Any, scale: Callable[[Any], Any]) -> None:
    """Require the difference of the states to be carried by parasitic times scale(a_i), and both states to keep a common value."""
    for_every_slot(solver)
    p, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    got = solve(solver, lambda x, t: 0 * x, p.grid, z1, start={"z": z1, "y": y1}).state
    assert got is not None
    apart = got.registers["z"] - got.registers["y"]
    factor, rest = apart.coefficient("z_1"), apart.coefficient("z_1") + apart.coefficient("y_1")
    require(sympy.cancel(rest) == 0, f"the difference of the states takes up {rest} of a common value")
    miss = sympy.cancel(factor - parasitic * scale(p.a(1)))
    require(miss == 0, f"the difference of the states is carried by {sympy.factor(factor)}")


def _shares(solver: Any, reading: Callable[[State], Array], steps: Callable[[int], Array]) -> tuple[float, float]:
    """Return the error over that of DDIM (projected, with sign, extrapolated), and the order between the last two numbers of steps."""
    schedule, ratios, sizes = schedules.vp_linear(), [], []
    for n in STEPS:
        grid = in_asinh(schedule, steps(n), 0.5, 0.15)
        plain = errors(law(), schedule, DDIM(), Z, grid)
        found = errors(law(), schedule, solver, Z, grid, reading=reading)
        ratios.append(float(plain @ found / (plain @ plain)))
        sizes.append(rms(found))
    return 2 * ratios[1] - ratios[0], float(np.log2(sizes[0] / sizes[1]))


def _require(found: tuple[float, float], share: float | None, order: int, what: str) -> str:
    limit, slope = found
    require(abs(slope - order) < 0.35, f"{what}: order {slope:.2f}, not {order}")
    if share is not None:
        require(abs(limit - share) < 0.01, f"{what}: {limit:.4f} of the error of DDIM, not {share:.4f}")
    return (
        f"{what} {round(limit, 3) + 0.0:.3f}"
        + (f" ({share:.3f})" if share is not None else "")
        + f", order {slope:.2f}"
    )


_TOLD = ("end if self.shifted else s.i", "s.i")


@check(
    "fact-12",
    verdict="measured",
    mutants={
        "second evaluation at the old state": EDICT_MUTANTS["second evaluation at the old state"],
        "p and 1 - p exchanged in one mixing": EDICT_MUTANTS["p and 1 - p exchanged in one mixing"],
        "index i where i-1 is asked for": {"solver": mutant(EDICT, _TOLD)},
        "weights of the mean exchanged": {"mean": lambda: lambda p, z, y: (z + p * y) / (1 + p)},
    },
)
def edict_order(
    solver: Any = EDICT, mean: Callable[[Any, Any, Any], Any] = lambda p, z, y: (p * z + y) / (1 + p)
) -> dict[str, Any]:
    """Eigenvalues, determinant, conserved mean, orders and error constants of EDICT, with (12) at either index."""
    (p,), (z1, y1) = symbols("p"), vectors("z_1", "y_1")
    f = Formal(1)
    for shifted in (False, True):
        made = solver(p, shifted=shifted)
        _eigenvalues(made, p**2, lambda a: a)
        (determinant,) = step_determinants(made, f.grid)
        require(sympy.cancel(determinant - (p * f.a(1)) ** 2) == 0, f"the determinant is {determinant}")
        got = f.step(made, {"z": z1, "y": y1})
        first = f.a(1) * z1 + f.b(1) * f.eps(y1, 1)
        second = f.a(1) * y1 + f.b(1) * f.eps(first, 0 if shifted else 1)
        equal(mean(p, got["z"], got["y"]), mean(p, first, second), "the mean before and after the mixing")
    expanded, last = symbolic_order(solver(p, shifted=True)), symbolic_order(solver(1, shifted=True))
    ratio = expanded.ddim_ratio  # None where the error has another derivative than DDIM's
    require(ratio is not None and sympy.cancel(ratio + (1 - p) / (1 + p)) == 0, f"index i-1: {ratio} of DDIM's error")
    found = (symbolic_order(solver(p)).order, *last.register_orders.values())
    require(found == (1, 1, 1), f"orders as printed, and of z and y at p = 1 with index i-1: {found}")
    lines = [_require(_shares(solver(Fraction(1, 2)), _READINGS["z"], np.ones), None, 1, "p = .5, (12) as printed, z")]
    for q in (Fraction(4, 5),):
        share = -float((1 - q) / (1 + q))
        conserved = _shares(solver(q, shifted=True), lambda r, q=float(q): mean(q, r["z"], r["y"]), np.ones)  # type: ignore[misc]
        lines.append(_require(conserved, share, 1, f"p = {float(q)}, index i-1, mean"))
    middle = _READINGS["mean"]
    as_printed = _shares(solver(1), middle, np.ones)
    lines.append(_require(as_printed, None, 1, "p = 1, as printed, mean"))
    printed(as_printed[0], "1.37")
    lines.append(_require(_shares(solver(1, shifted=True), _READINGS["z"], np.ones), None, 1, "p = 1, index i-1, z"))
    lines.append(_require(_shares(solver(1, shifted=True), middle, np.ones), 0, 2, "p = 1, index i-1, mean"))
    return {"lines": "; ".join(lines)}


_CASES = (
    (0.5, 0.8, np.ones, "z"),
    (0.8, 0.5, alternating, "y"),
    (0.3, 0.7, np.ones, "z"),
    (0.3, 0.7, alternating, "z"),
)


@check(
    "fact-13",
    verdict="measured",
    mutants={
        **CBDIA_MUTANTS,
        "gammas exchanged": {"solver": lambda: lambda g1, g2: CBDIA(g2, g1)},
        "forward increment at z": {"solver": mutant(CBDIA, ("y, s.eps(y)", "z, s.eps(z)"))},
    },
)
def cbdia_order(solver: Any = CBDIA) -> dict[str, Any]:
    """Eigenvalue and determinant, the special cases, orders and error constants of CBDIA."""
    g1, g2 = symbols("gamma_1", "gamma_2")
    p, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    _eigenvalues(solver(g1, g2), g1 - g2, lambda a: 1 / a)
    (determinant,) = step_determinants(solver(g1, g2), p.grid)
    require(sympy.cancel(determinant - (g1 - g2)) == 0, f"the determinant is {determinant}")
    before = {"z": z1, "y": y1}
    coupled = p.step(McCallumFoster(1), before)
    for name, value in p.step(solver(1, 0), before).items():
        equal(value, coupled[name], f"CBDIA (1, 0) and McCallum-Foster, {name}")
    expanded, double = symbolic_order(solver(g1, g2)), symbolic_order(solver(1, 0))
    ratio = expanded.ddim_ratio  # None where the error has another derivative than DDIM's
    same = ratio is not None and sympy.cancel(ratio - (g1 + g2 - 1) / (1 - g1 + g2)) == 0
    require(same, f"the error over DDIM's is {ratio}")
    require(tuple(double.register_orders.values()) == (1, 1), f"(1, 0): {double.register_orders}")
    lines = list(_measured(solver))
    return {"lines": "; ".join(lines)}


def _measured(solver: Any) -> Iterator[str]:
    for a, b, steps, name in _CASES:
        share = (a + b - 1) / (1 - a + b)
        order = 2 if share == 0 else 1
        yield _require(
            _shares(solver(a, b), _READINGS[name], steps),
            share,
            order,
            f"({a}, {b}) {'uniform' if steps is np.ones else 'alternating'}, {name}",
        )
    odd = _shares(solver(0, 1), _READINGS["y"], alternating)
    same = _shares(BDIA(1), lambda r: r["z"], alternating)
    require(abs(odd[0] - same[0]) < 1e-9, f"(0, 1) has {odd[0]} of DDIM's error, BDIA at gamma = 1 {same[0]}")
    yield _require(odd, None, 1, "(0, 1) alternating, y")
    yield _require(_shares(solver(0, 1), _READINGS["mean"], alternating), 0, 2, "(0, 1) alternating, mean")
    yield _require(_shares(solver(1, 0), _READINGS["z"], np.ones), None, 1, "(1, 0) uniform, z")
    yield _require(_shares(solver(1, 0), _READINGS["mean"], np.ones), 0, 2, "(1, 0) uniform, mean")
