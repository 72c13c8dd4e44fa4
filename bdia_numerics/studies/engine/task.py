"""What runs in a worker: cells of a study, one by one, each with its outcome, in handfuls that pay for sending them."""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from bdia_numerics.studies.engine.blas import one_blas_thread
from bdia_numerics.studies.engine.sources import source
from bdia_numerics.studies.study import Cell, Study, key, versions


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes
    ----------
    cell
        Which.
    values
        By variable; empty if it failed.
    failure
        The exception in one line, with where it was raised; empty if there was none.
    seconds
        On the worker's clock.
    worker
        Host and process, or a Dask worker's address.
    """

    cell: Cell
    values: Mapping[str, Any]
    failure: str
    seconds: float
    worker: str


@dataclass(frozen=True)
class StudyJob:
    """A study with its configuration, the source that it computes with, and the versions of packages."""

    study: Study
    config: Any
    source: str
    versions: str


Outcomes = Generator[Outcome, None, None]
Pool = Callable[[StudyJob, Iterator[Cell]], Outcomes]
"""Runs cells somewhere, and yields each outcome once, in any order."""


def serial(job: StudyJob, pending: Iterator[Cell]) -> Outcomes:
    """Run cells in this process, one after the other."""
    with one_blas_thread():
        for cell in pending:
            yield attempt(job, cell)


def attempt(job: StudyJob, cell: Cell) -> Outcome:
    """Run one cell; an exception becomes its failure."""
    started, values, failure = time.perf_counter(), {}, ""
    try:
        values = dict(job.study.compute(job.config, cell))
    except Exception as error:  # noqa: BLE001 - whatever a cell raises is its result, and the other cells go on
        failure = in_one_line(error)
    return Outcome(cell, values, failure, time.perf_counter() - started, here())


def work(packed_job: bytes, chunk: Sequence[Cell]) -> list[Outcome]:
    """Run cells in a worker, with one thread of BLAS: as many as elsewhere, so that sums are rounded alike.

    Raises
    ------
    RuntimeError
        If the worker's source or versions are not the driver's.
    """
    job = _unpacked(packed_job)
    with one_blas_thread():
        return [attempt(job, cell) for cell in chunk]


def packed(job: StudyJob) -> bytes:
    """Return a job as bytes, with functions that a worker cannot import, such as those of a notebook; ImportError without the extra."""
    try:
        import cloudpickle
    except ImportError:
        raise ImportError("other processes need cloudpickle: pip install 'bdia_numerics[sweep]'") from None
    made: bytes = cloudpickle.dumps(job)
    return made


@lru_cache(maxsize=4)
def _unpacked(packed_job: bytes) -> StudyJob:
    import cloudpickle

    job: StudyJob = cloudpickle.loads(packed_job)
    own = source(job.study, job.config)
    for name, wanted, found in (("source", job.source, own), ("versions", job.versions, versions())):
        if found != wanted:
            raise RuntimeError(f"worker {here()} has other {name}, {difference(wanted, found)} there: install the same")
    return job


def difference(old: str, new: str) -> str:
    """Say in which of their parts two texts of JSON differ, or that they do."""
    try:
        one, other = json.loads(old), json.loads(new)
        name = next(n for n in sorted({*one, *other}) if one.get(n) != other.get(n))
        return f"{name}={json.dumps(one.get(name))}, but {json.dumps(other.get(name))}"
    except (ValueError, AttributeError, StopIteration, TypeError):
        return f"{old[:12]}, but {new[:12]}"


def in_one_line(error: BaseException) -> str:
    """Return kind and message of an exception, and the file and line that raised it."""
    lines = str(error).splitlines() or [""]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {lines[0]}{where}"


@cache
def here() -> str:
    """Return host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


LARGEST = 1000
DEATHS = 2


class Chunks:
    """The cells of a run, handed out in chunks of about `seconds`, as the cells before them took.

    A chunk whose worker died is handed out again cell by cell, so that the cell that kills is found.
    """

    def __init__(self, pending: Iterator[Cell], *, seconds: float) -> None:
        self._pending, self._seconds = pending, seconds
        self._size, self._mean = 1, 0.0
        self._again: list[list[Cell]] = []
        self._deaths: Counter[str] = Counter()

    def take(self) -> list[Cell]:
        """Return the next cells; none if there are none now."""
        return self._again.pop() if self._again else list(itertools.islice(self._pending, self._size))

    def returned(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from a chunk that came back how many cells the next may have."""
        if outcomes:
            mean = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
            self._mean = (self._mean + mean) / 2 if self._mean else mean
            self._size = max(1, min(LARGEST, 4 * self._size, int(self._seconds / max(self._mean, 1e-9))))

    def died(self, chunk: list[Cell], worker: str) -> Iterator[Outcome]:
        """Take back a chunk whose worker died; yield the failure of a cell that crashed `DEATHS` workers while running alone."""
        if len(chunk) > 1:
            self._again += [[cell] for cell in chunk]
            return
        for cell in chunk:
            self._deaths[key(cell)] += 1
            if self._deaths[key(cell)] < DEATHS:
                self._again.append([cell])
            else:
                yield killed(cell, DEATHS, worker)


def killed(cell: Cell, times: int, worker: str) -> Outcome:
    """Return the failure of a cell whose worker died each time."""
    said = f"KilledWorker: the process that ran it died {times} times (out of memory, or a crash in compiled code)"
    return Outcome(cell, {}, said, float("nan"), worker)
