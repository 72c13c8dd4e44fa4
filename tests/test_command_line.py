"""One vocabulary, one handler of failures and one writer for all commands of `bdia`."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bdia_numerics import cli
from bdia_numerics.cli import handling, options
from bdia_numerics.runs import files

ROOT = Path(__file__).resolve().parent.parent
runner = CliRunner()


def run(*words):
    return runner.invoke(cli.app, [str(word) for word in words])


def line(found, status=2):
    """Return what was said, in one line of standard error and nothing else."""
    assert found.exit_code == status, found.output
    assert found.stderr.count("\n") == 1 and found.stderr.startswith("bdia: ") and found.stdout == "", found.output
    assert len(found.stderr) < 700
    return found.stderr


def at_once(*words):
    """Return what a command says that refuses before it works, in one line."""
    began = time.process_time()
    found = run(*words)
    assert time.process_time() - began < 5
    return line(found)


def shell(words, cwd=ROOT):
    """Run words of a shell, with `bdia` for the command, in a process of its own."""
    command = f'bdia() {{ "{sys.executable}" -m bdia_numerics "$@"; }}; {words}'
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


# Failures


def test_control_characters_of_a_solver_of_ones_own_are_written_out(tmp_path, monkeypatch):
    """A docstring that would move the cursor or colour the terminal, and a message that would set its title."""
    (tmp_path / "painted.py").write_text(
        "from dataclasses import dataclass\nfrom bdia_numerics import DDIM\n\n"
        "@dataclass(frozen=True)\nclass Painted(DDIM):\n"
        '    """A step in \\x1b[31mred\\x1b[0m.\n\n    Source    a \\x9b2J paper\n    """\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    found = run("datasheet", "painted:Painted", "--proved-only")
    assert found.exit_code == 0, found.output
    refused = run("datasheet", "painted:\x1b]0;mine\x07")
    assert refused.exit_code == 2
    for said in (found.output, refused.output):
        assert not {c for c in said if c != "\n" and not c.isprintable()}
    assert "\\x9b2J" in found.output and "\\x1b]0;mine\\x07" in refused.output


@pytest.mark.parametrize(
    ("error", "says", "status"),
    [
        (ValueError("gamma=3: no"), "gamma=3: no", 2),
        (TypeError("two\nlines"), "two lines", 2),
        (ZeroDivisionError("division by zero"), "division by zero", 2),
        (OverflowError("too large"), "too large", 2),
        (ImportError("pip install it"), "pip install it", 2),
        (MemoryError(), "out of memory: ask for fewer", 2),
        (RecursionError(), "nested too deep", 2),
        (FileNotFoundError(2, "No such file or directory", "a.png"), "a.png: No such file or directory", 2),
        (OSError(28, "No space left on device"), "standard output cannot be written (No space left on device)", 2),
        (OSError(36, "File name too long", "x" * 300), "x...: File name too long", 2),
        (KeyboardInterrupt(), "stopped", 130),
        (typer.Abort(), "stopped", 130),
        (KeyError("weights"), "a defect of bdia_numerics: KeyError: 'weights'", 3),
        (NotImplementedError("later"), "a defect of bdia_numerics: NotImplementedError: later", 3),
        (AssertionError(), "a defect of bdia_numerics: AssertionError", 3),
    ],
)
def test_each_failure_is_a_line_and_a_status(capsys, error, says, status):
    def fails():
        raise error

    assert handling.status_of(fails) == status
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1 and says in found.err and found.err.startswith("bdia: ")


def test_the_traceback_of_a_defect_is_there_for_who_asks(monkeypatch, capsys):
    monkeypatch.setenv(handling.TRACEBACK, "1")
    assert handling.status_of(lambda: {}["a"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.posix
@pytest.mark.parametrize(
    ("words", "says", "status"),
    [
        ("bdia pages --list >&-", "standard output is closed", 2),
        ("bdia pages --list >/dev/full", "standard output cannot be written (No space left on device)", 2),
        ("bdia pages --list --json >/dev/full", "standard output cannot be written (No space left on device)", 2),
        ("bdia --help >/dev/full", "standard output cannot be written (No space left on device)", 2),
        ("bdia frobnicate", "No such command 'frobnicate'", 2),
        ("mkdir gone && cd gone && rmdir ../gone && bdia datasheet nowhere:Mine", "the working directory is gone", 2),
    ],
)
def test_what_a_shell_can_do_is_a_line_and_a_status(tmp_path, words, says, status):
    found = shell(words, tmp_path)
    assert found.returncode == status and found.stdout == ""
    assert found.stderr.startswith("bdia: ") and found.stderr.count("\n") == 1 and says in found.stderr


@pytest.mark.posix
def test_a_reader_that_has_enough_and_a_closed_standard_error_are_no_failure():
    found = shell("bdia pages --list | head -1")
    assert found.stderr == "" and found.stdout.startswith("page")
    found = shell("bdia pages --list --json 2>&-")
    assert found.returncode == 0 and json.loads(found.stdout)["pages"]["ledger"]


@pytest.mark.parametrize("place", ["bdia_numerics", "bdia_numerics.cli"])
def test_an_interruption_while_the_package_is_imported_is_a_line(place):
    code = f"import sys, bdia_start\nsys.modules['{place}'] = None\n"
    stops = (
        "class Stops:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == '{place}': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stops())\n"
    )
    code = "import sys\n" + "import bdia_start\n" + stops + "bdia_start.main()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "bdia: stopped\n")


# Paths that are looked at before the work, and files that are written whole


@pytest.mark.parametrize(
    "words",
    [
        ("datasheet", "bdia", "--html"),
        ("work-precision", "--figure"),
        ("converge", "--figure"),
        ("map", "--figure"),
        ("verify", "--html"),
        ("verify", "--markdown"),
    ],
)
@pytest.mark.parametrize("name", ["no/x.png", "x" * 300 + ".png"])
def test_a_path_that_cannot_be_is_said_before_the_work(tmp_path, monkeypatch, words, name):
    monkeypatch.chdir(tmp_path)
    said = at_once(*words, name)
    assert said.startswith(f"bdia: {words[-1]}=") and ("make it first" in said or "File name too long" in said)


@pytest.mark.parametrize(
    "words", [("datasheet", "bdia", "--html"), ("verify", "--html"), ("verify", "--markdown"), ("explore", "--out")]
)
def test_a_page_is_not_written_under_another_kinds_name(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    assert f"{words[-1]}=x.pdf: end its name in ." in at_once(*words, "x.pdf")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_files_is_said_before_the_work(monkeypatch, tmp_path):
    def refused(self, *_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "touch", refused)
    for words in (("datasheet", "bdia", "--html", "x.html"), ("work-precision", "--figure", "x.png")):
        assert "cannot be written (Read-only file system)" in line(run(*words))


def test_a_full_disk_leaves_the_figure_that_was_there(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", full)
    small = "--distribution", "gaussian", "--solver", "DDIM", "--nfe", "4", "--states", "2", "--repeats", "1"
    said = line(run("work-precision", *small, "--figure", path))
    assert "x.png: No space left on device" in said
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


# Numbers


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("roundtrip", "--solver", "bdia:gamma=1e99999999"), "gamma=1e99999999 is too long"),
        (("roundtrip", "--steps", "999999999999"), "--steps=999999999999 is too large: give at most 1000000"),
        (("lint", "--steps", "999999999999"), "--steps=999999999999 is too large"),
        (("lint", "--mu", "1e999"), "--mu=inf"),
        (("map", "--states", "999999999999"), "--states=999999999999 is too large"),
        (("map", "--steps", "10,999999999999"), "--steps=999999999999 is too large"),
        (("converge", "--steps", "16,999999999999"), "--steps=999999999999 is too large"),
        (("converge", "--t-max", "1e99999999"), "--t-max=1e99999999 is too long"),
        (("work-precision", "--nfe", "999999999999"), "--nfe=999999999999 is too large"),
        (("work-precision", "--distribution", "gaussian:1e99999999"), "=1e99999999 is too long"),
        (("roundtrip", "--grid", "karras:rho=1e99999999"), "rho=1e99999999 is too long"),
        (("roundtrip", "--seed", "-1"), "--seed=-1"),
    ],
)
def test_numbers_without_bounds_are_refused_at_once(words, says):
    assert says in at_once(*words)


@pytest.mark.parametrize(
    ("kind", "entry", "says"),
    [
        ("EDMEuler", "rho=0", "rho=0 is not a number from 0.001"),
        ("EDMEuler", "sigma_max=1e308", "sigma_max=1e+308 is not a number"),
        ("EDMEuler", "sigma_min=0", "sigma_min=0: the levels of this class end above 0"),
        ("FlowMatchEulerDiscrete", "shift=0", "shift=0 is not a number from 0.001"),
        ("FlowMatchEulerDiscrete", 'shift="x"', "shift='x' is not a number"),
        (
            "DDIM",
            "num_train_timesteps=1000000000000",
            "num_train_timesteps=1000000000000 is not a whole number from 2 to 1048576",
        ),
        ("EulerDiscrete", "steps_offset=1000", "steps_offset=1000: 10 of the times lie beyond the table"),
        ("DPMSolverMultistep", "steps_offset=1000000", "steps_offset=1000000: 10 of the times lie beyond the table"),
        (
            "DDIM",
            "steps_offset=1000000000000",
            "steps_offset=1000000000000 is not a whole number from -1000000 to 1000000",
        ),
    ],
)
def test_entries_of_which_no_walk_can_be_made_are_one_line(kind, entry, says):
    words = "--set", f"_class_name={kind}Scheduler", "--set", entry
    leading = () if kind[:3] in ("EDM", "Flo") else ("--set", "timestep_spacing=leading")
    assert says in at_once("lint", *words, *leading, "--steps", "10")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", '{"a":' * 300 + "1" + "}" * 300, "is nested more than 50 deep"),
        ("a.yaml", "a: &a [1, 1]\nb: &b [*a, *a]\n", "has aliases (*name), which are not read"),
        ("a.yaml", "[" * 100_000, "is nested more than 50 deep"),
        ("a.json", " " * 10**6, "is larger than a configuration"),
        ("a.toml", "a" + ".a" * 200_000 + " = 1", "is larger than a configuration"),
        ("a.toml", "a" + ".a" * 300 + " = 1", "is nested more than 50 deep"),
        ("a.toml", "a = " + "[" * 100_000, "nested too deep"),
        ("a.toml", "steps = [999999999999]", "steps=999999999999 is too large"),
        ("a.toml", "t_max = '1e99999999'", "t_max=1e99999999 is too long"),
        ("a.toml", "distributions = 'gaussian:1e99999999'", "=1e99999999 is too long"),
        ("a.toml", "[parameters]\ngamma = ['1e99999999']", "gamma=1e99999999 is too long"),
        ("a.toml", "study = 'map'\ngammas = [1e999]", "gammas=inf"),
    ],
)
def test_files_without_bounds_are_refused_at_once(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert says in at_once(*(("sweep", path, "--dry-run") if name.endswith("toml") else ("lint", path)))


# The vocabulary

MEANING = {
    "--solver": "olver|BDIA", "--grid": "grid", "--family": "refined", "--schedule": "schedule", "--distribution": "data",
    "--nfe": "evaluations", "--figure": "raw|sheet", "--html": "page", "--json": "JSON",
}  # fmt: skip
FORMER = {"--gamma", "--gamma1", "--p", "--problem", "--law", "--grids", "--gammas", "--solvers", "--evaluations", "--spacing",
          "--arithmetic", "--output", "--wanted-error"}  # fmt: skip


def commands():
    """Yield every command with its options by name."""

    def walk(group, path):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*path, name))
            else:
                yield " ".join((*path, name)), {o: p for p in command.params for o in p.opts if o.startswith("--")}

    return dict(walk(typer.main.get_command(cli.app), ()))


def test_options_mean_the_same_in_every_command_and_no_former_one_is_shown():
    found = commands()
    assert len(found) == 20
    for command, known in found.items():
        assert not FORMER & known.keys(), command
        for option, word in MEANING.items():
            assert option not in known or re.search(word, known[option].help), (command, option)
    for option, users in {
        "--grid": {"roundtrip", "map", "unet sample"},
        "--family": {"certify", "converge", "work-precision"},
    }.items():
        assert users <= {command for command, known in found.items() if option in known}


def test_a_former_option_is_refused_with_what_is_written_now():
    for command, former in options.FORMER.items():
        words = ("unet", command) if command in ("sample", "growth", "table") else (command,)
        for option, now in former.items():
            assert line(run(*words, f"{option}=x")) == f"bdia: {option} is gone: write {now}\n"
    assert "--gamma is gone: write bdia:gamma=VALUE" in line(run("roundtrip", "--gamma", "1/2"))


def test_an_option_of_one_value_is_given_once():
    for words in (["roundtrip", "--steps", "10", "--steps", "20"], ["edit", "--solver", "bdia", "--solver=ddim"]):
        assert line(run(*words)) == f"bdia: {words[1]} is given twice, and takes one value: give it once\n"
    assert "--set='rho' occurs twice" in line(run("lint", "--set", "rho=3", "--set", "rho=5"))


def test_a_round_trip_begins_from_noise_of_the_size_of_the_schedule():
    """EDM's is 80 times that of variance preserving schedules."""
    import numpy as np

    from bdia_numerics import Heun, grids, names, round_trip, schedules

    found = json.loads(
        run("roundtrip", "--schedule", "edm", "--grid", "karras", "--steps", "6", "--solver", "heun", "--json").stdout
    )
    law, grid = names.distribution("peaks"), grids.karras(schedules.edm(), 6)
    z = float(grid.sigma[6]) * np.random.default_rng(0).standard_normal((64, 2))
    trip = round_trip(Heun(), law.model(grid.schedule), grid, z)
    # alpha = 1 adds 0.0001 to 80.
    assert [found["error"], found["latent"]] == pytest.approx([trip.error, trip.latent], rel=1e-3)


def test_a_claim_that_is_named_twice_counts_once():
    found = run("verify", "--only", "eq-3,eq-3", "--only", "eq-3").stdout
    assert "The paper: 1 formula right" in found


OWN = """
from bdia_numerics import BDIA, grids, problems, schedules
Mine = BDIA(1)
LEVELS = schedules.vp_cosine()
def law(): return problems.Gaussian([0], 0.25)
def even(schedule, n, t_min=None): return grids.uniform(schedule, n, t_min=t_min, t_max=0.9)
"""


def test_commands_and_sweeps_take_objects_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own_command.py").write_text(OWN, encoding="utf-8")
    own = [f"own_command:{name}" for name in ("Mine", "LEVELS", "law", "even")]
    named = "--solver", own[0], "--schedule", own[1], "--distribution", own[2], "--grid", own[3]
    found = run("roundtrip", *named, "--steps", "5", "--json")
    assert found.exit_code == 0 and json.loads(found.stdout)["steps"] == 5, found.output
    Path("own.toml").write_text(
        f'solvers = "{own[0]}"\nschedules = "{own[1]}"\ndistributions = "{own[2]}"\ngrids = "{own[3]}"\n'
        "steps = 4\nstates = 4\nt_min = 0.1\n",
        encoding="utf-8",
    )
    found = run("sweep", "own.toml", "--workers", "1", "--json")
    assert found.exit_code == 0 and not json.loads(found.stdout)["failed"], found.output
    assert "numpy is an installed package" in line(run("roundtrip", "--grid", "numpy:array"))


def test_a_failure_in_a_users_file_names_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "from bdia_numerics import DDIM", "class Crash(DDIM):", "    def step(self, s):", "        return {}['x']"
    Path("own_crash.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run("datasheet", "own_crash:Crash", "--proved-only")
    assert done.exit_code == 3 and "own_crash.py:4 raised KeyError: 'x'" in done.stderr
