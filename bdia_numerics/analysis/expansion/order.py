"""Order and error constants of a solver, derived from its program by Taylor expansion; and how nearly its step back undoes the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bdia_numerics.analysis.expansion.layouts import own
from bdia_numerics.analysis.expansion.modes import INSIDE, InconsistentError, irreducible
from bdia_numerics.analysis.expansion.propagation import (
    ROUGH,
    Displaced,
    conserved,
    known_order,
    mode_orders,
    stable,
    varies,
)
from bdia_numerics.analysis.expansion.series import EXACT, Element, Expansion, Series, TooShort, text
from bdia_numerics.analysis.expansion.step import SeriesStep, symbols_of
from bdia_numerics.formulas import expression
from bdia_numerics.program import Evaluate, Solver, identity, interpret, refusal, remembered, structure, weighted
from bdia_numerics.runs.solving import starter_of
from bdia_numerics.spaces.later import sympy
from bdia_numerics.spaces.showing import Shown
from bdia_numerics.texts import shown

T = TypeVar("T")
LONGEST = 11
"""Series are made longer up to O(h^LONGEST) until they show the residual."""


@dataclass(frozen=True, repr=False)
class SymbolicOrder(Shown):
    """What the Taylor expansion of a solver's step says.

    Errors are exact minus numerical, in y = z/alpha with s = sigma/alpha, dy/ds = eps; in z with t where the step asks for
    t. Elementary differentials are written y'', J y'', f_yy(y'', y''), with J = d eps/dy and primes for total derivatives in s.

    Attributes
    ----------
    solver, output, variables
        What was analysed; the register that is its z; ("y", "s") or ("z", "t").
    order_rough
        Order of the global error of `output` where the step ratios are bounded, and no more. A lower bound where the step depends on
        them at h = 0, or a register that decays has a residual that may cancel where it is used.
    order_smooth
        The same where they vary smoothly; both for a zero-stable method, symbols within the stable region, and a start that
        is as good. A lower bound where 1 is a multiple eigenvalue of the step at h = 0 and `output` does not see the worst of its modes.
    order_uniform
        The same where the steps are equal in s, and alpha = 1.
    zero_stable
        False if an eigenvalue of the step at h = 0 has modulus above 1, or modulus 1 and too few eigenvectors: there is no
        convergence then, and the orders are those of consistency. None if it depends on symbols.
    order_with_start
        The order on smooth grids with the solver's own start.
    register_orders
        Order of each register's error, on smooth grids.
    local
        Leading term of the local error on rough grids, register by register: coefficients by elementary differential. In z,
        with h_i = s_{i-1} - s_i, where they hold for every alpha (`alpha_exact`), else in y.
    alpha_exact
        Whether the terms before vanish for every alpha, not only for one smooth in s.
    principal
        Leading term of what a step adds to the global error on a uniform grid with alpha = 1, in powers of h.
    displacement
        The leading term, in powers of h, of `output` minus the trajectory on which that error grows: it is of the same
        order, and does not grow.
    error_constant
        The coefficient of y^(p+1) h^(p+1) in it; of DDIM 1/2.
    ddim_ratio
        Global error over DDIM's, as h falls: 0 for order 2 and more; None where the leading term is not a multiple of y'',
        and where 1 is a double eigenvalue.
    condition
        Equations for the next order on uniform grids; what has to vanish for every y. Empty where no values solve them all.
    local_condition
        Equations for the next order of the local error on any grid.
    mean
        Weights of the combination of registers that the step conserves for eps = 0.
    mean_order
        The order of that combination, which may exceed that of each register.
    bounded_products
        Whether the order on rough grids holds only where the products of the step's matrices, which depend on the step
        ratios, stay bounded.
    lower_bounds
        "smooth" and "rough" where that order is only a lower bound.
    """

    solver: str
    output: str
    variables: tuple[str, str]
    order_rough: int
    order_smooth: int
    order_uniform: int
    zero_stable: bool | None
    order_with_start: int
    register_orders: Mapping[str, int]
    local: Mapping[str, Mapping[str, Any]]
    alpha_exact: bool
    principal: Mapping[str, Any]
    displacement: Mapping[str, Any]
    error_constant: Any
    ddim_ratio: Any
    condition: tuple[Any, ...]
    local_condition: tuple[Any, ...]
    mean: Mapping[str, Any]
    mean_order: int
    bounded_products: bool
    lower_bounds: tuple[str, ...]

    @property
    def order(self) -> int:
        """The order on smooth grids."""
        return self.order_smooth

    @property
    def consistent(self) -> bool:
        """Whether the error falls with the steps at all, or may: order 0 is that of an inconsistent method, unless it is a lower bound."""
        return self.order_smooth > 0 or "smooth" in self.lower_bounds

    @property
    def leading_term(self) -> Any:
        """The leading term of the local error of the output, as an expression; of the worst register, if it is 0 there."""
        terms = self.local.get(self.output) or next(iter(self.local.values()))
        return sympy.Add(*(c * sympy.Symbol(name) for name, c in terms.items()))

    @property
    def latex(self) -> str:
        """The leading term in LaTeX."""
        return expression(self.leading_term, tex=True)

    def __str__(self) -> str:
        smooth, rough = ("at least " * (name in self.lower_bounds) for name in ("smooth", "rough"))
        kinds = f"order {smooth}{self.order_smooth} on smooth grids, {rough}{self.order_rough} where the step ratios are bounded"
        return f"{self.solver}: {kinds}; leading term of the local error {expression(self.leading_term)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


@remembered
def symbolic_order(solver: Solver) -> SymbolicOrder:
    """Derive order, leading error term and error constant from a solver's program.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`. Its parameters may be numbers, sympy symbols (then the result holds for
        all values that no condition excludes), or functions of the slot. `program.symbolised` puts a symbol for each.

    Returns
    -------
    SymbolicOrder

    Raises
    ------
    ValueError
        If the step keeps no constant solution (InconsistentError), or its residual vanishes to every order that was tried.
    TypeError
        If the step needs what has no expansion in the step.

    Notes
    -----
    Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, sec. II.2 and III.8 (general linear methods).

    Examples
    --------
    >>> from bdia_numerics import BDIA, analysis
    >>> found = analysis.symbolic_order(BDIA(gamma=1))
    >>> found.order_smooth, found.order_rough
    (2, 1)
    """
    start = start_error(solver)
    return resolved(solver, lambda terms: _at(solver, terms, start))


@remembered
def consistent(solver: Solver) -> bool | None:
    """Say whether a solver is of order 1 at least on equal steps; None if that depends on its symbols, or is not decided."""
    try:
        found = resolved(solver, lambda terms: _consistent(solver, terms), SHORT)
    except InconsistentError:
        found = False
    return found or (None if symbols_of(solver) else found)


def _consistent(solver: Solver, terms: int) -> bool | None:
    step = SeriesStep.of(solver, terms, "uniform", "one")
    try:
        found = Displaced.of(step)
        return found.order(step.row) > 0 or (False if found.exact(step.row) else None)
    except TooShort:  # a residual that is known to vanish to O(h^2) is enough
        if min(x.precision for x in step.residual()) < 2:
            raise
        return True


def start_error(solver: Solver) -> int | None:
    """Return the power of h in what the errors of the first states leave in all later ones; None without a start.

    A register that only modes inside the unit circle see loses its error, but for what it feeds to the others in a step, times h.
    """
    if not structure(solver).depth:
        return None
    step = settled(solver, "uniform", "one")
    stays = (step.modes.unit - step.modes.groups.get(INSIDE, step.modes.unit * step.modes.V.domain.zero)).to_list()
    found = start_powers(solver).values()
    return int(min(k + (not c) for k, c in zip(found, stays[step.row], strict=True)))


def settled(solver: Solver, *spacing: str) -> SeriesStep:
    """Return the step on the shortest series that show its matrix at h = 0."""

    def found(terms: int) -> SeriesStep:
        step = SeriesStep.of(solver, terms, *spacing)
        step.coefficient(0)
        return step

    return resolved(solver, found, SHORT)


def start_powers(solver: Solver) -> dict[str, float]:
    """Return the power of h in the error of each register before the first step, infinite where it is exact."""
    shape, starter = structure(solver), starter_of(solver)
    chain, held = _powers(starter, shape.depth) if shape.depth else ({0: math.inf}, {})
    own = held if type(starter) is type(solver) else {}
    return {
        name: own.get(name, chain[shape.depth - lag])
        if kind == "state" and name != shape.output
        else chain[shape.depth - lag]
        for name, lag, kind in zip(shape.registers, shape.lags, shape.kinds, strict=True)
    }


def _powers(starter: Solver, depth: int) -> tuple[dict[int, float], dict[str, float]]:
    """Return the powers in the errors of the states after 0, 1, ..., depth slots, and of the registers in the end."""
    shape = structure(starter)
    chain = _powers(starter_of(starter), shape.depth)[0] if shape.depth else {0: math.inf}
    powers = start_powers(starter)
    if shape.depth == depth:
        return chain, powers
    step, local = resolved(starter, lambda terms: _local(starter, terms))
    for j in range(shape.depth + 1, depth + 1):
        passed = [
            [k + (not c) for k, c in zip(powers.values(), row, strict=True)] for row in step.coefficient(0).to_list()
        ]
        powers = {name: min(k, *row) for name, k, row in zip(powers, local, passed, strict=True)}
        chain[j] = powers[shape.output]
    return chain, powers


def _local(solver: Solver, terms: int) -> tuple[SeriesStep, list[int]]:
    step = SeriesStep.of(solver, terms, "uniform", "one")
    found = list(map(known_order, step.residual()))
    if found[step.row] >= terms:
        raise TooShort
    return step, found


def resolved(solver: Solver, found: Callable[[int], T], shortest: int = 5) -> T:
    """Return what series of the least sufficient length give."""
    for terms in range(shortest, LONGEST + 1, 2):
        try:
            return found(terms)
        except TooShort:
            continue
    raise ValueError(f"the residual of {shown(solver)} vanishes to O(h^{LONGEST}): its order is beyond what is tried")


def _at(solver: Solver, terms: int, start: int | None) -> SymbolicOrder:
    uniform = SeriesStep.of(solver, terms, "uniform", "one")
    shape, row = uniform.shape, uniform.row
    # Uniform grids come first, since they are the cheapest to find that the series are too short.
    found = even = Displaced.of(uniform)
    order, (principal, displacement) = even.order(row), even.leading(row)
    rough = SeriesStep.of(solver, terms, "rough")
    raw, varying = rough.residual(), varies(rough)
    if varying:  # the modes differ from slot to slot, so that none of them can be told from the others
        order_rough, plain = min(map(known_order, raw)) - 1, False
    else:
        modes = mode_orders(rough, raw)
        order_rough = min(modes[name] for name in rough.modes.seen(row))
        plain = all(k > order_rough for name, k in modes.items() if name not in ROUGH)
    # Smooth grids lie between rough and uniform ones, so that nothing has to be computed where these two agree.
    if order > order_rough:
        found = Displaced.of(SeriesStep.of(solver, terms, "smooth"))
    registers = {name: found.order(k) for k, name in enumerate(shape.registers)}
    order_smooth = registers[shape.output]
    sharp = {"smooth": found.exact(row)}
    sharp["rough"] = sharp["smooth"] if order_rough >= order_smooth else plain
    exact, local = exact_local_error(rough, raw)
    first, names = (0, even.power), uniform.layout.readable()
    simple = uniform.modes.multiplicity == 1
    constant = principal[first].as_expr().subs(names) if first in principal else sympy.Integer(0)
    ratio = 2 * constant if order == 1 else 0
    same = order == 1 and set(principal) == {first} and not uniform.layout.in_time  # as DDIM's, but for a number
    comparable = simple and order == even.mean_order and (order > 1 or same)
    variables = {"sigma_bar": ("y", "s"), "t": ("z", "t"), "angle": ("z", "phi")}[uniform.layout.variable]

    def written(terms: Mapping[Element, Any]) -> dict[str, Any]:
        return {text(e, variables[0]): sympy.factor(c.as_expr().subs(names)) for e, c in terms.items()}

    return SymbolicOrder(
        solver=identity(solver),
        output=shape.output,
        variables=variables,
        order_rough=min(order_rough, order_smooth),
        order_smooth=order_smooth,
        order_uniform=order,
        zero_stable=stable(uniform.modes),
        order_with_start=min(found.from_exact(row, order_smooth), order_smooth if start is None else start),
        register_orders=registers,
        local=local,
        alpha_exact=exact,
        principal=written(principal),
        displacement=written(displacement),
        error_constant=sympy.factor(constant),
        ddim_ratio=sympy.factor(ratio) if comparable else None,
        condition=equations_of(written(principal if order == even.mean_order else displacement).values()),
        local_condition=equations_of([c for terms in local.values() for c in terms.values()]),
        mean=conserved(uniform) if simple else {},
        mean_order=found.mean_order,
        bounded_products=varying,
        lower_bounds=tuple(name for name, known in sharp.items() if not known),
    )


def exact_local_error(rough: SeriesStep, raw: Sequence[Expansion]) -> tuple[bool, Mapping[str, Mapping[str, Any]]]:
    """Return whether the terms before the leading one vanish for every alpha, and the leading terms.

    With every alpha they are those of z, with a symbol for alpha at each point; else those of y, with alpha smooth in s.
    """
    lowest = min(x.order for x in raw)
    if not rough.layout.in_time:
        free = rough.with_free_alphas()
        try:
            found = free.residual()
        except ValueError as error:  # a state that is told another time than its own
            refusal(error)
            found = []
        # Where a lower power of h survives with free alphas, it vanishes only for an alpha that is smooth in s.
        if found and all(x.order >= lowest for x in found):
            ends = [free.scale(name, lag - 1) for name, lag in zip(free.shape.registers, free.shape.lags, strict=True)]
            scaled = [x.times(scale) for x, scale in zip(found, ends, strict=True)]
            return True, _written(free, scaled, lowest)
    return False, _written(rough, raw, lowest)


def _written(step: SeriesStep, errors: Sequence[Expansion], k: int) -> Mapping[str, Mapping[str, Any]]:
    """Return the terms in h^k by register and elementary differential, in the paper's symbols; registers without any are left out."""
    where, names = step.layout, step.layout.readable()
    h = [names[own("h")], *(sympy.Symbol(f"h_{{i+{j}}}") for j in range(1, where.depth + 1))]
    ratios = {own(f"w{j}"): h[j] / h[0] for j in range(1, where.depth + 1)}

    def in_symbols(c: Any) -> Any:
        return sympy.factor((c.as_expr().subs(ratios) * h[0] ** k).subs(names))

    variable = "z" if where.in_time else "y"
    terms = {n: x.at(k) for n, x in zip(step.shape.registers, errors, strict=True)}
    return {n: {text(e, variable): in_symbols(c) for e, c in some.items()} for n, some in terms.items() if some}


def equations_of(coefficients: Iterable[Any]) -> tuple[Any, ...]:
    """Return what must vanish, without factors that cannot; empty if something cannot, or all together have no solution."""
    found: dict[Any, None] = {}
    for c in coefficients:
        some = [f for f in irreducible(c) if not _positive(f)]
        if not some:
            return ()
        found[sympy.Eq(sympy.Mul(*some), 0, evaluate=False)] = None
    return tuple(found) if _solvable([e.lhs for e in found]) else ()


def _solvable(polynomials: Sequence[Any]) -> bool:
    """Say whether polynomials have a common zero: a real one, in one symbol; else none if 1 is in their ideal (Hilbert).

    Steps and noise levels do not vanish: with one symbol more, their product has an inverse.
    """
    symbols = sorted(set().union(*(p.free_symbols for p in polynomials)), key=str)
    if len(symbols) == 1:
        return bool(sympy.Poly(sympy.gcd_list(polynomials), *symbols).count_roots() > 0)
    if len(polynomials) < 2:
        return True
    # 1 - u * (product of the levels) is added to the ideal: it excludes zeros at which a level vanishes.
    levels = [x for x in symbols if _positive(x)]
    inverse = [1 - sympy.Dummy() * sympy.Mul(*levels)] if levels else []
    return bool(sympy.groebner([*polynomials, *inverse], order="grevlex").exprs != [1])


def _positive(factor: Any) -> bool:
    """Say whether a factor cannot vanish: steps have one sign, and so have all its terms; noise levels are positive."""
    own = all(str(s).startswith(("h_", "alpha_", "s_")) and "'" not in str(s) for s in factor.free_symbols)
    return own and len({c > 0 for c in sympy.Poly(factor).coeffs()}) == 1


SHORT = 3
"""Terms of the series that show whether the step at h = 0 depends on the ratios."""


Value = dict[Any, Series]
"""Coefficients by the name of a register, or by the number of an evaluation."""


def symmetry_order(solver: Solver) -> int | float:
    """Derive the order of symmetry of a one-step solver: the largest q with Phi_{-h} Phi_h = id + O(h^(q+1)).

    Phi_h is the step from t_i to t_{i-1} of all registers, Phi_{-h} the same program from t_{i-1} to t_i. A symmetric method has
    q = infinity. One whose only register is z, of even order p, has q >= p + 1: the leading terms of the two steps cancel. With other
    registers q may be lower than the order of z, since all of them count: FireFlow, of order 2, has q = 0.

    Parameters
    ----------
    solver
        A solver whose registers all stand at t_i.

    Returns
    -------
    int or float
        Infinity where the step back undoes the step, for every model and all values of the registers: decided on the program,
        for alpha = 1 and where its weights are polynomials in the step. Else the registers begin on the exact solution.

    Raises
    ------
    ValueError
        For a solver that needs first states.
    TypeError
        If the step needs what has no expansion in the step.

    Notes
    -----
    Hairer, Lubich, Wanner, Geometric Numerical Integration, sec. II.3 and V.1.

    Examples
    --------
    >>> from bdia_numerics import ALF, DDIM, Heun
    >>> from bdia_numerics.analysis import symmetry_order
    >>> [symmetry_order(solver) for solver in (DDIM(), Heun(), ALF())]
    [1, 3, inf]
    """
    if structure(solver).depth:
        raise ValueError(
            f"{type(solver).__name__} takes first states, so that its step has no step back: give a one-step solver"
        )
    return math.inf if _returns(solver) else resolved(solver, lambda terms: _there_and_back(solver, terms))


def _there_and_back(solver: Solver, terms: int) -> int:
    step = SeriesStep.of(solver, terms, "rough")
    before = [step.exact(name, held.time, {}) for name, held in step.run.inputs.items()]
    missed = [x - y for x, y in zip(step.back().taken(step.taken(before)), before, strict=True)]
    k = min(map(known_order, missed))
    if k >= terms:
        raise TooShort
    return k - 1


def _returns(solver: Solver) -> bool:
    """Say whether the step back undoes the step, with an evaluation that is equal where its argument and its time are."""
    there = SeriesStep.of(solver, 2, "rough", "one")
    one, asked = there.layout.space.one, list[tuple[Value, Series]]()
    values: list[Value] = [{name: one} for name in there.shape.registers]

    def combine(terms: Sequence[tuple[Any, Value]]) -> Value:
        return {key: x for key, x in weighted(terms).items() if x or x.precision < EXACT}

    for step in (there, there.back()):

        def evaluate(op: Evaluate, argument: Value, step: SeriesStep = step) -> Value:
            question = argument, step.layout.place(op.time)
            if question not in asked:
                asked.append(question)
            return {asked.index(question): one}

        (segment,) = step.run.segments
        known = {held.number: value for held, value in zip(segment.before.values(), values, strict=True)}
        interpret(segment.ops, known, evaluate, combine)
        values = [known[held.number] for held in segment.after.values()]
    exact = all(x.precision >= EXACT for value in (*values, *(v for v, _ in asked)) for x in value.values())
    return exact and values == [{name: one} for name in there.shape.registers]
