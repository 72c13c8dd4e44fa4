"""Second-order BDIA: eq. (29) and fact 15."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from bdia_numerics import grids
from bdia_numerics.analysis import symbolic_order, zero_stability
from bdia_numerics.claims.bdia import BRACE_MUTANT, braced, require_brace
from bdia_numerics.claims.equivalences import order_of, require_order, vp_errors
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, vectors
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.program import invertibility
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA2
from bdia_numerics.spaces.later import sympy

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
    backwards = sympy.cancel(polynomial.subs(x, 1 / x) * x**3 / -g2)
    require(sympy.cancel(backwards - (x - 1) * (x**2 + g1 / g2 * x + 1 / g2)) == 0, f"backwards it is {backwards}")
    root = sympy.Symbol("D", positive=True)  # sqrt(gamma_1^2 - 4 gamma_2), below gamma_1
    found = rate(g1, root)
    for end in (-found, -2 / (g1 + root)):
        miss = sympy.cancel((end**2 + g1 / g2 * end + 1 / g2).subs(g2, (g1**2 - root**2) / 4))
        require(miss == 0, f"{end} is not a root of the inverse, but for {miss}")
    difference = sympy.cancel((found - 2 / (g1 + root)) * (g1 - root) * (g1 + root))
    require(difference == 4 * root, f"{found} is not the larger of the two")
    _stable_on_the_square(solver, square)
    orders = symbolic_order(solver(g1, g2))
    require(
        (orders.order_rough, orders.order, orders.local_condition != ()) == (2, 2, True),
        f"orders {orders.order_rough}, {orders.order}",
    )
    measured = vp_errors(solver(Fraction(1, 2), Fraction(7, 10)), "alternating")
    require_order(measured, 2, "(1/2, 7/10) on alternating steps")
    return {"order": order_of(measured)}


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
