"""The ledger in HTML: one file with everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bdia_numerics import formulas, plots
from bdia_numerics.claims.ledger import Decided, counts
from bdia_numerics.pages.ledger import COPY, texts
from bdia_numerics.pages.template import embedded, rendered, versions
from bdia_numerics.studies.digits import DIGITS, Choice, Portrait
from bdia_numerics.studies.records import config_of, records

if TYPE_CHECKING:
    from xarray import Dataset


@dataclass(frozen=True)
class Figure:
    """A figure ready for a page: SVG in base64, what it shows, and its caption."""

    data: str
    alt: str
    caption: str


def figures(results: Dataset, runs: Sequence[Portrait]) -> list[Figure]:
    """Return the figures of the study; none without matplotlib."""
    if not plots.available():
        return []
    from bdia_numerics.plots import digits

    numbers = "; ".join(
        f"{r.solver}: latent to the truth {formulas.number(r.latent_distance)}, round trip {formulas.number(r.round_trip)}"
        for r in runs
    )
    first = (
        f"One image, a draw of the distribution of digits with its bandwidth, to noise and back in {runs[0].steps} steps, "
        f"trailing grid, float64, same colour scale in both lines. {numbers}."
    )
    found = [_figure(digits.portraits(runs), "An image through DDIM inversion and through BDIA", first)]
    for spacing in results["spacing"].values:
        title = f"Error against model evaluations, {spacing} grid"
        caption = f"{title}, float64; the numbers are in the tables below."
        found.append(_figure(digits.errors(results, spacing), title, caption))
    return found


def _figure(figure: Any, alt: str, caption: str) -> Figure:
    return Figure(embedded(figure), alt, caption)


def render(
    decided: Sequence[Decided],
    *,
    results: Dataset | None = None,
    runs: Sequence[Portrait] = (),
    choices: Sequence[Choice] = (),
    date: datetime | None = None,
) -> str:
    """Return the page.

    Parameters
    ----------
    decided
        Claims with their verdicts.
    results, runs, choices
        The study of digits; its section is left out without results.
    date
        What the page is dated; now by default.
    """
    return rendered(
        "ledger.html.j2",
        decided=decided,
        counts=counts(decided),
        texts=texts,
        copy=COPY,
        failed=[d for d in decided if d.verdict == "failed"],
        corrections=[d for d in decided if d.statement.printed],
        notes=[] if plots.available() or results is None else [plots.MISSING],
        results=results and {"config": config_of(DIGITS, results), "rows": records(DIGITS, results)},
        figures=figures(results, runs) if results and runs else [],
        choices=choices,
        date=(date or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        versions=versions(),
        seconds=f"{sum(d.seconds for d in decided):.0f}",
    )
