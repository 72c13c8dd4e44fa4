"""Pages written from the ledger: all of it, its head for the README, and the misprints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from bdia_numerics.claims.ledger import VERDICTS, Decided, decide

_HEAD = """# Misprints of the paper

Every place where the print of *Exact Diffusion Inversion via Bi-directional Integration Approximation* needs a correction, with what
is printed, what is right, and the argument. The verdict is that of the numbered statement in its right form: `misprint` where the
formula itself is affected, `proved` where the formula is right and the words around it are not, `open` where the right form still waits for
its check. This page is written by `python experiments/ledger_pages.py` from the ledger that `bdia verify` prints.
"""

_LEDGER = """# The ledger

Every numbered statement of *Exact Diffusion Inversion via Bi-directional Integration Approximation*, and the mathematics that this toolkit
establishes by itself, each with a verdict and the evidence for it. This page is written by `bdia verify --full --markdown docs/ledger.md`;
`bdia verify --only prop-1` decides one of them where you are.

| verdict | means | claims |
|---|---|---|
"""

_MEANING = {
    "proved": "follows from symbols on the programs that run, or is accepted by a proof kernel; nothing else is called so",
    "measured": "at least a part rests on runs against exact solutions; the evidence says which part is proved",
    "refuted": "false as it stood; the statement given is the right one, which the evidence proves or measures",
    "misprint": "right once the print is corrected; what is printed and what is right stand there",
    "definition": "nothing to decide",
    "needs-weights": "speaks of networks or data sets that are not here",
    "skipped": "an extra or a program is missing: which one, the evidence says",
    "open": "not decided yet",
    "failed": "a check of this toolkit broke",
}

_PARTS = {
    "paper": ("The paper", "In the order of the paper; ids are its own numbers."),
    "fact": (
        "Facts",
        "Mathematics of these solvers beyond the paper. Where a sentence was false as first conjectured, that is shown.",
    ),
    "enclosure": (
        "Enclosures",
        "Theorems over whole intervals of initial states: [enclosures](findings/enclosures.md).",
    ),
    "measurement": ("Real input", "A data set in place of a law that was made up."),
    "kernel": ("Proofs checked by a kernel", "By Coq: [what is proved, and what has to be trusted](findings/coq.md)."),
}

_PLOT = """## What the misprints do when they are run

![Errors against steps of each misprint that can be run, as printed and right](../images/misprints.png)

Each print is read in the way that its section names. Root mean squares over states of a mixture of two Gaussians, against the exact
flow, on the linear VP schedule with a grid uniform in asinh(sigma/alpha); (4) on one Gaussian, (16) and (18) on a grid uniform in t,
Alg. 1 with alpha = 1 and sigma from 3 to 0. The others cannot be run: they are ranges and index sets, conditions, braces, and words.

| misprint | effect |
|---|---|
| (4), (5) | the sampler converges to another law, or to the one point |
| (16), (18) | the inverse of EDICT does not return: the error is that of a wrong state, at every N |
| (32), (56), (57) | read as a time, the first increment leads almost to the data at once |
| (43)-(44), (61) | no convergence where alpha varies |
| (54) | y_{N-2} is undefined; a DDIM step in its place hardly matters |
| Alg. 1 | z_0 is undefined; z_1 in its place is half as far off again on smooth data |
"""

_SLIPS = """## Slips of the text

Without a formula, and without effect: "Figs. 1, 2, ??, Table 2" in the introduction lacks a number; the text announces Proposition 2
as a lemma; "When gamma = 1, (31) can be simplified" means (30)-(31), of which (31) is the second line; "Denosing", "consierably",
"invertable"; references [38] (Störmer) and [40] (Chen) misspell a name.
"""


HEAD_ROWS = ("eq-27", "prop-1", "eq-33", "eq-61", "fact-5", "fact-17", "table-2")


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
    return "\n".join([_HEAD, _PLOT, *sections, _SLIPS])


def ledger(decided: Iterable[Decided]) -> str:
    """Return the whole ledger in Markdown: verdicts, a list of all claims, and one section each with its id as anchor."""
    all_of_them = list(decided)
    counts = Counter(d.verdict for d in all_of_them)
    verdicts = [f"| {verdict} | {_MEANING[verdict]} | {counts[verdict]} |" for verdict in VERDICTS if counts[verdict]]
    rows = [f"| [{d.statement.id}](#{d.statement.id}) | {d.statement.title} | {d.verdict} |" for d in all_of_them]
    lines = [_LEDGER + "\n".join(verdicts), "\n## All claims\n", "| claim | | verdict |", "|---|---|---|", *rows]
    for begins, (title, about) in _PARTS.items():
        claims = [_claim(d) for d in all_of_them if d.statement.source.startswith(begins)]
        lines += [f"\n## {title}\n\n{about}", *claims] if claims else []
    return "\n".join(lines) + "\n"


def verdicts(*ids: str) -> str:
    """Decide claims and return them in Markdown, a paragraph each: verdict, statement, and what it corrects."""
    return "\n\n".join(_verdict(d) for d in decide(ids))


def _verdict(d: Decided) -> str:
    s = d.statement
    lines = [f"**{s.id}, {d.verdict}: {s.title}.** {s.statement}"]
    if s.printed:
        lines += [f"*{'Printed' if s.of_paper else 'As conjectured'}:* {s.printed}", f"*Why it is wrong:* {s.why}"]
    return "\n\n".join(f"> {line}" if k else line for k, line in enumerate(lines))


def _claim(d: Decided) -> str:
    s = d.statement
    lines = [f"\n({s.id})=\n### {s.id}: {s.title}", f"**{d.verdict}**, {s.source}", s.statement]
    if s.printed:
        lines += [f"{'Printed' if s.of_paper else 'As conjectured'}: {s.printed}", f"Right: {s.right}", f"Why: {s.why}"]
    return "\n\n".join([*lines, *([f"Evidence: {_words(d.evidence)}"] if d.evidence else [])])


def _section(d: Decided) -> str:
    s = d.statement
    lines = [
        f"## {s.id}: {s.title}",
        f"*{s.source}*, verdict: **{d.verdict}**",
        f"Printed: {s.printed}",
        f"Right: {s.right}",
        f"Why: {s.why}",
        f"Evidence: {_words(d.evidence)}",
    ]
    return "\n\n".join(lines) + "\n"


def _words(evidence: str) -> str:
    """Return evidence, which is plain words, so that Markdown leaves z_{i-1} and its like alone; formulas stay."""
    pieces = re.split(r"(\$[^$]+\$)", evidence)
    return "".join(piece if k % 2 else re.sub(r"[_*`<\[]", r"\\\g<0>", piece) for k, piece in enumerate(pieces))
