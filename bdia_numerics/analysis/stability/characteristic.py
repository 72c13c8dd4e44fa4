"""Characteristic and stability polynomials of a step and of its derived inverse; intervals of linear stability, exact, and regions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bdia_numerics.analysis.expansion.modes import (
    CIRCLE,
    INSIDE,
    OPEN,
    factors,
    irreducible,
    keeps_sign,
    location,
    own_reciprocal,
)
from bdia_numerics.analysis.expansion.step import Matrix, SeriesStep, symbols_of
from bdia_numerics.formulas import expression
from bdia_numerics.program import NotInvertibleError, Solver, inverse_run, remembered
from bdia_numerics.spaces import Array, Drawn, ordered
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import one_of, shown

DIRECTIONS = ("sample", "invert")
TERMS = 5


def characteristic_polynomial(
    solver: Solver, *, direction: str = "sample", alphas: bool = False, ratios: bool = False, zeta: Any = None
) -> Any:
    """Return det(zeta - V), V the step for eps = 0 on states divided by alpha.

    Parameters
    ----------
    solver
        Any solver; its parameters may be numbers or sympy symbols (`program.symbolised` puts one for each).
    direction : {"sample", "invert"}
        The step, or its derived inverse.
    alphas
        Keep alpha_{i-1}, alpha_i, ... as symbols; otherwise alpha = 1.
    ratios
        Keep the step ratios w_k = h_{i+k}/h_i as symbols; otherwise steps are equal.
    zeta
        The symbol of the polynomial, `sympy.Symbol("zeta")` by default.

    Returns
    -------
    sympy.Expr
        Factored. For "invert", the polynomial of the inverse step, monic.

    Raises
    ------
    NotInvertibleError
        (a ValueError) for "invert" of a solver without derived inverse.
    ValueError
        For another direction, and a solver with a symbol that is called zeta or x.
    """
    zeta = sympy.Symbol("zeta") if zeta is None else zeta
    step = directed(solver, direction, alphas=alphas, ratios=ratios)
    ratio_names = {sympy.Symbol(f"~w{k}"): sympy.Symbol(f"w_{k}") for k in range(1, step.layout.depth + 1)}
    return sympy.factor(polynomial_of(step.matrix(0), zeta).subs(step.layout.readable() | ratio_names))


def stability_polynomial(solver: Solver, *, direction: str = "sample", zeta: Any = None, x: Any = None) -> Any:
    """Return det(zeta - M(x)), M the step for eps = J y with h J = x, on equal steps with alpha = 1, as h falls.

    Parameters
    ----------
    solver, direction, zeta
        As for `characteristic_polynomial`.
    x
        The symbol of h J, `sympy.Symbol("x")` by default.

    Returns
    -------
    sympy.Expr
        A polynomial in zeta and, for "sample", in x.
    """
    wanted = {"~zeta": sympy.Symbol("zeta") if zeta is None else zeta, "~J": sympy.Symbol("x") if x is None else x}
    return _stability(solver, direction).subs({sympy.Symbol(name): symbol for name, symbol in wanted.items()})


@remembered
def _stability(solver: Solver, direction: str) -> Any:
    step = directed(solver, direction)
    matrix = step.matrix(step.layout.space.symbol("J") / step.layout.space.h)
    return sympy.factor(polynomial_of(matrix, sympy.Symbol("~zeta")))


def nowhere_stable(solver: Solver, *, direction: str = "sample") -> bool:
    """Return whether the region of linear stability is empty for the reason that the product of all roots exceeds 1.

    It decides one way: where that product depends on x = h J, or is at most 1 in modulus, nothing is said.

    Parameters
    ----------
    solver, direction
        As for `stability_polynomial`; parameters are numbers.

    Raises
    ------
    NotInvertibleError
        For "invert", if there is no derived inverse.
    """
    zeta = sympy.Symbol("zeta")
    polynomial = sympy.Poly(stability_polynomial(solver, direction=direction, zeta=zeta), zeta)
    product = sympy.cancel(polynomial.TC())  # of all roots, but for its sign
    return bool(product.is_number and abs(product) > 1)


def directed(solver: Solver, direction: str, *, alphas: bool = False, ratios: bool = False) -> SeriesStep:
    """Return the step of a solver, or its inverse, on a layout."""
    one_of("direction", direction, DIRECTIONS)
    for name in sorted({"zeta", "x"}.intersection(map(str, symbols_of(solver)))):
        raise ValueError(
            f"{shown(solver)} has the symbol {name}, which stands for something else in these results: rename it"
        )
    step = SeriesStep.of(solver, TERMS, "rough" if ratios else "uniform", "one")
    if alphas and not step.layout.in_time:
        step = step.with_free_alphas()
    if direction == "sample":
        return step
    try:
        return replace(step, run=inverse_run(step.run)[0])
    except NotInvertibleError as error:
        reason = str(error).partition(" (slot from")[0]
        raise NotInvertibleError(
            f"{type(solver).__name__} has no derived inverse: {reason}",
            kind=error.kind,
            slot=error.slot,
            operation=error.operation,
            missing=error.missing,
        ) from None


def polynomial_of(matrix: Matrix, zeta: Any) -> Any:
    """Return det(zeta - M) at h = 0 of a matrix of series.

    Faddeev's and LeVerrier's recursion divides by whole numbers alone. It is needed because entries may grow as h falls: a register that
    holds an evaluation is J y = (x/h) y. In the polynomial these powers cancel, and only then h is set to 0.
    """
    n, M = len(matrix), np.array(matrix, dtype=object)
    unit = np.eye(n, dtype=int).astype(object)
    coefficients, auxiliary = [M[0, 0].space.one], unit
    for k in range(1, n + 1):
        product = M @ auxiliary
        coefficients.append(-np.trace(product) / k)
        auxiliary = product + coefficients[-1] * unit
    return sum(c.coefficient(0).as_expr() * zeta ** (n - k) for k, c in enumerate(coefficients))


@dataclass(frozen=True)
class GrowthParameter:
    """How fast roots on the unit circle leave it: zeta(x) = zeta (1 + rate x + ...), x = h J; equal steps, alpha = 1.

    What such a root carries grows over a run by about C^-rate, where C is how many times the flow contracts in z/alpha.

    Attributes
    ----------
    roots : sympy.Expr
        The irreducible factor in zeta of the characteristic polynomial whose roots they are.
    rate : sympy.Expr
        The growth parameter sigma(zeta)/(zeta rho'(zeta)); if the roots of the factor have different ones, a polynomial in zeta.
    """

    roots: Any
    rate: Any

    @property
    def exponent(self) -> float:
        """The largest -rate (its real part) over the roots; nan for symbols."""
        zeta = sympy.Symbol("zeta")
        if (self.rate.free_symbols | self.roots.free_symbols) - {zeta}:
            return float("nan")
        return max(
            -float(sympy.re(sympy.N(self.rate.subs(zeta, root)))) for root in sympy.Poly(self.roots, zeta).nroots()
        )

    def __str__(self) -> str:
        zeta = sympy.Symbol("zeta")
        factor = sympy.Poly(self.roots, zeta)
        where = f"the roots of {expression(self.roots)}"
        if factor.degree() == 1:
            where = f"zeta = {expression(-factor.TC() / factor.LC())}"
        if not own_reciprocal(factor):
            where += ", for values that put it on the unit circle"
        found = f"{expression(self.rate)} at {where}"
        if self.exponent == self.exponent:
            kept = "stay as they are" if self.exponent == 0 else "decay"
            grow = f"grow over a run by (contraction of the flow)^{self.exponent:.3g}"
            return f"{found}: errors there {grow if self.exponent > 0 else kept}"
        if self.rate.has(zeta):
            return found
        power = expression(-self.rate)
        return f"{found}: errors there change over a run by (contraction of the flow)^{power if power.isalnum() else f'({power})'}"


@remembered
def growth_parameters(solver: Solver) -> tuple[GrowthParameter, ...]:
    """Return the growth parameters of a solver's parasitic roots on the unit circle, or on it for some values of its symbols.

    Parameters
    ----------
    solver
        Any solver; its parameters may be numbers or sympy symbols. Roots inside the circle decay, and have no part in the result;
        multiple ones have no growth parameter, and are left out, too; so are several with symbols that the circle does not hold as a rule.

    Returns
    -------
    tuple of GrowthParameter

    Notes
    -----
    Dahlquist, Stability and error bounds in the numerical integration of ordinary differential equations, 1959; Hairer, Norsett,
    Wanner, Solving Ordinary Differential Equations I, sec. III.9 (weak instability).

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> print(*growth_parameters(BDIA(1)))
    -1 at zeta = -1: errors there grow over a run by (contraction of the flow)^1
    """
    zeta, x = sympy.Symbol("zeta"), sympy.Dummy("x")
    polynomial = sympy.numer(sympy.together(stability_polynomial(solver, zeta=zeta, x=x)))
    found = []
    for factor, multiplicity in factors(polynomial.subs(x, 0), zeta):
        principal = factor.degree() == 1 and factor.eval(1) == 0
        seldom = location(factor) == OPEN and factor.degree() > 1 and not own_reciprocal(factor)
        if multiplicity > 1 or principal or location(factor) not in (CIRCLE, OPEN) or seldom:
            continue
        slope, to_root = (sympy.diff(polynomial, by).subs(x, 0) for by in (x, zeta))
        modulus = factor.as_expr()
        rate = sympy.rem(-slope * sympy.invert(zeta * to_root, modulus, zeta), modulus, zeta)
        found.append(GrowthParameter(modulus, sympy.factor(rate)))
    return tuple(found)


def _empty(solver: Solver, symbol: Any) -> bool:
    """Say whether a root that grows from the circle, or is beyond it, leaves no real interval for a symbol in (-1, 1)."""
    half, zeta = sympy.Dummy("half"), sympy.Symbol("zeta")
    kept = (g.rate for g in growth_parameters(solver) if own_reciprocal(sympy.Poly(g.roots, zeta)))
    rates = (rate.subs(symbol, 2 * half - 1) for rate in kept if not rate.has(zeta))
    return any(x.subs(half, sympy.Rational(1, 2)) < 0 and keeps_sign(x, (half,)) for x in rates)


AXES = ("real", "imaginary")


@dataclass(frozen=True)
class StabilityInterval:
    """The interval of x = h J, from 0, in which numerical solutions of dy/ds = J y stay bounded; equal steps, alpha = 1.

    Attributes
    ----------
    axis : {"real", "imaginary"}
        Real: x from -length to 0, where the solution decays. Imaginary: x = i y for |y| below length.
    length : sympy.Expr
        An exact number: 0 if there is none, `oo` if it has no end; or an expression in the solver's one symbol.
    valid : sympy Boolean
        For which values of the symbol the interval was proved; true for numbers. That no longer one would do is then decided
        at `SAMPLES` values of the symbol alone.
    """

    axis: str
    length: Any
    valid: Any = True


def stability_interval(solver: Solver, axis: str = "real", *, direction: str = "sample") -> StabilityInterval:
    """Return the interval of linear stability of a solver, exactly.

    Parameters
    ----------
    solver
        Any solver with numbers as parameters; or with one sympy symbol between 0 and 1, if the end of the interval is a
        rational function of it; between -1 and 1, if a growth parameter shows that there is none.
    axis : {"real", "imaginary"}
        Which axis of x = h J. In sampling h < 0, and J > 0 where the solution contracts.
    direction : {"sample", "invert"}
        The step, or its derived inverse.

    Returns
    -------
    StabilityInterval

    Raises
    ------
    ValueError
        For another axis or direction, and where no closed form was found for symbols.

    Notes
    -----
    The places where a root can cross the circle are zeros of resultants and discriminants; between neighbouring ones the root
    condition is decided exactly, at one rational place of each gap.

    Examples
    --------
    >>> from bdia_numerics import Midpoint, analysis
    >>> analysis.stability_interval(Midpoint()).length
    2
    """
    one_of("axis", axis, AXES)
    polynomial, zeta, x = _numerator(solver, direction)
    symbols = sorted(polynomial.free_symbols - {zeta, x}, key=str)
    r = sympy.Dummy("r", positive=True)
    on_axis = polynomial.subs(x, -r if axis == "real" else sympy.I * r)
    if not symbols:
        return StabilityInterval(axis, _length(on_axis, zeta, r), sympy.true)
    if len(symbols) > 1 or axis == "imaginary":
        wanted = f"numbers to all{' but one' if axis == 'real' else ''}"
        raise ValueError(
            f"an interval on the {axis} axis with {', '.join(map(str, symbols))} as symbols: give {wanted}"
        )
    if direction == "sample" and _empty(solver, symbols[0]):
        return StabilityInterval(axis, sympy.Integer(0), sympy.And(symbols[0] > -1, symbols[0] < 1))
    return _in_symbol(on_axis, zeta, r, symbols[0])


def _numerator(solver: Solver, direction: str) -> tuple[Any, Any, Any]:
    """Return the stability polynomial without denominators, and its zeta and x."""
    zeta, x = sympy.Symbol("zeta"), sympy.Dummy("x")
    return sympy.numer(sympy.together(stability_polynomial(solver, direction=direction, zeta=zeta, x=x))), zeta, x


def _length(polynomial: Any, zeta: Any, r: Any) -> Any:
    """Return how far the root condition holds from r = 0."""
    # On the imaginary axis the coefficients are complex. The product with the conjugate polynomial is real, and its roots are the
    # same up to conjugation, so that all decisions are made on real polynomials.
    real, conjugate = sympy.expand(polynomial), sympy.expand(polynomial.subs(sympy.I, -sympy.I))
    paired = real if real == conjugate else sympy.expand(real * conjugate)
    found = (f for c in _critical(paired, zeta, r) for f in irreducible(c))
    ends: list[Any] = sorted({root for f in found for root in sympy.real_roots(sympy.Poly(f, r)) if root > 0})
    low = sympy.Integer(0)
    for end in [*ends, sympy.oo]:
        if not _holds(polynomial, paired, zeta, r, between(low, end)):
            return low
        low = end
    return sympy.oo


def between(low: Any, high: Any) -> Any:
    """Return a rational number between two algebraic ones."""
    if high == sympy.oo:
        return sympy.Integer(sympy.floor(low)) + 1
    digits = 15
    while True:
        middle = sympy.Rational(str(((low + high) / 2).evalf(digits)))
        if low < middle < high:
            return middle
        digits *= 2


def _critical(polynomial: Any, zeta: Any, r: Any, *, meeting: bool = True) -> list[Any]:
    """Return polynomials in r that vanish where roots cross the circle, run off, or, if wanted, meet."""
    found = []
    for factor, _ in factors(polynomial, zeta):
        p = sympy.Poly(factor.as_expr(), zeta)
        q = sympy.Poly(p.all_coeffs()[::-1], zeta)
        # A leading coefficient 0 sends a root to infinity. A real root crosses the circle at 1 or -1; a pair crosses where the
        # polynomial and its reciprocal have a common zero, which is a zero of their resultant.
        found += [p.LC(), p.eval(1), p.eval(-1)]
        if meeting and p.degree() > 1:
            found.append(p.discriminant())
        if q.degree() > 0 and (crossing := sympy.resultant(p.as_expr(), q.as_expr(), zeta)) != 0:
            found.append(crossing)
    return [c for c in map(sympy.expand, found) if c.has(r)]


def _holds(polynomial: Any, paired: Any, zeta: Any, r: Any, place: Any) -> bool:
    """Decide the root condition at a rational place."""
    here = sympy.expand(paired.subs(r, place))
    found = [(m, location(f)) for f, m in factors(here, zeta)]
    if not all(where in (INSIDE, CIRCLE) for _, where in found):
        return False
    if all(m == 1 for m, where in found if where == CIRCLE):
        return True
    own = sympy.Poly(polynomial.subs(r, place), zeta)  # pairs of conjugate polynomials share their real roots
    return bool(own.degree() < 2 or sympy.simplify(own.discriminant()) != 0)


SAMPLES = 4


def _in_symbol(polynomial: Any, zeta: Any, r: Any, symbol: Any) -> StabilityInterval:
    """Return the end as a rational function of one symbol in (0, 1), and prove it."""
    bounds = [f for c in _critical(sympy.expand(polynomial), zeta, r) for f in irreducible(c) if f.has(r)]
    lines = [line for f in bounds if (line := sympy.Poly(f, r)).degree() == 1]
    ends = dict.fromkeys(sympy.factor(-line.TC() / line.LC()) for line in lines)
    values = [sympy.Rational(2 * k + 1, 2 * SAMPLES) for k in range(SAMPLES)]
    lengths = [_length(polynomial.subs(symbol, v), zeta, r) for v in values]
    fitting = [
        e
        for e in [sympy.Integer(0), *ends]
        if all(e.subs(symbol, v) == n for v, n in zip(values, lengths, strict=True))
    ]
    if not fitting:
        raise ValueError(f"the end of the interval is not a rational function of {symbol}: give {symbol} a number")
    end, theta = fitting[0], sympy.Dummy("theta", positive=True)
    if end != 0:
        # No root crosses the circle for theta and the symbol in (0, 1): the samples, all strictly inside, decide for the square.
        halves = [sympy.expand(polynomial.subs({symbol: v, r: n / 2})) for v, n in zip(values, lengths, strict=True)]
        if not all(location(f) == INSIDE for here in halves for f, _ in factors(here, zeta)):
            raise ValueError(f"the roots lie on the circle up to {end}: give {symbol} a number")
        crossing = _critical(sympy.expand(polynomial), zeta, r, meeting=False)
        if not all(keeps_sign(c.subs(r, theta * end), (theta, symbol)) for c in crossing):
            raise ValueError(
                f"the interval up to {end} was found at {SAMPLES} values of {symbol}, and is not proved between"
            )
    return StabilityInterval("real", end, sympy.And(symbol > 0, symbol < 1))


@dataclass(frozen=True, eq=False, repr=False)
class StabilityRegion(Drawn):
    """The largest modulus of a root over a part of the complex plane of x = h J.

    Attributes
    ----------
    real : array, shape (m,)
        Real parts of x.
    imaginary : array, shape (n,)
        Imaginary parts.
    radius : array, shape (n, m)
        Largest modulus; the region is where it is at most 1.
    """

    real: Array
    imaginary: Array
    radius: Array


@ordered
def stability_region(
    solver: Solver,
    *,
    direction: str = "sample",
    real: tuple[float, float] = (-4.0, 1.0),
    imaginary: tuple[float, float] = (-3.0, 3.0),
    resolution: int = 200,
) -> StabilityRegion:
    """Return data of the region of linear stability, for plots.

    Parameters
    ----------
    solver, direction
        As for `stability_interval`; parameters are numbers.
    real, imaginary
        The part of the plane.
    resolution
        Number of points along each axis.

    Returns
    -------
    StabilityRegion
        The largest modulus of a root at each point.

    Raises
    ------
    ValueError
        If the solver has symbols, for an axis without two rising ends, and for a resolution below 2.

    Examples
    --------
    >>> from bdia_numerics import Midpoint, analysis
    >>> region = analysis.stability_region(Midpoint(), resolution=8)
    >>> int((region.radius <= 1).sum())
    10
    """
    for name, ends in (("real", real), ("imaginary", imaginary)):
        if np.shape(ends) != (2,) or not -np.inf < ends[0] < ends[1] < np.inf:
            raise ValueError(f"{name}={shown(ends)} is not a part of the axis: pass (low, high), such as (-4, 1)")
    if resolution < 2:
        raise ValueError(f"resolution={resolution}: give 2 points or more along each axis")
    polynomial, zeta, x = _numerator(solver, direction)
    if symbols := polynomial.free_symbols - {zeta, x}:
        raise ValueError(f"a region with the symbols {', '.join(sorted(map(str, symbols)))}: give them numbers")
    a, b = np.linspace(*real, resolution), np.linspace(*imaginary, resolution)
    plane = (a[None, :] + 1j * b[:, None]).ravel()
    rows = [
        np.polyval([complex(c) for c in sympy.Poly(k, x).all_coeffs()], plane)
        for k in sympy.Poly(polynomial, zeta).all_coeffs()
    ]
    n = len(rows) - 1
    companion = np.zeros((plane.size, n, n), dtype=complex)
    with np.errstate(divide="ignore", invalid="ignore"):
        companion[:, 0, :] = -np.stack(rows[1:], axis=1) / rows[0][:, None]
    companion[:, np.arange(1, n), np.arange(n - 1)] = 1
    finite = np.isfinite(companion).all(axis=(1, 2))
    radius = np.full(plane.size, np.inf)
    radius[finite] = np.abs(np.linalg.eigvals(companion[finite])).max(axis=1)
    return StabilityRegion(a, b, radius.reshape(resolution, resolution))
