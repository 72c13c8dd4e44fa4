"""Whether a solver is exactly invertible, and under which condition, from its program alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bdia_numerics import grids
from bdia_numerics.grids import Grid
from bdia_numerics.program.inverse import NotInvertibleError, inverse_run
from bdia_numerics.program.refusal import refusal
from bdia_numerics.program.slots import Parameter
from bdia_numerics.program.structure import Solver, structure
from bdia_numerics.program.trace import record_steps
from bdia_numerics.spaces import is_float, vanishes
from bdia_numerics.spaces.base import decimal
from bdia_numerics.spaces.symbolic import Symbols


@dataclass(frozen=True)
class Invertibility:
    """Verdict on the exact invertibility of a solver.

    Attributes
    ----------
    invertible : bool
        Whether the derived inverse exists, under `condition`.
    condition : tuple of sympy.Expr
        Expressions that must not vanish; empty if the solver is invertible for all values of its parameters.
    reason : str
        Why it is refused; empty if it is not.
    """

    invertible: bool
    condition: tuple[Any, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if not self.invertible:
            return f"no: {self.reason}"
        return " and ".join(f"{c} != 0" for c in self.condition) or "always"


def parameters(solver: Solver) -> dict[str, Any]:
    """Return the numerical parameters of a solver: the dataclass fields annotated `Parameter`, `float` or `Fraction`."""
    fields: Any = getattr(solver, "__dataclass_fields__", {})
    return {name: getattr(solver, name) for name, field in fields.items() if _numerical(field.type)}


def _numerical(annotation: Any) -> bool:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    words = set(re.findall(r"\w+", text))
    return (
        annotation == Parameter or "Parameter" in words or (bool(words) and words <= {"float", "Fraction", "fractions"})
    )


def symbolised(solver: Solver) -> Solver:
    """Return the solver with a symbol in place of each numerical parameter; itself, if it is made of numbers only."""
    import sympy

    fields: Any = getattr(solver, "__dataclass_fields__", {})
    names = [name for name in parameters(solver) if fields[name].init]
    if not names:
        return solver
    try:
        return dataclasses.replace(solver, **{name: sympy.Symbol(name) for name in names})  # type: ignore[type-var]
    except (TypeError, ValueError):  # a check of its own that compares them with numbers
        return solver


class _Written(Symbols):
    """Symbols, with the floats of a step taken as the decimals that they print as."""

    def number(self, x: object) -> Any:
        if is_float(x):
            return super().number(decimal(x))
        return super().number(x)

    field = number


def invertibility(solver: Solver) -> Invertibility:
    """Decide whether a solver is exactly invertible, for symbolic parameters on a symbolic grid.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`. Dataclass fields annotated `Parameter`, `float` or `Fraction` become
        symbols; other floats are taken as the decimals that they print as.

    Raises
    ------
    TypeError
        If the step computes what cannot be done with symbols on the grid.
    """
    import sympy

    grid = replace(grids.symbolic(structure(solver).depth + 3), space=_Written())
    try:
        divisors = _divisors(solver, grid)
    except NotInvertibleError as error:
        return Invertibility(False, reason=str(error))
    # No two points of a grid have the same sigma/alpha.
    noise = list(zip(grid.alpha, grid.sigma, strict=True))
    distinct = {a * v - b * u for k, (a, u) in enumerate(noise) for b, v in noise[:k]}
    factors: dict[Any, None] = {}
    for divisor in divisors:
        numerator = sympy.numer(sympy.cancel(sympy.together(divisor)))
        for factor, _ in sympy.factor_list(numerator)[1]:
            if not (factor.is_nonzero or factor in distinct or -factor in distinct):
                factors[factor] = None
    return Invertibility(True, tuple(factors))


def _divisors(solver: Solver, grid: Grid) -> list[Any]:
    try:
        return inverse_run(record_steps(symbolised(solver), grid))[1]
    except TypeError as error:  # functions such as math.exp take its numbers and no symbols
        refusal(error)
    try:
        return inverse_run(record_steps(solver, grid))[1]
    except TypeError as error:
        raise TypeError(
            f"{type(solver).__name__} has no verdict in symbols, {refusal(error)}: "
            "give it ints, floats or Fractions, or try invert on a grid of numbers"
        ) from None


def end_without_inverse(grid: Grid, depth: int, has_inverse: Callable[[Grid], bool]) -> str:
    """Return the condition and the remedy if an end with sigma = 0 or alpha = 0 is what has no inverse; else nothing.

    Parameters
    ----------
    grid, depth
        The grid, and the slots that the solver takes for its start.
    has_inverse
        Says so of a part of the grid.
    """
    if grid.n - 1 <= depth:
        return ""
    ends = (
        ("sigma_0", grid.sigma[0], grid[1:], "end the grid above it (t_min > 0)"),
        ("alpha_N", grid.alpha[grid.n], grid[: grid.n - 1], "begin the grid below it"),
    )
    for name, level, rest, remedy in ends:
        if vanishes(grid.space, grid.space.field(level)) and has_inverse(rest):
            return f"invert needs {name} != 0: {remedy}"
    return ""


def condition_of(solver: Solver) -> str | None:
    """Return under which condition a solver is invertible; None if it never is, or its step takes numbers only."""
    try:
        verdict = invertibility(solver)
    except Exception as error:  # noqa: BLE001  a step of others, on a grid of symbols; faults are raised again
        refusal(error)
        return None
    return str(verdict) if verdict.invertible else None
