"""What a task of a sweep costs beside its own work: 10,000 cells that compute next to nothing, journal and dataset included."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
from timing import timed

from bdia_numerics.studies import Study, Variable, cluster, processes, run, serial

TASKS = 10_000
AT_MOST = 2e-3
"""Seconds a task."""


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


def measured(benchmark, folder, pool):
    """Run the study once, and record wall-clock and the driver's processor time of a task."""
    options = {"folder": folder, "pool": pool}
    found, spent = timed(lambda: benchmark.pedantic(run, (STUDY,), options, rounds=1, iterations=1))
    each = benchmark.stats.stats.mean / TASKS
    benchmark.extra_info.update(seconds_a_task=each, processor_seconds_a_task=spent / TASKS, at_most=AT_MOST)
    assert (found["error"] == found["k"] / 3).all()
    assert each < AT_MOST


@pytest.mark.benchmark(group="sweep")
@pytest.mark.parametrize("pool", [serial, processes(2)], ids=["this process", "two processes"])
def test_tasks_on_this_machine(benchmark, tmp_path, pool):
    measured(benchmark, tmp_path, pool)


@pytest.mark.benchmark(group="sweep")
def test_tasks_on_a_dask_cluster(benchmark, tmp_path):
    """A scheduler and two workers on this machine, started before the clock."""
    file, started = tmp_path / "scheduler.json", []
    common = ("--no-dashboard", "--scheduler-file", str(file))
    worker = ("worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
    with (tmp_path / "log").open("w") as log:
        for words in (("scheduler", "--host", "127.0.0.1", "--port", "0"), worker, worker):
            command = [sys.executable, "-m", "dask", *words, *common]
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
            while not (file.exists() and file.stat().st_size):
                time.sleep(0.1)
        try:
            pool = cluster(json.loads(file.read_text())["address"])
            run(STUDY, Config(tasks=2), pool=pool)  # the workers are there, and have imported what they need
            measured(benchmark, tmp_path, pool)
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()
