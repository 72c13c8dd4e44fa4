"""The table of `bdia list` is kept for one state of the code, and never shown for another."""

import json
from types import SimpleNamespace

import pytest

from bdia_numerics.cli import solvers


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The file, in a folder of its own, with two rows made by a short stand-in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(solvers, "row", lambda name, make: {"name": name, "made": made.append(name) or len(made)})
    made = []
    first = solvers.rows_of_all()
    assert (
        len(first) == len(made) > 20 and json.loads(solvers._kept().read_text(encoding="utf-8").split("\n")[1]) == first
    )
    return solvers._kept(), first, made


def test_it_is_made_once(kept):
    _, first, made = kept
    count = len(made)
    assert solvers.rows_of_all() == first and len(made) == count


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("BDIA", "BDIB", 1),
        lambda text: "",
        lambda text: text.split("\n")[1],
        lambda text: "\udcff",
    ],
)
def test_a_damaged_file_is_made_anew(kept, damage):
    path, first, made = kept
    path.write_text(damage(path.read_text(encoding="utf-8")), errors="surrogateescape", encoding="utf-8")
    again = solvers.rows_of_all()
    assert [row["name"] for row in again] == [row["name"] for row in first] and len(made) == 2 * len(first)


def test_a_change_of_the_code_is_seen(kept, monkeypatch):
    _, first, made = kept
    monkeypatch.setattr(solvers, "fingerprint", lambda folder, suffix: "another")
    assert solvers.rows_of_all() != first and len(made) == 2 * len(first)


def test_a_table_without_docstrings_is_another(kept, monkeypatch):
    _, first, made = kept
    monkeypatch.setattr(solvers.sys, "flags", SimpleNamespace(optimize=2))
    assert solvers.rows_of_all() != first and len(made) == 2 * len(first)


def test_a_folder_that_cannot_be_written_costs_the_time_alone(kept, tmp_path, monkeypatch):
    _, first, made = kept
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [row["name"] for row in solvers.rows_of_all()] == [row["name"] for row in first]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(solvers.Path, "home", staticmethod(lambda: (_ for _ in ()).throw(RuntimeError("no home"))))
    assert len(solvers.rows_of_all()) == len(first) and len(made) == 3 * len(first)
