"""Elementary weights of one-step methods, tree by tree, read off their programs: Butcher's order conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from math import prod
from typing import Any

from bdia_numerics.analysis.expansion.differentials import added, product, repeats
from bdia_numerics.analysis.expansion.series import Series
from bdia_numerics.analysis.expansion.step import SeriesStep
from bdia_numerics.program import Solver, structure
from bdia_numerics.program.ops import interpret
from bdia_numerics.spaces.later import sympy

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

    step = SeriesStep.of(solver, order + 3, "uniform", "one")
    (segment,), one = step.run.segments, step.layout.space.one
    (before,), (after,) = segment.before.values(), segment.after.values()
    values: dict[int, Value] = {before.number: {None: one}}

    def combine(terms: Sequence[tuple[Any, Value]]) -> Value:
        return added(*({tree: x * c for tree, x in value.items()} for c, value in terms))

    interpret(segment.ops, values, lambda op, argument: _evaluated(argument, order, one), combine)
    found = values[after.number]
    return [
        OrderCondition(text(tree), nodes(tree), _weight(found, tree), Fraction(1, density(tree)))
        for tree in trees(order)
    ]


def _weight(found: Value, tree: Tree) -> Any:
    return found[tree].coefficient(nodes(tree)).as_expr() * symmetry(tree) if tree in found else sympy.Integer(0)


def _evaluated(value: Value, order: int, one: Series) -> dict[Tree | None, Series]:
    """Return f at y + sum of trees: one new root over each multiset of them."""
    inner = sorted((tree for tree in value if tree is not None), key=repr)
    total: dict[Tree | None, Series] = {}
    for m in range(order):
        for chosen in combinations_with_replacement(inner, m):
            if sum(map(nodes, chosen)) < order:
                weight = product((value[tree] for tree in chosen), one) * Fraction(1, repeats(chosen))
                total[tuple(sorted(chosen))] = weight
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
    return nodes(tree) * prod(map(density, tree))


def symmetry(tree: Tree) -> int:
    """Return the number of permutations of the nodes that leave the tree as it is."""
    return repeats(tree) * prod(map(symmetry, tree))


def text(tree: Tree) -> str:
    """Return the elementary differential of a tree."""
    if not tree:
        return "f"
    return f"f{chr(39) * len(tree)}({', '.join(map(text, tree))})"
