"""A study for other processes: each cell writes down that it ran, takes some milliseconds, and may kill or fail.

`python busy_study.py FOLDER` runs it there on two processes, `... FOLDER serial` in its own, `... FOLDER tcp://...` on a cluster.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bdia_numerics.studies import Study, Variable, cluster, processes, run, serial


@dataclass(frozen=True)
class Config:
    cells: int = 60
    milliseconds: float = 10.0
    note: str = ""
    """A file to which each execution adds the number of its cell and its process; none without."""
    kills: int = -1
    """The cell that kills its process."""
    sleeps: int = -1
    """The cell that never ends."""
    seed: int = 0


def compute(config, cell):
    k = cell["k"]
    if config.note:
        with Path(config.note).open("a", encoding="utf-8") as file:
            file.write(f"{k} {os.getpid()}\n")
    if k == config.kills:
        os._exit(1)
    if k == config.sleeps:
        time.sleep(600)
    time.sleep(config.milliseconds / 1000)
    a = np.random.default_rng([config.seed, k]).standard_normal((60, 60))
    return {"sum": float((a @ a).sum()), "row": (a @ a)[0], "status": "ok"}


STUDY = Study(
    "busy",
    "Cells that take a while",
    Config,
    dims=lambda config: {"k": range(config.cells)},
    compute=compute,
    variables={"sum": Variable("sum"), "row": Variable("row", dims=("x",)), "status": Variable("status")},
    inner=lambda config: {"x": range(60)},
)


def dies_elsewhere(mark, k):
    """Return the square of a number and the process that made it. 0 kills every process but the first, which waits for that.

    The other process writes its own number to `mark` before it dies; without a mark there is no other.
    """
    if mark and multiprocessing.parent_process() is None:
        end = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.01)
    elif k == 0 and mark:
        mark.write_text(str(os.getpid()), encoding="utf-8")
        os._exit(1)
    return k * k, os.getpid()


def executions(note: Path) -> list[tuple[int, int]]:
    """Return cell and process of each execution."""
    return [(int(k), int(pid)) for k, pid in map(str.split, note.read_text(encoding="utf-8").splitlines())]


if __name__ == "__main__":
    folder, where = Path(sys.argv[1]), (*sys.argv[2:], "processes")[0]
    pool = {"serial": serial, "processes": processes(2)}.get(where) or cluster(where)
    run(STUDY, Config(note=str(folder.parent / "note")), folder=folder, pool=pool)
