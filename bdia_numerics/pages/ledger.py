"""The pages of the ledger: the report in HTML, and in Markdown all of it, its head for the README, and the misprints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bdia_numerics.claims.ledger import KINDS, NOT_REPRODUCED, TEXT_WRONG, UNCLEAR, Decided, counted, counts, decide
from bdia_numerics.formulas import number, typeset
from bdia_numerics.pages.template import embedded, plots, rendered, versions
from bdia_numerics.spaces.later import Later
from bdia_numerics.studies.records import config_of, records
from bdia_numerics.studies.study import Dataset

if TYPE_CHECKING:
    from bdia_numerics.studies.digits import Choice, Portrait

digits = Later("bdia_numerics.studies.digits")
COPY = """One copy of the paper was read: a transcription of the PDF of arXiv:2307.10829 with its formulas in TeX. It names neither
version nor date; the authors' affiliations in it are Exeter, Nvidia and Wellington, and its newest references are of 2023."""
"""Which text of the paper was read."""
PARTS = {
    "paper": "The paper",
    "fact": "Facts beyond the paper",
    "enclosure": "Enclosures over intervals of states",
    "measurement": "Real input",
    "kernel": "Proofs checked by a kernel",
}
"""Parts of the ledger, by how the sources of their claims begin."""
HEAD_ROWS = ("prop-1", "eq-33", "eq-43", "eq-61", "fact-8", "fact-17", "table-2")


def head(decided: Iterable[Decided]) -> str:
    """Return a table of a few claims and the numbers of all by kind, in Markdown, as README's first command finds them.

    That command installs no extra but `report` and leaves slow checks out, so that claims which need more are skipped.
    """
    found = [
        replace(d, verdict="skipped", kind="") if d.check is not None and (d.check.slow or d.check.extra) else d
        for d in decided
    ]
    return _page("head", found, rows=HEAD_ROWS, counted=counted).strip()


def page(decided: Iterable[Decided]) -> str:
    """Return the page in Markdown: a section for each kind of correction, and in it one for each statement that carries one."""
    return _page("misprints", [d for d in decided if d.statement.printed and d.statement.of_paper])


def ledger(decided: Iterable[Decided]) -> str:
    """Return the whole ledger in Markdown: kinds, a list of all claims, and one section each with its id as anchor."""
    found = list(decided)
    kinds = {kind for whose in counts(found).values() for kind in whose}
    order = sorted(kinds, key=lambda kind: (KINDS.index(kind) if kind in KINDS else len(KINDS), kind))
    return _page("ledger", found, kinds=order)


def verdicts(*ids: str) -> str:
    """Decide claims and return them in Markdown, a paragraph each: verdict, statement, and what it corrects."""
    return _page("verdicts", list(decide(ids))).strip()


def _page(name: str, decided: Sequence[Decided], **values: Any) -> str:
    return rendered(
        f"{name}.md.j2",
        decided=decided, counts=counts(decided), told=told(decided), texts=texts, words=_words,
        text_wrong=TEXT_WRONG, unclear=UNCLEAR, not_reproduced=NOT_REPRODUCED, copy=COPY, **values,
    )  # fmt: skip


def told(decided: Iterable[Decided]) -> dict[str, str]:
    """Return by evidence the first claim that has it, under which pages show it."""
    return {d.evidence: d.statement.id for d in reversed(list(decided))}


def texts(d: Decided) -> list[tuple[str, str]]:
    """Return what a claim corrects, as (label, text): what is printed or was conjectured, what is right, and why; or nothing."""
    s = d.statement
    if not s.printed:
        return []
    label = "Conjectured" if not s.of_paper else "Our copy has" if d.kind == UNCLEAR else "Printed"
    return [(label, s.printed), ("Right", s.right), ("Why", s.why)]


def _words(text: str) -> str:
    """Return text in Markdown with its mathematics set: what is not a formula or code is plain, also a ticked z_{i-1} or an asterisk."""
    pieces = re.split(r"(\$[^$]+\$|`[^`]+`)", typeset(text))
    return "".join(piece if k % 2 else re.sub(r"[_*<\[]", r"\\\g<0>", piece) for k, piece in enumerate(pieces))


def render(
    decided: Sequence[Decided],
    *,
    results: Dataset | None = None,
    runs: Sequence[Portrait] = (),
    choices: Sequence[Choice] = (),
    date: datetime | None = None,
) -> str:
    """Return the report: the ledger in HTML, one file with everything in it.

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
        told=told(decided),
        parts=[
            (title, [d for d in decided if d.statement.source.startswith(source)]) for source, title in PARTS.items()
        ],
        notes=[] if plots.available() or results is None else [plots.MISSING],
        results=results and {"config": config_of(digits.DIGITS, results), "rows": records(digits.DIGITS, results)},
        figures=figures(results, runs) if results and runs and plots.available() else [],
        choices=choices,
        date=(date or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        versions=versions(),
        seconds=f"{sum(d.seconds for d in decided):.0f}",
    )


def figures(results: Dataset, runs: Sequence[Portrait]) -> list[tuple[str, str, str]]:
    """Return the figures of the study of digits: SVG in base64, what it shows, and its caption."""
    numbers = "; ".join(
        f"{r.solver}: latent to the truth {number(r.latent_distance)}, round trip {number(r.round_trip)}" for r in runs
    )
    first = (
        f"One image, a draw of the distribution of digits with its bandwidth, to noise and back in {runs[0].steps} steps, "
        f"trailing grid, float64, same colour scale in both lines. {numbers}."
    )
    found = [(embedded(plots.digits.portraits(runs)), "An image through DDIM inversion and through BDIA", first)]
    for spacing in results["spacing"].values:
        title = f"Error against model evaluations, {spacing} grid"
        found.append(
            (
                embedded(plots.digits.errors(results, spacing)),
                title,
                f"{title}, float64; the numbers are in the tables below.",
            )
        )
    return found
