"""Cells in handfuls, as large as pays for sending them and as small as may be lost."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from bdia_numerics.studies.engine.journal import key
from bdia_numerics.studies.engine.task import Outcome
from bdia_numerics.studies.study import Cell

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
