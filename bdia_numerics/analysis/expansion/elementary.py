"""Elementary weights of one-step methods, tree by tree, read off their programs: Butcher's order conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from math import factorial
from typing import Any

from bdia_numerics.analysis.expansion.layouts import Layout, layout
from bdia_numerics.analysis.expansion.local import recorded
from bdia_numerics.analysis.expansion.series import Series
from bdia_numerics.analysis.expansion.setting import in_its_variable, symbols_of
from bdia_numerics.program import Run, Solver, structure
from bdia_numerics.program.meaning import interpret

Tree = tuple[Any, ...]
"""The subtrees at the root, sorted: () is f, ((),) is f'f, ((), ()) is f''(f, f)."""
Value = Mapping[Tree | None, Series]
"""Coefficients by tree; None stands for y itself."""


@dataclass(frozen=True)
class OrderCondition:
    """One order condition: a method has order p iff weight = wanted for all trees of up to p nodes.

    Attributes
    ----------
    tree : str
        The elementary differential.
    order : int
        Number of nodes.
    weight : sympy.Expr
        Elementary weight of the method: sum b for f, sum b c for f'f.
    wanted : Fraction
        That of the exact solution, 1 over the density of the tree.
    """

    tree: str
    order: int
    weight: Any
    wanted: Fraction

    @property
    def satisfied(self) -> bool:
        """Whether they are equal."""
        import sympy

        return bool(sympy.cancel(self.weight - sympy.Rational(self.wanted.numerator, self.wanted.denominator)) == 0)


def order_conditions(solver: Solver, order: int = 4) -> list[OrderCondition]:
    """Return the elementary weights of a one-step method for all rooted trees of up to `order` nodes.

    Parameters
    ----------
    solver
        A solver with one register; its program is run on trees, for an autonomous f and alpha = 1. What it does with the
        times of its stages is seen by `symbolic_order`, which takes f with s among its variables.
    order
        Largest number of nodes.

    Raises
    ------
    ValueError
        For a solver of several registers.

    Notes
    -----
    Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, theorem II.2.13.
    """
    if len(structure(solver).registers) > 1:
        raise ValueError(f"{type(solver).__name__} has several registers: use symbolic_order, which takes any method")

    def make(*, in_time: bool) -> tuple[Layout, Run]:
        where = layout(symbols_of(solver), order + 3, 0, spacing="uniform", alphas="one", in_time=in_time)
        return where, recorded(solver, where)

    where, run = in_its_variable(make)
    (segment,) = run.segments
    (before,), (after,) = segment.before.values(), segment.after.values()
    values: dict[int, Value] = {before.number: {None: where.space.one}}

    def combine(terms: Sequence[tuple[Any, Value]]) -> Value:
        total: dict[Tree | None, Series] = {}
        for c, value in terms:
            for tree, x in value.items():
                total[tree] = (total[tree] if tree in total else where.space.field(0)) + x * c
        return total

    interpret(segment.ops, values, lambda op, argument: _evaluated(where, argument, order), combine)
    found = values[after.number]
    return [
        OrderCondition(text(tree), nodes(tree), _weight(found, tree), Fraction(1, density(tree)))
        for tree in trees(order)
    ]


def _weight(found: Value, tree: Tree) -> Any:
    import sympy

    return found[tree].coefficient(nodes(tree)).as_expr() * symmetry(tree) if tree in found else sympy.Integer(0)


def _evaluated(where: Layout, value: Value, order: int) -> dict[Tree | None, Series]:
    """Return f at y + sum of trees: one new root over each multiset of them."""
    inner = [tree for tree in value if tree is not None]
    total: dict[Tree | None, Series] = {}
    for m in range(order):
        for chosen in combinations_with_replacement(sorted(inner, key=repr), m):
            if sum(map(nodes, chosen)) >= order:
                continue
            c = where.space.one
            for tree in chosen:
                c = c * value[tree]
            for tree in set(chosen):
                c = c * Fraction(1, factorial(chosen.count(tree)))
            total[tuple(sorted(chosen))] = c
    return total


def trees(order: int) -> list[Tree]:
    """Return all rooted trees of up to `order` nodes, smallest first."""
    found: list[Tree] = [()]
    for n in range(2, order + 1):
        smaller = list(found)
        for m in range(1, n):
            chosen = combinations_with_replacement(smaller, m)
            found += sorted({tuple(sorted(c)) for c in chosen if sum(map(nodes, c)) == n - 1})
    return found


def nodes(tree: Tree) -> int:
    """Return the number of nodes."""
    return 1 + sum(map(nodes, tree))


def density(tree: Tree) -> int:
    """Return the product over all nodes of the number of nodes at and above them."""
    product = nodes(tree)
    for branch in tree:
        product *= density(branch)
    return product


def symmetry(tree: Tree) -> int:
    """Return the number of permutations of the nodes that leave the tree as it is."""
    product = 1
    for branch in set(tree):
        product *= factorial(tree.count(branch)) * symmetry(branch) ** tree.count(branch)
    return product


def text(tree: Tree) -> str:
    """Return the elementary differential of a tree."""
    if not tree:
        return "f"
    return f"f{chr(39) * len(tree)}({', '.join(map(text, tree))})"
