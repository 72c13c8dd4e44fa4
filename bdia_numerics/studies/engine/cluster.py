"""Cells on a Dask cluster that runs already."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

from bdia_numerics.studies.engine.local import Chunks, Outcome, Outcomes, Pool, StudyJob, killed, packed, work
from bdia_numerics.studies.study import Cell

CHUNK_SECONDS = 1.0
AHEAD = 2
"""Chunks that wait at the scheduler for each thread, so that no worker waits for the driver."""


def cluster(address: str, *, timeout: float = 10.0) -> Pool:
    """Return a pool of the workers of a Dask scheduler, which may come and go.

    A chunk whose worker died is run elsewhere by the scheduler, as often as its `distributed.scheduler.allowed-failures` says, then
    cell by cell. The scheduler blames all that its dead worker had, so a cell that is blamed is run once more alone;
    if its workers die again, it is recorded as failed.

    Parameters
    ----------
    address
        Such as tcp://host:8786.
    timeout
        Seconds to wait for the scheduler.

    Raises
    ------
    ImportError
        Without distributed; the message names the extra.
    """
    try:
        dask: Any = importlib.import_module("distributed")
    except ImportError:
        raise ImportError(f"scheduler={address} needs distributed: pip install 'bdia_numerics[sweep]'") from None

    def pool(job: StudyJob, pending: Iterator[Cell]) -> Outcomes:
        try:
            client = dask.Client(address, timeout=timeout, set_as_default=False, name="bdia")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"scheduler={address} does not answer ({str(error).splitlines()[0]}): start one by `dask scheduler`, "
                "or leave it out for processes of this machine"
            ) from None
        with client:
            try:
                yield from _outcomes(dask, client, packed(job), Chunks(pending, seconds=CHUNK_SECONDS), address)
            except (CancelledError, dask.comm.CommClosedError) as error:
                lost = f"scheduler={address} is gone ({type(error).__name__}): start it, and run this again to go on"
                raise RuntimeError(lost) from None

    return pool


def _outcomes(dask: Any, client: Any, job: bytes, chunks: Chunks, address: str) -> Iterator[Outcome]:
    waiting, room, looked = dask.as_completed([], loop=client.loop), 0, 0.0
    cells: dict[str, list[Cell]] = {}
    blamed: list[Cell] = []
    alone = False

    def submit(chunk: list[Cell]) -> None:
        future = client.submit(work, job, chunk, pure=False)
        cells[future.key] = chunk
        waiting.add(future)

    while True:
        if time.monotonic() - looked > 1:
            room, looked = AHEAD * max(1, sum(client.nthreads().values())), time.monotonic()
        while not blamed and len(cells) < room and (chunk := chunks.take()):
            submit(chunk)
        if not cells:
            if not blamed:
                return
            submit([blamed.pop()])
            alone = True
        future = next(waiting)
        chunk = cells.pop(future.key)
        try:
            found = future.result()
        except dask.KilledWorker as error:
            if len(chunk) > 1:
                yield from chunks.died(chunk, address)
            elif not alone:
                blamed += chunk
            else:
                yield killed(chunk[0], error.allowed_failures + 1, address)
        else:
            chunks.returned(found)
            yield from found
        alone = False
