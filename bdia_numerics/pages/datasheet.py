"""A datasheet as a page: one HTML file with its figures and formulas in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bdia_numerics import plots
from bdia_numerics.analysis.sheet.datasheet import Datasheet
from bdia_numerics.analysis.sheet.proved import Proved, factors, summary
from bdia_numerics.pages.template import embedded, rendered
from bdia_numerics.program import inverse_latex, refusal, step_latex
from bdia_numerics.spaces.later import sympy

_GREEK = re.compile(r"^(alpha|sigma|gamma|zeta|kappa|lambda|theta|phi)")
_DERIVATIVE = re.compile(r"[a-z]('+|\^\(\d+\))")
"""Derivatives of the solution as local errors name them: y'', y^(4)."""


def render(found: Datasheet, solver: Any) -> str:
    """Return the page of a datasheet.

    Parameters
    ----------
    found
        The datasheet.
    solver
        The solver, of which the page shows the step and its derived inverse as formulas.
    """
    titles = [(title, list(rows)) for title, rows in found.sections() if not title.startswith("Proved and measured")]
    proved = [p for p in (found.general, found.given) if p is not None]
    shown = {k + 1: latex_of(p) for k, p in enumerate(proved)}
    measured = found.measured
    return rendered(
        "datasheet.html.j2",
        sheet=found,
        steps=list(step_formulas(solver)),
        sections=[(title, rows, shown.get(k, {})) for k, (title, rows) in enumerate(titles)],
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


def latex_of(proved: Proved) -> dict[str, str]:
    """Return rows of a proved part as formulas, by their labels; a row that is not here is shown as text."""
    found: dict[str, Any] = {
        "polynomial, sampling": proved.polynomial,
        "polynomial, inverting": proved.inverse_polynomial,
    }
    order = proved.order
    if order is not None and order.ddim_ratio:  # 0 has its reason in the text
        found["error over DDIM's"] = order.ddim_ratio
    made = {label: f"${_latex(x)}$" for label, x in found.items() if x is not None}
    if order is None:
        return made
    power = order.order_uniform + 1
    y, s = order.variables
    made["error constant"] = (
        f"${_latex(order.error_constant)}$, times ${y}^{{({power})}} h^{{{power}}}$ in {s}; DDIM has $\\frac{{1}}{{2}}$"
    )
    local = {name: _sum(terms) for name, terms in order.local.items()}
    if all(local.values()):
        made["local error"] = "; ".join(f"${formula}$ in {name}" for name, formula in local.items())
    if added := _sum(order.principal, f"h^{{{power}}} "):
        made["error added per step"] = f"${added}$"
    for label, conditions in (
        ("local error one order higher if", order.local_condition),
        ("one order higher on equal steps if", order.condition),
    ):
        if equations := [f"${_latex(e.lhs)} = 0$" for e in conditions if e.lhs != 0]:
            made[label] = " and ".join(equations)
    return made


def _latex(x: Any) -> str:
    def one(part: Any) -> str:
        names = {s: _GREEK.sub(r"\\\1", str(s)) for s in part.free_symbols}
        return str(sympy.latex(part, symbol_names=names))

    top, bottom = factors(x)
    alone = len(top) == 1
    text = " ".join(one(f) if alone or not f.is_Add else f"\\left({one(f)}\\right)" for f in top)
    return text if bottom == 1 else f"\\frac{{{text}}}{{{one(bottom)}}}"


def _sum(terms: Mapping[str, Any], power: str = "") -> str:
    """Return a sum of derivatives in LaTeX; nothing where one of its elements is another."""
    if not all(_DERIVATIVE.fullmatch(name) for name in terms):
        return ""
    named = {re.sub(r"\((\d+)\)", r"{(\1)}", name): c for name, c in terms.items()}
    return " + ".join(f"{_bracketed(c)} {power}{name}" for name, c in named.items())


def _bracketed(c: Any) -> str:
    text = _latex(c)
    return f"\\left({text}\\right)" if c.is_Add and not text.startswith("\\frac") else text


def figures(found: Datasheet) -> Iterator[tuple[str, str]]:
    """Yield figures as SVG in base64, each with its caption; none without matplotlib."""
    measured = found.measured
    if measured is None or not plots.available():
        return
    from bdia_numerics.plots import stability as drawn

    if measured.orders:
        yield (
            embedded(drawn.order_plot(dict(measured.orders))),
            "Order: error against steps, hollow where a level does not count",
        )
    if measured.work is not None:
        yield (
            embedded(drawn.work_plot(measured.work, found.name)),
            "Work and precision beside DDIM, on a grid uniform in t",
        )
    if measured.regions:
        yield (
            embedded(drawn.region_plot(dict(measured.regions))),
            "Stability: where solutions of dy/ds = J y stay bounded",
        )
