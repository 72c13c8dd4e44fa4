"""Cells on processes of this machine, each of which may be killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bdia_numerics.studies.engine.blas import one_blas_thread
from bdia_numerics.studies.engine.task import Chunks, Outcome, Outcomes, Pool, StudyJob, here, packed, work
from bdia_numerics.studies.study import Cell
from bdia_numerics.texts import whole

CHUNK_SECONDS = 0.25
WORTH = 4.0
"""Seconds of work that are left from which on it is worth it to start processes, each of which takes a second to import."""
WORKERS = "BDIA_WORKERS"
"""In the environment: how many processes a command shares its work among; by default one for each core."""


def processes(workers: int | None = None) -> Pool:
    """Return a pool of processes on this machine, started anew (no fork), with one thread of BLAS each.

    Parameters
    ----------
    workers
        How many; one for each core that this process may use by default.

    Raises
    ------
    ValueError
        For fewer than one.
    """
    count = cores() if workers is None else workers
    if count < 1:
        raise ValueError(f"workers={workers}: give a number of processes, 1 or more")

    def pool(job: StudyJob, pending: Iterator[Cell]) -> Outcomes:
        lanes = [Lane(packed(job)) for _ in range(count)]
        try:
            yield from _outcomes(lanes, Chunks(pending, seconds=CHUNK_SECONDS))
        finally:
            for lane in lanes:
                lane.close()

    return pool


def cores() -> int:
    """Return how many cores this process may use, which a container or a queue can make fewer than there are."""
    import joblib

    found: int = joblib.cpu_count()
    return found


def allowed() -> int:
    """Return how many processes a command may use: 1 outside of commands, whose scripts are not made to be imported anew.

    Raises
    ------
    ValueError
        If the environment does not say a number.
    """
    text = os.environ.get(WORKERS, "1")
    return cores() if text == "all" else whole(WORKERS, text, least=1)


def shared(function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield (k, function(arguments[k])) as they are found, in `allowed` processes: the others begin with the first, this one with the last.

    Each process has one thread of BLAS. What a call raises is raised here. Whatever ends this generator, such as Ctrl-C, ends
    the processes; what one of them had when it died is done here.

    Parameters
    ----------
    function
        Of the top level of a module, or a `functools.partial` of one.
    arguments
        Of one call each; what takes longest should come first.
    """
    count = min(allowed(), len(arguments))
    if count < 2:
        yield from ((k, _alone(function, x)) for k, x in enumerate(arguments))
        return
    before = multiprocessing.active_children()
    executor = ProcessPoolExecutor(count - 1, multiprocessing.get_context("spawn"), _enter)
    left, waiting = deque(range(len(arguments))), dict[Future[Any], int]()
    try:
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
    for k, values in shared(compute, waiting[done:]):
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

    def begin(self) -> Future[Any]:
        """Start a process; its first task tells that it is there."""
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _enter)
        return self._executor.submit(_ready, self.job)

    def submit(self, chunk: list[Cell]) -> Future[Any]:
        """Give the process cells."""
        self.running = chunk
        return self._executor.submit(work, self.job, chunk)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child.pid == self.pid:
                child.kill()


def _outcomes(lanes: list[Lane], chunks: Chunks) -> Iterator[Outcome]:
    idle: list[Lane] = []
    busy = {lane.begin(): lane for lane in lanes}
    while True:
        while idle and (chunk := chunks.take()):
            lane = idle.pop()
            busy[lane.submit(chunk)] = lane
        if idle and not any(lane.running for lane in busy.values()):
            return
        for future in wait(busy, return_when=FIRST_COMPLETED).done:
            lane = busy.pop(future)
            try:
                found = future.result()
            except BrokenProcessPool:
                if not lane.pid:
                    raise RuntimeError(_NO_START) from None
                yield from chunks.died(lane.running, f"process {lane.pid}")
                lane.close()
                lane.pid, lane.running = 0, []
                busy[lane.begin()] = lane
                continue
            if isinstance(found, int):
                lane.pid = found
            else:
                chunks.returned(found)
                yield from found
            lane.running = []
            idle.append(lane)


_NO_START = "the worker processes do not start: in a script, call run under if __name__ == '__main__'"


def _enter() -> None:
    """Leave Ctrl-C to the driver, and end when it does."""
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
