"""The laid-out ledger of numbered statements: complete, in order, well formed."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from bdia_numerics.claims import ledger
from bdia_numerics.claims.ledger import TEXT_WRONG, UNCLEAR, checks

REQUIRED = {"id", "source", "title", "statement", "verdict", "note"}
CORRECTION = {"printed", "right", "why"}
VERDICTS = {"open", "definition", "needs-weights"}
KERNEL = ("prop-1", "prop-2", "lemma-1", "lemma-2", "bdia-inverse", "edict-inverse", "cbdia-inverse", "witness")
EXPECTED = {
    *(f"eq-{n}" for n in range(1, 66)),
    "definition-1",
    *(f"prop-{n}" for n in (1, 2)),
    *(f"lemma-{n}" for n in (1, 2)),
    *(f"remark-{n}" for n in range(1, 5)),
    "alg-1",
    *(f"table-{n}" for n in range(1, 5)),
    *(f"figure-{n}" for n in range(1, 7)),
    *(f"fact-{n}" for n in range(1, 31)),
    *(f"enclosure-{n}" for n in (1, 2)),
    "digits",
    *(f"coq-{name}" for name in KERNEL),
}
MEASUREMENTS = ["digits"]
WORDS = {"eq": r"eq\. \({}\)", "prop": "proposition {}", "alg": "algorithm {}"}


def _claims() -> list[dict[str, Any]]:
    text = importlib.resources.files("bdia_numerics.claims").joinpath("statements.toml").read_text(encoding="utf-8")
    claims: list[dict[str, Any]] = tomllib.loads(text)["claim"]
    return claims


CLAIMS = _claims()


def each(check: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    """Let a check of one claim be one test of all, which names those that fail: hundreds of tests would take longer than what they do."""

    @wraps(check)
    def checked() -> None:
        failed = {}
        for claim in CLAIMS:
            try:
                check(claim)
            except AssertionError as error:
                failed[claim["id"]] = str(error)
        assert failed == {}

    del checked.__wrapped__  # type: ignore[attr-defined]  # pytest would look for a fixture "claim"
    return checked


def test_every_numbered_statement_stands_exactly_once() -> None:
    ids = [c["id"] for c in CLAIMS]
    assert sorted(ids) == sorted(EXPECTED)


@pytest.mark.parametrize("kind", ["eq", "prop", "lemma", "remark", "table", "figure", "fact", "enclosure"])
def test_numbers_ascend_within_a_kind(kind: str) -> None:
    numbers = [int(c["id"].rsplit("-", 1)[1]) for c in CLAIMS if c["id"].startswith(f"{kind}-")]
    assert numbers == sorted(numbers)


def test_facts_and_measurements_come_last() -> None:
    enclosures, kernel = (f"enclosure-{n}" for n in (1, 2)), (f"coq-{name}" for name in KERNEL)
    last = [*(f"fact-{n}" for n in range(1, 31)), *enclosures, *MEASUREMENTS, *kernel]
    assert [c["id"] for c in CLAIMS[-len(last) :]] == last


@each
def test_fields(claim: dict[str, Any]) -> None:
    assert set(claim) >= REQUIRED
    assert set(claim) <= REQUIRED | CORRECTION | {"kind", "evidence"}
    assert claim["verdict"] in VERDICTS
    for name, value in claim.items():
        assert isinstance(value, str), name
        assert value == value.strip() != "", name


@each
def test_corrections_are_whole_and_change_something(claim: dict[str, Any]) -> None:
    present = CORRECTION & set(claim)
    assert present in (set(), CORRECTION)
    if present:
        assert claim["printed"] != claim["right"]
    assert claim.get("kind") in (None, TEXT_WRONG, UNCLEAR)
    assert present or "kind" not in claim


def test_what_rests_on_one_copy_of_the_paper_is_called_so():
    unclear = {c["id"] for c in CLAIMS if c.get("kind") == UNCLEAR}
    assert unclear == {"definition-1", "eq-32", "eq-43", "eq-44", "eq-56", "eq-57"}
    assert all("copy" in c["why"] for c in CLAIMS if c["id"] in unclear)


def test_braces_are_judged_by_one_rule():
    braces = [c for c in CLAIMS if re.search("(under|over)brace", c.get("printed", "")) and c.get("kind") != UNCLEAR]
    assert [c["id"] for c in braces] == ["eq-27", "eq-29", "eq-60"]
    assert {c["kind"] for c in braces} == {TEXT_WRONG}
    assert {checks()[c["id"]].verdict for c in braces} == {"proved"}


@each
def test_formulas_are_delimited(claim: dict[str, Any]) -> None:
    for name, value in claim.items():
        assert value.count("$") % 2 == 0, name
        for formula in value.split("$")[1::2]:
            bare = re.sub(r"\\[{}]", "", formula)
            assert bare.count("{") == bare.count("}"), (name, formula)
        # outside $...$ a backslash would be a formula that lost its delimiters
        assert not any("\\" in prose for prose in value.split("$")[0::2]), name


@each
def test_source_names_the_numbered_statement(claim: dict[str, Any]) -> None:
    if claim["id"] in MEASUREMENTS:
        assert claim["source"] == "measurement"
        return
    if claim["id"].startswith("coq-"):
        assert claim["source"] == "kernel"
        return
    kind, number = claim["id"].rsplit("-", 1)
    pattern = WORDS.get(kind, kind + " {}").format(number)
    prefix = "" if kind in ("fact", "enclosure") else "paper, "
    assert re.match(rf"{prefix}{pattern}(,|$)", claim["source"]), claim["source"]


@each
def test_short_fields_are_one_line(claim: dict[str, Any]) -> None:
    for name in ("title", "note", "why"):
        assert "\n" not in claim.get(name, ""), name


def test_the_wheel_carries_the_proofs():
    root = Path(__file__).resolve().parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = {path: where for path, where in carried.items() if path.startswith("proofs/") and path.endswith(".py")}
    assert files == {f"proofs/{name}.py": f"bdia_numerics/claims/proofs/{name}.py" for name in ledger.PROOFS}
    assert all((root / path).is_file() for path in files)


def test_two_checks_of_a_claim_are_refused():
    assert "eq-33" in checks()
    with pytest.raises(ValueError, match="'eq-33' has two checks"):
        ledger.check("eq-33", verdict="proved", mutants={"none": {}})(lambda: "")


def test_a_check_of_each_claim_names_those_that_fail():
    @each
    def facts_are_no_facts(claim: dict[str, Any]) -> None:
        assert not claim["id"].startswith("fact-3"), "a fact"

    with pytest.raises(AssertionError, match=r"(?s)Left contains 2 more items:.*'fact-3': 'a fact"):
        facts_are_no_facts()
