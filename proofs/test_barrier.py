"""What an exactly invertible explicit method can be: facts 21 to 26.

Setting    A method of k steps, sum over j = 0..k of a_j y_{n+j} = h (sum of b_j f_{n+j}), with a_k = 1, b_0 = b_k = 0 and a_0 != 0:
           explicit, exactly invertible, one evaluation a step. It is a step program (`Multistep`) with symbols for its weights, run by
           the recorder that runs every solver; BDIA, BDIA2 and BDIA3 are those of 2, 3 and 4 steps whose order is at least k - 1. Its
           stability polynomial is rho(zeta) - x sigma(zeta), x = h J; the growth of a root is lambda = sigma/(zeta rho').

Trade-off  The product of own coefficients is the determinant of the step (test_volume.py), and so the product of the roots: +-a_0. One of
           them is 1, so the smallest of the k - 1 others is at most |a_0|^(1/(k-1)), and the inverse has its reciprocal (fact 21).
Both ways  Stable both ways, no root lies outside the circle and none inside it: all lie on it, and are simple. They come in conjugate
           pairs of product 1, but for 1 and perhaps -1. So a_0 = -1, rho is anti-palindromic, and -1 is a root iff k is even (fact 22).
Order      With w = (zeta - 1)/(zeta + 1), rho is (1 - w)^-k times a polynomial in w. Where no root is outside the circle and 1 is simple,
           its coefficients r_1, r_2, ... have one sign, and r_1 != 0. For each rho there are weights b of order k - 1, and no others. For
           odd k the condition of order k is a combination of r_1, r_3, ... with weights of one sign, so it fails. For even k it is one of
           r_2, r_4, ...: these vanish, so rho is anti-palindromic; the condition of order k + 1 is one of r_1, r_3, ..., and fails (fact
           23).
Growth     The product of the roots of rho - x sigma does not depend on x, so the growths add up to 0; that of the root 1 is 1. Were all
           roots on the circle for a real x != 0, the polynomial would be anti-palindromic and 1 a root of it; at 1 it is -x rho'(1). A
           root is zeta_j (1 + lambda_j x + ...), and what roots add to each other oscillates from slot to slot, so over a run a root
           carries exp(lambda_j times the integral of J) as the steps fall; the runs are of finitely many steps, and measured (fact
           24). By partial fractions of sigma/((zeta-1)^2 rho) the condition of order 3 becomes one on the growths (fact 25).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from math import hypot, log
from typing import Any

import numpy as np
import sympy

from bdia_numerics import grids, schedules
from bdia_numerics.analysis import (
    amplification,
    characteristic_polynomial,
    gaussian_jacobian,
    growth_parameters,
    stability_interval,
    stability_polynomial,
    zero_stability,
)
from bdia_numerics.analysis.designing.templates import Multistep
from bdia_numerics.analysis.expansion.modes import value
from bdia_numerics.analysis.expansion.step import SeriesStep
from bdia_numerics.claims.formal import require_same
from bdia_numerics.claims.ledger import check, printed, require
from bdia_numerics.program import structure
from bdia_numerics.solvers import ALF, BDIA, BDIA2, BDIA3, Leapfrog, ReversibleHeun

ZETA, X = sympy.symbols("zeta x")
STEPS = range(2, 7)
Family = Callable[..., Multistep]


def general(k: int, extra: int = 0) -> Multistep:
    """Return the method of k steps with a symbol for each weight; with one `extra`, that of b_0 too."""
    return Multistep(sympy.symbols(f"a_0:{k}"), sympy.symbols(f"b_{1 - extra}:{k}"))


def with_oldest(k: int) -> Multistep:
    """Return the method that also evaluates at the state that it overwrites: a planted error."""
    return general(k, 1)


def weights(polynomial: Any, k: int) -> list[Any]:
    """Return the coefficients of zeta^0, ..., zeta^k."""
    return [sympy.Poly(polynomial, ZETA).coeff_monomial(ZETA**j) for j in range(k + 1)]


@cache
def rho_sigma(solver: Any) -> tuple[Any, Any]:
    """Return rho and sigma of a solver, whose stability polynomial must be rho - x sigma."""
    parts = sympy.Poly(stability_polynomial(solver, zeta=ZETA, x=X), X).all_coeffs()
    require(len(parts) == 2, f"the stability polynomial has degree {len(parts) - 1} in x, not 1")
    return sympy.expand(parts[1]), sympy.expand(-parts[0])


@cache
def residuals(solver: Any, order: int) -> tuple[Any, ...]:
    """Return what the step leaves of exact states, by Taylor's formula on the program: the coefficients of h^q y^(q), q = 0..order."""
    step = SeriesStep.of(solver, order + 2, "uniform", "one")
    found = step.residual()[step.row]
    for q in range(order + 1):
        require(set(found.at(q)) <= {(0, q)}, f"the residual has other terms than y^({q}) in h^{q}: {set(found.at(q))}")
    return tuple(sympy.Add(*(c.as_expr() for c in found.at(q).values())) for q in range(order + 1))


def interpolatory(a: Sequence[Any], family: Family = general) -> Multistep:
    """Return the method of these a whose b make its order k - 1 at least; CheckFailed unless they exist and are unique."""
    solver = family(len(a))
    conditions = [c.subs(dict(zip(solver.a, a, strict=True))) for c in residuals(solver, len(a) + 1)]
    require(sympy.cancel(conditions[0]) == 0, f"rho(1) is {conditions[0]}, not 0")
    solutions = list(sympy.linsolve(conditions[1 : len(a)], solver.b))
    require(
        len(solutions) == 1 and not solutions[0].free_symbols & set(solver.b), f"the b of order k - 1 are {solutions}"
    )
    return Multistep(tuple(a), tuple(solutions[0]))


def on_circle(k: int, cosines: Sequence[Any]) -> list[Any]:
    """Return a_0, ..., a_{k-1} of (zeta - 1) (zeta + 1, for even k) times zeta^2 + 2 c zeta + 1 for each c."""
    rho = (ZETA - 1) * (ZETA + 1) ** (1 - k % 2) * sympy.prod(ZETA**2 + 2 * c * ZETA + 1 for c in cosines)
    return weights(rho, k)[:-1]


@check(
    "fact-21",
    verdict="proved",
    mutants={
        "a root is left out": {"least": lambda: lambda g, k: g ** Fraction(-1, max(k - 2, 1))},
        "the polynomial of the step for that of the inverse": {"backwards": lambda: "sample"},
        "an inverse that is not consistent": {"family": lambda: lambda k: general(k + 1)},
    },
)
def trade_off(
    family: Family = general,
    backwards: str = "invert",
    least: Callable[..., Any] = lambda g, k: g ** Fraction(-1, k - 1),
) -> dict[str, Any]:
    """Both polynomials from the program and its derived inverse; the growth of errors on grids is at least the bound."""
    for k in STEPS:
        solver = family(k)
        forward, inverse = (characteristic_polynomial(solver, direction=d, zeta=ZETA) for d in ("sample", backwards))
        a = sympy.symbols(f"a_0:{k}")
        require_same(inverse * a[0], ZETA**k * forward.subs(ZETA, 1 / ZETA), f"{k} steps, the inverse's polynomial")
        consistent = {a[1]: -1 - a[0] - sum(a[2:])}
        parasitic, rest = sympy.div(sympy.expand(forward.subs(consistent)), ZETA - 1, ZETA)
        require(rest == 0 and sympy.degree(parasitic, ZETA) == k - 1, f"{k} steps: 1 is not a root of {forward}")
        require_same(parasitic.subs(ZETA, 0), -a[0], f"{k} steps, the product of the parasitic roots but for its sign")
    n, lines = 24, []
    grid, rng = grids.uniform(schedules.edm(), n, t_max=3, t_min=0), np.random.default_rng(0)
    half = Fraction(1, 2)
    for k, solver in ((2, BDIA(half)), (3, BDIA2(half, half)), (4, BDIA3(half, half, half))):
        bare = amplification(solver, grid, "invert").total
        with_model = amplification(solver, grid, "invert", J=rng.uniform(0, 1, n + 1)).total
        slots = n - structure(solver).depth
        bound, volume_bound = float(least(0.5, k)) ** slots, 0.5 ** (-slots / k)
        require(
            bare >= bound and with_model >= volume_bound,
            f"{k} steps: {bare:.3g} below {bound:.3g}, or {with_model:.3g}",
        )
        lines.append(f"{k} steps {bare:.2g} against {bound:.2g}")
    return {"lines": lines, "slots": n}


@check(
    "fact-22",
    verdict="proved",
    mutants={
        "a root inside the circle and one outside": {"rho": lambda: lambda k, c: on_circle(k, [x - 3 for x in c])},
        "a double root": {"rho": lambda: lambda k, c: on_circle(k, [*c[:1], *c[:1]] if c[1:] else c)},
        "-1 for odd k": {"even": lambda: 1},
        "the step in both directions": {"inverse": lambda: "sample"},
        "a stable method among the counterexamples": {"unstable": lambda: {"planted": Multistep((-1, 0, 0), (1, 1))}},
    },
)
def both_ways(
    rho: Callable[..., Any] = on_circle,
    even: int = 0,
    inverse: str = "invert",
    unstable: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Zero-stability both ways of simple roots on the circle, for symbolic cosines; what is not so fails in one direction."""
    directions = ("sample", inverse)
    published = Multistep((-1, -9, 9), (1, 1))
    for name, solver in (unstable or {"the published three steps": published}).items():
        found = rho_sigma(solver)[0]
        require_same(ZETA**3 * found.subs(ZETA, 1 / ZETA), -found, f"{name}: rho is not anti-palindromic")
        outside = [zero_stability(solver, d).stable for d in directions]
        require(outside == [False, False], f"{name}: zero-stable {outside}")
    for k in STEPS:
        cosines = sympy.symbols("c_1 c_2")[: (k - 1) // 2]
        found = rho_sigma(Multistep(tuple(on_circle(k, cosines)), (1,) * (k - 1)))[0]
        require_same(ZETA**k * found.subs(ZETA, 1 / ZETA), -found, f"{k} steps: rho is not anti-palindromic")
        require((found.subs(ZETA, -1) == 0) == (k % 2 == even), f"{k} steps: rho(-1) is {found.subs(ZETA, -1)}")
        made = Multistep(tuple(rho(k, [Fraction(1, 4), Fraction(-1, 3)][: len(cosines)])), (1,) * (k - 1))
        for found in (zero_stability(made, d) for d in directions):
            require(found.stable, f"{k} steps, {found.direction}: {found.polynomial} is not zero-stable")
    c = sympy.Symbol("c", real=True)
    regions = {BDIA(c): sympy.FiniteSet(1), BDIA3(2 * c + 1, 2 * c + 1, 1): sympy.Interval.open(-1, 1)}
    for solver, wanted in regions.items():
        first, second = (zero_stability(solver, d).condition.as_set() for d in directions)
        require(first.intersect(second) == wanted, f"{solver}: {first} in sampling, {second} in inverting")
    return {"root": printed(min(float(r) for r in sympy.real_roots(rho_sigma(published)[0])), "-9.90")}


def conditions_in_w(k: int, family: Family) -> tuple[Any, Any, tuple[Any, ...]]:
    """Return the conditions of order k and k + 1 in r_1, ..., r_k, with the b that make the order k - 1."""
    r = sympy.symbols(f"r_1:{k + 1}")
    rho = sum(c * (ZETA - 1) ** j * (ZETA + 1) ** (k - j) for j, c in enumerate(r, 1))  # w = (zeta - 1)/(zeta + 1)
    *a, leading = weights(rho, k)
    made, solver = interpolatory([c / leading for c in a], family), family(k)
    known = dict(zip((*solver.a, *solver.b), (*made.a, *made.b), strict=True))
    at_k, beyond = (sympy.expand(sympy.cancel(c.subs(known) * leading)) for c in residuals(solver, k + 1)[k:])
    return at_k, beyond, r


def one_sign(form: Any, symbols: Sequence[Any]) -> bool:
    """Say whether a linear form is a combination of exactly these symbols, with weights of one sign."""
    mentioned = sorted(form.free_symbols, key=str)
    return set(mentioned) == set(symbols) and len({sympy.sign(c) for c in sympy.Poly(form, *mentioned).coeffs()}) == 1


@check(
    "fact-23",
    verdict="proved",
    mutants={
        "an evaluation at the oldest state": {"family": lambda: with_oldest},
        "order k for odd k": {"most": lambda: lambda k: k},
        "another condition for four steps": {"beta": lambda: lambda alpha, gamma: alpha + 9 * gamma - 8},
        "four steps that damp": {"damped": lambda: (-Fraction(1, 2), 0, 0)},
    },
)
def order(
    family: Family = general,
    most: Callable[[int], int] = lambda k: k - k % 2,
    beta: Callable[..., Any] = lambda alpha, gamma: alpha + 9 * gamma - 9,
    damped: Sequence[Any] = (Fraction(1, 16), 0, 0, 0),
) -> dict[str, Any]:
    """The conditions of order k and k + 1 by their signs; which rho has order 4 with four steps; damping with five."""
    alpha, middle, gamma = sympy.symbols("alpha beta gamma")
    cubic = ZETA**3 + alpha * ZETA**2 + middle * ZETA + gamma
    four = interpolatory(weights((ZETA - 1) * cubic, 4)[:-1], family)
    (solution,) = sympy.solve(sympy.numer(sympy.cancel(residuals(four, 5)[4])), middle)
    require_same(solution, beta(alpha, gamma), "beta for order 4 with four steps")
    require_same(cubic.subs({middle: solution, ZETA: -1}), 8 * (1 - gamma), "the cubic at -1")
    # The cubic falls to -oo for zeta -> -oo and is positive at -1 if gamma < 1: a root lies beyond -1.
    inner = ZETA ** len(damped) + sum(c * ZETA**j for j, c in enumerate(damped))
    five = interpolatory(weights((ZETA - 1) * inner, len(damped) + 1)[:-1], family)
    stable = zero_stability(five).stable and residuals(five, 4) == (0,) * 5
    require(stable, f"{len(damped) + 1} steps with the damping {abs(damped[0])}: not of order 4, or not zero-stable")
    highest = residuals(interpolatory((-1, -9, 9), family), 5)
    require([c != 0 for c in highest] == [False] * 5 + [True], f"the published three steps: residuals {highest}")
    lines = []
    for k in STEPS:
        at_k, beyond, r = conditions_in_w(k, family)
        odd, pairs = r[::2], r[1::2]
        reached = k - 1 if one_sign(at_k, odd) else k
        if reached == k:
            require(one_sign(at_k, pairs), f"{k} steps: order {k} is not a condition on r_2, r_4, ...: {at_k}")
            require(one_sign(beyond.subs(dict.fromkeys(pairs, 0)), odd), f"{k} steps: order {k + 1} is open: {beyond}")
        require(reached == most(k), f"{k} steps reach order {reached}, not {most(k)}")
        solver = interpolatory(on_circle(k, [Fraction(1, 4), Fraction(-1, 3)][: (k - 1) // 2]), family)
        left = [c != 0 for c in residuals(solver, reached + 1)]
        require(left == [False] * (reached + 1) + [True], f"{k} steps: residuals of h^q that do not vanish: {left}")
        lines.append(f"k = {k}: {sympy.numer(sympy.factor(at_k))}")
    return {"lines": lines, "damping": abs(damped[0])}


def over_roots(above: Any, below: Any, polynomial: Any) -> Any:
    """Return the sum of above/below over the roots of a monic polynomial, for symbolic coefficients.

    It is the trace of below(C)^-1 above(C) with the companion matrix C, whose eigenvalues are the roots (Cayley, Hamilton).
    """
    row = weights(polynomial, degree := int(sympy.degree(polynomial, ZETA)))
    names = sorted((above.free_symbols | below.free_symbols | polynomial.free_symbols) - {ZETA}, key=str)
    domain = sympy.QQ.frac_field(*names) if names else sympy.QQ
    companion = sympy.Matrix(degree, degree, lambda i, j: -row[j] if i == degree - 1 else int(j == i + 1))
    C = sympy.polys.matrices.DomainMatrix.from_Matrix(companion).convert_to(domain)
    top, bottom = (value(sympy.Poly(p, ZETA, domain=domain), C) for p in (above, below))
    rows = bottom.lu_solve(top).to_list()
    return sympy.cancel(domain.to_sympy(sum((rows[k][k] for k in range(degree)), domain.zero)))


def of_order(k: int, order: int, family: Family) -> tuple[Any, Any, Any, list[Any]]:
    """Return rho, sigma, the polynomial of the parasitic roots and the residuals, with symbols where the conditions leave them free."""
    q = sympy.symbols(f"q_0:{k - 1}")
    parasitic = ZETA ** (k - 1) + sum(c * ZETA**j for j, c in enumerate(q))
    solver = family(k)
    free = dict(zip(solver.a, weights((ZETA - 1) * parasitic, k), strict=False))
    found = [c.subs(free) for c in residuals(solver, k + 1)[: order + 2]]
    (fixed,) = sympy.solve(found[1 : order + 1], [*solver.b, *q][:order], dict=True)
    rho, sigma = (sympy.expand(p.subs(free).subs(fixed)) for p in rho_sigma(solver))
    return rho, sigma, parasitic.subs(fixed), [sympy.cancel(c.subs(fixed)) for c in found]


THIRD = -sympy.Rational(1, 3)
SYMMETRIC = (BDIA(1), Leapfrog(), BDIA2(1, 1), BDIA3(1, 1, 1), ALF(), ReversibleHeun())


EDM, SLOTS = schedules.edm(), (200, 400)
CONTRACTION = hypot(0.5, 20) / hypot(0.5, 0.05)
"""How many times the exact flow of data of variance 1/4 contracts from sigma = 20 to 0.05, alpha = 1."""


def worst_growth(solver: Any) -> float:
    """Return the exponent of the fastest growth of a parasitic root."""
    return max(g.exponent for g in growth_parameters(solver))


@cache  # mutants of what is expected share the runs with the check
def measured_powers(solver: Any) -> list[float]:
    """Return the power of the contraction by which errors grow over runs of `SLOTS` slots."""
    made = (grids.uniform(EDM, n, t_max=20, t_min=0.05) for n in SLOTS)
    runs = [amplification(solver, grid, J=gaussian_jacobian(0.25)) for grid in made]
    return [log(run.total) / log(CONTRACTION) for run in runs]


@check(
    "fact-24",
    verdict="proved",
    mutants={
        "an evaluation at the oldest state": {"family": lambda: with_oldest},
        "growth in place of relative growth": {"growth": lambda: lambda sigma, slope: (sigma, slope)},
        "the growth of all roots": {"total": lambda: 0},
        "a solver that damps": {"solvers": lambda: (BDIA(Fraction(1, 2)),)},
        "the growth of leapfrog for every method": {"power": lambda: lambda solver: 1.0},
    },
)
def weak_instability(
    family: Family = general,
    growth: Callable[[Any, Any], tuple[Any, Any]] = lambda sigma, slope: (sigma, ZETA * slope),
    total: Any = -1,
    solvers: Sequence[Any] = SYMMETRIC,
    power: Callable[[Any], float] = worst_growth,
) -> dict[str, Any]:
    """The sum of the growths over the roots; the product of all roots and the value at 1 for every x; intervals and runs of solvers."""
    for k in STEPS:
        rho, sigma = rho_sigma(family(k))
        ends = [sigma.subs(ZETA, 0), sympy.degree(sigma, ZETA) - (k - 1)]
        require(ends == [0, 0], f"{k} steps: the first and the last weight of rho - x sigma depend on x: {ends}")
        gap = residuals(family(k), k + 1)[1] - (sympy.diff(rho, ZETA) - sigma).subs(ZETA, 1)
        require_same(gap, -(k - 1) * rho.subs(ZETA, 1), f"{k} steps: rho'(1) - sigma(1) where the order is 1")
    for k in (2, 3, 4):
        rho, sigma, parasitic, _ = of_order(k, 1, family)
        found = over_roots(*map(sympy.expand, growth(sigma, sympy.diff(rho, ZETA))), parasitic)
        require_same(found, total, f"{k} steps: the sum of the parasitic growths")
    lines, powers = [], []
    for solver in solvers:
        interval = stability_interval(solver).length
        require(interval == 0, f"{solver} is stable for 0 < -h J < {interval}")
        worst, roots = worst_growth(solver), sum(sympy.degree(g.roots, ZETA) for g in growth_parameters(solver))
        require(worst >= 1 / roots, f"{solver}: {roots} parasitic roots, the worst growth is {-worst}")
        lines.append(f"{type(solver).__name__} {-worst:.3g}")
        measured = measured_powers(solver)
        require(
            max(abs(p - power(solver)) for p in measured) < 0.1,
            f"{solver}: C to the power of {measured}, not {power(solver)}",
        )
        powers.append(f"{type(solver).__name__} {measured[0]:.2f} and {measured[1]:.2f}")
    return {"lines": lines, "slots": SLOTS, "contraction": CONTRACTION, "powers": powers}


@check(
    "fact-25",
    verdict="proved",
    mutants={
        "1/3 for -1/3": {"wanted": lambda: -THIRD},
        "twice the square of the sine": {"sine": lambda: lambda zeta: -((1 - zeta) ** 2) / (2 * zeta)},
        "the growth of another family": {"four": lambda: lambda c: BDIA3(1, c, 1)},
    },
)
def growth_against_order(
    wanted: Any = THIRD,
    sine: Callable[[Any], Any] = lambda zeta: -((1 - zeta) ** 2) / (4 * zeta),
    four: Callable[[Any], Any] = lambda c: BDIA3(2 * c + 1, 2 * c + 1, 1, allow_any=True),
) -> dict[str, Any]:
    """The condition of order 3 on the growths, by traces; the families of 4 and 6 steps at the highest order."""
    c = sympy.Symbol("c", real=True)
    total = sympy.Integer(0)
    for found in growth_parameters(four(c)):
        root = sympy.roots(found.roots, ZETA)
        require(not found.rate.has(ZETA), f"the roots of {found.roots} have different growths")
        total += sum(found.rate / sine(r) for r in root)
    require_same(sympy.simplify(total), wanted, "four steps: the sum of lambda/sin^2(theta/2)")
    for k in (2, 3, 4):
        rho, sigma, parasitic, found = of_order(k, 2, general)
        slope = sympy.diff(rho, ZETA)
        top, bottom = sympy.fraction(sympy.cancel(sigma / (ZETA * slope * sine(ZETA))))
        gap = over_roots(sympy.expand(top), sympy.expand(bottom), parasitic) - wanted
        require_same(gap, -4 * found[3] / slope.subs(ZETA, 1), f"{k} steps: the sum of lambda/sin^2(theta/2) + 1/3")
    # Six steps: the growth at -1 is below -1 for all cosines in (-1, 1), c = (1 - u)/(1 + u).
    c1, c2, u, v = sympy.symbols("c_1 c_2 u v", positive=True)
    six = growth_parameters(interpolatory(on_circle(6, (c1, c2))))
    (at_minus_one,) = [g.rate for g in six if g.roots.subs(ZETA, -1) == 0]
    margin = sympy.cancel((-1 - at_minus_one).subs({c1: (1 - u) / (1 + u), c2: (1 - v) / (1 + v)}, simultaneous=True))
    least = min(min(sympy.Poly(part, u, v).coeffs()) for part in sympy.fraction(margin))
    require(least > 0, f"six steps: the growth at -1 is not below -1 everywhere: {at_minus_one}")
    return {"six": sympy.factor(at_minus_one)}


@dataclass(frozen=True)
class Member:
    """A family: its program, the weights, error constant and growths that the statement has, and its order."""

    solver: Any
    a: Sequence[Any]
    b: Sequence[Any]
    constant: Any
    growths: Sequence[Any]
    order: int


C, C1, C2 = sympy.symbols("c c_1 c_2")


def best_of_order_2(k: int) -> Member:
    """y_k = y_0 + k/(k-1) h (f_1 + ... + f_{k-1})."""
    a, b = (-1, *[0] * (k - 1)), [sympy.Rational(k, k - 1)] * (k - 1)
    return Member(Multistep(a, tuple(b)), a, b, sympy.Rational(k, 12), [sympy.Rational(-1, k - 1)], 2)


def three_steps(solver: Any = BDIA2) -> Member:
    """y_3 = y_0 + 3 h/2 (f_1 + f_2)."""
    half = sympy.Rational(1, 2)
    return Member(solver(1, 1), (-1, 0, 0), (3 * half, 3 * half), half**2, [-half], 2)


def four_steps(solver: Any = BDIA3, sign: int = 1) -> Member:
    """The methods of order 4 with the roots of zeta^2 + 2 c zeta + 1; Milne's predictor at c = 0."""
    outer, middle = (8 + 2 * C) / 3, (8 * C - 4) / 3
    growths = [-(5 - sign * C) / (3 * (1 - C)), (1 + C) / (3 * (1 - C))]
    made = solver(2 * C + 1, 2 * C + 1, 1, allow_any=True)
    return Member(made, (-1, -2 * C, 0, 2 * C), (outer, middle, outer), (14 - C) / (180 * (1 + C)), growths, 4)


def five_steps(product: int = -1) -> Member:
    """The methods of order 4 with two pairs of roots."""
    a3, a4 = 2 * (2 * C1 * C2 - C1 - C2 + 1), 2 * C1 + 2 * C2 - 1
    outer = (11 + 5 * C1 + 5 * C2 + product * C1 * C2) / 6
    middle = (1 + 7 * C1 + 7 * C2 + 13 * C1 * C2) / 6
    constant = (11 * C1 * C2 - 19 * (C1 + C2) + 131) / (720 * (1 + C1) * (1 + C2))
    a = (-1, -a4, -a3, a3, a4)
    return Member(interpolatory(on_circle(5, (C1, C2))), a, (outer, middle, middle, outer), constant, (), 4)


@check(
    "fact-26",
    verdict="proved",
    mutants={
        "another sign in a growth": {"four": lambda: lambda: four_steps(sign=-1)},
        "another sign in a weight": {"five": lambda: lambda: five_steps(product=1)},
        "BDIA3 with other gammas": {
            "four": lambda: lambda: four_steps(lambda a, b, c, **options: BDIA3(a, 1, c, **options))
        },
        "BDIA2 that damps": {"three": lambda: lambda: three_steps(lambda a, b: BDIA2(a, Fraction(1, 2)))},
        "a mean of k evaluations": {"many": lambda: lambda k: best_of_order_2(k + 1)},
    },
)
def families(
    three: Callable[[], Member] = three_steps,
    four: Callable[[], Member] = four_steps,
    five: Callable[[], Member] = five_steps,
    many: Callable[[int], Member] = best_of_order_2,
) -> dict[str, Any]:
    """Weights, order, error constant and growths of each family from its program; the sums for every k."""
    makes: dict[str, Callable[[], Member]] = {
        "Leapfrog": lambda: replace(many(2), solver=Leapfrog()),
        "BDIA": lambda: replace(many(2), solver=BDIA(1)),
        "BDIA2": three,
        "BDIA3": four,
        "5 steps, order 4": five,
        **{f"{k} steps, order 2": partial(many, k) for k in STEPS},
    }
    for name, make in makes.items():
        m = make()
        rho, sigma = rho_sigma(m.solver)
        written = [
            ZETA ** len(m.a) + sum(c * ZETA**j for j, c in enumerate(m.a)),
            sum(c * ZETA**j for j, c in enumerate(m.b, 1)),
        ]
        for found, wanted, what in zip((rho, sigma), written, ("rho", "sigma"), strict=True):
            require_same(found, wanted, f"{name}: {what}")
        left = residuals(m.solver, m.order + 1)
        require(all(sympy.cancel(c) == 0 for c in left[:-1]), f"{name}: residuals up to order {m.order}: {left}")
        require_same(left[-1] / sigma.subs(ZETA, 1), m.constant, f"{name}: the error constant")
        rates = [g.rate for g in growth_parameters(m.solver)] if m.growths else []
        require(all(any(sympy.cancel(r - w) == 0 for w in m.growths) for r in rates), f"{name}: growths {rates}")
        require(bool(rates) == bool(m.growths), f"{name}: no growths")
    require_same(four_steps(BDIA3).solver.gamma1.subs(C, 0), 1, "gamma of Milne's predictor")
    k, j = sympy.symbols("k j", integer=True, positive=True)
    for q, wanted in ((1, 0), (2, 0), (3, k**2 / 2)):  # of rho = zeta^k - 1 and equal b, for every k
        moment = k**q - q * k / (k - 1) * sympy.summation(j ** (q - 1), (j, 1, k - 1))
        require_same(sympy.simplify(moment), wanted, f"any k: the residual of h^{q}, times {q}!")
    return {"count": len(makes)}
