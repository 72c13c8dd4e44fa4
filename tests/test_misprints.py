"""The page of misprints says what the ledger says."""

from pathlib import Path

from bdia_numerics.claims.ledger import Decided, checks, statements
from bdia_numerics.claims.misprints import page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "findings" / "misprints.md"


def without_evidence(text):
    return [line for line in text.splitlines() if not line.startswith("Evidence:")]


def test_the_committed_page_is_the_ledgers():
    registered = checks()
    decided = [
        Decided(s, registered[s.id].verdict if s.id in registered else s.verdict, "", 0.0)
        for s in statements().values()
    ]
    assert without_evidence(PAGE.read_text(encoding="utf-8")) == without_evidence(page(decided))


def test_every_correction_has_its_section():
    text = PAGE.read_text(encoding="utf-8")
    corrected = [s for s in statements().values() if s.printed]
    assert len(corrected) >= 25
    assert all(f"## {s.id}: {s.title}" in text and s.right in text for s in corrected)
