"""Studies that are kept in a folder: what is there is not run again, nothing is lost or doubled, and the dataset is the same."""

from __future__ import annotations

import gc
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bdia_numerics.studies import Study, Variable, data_hash, load, run, save, study, tasks
from bdia_numerics.studies.engine import sources
from bdia_numerics.studies.engine.journal import Journal
from bdia_numerics.studies.study import assemble, cells, key

ran: list[dict] = []
broken: set[int] = set()


@dataclass(frozen=True)
class Config:
    steps: tuple[int, ...] = (10, 20, 40)
    weights: tuple[float, ...] = (0.1, 1 / 3)
    seed: int = 3


def compute(config, cell):
    ran.append(dict(cell))
    if cell["steps"] in broken:
        raise ArithmeticError(f"{cell['steps']} steps overflow\nin detail")
    rng = np.random.default_rng([config.seed, cell["steps"]])
    return {
        "error": cell["weight"] / cell["steps"],
        "half": np.float32(cell["weight"]),
        "nfe": cell["steps"] if cell["solver"] == "DDIM" else np.inf,
        "image": rng.standard_normal((2, 3)).astype(np.float32),
        "status": "ok: σ ≠ 0",
    }


STUDY = Study(
    "toy",
    "A toy",
    Config,
    dims=lambda config: {"solver": ("DDIM", "BDIA(gamma=9/10)"), "steps": config.steps, "weight": config.weights},
    compute=compute,
    variables={
        "error": Variable("error"),
        "half": Variable("half"),
        "nfe": Variable("evaluations"),
        "image": Variable("image", dims=("y", "x")),
        "status": Variable("status"),
        "never": Variable("never computed"),
    },
    inner=lambda config: {"y": (0, 1), "x": ("a", "b", "c")},
    wanted=lambda config, cell: cell["steps"] != 40 or cell["solver"] == "DDIM",
)


@pytest.fixture(autouse=True)
def fresh():
    ran.clear()
    broken.clear()


def only_once(cells):
    return len({key(cell) for cell in cells}) == len(cells)


def test_a_dataset_in_a_file_is_the_one_in_memory(tmp_path):
    kept = run(STUDY, folder=tmp_path)
    made = assemble(STUDY, Config(), [(cell, compute(Config(), cell)) for cell in cells(STUDY, Config())])
    assert kept.identical(load(tmp_path / "toy.nc"))
    assert kept.drop_attrs(deep=False).identical(made.drop_attrs(deep=False))
    assert run(STUDY).drop_attrs(deep=False).identical(made.drop_attrs(deep=False))
    assert data_hash(kept) == data_hash(made)
    assert kept["half"].dtype == kept["image"].dtype == np.float32
    assert np.isnan(kept["never"]).all()


def test_finished_cells_are_not_run_again(tmp_path):
    steps = []
    first = run(STUDY, folder=tmp_path, advance=lambda: steps.append(1))
    assert len(ran) == len(steps) == 10 and only_once(ran)
    saved = (tmp_path / "toy.nc").read_bytes()
    again = run(STUDY, folder=tmp_path, advance=lambda: steps.append(1))
    assert len(ran) == 10 and len(steps) == 20
    assert first.identical(again)
    assert (tmp_path / "toy.nc").read_bytes() == saved


@pytest.mark.parametrize("after", [0, 7])
def test_a_run_that_is_broken_off_goes_on(tmp_path, after):
    def stop(outcome):
        if len(ran) > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(STUDY, folder=tmp_path / "broken", watch=stop)
    resumed = run(STUDY, folder=tmp_path / "broken")
    assert len(ran) == 10 and only_once(ran)
    whole = run(STUDY, folder=tmp_path / "whole")
    assert resumed.identical(whole)
    assert (tmp_path / "broken" / "toy.nc").read_bytes() == (tmp_path / "whole" / "toy.nc").read_bytes()


def test_failed_cells_are_data_and_the_others_go_on(tmp_path):
    broken.add(20)
    found = run(STUDY, folder=tmp_path)
    assert len(ran) == 10 and found.attrs["failed"] == 4
    assert np.isnan(found["error"].sel(steps=20)).all() and not np.isnan(found["error"].sel(steps=10)).any()
    status = found["status"].sel(steps=20, solver="DDIM", weight=0.1).item()
    assert status.startswith("ArithmeticError: 20 steps overflow (test_study_runs.py:")
    assert sum(bool(t.failure) for t in tasks(tmp_path, STUDY)) == 4
    run(STUDY, folder=tmp_path)
    assert len(ran) == 10
    broken.clear()
    mended = run(STUDY, folder=tmp_path, retry=True)
    assert len(ran) == 14 and mended.attrs["failed"] == 0
    assert [t.attempts for t in tasks(tmp_path, STUDY) if t.cell["steps"] == 20] == [2] * 4
    assert mended.identical(run(STUDY, folder=tmp_path / "other"))


def test_without_a_folder_an_exception_passes():
    broken.add(20)
    with pytest.raises(ArithmeticError, match="20 steps"):
        run(STUDY)


LISTED = replace(STUDY, lists=("steps", "weights"))


def test_a_longer_list_computes_the_new_cells_alone(tmp_path):
    run(LISTED, Config(steps=(10,)), folder=tmp_path)
    ran.clear()
    longer = run(LISTED, Config(steps=(5, 10, 20)), folder=tmp_path)
    assert sorted({cell["steps"] for cell in ran}) == [5, 20] and len(ran) == 8
    ran.clear()
    wider = run(LISTED, Config(steps=(10, 20), weights=(0.1, 1 / 3, 0.5)), folder=tmp_path)
    assert [cell["weight"] for cell in ran] == [0.5] * 4
    # The whole is what a run from nothing makes, and a shorter one is still there.
    for found, config in ((longer, Config(steps=(5, 10, 20))), (wider, Config((10, 20), (0.1, 1 / 3, 0.5)))):
        assert found.identical(run(LISTED, config, folder=tmp_path / str(config)))
    ran.clear()
    assert run(LISTED, Config(steps=(10,)), folder=tmp_path).sizes["steps"] == 1 and ran == []
    assert len(tasks(tmp_path, LISTED)) == 16 and len(tasks(tmp_path, LISTED, Config(steps=(10,)))) == 4


def test_what_a_cell_depends_on_makes_it_another(tmp_path, monkeypatch):
    first = run(LISTED, folder=tmp_path)
    for change in (
        lambda: run(LISTED, Config(seed=4), folder=tmp_path),
        lambda: monkeypatch.setattr(sources, "_package", lambda: "0" * 16),
        lambda: monkeypatch.setattr(sources, "versions", lambda: '{"numpy": "9"}'),
    ):
        change()
        ran.clear()
        run(LISTED, Config(seed=4), folder=tmp_path)
        assert len(ran) == (0 if change.__code__.co_names[0] == "run" else 10)
    monkeypatch.undo()
    ran.clear()
    assert run(LISTED, folder=tmp_path).identical(first) and ran == []


def test_another_study_is_refused(tmp_path):
    run(STUDY, folder=tmp_path)
    (tmp_path / "toy.sqlite").rename(tmp_path / "other.sqlite")
    with pytest.raises(
        ValueError, match=r"other.sqlite was made with another study, toy, but other here: take another folder"
    ):
        run(replace(STUDY, name="other"), folder=tmp_path)


def test_a_resumed_run_keeps_the_provenance_of_the_run_that_began(tmp_path, monkeypatch):
    first = run(STUDY, folder=tmp_path)
    monkeypatch.setattr(study, "_commit", lambda: "a later one")
    assert run(STUDY, folder=tmp_path).identical(first)


def test_two_writers_are_refused_and_a_reader_is_not(tmp_path):
    def look(outcome):
        with pytest.raises(ValueError, match=r"toy.sqlite is being written by another process"):
            run(STUDY, folder=tmp_path)
        seen.append(len(tasks(tmp_path, STUDY)))

    seen: list[int] = []
    run(STUDY, folder=tmp_path, watch=look)
    assert len(seen) == 10


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"folder=.*file cannot be written \(.*exists.*\): give another"):
        run(STUDY, folder=tmp_path / "file")


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path):
    """SQLite's limit of pages stands in for the disk's."""

    def fill(outcome):
        if len(ran) == 4:
            journal = next(o for o in gc.get_objects() if type(o) is Journal)
            journal.commit()
            journal._rows.execute("PRAGMA max_page_count = 1")

    big = replace(
        STUDY,
        compute=lambda config, cell: {**compute(config, cell), "image": np.ones((2, 4000))},
        inner=lambda config: {},
    )
    with pytest.raises(
        OSError, match=r"toy.sqlite cannot be written \(database or disk is full\): make room, and run this again"
    ):
        run(big, folder=tmp_path, watch=fill)
    assert len(tasks(tmp_path, big)) == 4
    run(big, folder=tmp_path)
    assert len(tasks(tmp_path, big)) == 10


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / "toy.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match=r"toy.sqlite is not a journal of a study \(file is not a database\)"):
        run(STUDY, folder=tmp_path)
    (tmp_path / "toy.nc").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"toy.nc is not a netCDF file"):
        load(tmp_path / "toy.nc")
    with pytest.raises(ValueError, match=r"none.nc does not exist"):
        load(tmp_path / "none.nc")


def damage_a_value(path):
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE cells SET scalars = replace(scalars, '0', '1') WHERE rowid = 3")
    rows.close()


def damage_a_key(path):
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE cells SET cell = cell || ' ' WHERE rowid = 3")
    rows.close()


def damage_pages(path):
    content = bytearray(path.read_bytes())
    content[-4096:] = random.Random(0).randbytes(4096)
    path.write_bytes(content)


@pytest.mark.parametrize("made", [None, "2", "4"], ids=str)
def test_a_journal_of_another_format_is_refused_in_words(tmp_path, made):
    """Those of before are refused, too: what a cell's row holds was another."""
    run(STUDY, folder=tmp_path)
    with closing(sqlite3.connect(tmp_path / "toy.sqlite")) as rows, rows:
        if made is None:
            rows.execute("DELETE FROM made_by WHERE name = 'format'")
        else:
            rows.execute("UPDATE made_by SET value = ? WHERE name = 'format'", (made,))
    with pytest.raises(ValueError, match=r"toy\.sqlite was made with another format, .* here: take another folder"):
        run(STUDY, folder=tmp_path)


def test_a_dataset_of_0_1_is_read_and_one_of_a_later_format_refused(tmp_path):
    path, made = tmp_path / "toy.nc", run(STUDY)
    made.to_netcdf(path, engine="h5netcdf")  # as 0.1 did, without a format
    assert load(path).identical(made) and load(save(made, path)).identical(made)
    for later in (3, "two"):
        made.assign_attrs(format=later).to_netcdf(path, engine="h5netcdf")
        with pytest.raises(ValueError, match=rf"is a dataset of format '?{later}'?, and this version reads up to 2"):
            load(path)


@pytest.mark.parametrize("damage", [damage_a_value, damage_a_key, damage_pages])
def test_a_damaged_journal_goes_on_from_the_rows_that_hold(tmp_path, damage):
    many = replace(
        STUDY,
        compute=lambda config, cell: {**compute(config, cell), "image": np.ones((2, 300))},
        inner=lambda config: {},
    )
    whole = run(many, folder=tmp_path)
    damage(tmp_path / "toy.sqlite")
    ran.clear()
    with pytest.warns(
        UserWarning, match=r"toy.sqlite: .*damaged; \d+ rows hold, and the other cells are run again"
    ) as caught:
        again = run(many, folder=tmp_path)
    assert again.identical(whole) and 0 < len(ran) < 10
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    if damage is not damage_pages:
        assert "row 3" in str(caught[0].message) and len(ran) == 1
    ran.clear()
    assert run(many, folder=tmp_path).identical(whole) and ran == []


def test_a_damaged_row_is_named_where_the_tasks_are_listed(tmp_path):
    run(STUDY, folder=tmp_path)
    damage_a_value(tmp_path / "toy.sqlite")
    with pytest.warns(UserWarning, match="toy.sqlite: row 3, "):
        assert len(tasks(tmp_path, STUDY)) == 9


def test_a_journal_has_one_row_a_cell(tmp_path):
    run(STUDY, folder=tmp_path)
    with sqlite3.connect(tmp_path / "toy.sqlite") as rows:
        (row,) = rows.execute("SELECT * FROM cells LIMIT 1")
        with pytest.raises(sqlite3.IntegrityError):
            rows.execute("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    rows.close()


def test_keys_tell_cells_apart():
    cells = [
        {"a": "1"},
        {"a": 1},
        {"a": 1.0},
        {"a": True},
        {"a": 0.1 + 0.2},
        {"a": 0.3},
        {"b": 1},
        {"a": "x\n"},
        {"a": "x"},
    ]
    assert len({key(cell) for cell in cells}) == len(cells)
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})


def test_a_coordinate_twice_is_refused():
    with pytest.raises(ValueError, match="steps=10 occurs twice: list it once"):
        run(STUDY, Config(steps=(10, 20, 10)))


def test_a_value_that_is_not_listed_is_refused():
    with pytest.raises(ValueError, match="'error': list it in its variables"):
        run(replace(STUDY, variables={"status": Variable("status")}))


def test_hash_of_data(tmp_path):
    made = run(STUDY)
    assert data_hash(made) == data_hash(made.assign_attrs(seed=4)) == data_hash(load(save(made, tmp_path / "a.nc")))
    other = made.copy(deep=True)
    other["image"][0, 0, 0, 0, 0] += 1e-7
    assert data_hash(other) != data_hash(made)
    assert data_hash(made.assign_coords(x=["a", "b", "d"])) != data_hash(made)
    assert data_hash(made.rename(error="errors")) != data_hash(made)
    other["status"][0, 0, 0] = "okay"
    assert len({data_hash(d) for d in (made, other, made.assign(status=other["status"]))}) == 3


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    made = run(STUDY)
    save(made, tmp_path / "a.nc")
    before = (tmp_path / "a.nc").read_bytes()
    with pytest.raises((TypeError, ValueError)):
        save(made.assign(error=((), object())), tmp_path / "a.nc")
    assert (tmp_path / "a.nc").read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.nc"]
