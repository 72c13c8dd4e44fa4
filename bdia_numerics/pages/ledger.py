"""The ledger in Markdown: all of it, its head for the README, and the misprints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bdia_numerics.claims.ledger import KINDS, NOT_REPRODUCED, TEXT_WRONG, UNCLEAR, Decided, counted, counts, decide

COPY = """One copy of the paper was read: a transcription of the PDF of arXiv:2307.10829 with its formulas in TeX. It names neither
version nor date; the authors' affiliations in it are Exeter, Nvidia and Wellington, and its newest references are of 2023."""
"""Which text of the paper was read."""

_HEAD = f"""# Misprints of the paper

Every place where the text of *Exact Diffusion Inversion via Bi-directional Integration Approximation* needs a correction, with what
is printed, what is right, and the argument. This page is written by `bdia pages ledger --recompute` from the ledger that
`bdia verify` prints.

{COPY} What can as well be a fault of that copy is called
*{UNCLEAR}*, not a misprint, until another copy is compared.
"""

_SECTIONS = {
    "misprint": ("Misprints", "The formula, or the range that belongs to it, is wrong as it is printed."),
    TEXT_WRONG: (
        "The formula is right, the text is not",
        "Conditions, ranges, index sets, braces and words.",
    ),
    UNCLEAR: (
        "Unclear in our copy",
        "Our copy has another formula than the lines around it. The right form is proved; whether the paper prints it, is not known.",
    ),
    "": ("Others", "What is printed beside numbers that wait for networks."),
}

_LEDGER = """# The ledger

Every numbered statement of *Exact Diffusion Inversion via Bi-directional Integration Approximation* has its line here, decided or not, and
so has the mathematics that this toolkit establishes by itself. The two are counted apart. This page is written by
`bdia verify --full --markdown docs/ledger.md`; `bdia verify --only prop-1` decides one of them where you are.

{copy}

| what happened | means | {columns} |
|---|---|---|---|
"""

_MEANING = {
    "proved": "follows from symbols on the programs that run, or is accepted by a proof kernel; nothing else is called so",
    TEXT_WRONG: "the formula is proved; a condition, a range, a brace or a sentence that belongs to it needs the correction that is given",
    "misprint": "right once the formula is corrected; what is printed and what is right stand there",
    UNCLEAR: "the right form is proved; our one copy of the text has another, which may be a fault of the copy",
    "measured": "at least a part rests on runs against exact solutions; the evidence says which part is proved",
    "conjecture corrected": "a conjecture of our own list was wrong; both texts stand there, and the right one is proved or measured",
    "definition": "nothing to decide",
    "needs weights": "speaks of networks or data sets that are not here",
    "undecided": "not decided: what was found decides neither way, or nothing was tried",
    NOT_REPRODUCED: "a published number was not met under the protocol that is named",
    "skipped": "an extra or a program is missing: which one, the evidence says",
    "check failed": "a check of this toolkit broke",
}

_PARTS = {
    "paper": ("The paper", "In the order of the paper; ids are its own numbers."),
    "fact": (
        "Facts",
        "Mathematics of these solvers beyond the paper. Where a conjecture was corrected, both texts are shown.",
    ),
    "enclosure": (
        "Enclosures",
        "Theorems over whole intervals of initial states: [enclosures](findings/enclosures.md).",
    ),
    "measurement": ("Real input", "A data set in place of a distribution that was made up."),
    "kernel": ("Proofs checked by a kernel", "By Coq: [what is proved, and what has to be trusted](findings/coq.md)."),
}

_PLOT = """## What the misprints do when they are run

![Errors against steps of each misprint that can be run, as printed and right](../images/misprints.png)

Each print is read in the way that its section names. Root mean squares over states of a mixture of two Gaussians, against the exact
flow, on the linear VP schedule with a grid uniform in asinh(sigma/alpha); (4) on one Gaussian, (16) and (18) on a grid uniform in t,
Alg. 1 with alpha = 1 and sigma from 3 to 0. The others cannot be run: they are ranges and index sets, conditions, braces, and words.

| printed | effect |
|---|---|
| (4), (5) | the sampler converges to another distribution, or to the one point |
| (16), (18) | the inverse of EDICT does not return: the error is that of a wrong state, at every N |
| (32), (56), (57) | read as a time, the first increment leads almost to the data at once |
| (43)-(44), (61) | no convergence where alpha varies |
| (54) | y_{N-2} is undefined; a DDIM step in its place hardly matters |
| Alg. 1 | z_0 is undefined; z_1 in its place is farther from the solution on smooth data |
"""

_SLIPS = """## Slips of the text

Without a formula, and without effect: "Figs. 1, 2, ??, Table 2" in the introduction lacks a number; the text announces Proposition 2
as a lemma; "When gamma = 1, (31) can be simplified" means (30)-(31), of which (31) is the second line; "Denosing", "consierably",
"invertable". Reference [14] (Hyvärinen) is in volume 6 of the Journal of Machine Learning Research, not 24; [15] has Alia for Aila, [38]
Stamer for Störmer, [40] Chenu for Chen; [25] and [26] are the same paper. Misspelt words and names may be faults of our copy.
"""


HEAD_ROWS = ("prop-1", "eq-33", "eq-43", "eq-61", "fact-8", "fact-17", "table-2")
FIRST_COMMAND = "Skipped by the first command above, which installs neither balls nor Coq"


def head(decided: Iterable[Decided]) -> str:
    """Return a table of a few claims and the numbers of all by kind, in Markdown, as README's first command finds them.

    That command installs no extra but `report` and leaves slow checks out, so that claims which need more are skipped.
    """
    found = [_by_first_command(d) for d in decided]
    rows = [f"| {d.statement.id} | {d.statement.title} | {d.kind} |" for d in found if d.statement.id in HEAD_ROWS]
    skipped = [d.statement.id for d in found if d.kind == "skipped"]
    lines = [f"- {whose}, {sum(kinds.values())} claims: {counted(kinds)}." for whose, kinds in counts(found).items()]
    note = f"{FIRST_COMMAND}: {', '.join(skipped)}. `bdia verify --full` with the extra `balls` and Coq's `coqc` decides them, too."
    return "\n".join(["| claim | | what happened |", "|---|---|---|", *rows, "", *lines, "", note])


def _by_first_command(d: Decided) -> Decided:
    needs_more = d.check is not None and (d.check.slow or d.check.extra)
    return replace(d, verdict="skipped", kind="") if needs_more else d


def page(decided: Iterable[Decided]) -> str:
    """Return the page in Markdown: a section for each kind of correction, and in it one for each statement that carries one."""
    corrected = [d for d in decided if d.statement.printed and d.statement.of_paper]
    lines = [_HEAD, _PLOT]
    for kind, (title, about) in _SECTIONS.items():
        those = [d for d in corrected if (d.kind if d.kind in _SECTIONS else "") == kind]
        lines += [f"## {title}\n\n{about}\n", *map(_section, those)] if those else []
    return "\n".join([*lines, _SLIPS])


def ledger(decided: Iterable[Decided]) -> str:
    """Return the whole ledger in Markdown: kinds, a list of all claims, and one section each with its id as anchor."""
    all_of_them = list(decided)
    numbers = counts(all_of_them)
    kinds = {kind: None for whose in numbers.values() for kind in whose}
    table = [
        f"| {kind} | {_meaning(kind)} | {' | '.join(str(whose.get(kind, 0)) for whose in numbers.values())} |"
        for kind in sorted(kinds, key=lambda kind: (KINDS.index(kind) if kind in KINDS else len(KINDS), kind))
    ]
    rows = [f"| [{d.statement.id}](#{d.statement.id}) | {d.statement.title} | {d.kind} |" for d in all_of_them]
    head_of_page = _LEDGER.format(copy=COPY, columns=" | ".join(numbers))
    lines = [
        head_of_page + "\n".join(table),
        "\n## All claims\n",
        "| claim | | what happened |",
        "|---|---|---|",
        *rows,
    ]
    for begins, (title, about) in _PARTS.items():
        claims = [_claim(d) for d in all_of_them if d.statement.source.startswith(begins)]
        lines += [f"\n## {title}\n\n{about}", *claims] if claims else []
    return "\n".join(lines) + "\n"


def _meaning(kind: str) -> str:
    return next(means for known, means in _MEANING.items() if kind.startswith(known))


def texts(d: Decided) -> list[tuple[str, str]]:
    """Return what a claim corrects, as (label, text): what is printed or was conjectured, what is right, and why; or nothing."""
    s = d.statement
    if not s.printed:
        return []
    label = "Conjectured" if not s.of_paper else "Our copy has" if d.kind == UNCLEAR else "Printed"
    return [(label, s.printed), ("Right", s.right), ("Why", s.why)]


def verdicts(*ids: str) -> str:
    """Decide claims and return them in Markdown, a paragraph each: verdict, statement, and what it corrects."""
    return "\n\n".join(_verdict(d) for d in decide(ids))


def _verdict(d: Decided) -> str:
    s = d.statement
    lines = [f"**{s.id}, {d.kind}: {s.title}.** {s.statement}", *(f"*{label}:* {text}" for label, text in texts(d))]
    return "\n\n".join(f"> {line}" if k else line for k, line in enumerate(lines))


def _claim(d: Decided) -> str:
    s = d.statement
    lines = [f"\n({s.id})=\n### {s.id}: {s.title}", f"**{d.kind}**, {s.source}", s.statement]
    lines += [f"{label}: {text}" for label, text in texts(d)]
    return "\n\n".join([*lines, *([f"Evidence: {_words(d.evidence)}"] if d.evidence else [])])


def _section(d: Decided) -> str:
    s = d.statement
    lines = [f"### {s.id}: {s.title}", f"*{s.source}*, **{d.kind}**", *(f"{label}: {text}" for label, text in texts(d))]
    return "\n\n".join([*lines, f"Evidence: {_words(d.evidence)}"]) + "\n"


def _words(evidence: str) -> str:
    """Return evidence, which is plain words, so that Markdown leaves z_{i-1} and its like alone; formulas stay."""
    pieces = re.split(r"(\$[^$]+\$)", evidence)
    return "".join(piece if k % 2 else re.sub(r"[_*`<\[]", r"\\\g<0>", piece) for k, piece in enumerate(pieces))
