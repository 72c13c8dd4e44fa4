"""The modes of a step: what stays, what decays and what oscillates, and how they feed each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bdia_numerics.analysis.stability.roots import CIRCLE, factors, location
from bdia_numerics.spaces.later import sympy

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
    product = sympy.invert(q_poly, sympy.Poly(g, zeta, domain=domain)) * q_poly
    return value(product, V)


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
