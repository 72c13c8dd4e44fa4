"""The ledger in HTML: one file with everything in it."""

from __future__ import annotations

import base64
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bdia_numerics import formulas, plots
from bdia_numerics.claims.ledger import Decided, counts
from bdia_numerics.pages.ledger import COPY, texts
from bdia_numerics.studies.results import Choice, Digits, Portrait

PACKAGES = ("numpy", "scipy", "sympy", "mpmath", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Figure:
    """A figure ready for a page: SVG in base64, what it shows, and its caption."""

    data: str
    alt: str
    caption: str


def versions() -> dict[str, str]:
    """Return the versions of what takes part, "absent" where a package is not installed."""
    found = {"bdia_numerics": sys.modules["bdia_numerics"].__version__, "Python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def figures(results: Digits, runs: Sequence[Portrait]) -> list[Figure]:
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
    for spacing in results.config.spacings:
        title = f"Error against model evaluations, {spacing} grid"
        caption = f"{title}, float64; the numbers are in the tables below."
        found.append(_figure(digits.errors(results, spacing), title, caption))
    return found


def _figure(figure: Any, alt: str, caption: str) -> Figure:
    return Figure(base64.b64encode(plots.image(figure)).decode("ascii"), alt, caption)


def render(
    decided: Sequence[Decided],
    *,
    results: Digits | None = None,
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
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = resources.files("bdia_numerics").joinpath("pages/templates/ledger.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        decided=decided,
        counts=counts(decided),
        texts=texts,
        copy=COPY,
        failed=[d for d in decided if d.verdict == "failed"],
        corrections=[d for d in decided if d.statement.printed],
        notes=[] if plots.available() or results is None else [plots.MISSING],
        results=results,
        figures=figures(results, runs) if results and runs else [],
        choices=choices,
        date=(date or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        versions=versions(),
        seconds=f"{sum(d.seconds for d in decided):.0f}",
        math=lambda x: Markup(formulas.html(x)),
        number=formulas.number,
    )
