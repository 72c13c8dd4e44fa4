"""The pages that show the ledger say what the ledger says."""

import re
from pathlib import Path

import pytest

from bdia_numerics.claims.ledger import Decided, checks, statements
from bdia_numerics.claims.pages import HEAD_ROWS, head, ledger, page
from bdia_numerics.solvers import SECOND_ORDER, SOLVERS

ROOT = Path(__file__).resolve().parent.parent
MISPRINTS = ROOT / "docs" / "findings" / "misprints.md"
LEDGER = ROOT / "docs" / "ledger.md"
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def decided():
    """Every claim with the verdict that its check gives if it passes."""
    registered = checks()
    return [
        Decided(s, registered[s.id].verdict if s.id in registered else s.verdict, "", 0.0)
        for s in statements().values()
    ]


def without_evidence(text):
    return [line for line in text.splitlines() if line and not line.startswith("Evidence:")]


def test_the_page_of_misprints_is_the_ledgers(decided):
    assert without_evidence(MISPRINTS.read_text(encoding="utf-8")) == without_evidence(page(decided))


def test_the_page_of_the_ledger_is_the_ledgers(decided):
    assert without_evidence(LEDGER.read_text(encoding="utf-8")) == without_evidence(ledger(decided))


def test_every_claim_has_its_anchor_and_its_evidence():
    sections = re.split(r"^\((.+)\)=$", LEDGER.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert list(found) == list(statements())
    lacking = {name for name, section in found.items() if not re.search(r"^Evidence: \S", section, re.MULTILINE)}
    assert lacking == {name for name, s in statements().items() if s.verdict == "definition" and not s.note}
    assert not re.search(r"\*\*(skipped|failed)\*\*", "".join(sections)), "written where something was missing"


def test_every_correction_has_its_section():
    text = MISPRINTS.read_text(encoding="utf-8") + LEDGER.read_text(encoding="utf-8")
    corrected = [s for s in statements().values() if s.printed]
    assert len(corrected) >= 25
    assert all(f"# {s.id}: {s.title}" in text and s.right in text for s in corrected)


def test_the_head_in_the_readme_is_the_ledgers(decided):
    assert head(decided) in README.read_text(encoding="utf-8")
    assert set(HEAD_ROWS) <= set(statements())


def test_the_bibliography_has_the_source_of_every_solver():
    references = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "bibliography.md").read_text(encoding="utf-8")
    solvers = {solver.__name__ for solver in (*SOLVERS.values(), *SECOND_ORDER.values())}
    named = set(re.findall(r"\w+", page.partition("## Where each inversion")[0]))
    assert solvers - named == set()
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "bdia_numerics").rglob("*.py"))
    numbers = set(re.findall(r"arXiv:(\d{4}\.\d{4,5})", sources))
    assert len(numbers) >= 5
    assert numbers - set(re.findall(r"arXiv:(\d{4}\.\d{4,5})", references)) == set()
    keys = set(re.findall(r"^@\w+\{(\w+),", references, re.MULTILINE))
    cited = {key for group in re.findall(r"\{cite:\w\}`([^`]+)`", page) for key in group.split(",")}
    assert keys == cited, "the page says of each reference what it is for"
