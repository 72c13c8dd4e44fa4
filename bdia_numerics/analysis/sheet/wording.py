"""Results of the analysis in words and signs, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bdia_numerics.analysis.expansion.order import SymbolicOrder
from bdia_numerics.spaces.later import sympy


def orders(order: SymbolicOrder) -> str:
    """Return the orders on the kinds of grids."""
    if not order.consistent:
        unless = f", unless {equations(order.condition)}" if order.condition else ""
        return f"0, inconsistent: the error does not fall with the steps{unless}"
    smooth, rough = ("at least " * (name in order.lower_bounds) for name in ("smooth", "rough"))
    text = f"{smooth}{order.order_smooth} on smooth grids, {rough}{order.order_rough} where the step ratios are bounded"
    if order.order_uniform > order.order_smooth:
        text += f", {order.order_uniform} on equal steps in {order.variables[1]}"
    if order.bounded_products:
        text += " and the products of its matrices, too"
    if order.order_with_start < order.order_smooth:
        text += f"; {order.order_with_start} with its own start"
    if order.zero_stable is False:
        text += "; of consistency only, since it is not zero-stable"
    return text


def exact(x: Any) -> str:
    """Return an exact number; an algebraic one without a closed form as a decimal, with the polynomial that it is a root of."""
    if not x.has(sympy.CRootOf):
        return quotient(x)
    polynomial = sympy.minimal_polynomial(x, sympy.Symbol("x"))
    return f"{sympy.N(x, 6)} (a root of {polynomial})"


def terms_text(terms: Mapping[str, Any], name: Callable[[str], str] = str) -> str:
    """Return a sum of elementary differentials."""
    return " + ".join(f"{_factor(c)} {name(element)}" for element, c in terms.items())


def _factor(c: Any) -> str:
    text = quotient(c)
    return f"({text})" if " " in text or text.startswith("-") else text


def factors(c: Any) -> tuple[list[Any], Any]:
    """Return a coefficient as the factors of a numerator, without a minus sign before a difference, and a denominator."""
    top, bottom = sympy.fraction(sympy.factor(c))
    number, rest = top.as_coeff_Mul()
    some = [] if rest == 1 else list(sympy.Mul.make_args(rest))
    last = max((k for k, f in enumerate(some) if isinstance(f, sympy.Add)), default=None)
    if number < 0 and last is not None:
        number, some[last] = -number, sympy.expand(-some[last])
    if number != 1 or not some:
        some.insert(0, number)
    return some, bottom


def quotient(c: Any) -> str:
    """Return a coefficient as text, as a quotient."""
    some, bottom = factors(c)
    several = len(some) > 1 or bottom != 1
    text = "*".join(f"({f})" if isinstance(f, sympy.Add) and several else str(f) for f in some).replace("-1*", "-")
    below = str(bottom) if bottom.is_Symbol or bottom.is_Integer else f"({bottom})"
    return text if bottom == 1 else f"{text}/{below}"


def equations(found: tuple[Any, ...]) -> str:
    """Return what must vanish; "never" where nothing can be done, or no values solve all equations."""
    return " and ".join(f"{e.lhs} = 0" for e in found if e.lhs != 0) or "never"
