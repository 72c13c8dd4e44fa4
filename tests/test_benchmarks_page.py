"""The page of benchmarks is written by their runs: its rows are those of figures.toml, and a run changes only the rows it measured."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def timing(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield pytest.importorskip("timing")
    sys.modules.pop("timing", None)


def rows_of(page, timing):
    table = page.split(timing.BEGIN)[1].split(timing.END)[0]
    return [line.removeprefix("| ").split(" | ") for line in table.strip().splitlines()[2:] if line.startswith("| ")]


def test_every_row_of_the_page_is_one_of_the_table_in_its_order(timing):
    whats = [row["what"] for row in timing.ROWS.values()]
    assert len(set(whats)) == len(whats)
    shown = [row[0] for row in rows_of(timing.PAGE.read_text(encoding="utf-8"), timing)]
    assert shown == [what for what in whats if what in shown]


def test_a_run_changes_the_rows_it_measured_and_no_other(timing, monkeypatch):
    rows = {
        "a": {"what": "one thing", "against": "a peer", "limit": 2},
        "b": {"what": "another", "against": "", "at_least": 50},
        "c": {"what": "a third", "against": "", "limit": 3, "unit": " s"},
    }
    monkeypatch.setattr(timing, "ROWS", rows)
    empty = f"before\n{timing.BEGIN}\n| h |\n|---|\n{timing.END}\nafter\n"
    page = timing.written(timing.written(empty, {"c": 1.23456, "a": 1.5}), {"b": 60.0, "a": 1.75})
    assert page.startswith("before\n") and page.endswith("after\n")
    assert page.count(f": {timing.machine()}\n") == 1
    found = {row[0]: row[2:4] for row in rows_of(page, timing)}
    assert list(found) == ["one thing", "another", "a third"]
    assert found == {"one thing": ["1.75", "2"], "another": ["60", "at least 50"], "a third": ["1.23 s", "3 s"]}


def test_a_limit_is_above_or_below(timing, monkeypatch):
    monkeypatch.setattr(timing, "ROWS", {"most": {"limit": 2}, "least": {"at_least": 50}})
    assert timing.allowed("most", 2, 1) and not timing.allowed("most", 2.1, 1) and timing.allowed("most", 2.9, 1.5)
    assert timing.allowed("least", 50, 1) and not timing.allowed("least", 49, 1) and timing.allowed("least", 34, 1.5)
    assert timing.better("most", 1, 2) == 1 and timing.better("least", 1, 2) == 2
