"""Pages written from the ledger: its head for the README, the misprints, and the toolkit's own list of facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bdia_numerics.claims.ledger import VERDICTS, Decided

_HEAD = """# Misprints of the paper

Every place where the print of *Exact Diffusion Inversion via Bi-directional Integration Approximation* needs a correction, with what
is printed, what is right, and the argument. The verdict is that of the numbered statement in its right form: `misprint` where the
formula itself is affected, `proved` where the formula is right and the words around it are not, `open` where the right form still waits for
its check. This page is written by `python experiments/ledger_pages.py` from the ledger that `bdia verify` prints.
"""

_FACTS = """# Facts

The mathematics of these solvers that the toolkit establishes by itself, as `bdia verify --full` decides it. Each fact was first a
conjecture on a list. `proved`: all of it follows from symbols on the running programs. `measured`: a part rests on runs against exact
solutions; the evidence says which part is proved. `refuted`: a sentence of the list is false as it stood there; the statement below is
the right one, which the evidence proves or measures, and the sentence stands under *As conjectured*. This page is written by
`python experiments/ledger_pages.py`.
"""

_PLOT = """![Error of CBDIA (0, 1) with (61) as printed and as it should be](../images/misprint-61.png)

Linear VP schedule, grid uniform in asinh(sigma/alpha), a mixture of two Gaussians, 200 states, against the exact flow. As printed, the
error stops falling: where alpha varies, the print solves another equation (for constant alpha it is right).
"""


HEAD_ROWS = (
    "eq-10",
    "eq-27",
    "prop-1",
    "eq-32",
    "eq-33",
    "prop-2",
    "lemma-1",
    "lemma-2",
    "eq-61",
    "fact-17",
    "digits",
    "table-2",
)


def head(decided: Iterable[Decided]) -> str:
    """Return a table of a few claims with their verdicts, and the number of all claims by verdict, in Markdown."""
    all_of_them = list(decided)
    counts = Counter(d.verdict for d in all_of_them)
    rows = [
        f"| {d.statement.id} | {d.statement.title} | {d.verdict} |" for d in all_of_them if d.statement.id in HEAD_ROWS
    ]
    numbers = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    return "\n".join(["| claim | | verdict |", "|---|---|---|", *rows, "", f"{len(all_of_them)} claims: {numbers}."])


def page(decided: Iterable[Decided]) -> str:
    """Return the page in Markdown: one section for each statement that carries a correction."""
    sections = [_section(d) for d in decided if d.statement.printed and d.statement.of_paper]
    return "\n".join([_HEAD, *sections])


def facts(decided: Iterable[Decided]) -> str:
    """Return the page of the toolkit's own facts in Markdown, one section each."""
    return "\n".join([_FACTS, *(_fact(d) for d in decided if d.statement.source.startswith("fact"))])


def _fact(d: Decided) -> str:
    s = d.statement
    lines = [f"## {s.id}: {s.title}", f"Verdict: **{d.verdict}**", s.statement]
    if s.printed:
        lines += [f"As conjectured: {s.printed}", f"Right: {s.right}", f"Why: {s.why}"]
    return "\n\n".join([*lines, f"Evidence: {d.evidence}"]) + "\n"


def _section(d: Decided) -> str:
    s = d.statement
    lines = [
        f"## {s.id}: {s.title}",
        f"*{s.source}*, verdict: **{d.verdict}**",
        f"Printed: {s.printed}",
        f"Right: {s.right}",
        f"Why: {s.why}",
        f"Evidence: {d.evidence}",
    ]
    if s.id == "eq-61":
        lines.append(_PLOT.rstrip())
    return "\n\n".join(lines) + "\n"
