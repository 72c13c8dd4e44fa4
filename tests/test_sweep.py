"""Sweeps: any product, against quantities known otherwise, and the command, whose errors are one line."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from json_checks import fits
from typer.testing import CliRunner

from bdia_numerics import BDIA, grids, names, problems, round_trip, schedules, solve
from bdia_numerics.cli import app
from bdia_numerics.names import GRIDS, grid
from bdia_numerics.studies import STUDIES, Study, load, run, study as common, tasks
from bdia_numerics.studies.engine import local as task, sources
from bdia_numerics.studies.engine.files import configured, read
from bdia_numerics.studies.engine.local import StudyJob
from bdia_numerics.studies.sweep import SWEEP, SweepConfig, ends, labels

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sweep.toml"
SMALL = """
solvers = ["DDIM", "BDIA"]
problems = ["gaussian:0.5"]
steps = [4, 8]
states = 8
t_min = 0.1
[parameters]
gamma = [0.5, 1]
"""


def bdia(*words):
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL, encoding="utf-8")
    return tmp_path / "small.toml"


def test_measured_as_by_hand():
    config = SweepConfig(
        solvers=("BDIA",), parameters=(("gamma", ("0.9",)),), steps=(12,), states=16, t_min="0.1", seeds=(5,)
    )
    found = run(SWEEP, config).squeeze()
    schedule, law = schedules.vp_linear(), problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
    times = grids.uniform(schedule, 12, t_min=0.1)
    states, solver = ends("mixture", "vp_linear", 1.0, 0.1, "float64", 5, 16), BDIA(Fraction(9, 10))
    there = solve(solver, law.model(schedule), times, states.noise)
    away = there.z - law.flow(states.noise, 1.0, 0.1, schedule)
    assert found["error"] == pytest.approx(np.sqrt(np.mean(away**2)), rel=1e-12, abs=0)
    trip = round_trip(solver, law.model(schedule), times, states.noise, reference=law)
    assert found["round_trip"] == pytest.approx(trip.error, rel=1e-12, abs=0) and found["nfe"] == there.nfe == 12
    data = round_trip(solver, law.model(schedule), times, states.data, end="data", reference=law)
    assert found["latent_distance"] == pytest.approx(data.latent, rel=1e-12, abs=0)
    assert found["reference_error"] == 0 and found["status"] == "ok" and found["gamma"] == 0.9


def test_draws_are_from_the_law_at_their_time():
    drawn, schedule = ends("gaussian:0.5", "flow", 0.9, 0.2, "float64", 0, 40_000), schedules.flow()
    for z, t in ((drawn.noise, 0.9), (drawn.data, 0.2)):
        variance = schedule.alpha(t) ** 2 / 4 + schedule.sigma(t) ** 2
        assert z.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / 40_000), abs=0)  # five standard deviations


def test_errors_of_float32_are_those_of_float64_but_for_rounding():
    config = SweepConfig(solvers=("DDIM",), steps=(10,), states=16, dtypes=("float32", "float64"))
    error, trip = (run(SWEEP, config)[name].squeeze() for name in ("error", "round_trip"))
    assert 0 < abs(error[0] - error[1]) < 1e-4 * error[1]
    assert trip[1] > 1e-3, "DDIM inversion is inexact"


def test_solvers_meet_the_parameters_that_they_have():
    config = SweepConfig(
        solvers=("DDIM", "bdia:gamma=1", "BDIA", "EDICT()", "CBDIA(gamma1=0.9)"),
        parameters=(("gamma", ("0.5", "1")), ("p", ("93/100",)), ("gamma2", ("0.1",))),
    )
    assert labels(config) == (
        "DDIM", "bdia:gamma=1", "BDIA(gamma=0.5)", "BDIA(gamma=1)", "EDICT(p=93/100)", "CBDIA(gamma1=0.9, gamma2=0.1)",
    )  # fmt: skip


def test_evaluations_in_place_of_steps():
    found = run(SWEEP, SweepConfig(solvers=("DDIM", "EDICT", "Heun"), nfe=(1, 8), states=4, t_min="0.1"))
    assert found["slots"].sel(budget=8).squeeze().values.tolist() == [8, 4, 4]
    assert np.isnan(found["nfe"].sel(budget=1, solver="EDICT")).all(), "one evaluation pays for no step"
    assert (found["nfe"].sel(budget=8) <= 8).all()
    # The start of the third makes three states by RK4.
    found = run(SWEEP, SweepConfig(solvers=("BDIA", "ALF", "BDIA3"), nfe=(12, 16), states=4, t_min="0.1"))
    assert found["nfe"].values.squeeze().tolist() == [[12, 16], [12, 16], [pytest.approx(np.nan, nan_ok=True), 16]]
    assert found["slots"].sel(budget=16).squeeze().values.tolist() == [16, 15, 7]


def test_what_has_no_way_back_says_so_and_keeps_its_error():
    config = SweepConfig(solvers=("BDIA",), parameters=(("gamma", ("0",)),), steps=(8,), states=4)
    found = run(SWEEP, config).squeeze()
    assert found["status"].item().startswith("ok, no way back: gamma=0: BDIA is not exactly invertible")
    assert found["error"] > 0 and np.isnan(found["round_trip"])
    assert found["error"] == run(SWEEP, SweepConfig(solvers=("DDIM",), steps=(8,), states=4))["error"].item()


@pytest.mark.parametrize("name", GRIDS)
def test_grids_by_name(name):
    discrete = "t_max" not in GRIDS[name][1]
    schedule = schedules.ddpm_linear() if discrete else schedules.vp_linear()
    made = grid(name)(schedule, 6, seed=1, t_max=0.8, t_min=0.1)
    assert made.n == (5 if name == "cut" else 6)
    assert discrete or (float(made.t[0]), float(made.t[6])) == (0.1, 0.8)


def test_options_of_grids():
    schedule = schedules.vp_linear()
    one, other = grid("karras:rho=5")(schedule, 6, t_min=0.1), grids.karras(schedule, 6, rho=5, t_min=0.1)
    assert (one.t == other.t).all()
    made = grid("alternating:ratio=3")(schedule, 4, t_min=0.1, t_max=0.9)
    steps = np.diff(np.arcsinh(made.sigma / made.alpha))
    assert steps[1::2] / steps[::2] == pytest.approx([3, 3])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stpes = [3]", "stpes=[3] is not a key of study sweep: use steps"),
        ("steps = ['ten']", "steps='ten': give a whole number, like 40"),
        ("steps = [10, 10]", "steps=10 occurs twice: list it once"),
        ("steps = []", "steps is empty: give one or more"),
        ("steps = [0]", "give 1 or more"),
        ("steps = [3]\nnfe = [3]", "nfe=(3,) and steps=(3,): give one of the two"),
        ("states = 2.5", "states=2.5: give a whole number, like 40"),
        ("solvers = ['BDIAA']", "solver='BDIAA' is unknown: use BDIA"),
        ("solvers = 'BDIA(gamma=2)'", "gamma=2"),
        ("grids = ['unform']", "grid='unform' is unknown: use uniform"),
        ("grids = ['karras:roh=3']", "roh=3 is not an option of karras, which takes t_max, t_min, rho"),
        ("grids = ['trailing']", "grids='trailing' counts training steps: add one of ddpm_linear, stable_diffusion"),
        ("grids = ['alternating:ratio=x']", "grids='alternating:ratio=x' cannot be made on vp_linear"),
        ("t_max = 0.1\nt_min = 0.5", "t_min=0.5, t_max=0.1: need t_min < t_max"),
        ("problems = ['plain']", "distribution='plain' is unknown"),
        ("problems = ['gaussian:-1']", "distribution='gaussian:-1': '-1' is not a standard deviation"),
        ("schedules = ['vp']", "schedule='vp' is unknown: use one of vp_linear"),
        ("dtypes = ['float8']", "dtypes='float8' is unknown: use float"),
        ("t_max = 'late'", "t_max=late is not a number"),
        ("parameters = [3]", "parameters=[3]: give a table, [parameters] with lines like gamma = [0.5, 1]"),
        ("[parameters]\ngama = [1]", "parameters.gama=['1']: none of DDIM, DDIM by (23), BDIA, EDICT leaves it open"),
        ("study = 'maps'", "study='maps' is unknown: use map"),
        ("steps = [", "is not TOML: "),
    ],
)  # fmt: skip
def test_an_error_is_one_line(tmp_path, text, says):
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    found = bdia(path, "--out", tmp_path / "out", "--workers", 1)
    assert found.exit_code == 2 and says in found.stderr and "bad.toml" in found.stderr
    assert found.stderr.count("\n") == 1 and found.stdout == ""
    assert not list(tmp_path.glob("out/*.nc"))


def test_wrong_options_are_one_line(small, tmp_path):
    for words, says in {
        (): "nothing to run: give a CONFIG.toml, or --study with one of",
        (tmp_path / "none.toml",): "none.toml cannot be read (No such file or directory)",
        (small, "--workers", "0"): "workers=0: give a number of processes",
        (small, "--workers", "1", "--scheduler", "tcp://x:1"): "give one of the two",
        (small, "--timeout", "0"): "timeout=0.0: give a number of seconds above 0",
        (small, "--timeout", "9", "--scheduler", "tcp://x:1"): "only processes of this machine can be ended",
        (small, "--tasks", "--out", tmp_path / "no"): "sweep.sqlite does not exist: give the folder of a run",
    }.items():
        found = bdia(*words)
        assert found.exit_code == 2 and says in found.stderr and found.stderr.count("\n") == 1


def test_every_study_can_be_configured():
    assert STUDIES["sweep"] is SWEEP
    for name, study in STUDIES.items():
        assert isinstance(study, Study) and study.name == name
        assert configured(study, {}) == study.config()


def test_a_sweep_and_what_it_keeps(small, tmp_path):
    plan = fits("sweep --dry-run", bdia(small, "--dry-run", "--json", "--out", tmp_path / "out").stdout)
    assert plan["cells"] == 6 and plan["finished"] == 0 and not (tmp_path / "out").exists()
    first = bdia(small, "--workers", 1, "--out", tmp_path / "out")
    assert first.exit_code == 0 and "BDIA(gamma=0.5)" in first.stdout and "steps 8" in first.stdout
    again = bdia(small, "--workers", 1, "--out", tmp_path / "out", "--json")
    found = fits("sweep", again.stdout)
    assert len(fits("sweep --tasks", bdia(small, "--tasks", "--json", "--out", tmp_path / "out").stdout)["cells"]) == 6
    assert len(found["cells"]) == 6 and {c["attempts"] for c in found["cells"]} == {1}
    kept = load(found["dataset"])
    assert kept.sizes["solver"] == 3
    assert bdia(small, "--dry-run", "--out", tmp_path / "out").stdout.startswith(
        "study sweep: 0 cells to run, 6 finished"
    )
    assert "6 cells, 0 failed" in bdia(small, "--tasks", "--out", tmp_path / "out").stdout
    # One more solver and more steps: of 12 cells, 6 are there.
    small.write_text(SMALL.replace('"BDIA"]', '"BDIA", "OBELM"]').replace("[4, 8]", "[4, 8, 12]"), encoding="utf-8")
    assert bdia(small, "--dry-run", "--out", tmp_path / "out").stdout.startswith(
        "study sweep: 6 cells to run, 6 finished"
    )
    figure = tmp_path / "errors.svg"
    longer = bdia(small, "--workers", 1, "--out", tmp_path / "out", "--json", "--figure", figure)
    assert longer.exit_code == 0, longer.output
    assert len(json.loads(longer.stdout)["cells"]) == 12 and figure.read_text(encoding="utf-8").count("rms error") == 2
    small.write_text(SMALL.replace("states = 8", "states = 9"), encoding="utf-8")
    assert bdia(small, "--dry-run", "--out", tmp_path / "out").stdout.startswith(
        "study sweep: 6 cells to run, 0 finished"
    )


def test_failed_cells_are_listed_and_the_status_says_so(small, tmp_path):
    """A grid in log_snr to clean data is made on a table, which begins at some noise, and not on a schedule that begins at none."""
    chosen = "grids = ['log_snr', 'uniform']\nschedules = ['vp_linear', 'ddpm_linear']"
    small.write_text(SMALL.replace("t_min = 0.1", chosen), encoding="utf-8")
    found = bdia(small, "--workers", 1, "--out", tmp_path / "out")
    assert found.exit_code == 1
    assert "6 failed: ValueError: t_min=0.0: sigma = 0 there and log_snr is infinite" in found.stdout
    assert "BDIA(gamma=1)" in found.stdout


@pytest.mark.slow
def test_the_example(tmp_path):
    config = configured(SWEEP, read(EXAMPLE))
    assert len(labels(config)) == 6
    found = bdia(EXAMPLE, "--out", tmp_path)
    assert found.exit_code == 0, found.stderr
    made = load(tmp_path / "sweep.nc")
    assert (made["status"] == "ok").all()
    error = made["error"].sel(grid="trailing", budget=40).mean("seed").squeeze()
    assert error.sel(solver="BDIA(gamma=1)") < error.sel(solver="BDIA(gamma=0.5)") < error.sel(solver="DDIM")


@pytest.mark.slow
def test_a_named_study_by_the_same_command(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text(
        "study = 'map'\ngrids = ['trailing', 'asinh']\ngammas = [0, 1]\nsteps = [10]\nstates = 20\n", encoding="utf-8"
    )
    found = [bdia(path, "--out", tmp_path / name, "--workers", n) for name, n in (("one", 1), ("two", 2))]
    assert [f.exit_code for f in found] == [0, 0], found[0].stderr + found[1].stderr
    assert (tmp_path / "one" / "map.nc").read_bytes() == (tmp_path / "two" / "map.nc").read_bytes()
    assert "asinh" in found[0].stdout and load(tmp_path / "one" / "map.nc").attrs["study"] == "map"


# Own solvers

OWN = """
from fractions import Fraction

import numpy
import own_tools.weights
from bdia_numerics import DDIM


class Own(DDIM):
    def step(self, s):
        from own_tools import scale

        (z,) = s.registers
        s.assign(z, z + own_tools.weights.W * scale.S * s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
"""
FILES = {
    "own_solver.py": OWN,
    "own_tools/__init__.py": "from . import common\n",
    "own_tools/common.py": "C = 1\n",
    "own_tools/weights.py": "from .common import C\nW = C\n",
    "own_tools/scale.py": "S = 1\n",
    "bystander.py": "",
}


def forget():
    for name in [n for n in sys.modules if n.partition(".")[0] in ("own_solver", "own_tools")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sources, "_SEEN", {})
    (tmp_path / "own_tools").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    labels.cache_clear()
    yield SweepConfig(solvers=("own_solver:Own",), problems=("gaussian:0.5",), steps=(4,), states=4, t_min="0.1")
    forget()


@pytest.mark.parametrize("name", FILES)
def test_an_edited_solver_is_another_run(own, tmp_path, name):
    found = run(SWEEP, own, folder=tmp_path / "results")
    modules = {"bdia_numerics", "own_solver", "own_tools", "own_tools.common", "own_tools.weights", "own_tools.scale"}
    assert json.loads(found.attrs["source"]).keys() == modules
    forget()
    (tmp_path / name).write_text(f"{FILES[name]}\nEDITED = True\n", encoding="utf-8")
    if name == "bystander.py":
        assert run(SWEEP, own, folder=tmp_path / "results").identical(found)
        return
    assert len(tasks(tmp_path / "results", SWEEP)) == 1
    run(SWEEP, own, folder=tmp_path / "results")
    assert len(tasks(tmp_path / "results", SWEEP)) == 2 and len(tasks(tmp_path / "results", SWEEP, own)) == 1


def test_an_edited_solver_leaves_the_others_alone(own, tmp_path):
    both = replace(own, solvers=("own_solver:Own", "DDIM"))
    first = run(SWEEP, both, folder=tmp_path / "results")
    forget()
    (tmp_path / "own_tools" / "scale.py").write_text("S = 2\n", encoding="utf-8")
    computed = []
    again = run(SWEEP, both, folder=tmp_path / "results", watch=lambda outcome: computed.append(outcome.cell["solver"]))
    assert computed == ["own_solver:Own"]
    same = (again["error"] == first["error"]).squeeze()
    assert same.sel(solver="DDIM") and not same.sel(solver="own_solver:Own")
    assert json.loads(again.attrs["source"])["own_tools.scale"] != json.loads(first.attrs["source"])["own_tools.scale"]


def test_a_worker_with_another_source_is_refused(own, tmp_path):
    names.solver("own_solver:Own")
    job = StudyJob(SWEEP, own, sources.source(SWEEP, own), common.versions())
    (cell,) = common.cells(SWEEP, own)
    (outcome,) = task.work(task.packed(job), [cell])
    assert not outcome.failure
    (tmp_path / "own_tools" / "weights.py").write_text("W = 2\n", encoding="utf-8")
    task._unpacked.cache_clear()
    (outcome,) = task.work(task.packed(job), [cell])  # it still runs what it has imported
    assert not outcome.failure
    edited = StudyJob(
        SWEEP, own, job.source.replace(json.loads(job.source)["own_tools.weights"], "0" * 16), job.versions
    )
    with pytest.raises(RuntimeError, match=r'has other source, own_tools.weights="0{16}", but "[0-9a-f]{16}" there'):
        task.work(task.packed(edited), [cell])
    forget()
    task._unpacked.cache_clear()
    with pytest.raises(RuntimeError, match=r"has other source, own_tools\.weights="):
        task.work(task.packed(job), [cell])
    (tmp_path / "own_solver.py").unlink()
    forget()
    task._unpacked.cache_clear()
    with pytest.raises(RuntimeError, match=r'has other source, own_solver="[0-9a-f]{16}", but null there'):
        task.work(task.packed(job), [cell])


def test_a_figure_marks_where_most_seeds_failed():
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    from bdia_numerics.plots.orders import sweep

    found = run(SWEEP, SweepConfig(solvers=("DDIM",), steps=(4, 8), seeds=(0, 1, 2), states=2)).load()
    found["error"].loc[{"steps": 8, "seed": [0, 1]}] = np.nan
    marks = [line.get_xdata().tolist() for line in sweep(found).axes[0].lines if line.get_gid() == "missing"]
    assert marks == [[8]]


def test_a_module_may_have_a_parameter_in_its_name(tmp_path, monkeypatch):
    (tmp_path / "gamma_of_mine.py").write_text("from bdia_numerics import BDIA as Own\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = STUDIES["roundtrip"].config(
        solvers=("gamma_of_mine:Own", "BDIA"),
        gammas=(0.5, 1.0),
        steps=(4,),
        dtypes=("float64",),
        ends=("noise",),
        states=2,
    )
    found = run(STUDIES["roundtrip"], config)["distance"].values.squeeze()
    assert found[0].tolist() == found[1].tolist() and found[0, 0] != found[0, 1]
