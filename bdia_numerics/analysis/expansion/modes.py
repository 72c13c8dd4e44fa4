"""The modes of a step, what stays, what decays and what oscillates, and how they feed each other.

Where the roots of a polynomial lie, and where a polynomial keeps its sign, is decided exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
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


def own_reciprocal(factor: Any) -> bool:
    """Say whether a polynomial is its own reciprocal, up to its sign, for all parameters: its roots can stay on the circle."""
    coefficients = factor.all_coeffs()
    return any(
        all(sympy.expand(a - s * b) == 0 for a, b in zip(coefficients, coefficients[::-1], strict=True))
        for s in (1, -1)
    )


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


ONE = "one"


class InconsistentError(ValueError):
    """A step that does not keep a constant solution."""


@dataclass(frozen=True)
class StepModes:
    """Spectral groups of the matrix V of a step at h = 0: projectors by group.

    Attributes
    ----------
    V
        Matrix over sympy's field of rational functions.
    groups
        "one" (eigenvalue 1), "circle" (modulus 1), "inside", "open" (depends on symbols), "outside": projectors.
    multiplicity
        That of the eigenvalue 1.
    semisimple
        Whether the eigenvalues of modulus 1 have as many eigenvectors as their multiplicity.
    """

    V: Any
    groups: Mapping[str, Any]
    multiplicity: int
    semisimple: bool

    @property
    def principal(self) -> Any:
        """The projector of the eigenvalue 1."""
        return self.groups[ONE]

    @property
    def unit(self) -> Any:
        """The unit matrix."""
        return _unit(self.V)

    @cached_property
    def summed(self) -> Any:
        """The sum of all powers of V, off the eigenvalue 1: (1 - V)^-1 (1 - P), by an inverse that exists."""
        return (self.unit - self.V + self.principal).inv() * (self.unit - self.principal)

    def seen(self, row: int) -> list[str]:
        """Return the groups that a register sees: those whose projector has a row there."""
        return [name for name, P in self.groups.items() if any(P.to_list()[row])]


def characteristic(V: Any, zeta: Any) -> Any:
    """Return det(zeta - V) as an expression."""
    coefficients = [V.domain.to_sympy(c) for c in V.charpoly()]
    return sum(c * zeta ** (len(coefficients) - 1 - k) for k, c in enumerate(coefficients))


def modes(V: Any) -> StepModes:
    """Return the modes of a matrix; InconsistentError (a ValueError) if 1 is not an eigenvalue of it."""
    zeta = sympy.Dummy("zeta")
    grouped: dict[str, list[tuple[Any, int]]] = {}
    for factor, m in factors(characteristic(V, zeta), zeta):
        one = factor.degree() == 1 and sympy.cancel(factor.eval(1)) == 0
        grouped.setdefault(ONE if one else location(factor), []).append((factor, m))
    if ONE not in grouped:
        raise InconsistentError("inconsistent: the step does not keep a constant solution of dy/ds = 0")
    whole = {name: sympy.prod([f.as_expr() ** m for f, m in some]) for name, some in grouped.items()}
    projectors = {name: _projector(V, zeta, g, whole, name) for name, g in whole.items()}
    bounded = all(_semisimple(V, f) for f, m in grouped[ONE] + grouped.get(CIRCLE, []) if m > 1)
    return StepModes(V, projectors, sum(m for _, m in grouped[ONE]), bounded)


def _projector(V: Any, zeta: Any, g: Any, whole: Mapping[str, Any], name: str) -> Any:
    """Return b(V) q(V), with q the product of the other groups and b q = 1 modulo g."""
    # b q is 1 modulo g and 0 modulo q. At V it is therefore 1 on the group's own space, where g(V) vanishes, and 0 on the others.
    q = sympy.prod([other for key, other in whole.items() if key != name])
    if q == 1:
        return _unit(V)
    symbols = sorted((g * q).free_symbols - {zeta}, key=str)
    domain = sympy.QQ.frac_field(*symbols) if symbols else sympy.QQ
    q_poly = sympy.Poly(q, zeta, domain=domain)
    return value(sympy.invert(q_poly, sympy.Poly(g, zeta, domain=domain)) * q_poly, V)


def value(polynomial: Any, V: Any) -> Any:
    """Return a polynomial at a matrix."""
    total = _unit(V) * V.domain.zero
    for c in polynomial.all_coeffs():
        total = total * V + _unit(V) * V.domain.from_sympy(c)
    return total


def _unit(V: Any) -> Any:
    return type(V).eye(V.shape[0], V.domain).to_dense()


def _semisimple(V: Any, factor: Any) -> bool:
    # With enough eigenvectors the factor at V vanishes on the whole space of its eigenvalues; then its square has the same rank.
    at = value(factor, V)
    return bool(at.rank() == (at * at).rank())


def error_orders(
    sources: Mapping[str, int], found: StepModes, coefficient: Callable[[int], Any], accumulating: Collection[str]
) -> dict[str, int]:
    """Return the order of the error in each mode.

    Parameters
    ----------
    sources
        Order of what each mode receives from the residuals, after their sum over the run.
    found
        The modes.
    coefficient
        The coefficient of h^k in the step for eps = J y, as a matrix: with it modes feed each other.
    accumulating
        Modes in which what is fed at each step adds up over the run, which costs one power.
    """
    orders = dict(sources)
    pairs = [(target, source) for target in orders for source in orders if target != source]
    # What one mode feeds another may come by a third one, so that there are as many rounds as modes.
    for _ in orders:
        for target, source in pairs:
            lost = int(target in accumulating)
            for k in range(1, orders[target] - orders[source] + lost):
                if not (found.groups[target] * coefficient(k) * found.groups[source]).is_zero_matrix:
                    orders[target] = orders[source] + k - lost
                    break
    return orders
