"""The pages that show the ledger say what the ledger says."""

import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bdia_numerics.claims.ledger import Decided, checks, counts, decide, statements
from bdia_numerics.formulas import typeset
from bdia_numerics.pages.ledger import HEAD_ROWS, head, ledger, page, render
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
        Decided(s, registered[s.id].verdict if s.id in registered else s.verdict, "", 0.0, registered.get(s.id))
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
    assert not re.search(r"\*\*(skipped|check failed|undecided)\*\*", "".join(sections)), (
        "written where something was missing"
    )


def test_every_correction_has_its_section():
    text = LEDGER.read_text(encoding="utf-8")
    corrected = [s for s in statements().values() if s.printed]
    assert len(corrected) >= 25
    assert all(f"{s.id} **{typeset(s.title)}**" in text and typeset(s.right) in text for s in corrected)


def test_the_head_in_the_readme_is_the_ledgers(decided):
    assert head(decided) in README.read_text(encoding="utf-8")
    assert set(HEAD_ROWS) <= set(statements())


def test_the_readme_counts_the_paper_and_our_own_apart_as_its_first_command_finds_them(decided):
    block = head(decided)
    counted = {
        whose: (int(n), kinds) for whose, n, kinds in re.findall(r"^- (.+), (\d+) claims: (.+)\.$", block, re.MULTILINE)
    }
    paper = [d for d in decided if d.statement.of_paper]
    assert {whose: n for whose, (n, _) in counted.items()} == {
        "The paper": len(paper),
        "Our own": len(decided) - len(paper),
    }
    assert all(sum(map(int, re.findall(r"(\d+) [a-z]", kinds))) == n for n, kinds in counted.values())
    (skipped,) = re.findall(r"^Skipped .+: (.+)\. `bdia", block, re.MULTILINE)
    more = [d.statement.id for d in decided if d.check and (d.check.slow or d.check.extra)]
    assert skipped.split(", ") == more and f"{len(more)} skipped" in counted["Our own"][1]
    assert "skipped" not in counted["The paper"][1] and "conjecture" not in counted["The paper"][1]
    assert not re.search(
        r"every numbered statement[^.]*\bis decided", README.read_text(encoding="utf-8"), re.IGNORECASE
    )


def test_no_extra_is_needed_but_where_it_is_declared(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    declared = {name for name, c in checks().items() if c.extra}
    assert declared == {"enclosure-1", "enclosure-2", "fact-19"}
    assert {d.statement.id: d.kind for d in decide(sorted(declared))} == dict.fromkeys(declared, "skipped")


@pytest.mark.slow
def test_the_first_command_finds_what_the_readme_says(tmp_path):
    code = (
        "import sys; sys.modules['flint'] = None\n"
        "sys.argv = ['bdia', 'verify', '--json']\n"
        "from bdia_numerics.cli import main; main()"
    )
    # One process: the others would find flint.
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
        env=os.environ | {"BDIA_WORKERS": "1"},
    )
    known = statements()
    found = [Decided(known[c["id"]], c["verdict"], "", 0.0, kind=c["kind"]) for c in json.loads(run.stdout)["claims"]]
    text = README.read_text(encoding="utf-8")
    for whose, kinds in counts(found).items():
        assert (
            f"- {whose}, {sum(kinds.values())} claims: {'; '.join(f'{n} {kind}' for kind, n in kinds.items())}." in text
        )


def test_both_texts_of_a_corrected_conjecture_are_shown(decided):
    corrected = [d for d in decided if d.kind == "conjecture corrected"]
    assert [d.statement.id for d in corrected] == ["fact-8", "fact-11", "fact-14", "fact-28"]
    whole, report_page = ledger(decided), render(decided)
    for d in corrected:
        assert (
            f"Conjectured: {typeset(d.statement.printed)}" in whole and f"Right: {typeset(d.statement.right)}" in whole
        )
    assert report_page.count("<b>Conjectured:</b>") == len(corrected)
    assert "refuted" not in whole + report_page


def test_the_page_of_misprints_has_a_part_for_each_kind(decided):
    parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page(decided), re.MULTILINE | re.DOTALL))
    names = {title: re.findall(r"^### ([a-z0-9-]+):", part, re.MULTILINE) for title, part in parts.items()}
    assert names["Misprints"] == ["eq-4", "eq-5", "eq-16", "eq-18", "alg-1", "eq-54", "eq-55", "eq-61"]
    assert names["Unclear in our copy"] == ["definition-1", "eq-32", "eq-43", "eq-44", "eq-56", "eq-57"]
    assert {"eq-27", "eq-29", "eq-60"} < set(names["The formula is right, the text is not"])
    assert (
        "arXiv:2307.10829" in page(decided)
        and "volume 6" in parts["Slips of the text"]
        and "Aila" in parts["Slips of the text"]
    )


def test_the_bibliography_has_the_source_of_every_solver():
    references = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "bibliography.md").read_text(encoding="utf-8")
    solvers = {solver.__name__ for solver in (*SOLVERS.values(), *SECOND_ORDER.values())}
    named = set(re.findall(r"\w+", page.partition("## Where each inversion")[0]))
    assert solvers - named == set()
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "bdia_numerics").rglob("*.py"))
    numbers = set(re.findall(r"arXiv:(\d{4}\.\d{4,5})", sources))
    assert len(numbers) >= 5
    assert numbers - set(re.findall(r"eprint = \{(\d{4}\.\d{4,5})\}", references)) == set()
    keys = set(re.findall(r"^@\w+\{(\w+),", references, re.MULTILINE))
    cited = {key for group in re.findall(r"\{cite:\w\}`([^`]+)`", page) for key in group.split(",")}
    assert keys == cited, "the page says of each reference what it is for"


def unlinked(references: str) -> list[str]:
    """Return the entries of a bibliography that lead nowhere."""
    entries = re.findall(r"^@\w+\{(\w+),(.*?)^\}", references, re.MULTILINE | re.DOTALL)
    link = r"^  (eprint = \{\d{4}\.\d{4,5}\},\n  archiveprefix = \{arXiv\}|doi = \{10\.\d{4,}/\S+\}|url = \{https://\S+\})$"
    return [key for key, fields in entries if not re.search(link, fields, re.MULTILINE)]


def test_every_reference_has_a_link():
    references = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    assert unlinked(references) == []
    assert unlinked(references.replace("  doi = {10.1145/321296.321305}\n", "")) == ["anderson1965iterative"]
    assert references.count("\n@") + 1 > 40


def test_the_archive_of_the_site_has_the_pages_and_the_chapters(tmp_path, capsys):
    script = runpy.run_path(str(ROOT / "scripts" / "site.py"))
    inside = script["main"].__globals__
    inside["DOCS"], inside["BUILT"] = tmp_path, tmp_path / "_build" / "html"
    assert script["main"]() == 1 and "make site" in capsys.readouterr().err
    for name in ("index.html", "_static/a.css", ".buildinfo", ".doctrees/index"):
        (inside["BUILT"] / name).parent.mkdir(parents=True, exist_ok=True)
        (inside["BUILT"] / name).write_text(name, encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_flow.ipynb").write_text("{}", encoding="utf-8")
    archives = [(script["main"](), (tmp_path / "_build" / "site.zip").read_bytes())[1] for _ in range(2)]
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "_build" / "site.zip") as packed:
        assert sorted(packed.namelist()) == [".nojekyll", "_static/a.css", "index.html", "notebooks/01_flow.ipynb"]
        assert packed.read("index.html") == b"index.html"
