"""The journal of a run: one row a cell, in a file that is whole whenever the process that writes it is killed."""

from __future__ import annotations

import hashlib
import io
import json
import math
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bdia_numerics.runs.files import clear
from bdia_numerics.studies.engine.local import Outcome, difference
from bdia_numerics.studies.study import Cell, key

_SECONDS_BETWEEN_COMMITS = 0.2

_TABLES = """
CREATE TABLE IF NOT EXISTS made_by (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    cell TEXT, content TEXT, scalars TEXT NOT NULL, arrays BLOB NOT NULL, failure TEXT NOT NULL, seconds REAL,
    worker TEXT NOT NULL, finished REAL NOT NULL, attempts INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (cell, content)
);
"""
_ADD = """
INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?)
ON CONFLICT (cell, content) DO UPDATE SET
    scalars = excluded.scalars, arrays = excluded.arrays, failure = excluded.failure, seconds = excluded.seconds,
    worker = excluded.worker, finished = excluded.finished, attempts = attempts + 1, checksum = excluded.checksum
WHERE failure <> ''
"""


@dataclass(frozen=True)
class Task:
    """A row of the journal.

    Attributes
    ----------
    cell, values
        Which, and those of its values that are not arrays.
    failure
        In one line; empty if there was none.
    seconds
        On the worker's clock; NaN if its process died.
    worker, attempts
        Where it ran, and how many of its outcomes came in.
    content
        The digest of what its values depend on apart from the cell, as `sources.content` has it.
    """

    cell: Cell
    values: Mapping[str, Any]
    failure: str
    seconds: float
    worker: str
    attempts: int
    content: str


class Journal:
    """The finished cells of a study, in an SQLite file with one writer.

    A row is found by the cell and by its content, so that runs of several configurations, versions and sources share a file.

    Parameters
    ----------
    path
        The file, or None to keep it in memory.
    identity
        What the file is; all of it must be the same for a run to go on.
    origin, provenance
        What the run is, and what makes that of its dataset; asked by the first run of an origin.
    content
        Gives a cell the digest of what its values depend on.

    Raises
    ------
    ValueError
        If the file is not a journal, belongs to another run, or another process is writing it.
    """

    def __init__(
        self,
        path: Path | None,
        identity: Mapping[str, str],
        origin: str,
        provenance: Callable[[], Mapping[str, Any]],
        content: Callable[[Cell], str],
    ) -> None:
        self.path, self._committed, self._content = path, 0.0, content
        self._origin = f"provenance {hashlib.sha256(origin.encode()).hexdigest()[:32]}"
        with ExitStack() as undone:
            if path is not None:
                undone.enter_context(closing(_locked(path)))
                clear(path.parent)
            try:
                self._open()
                undone.callback(lambda: self._rows.close())  # noqa: PLW0108 - damage puts another in its place
                self._begin(identity, provenance)
            except sqlite3.DatabaseError as error:
                raise ValueError(
                    f"{path} is not a journal of a study ({error}): take another folder, or delete it"
                ) from None
            self._held = undone.pop_all()

    def _open(self) -> None:
        self._rows = sqlite3.connect(":memory:" if self.path is None else self.path)
        try:
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.executescript(_TABLES)
        except BaseException:
            self._rows.close()
            raise

    def _begin(self, identity: Mapping[str, str], provenance: Callable[[], Mapping[str, Any]]) -> None:
        with self._rows:  # one transaction: a journal has all of its head or none
            self._rows.execute("BEGIN IMMEDIATE")
            found = dict(self._rows.execute("SELECT name, value FROM made_by"))
            if not found:
                self._rows.executemany("INSERT INTO made_by VALUES (?, ?)", identity.items())
        for name, value in identity.items() if found else ():
            if found.get(name) != value:
                raise ValueError(
                    f"{self.path} was made with another {name}, {difference(found.get(name, ''), value)} here: "
                    "take another folder, or delete it to begin anew"
                )
        if found:
            self._mend(found)
        with self._rows:
            if self._origin not in found:
                self._rows.execute("INSERT INTO made_by VALUES (?, ?)", (self._origin, json.dumps(dict(provenance()))))

    def _mend(self, head: Mapping[str, str]) -> None:
        """Take out rows that are damaged, and say which: their cells are run again."""
        sound, damaged = _sorted_out(self._rows)
        ((verdict,),) = self._rows.execute("PRAGMA integrity_check(1)").fetchmany(1)
        if verdict == "ok" and not damaged:
            return
        if self.path is not None and verdict != "ok":  # pages of the file, and not the content of a row alone
            self._rows.close()
            self.path.replace(self.path.with_suffix(".damaged"))
            for end in ("-wal", "-shm"):
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)
            self._open()
            self._rows.executemany("INSERT INTO made_by VALUES (?, ?)", head.items())
        with self._rows:
            self._rows.execute("DELETE FROM cells")
            self._rows.executemany(f"INSERT INTO cells VALUES ({', '.join('?' * 10)})", sound)
        warnings.warn(_said_of(self.path, sound, damaged), stacklevel=2)

    @property
    def provenance(self) -> dict[str, Any]:
        """What began this run."""
        ((text,),) = self._rows.execute("SELECT value FROM made_by WHERE name = ?", (self._origin,))
        return json.loads(text)

    def holds(self, cell: Cell, *, failures: bool) -> bool:
        """Return whether the cell is here and need not run; failed ones count where `failures`."""
        row = self._found("failure", cell)
        return row is not None and (failures or not row[0])

    def _found(self, columns: str, cell: Cell) -> Any:
        which = f"SELECT {columns} FROM cells WHERE cell = ? AND content = ?"
        return self._rows.execute(which, (key(cell), self._content(cell))).fetchone()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; a cell that succeeded stays as it is."""
        scalars, arrays = _packed(outcome.values)
        held = (key(outcome.cell), self._content(outcome.cell), scalars, arrays, outcome.failure)
        with self._writing():
            self._rows.execute(_ADD, (*held, outcome.seconds, outcome.worker, time.time(), _checksum(*held)))
        if time.monotonic() - self._committed > _SECONDS_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        """Write what was added; OSError if that cannot be, as on a full disk."""
        with self._writing():
            self._rows.commit()
        self._committed = time.monotonic()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path} cannot be written ({error}): make room, and run this again") from None

    def outcome(self, cell: Cell) -> tuple[dict[str, Any], str] | None:
        """Return values and failure of a cell; None if it is not here."""
        row = self._found("scalars, arrays, failure", cell)
        return None if row is None else (_unpacked(row[0], row[1]), row[2])

    def close(self) -> None:
        """Write, and let other processes in."""
        self.commit()
        with suppress(sqlite3.OperationalError):  # somebody reads it just now
            self._rows.execute(
                "PRAGMA journal_mode = DELETE"
            )  # one plain file, which can be read where nothing can be written
        self._held.close()


def tasks(path: Path) -> Iterator[Task]:
    """Yield the rows of a journal in the order in which they came in, also while it is written.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: give the folder of a run")
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as rows:
        sound, damaged = _sorted_out(rows)
    if damaged:
        warnings.warn(_said_of(path, sound, damaged), stacklevel=2)
    for cell, content, scalars, _, failure, seconds, worker, _, attempts, _ in sound:
        nan = math.nan if seconds is None else seconds
        yield Task(json.loads(cell), json.loads(scalars)[0], failure, nan, worker, attempts, content)


def _checksum(*row: Any) -> str:
    """Return the checksum of a row's cell, content, scalars, arrays and failure, whatever damage made of them."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in row]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hexdigest()[:32]


def _sorted_out(rows: sqlite3.Connection) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the rows that hold, in their order, and what can be said of the others; ValueError if there is not a table of them."""
    columns = {name for _, name, *_ in rows.execute("PRAGMA table_info(cells)")}
    if "content" not in columns:
        what = "of an earlier version" if columns else "not a journal of a study"
        raise ValueError(f"this is {what}: take another folder, or delete it")
    found: dict[int, tuple[Any, ...]] = {}
    damaged: dict[str, None] = {}
    rows.text_factory = lambda text: text.decode(errors="replace")
    for order in ("ASC", "DESC"):  # from both ends, up to the page that cannot be read
        try:
            for rowid, *row in rows.execute(f"SELECT rowid, * FROM cells NOT INDEXED ORDER BY rowid {order}"):
                if _checksum(*row[:5]) == row[9]:
                    found[rowid] = tuple(row)
                else:
                    damaged[f"row {rowid}, {ascii(row[0])[1:120]}"] = None
            break
        except sqlite3.DatabaseError as error:
            damaged[f"the file ({error})"] = None
    rows.text_factory = str
    return [found[rowid] for rowid in sorted(found)], list(damaged)


def _said_of(path: Path | None, sound: Sequence[object], damaged: Sequence[str]) -> str:
    more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    what = damaged[0] if damaged else "an index"
    return f"{path}: {what}{more} is damaged; {len(sound)} rows hold, and the other cells are run again"


def _locked(path: Path) -> sqlite3.Connection:
    """Return a hold on a file beside the journal, which the system lets go when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(path.with_suffix(".lock"), timeout=0, isolation_level=None)
    except (OSError, sqlite3.OperationalError) as error:
        raise ValueError(f"folder={path.parent} cannot be written ({error}): give another") from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" in str(error):
            raise ValueError(
                f"{path} is being written by another process: wait for it, or take another folder"
            ) from None
        raise ValueError(f"folder={path.parent} cannot be written ({error}): give another") from None
    return lock


def _packed(values: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return Python's scalars as JSON, which keeps them exactly, and the rest as npy, one after the other."""
    plain: dict[str, Any] = {}
    names, arrays = [], io.BytesIO()
    for name, value in values.items():
        if type(value) in (str, bool, float) or (type(value) is int and abs(value) < 2**63):
            plain[name] = value
        else:
            names.append(name)
            np.lib.format.write_array(arrays, np.asarray(value), allow_pickle=False)
    return json.dumps([plain, names], ensure_ascii=False), arrays.getvalue()


def _unpacked(scalars: str, arrays: bytes) -> dict[str, Any]:
    plain, names = json.loads(scalars)
    stream = io.BytesIO(arrays)
    return {**plain, **{name: np.lib.format.read_array(stream, allow_pickle=False) for name in names}}
