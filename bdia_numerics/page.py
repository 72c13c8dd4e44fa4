"""A datasheet as a page: one HTML file with its figures and formulas in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib import resources
from typing import Any

from bdia_numerics import formulas, plots
from bdia_numerics.analysis.sheet.compared import summary
from bdia_numerics.analysis.sheet.datasheet import Datasheet
from bdia_numerics.analysis.sheet.proved import Proved
from bdia_numerics.program import inverse_latex, refusal, step_latex

GREEK = ("alpha", "gamma", "zeta", "kappa")


def render(found: Datasheet, solver: Any) -> str:
    """Return the page of a datasheet.

    Parameters
    ----------
    found
        The datasheet.
    solver
        The solver, of which the page shows the step and its derived inverse as formulas.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = resources.files("bdia_numerics").joinpath("templates/datasheet.html.j2").read_text(encoding="utf-8")
    titles = [(title, list(rows)) for title, rows in found.sections() if not title.startswith("Proved and measured")]
    proved = [p for p in (found.general, found.given) if p is not None]
    shown = {k + 1: latex_of(p) for k, p in enumerate(proved)}
    measured = found.measured
    return environment.from_string(text).render(
        sheet=found,
        steps=list(step_formulas(solver)),
        sections=[(title, rows, shown.get(k, {})) for k, (title, rows) in enumerate(titles)],
        compared=measured.compared if measured else (),
        differing=bool(measured and measured.differences),
        summary=summary(measured.compared) if measured else "",
        figures=list(figures(found)),
        notes=[plots.MISSING] if measured and not plots.available() else [],
        math=lambda x: Markup(formulas.html(x)),
    )


def step_formulas(solver: Any) -> Iterator[tuple[str, str]]:
    """Yield the step and its derived inverse in LaTeX, each with its title, where they can be written."""
    for title, make in (("Step", step_latex), ("Derived inverse", inverse_latex)):
        try:
            yield title, make(solver)
        except Exception as error:  # noqa: BLE001  faults are raised again
            refusal(error)


def latex_of(proved: Proved) -> dict[str, str]:
    """Return rows of a proved part as formulas, by their labels."""
    import sympy

    def latex(x: Any) -> str:
        names = {s: "\\" + str(s) for s in x.free_symbols if str(s) in GREEK}
        return f"${sympy.latex(x, symbol_names=names)}$"

    found: dict[str, Any] = {
        "polynomial, sampling": proved.polynomial,
        "polynomial, inverting": proved.inverse_polynomial,
    }
    if proved.order is not None:
        found["error over DDIM's"] = proved.order.ddim_ratio
        power = proved.order.order_uniform + 1
        y, s = proved.order.variables
        constant = f"{latex(proved.order.error_constant)[:-1]} \\; {y}^{{({power})}} h^{{{power}}}$ in {s}; of DDIM $\\frac{{1}}{{2}}$"
    made = {label: latex(x) for label, x in found.items() if x is not None}
    return made | ({"error constant": constant} if proved.order is not None else {})


def figures(found: Datasheet) -> Iterator[tuple[str, str]]:
    """Yield figures as SVG in base64, each with its caption; none without matplotlib."""
    measured = found.measured
    if measured is None or not plots.available():
        return
    from bdia_numerics.plots import datasheet as drawn

    if measured.orders:
        yield (
            _data(drawn.order_plot(dict(measured.orders))),
            "Order: error against steps, hollow where a level does not count",
        )
    if measured.work is not None:
        yield (
            _data(drawn.work_plot(measured.work, found.name)),
            "Work and precision beside DDIM, on a grid uniform in t",
        )
    if measured.regions:
        yield _data(drawn.region_plot(dict(measured.regions))), "Stability: where solutions of dy/ds = J y stay bounded"


def _data(figure: Any) -> str:
    return base64.b64encode(plots.image(figure)).decode("ascii")
