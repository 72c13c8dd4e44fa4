"""Multistep solvers: the paper's (64), (65) and remark 4, fact 10 on O-BELM, and second-order BDIA, eq. (29) and fact 15."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from itertools import accumulate
from typing import Any

import numpy as np

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import GridFamily, symbolic_order, zero_stability
from bdia_numerics.analysis.measurement.errors import exact_states, root_mean_square, run_from
from bdia_numerics.claims.bdia_order import require_order
from bdia_numerics.claims.equations import BRACE_MUTANT, braced, require_brace
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, require_same, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, mutant, require
from bdia_numerics.grids import Grid
from bdia_numerics.program import NotInvertibleError, Slot, invertibility, structure
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, BDIA2, BDIADEIS, BDIAPLMS, DDIM, OBELM, BDIADPMSolverPP, DPMSolverPP, Heun
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import sympy


@cache  # mutants of a check share most of their runs with it
def vp_errors(solver: Any, kind: str = "smooth", start: Any = "exact") -> tuple[float, float]:
    """Return errors of 80 and 160 steps, from exact starts unless another one is given: linear VP, t from 0.5 to 0.15."""
    law = names.distribution("mixture")

    def error(n: int) -> float:
        grid, truth = _vp_states(kind, n, structure(solver).depth)
        return root_mean_square(run_from(solver, law, grid, truth, start).z - truth[0])

    return error(80), error(160)


@cache  # a grid keeps the plans of its solvers, whatever their start
def _vp_grid(kind: str, n: int) -> Grid:
    return GridFamily(kind, schedules.vp_linear(), 0.5, 0.15, "log_snr")(n)


@cache
def _vp_states(kind: str, n: int, depth: int) -> tuple[Grid, Array]:
    """Return a grid with the exact states that a solver of so many first slots asks for."""
    grid = _vp_grid(kind, n)
    indices = [0, *range(n - depth, n)]
    return grid, exact_states(names.distribution("mixture"), grid, np.linspace(-2, 2, 5)[:, None], indices=indices)


def _gamma(slot: Slot) -> Any:
    """The gamma of O-BELM, fact 10."""
    return slot.next.alpha * slot.h**2 / (slot.previous.alpha * slot.previous.h**2)


@check(
    "fact-10",
    verdict="measured",
    mutants={
        "h not squared": {"solver": mutant(OBELM, ("(h / h_prev) ** 2", "h / h_prev"))},
        "steps exchanged": {"solver": mutant(OBELM, ("(h / h_prev) ** 2", "(h_prev / h) ** 2"))},
        "half the response": {"slow": lambda: Fraction(3, 16)},
    },
)
def obelm_is_bdia(solver: Any = OBELM, slow: Fraction = Fraction(3, 8)) -> dict[str, Any]:
    """O-BELM is BDIA with its gamma; its start on an alternating grid."""
    p, (z2, z1) = Formal(2), vectors("z_2", "z_1")
    for_every_slot(solver())
    before = {"z_prev": p.alpha(2) * z2, "z": p.alpha(1) * z1}
    got = p.step(solver(), before)["z"] / p.alpha(0)
    equal(got, p.step(BDIA(_gamma), before)["z"] / p.alpha(0), "O-BELM and BDIA")
    h, older = p.s(0) - p.s(1), p.s(1) - p.s(2)
    ratio = (h / older) ** 2
    for name, wanted in (("z_2", ratio), ("z_1", 1 - ratio)):
        require_same(got.coefficient(name), wanted, f"in y the weight of {name}")
    (e,) = p.eps(p.alpha(1) * z1, 1).terms
    require_same(got.coefficient(e), h + ratio * older, "in y the weight of eps")
    found = symbolic_order(solver())
    require(
        (found.order, found.order_rough, found.bounded_products) == (2, 2, True),
        f"orders {found.order_rough}, {found.order}",
    )
    # On steps h, 2h the differences of y are multiplied by -4 and -1/4 in turn: they come back after two steps.
    said = []
    for lengths, rate in (((2, 1), slow), ((1, 2), -4 * slow)):
        responses = {n: _response(solver(), n, lengths) for n in (20, 40, 80)}
        for n, found_there in responses.items():
            require(found_there == rate * n, f"first step {lengths[0]}: after {n} steps {found_there}, not {rate * n}")
        values = ", ".join(str(abs(x)) for x in responses.values())
        said.append(f"{abs(rate)} N with the first step {'2h' if lengths[0] == 2 else 'h'} ({values})")
    orders = [
        require_order(*vp_errors(solver(), "alternating", start), order, f"{start!r} as start", 0.25)
        for start, order in ((DDIM(), 1), (Heun(), 2))
    ]
    return {"said": " and ".join(said), "orders": orders}


def _response(solver: Any, n: int, lengths: tuple[int, int]) -> Fraction:
    """Return the response to a perturbed start after n steps, an even number, whose lengths alternate in sampling order."""
    s = list(accumulate((lengths[1 - k % 2] for k in range(n)), initial=Fraction(0)))
    grid = grids.from_values(s, [Fraction(1)] * (n + 1), s)
    zero, one = (np.array([Fraction(k)], dtype=object) for k in (0, 1))
    return solve(solver, lambda z, t: 0 * z, grid, zero, start=[one]).z[0]


@check(
    "eq-64",
    verdict="definition",
    mutants={"history of the wrong state": {"solver": mutant(DPMSolverPP, ("(x, *older)", "(*older, x)"))}},
)
def dpm_solver_pp(solver: Any = DPMSolverPP) -> None:
    """The 2M program is the published update."""
    p, (z1, x2) = Formal(2), vectors("z_1", "x_2")
    got = p.step(solver(2), {"z": z1, "x_1": x2})["z"]
    x1 = (z1 - p.sigma(1) * p.eps(z1, 1)) / p.alpha(1)
    h, h_prev = sympy.log(p.s(1) / p.s(0)), sympy.log(p.s(2) / p.s(1))
    data = x1 + h / (2 * h_prev) * (x1 - x2)
    # e^{-h} = s_0/s_1
    right = p.sigma(0) / p.sigma(1) * z1 - p.alpha(0) * (p.s(0) / p.s(1) - 1) * data
    difference = got - right
    for name, c in difference.terms.items():
        require(sympy.simplify(sympy.expand_log(c, force=True)) == 0, f"2M: {name} differs by {c}")


_PLUS = "over_previous_slot(s, self.gamma, z_prev, z, forward)"
_BDIA_PLUS_MUTANTS = {
    "forward increment negated": {"solver": mutant(BDIADPMSolverPP, (_PLUS, _PLUS.replace("forward", "-forward")))},
    "z_i not subtracted": {"solver": mutant(BDIADPMSolverPP, ("weights) - z", "weights)"))},
}


@check("eq-65", verdict="proved", mutants=_BDIA_PLUS_MUTANTS)
def bdia_dpm_solver_pp(solver: Any = BDIADPMSolverPP) -> dict[str, Any]:
    """The program is (65), and its inverse is refused."""
    p, (z2, z1), g = Formal(2), vectors("z_2", "z_1"), sympy.Symbol("gamma")
    got = p.step(solver(g), {"z_prev": z2, "z": z1})["z"]
    x2 = (z2 - p.sigma(2) * p.eps(z2, 2)) / p.alpha(2)
    ahead = p.step(DPMSolverPP(2), {"z": z1, "x_1": x2})["z"]
    equal(got, z2 + (1 - g) * (z1 - z2) - g * p.backward(2, z1) + (ahead - z1), "(65)")
    try:
        p.undo(solver(g), {"z_prev": z1, "z": got})
    except NotInvertibleError as error:
        require(error.kind == "lost", f"refused for another reason: {error}")
        return {"reason": str(error).split("; ")[0]}
    raise CheckFailed("the inverse was not refused")


@check("remark-4", verdict="measured", mutants=_BDIA_PLUS_MUTANTS)
def bdia_in_multistep_solvers(solver: Any = BDIADPMSolverPP) -> dict[str, Any]:
    """Order, error constant and verdict of the three families."""
    ddim, lines, alone = np.array(vp_errors(DDIM())), [], []
    for name, make in (("BDIA-DPM-Solver++", solver), ("BDIA-PLMS", BDIAPLMS), ("BDIA-DEIS", partial(BDIADEIS, 3))):
        coarse, fine = vp_errors(make(Fraction(0)))
        alone.append(float(np.log2(coarse / fine)))
        require(alone[-1] > 1.75, f"{name}, gamma 0: order {alone[-1]:.2f}")
        require(not invertibility(make(Fraction(1, 2))).invertible, f"{name} should not be invertible")
        for gamma in (Fraction(1, 2), Fraction(1)):
            errors = vp_errors(make(gamma))
            require_order(*errors, 1, f"{name}, gamma {gamma}", 0.25)
            ratio = np.array(errors) / ddim
            limit = 2 * ratio[-1] - ratio[-2]
            require(abs(limit - gamma / (1 + gamma)) < 0.01, f"{name}, gamma {gamma}: {limit:.3f} of DDIM's error")
            lines.append(f"{name} gamma {gamma}: {limit:.3f}")
    return {"alone": alone, "lines": "; ".join(lines)}


_BDIA2_MUTANTS = {
    "sign of an increment flipped": {"solver": mutant(BDIA2, ("- g1 * delta", "+ g1 * delta"))},
    "gammas exchanged": {"solver": mutant(BDIA2, ("-(1 - g2) *", "-(1 - g1) *"))},
    "eps not interpolated": {"solver": mutant(BDIA2, ("(s.eps(z), s.eps(z_1))", "(s.eps(z), s.eps(z))"))},
}


@check("eq-29", verdict="proved", mutants={**_BDIA2_MUTANTS, **BRACE_MUTANT})
def second_order_bdia(solver: Any = BDIA2, brace: Callable[..., Any] = braced) -> None:
    """The program is (29), with the minus signs inside the braces."""
    p, (z3, z2, z1) = Formal(3), vectors("z_3", "z_2", "z_1")
    g1, g2 = sympy.symbols("gamma_1 gamma_2")
    got = p.step(solver(g1, g2), {"z_2": z3, "z_1": z2, "z": z1})["z"]
    e1, e2 = p.eps(z1, 1), p.eps(z2, 2)

    def delta(a: int, b: int, base: Any) -> Any:
        weight = ((p.s(a) + p.s(b)) / 2 - p.s(1)) / (p.s(2) - p.s(1))
        mean = (1 - weight) * e1 + weight * e2
        return (p.alpha(b) / p.alpha(a) - 1) * base + p.alpha(b) * (p.s(b) - p.s(a)) * mean

    older = -(1 - g2) * (z3 - z2) - g2 * delta(2, 3, z2)
    newer = -(1 - g1) * (z2 - z1) - g1 * delta(1, 2, z1)
    equal(got, z3 + older + newer + delta(1, 0, z1), "(29)")
    require_brace(brace)


@check(
    "fact-15",
    verdict="proved",
    mutants={
        **_BDIA2_MUTANTS,
        "gamma_2 dropped": {"solver": mutant(BDIA2, ("- g2 * delta", "- delta"))},
        "the larger root": {"rate": lambda: lambda a, root: 2 / (a + root)},
        "a square of side 2": {"square": lambda: 2},
    },
)
def second_order_bdia_properties(
    solver: Any = BDIA2,
    rate: Callable[[Any, Any], Any] = lambda a, root: 2 / (a - root),
    square: Any = 1,
) -> dict[str, Any]:
    """Polynomial, order, condition and growth of the inverse."""
    g1, g2 = sympy.symbols("gamma_1 gamma_2", positive=True)
    x = sympy.Symbol("zeta")
    s = sympy.symbols("s_0:4")
    grid = grids.from_values(list(s), [sympy.Integer(1)] * 4, list(s))
    z3, z2, z1 = vectors("z_3", "z_2", "z_1")
    for_every_slot(solver(g1, g2))
    after = solve(solver(g1, g2), lambda z, t: 0 * z, grid, z1, start={"z_2": z3, "z_1": z2, "z": z1}).z
    weights = [after.coefficient(f"z_{k}") for k in (1, 2, 3)]
    polynomial = x**3 - sum(c * x ** (2 - k) for k, c in enumerate(weights))
    require(sympy.expand(polynomial - (x - 1) * (x**2 + g1 * x + g2)) == 0, f"the polynomial is {polynomial}")
    require(str(invertibility(solver())) == "gamma2 != 0", f"condition {invertibility(solver())}")
    backwards = polynomial.subs(x, 1 / x) * x**3 / -g2
    require_same(backwards, (x - 1) * (x**2 + g1 / g2 * x + 1 / g2), "the polynomial backwards")
    root = sympy.Symbol("D", positive=True)  # sqrt(gamma_1^2 - 4 gamma_2), below gamma_1
    found = rate(g1, root)
    for end in (-found, -2 / (g1 + root)):
        value = (end**2 + g1 / g2 * end + 1 / g2).subs(g2, (g1**2 - root**2) / 4)
        require_same(value, 0, f"the polynomial of the inverse at {end}")
    require_same((found - 2 / (g1 + root)) * (g1 - root) * (g1 + root), 4 * root, "by how much it is the larger root")
    orders = symbolic_order(solver(g1, g2))
    require(
        (orders.order_rough, orders.order, orders.local_condition != ()) == (2, 2, True),
        f"orders {orders.order_rough}, {orders.order}",
    )
    errors = vp_errors(solver(Fraction(1, 2), Fraction(7, 10)), "alternating")
    order = require_order(*errors, 2, "(1/2, 7/10) on alternating steps", 0.25)
    _stable_on_the_square(solver, square)
    return {"order": order}


def _stable_on_the_square(solver: Any, side: Any) -> None:
    """Require zero-stability for every (gamma_1, gamma_2) in [0, side]^2: inside, then on its four edges."""
    g1, g2 = sympy.symbols("gamma_1 gamma_2", real=True)
    u, v = sympy.symbols("u v", positive=True)
    region = zero_stability(solver(g1, g2)).condition
    for relation in sympy.And.make_args(region):
        require(isinstance(relation, sympy.StrictGreaterThan), f"the condition {relation} is not a strict inequality")
        margin = (relation.lhs - relation.rhs).subs({g1: side / (1 + u), g2: side / (1 + v)}, simultaneous=True)
        above, below = sympy.fraction(sympy.cancel(sympy.together(margin)))
        for part in (above, below):  # positive for all u, v > 0: every coefficient is
            least = min(sympy.Poly(part, u, v).coeffs())
            require(least > 0, f"{relation} does not hold in the whole square: {part} has the coefficient {least}")
    whole = sympy.Interval(0, side)
    for edge, free in (((g1, 0), g1), ((g1, side), g1), ((0, g2), g2), ((side, g2), g2)):
        found = zero_stability(solver(*edge, allow_any=True))
        held = whole if found.condition == sympy.true else found.condition.as_set()
        require(found.condition.free_symbols <= {free}, f"on the edge {edge} the condition is {found.condition}")
        require(whole.is_subset(held), f"on the edge {edge} it is zero-stable for {held} only")
