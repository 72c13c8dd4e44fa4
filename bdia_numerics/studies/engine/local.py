"""Cells on processes of this machine, each of which may be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics.studies.engine.task import Chunks, Outcome, Outcomes, Pool, StudyJob, packed, work
from bdia_numerics.studies.study import Cell

CHUNK_SECONDS = 0.25


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
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ready(job: bytes) -> int:
    work(job, [])  # imports what the study imports
    return os.getpid()
