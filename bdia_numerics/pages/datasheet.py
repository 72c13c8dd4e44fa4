"""A datasheet as a page: one HTML file with its figures and formulas in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bdia_numerics.analysis.sheet.datasheet import Datasheet
from bdia_numerics.analysis.sheet.proved import summary
from bdia_numerics.pages.template import embedded, plots, rendered
from bdia_numerics.program import inverse_latex, refusal, step_latex


def render(found: Datasheet, solver: Any) -> str:
    """Return the page of a datasheet.

    Parameters
    ----------
    found
        The datasheet.
    solver
        The solver, of which the page shows the step and its derived inverse as formulas.
    """
    sections = [(title, list(rows)) for title, rows in found.sections() if not title.startswith("Proved and measured")]
    measured = found.measured
    return rendered(
        "datasheet.html.j2",
        sheet=found,
        steps=list(step_formulas(solver)),
        sections=sections,
        compared=measured.compared if measured else (),
        differing=bool(measured and measured.differences),
        summary=summary(measured.compared) if measured else "",
        figures=list(figures(found)),
        notes=[plots.MISSING] if measured and not plots.available() else [],
    )


def step_formulas(solver: Any) -> Iterator[tuple[str, str]]:
    """Yield the step and its derived inverse in LaTeX, each with its title, where they can be written."""
    for title, make in (("Step", step_latex), ("Derived inverse", inverse_latex)):
        try:
            yield title, make(solver)
        except Exception as error:  # noqa: BLE001  faults are raised again
            refusal(error)


def figures(found: Datasheet) -> Iterator[tuple[str, str]]:
    """Yield figures as SVG in base64, each with its caption; none without matplotlib."""
    measured = found.measured
    if measured is None or not plots.available():
        return
    drawn = plots.results
    if measured.orders:
        yield (
            embedded(drawn.figure(measured.orders, drawn.orders)),
            "Order: error against steps, hollow where a level does not count",
        )
    if measured.work is not None:
        yield (
            embedded(drawn.figure(measured.work.named(solver=found.name))),
            "Work and precision beside DDIM, on a grid uniform in t",
        )
    if measured.regions:
        yield (
            embedded(drawn.figure(measured.regions, drawn.regions)),
            "Stability: where solutions of dy/ds = J y stay bounded",
        )
