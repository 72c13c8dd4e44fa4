"""Whether a solver is exactly invertible, and under which condition, from its program alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from bdia_numerics import grids
from bdia_numerics.program.inverse import NotInvertibleError, inverse_run
from bdia_numerics.program.structure import Solver, structure
from bdia_numerics.program.trace import record_steps


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
    """Return the numerical parameters of a solver: the dataclass fields annotated as `Parameter`."""
    fields: Any = getattr(solver, "__dataclass_fields__", {})
    return {name: getattr(solver, name) for name, field in fields.items() if "Parameter" in str(field.type)}


def symbolised(solver: Solver) -> Solver:
    """Return the solver with a symbol in place of each numerical parameter."""
    import sympy

    names = parameters(solver)
    return dataclasses.replace(solver, **{name: sympy.Symbol(name) for name in names}) if names else solver  # type: ignore[type-var]


def invertibility(solver: Solver) -> Invertibility:
    """Decide whether a solver is exactly invertible, for symbolic parameters on a symbolic grid.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`. Dataclass fields annotated `Parameter` become symbols.
    """
    import sympy

    grid = grids.symbolic(structure(solver).depth + 3)
    try:
        _, divisors = inverse_run(record_steps(symbolised(solver), grid))
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
