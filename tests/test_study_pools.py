"""Studies on other processes, some of which are killed: nothing is lost, nothing is doubled, the dataset is the same."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import busy_study
import numpy as np
import psutil
import pytest
from busy_study import STUDY, Config, executions

from bdia_numerics.claims import ledger
from bdia_numerics.studies import cluster, load, processes, run, serial, tasks
from bdia_numerics.studies.engine import journal, local, running

HERE = Path(__file__).resolve().parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}


def once_each(folder, cells):
    """Whether the journal has each cell, once, without failures."""
    found = tasks(folder, STUDY)
    return sorted(t.cell["k"] for t in found) == list(range(cells)) and not any(t.failure for t in found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing broke off, in one process."""
    folder = tmp_path_factory.mktemp("whole")
    run(STUDY, Config(note=str(folder / "note")), folder=folder)
    return folder


def same(folder, whole):
    """Whether two runs have the same dataset, but for where they noted their executions."""
    one, other = load(folder / "busy.nc"), load(whole / "busy.nc")
    return one.assign_attrs(config="").identical(other.assign_attrs(config=""))


def wait_for(what, seconds=60.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_two_processes_make_the_same_dataset(tmp_path, whole):
    note = tmp_path / "note"
    run(STUDY, Config(note=str(note)), folder=tmp_path, pool=processes(2))
    assert same(tmp_path, whole)
    assert Counter(k for k, _ in executions(note)) == dict.fromkeys(range(60), 1)
    assert os.getpid() not in {pid for _, pid in executions(note)}


def test_a_number_of_processes_below_one_is_refused():
    with pytest.raises(ValueError, match="workers=0: give a number of processes"):
        processes(0)


def test_a_scheduler_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"scheduler=tcp://127.0.0.1:9 does not answer \(.*\): start one"):
        run(STUDY, pool=cluster("tcp://127.0.0.1:9", timeout=0.2))


@pytest.mark.slow
def test_killed_workers_lose_nothing(tmp_path, whole):
    note, moments = tmp_path / "note", {5, 20, 41}
    came: list[int] = []

    def kill(outcome):
        came.append(1)
        if len(came) in moments:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(executions(note)[-1][1]).kill()

    run(STUDY, Config(note=str(note)), folder=tmp_path, pool=processes(2), watch=kill)
    assert same(tmp_path, whole) and once_each(tmp_path, 60) and len(came) == 60
    assert len({pid for _, pid in executions(note)}) > 2, "no process took the place of a killed one"


@pytest.mark.slow
def test_a_cell_that_kills_its_process_is_a_failure(tmp_path):
    note = tmp_path / "note"
    found = run(STUDY, Config(note=str(note), kills=30), folder=tmp_path, pool=processes(2))
    assert found.attrs["failed"] == 1
    assert found["status"].item(30).startswith("KilledWorker: the process that ran it died 2 times")
    assert np.flatnonzero(np.isnan(found["sum"])).tolist() == [30]
    assert 2 <= Counter(k for k, _ in executions(note))[30] <= 3


@pytest.mark.slow
def test_a_cell_that_never_ends_is_named_and_the_others_are_kept(tmp_path):
    note, begun = tmp_path / "note", time.monotonic()
    config = Config(cells=12, note=str(note), sleeps=7)
    found = run(STUDY, config, folder=tmp_path, pool=processes(2, timeout=2))
    assert time.monotonic() - begun < 300  # and not the ten minutes that the cell would take
    assert found.attrs["failed"] == 1
    assert found["status"].item(7) == "Timeout: it had not ended after 2 s, and its process was ended"
    assert np.flatnonzero(np.isnan(found["sum"])).tolist() == [7]
    wait_for(lambda: not any(psutil.pid_exists(pid) for k, pid in executions(note) if k == 7))
    executed = len(executions(note))
    mended = run(STUDY, config, folder=tmp_path, pool=processes(1, timeout=2))  # a failure is not tried again unasked
    assert mended.attrs["failed"] == 1 and len(executions(note)) == executed


def _drive(folder, note):
    run(STUDY, Config(milliseconds=5, note=str(note)), folder=folder, pool=serial)


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_driver_that_is_killed_at_any_moment_goes_on(tmp_path, seed):
    """Killed again and again, while it begins and computes, as often as it takes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["busy_study", "bdia_numerics.studies", "h5netcdf", "xarray"])
    rng, folder, note, kills = random.Random(seed), tmp_path / "killed", tmp_path / "note", 0
    target = tmp_path / "whole"
    _drive(target, note)
    note.write_text("", encoding="utf-8")

    def killed(moment):
        driver = context.Process(target=_drive, args=(folder, note))
        begun = len(executions(note))
        driver.start()
        if moment > 0.1:  # else while it begins, or saves
            wait_for(lambda: len(executions(note)) > begun or driver.exitcode is not None)
        driver.join(moment)
        driver.kill()
        driver.join()
        return driver.exitcode == -signal.SIGKILL

    while killed(rng.uniform(0, 0.4)):
        kills += 1
        assert kills < 60
    assert kills > 2
    assert (folder / "busy.nc").read_bytes() == (target / "busy.nc").read_bytes()
    assert once_each(folder, 60)
    assert sorted(path.name for path in folder.iterdir()) == ["busy.lock", "busy.nc", "busy.sqlite"]
    counts = Counter(k for k, _ in executions(note))
    assert counts.keys() == set(range(60))
    assert sum(counts.values()) - 60 <= kills * 45, "more was run again than comes between two commits"


SMALL = Config(cells=4, milliseconds=0)


def _killed_at_line(number, folder):
    """Run, and die before a line of the journal, counted over the whole run; each cell is written at once."""
    left = number

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename != journal.__file__:
            return None if frame.f_code.co_filename != running.__file__ else trace
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    journal._SECONDS_BETWEEN_COMMITS = 0.0
    sys.settrace(trace)
    run(STUDY, SMALL, folder=folder)


@pytest.mark.posix
@pytest.mark.slow
def test_a_driver_that_is_killed_before_any_line_of_its_journal_goes_on(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["busy_study", "bdia_numerics.studies", "h5netcdf", "xarray"])
    run(STUDY, SMALL, folder=tmp_path / "whole")
    whole, kills = (tmp_path / "whole" / "busy.nc").read_bytes(), 0
    for number in range(0, 1000, 7):
        driver = context.Process(target=_killed_at_line, args=(number, tmp_path / str(number)))
        driver.start()
        driver.join()
        if driver.exitcode == 0:
            break
        kills += 1
        assert driver.exitcode == -signal.SIGKILL
        run(STUDY, SMALL, folder=tmp_path / str(number))
        assert (tmp_path / str(number) / "busy.nc").read_bytes() == whole
        assert once_each(tmp_path / str(number), 4)
    assert driver.exitcode == 0 and kills > 12


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_a_driver_that_is_killed_while_it_saves_leaves_the_old_file_or_the_new(tmp_path, there):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["busy_study", "bdia_numerics.studies", "h5netcdf", "xarray"])
    note, target = tmp_path / "note", tmp_path / "busy.nc"
    _drive(tmp_path, note)
    whole = target.read_bytes()
    for moment in (0, 0.002, 0.005, 0.01, 0.02, 0.05):
        target.write_bytes(b"the old file")
        if not there:
            target.unlink()
        driver = context.Process(target=_drive, args=(tmp_path, note))
        driver.start()
        while driver.exitcode is None and not (
            (tmp_path / ".busy.nc.part").exists() or (target.exists() and target.read_bytes() != b"the old file")
        ):
            time.sleep(0.0005)
        time.sleep(moment)
        driver.kill()
        driver.join()
        assert (target.read_bytes() if target.exists() else None) in (b"the old file" if there else None, whole)
    _drive(tmp_path, note)
    assert target.read_bytes() == whole and not (tmp_path / ".busy.nc.part").exists()


@pytest.mark.slow
def test_a_driver_of_processes_is_killed_and_leaves_none_behind(tmp_path, whole):
    folder, note = tmp_path / "killed", tmp_path / "note"
    for finished in (5, 30):
        driver = subprocess.Popen([sys.executable, busy_study.__file__, str(folder)], env=ENVIRONMENT)
        wait_for(lambda: note.exists() and len(executions(note)) > finished)  # noqa: B023 - called in this turn
        driver.kill()
        driver.wait()
        workers = {pid for _, pid in executions(note)}
        wait_for(lambda: not any(map(psutil.pid_exists, workers)))  # noqa: B023
    subprocess.run([sys.executable, busy_study.__file__, str(folder)], env=ENVIRONMENT, check=True)
    assert same(folder, whole) and once_each(folder, 60)


@pytest.fixture
def dask(tmp_path, request):
    """A real scheduler with two worker processes: its address, and the processes."""
    file, started = tmp_path / "scheduler.json", []

    def start(*words):
        with (tmp_path / f"{len(started)}.log").open("w") as log:
            command = [sys.executable, "-m", "dask", *words, "--no-dashboard", "--scheduler-file", str(file)]
            environment = ENVIRONMENT | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
            started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log))

    start("scheduler", "--host", "127.0.0.1", "--port", "0")
    wait_for(lambda: file.exists() and file.stat().st_size)
    for _ in range(2):
        start("worker", "--nthreads", "1", request.param, "--local-directory", str(tmp_path / "dask"))
    yield json.loads(file.read_text(encoding="utf-8"))["address"], started
    for process in reversed(started):
        process.terminate()  # a nanny takes its worker along
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.parametrize("dask", ["--no-nanny"], indirect=True)
def test_a_killed_dask_worker_loses_nothing(tmp_path, whole, dask):
    (address, (_, victim, _)), note, folder = dask, tmp_path / "note", tmp_path / "run"
    came: list[int] = []

    def kill(outcome):
        came.append(1)
        if len(came) >= 10 and victim.pid in {pid for _, pid in executions(note)} and victim.poll() is None:
            victim.kill()

    run(STUDY, Config(milliseconds=30, note=str(note)), folder=folder, pool=cluster(address), watch=kill)
    assert victim.wait(5) == -signal.SIGKILL, "the worker was not killed in mid-run"
    assert same(folder, whole) and once_each(folder, 60) and len(came) == 60
    counts = Counter(k for k, _ in executions(note))
    assert counts.keys() == set(range(60)) and max(counts.values()) <= 2
    assert len({pid for _, pid in executions(note)}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("dask", ["--nanny"], indirect=True)
def test_a_cell_that_kills_dask_workers_is_a_failure(tmp_path, dask):
    address, _ = dask
    found = run(STUDY, Config(cells=12, kills=9), folder=tmp_path / "run", pool=cluster(address))
    assert found.attrs["failed"] == 1 and np.flatnonzero(np.isnan(found["sum"])).tolist() == [9]
    assert found["status"].item(9).startswith("KilledWorker: the process that ran it died 2 times")


@pytest.mark.slow
@pytest.mark.parametrize("dask", ["--no-nanny"], indirect=True)
def test_a_lost_scheduler_is_said_and_the_run_goes_on_elsewhere(tmp_path, whole, dask):
    address, (scheduler, *_) = dask
    note, folder = tmp_path / "note", tmp_path / "run"

    def kill(outcome):
        scheduler.kill()

    with pytest.raises(RuntimeError, match=f"scheduler={address} is gone"):
        run(STUDY, Config(milliseconds=30, note=str(note)), folder=folder, pool=cluster(address), watch=kill)
    run(STUDY, Config(milliseconds=30, note=str(note)), folder=folder)
    assert same(folder, whole) and once_each(folder, 60)


@pytest.fixture
def two(monkeypatch):
    """Two processes for what a command may share, from the second cell on."""
    monkeypatch.setenv(local.WORKERS, "2")
    monkeypatch.setattr(local, "WORTH", 1e-9)


def test_shared_work_is_done_whoever_dies(two, tmp_path):
    before, mark = multiprocessing.active_children(), tmp_path / "mark"
    found = dict(local.shared(partial(busy_study.dies_elsewhere, mark), range(6)))
    assert {k: square for k, (square, _) in found.items()} == {k: k * k for k in range(6)}
    assert found[0][1] == os.getpid() != int(mark.read_text(encoding="utf-8"))
    wait_for(lambda: multiprocessing.active_children() == before)


def test_work_is_shared_by_commands_alone(monkeypatch):
    monkeypatch.delenv(local.WORKERS, raising=False)
    assert {pid for _, (_, pid) in local.shared(partial(busy_study.dies_elsewhere, None), range(6))} == {os.getpid()}


def test_a_number_of_workers_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv(local.WORKERS, "many")
    with pytest.raises(ValueError, match="BDIA_WORKERS=many is not a whole number"):
        next(local.shared(abs, [1, 2]))


def test_a_study_that_takes_long_is_shared_and_its_dataset_the_same(two, tmp_path, whole):
    note = tmp_path / "note"
    made = run(STUDY, Config(note=str(note)))
    assert sorted(k for k, _ in executions(note)) == list(range(60))
    assert made.drop_attrs().identical(load(whole / "busy.nc").drop_attrs())


def test_claims_that_are_shared_are_decided_alike(two, monkeypatch):
    ids = ["eq-61", "eq-1", "prop-2", "eq-33"]
    here = list(ledger.decide(ids))
    monkeypatch.setattr(ledger, "FEW", 0)
    shared = list(ledger.decide(ids))
    assert [d.statement.id for d in shared] == ids
    assert shared == [replace(d, seconds=s.seconds) for d, s in zip(here, shared, strict=True)]


def test_an_interruption_leaves_no_process_behind():
    code = (
        "import signal, time; from bdia_numerics.studies.engine.local import shared\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored\n"
        "if __name__ == '__main__': print(list(shared(time.sleep, [100, 100, 100])))"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT | {local.WORKERS: "3"}, stderr=subprocess.PIPE
    )
    workers = lambda: [p for p in psutil.Process(driver.pid).children() if "spawn_main" in " ".join(p.cmdline())]  # noqa: E731
    wait_for(lambda: len(workers()) == 2)
    left = workers()
    driver.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in driver.communicate(timeout=60)[1]
    psutil.wait_procs(left, timeout=60)
    assert not any(p.is_running() for p in left)
