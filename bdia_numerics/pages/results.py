"""Results as tables: of notebooks, of pandas, and as a page of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from functools import partial, singledispatch
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bdia_numerics import formulas, names
from bdia_numerics.analysis import (
    Amplification,
    BestGamma,
    Datasheet,
    Design,
    ErrorBudget,
    ErrorEnclosure,
    Finding,
    GlobalError,
    LeadingError,
    LocalErrors,
    ObservedOrder,
    Proved,
    Requirement,
    RoundTripError,
    StabilityRegion,
    SymbolicOrder,
    WorkPrecision,
)
from bdia_numerics.analysis.sheet.proved import order_rows, summary
from bdia_numerics.claims import Decided
from bdia_numerics.pages.template import embedded, plots, rendered, require_pages
from bdia_numerics.program import inverse_latex, refusal, step_latex
from bdia_numerics.runs.files import check, write
from bdia_numerics.spaces.showing import Listing, brief
from bdia_numerics.studies.records import StudyResult, records
from bdia_numerics.testing import Certified
from bdia_numerics.texts import shown

Row = dict[str, Any]
Table = tuple[str, list[Row]]
"""A title, and rows of numbers and texts by the heads of their columns."""


def _pairs(rows: Iterable[tuple[str, str]]) -> list[Row]:
    return [{"quantity": label, "value": text} for label, text in rows]


@singledispatch
def tables(found: Any) -> list[Table]:
    """Return the tables of a result; one of its attributes unless it has others."""
    return [(type(found).__name__, _pairs((f.name, brief(getattr(found, f.name))) for f in fields(found) if f.repr))]


@tables.register(Listing)
def _(found: Listing[Any]) -> list[Table]:
    return [("", [row for one in found for _, rows in tables(one) for row in rows])]


@tables.register
def _(found: Finding) -> list[Table]:
    return [(found.rule, [{f.name: getattr(found, f.name) for f in fields(found)} | {"cost": str(found.cost or "")}])]


@tables.register
def _(found: Decided) -> list[Table]:
    s = found.statement
    return [(s.id, [{"id": s.id, "kind": found.kind, "statement": s.right or s.statement, "evidence": found.evidence}])]


@tables.register
def _(found: Datasheet) -> list[Table]:
    compared = found.measured.compared if found.measured else ()
    sheet = [(title, _pairs(rows)) for title, rows in found.sections() if not title.startswith("Proved and measured")]
    rows = [
        {"quantity": r.quantity, "proved": r.proved, "measured": r.measured, "": r.verdict, "reason": r.reason}
        for r in compared
    ]
    return [*sheet, *([("Proved and measured", rows)] if rows else [])]


@tables.register
def _(found: Proved) -> list[Table]:
    return [("Proved", _pairs(found.rows()))]


@tables.register
def _(found: SymbolicOrder) -> list[Table]:
    return [(f"Order of {found.solver}", _pairs(order_rows(found)))]


@tables.register
def _(found: ObservedOrder) -> list[Table]:
    return [(str(found), [asdict(level) for level in found.levels])]


@tables.register
def _(found: WorkPrecision) -> list[Table]:
    return [(f"Work and precision, {found.states} states", [asdict(row) for row in found.rows])]


@tables.register(RoundTripError)
@tables.register(Requirement)
def _(found: Any) -> list[Table]:
    head = getattr(found, "summary", "") or f"Error of a round trip of {found.solver} in {found.steps} steps"
    return [(head, [{"dtype": dtype, "error": error} for dtype, error in found.errors.items()])]


@tables.register
def _(found: ErrorEnclosure) -> list[Table]:
    rows = [
        {"states": "; ".join(f"{float(low):.6g} to {float(high):.6g}" for low, high in box)}
        | {f"error {k}": str(ball) for k, ball in enumerate(balls, 1)}
        for box, balls in found.pieces
    ]
    return [(f"Enclosed error, on {len(rows)} boxes", rows)]


@tables.register
def _(found: Certified) -> list[Table]:
    return [(found.claim, [asdict(found)])]


@tables.register
def _(found: StabilityRegion) -> list[Table]:
    rows = [
        {"real": float(x), "imaginary": float(y), "radius": float(found.radius[k, j])}
        for k, y in enumerate(found.imaginary)
        for j, x in enumerate(found.real)
    ]
    return [("Largest modulus of a root", rows)]


@tables.register
def _(found: Design) -> list[Table]:
    return [(f"Order {found.order}", _pairs(found.said())), ("Error and amplification", found.rows())]


@tables.register
def _(found: StudyResult) -> list[Table]:
    return [(str(found), records(found.study, found.dataset))]


def _columned(title: str, columns: Mapping[str, str], found: Any) -> list[Table]:
    """Return the table of a result whose attributes are its columns, named by their heads."""
    values = (np.asarray(getattr(found, name)).tolist() for name in columns.values())
    return [(title.format(found), [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)])]


_COLUMNS: Mapping[type, tuple[str, Mapping[str, str]]] = {
    ErrorBudget: (
        "Error budget of {0.solver}, start {0.start_share:.2g}",
        {"slot": "slots", "rms": "rms", "share": "shares"},
    ),
    GlobalError: ("Global error of {0.solver}", {"t": "t", "rms": "rms", "largest": "largest"}),
    LocalErrors: ("Local errors of {0.solver}", {"slot": "slots", "h": "h", "rms": "rms"}),
    Amplification: (
        "Amplification by {0.solver}, {0.total:.3g} in all",
        {"slot": "slots", "growth so far": "norms", "growth to the end": "injected"},
    ),
    LeadingError: (
        "Leading error: {0.coefficient:.4g}, oscillating {0.oscillating:.4g}, over N^{0.order}",
        {"u": "u", "density": "density"},
    ),
    BestGamma: ("{0.why}", {"gamma": "gammas", "sample": "sample", "round trip": "round_trip"}),
}
for _kind, _said in _COLUMNS.items():
    tables.register(_kind, partial(_columned, *_said))


def frame(found: Any) -> Any:
    """Return the tables of a result as one pandas.DataFrame; of several, a column `part` says which."""
    from pandas import DataFrame

    parts = tables(found)
    return DataFrame([({"part": title} if len(parts) > 1 else {}) | row for title, rows in parts for row in rows])


SHOWN = 60
"""Rows of a table that a notebook shows."""


def fragment(found: Any, math: Callable[[str], str] | None = None, most: int = SHOWN) -> str:
    """Return the tables of a result in HTML: formulas between dollar signs, as notebooks set them, or as `math` says."""
    math = math or (lambda text: escape(formulas.typeset(text), quote=False))

    def cell(x: Any) -> str:
        text = {None: "", True: "yes", False: "no"}.get(x) if x is None or isinstance(x, bool) else x
        text = formulas.number(text, 3) if isinstance(text, float) else str(text)
        return f'<td style="text-align: {"left" if isinstance(x, str) else "right"}">{math(text)}</td>'

    made = []
    for title, rows in tables(found):
        if not rows:
            continue
        heads = "".join(f'<th style="text-align: left">{escape(str(head))}</th>' for head in rows[0])
        body = "".join(f"<tr>{''.join(map(cell, row.values()))}</tr>" for row in rows[:most])
        more = f"<p>and {len(rows) - most} more rows</p>" if len(rows) > most else ""
        head = f"<p><b>{math(title)}</b></p>" if title else ""
        made.append(f"{head}<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}")
    return "".join(made) or "<p>none</p>"


def page(found: Any, path: str | Path) -> None:
    """Write a result as a page; ImportError without the extra report."""
    require_pages(asked=True)
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path={shown(path)} is not a path: pass one such as 'result.html'")
    check("path", path)
    if isinstance(found, Datasheet):
        try:
            solver = names.solver(found.solver)
        except ValueError:  # one of a user's own, of which the sheet has the name alone
            solver = None
        text = render(found, solver)
    else:
        has = hasattr(found, "plot") and (not isinstance(found, StudyResult) or found.study.figure)
        figure = embedded(plots.results.figure(found)) if has and plots.available() else ""
        ours = fragment(found, lambda text: formulas.html(formulas.typeset(text)), most=10_000)
        text = rendered("result.html.j2", title=type(found).__name__, tables=ours, figure=figure)
    write(Path(path), text.encode())


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
