"""Families of solvers: the order conditions of a program solved for its weights, and where its roots lie."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar, cast

from bdia_numerics.analysis.expansion.modes import characteristic
from bdia_numerics.analysis.expansion.order import settled
from bdia_numerics.analysis.expansion.propagation import Displaced
from bdia_numerics.analysis.expansion.series import Element, TooShort, text
from bdia_numerics.analysis.expansion.step import SeriesStep, symbols_of
from bdia_numerics.analysis.stability.zero_stability import ZeroStability, zero_stability
from bdia_numerics.formulas import expression
from bdia_numerics.program import Slot, Solver, refusal
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import shown

T = TypeVar("T")
Values = Mapping[Any, Any]
Terms = Mapping[Element, Any]
DIRECTIONS = {"both": ("sample", "invert"), "sample": ("sample",), "encode": ("invert",), None: ()}
"""Directions of a run, by what is to be zero-stable."""


@dataclass(frozen=True)
class OnSteps:
    """A weight that depends on the ratios of steps, as a function of the slot: w_k = h_{i+k}/h_i."""

    expression: Any

    def __call__(self, slot: Slot) -> Any:
        """Return the weight in a slot."""
        names, top, bottom = self._parts
        ratios, at = [], slot
        for _ in range(max(int(str(w)[2:]) for w in names)):
            at = at.previous
            ratios.append(at.h / slot.h)
        given = [ratios[int(str(w)[2:]) - 1] for w in names]
        return top(*given) / bottom(*given)

    @cached_property
    def _parts(self) -> tuple[list[Any], Callable[..., Any], Callable[..., Any]]:
        # Numerator and denominator have whole coefficients: a fraction in Python's text would be a float.
        names = sorted(self.expression.free_symbols, key=str)
        parts = sympy.fraction(sympy.together(self.expression))
        top, bottom = (sympy.lambdify(names, sympy.expand(p), modules=[{}]) for p in parts)
        return names, top, bottom

    def __repr__(self) -> str:
        return f"OnSteps({readable(self.expression)})"


def filled(value: T, put: Callable[[Any], Any]) -> T:
    """Return an object with other things in place of the sympy expressions among its attributes."""
    if hasattr(value, "free_symbols"):
        return cast(T, put(value))
    if isinstance(value, tuple | list):
        return cast(T, cast(Any, type(value))(filled(x, put) for x in value))
    if isinstance(value, type) or not symbols_of(value):
        return value
    if dataclasses.is_dataclass(value):
        names = [f.name for f in dataclasses.fields(value) if f.init]
        return cast(
            T, dataclasses.replace(cast(Any, value), **{name: filled(getattr(value, name), put) for name in names})
        )
    made = copy.copy(value)
    vars(made).update({name: filled(x, put) for name, x in vars(value).items()})
    return made


def weight(expression: Any) -> Any:
    """Return an expression as a weight: a number, exact; an expression in symbols; a function of the slot, if it has ratios of steps."""
    expression = sympy.cancel(expression)
    if expression.is_Rational:
        number = Fraction(int(expression.p), int(expression.q))
        return number.numerator if number.denominator == 1 else number
    ratios = [x for x in expression.free_symbols if str(x).startswith("~w")]
    return OnSteps(expression) if ratios and len(ratios) == len(expression.free_symbols) else expression


@dataclass(frozen=True, eq=False)
class SolverFamily:
    """All solutions of the order conditions of a template, or one branch of them.

    Attributes
    ----------
    template
        The step program with symbols for its weights.
    weights : dict
        What the conditions make of its symbols, as expressions in `free` ones, and in w_1, w_2, ..., the ratios of the steps before
        to the present one, where every grid was asked for.
    order : int
        On the grids that were asked for.
    """

    template: Solver
    weights: Values
    order: int

    @property
    def free(self) -> tuple[Any, ...]:
        """The symbols that the conditions leave free, by name."""
        found = set().union(*(w.free_symbols for w in self.weights.values()))
        return tuple(sorted((x for x in found if not str(x).startswith("~")), key=str))

    @cached_property
    def solver(self) -> Solver:
        """The family as one solver, for equal steps, whose parameters are the free symbols."""
        equal = {w: x.subs({y: 1 for y in x.free_symbols if str(y).startswith("~w")}) for w, x in self.weights.items()}
        return filled(self.template, lambda e: weight(e.subs(equal)))

    @property
    def member(self) -> Solver:
        """The solver of a family without free symbols; its weights are functions of the slot where they have ratios of steps."""
        return filled(self.template, lambda e: weight(e.subs(self.weights)))

    def restricted(self, values: Values) -> SolverFamily:
        """Return the part of the family with these values of free symbols."""
        return replace(self, weights={w: x.subs(values) for w, x in self.weights.items()})

    def stability(self, direction: str) -> ZeroStability:
        """Return for which values of the free symbols the family, or its inverse, is zero-stable on equal steps."""
        return zero_stability(self.solver, direction)

    @cached_property
    def leading(self) -> tuple[int, Terms, Terms]:
        """The order on equal steps with alpha = 1, the leading term of what a step adds to the error, and of the displacement.

        Coefficients by element, as `SymbolicOrder.principal` and `displacement` have them.
        """
        for terms in range(self.order + 2, self.order + 6):
            try:
                found = Displaced.of(step := SeriesStep.of(self.solver, terms, "uniform", "one"))
            except TooShort:
                continue
            (principal, displaced), order, names = (
                found.leading(step.row),
                found.order(step.row),
                step.layout.readable(),
            )
            adding = principal if order == found.mean_order else {}
            first, second = (
                {e: sympy.factor(c.as_expr().subs(names)) for e, c in x.items()} for x in (adding, displaced)
            )
            return order, first, second
        raise ValueError(f"the leading error of order {self.order} was not found")

    @cached_property
    def roots(self) -> Any:
        """The characteristic polynomial in zeta on equal steps."""
        zeta = sympy.Symbol("zeta")
        return sympy.factor(characteristic(settled(self.solver, "uniform", "one").coefficient(0), zeta))

    def constants(self) -> dict[str, Any]:
        """Return the coefficients of the leading error by power of h and elementary differential, the displacement of the output last."""
        variable = "y" if getattr(self.template, "variable", "sigma_bar") == "sigma_bar" else "z"
        order, adding, displaced = self.leading
        named = {f"h^{order + 1} {text(e, variable)}": c for e, c in adding.items()}
        return named | {f"h^{order} {text(e, variable)} (displacement)": c for e, c in displaced.items()}

    @property
    def latex(self) -> str:
        """The weights in LaTeX, one equation for each that is not free."""
        lines = (
            f"{expression(w, tex=True)} &= {expression(readable(x), tex=True)}"
            for w, x in self.weights.items()
            if w != x
        )
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def families(template: Solver, order: int, spacing: str, both_ways: bool) -> list[SolverFamily]:
    """Return the solutions of the order conditions of a template, and of those that every solver has that is stable both ways.

    Raises
    ------
    ValueError
        If no weights have this order; the highest one that was reached is named.
    """
    symbols = ordered_symbols(template)
    for sign in (-1, 1) if both_ways else (0,):
        # Weights that depend on the ratios of steps have their roots on the circle on equal steps: these are known in the end alone.
        first = mirrored(template, symbols, sign) if sign and spacing != "rough" else [{}]
        tried = [family for given in first for family in solved(template, order, spacing, symbols, given)]
        found = [family for family in tried if family.order >= order]
        if sign and spacing == "rough":
            found = [f.restricted(more) for f in found for more in mirrored(f.solver, f.free, sign)]
        if found:
            return found
    reached = max((family.order for family in tried), default=0)
    both = " and roots on the unit circle" if both_ways else ""
    raise ValueError(
        f"order={order}: no weights of {shown(template)} have it{both}, order {reached} is the highest: ask for that"
    )


def ordered_symbols(template: Solver) -> list[Any]:
    """Return the symbols of a template, those that the step without evaluations does not depend on first: they are solved for first."""
    matrix = settled(template, "uniform", "one").coefficient(0).to_Matrix()
    return sorted(symbols_of(template), key=lambda x: (x in matrix.free_symbols, str(x)))


def mirrored(template: Solver, symbols: Sequence[Any], sign: int) -> list[Values]:
    """Return the weights with which the characteristic polynomial is its own reciprocal times a sign, as simple roots on the circle ask.

    They are 1, with a simple root -1 or without, and conjugate pairs: the sign is -1 unless 1 is a double root.
    """
    V = settled(template, "uniform", "one").coefficient(0)
    row = [V.domain.to_sympy(c) for c in V.charpoly()]
    return solutions([c - sign * d for c, d in zip(row, row[::-1], strict=True)], symbols)


def solutions(equations: Sequence[Any], symbols: Sequence[Any]) -> list[Values]:
    """Return the solutions of equations in rational functions of the symbols that stay free; earlier symbols are solved for first."""
    wanted = [n for e in equations if (n := sympy.numer(sympy.together(e))) != 0]
    if not wanted:
        return [{}]
    present = [x for x in symbols if any(e.has(x) for e in wanted)]
    found = sympy.solve(wanted, *present, dict=True) if present else []
    real = (s for s in found if not any(x.has(sympy.I) for x in s.values()))
    return [s for s in real if all(x.is_rational_function(*x.free_symbols) for x in s.values())]


def solved(template: Solver, order: int, spacing: str, symbols: Sequence[Any], given: Values) -> Iterator[SolverFamily]:
    """Yield families: the condition of the lowest order that is open is solved, put in, and the next one looked at."""
    weights = {x: sympy.cancel(sympy.sympify(given.get(x, x)).subs(given)) for x in sorted(symbols, key=str)}
    current = filled(template, lambda e: sympy.cancel(e.subs(weights)))
    reached, equations = open_conditions(current, order, spacing)
    if not equations:
        yield SolverFamily(template, weights, order)
        return
    some = solutions(equations, symbols)
    if not some:
        yield SolverFamily(template, weights, reached)
    for more in some:
        yield from solved(
            template, order, spacing, symbols, {x: w.subs(more) for x, w in (dict(weights) | dict(more)).items()}
        )


def readable(expression: Any) -> Any:
    """Return a weight as it is written, w_1, w_2, ... for the ratios of steps."""
    names = {x: sympy.Symbol(f"w_{str(x)[2:]}") for x in expression.free_symbols if str(x).startswith("~w")}
    return sympy.factor(expression).subs(names)


def open_conditions(solver: Solver, order: int, spacing: str) -> tuple[int, list[Any]]:
    """Return the order of a solver, and what must vanish for the next one; nothing, if it has the order that is wanted."""
    step = SeriesStep.of(solver, order + 2, spacing, "one" if spacing == "uniform" else "smooth")
    try:
        raw = step.residual()
    except ValueError as error:
        raise ValueError(
            f"{shown(solver)}: {refusal(error)}; begin with weights for which its stages are consistent"
        ) from None
    lowest = min(x.order for x in raw)
    if lowest == 0 or spacing == "rough":
        if lowest > order:
            return order, []
        return lowest - 1, [e for x in raw for c in x.at(lowest).values() for e in coefficients(c, step)]
    try:
        found = Displaced.of(step)
    except TooShort:
        return order, []
    reached = found.order(step.row)
    if reached >= order:
        return order, []
    principal, displaced = found.leading(step.row)
    terms = principal if reached == found.mean_order else displaced
    return reached, [e for c in terms.values() for e in coefficients(c, step)]


def coefficients(c: Any, step: SeriesStep) -> list[Any]:
    """Return what must vanish for an element of the field to vanish on all grids and noise levels; ratios of steps may stay in it."""
    mine = {str(x) for x in symbols_of(step.solver)}
    names = [str(x) for x in step.layout.space.symbols]
    places = [k for k, name in enumerate(names) if name.startswith("~") and name[1] != "w" and name not in mine]
    parts: dict[tuple[int, ...], Any] = {}
    ring = c.numer.ring
    for monomial, number in c.numer.terms():
        key = tuple(monomial[k] for k in places)
        rest = tuple(0 if k in places else power for k, power in enumerate(monomial))
        parts[key] = parts.get(key, ring.zero) + ring({rest: number})
    return [p.as_expr() for p in parts.values()]
