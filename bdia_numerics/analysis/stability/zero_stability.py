"""Zero-stability: the root condition, decided exactly, with symbols as a region, and on grids of a repeated pattern of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import Any

from bdia_numerics import formulas
from bdia_numerics.analysis.expansion.modes import (
    CIRCLE,
    OPEN,
    OUTSIDE,
    characteristic,
    factors,
    irreducible,
    location,
    own_reciprocal,
    value,
)
from bdia_numerics.analysis.expansion.order import consistent
from bdia_numerics.analysis.expansion.step import coefficient_of
from bdia_numerics.analysis.stability.characteristic import directed
from bdia_numerics.grids import pattern_of
from bdia_numerics.program import Solver
from bdia_numerics.spaces import Shown, ordered
from bdia_numerics.spaces.later import sympy


@dataclass(frozen=True, repr=False)
class ZeroStability(Shown):
    """Whether powers of the step for eps = 0 stay bounded.

    Attributes
    ----------
    direction : {"sample", "invert"}
        Of the run.
    polynomial : sympy.Expr
        Characteristic polynomial in zeta, factored; over one period of steps, if a pattern was given.
    stable : bool or None
        None if it depends on symbols.
    condition : sympy Boolean
        For which real values of the symbols it is stable: exact in one symbol, but for irrational ends, which are left
        out. With more of them it is that all parasitic roots that can leave the unit circle lie inside it, and those that
        stay on it are apart; `boundary` has the rest.
    boundary : tuple of (sympy.Eq, ZeroStability)
        What holds on the pieces of the region's boundary on which one symbol can be eliminated.
    roots : tuple of (sympy.Expr, int, str)
        Factors in zeta, multiplicities, and where their roots are: "inside", "circle", "outside", "open".
    steps : str
        The pattern of steps that was decided, where the coefficients depend on it: then other steps have other roots.
    consistent : bool or None
        Whether the solver is of order 1 at least, without which a zero-stable method does not converge either; None if that
        depends on symbols.
    """

    direction: str
    polynomial: Any
    stable: bool | None
    condition: Any
    boundary: tuple[tuple[Any, ZeroStability], ...] = ()
    roots: tuple[tuple[Any, int, str], ...] = ()
    steps: str = ""
    consistent: bool | None = None

    def __str__(self) -> str:
        said = self._said() + ("; inconsistent, so that it does not converge" if self.consistent is False else "")
        return f"{said}, on {self.steps} alone: the coefficients depend on the ratios of steps" if self.steps else said

    def _said(self) -> str:
        if self.stable is not None:
            return "zero-stable" if self.stable else "not zero-stable"
        pieces = [] if self.condition == sympy.false else [formulas.expression(self.condition)]
        # In one symbol the condition has the stable points of the boundary in it.
        if len(self.condition.free_symbols) != 1 or not pieces:
            for equation, verdict in ((e, v) for e, v in self.boundary if v.stable is not False):
                more = "" if verdict.stable else f" with {str(verdict).removeprefix('zero-stable for ')}"
                pieces.append(f"{equation.lhs} = {equation.rhs}{more}")
        return f"zero-stable for {'; or '.join(pieces)}"


@ordered
def zero_stability(
    solver: Solver, direction: str = "sample", *, pattern: Sequence[int | Fraction] = (1,)
) -> ZeroStability:
    """Decide the root condition of a solver, or of its derived inverse.

    Parameters
    ----------
    solver
        Any solver; its parameters may be numbers or sympy symbols, which are real.
    direction : {"sample", "invert"}
        The step, or its derived inverse.
    pattern
        Relative steps that repeat over the run, from the data end, as of `grids.periodic`: (1, 2) is the alternating grid h, 2h.
        Then the product of the companion matrices of one period is decided.

    Returns
    -------
    ZeroStability

    Raises
    ------
    NotInvertibleError
        (a ValueError) for "invert" of a solver without derived inverse.
    ValueError
        For another direction, or steps that are not positive.

    Notes
    -----
    Inside the unit circle: Schur and Cohn's determinants. On it: irreducible factors that are their own reciprocals, whose
    roots are counted by Sturm's theorem, and eigenvectors by rank. No root is computed.

    Examples
    --------
    >>> from bdia_numerics import BDIA, analysis
    >>> analysis.zero_stability(BDIA(gamma=1)).stable
    True
    """
    given = pattern_of(pattern)
    lengths = given[::-1]
    V = coefficient_of(directed(solver, direction, ratios=True).matrix(0), 0).to_Matrix()
    product = sympy.eye(V.shape[0])
    order = range(len(lengths)) if direction == "sample" else range(len(lengths) - 1, -1, -1)
    # The inverse run takes the slots of the pattern in the opposite order.
    for j in order:
        product = _at(V, lengths, j) * product
    decided = replace(_decided(product.applyfunc(sympy.cancel), direction), consistent=consistent(solver))
    if not any(str(symbol).startswith("~w") for symbol in V.free_symbols):
        return decided
    said = "equal steps" if len(set(lengths)) == 1 else f"steps {', '.join(map(str, given))} in turn"
    return replace(decided, steps=said)


def _at(V: Any, lengths: Sequence[Fraction], j: int) -> Any:
    """Return the matrix of slot j of the pattern: w_k is the step k slots before over that of this slot."""
    names = [symbol for symbol in V.free_symbols if str(symbol).startswith("~w")]
    ratios = {name: lengths[(j - int(str(name)[2:])) % len(lengths)] / lengths[j] for name in names}
    return V.subs({name: sympy.Rational(x.numerator, x.denominator) for name, x in ratios.items()})


def _decided(V: Any, direction: str) -> ZeroStability:
    """Decide for a sympy matrix; on boundaries of the region, for matrices with one symbol less."""
    zeta = sympy.Symbol("zeta")
    matrix = sympy.polys.matrices.DomainMatrix.from_Matrix(V).to_field().to_dense()
    polynomial = sympy.factor(characteristic(matrix, zeta))
    found = [(f, m, location(f)) for f, m in factors(polynomial, zeta)]
    roots = tuple((f.as_expr(), m, where) for f, m, where in found)
    if any(where == OUTSIDE for *_, where in found):
        return ZeroStability(direction, polynomial, False, sympy.false, (), roots)
    # A polynomial that is its own reciprocal has its roots in pairs zeta, 1/zeta: where none is outside, all are on the circle.
    held = [f for f, _, where in found if where == CIRCLE or (where == OPEN and own_reciprocal(f))]
    defects = _defects(matrix, found, held)
    wanted = [_wanted(f.all_coeffs()) for f, _, where in found if where == OPEN]
    determinants = [d for positive, _ in wanted for d in positive]
    equations = [e for _, vanishing in wanted for e in vanishing]
    meeting = _meeting(held, determinants)
    apart = [sympy.Ne(e, 0) for e in meeting]
    inside = sympy.false if defects else sympy.And(*(sympy.sympify(d) > 0 for d in determinants), *apart)
    edges = _boundaries([*determinants, *defects, *meeting, *equations])
    reduced = {e: V.subs(e.lhs, e.rhs).applyfunc(sympy.cancel) for e in edges}
    boundary = [(e, _decided(W, direction)) for e, W in reduced.items() if not W.has(sympy.zoo, sympy.nan)]
    condition, stable = _region(inside, boundary, V.free_symbols)
    return ZeroStability(direction, polynomial, stable, condition, tuple(boundary), roots)


def _meeting(held: Sequence[Any], positive: Sequence[Any]) -> list[Any]:
    """Return what vanishes where roots of two factors that stay on the circle meet, without factors of what is positive."""
    known = {sign * f for d in positive for f, _ in sympy.factor_list(d)[1] for sign in (1, -1)}
    resultants = [sympy.resultant(f.as_expr(), g.as_expr(), f.gen) for f, g in combinations(held, 2)]
    return [part for part in dict.fromkeys(p for x in resultants for p in irreducible(x)) if part not in known]


def _defects(matrix: Any, found: Sequence[tuple[Any, int, str]], held: Sequence[Any]) -> list[Any]:
    """Return the entries that must vanish for the repeated roots on the circle to have enough eigenvectors."""
    if not any(m > 1 and f in held for f, m, _ in found):
        return []
    zeta = found[0][0].gen
    # Repeated roots have enough eigenvectors where the minimal polynomial has their factor once: then this product is 0 at the matrix.
    once = sympy.prod([f.as_expr() if f in held else f.as_expr() ** m for f, m, _ in found])
    entries = value(sympy.Poly(once, zeta), matrix).to_Matrix()
    return [x for x in map(sympy.cancel, entries) if x != 0]


def _wanted(coefficients: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return what must be positive for the roots of an irreducible factor to be where they may, and what must vanish.

    Where the first and the last coefficient have one modulus, so has the product of the roots modulus 1: all of them lie on
    the circle, or one outside. On the circle the polynomial is its own reciprocal, and has real roots in zeta + 1/zeta.
    """
    row = [sympy.expand(c) for c in coefficients]
    if sympy.expand(row[0] ** 2 - row[-1] ** 2) != 0:
        return schur_determinants(row), []
    sign = sympy.cancel(row[0] / row[-1])
    apart = [e for c, d in zip(row, row[::-1], strict=True) if (e := sympy.expand(c - sign * d)) != 0]
    if apart:
        return [sympy.Integer(-1)], apart[:1]
    if len(row) == 3:
        return [_reduced(4 * row[0] ** 2 - row[1] ** 2, [])], []
    if len(row) == 5:  # a w^2 + b w + c - 2 a, its roots real, simple, and between -2 and 2
        a, b, c = row[:3]
        ends = [a * (2 * a + 2 * b + c), a * (2 * a - 2 * b + c), 16 * a**2 - b**2, b**2 - 4 * a * (c - 2 * a)]
        return [_reduced(x, []) for x in ends], []
    raise ValueError(f"a factor of degree {len(row) - 1} is its own reciprocal for all parameters: give it numbers")


def schur_determinants(coefficients: Sequence[Any]) -> list[Any]:
    """Return what must all be positive for the roots of a real polynomial to lie in the open unit disc.

    Common factors that the earlier ones make positive, and squares, are left out.
    """
    found: list[Any] = []
    row = [sympy.expand(c) for c in coefficients]
    while len(row) > 1:
        first, last = row[0], row[-1]
        reduced = _reduced(first**2 - last**2, found)
        if reduced != 1:
            found.append(reduced)
        pairs = zip(row, row[::-1], strict=True)
        row = [sympy.expand(first * c - last * d) for c, d in pairs][:-1]
        # A common factor enters the next condition as its square, which changes no sign. Undivided, the rows would grow very long.
        common = sympy.gcd_list(row) if any(row) else sympy.Integer(1)
        row = [sympy.cancel(c / common) for c in row]
    return found


def _reduced(x: Any, known: Sequence[Any]) -> Any:
    number, some = sympy.factor_list(sympy.numer(sympy.together(x)))
    kept = [f for f, m in some if m % 2 and f not in known]
    return sympy.Mul(sympy.sign(number), *kept)


def _boundaries(expressions: Sequence[Any]) -> list[Any]:
    """Return symbol = value for each factor in which a symbol is linear with a number as its coefficient."""
    found: dict[Any, None] = {}
    for factor in (f for expression in expressions for f in irreducible(expression)):
        lines = (sympy.Poly(factor, symbol) for symbol in sorted(factor.free_symbols, key=str, reverse=True))
        line = next((p for p in lines if p.degree() == 1 and p.LC().is_number), None)
        if line is not None:
            found[sympy.Eq(line.gen, sympy.expand(-line.TC() / line.LC()), evaluate=False)] = None
    return list(found)


def _region(inside: Any, boundary: Sequence[tuple[Any, ZeroStability]], symbols: Any) -> tuple[Any, bool | None]:
    """Return the condition, and True or False if it always or never holds; in one symbol with the boundary's points."""
    if not symbols:
        return inside, bool(inside)
    if inside == sympy.true:
        return inside, True
    if len(symbols) > 1:
        never = inside == sympy.false and all(verdict.stable is False for _, verdict in boundary)
        return inside, False if never else None
    (symbol,) = symbols
    real = sympy.Symbol("x", real=True)
    pieces = sympy.S.EmptySet if inside == sympy.false else sympy.S.Reals
    for relation in () if inside == sympy.false else sympy.And.make_args(inside):
        sides = sympy.Poly(relation.lhs - relation.rhs, symbol)
        solved = sympy.solvers.inequalities.solve_poly_inequality(sides, relation.rel_op)
        pieces = pieces.intersect(sympy.Union(*solved))
    points = [equation.rhs for equation, verdict in boundary if verdict.stable]
    whole = pieces.union(sympy.FiniteSet(*points)) if points else pieces
    if whole == sympy.S.Reals:
        return sympy.true, True
    if whole == sympy.S.EmptySet:
        return sympy.false, False
    relation = whole.as_relational(real)
    finite = [x for x in relation.atoms(sympy.core.relational.Relational) if x.has(sympy.oo)]
    return relation.subs(dict.fromkeys(finite, sympy.true)).subs(real, symbol), None
