"""Characteristic and stability polynomials of a step, and of its derived inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bdia_numerics.analysis.expansion.exact_alpha import readable
from bdia_numerics.analysis.expansion.layouts import Layout, layout
from bdia_numerics.analysis.expansion.local import Matrix, recorded, step_matrix
from bdia_numerics.analysis.expansion.setting import in_its_variable, symbols_of
from bdia_numerics.program import NotInvertibleError, Solver, inverse_run, structure

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
    import sympy

    zeta = sympy.Symbol("zeta") if zeta is None else zeta
    where, matrix = directed_matrix(solver, direction, 0, alphas=alphas, ratios=ratios)
    names = readable(where) | {sympy.Symbol(f"~w{k}"): sympy.Symbol(f"w_{k}") for k in range(1, where.depth + 1)}
    return sympy.factor(polynomial_of(matrix, zeta).subs(names))


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
    import sympy

    zeta = sympy.Symbol("zeta") if zeta is None else zeta
    x = sympy.Symbol("x") if x is None else x
    _, matrix = directed_matrix(solver, direction, "x")
    return sympy.factor(polynomial_of(matrix, zeta).subs(sympy.Symbol("~x"), x))


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
    import sympy

    zeta = sympy.Symbol("zeta")
    polynomial = sympy.Poly(stability_polynomial(solver, direction=direction, zeta=zeta), zeta)
    product = sympy.cancel(polynomial.TC() / polynomial.LC())  # of all roots, but for its sign
    return bool(product.is_number and abs(product) > 1)


def directed_matrix(
    solver: Solver, direction: str, jacobian: Any, *, alphas: bool = False, ratios: bool = False
) -> tuple[Layout, Matrix]:
    """Return the step, or its inverse, for eps = J y, as a matrix of series; J is x/h for jacobian="x"."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={direction!r} is neither 'sample' nor 'invert'")
    depth = structure(solver).depth
    spacing = "rough" if ratios else "uniform"

    def make(*, in_time: bool) -> tuple[Layout, Matrix]:
        names, kept = symbols_of(solver), "free" if alphas else "one"
        where = layout(names, TERMS, depth, extra=("x",), spacing=spacing, alphas="one", in_time=in_time)
        run = recorded(solver, where)
        if alphas and not in_time:
            times = list(dict.fromkeys([*where.places, *range(-1, depth + 1)]))
            where = layout(names, TERMS, depth, times=times, extra=("x",), spacing=spacing, alphas=kept)
            run = recorded(solver, where)
        slope = where.space.symbol("x") / where.space.h if jacobian == "x" else jacobian
        if direction == "invert":
            try:
                run = inverse_run(run)[0]
            except NotInvertibleError as error:
                reason = str(error).partition(" (slot from")[0]
                raise NotInvertibleError(
                    f"{type(solver).__name__} has no derived inverse: {reason}",
                    kind=error.kind,
                    slot=error.slot,
                    operation=error.operation,
                    missing=error.missing,
                ) from None
        return where, step_matrix(solver, where, slope, run)

    return in_its_variable(make)


def polynomial_of(matrix: Matrix, zeta: Any) -> Any:
    """Return det(zeta - M) at h = 0 of a matrix of series (Faddeev, LeVerrier)."""
    space, n = matrix[0][0].space, len(matrix)
    coefficients, auxiliary = [space.one], [[space.field(int(i == j)) for j in range(n)] for i in range(n)]
    for k in range(1, n + 1):
        product = _product(matrix, auxiliary)
        c = -sum((product[i][i] for i in range(n)), space.field(0)) / k
        coefficients.append(c)
        auxiliary = [[x + c if i == j else x for j, x in enumerate(row)] for i, row in enumerate(product)]
    values = [c.coefficient(0).as_expr() for c in coefficients]
    return sum(c * zeta ** (n - k) for k, c in enumerate(values))


def _product(a: Sequence[Sequence[Any]], b: Sequence[Sequence[Any]]) -> Matrix:
    zero = a[0][0].space.field(0)
    return [
        [sum((x * y for x, y in zip(row, column, strict=True)), zero) for column in zip(*b, strict=True)] for row in a
    ]
