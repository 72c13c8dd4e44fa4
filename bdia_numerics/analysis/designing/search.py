"""`design`: the members of a family with the least error on a schedule, against what they make of perturbations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Any, cast

import numpy as np

from bdia_numerics import grids, models, solvers
from bdia_numerics.analysis.designing.families import DIRECTIONS, SolverFamily, families, readable
from bdia_numerics.analysis.designing.flow import GaussianFlow
from bdia_numerics.analysis.designing.templates import multistep
from bdia_numerics.analysis.expansion.layouts import SPACINGS
from bdia_numerics.analysis.expansion.order import settled
from bdia_numerics.analysis.expansion.series import Element
from bdia_numerics.analysis.expansion.step import symbols_of
from bdia_numerics.analysis.measurement.errors import global_error
from bdia_numerics.analysis.perturbation.amplification import amplification, gaussian_jacobian
from bdia_numerics.analysis.stability.zero_stability import zero_stability
from bdia_numerics.formulas import expression, number
from bdia_numerics.grids import Grid
from bdia_numerics.problems import Gaussian
from bdia_numerics.program import Solver, invertibility, structure
from bdia_numerics.runs.solving import solve
from bdia_numerics.schedules import Schedule
from bdia_numerics.solvers.variables import PREDICTIONS
from bdia_numerics.spaces import Array, Drawn, ordered
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import one_of, shown

MOST_FREE = 3
"""Free weights that are searched."""
PLACES = 96
"""Members of the first, coarse look at a family for which the amplification is computed."""
ROUNDS = 4
"""How often the lattice of weights is halved around the best member."""
SHOWN = 12
"""Members of the Pareto set that tables show."""
_ROUNDED, _APART, _ANY_VARIANCE = 1e-9, 1e-3, 0.3


@dataclass(frozen=True, eq=False)
class Member:
    """One solver of a family.

    Attributes
    ----------
    solver
        It runs, inverts and has a datasheet as any other.
    weights : dict
        Numbers, or expressions in ratios of steps, by symbol of the template.
    error : float
        The leading term of its global error on the schedule, over the size of the state; where alpha is in the weights of its step, and is
        not 1, the error of a run from exact first states.
    amplification : dict
        By direction, "sample" and "invert": how many times a run enlarges perturbations of its first states at most on its way, the
        largest of `Amplification.norms`.
    """

    solver: Solver
    weights: Mapping[Any, Any]
    error: float
    amplification: Mapping[str, float]

    @property
    def worst(self) -> float:
        """The larger of the amplifications that were bounded."""
        return max(self.amplification.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers."""
        weights = {str(x): str(readable(w)) for x, w in self.weights.items()}
        return {"weights": weights, "error": self.error, "amplification": dict(self.amplification)}


@dataclass(frozen=True, eq=False)
class Design(Drawn):
    """What `design` found.

    Attributes
    ----------
    families : tuple of SolverFamily
        The solutions of the order conditions, in symbols; one, unless they are not linear.
    order, stable, order_on
        What was asked for.
    grid : Grid
        On which errors and amplifications are.
    members : tuple of Member
        All that were looked at, within the bound or not.
    bound : float or None
        On `Member.worst`.
    variance : float
        Of the data.
    """

    families: tuple[SolverFamily, ...]
    order: int
    stable: str | None
    order_on: str
    grid: Grid
    members: tuple[Member, ...]
    bound: float | None
    variance: float

    def __str__(self) -> str:
        chosen = ", ".join(f"{x} = {expression(readable(w))}" for x, w in self.best.weights.items())
        return f"order {self.order}, stable: {self.stable}, {len(self.members)} tried; best {chosen}"

    @property
    def pareto(self) -> tuple[Member, ...]:
        """The members to which none is better in both error and amplification, the least error first."""
        kept: list[Member] = []
        for m in sorted(self.members, key=lambda m: (m.error, m.worst)):
            if not kept or m.worst < kept[-1].worst:
                kept.append(m)
        return tuple(kept)

    @property
    def best(self) -> Member:
        """The member of the least error within the bound; without one, that of the least product of error and amplification."""
        if self.bound is None:
            return min(self.pareto, key=lambda m: m.error * m.worst)
        return min((m for m in self.members if m.worst <= self.bound), key=lambda m: m.error)

    def same(self) -> list[str]:
        """Return which solvers of `bdia list`, in the variable of the best one, take the same steps as it on the grid."""
        variable, schedule = getattr(self.best.solver, "variable", "sigma_bar"), cast(Schedule, self.grid.schedule)
        ends = {"t_max": self.grid.t[self.grid.n], "t_min": self.grid.t[0], "variable": variable}
        return same_steps(
            self.best.solver, self.grid if self.order_on == "uniform" else grids.alternating(schedule, 12, **ends)
        )

    def measured(self, member: Member) -> float:
        """Return the error of a run of a member with its own start, over the size of the state; nan if it leaves the range."""
        law, schedule = Gaussian([0.0], self.variance), cast(Schedule, self.grid.schedule)
        high, low = self.grid.t[self.grid.n], self.grid.t[0]
        z = np.ones((1, 1))

        def v(z: Array, t: Any) -> Array:  # determines the ODE at both ends, where alpha or sigma may be 0
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            return z * float(alpha * sigma * (1 - self.variance) / (alpha**2 * self.variance + sigma**2))

        end = solve(member.solver, models.v(v), self.grid, z).z
        exact = law.flow(z, high, low, schedule)
        return float(abs(end - exact).item() / abs(exact).item())

    def said(self) -> Iterator[tuple[str, str]]:
        """Yield the families in symbols: weights, roots, leading error, and for up to one free weight where they are zero-stable."""
        for family in self.families:
            weights = (f"{w} = {expression(readable(x))}" for w, x in family.weights.items() if w != x)
            yield "weights", ", ".join(weights)
            yield "roots", f"{expression(family.roots)} = 0"
            known = "leading error" + " for alpha = 1" * depends_on_alpha(family.template)
            yield known, ", ".join(f"{expression(c)} {e}" for e, c in family.constants().items())
            for d in DIRECTIONS[self.stable] if len(family.free) < 2 else ():
                yield NAMES[d], str(family.stability(d))

    def rows(self) -> list[dict[str, Any]]:
        """Return free weights, errors and amplifications of the best and of up to some dozen of the Pareto set, the least error first."""
        front, free = self.pareto, self.families[0].free
        shown = {id(m): m for m in (*front[:: -(-len(front) // SHOWN)], self.best)}
        return [
            {
                **{str(x): str(m.weights.get(x, "")) for x in free},
                "predicted error": m.error,
                "error of a run": self.measured(m),
                **{NAMES[d]: growth for d, growth in m.amplification.items()},
                "": "best" if m is self.best else "",
            }
            for m in sorted(shown.values(), key=lambda m: m.error)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, but for what was looked at and is not in the Pareto set."""
        return {
            "order": self.order,
            "stable": self.stable,
            "order_on": self.order_on,
            "families": [
                {
                    "weights": {str(w): str(readable(x)) for w, x in f.weights.items()},
                    "free": list(map(str, f.free)),
                    "latex": f.latex,
                }
                for f in self.families
            ],
            "said": [list(pair) for pair in self.said()],
            "steps": self.grid.n,
            "bound": self.bound,
            "variance": self.variance,
            "best": self.best.as_dict() | {"measured": self.measured(self.best), "same": self.same()},
            "pareto": [m.as_dict() | {"measured": self.measured(m)} for m in self.pareto],
        }


NAMES = {"sample": "sampling", "invert": "inverting"}


@ordered
def design(
    template: Solver | str,
    *,
    order: int,
    schedule: Schedule,
    steps: int,
    invertible: bool = True,
    stable: str | None = "both",
    at_most_amplification: float | None = None,
    order_on: str = "uniform",
    variance: float | Fraction = Fraction(1, 4),
    t_max: Any = None,
    t_min: Any = None,
    progress: Callable[[], None] | None = None,
) -> Design:
    """Find the solvers of a template that have an order, and the best of them on a schedule.

    The order conditions of the program are solved for its weights. Of what stays free, the members whose roots satisfy the root
    condition are looked at on a lattice of rational weights, which is halved around the best one.

    Parameters
    ----------
    template
        A step program whose weights are sympy symbols; or a name of `multistep`, which, but for "increments", is taken in the angle
        on variance-preserving schedules, else in sigma/alpha, or in t where that is infinite at an end of the grid.
    order
        At least 1.
    schedule, steps
        Error and amplification are those of a run over so many steps, equal in the variable of the template (its attribute
        `variable`, sigma/alpha without one).
    invertible
        Refuse a template without derived inverse.
    stable : {"both", "sample", "encode", None}
        In which directions the root condition must hold: of the step, of its inverse, or of both.
    at_most_amplification
        A bound on the amplification of perturbations of the first states, in the directions of `stable` (in both where it is None and
        there is an inverse).
    order_on : {"uniform", "smooth", "rough"}
        On which grids the order is asked for: on steps equal in the variable, with alpha = 1 where the states are divided by it; on all
        that are smooth in sigma/alpha; or on all with bounded ratios of steps, where weights may depend on these ratios.
    variance
        That of the Gaussian data on which error and amplification are computed.
    t_max, t_min
        Ends of the grid, by default those of the schedule.
    progress
        Called after each member.

    Returns
    -------
    Design

    Raises
    ------
    ValueError
        For a template without symbols, without inverse, with steps of another variable, or with more than three free weights left;
        where no weights have the order, none is stable, or none keeps the bound: the highest order or the least amplification is named.

    Notes
    -----
    The leading error is the coefficients of `SymbolicOrder.principal` times integrals of their elementary differentials along the exact
    flow (Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, sec. III.8).

    Examples
    --------
    >>> from bdia_numerics import analysis, schedules
    >>> found = analysis.design("two-step", order=2, schedule=schedules.vp_linear(), steps=20)
    >>> found.best.solver
    Multistep(a=(-1, 0), b=(2,), variable='angle')
    """
    one_of("stable", stable, DIRECTIONS)
    one_of("order_on", order_on, SPACINGS)
    if order < 1:
        raise ValueError(f"order={order} is not an order of a solver: give at least 1")
    ends = {name: t for name, t in (("t_max", t_max), ("t_min", t_min)) if t is not None}
    if isinstance(template, str):
        template = multistep(template, variable=natural(template, schedule, **ends))
    verdict = check_template(template, invertible or stable in ("both", "encode"))
    variable = getattr(template, "variable", "sigma_bar")
    grid = grids.alternating(schedule, steps, ratio=1, variable=variable, **ends)
    has_levels = any(a != 1 for a in grid.alpha) and depends_on_alpha(template)
    if order_on == "uniform" and has_levels:
        raise ValueError(
            f"order_on=uniform: the step of {shown(template)} has alpha in its weights, and order and error on equal steps are those for "
            "alpha = 1: pass order_on='smooth', or a schedule with alpha = 1"
        )
    found = families(template, order, order_on, stable == "both")
    if order_on == "smooth" and (left := [x for f in found for x in f.free]):
        raise ValueError(
            f"order_on=smooth: order {order} leaves {', '.join(map(str, left))} free, and errors are compared on equal steps alone: ask "
            "for a higher order, or fix them"
        )
    directions = DIRECTIONS[stable] or (("sample", "invert") if verdict.invertible else ("sample",))
    members = []
    for family in found:
        search = Search(
            family, directions, bool(stable), grid, float(variance), progress or (lambda: None), invertible, has_levels
        )
        members += search.members(at_most_amplification)
    while members:
        made = Design(
            tuple(found), order, stable, order_on, grid, tuple(members), at_most_amplification, float(variance)
        )
        least = min(m.worst for m in members)
        if at_most_amplification is not None and least > at_most_amplification:
            raise ValueError(
                f"at_most_amplification={at_most_amplification:g}: the least that was found is {number(least)}: allow as much, or change "
                "the grid or the order"
            )
        # Roots were computed up to rounding; those of the best are decided exactly.
        if all(zero_stability(made.best.solver, d).stable for d in DIRECTIONS[stable]):
            return made
        members.remove(made.best)
    kept = {
        "both": "zero-stable in both directions",
        "sample": "zero-stable in sampling",
        "encode": "zero-stable in encoding",
    }
    raise ValueError(
        f"stable={stable}: no weights of order {order} are {kept.get(str(stable), 'taken by the template')}: ask for a lower order"
        + ", or stable=None" * bool(stable)
    )


def natural(template: str, schedule: Schedule, **ends: Any) -> str:
    """Return the variable of a named template: the angle on variance-preserving schedules, t where sigma/alpha is infinite at an end."""
    *first, last = ("sigma_bar",) if template == "increments" else ("angle", "sigma_bar", "t")
    for variable in first:
        with suppress(ValueError):
            grids.alternating(schedule, 2, ratio=1, variable=variable, **ends)
            return variable
    return last


def check_template(template: Solver, inverse: bool) -> Any:
    """Return whether a template has a derived inverse; ValueError if it has no symbols, or none and one is wanted."""
    structure(template)
    variable = one_of("variable", getattr(template, "variable", "sigma_bar"), PREDICTIONS)
    if not symbols_of(template):
        raise ValueError(f"template={shown(template)} has no free weights: give sympy symbols for those to be found")
    if (taken := settled(template, "uniform", "one").layout.variable) != variable:
        raise ValueError(
            f"template={shown(template)} takes steps in {taken}, and errors would be of steps equal in {variable}: give it the attribute "
            f"variable = {taken!r}"
        )
    verdict = invertibility(template)
    if inverse and not verdict.invertible:
        raise ValueError(
            f"template={shown(template)} is not exactly invertible: {verdict.reason}; change the step, or pass "
            "invertible=False with stable='sample' or None"
        )
    return verdict


def depends_on_alpha(template: Solver) -> bool:
    """Say whether the step for eps = J y, in y = z/alpha, depends on alpha."""
    step = settled(template, "uniform", "one")
    if step.layout.in_time:
        return False
    matrix = (free := step.with_free_alphas()).matrix(free.layout.space.symbol("J"))
    entries = [c for row in matrix for x in row for c in x.coefficients]
    return any("~alpha" in str(symbol) for c in entries for symbol in c.as_expr().free_symbols)


@dataclass(frozen=True, eq=False)
class Search:
    """The search of one family."""

    family: SolverFamily
    directions: Sequence[str]
    stable: bool
    grid: Grid
    variance: float
    progress: Callable[[], None]
    invertible: bool = True
    has_levels: bool = False

    def members(self, bound: float | None) -> list[Member]:
        """Return the members of a coarse lattice, and of finer ones around the best."""
        free = self.family.free
        if len(free) > MOST_FREE:
            raise ValueError(
                f"the order leaves the weights {', '.join(map(str, free))} free: ask for a higher order, or fix all but {MOST_FREE} of them"
            )
        span = math.comb(size := len(self.family.template.registers), size // 2)
        step = Fraction(1, (1, 16, 2, 1)[len(free)])
        axis = [k * step for k in range(-int(span / step), int(span / step) + 1)]
        places = [p for p in product(axis, repeat=len(free)) if self._stands(p)]
        found = {p: self._member(p) for p in places[:: -(-len(places) // PLACES) or 1]}
        for _ in range(ROUNDS if free and found else 0):
            centre, step = min(found, key=lambda p: self._rank(found[p], bound)), step / 2
            found |= {p: self._member(p) for p in self._around(centre, step) if p not in found and self._stands(p)}
        return list(found.values())

    def _around(self, centre: Sequence[Fraction], step: Fraction) -> Iterator[tuple[Fraction, ...]]:
        for moves in product((-1, 0, 1), repeat=len(centre)):
            yield tuple(c + m * step for c, m in zip(centre, moves, strict=True))

    def _rank(self, member: Member, bound: float | None) -> tuple[float, float]:
        if bound is None:
            return 0.0, member.error * member.worst
        return max(member.worst - bound, 0.0), member.error

    def _values(self, place: Sequence[Fraction]) -> dict[Any, Any]:
        return {x: sympy.Rational(v.numerator, v.denominator) for x, v in zip(self.family.free, place, strict=True)}

    def _stands(self, place: Sequence[Fraction]) -> bool:
        """Say whether the roots are as wanted, up to rounding, the error is known there, and the template takes these weights."""
        at = tuple(map(float, place))
        try:
            row = np.array(self._functions[1](*at), dtype=float)
            values = [c(*at) for c in self._functions[0]]
        except ZeroDivisionError:
            return False
        returns = row[-1] != 0 or not (self.invertible or "invert" in self.directions)
        one = self.family.restricted(self._values(place))
        poles = any(w.has(sympy.zoo, sympy.nan) for w in one.weights.values())
        if poles or not returns or not np.isfinite([*row, *values]).all():
            return False
        if self.stable and not all(bounded(row if d == "sample" else row[::-1]) for d in self.directions):
            return False
        with suppress(ValueError):  # weights that the template refuses
            return bool(one.member)
        return False

    def _member(self, place: Sequence[Fraction]) -> Member:
        one, J = self.family.restricted(self._values(place)), gaussian_jacobian(self.variance)
        solver = one.member
        grown = {d: float(amplification(solver, self.grid, d, J=J).norms.max()) for d in self.directions}
        self.progress()
        return Member(solver, one.weights, self._error(one), grown)

    def _error(self, one: SolverFamily) -> float:
        if self.has_levels:  # the terms of the family are those for alpha = 1
            law, z, grid = Gaussian([0.0], self.variance), np.ones((1, 1)), self.grid
            size = abs(law.flow(z, grid.t[grid.n], grid.t[0], cast(Schedule, grid.schedule))).item()
            return global_error(one.member, law, grid, states=z).error / size
        order, *terms = self.family.leading
        values = {x: one.weights[x] for x in self.family.free}
        here: list[Mapping[Element, Any]] = [{e: c.subs(values) for e, c in some.items()} for some in terms]
        if not any(c for some in here for c in some.values()):  # a member of a higher order
            order, *here = one.leading
        x = self._flow.span / self.grid.n
        parts = (
            float(c) * at(e)
            for at, some in zip((self._flow.added, self._flow.at_end), here, strict=True)
            for e, c in some.items()
        )
        return abs(sum(parts)) * x**order

    @cached_property
    def _flow(self) -> GaussianFlow:
        return GaussianFlow(self.grid, getattr(self.family.template, "variable", "sigma_bar"), self.variance)

    @cached_property
    def _functions(self) -> tuple[list[Any], Any]:
        """The coefficients of the leading error, and the characteristic polynomial, as functions of the free weights."""
        free, zeta = self.family.free, sympy.Symbol("zeta")
        row = sympy.Poly(self.family.roots, zeta).all_coeffs()
        terms = [c for some in self.family.leading[1:] for c in some.values()]
        return [sympy.lambdify(free, c, "math") for c in terms], sympy.lambdify(free, row, "math")


def bounded(polynomial: Array) -> bool:
    """Say whether no root is outside the unit circle, and those on it are apart, up to rounding."""
    roots = np.roots(polynomial)
    circle = roots[abs(roots) > 1 - _ROUNDED]
    gaps = abs(circle[:, None] - circle) + np.eye(len(circle))
    return bool(np.all(abs(roots) < 1 + _ROUNDED) and np.all(gaps > _APART))


def same_steps(solver: Solver, grid: Grid) -> list[str]:
    """Return which solvers of the register take the same steps on a grid, told which variable it has."""
    variable, J = getattr(solver, "variable", "sigma_bar"), gaussian_jacobian(_ANY_VARIANCE)
    wanted, found = amplification(solver, grid, J=J).matrices, []
    for make in solvers.SOLVERS.values():
        try:
            other = make(variable=variable) if "variable" in getattr(make, "__dataclass_fields__", {}) else make()
            matrices = amplification(other, grid, J=J).matrices
        except (ValueError, TypeError):  # another variable, a grid that it does not take
            continue
        if matrices.shape == wanted.shape and np.allclose(matrices, wanted, rtol=1e-9, atol=1e-9):
            found.append(shown(other))
    return found
