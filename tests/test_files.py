"""Files that are written whole or not at all, and numbers and lists in texts from outside."""

import errno
import os
import time
from fractions import Fraction
from pathlib import Path

import pytest

from bdia_numerics import texts
from bdia_numerics.runs import files


def test_a_text_and_bytes_are_written(tmp_path):
    files.write(tmp_path / "a", "γ\n")
    files.write(tmp_path / "b", b"\x00")
    assert (tmp_path / "a").read_bytes() == "γ\n".encode() and (tmp_path / "b").read_bytes() == b"\x00"
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.posix
def test_a_full_disk_leaves_what_was_there(tmp_path, full_disk):
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with full_disk(1000), pytest.raises(OSError, match="kept") as caught:
        files.write(path, bytes(5000))
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fails", ["fsync", "block"])
def test_what_fails_before_the_end_leaves_what_was_there(tmp_path, monkeypatch, fails):
    def no_room(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "kept"
    path.write_bytes(b"old")
    if fails == "fsync":
        monkeypatch.setattr(os, "fsync", no_room)
    stops = {"fsync": OSError, "block": KeyboardInterrupt}

    def save():
        with files.writing(path) as file:
            file.write(b"new")
            if fails == "block":
                raise KeyboardInterrupt

    with pytest.raises(stops[fails]):
        save()
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.posix
def test_a_device_is_written_in_place_and_a_link_stays_one(tmp_path):
    with pytest.raises(OSError, match="/dev/full") as caught:
        files.write("/dev/full", b"x")
    assert caught.value.errno == errno.ENOSPC and Path("/dev/full").is_char_device()
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no/file.png", "there is not a folder"),
        ("folder.png", "is a folder"),
        ("x" * 300 + ".png", "File name too long"),
        ("file.txt", "end its name in .png or .pdf"),
    ],
)
def test_a_path_is_checked_before_the_work(tmp_path, name, says):
    with pytest.raises(ValueError, match=r"end its name in \.npz$"):
        files.check("--figure", tmp_path / "file.txt", (".npz",))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=says) as caught:
        files.check("--figure", tmp_path / name, (".png", ".pdf"))
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_a_folder_that_takes_no_files_is_said_before_the_work(tmp_path, monkeypatch):
    def refused(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    files.check("--figure", tmp_path / "a.png")
    files.check("--figure", None)
    monkeypatch.setattr(Path, "touch", refused)  # as root, no mode of a folder refuses anything
    with pytest.raises(ValueError, match=r"--figure=.*a.png cannot be written \(Read-only file system\)"):
        files.check("--figure", tmp_path / "a.png")


@pytest.mark.parametrize(
    ("text", "value"),
    [("9/10", Fraction(9, 10)), ("0.9", Fraction(9, 10)), (0.1, Fraction(1, 10)), (" 1e-3", Fraction(1, 1000))],
)
def test_numbers(text, value):
    assert texts.ratio("x", text) == value


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (texts.ratio, "1e99999999", "is too long"),
        (texts.ratio, "1e-99999999", "is too long"),
        (texts.ratio, "1/1e99999999", "is too long"),
        (texts.ratio, "1e99999999999999999999", "is too long"),
        (texts.ratio, "9" * 100_000, "is too long"),
        (texts.ratio, "1/0", "is not a number"),
        (texts.ratio, "nan", "is not a number"),
        (texts.real, "1e999", "outside the range of floats"),
        (texts.real, "inf", "is not a number"),
        (texts.whole, "999999999999", "give at most 1000000"),
        (texts.whole, "9" * 100_000, "is too large"),
        (texts.whole, "1.5", "is not a whole number"),
        (texts.wholes, "10,,x", "x=x is not a whole number"),
        (texts.wholes, ",", "is empty"),
    ],
)
def test_numbers_that_are_none_or_too_large_are_one_short_line_at_once(read, text, says):
    began = time.process_time()
    with pytest.raises(ValueError, match=says) as caught:
        read("x", text)
    assert time.process_time() - began < 0.5 and len(str(caught.value)) < 150


def test_lists():
    assert texts.wholes("steps", "10, 20,40") == (10, 20, 40)
    assert texts.reals("gammas", "0,1/2,0.9") == (0.0, 0.5, 0.9)
    assert texts.whole("seed", 2**63 - 1) == 2**63 - 1
    assert texts.listed("uniform, karras:rho=5,t_min=0.1,leading") == (
        "uniform",
        "karras:rho=5,t_min=0.1",
        "leading",
    )
    assert texts.listed("BDIA(gamma=1, allow_any=true),DDIM by (23)") == (
        "BDIA(gamma=1, allow_any=true)",
        "DDIM by (23)",
    )


def test_tables_that_are_too_deep_or_too_long():
    deep, wide = {}, [0] * 200_000
    for _ in range(100_000):
        deep = {"a": deep}
    shared = [0]
    for _ in range(40):  # as the aliases of a YAML file make it: 2^40 entries
        shared = [shared, shared]
    for value, says in (
        (deep, "nested more than"),
        (wide, "more than 100000 entries"),
        (shared, "more than 100000 entries"),
    ):
        with pytest.raises(ValueError, match=says):
            texts.bounded("file", value)
    while deep:  # a recursive destructor would end the interpreter on some platforms
        deep = deep["a"]
    assert texts.bounded("file", {"a": [1, {"b": 2}]}) == {"a": [1, {"b": 2}]}
