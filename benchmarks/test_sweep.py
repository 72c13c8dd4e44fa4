"""What a task of a sweep costs beside its own work: 10,000 cells that compute next to nothing, journal and dataset included."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from bdia_numerics.studies import Study, Variable, cluster, processes, run, serial

TASKS = 10_000


@dataclass(frozen=True)
class Config:
    tasks: int = TASKS


STUDY = Study(
    "empty",
    "Cells without work",
    Config,
    dims=lambda config: {"k": range(config.tasks)},
    compute=lambda config, cell: {"error": cell["k"] / 3, "status": "ok"},
    variables={"error": Variable("error"), "status": Variable("status")},
)


@contextmanager
def dask(folder):
    """A scheduler and two workers on this machine, started before the clock."""
    file, started = folder / "scheduler.json", []
    common = ("--no-dashboard", "--scheduler-file", str(file))
    # The study is found by its module, as a user's is.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    worker = ("worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
    with (folder / "log").open("w") as log:
        for words in (("scheduler", "--host", "127.0.0.1", "--port", "0"), worker, worker):
            command = [sys.executable, "-m", "dask", *words, *common]
            started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
            while not (file.exists() and file.stat().st_size):
                time.sleep(0.1)
        try:
            pool = cluster(json.loads(file.read_text(encoding="utf-8"))["address"])
            run(STUDY, Config(tasks=2), pool=pool)  # the workers are there, and have imported what they need
            yield pool
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()


POOLS = {
    "this process": lambda folder: nullcontext(serial),
    "two processes": lambda folder: nullcontext(processes(2)),
    "Dask": dask,
}


def a_task(name):
    """Return the milliseconds of a task by the clock: the work is done elsewhere too."""
    with tempfile.TemporaryDirectory() as folder, POOLS[name](Path(folder)) as pool:
        begin = time.perf_counter()
        found = run(STUDY, folder=Path(folder), pool=pool)
        seconds = time.perf_counter() - begin
    assert (found["error"] == found["k"] / 3).all()
    return {f"sweep: {name}": 1e3 * seconds / TASKS}


@pytest.mark.parametrize("name", POOLS)
def test_a_task_without_work(figures, name):
    figures(lambda: a_task(name))
