"""What runs in a worker, cells of a study in handfuls that pay for sending them, and the processes of this machine that run them.

Each process may be killed. While cells run, BLAS has one thread, also where several threads of a process run cells.
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from bdia_numerics.studies.engine.sources import source
from bdia_numerics.studies.records import register
from bdia_numerics.studies.study import Cell, Study, key, versions
from bdia_numerics.texts import refuse, whole

_LOCK = threading.Lock()
_LIMITS: list[Any] = []
"""Limits that changed something, in the order in which they were set: a library loaded later has its own."""
_USERS: list[int] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Compute with one thread of BLAS inside. The limit is the process's, so the last to leave restores what was before."""
    with _LOCK:
        if any(library["num_threads"] != 1 for library in threadpool_info()):
            _LIMITS.append(threadpool_limits(limits=1))
        _USERS.append(threading.get_ident())
    try:
        yield
    finally:
        with _LOCK:
            _USERS.remove(threading.get_ident())
            while _LIMITS and not _USERS:
                _LIMITS.pop().restore_original_limits()


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
    return cloudpickle.dumps(job)


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


def late(cell: Cell, seconds: float, worker: str) -> Outcome:
    """Return the failure of a cell that had not ended after some seconds alone in its process, which was ended."""
    return Outcome(
        cell, {}, f"Timeout: it had not ended after {seconds:g} s, and its process was ended", seconds, worker
    )


def killed(cell: Cell, times: int, worker: str) -> Outcome:
    """Return the failure of a cell whose worker died each time."""
    said = f"KilledWorker: the process that ran it died {times} times (out of memory, or a crash in compiled code)"
    return Outcome(cell, {}, said, float("nan"), worker)


CHUNK_SECONDS = 0.25
WORTH = 4.0
"""Seconds of work that are left from which on it is worth it to start processes, each of which takes a second to import."""
WORKERS = "BDIA_WORKERS"
"""In the environment: how many processes a command shares its work among; by default one for each core."""


def processes(workers: int | None = None, *, timeout: float | None = None) -> Pool:
    """Return a pool of processes on this machine, started anew (no fork), with one thread of BLAS each.

    Parameters
    ----------
    workers
        How many; one for each core that this process may use by default.
    timeout
        Seconds that a cell may take. Its process is ended then, another takes its place, and the cell is recorded as failed.

    Raises
    ------
    ValueError
        For fewer than one, and for a timeout that is not above 0.
    """
    count = cores() if workers is None else whole("workers", workers)
    unending = timeout is not None and not 0 < timeout < math.inf
    refuse(
        (count < 1, f"workers={workers}: give a number of processes, 1 or more"),
        (unending, f"timeout={timeout}: give a number of seconds above 0"),
    )

    def pool(job: StudyJob, pending: Iterator[Cell]) -> Outcomes:
        lanes = [Lane(packed(job)) for _ in range(count)]
        try:
            yield from _outcomes(lanes, Chunks(pending, seconds=CHUNK_SECONDS), timeout)
        finally:
            for lane in lanes:
                lane.close()

    return pool


def cores() -> int:
    """Return how many cores this process may use, which a container or a queue can make fewer than there are."""
    import joblib

    return joblib.cpu_count()


def allowed() -> int:
    """Return how many processes a command may use: 1 outside of commands, whose scripts are not made to be imported anew.

    Raises
    ------
    ValueError
        If the environment does not say a number.
    """
    text = os.environ.get(WORKERS, "1")
    return cores() if text == "all" else whole(WORKERS, text, least=1)


def shared(
    function: Callable[[Any], Any], arguments: Sequence[Any], *, meanwhile: Callable[[], object] = tuple
) -> Iterator[tuple[int, Any]]:
    """Yield (k, function(arguments[k])) as they are found, in `allowed` processes: the others begin with the first, this one with the last.

    Each process has one thread of BLAS. What a call raises is raised here. Whatever ends this generator, such as Ctrl-C, ends
    the processes; what one of them had when it died is done here.

    Parameters
    ----------
    function
        Of the top level of a module, or a `functools.partial` of one.
    arguments
        Of one call each; what takes longest should come first.
    meanwhile
        Called here while another begins, such as what imports a library that only the results need.
    """
    count = min(allowed(), len(arguments))
    if count < 2:
        yield from ((k, _alone(function, x)) for k, x in enumerate(arguments))
        return
    before = multiprocessing.active_children()
    executor = ProcessPoolExecutor(count - 1, multiprocessing.get_context("spawn"), _enter)
    left, waiting = deque(range(len(arguments))), dict[Future[Any], int]()
    try:
        executor.submit(tuple)  # a process begins with the first call, whatever it is
        meanwhile()
        # The others take a second to import what they need, in which this process would have nothing to do.
        while left or waiting:
            while left and len(waiting) < 2 * (count - 1):  # one that runs and one that is next, for each
                try:
                    waiting[executor.submit(_alone, function, arguments[left[0]])] = left[0]
                    left.popleft()
                except BrokenProcessPool:
                    count = 1
            if left:
                k = left.pop()
                yield k, _alone(function, arguments[k])
            else:
                wait(waiting, return_when=FIRST_COMPLETED)
            for future in [future for future in waiting if future.done()]:
                k = waiting.pop(future)
                try:
                    yield k, future.result()
                except BrokenProcessPool:
                    yield k, _alone(function, arguments[k])
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child not in before:
                child.kill()


def _alone(function: Callable[[Any], Any], x: Any) -> Any:
    with one_blas_thread():
        return function(x)


def direct(job: StudyJob, pending: Iterator[Cell]) -> Outcomes:
    """Run cells in this process, and let their exceptions pass; what would take it long is `shared`."""
    compute, waiting, begun = partial(job.study.compute, job.config), list(pending), time.perf_counter()
    done, rest = 0, 0.0
    with one_blas_thread():
        while done < len(waiting) and (rest < WORTH or allowed() < 2 or not _travels(compute)):
            yield Outcome(waiting[done], compute(waiting[done]), "", 0.0, here())
            done += 1
            rest = (time.perf_counter() - begun) / done * (len(waiting) - done)
    for k, values in shared(compute, waiting[done:], meanwhile=register):
        yield Outcome(waiting[done + k], values, "", 0.0, here())


def _travels(compute: object) -> bool:
    """Say whether another process can be told what to compute: not a function of a notebook, or one within another."""
    try:
        pickle.dumps(compute)
    except Exception:  # noqa: BLE001 - each kind of function fails in its own way
        return False
    return True


@dataclass
class Lane:
    """One process at a time, so that a death concerns one chunk only, and is that chunk's."""

    job: bytes
    pid: int = 0
    running: list[Cell] = field(default_factory=list)
    since: float = math.inf

    def begin(self) -> Future[Any]:
        """Start a process; its first task tells that it is there."""
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _enter)
        return self._executor.submit(_ready, self.job)

    def submit(self, chunk: list[Cell]) -> Future[Any]:
        """Give the process cells."""
        self.running, self.since = chunk, time.monotonic()
        return self._executor.submit(work, self.job, chunk)

    def anew(self) -> Future[Any]:
        """End the process, and start another."""
        self.close()
        self.pid, self.running, self.since = 0, [], math.inf
        return self.begin()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child.pid == self.pid:
                child.kill()


def _outcomes(lanes: list[Lane], chunks: Chunks, timeout: float | None) -> Iterator[Outcome]:
    idle: list[Lane] = []
    busy = {lane.begin(): lane for lane in lanes}
    while True:
        while idle and (chunk := chunks.take()):
            lane = idle.pop()
            busy[lane.submit(chunk)] = lane
        if idle and not any(lane.running for lane in busy.values()):
            return
        limit = timeout and max(0.0, min(lane.since for lane in busy.values()) + timeout - time.monotonic())
        done = wait(busy, limit if limit != math.inf else None, return_when=FIRST_COMPLETED).done
        overdue = (
            [] if timeout is None or done else [k for k, x in busy.items() if time.monotonic() - x.since >= timeout]
        )
        for future in (*done, *overdue):
            lane = busy.pop(future)
            try:
                found = None if future in overdue else future.result()
            except BrokenProcessPool:
                if not lane.pid:
                    raise RuntimeError(_NO_START) from None
                yield from chunks.died(lane.running, f"process {lane.pid}")
                busy[lane.anew()] = lane
                continue
            if found is None:
                # Which cell of several it was, each shows alone.
                alone, worker = len(lane.running) == 1, f"process {lane.pid}"
                yield from (
                    [late(lane.running[0], timeout or 0.0, worker)] if alone else chunks.died(lane.running, worker)
                )
                busy[lane.anew()] = lane
                continue
            if isinstance(found, int):
                lane.pid = found
            else:
                chunks.returned(found)
                yield from found
            lane.running, lane.since = [], math.inf
            idle.append(lane)


_NO_START = "the worker processes do not start: in a script, call run under if __name__ == '__main__'"


def _enter() -> None:
    """Leave Ctrl-C and standard output to the driver, and end when it does."""
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[WORKERS] = "1"
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ready(job: bytes) -> int:
    work(job, [])  # imports what the study imports
    return os.getpid()
