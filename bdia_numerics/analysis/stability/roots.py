"""Where the roots of a polynomial lie, decided exactly: inside, on, or outside the unit circle."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from bdia_numerics.spaces.later import sympy

INSIDE, CIRCLE, OUTSIDE, OPEN = "inside", "circle", "outside", "open"


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
    chebyshev = [sympy.Integer(2), w]  # zeta^k + zeta^-k in w = zeta + 1/zeta
    while len(chebyshev) <= half:
        chebyshev.append(sympy.expand(w * chebyshev[-1] - chebyshev[-2]))
    rational = [sympy.Rational(c.numerator, c.denominator) for c in numbers]
    reduced = rational[half] + sum(rational[half - k] * chebyshev[k] for k in range(1, half + 1))
    return bool(sympy.Poly(reduced, w).count_roots(-2, 2) == half)
