"""Signs of polynomials on a box, proved by their Bernstein coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from bdia_numerics.spaces.later import sympy


def keeps_sign(expression: Any, symbols: tuple[Any, ...]) -> bool:
    """Say whether a rational function has one strict sign for all symbols in (0, 1), by its Bernstein coefficients.

    A sufficient test: False means undecided.
    """
    parts = [f for part in sympy.fraction(sympy.together(expression)) for f, _ in sympy.factor_list(part)[1]]
    return all(_one_sign(sympy.Poly(f, *symbols), DEPTH) for f in parts)


DEPTH = 6
"""How often a square is halved where the Bernstein coefficients have two signs."""


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
