"""Intervals of linear stability, exact, and data of stability regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.stability.characteristic import stability_polynomial
from bdia_numerics.analysis.stability.roots import CIRCLE, INSIDE, factors, irreducible, keeps_sign, location
from bdia_numerics.program import Solver
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import shown

AXES = ("real", "imaginary")
Array = np.ndarray[Any, Any]


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
        rational function of it.
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
    """
    if axis not in AXES:
        raise ValueError(f"axis={shown(axis)} is neither 'real' nor 'imaginary'")
    zeta, x = sympy.Symbol("zeta"), sympy.Dummy("x")
    polynomial = sympy.numer(sympy.together(stability_polynomial(solver, direction=direction, zeta=zeta, x=x)))
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
    return _in_symbol(on_axis, zeta, r, symbols[0])


def _length(polynomial: Any, zeta: Any, r: Any) -> Any:
    """Return how far the root condition holds from r = 0."""
    # On the imaginary axis the coefficients are complex. The product with the conjugate polynomial is real, and its roots are the
    # same up to conjugation, so that all decisions are made on real polynomials.
    real, conjugate = sympy.expand(polynomial), sympy.expand(polynomial.subs(sympy.I, -sympy.I))
    paired = real if real == conjugate else sympy.expand(real * conjugate)
    ends: list[Any] = sorted({root for c in _critical(paired, zeta, r) for root in _positive_roots(c, r)})
    low = sympy.Integer(0)
    for end in [*ends, sympy.oo]:
        if not _holds(polynomial, paired, zeta, r, _between(low, end)):
            return low
        low = end
    return sympy.oo


def _between(low: Any, high: Any) -> Any:
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


def _positive_roots(c: Any, r: Any) -> list[Any]:
    return [root for f in irreducible(c) for root in sympy.real_roots(sympy.Poly(f, r)) if root > 0]


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


@dataclass(frozen=True, eq=False)
class StabilityRegion:
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

    Raises
    ------
    ValueError
        If the solver has symbols.
    """
    zeta, x = sympy.Symbol("zeta"), sympy.Dummy("x")
    polynomial = sympy.numer(sympy.together(stability_polynomial(solver, direction=direction, zeta=zeta, x=x)))
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
