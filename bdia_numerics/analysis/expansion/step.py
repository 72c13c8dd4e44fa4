"""One step of a solver on series in the step size: what it leaves of the exact solution, and the step made linear.

For one-step methods also Butcher's order conditions: elementary weights, tree by tree, read off their programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from math import prod
from typing import Any, cast

from bdia_numerics import models
from bdia_numerics.analysis.expansion.layouts import NeedsRoot, NeedsTime, PointLayout, layout
from bdia_numerics.analysis.expansion.modes import StepModes, modes
from bdia_numerics.analysis.expansion.series import (
    SOLUTION,
    Element,
    Expansion,
    Series,
    SeriesSpace,
    evaluated,
    moved,
    product,
    repeats,
)
from bdia_numerics.grids import Index
from bdia_numerics.program import (
    Evaluate,
    Evaluation,
    Form,
    Held,
    Linear,
    Recorder,
    Run,
    Segment,
    Solver,
    Structure,
    Trace,
    attributes,
    interpret,
    remembered,
    structure,
    theirs,
    weighted,
)
from bdia_numerics.program.structure import OTHER, unfilled
from bdia_numerics.spaces.later import sympy
from bdia_numerics.spaces.values import ordered

Matrix = list[list[Series]]
Profile = Mapping[Element, Series]
"""What a register adds to the value that it stands for: coefficients by basis element, on uniform and smooth grids; at t_i, and
carried from there to the register's own time."""


def symbols_of(solver: object) -> list[Any]:
    """Return the sympy symbols among the attributes of a solver, and of what it is made of."""
    found: dict[str, Any] = {}
    for symbol in _symbols(solver, 0):
        if found.setdefault(str(symbol), symbol) != symbol:
            raise ValueError(f"two symbols of {type(solver).__name__} are called {symbol}: rename one")
    return [found[name] for name in sorted(found)]


def _symbols(value: object, depth: int) -> Iterator[Any]:
    if hasattr(value, "free_symbols"):
        yield from value.free_symbols
    elif depth < 4 and not isinstance(value, type | str | int | float) and not callable(value):
        for item in value if isinstance(value, tuple | list) else attributes(value).values():
            yield from _symbols(item, depth + 1)


@dataclass(eq=False)
class SeriesRecorder(Recorder):
    """A recorder on a layout: velocity is what the model predicts where t is the independent variable."""

    def t(self, time: Any) -> Any:
        """Return t at a time; NeedsTime in the variable s."""
        self._timed("t")
        return super().t(time)

    def sigma_bar(self, time: Any) -> Any:
        """Return sigma/alpha at a time."""
        return cast(PointLayout, self.trace.grid).sigma_bar(time)

    def velocity(self, z: Linear, e: Linear) -> Form:
        """Return dz/dt; NeedsTime in the variable s."""
        self._timed("velocity")
        return Form(self, {e.number: self.one}) if isinstance(e, Evaluation) else super().velocity(z, e)

    def angle(self, time: Any) -> Any:
        """Return the angle at a time; NeedsTime in another variable."""
        self._timed("angle")
        return super().t(time)

    def v(self, z: Linear, e: Linear) -> Form:
        """Return dz/dphi; NeedsTime in another variable than the angle."""
        self._timed("angle")
        return Form(self, {e.number: self.one}) if isinstance(e, Evaluation) else super().v(z, e)

    def root(self, x: int, n: int) -> Any:
        """Return a root of a whole number; NeedsRoot where the field of the series lacks it."""
        space = cast(PointLayout, self.trace.grid).space
        if space.root != (x, n):
            raise NeedsRoot((x, n))
        return space.symbol("r")

    def _timed(self, what: str) -> None:
        where = cast(PointLayout, self.trace.grid)
        if not where.in_time or where.in_angle != (what == "angle"):
            raise NeedsTime(what)


def recorded(solver: Solver, where: PointLayout) -> Run:
    """Record the step from t_0 to t_{-1} of a layout, as a run of one slot; of as many as its pattern has."""
    shape = structure(solver)
    trace = Trace(where, "velocity" if where.in_time else "eps")
    inputs = {
        n: Held(trace.new(f"{n} at {lag}"), Index(lag)) for n, lag in zip(shape.registers, shape.lags, strict=True)
    }
    held, segments = inputs, []
    for k in range(len(where.pattern)):
        s = SeriesRecorder(trace, Index(-k), dict(held), solver=solver)
        theirs(solver.step, s)
        segments.append(Segment(-k, -k - 1, held, tuple(s.ops), dict(s.held)))
        held = segments[-1].after
    return Run(trace, inputs, tuple(segments), held)


@dataclass(frozen=True, eq=False)
class SeriesStep:
    """A step of a solver, recorded on one layout; or its inverse, as `run`."""

    solver: Solver
    layout: PointLayout
    run: Run

    @staticmethod
    @remembered  # order, consistency and stability of a solver are read off the same step
    def of(
        solver: Solver, terms: int, spacing: str, alphas: str = "smooth", pattern: Sequence[Any] = (1,)
    ) -> SeriesStep:
        """Take a solver on series to O(h^terms), in s = sigma/alpha, or in t, or the angle, where the step asks for it.

        With a pattern, as many of its steps are taken as one.
        """
        options: dict[str, Any] = {"spacing": spacing, "alphas": alphas, "pattern": tuple(pattern)}
        depth, missing = structure(solver).depth, ""
        for in_time, in_angle in ((False, False), (True, False), (True, True)):
            options |= {"in_time": in_time, "in_angle": in_angle}
            try:
                return SeriesStep._recorded(solver, terms, depth, options)
            except NeedsTime as error:
                missing = " and ".join(filter(None, (missing, str(error))))
        raise TypeError(f"the step mixes variables ({missing}): its order has no expansion in one variable")

    @classmethod
    def _recorded(cls, solver: Solver, terms: int, depth: int, options: dict[str, Any]) -> SeriesStep:
        where = layout(symbols_of(solver), terms, depth, **options)
        try:
            return cls(solver, where, recorded(solver, where))
        except NeedsRoot as needed:
            return cls._recorded(solver, terms, depth, {**options, "root": needed.args[0]})

    def with_free_alphas(self) -> SeriesStep:
        """Return the step with a symbol for alpha at each time that it mentions; in s."""
        seen, depth = self.layout, self.layout.depth
        # What the step has mentioned is known only now that it is recorded, stages between two points included.
        times = list(dict.fromkeys([*seen.places, *range(-1, depth + 1)]))
        options = {"spacing": seen.spacing, "alphas": "free"}
        where = layout(symbols_of(self.solver), seen.space.terms, depth, times=times, root=seen.space.root, **options)
        return SeriesStep(self.solver, where, recorded(self.solver, where))

    def back(self) -> SeriesStep:
        """Return the step of the same solver from where this one ends to where it begins; for one without first states."""
        where = replace(self.layout, places={0: self.layout.place(-1), -1: self.layout.place(0)}, _points={})
        return SeriesStep(self.solver, where, recorded(self.solver, where))

    @cached_property
    def shape(self) -> Structure:
        """Registers of the solver, and what they hold."""
        return structure(self.solver)

    @property
    def row(self) -> int:
        """The number of the register that is the solution."""
        return self.shape.registers.index(self.shape.output)

    @cached_property
    def modes(self) -> StepModes:
        """Spectral groups of the step at h = 0."""
        return modes(self.coefficient(0))

    def coefficient(self, k: int) -> Any:
        """Return the coefficient of h^k in the step for eps = J y, states divided by alpha."""
        return coefficient_of(self._with_symbol, k)

    @cached_property
    def _with_symbol(self) -> Matrix:
        return self.matrix(self.layout.space.symbol("J"))

    def scale(self, name: str, time: Any) -> Series:
        """Return the factor between a register and the dependent variable, in which a state is divided by alpha."""
        return self.layout.scale(time) if self.shape.kind(name) == "state" else self.layout.space.one

    def exact(self, name: str, time: Any, profile: Profile) -> Expansion:
        """Return what a register holds on the exact solution; a state is divided by alpha."""
        where, kind = self.layout, self.shape.kind(name)
        x = where.place(time)
        value, slope = moved(where.space, SOLUTION, x), moved(where.space, (0, 1), x)
        prediction = "velocity" if where.in_time else "eps"
        if kind == OTHER:
            raise unfilled(self.solver, name)
        if kind == "v" and where.in_angle:
            kind = prediction
        elif kind == "v" or (kind == "velocity" and where.in_angle):
            raise NeedsTime(kind)
        if kind in (prediction, "state"):
            total = slope if kind == prediction else value
        elif kind == "velocity":
            raise NeedsTime(kind)
        else:
            form = models.eps_form if kind == "eps" else models.x0_form
            of_state, of_output = map(where.space.field, form(prediction, where.point(time)))
            total = value.times(of_state * where.scale(time)) + slope.times(of_output)
        # A register is displaced by a profile at t_i; at its own time both the elements and their coefficients have moved on.
        for element, c in profile.items():
            total = total + moved(where.space, element, x).times(where.carried(c, time))
        return total

    def residual(self, profiles: Mapping[str, Profile] | None = None) -> list[Expansion]:
        """Return, register by register, the exact value after the step less what the step makes of the exact values before it."""
        profiles = profiles or {}
        ends = self.run.segments[0].before, self.run.segments[-1].after
        before, after = ([self.exact(n, x.time, profiles.get(n, {})) for n, x in end.items()] for end in ends)
        return [true - made for true, made in zip(after, self.taken(before), strict=True)]

    def taken(self, registers: Sequence[Expansion]) -> list[Expansion]:
        """Return what the step makes of what the registers hold before it; states are divided by alpha."""
        where = self.layout
        before, after = self.run.segments[0].before, self.run.segments[-1].after

        def evaluate(op: Evaluate, argument: Expansion) -> Expansion:
            return evaluated(argument.times(where.scale(op.time).inverse()), where.place(op.time))

        def combine(terms: Sequence[tuple[Any, Expansion]]) -> Expansion:
            return sum((value.times(where.space.field(c)) for c, value in terms), Expansion.zero(where.space))

        values = {
            held.number: x.times(self.scale(n, held.time))
            for x, (n, held) in zip(registers, before.items(), strict=True)
        }
        for segment in self.run.segments:
            interpret(segment.ops, values, evaluate, combine)
        return [values[held.number].times(self.scale(n, held.time).inverse()) for n, held in after.items()]

    def matrix(self, jacobian: Any) -> Matrix:
        """Return the registers after the step from those before it for eps = J y: states over alpha.

        J is a number of the layout, or 0.
        """
        where, before = self.layout, self.run.segments[0].before
        zero, slope, width = where.space.field(0), where.space.field(jacobian), range(len(before))

        def evaluate(op: Evaluate, argument: list[Series]) -> list[Series]:
            # States are not divided by alpha within a step; eps = J y is taken at y, so that the division is made here.
            ratio = slope / where.scale(op.time)
            return [ratio * x for x in argument]

        def combine(terms: Sequence[tuple[Any, list[Series]]]) -> list[Series]:
            return [sum((c * row[j] for c, row in terms), zero) for j in width]

        values = {
            held.number: [self.scale(n, held.time) if j == k else zero for j in width]
            for k, (n, held) in enumerate(before.items())
        }
        for segment in self.run.segments:
            interpret(segment.ops, values, evaluate, combine)
        after = [(held, 1 / self.scale(n, held.time)) for n, held in self.run.segments[-1].after.items()]
        return [[x * factor for x in values[held.number]] for held, factor in after]

    def applied(self, P: Any, values: Sequence[Expansion]) -> list[Expansion]:
        """Return a matrix over the field, whose J is an operator, applied to expansions."""
        return [self._row(row, values) for row in P.to_list()]

    def _row(self, row: Sequence[Any], values: Sequence[Expansion]) -> Expansion:
        space = self.layout.space
        total = Expansion.zero(space)
        for c, expansion in zip(row, values, strict=True):
            # J stands for an operator: a power of it in an entry of the matrix nests the element, f_1(f_1(...)).
            for power, part in _by_power(c, space):
                terms = {_nested(e, power): x for e, x in expansion.terms.items()}
                total = total + Expansion.of(space, terms, expansion.precision).times(space.field(part))
        return total


def coefficient_of(matrix: Matrix, k: int) -> Any:
    """Return the coefficient of h^k in a matrix of series, over the field of its coefficients."""
    rows = [[x.coefficient(k) for x in row] for row in matrix]
    return sympy.polys.matrices.DomainMatrix(rows, (len(rows), len(rows)), matrix[0][0].space.base.to_domain())


def _nested(element: Element, power: int) -> Element:
    """Return J^power applied to a basis element."""
    return (1, 0, (_nested(element, power - 1),)) if power else element


def _by_power(c: Any, space: SeriesSpace) -> Iterator[tuple[int, Any]]:
    """Yield the coefficients of an element of the field as a polynomial in J."""
    if not c:
        return
    place = list(space.symbols).index("~J")
    numerators: dict[int, Any] = {}
    for monomial, number in c.numer.terms():
        bare = tuple(0 if k == place else power for k, power in enumerate(monomial))
        numerators.setdefault(monomial[place], {})[bare] = number
    for power, numerator in sorted(numerators.items()):
        yield power, space.base(space.base.ring(numerator)) / space.base(c.denom)


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


@ordered
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

    interpret(segment.ops, values, lambda op, argument: _evaluated(argument, order, one), weighted)
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
    return f"f{chr(39) * len(tree)}({', '.join(map(text, tree))})" if tree else "f"
