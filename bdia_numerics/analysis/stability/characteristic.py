"""Characteristic and stability polynomials of a step, and of its derived inverse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bdia_numerics.analysis.expansion.step import Matrix, SeriesStep
from bdia_numerics.program import NotInvertibleError, Solver, inverse_run
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import shown

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
        For another direction.
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
    zeta = sympy.Symbol("zeta") if zeta is None else zeta
    x = sympy.Symbol("x") if x is None else x
    step = directed(solver, direction)
    matrix = step.matrix(step.layout.space.symbol("J") / step.layout.space.h)
    return sympy.factor(polynomial_of(matrix, zeta).subs(sympy.Symbol("~J"), x))


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
    product = sympy.cancel(polynomial.TC() / polynomial.LC())  # of all roots, but for its sign
    return bool(product.is_number and abs(product) > 1)


def directed(solver: Solver, direction: str, *, alphas: bool = False, ratios: bool = False) -> SeriesStep:
    """Return the step of a solver, or its inverse, on a layout."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={shown(direction)} is neither 'sample' nor 'invert'")
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
