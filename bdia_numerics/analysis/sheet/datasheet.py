"""The datasheet: what is known of a solver, on one page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics.analysis.perturbation.amplification import LIMIT, inverse_growths, listed
from bdia_numerics.analysis.sheet.compared import summary
from bdia_numerics.analysis.sheet.measured import Measured, Progress, measure
from bdia_numerics.analysis.sheet.proved import Proved, Rows, attempted, prove
from bdia_numerics.program import (
    Invertibility,
    Solver,
    Structure,
    identity,
    invertibility,
    parameters,
    structure,
    symbolised,
)

HOLDS = {
    "state": "state", "eps": "evaluation", "x0": "data prediction", "velocity": "velocity", "other": "neither state nor prediction",
}  # fmt: skip
GROWTH_STEPS = (10, 50)


@dataclass(frozen=True)
class Datasheet:
    """What is known of a solver.

    Attributes
    ----------
    name, solver
        Its class, and with its parameters.
    structure
        Registers, model evaluations and passes over memory per step, read off the program.
    invertibility
        Whether the exact inverse exists, and under which condition.
    documented
        What its docstring says: "Order", "NFE", "Requires", "Source", ..., where it does.
    general
        What is proved with symbols for its parameters; None if it has none that can be symbols.
    given
        What is proved for its own parameters.
    measured
        What its runs show, and where that differs; None if it was not asked for.
    inverse_growth
        By number of steps and name of a grid in use (`analysis.PRACTICAL`): how many times the inverse enlarges errors there; empty
        without an inverse.
    """

    name: str
    solver: str
    structure: Structure
    invertibility: Invertibility | None
    documented: Mapping[str, str]
    general: Proved | None
    given: Proved
    measured: Measured | None = None
    inverse_growth: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def sections(self) -> Iterator[tuple[str, Rows]]:
        """Yield the page: titles, each with rows of (label, text)."""
        yield self.solver, self._program()
        if self.general is not None:
            yield "Proved for all parameters", self.general.rows()
        values = ", ".join(f"{k} = {v}" for k, v in self.given.parameters.items())
        yield f"Proved for {values}" if values else "Proved", self.given.rows()
        if self.inverse_growth:
            yield "The inverse on grids in use", self._growth()
        if self.measured is not None:
            rows = self.measured.compared
            yield f"Proved and measured: {summary(rows)}", ((row.quantity, str(row)) for row in rows)
            yield "Measured", self.measured.rows()

    def as_dict(self) -> dict[str, Any]:
        """Return the page as text, numbers, lists and dicts."""
        shape, inverse = self.structure, self.invertibility
        return {
            "name": self.name,
            "solver": self.solver,
            "registers": list(shape.registers),
            "nfe": shape.nfe,
            "passes": shape.combinations,
            "invertible": None if inverse is None else inverse.invertible,
            "condition": "" if inverse is None or not inverse.invertible else str(inverse),
            "reason": "" if inverse is None else inverse.reason,
            "documented": dict(self.documented),
            "general": None if self.general is None else self.general.as_dict(),
            "given": self.given.as_dict(),
            "inverse_growth": {steps: dict(found) for steps, found in self.inverse_growth.items()},
            "measured": None if self.measured is None else self.measured.as_dict(),
        }

    def _growth(self) -> Rows:
        for steps, found in self.inverse_growth.items():
            yield f"errors grow, {steps} steps", listed(found)
        if any(value > LIMIT for found in self.inverse_growth.values() for value in found.values()):
            yield (
                "beware",
                f"latents are far from the ODE's where errors grow more than {LIMIT:g} times: see `bdia lint`",
            )

    def _program(self) -> Rows:
        shape = self.structure
        yield (
            "registers",
            ", ".join(
                f"{name} ({HOLDS[shape.kind(name)]}, {lag} {'slot' if lag == 1 else 'slots'} behind)" if lag else name
                for name, lag in zip(shape.registers, shape.lags, strict=True)
            ),
        )
        yield "NFE per step", str(shape.nfe)
        yield "passes per step", str(shape.combinations)
        if self.invertibility is not None:
            yield "exactly invertible", str(self.invertibility)
        yield from ((f"docs: {key}", text) for key, text in self.documented.items())


def datasheet(solver: Solver, *, measured: bool = True, progress: Progress | None = None) -> Datasheet:
    """Return the datasheet of a solver: what follows from its program, what its runs show, and where the two differ.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.
    measured
        Whether to run it, on a distribution with an exact flow; that takes a few seconds.
    progress
        Called with the name of each part that is measured, before it is.

    Returns
    -------
    Datasheet
        What a part has no result for is named in `refused`, with the reason.

    Raises
    ------
    TypeError, ValueError
        If the object is not a solver, as `program.structure` says.
    """
    shape, general = structure(solver), symbolised(solver)
    given = {name: str(value) for name, value in parameters(solver).items()}
    # A step that takes numbers only is not decided with symbols.
    verdict = attempted("invertibility", lambda: invertibility(solver), {})
    fields = {key: text for key in FIELDS if (text := documented(type(solver), key))}
    proved = prove(solver, given)
    return Datasheet(
        name=type(solver).__name__,
        solver=identity(solver),
        structure=shape,
        invertibility=verdict,
        documented=fields,
        general=None if general is solver else prove(general, {}),
        given=proved,
        inverse_growth={n: found for n in GROWTH_STEPS if (found := inverse_growths(solver, n))},
        measured=measure(solver, proved, fields, progress=progress) if measured else None,
    )


FIELDS = ("Order", "NFE", "Requires", "Source", "Same as")


def documented(make: Any, field: str) -> str:
    """Return a field of a solver's docstring, with its continued lines."""
    text = inspect.getdoc(make) or ""
    match = re.search(rf"^{field} {{2,}}(.*(?:\n {{6,}}.*)*)", text, flags=re.MULTILINE)
    return " ".join(match[1].split()) if match else ""
