"""Where the roots of a polynomial lie, and where a polynomial keeps its sign, decided exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.spaces.later import sympy

INSIDE, CIRCLE, OUTSIDE, OPEN = "inside", "circle", "outside", "open"
DEPTH = 6
"""How often a square is halved where the Bernstein coefficients have two signs."""


def irreducible(expression: Any) -> list[Any]:
    """Return the irreducible factors of the numerator of an expression, each once."""
    return [f for f, _ in sympy.factor_list(sympy.numer(sympy.together(expression)))[1]]


def factors(polynomial: Any, zeta: Any) -> list[tuple[Any, int]]:
    """Return the irreducible factors in zeta over the rational functions of all other symbols, with multiplicities."""
    numerator = sympy.numer(sympy.together(polynomial))
    found = [(sympy.Poly(f, zeta), m) for f, m in sympy.factor_list(numerator)[1]]
    return [(f, m) for f, m in found if f.degree() > 0]


def location(factor: Any) -> str:
    """Return where the roots of an irreducible factor lie: "open" if that depends on its symbols, "outside" if one is.

    An irreducible factor with a root on the circle is, up to its sign, its own reciprocal; the roots of such a one are
    on the circle exactly where zeta + 1/zeta is real and in [-2, 2], which Sturm's theorem counts. Without a root on
    the circle, Schur's and Cohn's recursion decides.
    """
    coefficients = factor.all_coeffs()
    if any(c.free_symbols for c in coefficients):
        return OPEN
    numbers = [Fraction(int(c.p), int(c.q)) for c in coefficients]
    if numbers[::-1] in (numbers, [-c for c in numbers]):
        return CIRCLE if _all_on_circle(numbers) else OUTSIDE
    return INSIDE if schur(numbers) else OUTSIDE


def schur(coefficients: list[Fraction]) -> bool:
    """Say whether all roots lie in the open unit disc (Schur, Cohn); coefficients of the highest power first."""
    while len(coefficients) > 1:
        first, last = coefficients[0], coefficients[-1]
        if abs(last) >= abs(first):
            return False
        pairs = zip(coefficients, coefficients[::-1], strict=True)
        coefficients = [first * c - last * d for c, d in pairs][:-1]
    return True


def _all_on_circle(numbers: list[Fraction]) -> bool:
    """Say whether all roots of an irreducible polynomial that is its own reciprocal lie on the circle."""
    degree = len(numbers) - 1
    if degree == 1:
        return True  # zeta - 1 or zeta + 1
    w, half = sympy.Symbol("w"), degree // 2
    rational = [sympy.Rational(c.numerator, c.denominator) for c in numbers]
    # Divided by zeta^half, the polynomial is one in w = zeta + 1/zeta, since zeta^k + zeta^-k is 2 T_k(w/2).
    powers = [2 * sympy.chebyshevt_poly(k, w / 2) for k in range(1, half + 1)]
    reduced = rational[half] + sum(c * power for c, power in zip(rational[half - 1 :: -1], powers, strict=True))
    return bool(sympy.Poly(reduced, w).count_roots(-2, 2) == half)


def keeps_sign(expression: Any, symbols: tuple[Any, ...]) -> bool:
    """Say whether a rational function has one strict sign for all symbols in (0, 1), by its Bernstein coefficients.

    A sufficient test: False means undecided.
    """
    parts = [f for part in sympy.fraction(sympy.together(expression)) for f in irreducible(part)]
    return all(_one_sign(sympy.Poly(f, *symbols), DEPTH) for f in parts)


def _one_sign(polynomial: Any, depth: int) -> bool:
    signs = {sympy.sign(c) for c in _bernstein(polynomial)} - {0}
    if len(signs) == 1:
        return True
    if not depth:
        return False
    x, *rest = polynomial.gens
    middle = polynomial.as_expr().subs(x, sympy.Rational(1, 2))
    if not (_one_sign(sympy.Poly(middle, *rest), depth) if rest else middle != 0):
        return False
    halves = [sympy.Poly(polynomial.as_expr().subs(x, (x + k) / 2), *rest, x) for k in (0, 1)]
    return all(_one_sign(half, depth - 1) for half in halves)


def _bernstein(polynomial: Any) -> list[Any]:
    degrees = [max(d, 0) for d in polynomial.degree_list()]
    table = np.full([d + 1 for d in degrees], sympy.Integer(0), dtype=object)
    for monomial, c in polynomial.terms():
        table[monomial] = c
    for axis, n in enumerate(degrees):
        weights = np.array(
            [[sympy.binomial(j, k) / sympy.binomial(n, k) if k <= j else 0 for k in range(n + 1)] for j in range(n + 1)]
        )
        table = np.moveaxis(np.tensordot(weights, table, axes=(1, axis)), 0, axis)
    return list(table.flat)
