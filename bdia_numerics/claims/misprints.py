"""The page of misprints, written from the ledger: what is printed, what is right, why, and how it was decided."""

from __future__ import annotations

from collections.abc import Iterable

from bdia_numerics.claims.ledger import Decided

_HEAD = """# Misprints of the paper

Every place where the print of *Exact Diffusion Inversion via Bi-directional Integration Approximation* needs a correction, with what
is printed, what is right, and the argument. The verdict is that of the numbered statement in its right form: `misprint` where the
formula itself is affected, `proved` where the formula is right and the words around it are not, `open` where the right form still waits for
its check. This page is written by `python experiments/misprints.py` from the ledger that `bdia verify` prints.
"""

_PLOT = """![Error of CBDIA (0, 1) with (61) as printed and as it should be](../images/misprint-61.png)

Linear VP schedule, grid uniform in asinh(sigma/alpha), a mixture of two Gaussians, 200 states, against the exact flow. As printed, the
error stops falling: the missing factor changes the equation that is solved.
"""


def page(decided: Iterable[Decided]) -> str:
    """Return the page in Markdown: one section for each statement that carries a correction."""
    sections = [_section(d) for d in decided if d.statement.printed]
    return "\n".join([_HEAD, *sections])


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
