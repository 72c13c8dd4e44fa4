"""The pages that show the ledger say what the ledger says."""

from pathlib import Path

import pytest

from bdia_numerics.claims.ledger import Decided, checks, statements
from bdia_numerics.claims.pages import HEAD_ROWS, facts, head, page

ROOT = Path(__file__).resolve().parent.parent
MISPRINTS = ROOT / "docs" / "findings" / "misprints.md"
FACTS = ROOT / "docs" / "findings" / "facts.md"
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
    return [line for line in text.splitlines() if not line.startswith("Evidence:")]


def test_the_page_of_misprints_is_the_ledgers(decided):
    assert without_evidence(MISPRINTS.read_text(encoding="utf-8")) == without_evidence(page(decided))


def test_the_page_of_facts_is_the_ledgers(decided):
    assert without_evidence(FACTS.read_text(encoding="utf-8")) == without_evidence(facts(decided))


def test_every_correction_has_its_section():
    text = MISPRINTS.read_text(encoding="utf-8") + FACTS.read_text(encoding="utf-8")
    corrected = [s for s in statements().values() if s.printed]
    assert len(corrected) >= 25
    assert all(f"## {s.id}: {s.title}" in text and s.right in text for s in corrected)


def test_the_head_in_the_readme_is_the_ledgers(decided):
    assert head(decided) in README.read_text(encoding="utf-8")
    assert set(HEAD_ROWS) <= set(statements())
