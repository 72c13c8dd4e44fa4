"""A stranger's session, from what the wheel holds, in an empty folder: first with the core alone, then with figures and datasets.

Five samplers and their claims, a distribution of which a score is known, a schedule of one's own, a sweep that is extended twice, and the
figures that come of it. With `BDIA_BIN`, the folder of programs of an environment into which the wheel is installed, the session runs
there; `.ci/run` does that. Otherwise the files of the wheel are put together as pyproject.toml says.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.posix]
ROOT = Path(__file__).resolve().parent.parent

SAMPLERS = '''
def levels(grid):
    return grid.sigma / grid.alpha


def euler(eps, grid, z):
    s, y = levels(grid), z / grid.alpha[grid.n]
    for i in range(grid.n, 0, -1):
        y = y + (s[i - 1] - s[i]) * eps(y * grid.alpha[i], grid.t[i])
    return y * grid.alpha[0]


def euler_back(eps, grid, x):
    s, y = levels(grid), x / grid.alpha[0]
    for i in range(1, grid.n + 1):
        y = y + (s[i] - s[i - 1]) * eps(y * grid.alpha[i - 1], grid.t[i - 1])
    return y * grid.alpha[grid.n]


def heun(eps, grid, z, old_time=False):
    s, y = levels(grid), z / grid.alpha[grid.n]
    for i in range(grid.n, 0, -1):
        h, first = s[i - 1] - s[i], eps(y * grid.alpha[i], grid.t[i])
        y = y + h / 2 * (first + eps((y + h * first) * grid.alpha[i - 1], grid.t[i if old_time else i - 1]))
    return y * grid.alpha[0]


def two_steps(eps, grid, z):
    """Adams and Bashforth's method with the weights of equal steps."""
    s, y, before = levels(grid), z / grid.alpha[grid.n], None
    for i in range(grid.n, 0, -1):
        e = eps(y * grid.alpha[i], grid.t[i])
        y = y + (s[i - 1] - s[i]) * (e if before is None else (3 * e - before) / 2)
        before = e
    return y * grid.alpha[0]


def leapfrog(eps, grid, z):
    """Return the data, and the state before them, from which the way back goes on."""
    s, n = levels(grid), grid.n
    if isinstance(z, tuple):
        before, y = z[0] / grid.alpha[n], z[1]
    else:
        before = z / grid.alpha[n]
        y = before + (s[n - 1] - s[n]) * eps(z, grid.t[n])
    for i in range(n - 1, 0, -1):
        before, y = y, before + (s[i - 1] - s[i + 1]) * eps(y * grid.alpha[i], grid.t[i])
    return y * grid.alpha[0], before


def leapfrog_back(eps, grid, x):
    s, n = levels(grid), grid.n
    if isinstance(x, tuple):
        before, y = x[0] / grid.alpha[0], x[1]
    else:
        before = x / grid.alpha[0]
        y = before + (s[1] - s[0]) * eps(x, grid.t[0])
    for i in range(1, n):
        before, y = y, before + (s[i + 1] - s[i - 1]) * eps(y * grid.alpha[i], grid.t[i])
    return y * grid.alpha[n], before


def no_return(eps, grid, z):
    euler(eps, grid, z)
'''
MINE = '''
import numpy as np

from bdia_numerics import problems, schedules, spaces


def score(z, t, schedule):
    """Six normal distributions on a circle."""
    alpha, variance = schedule.alpha(t), (schedule.alpha(t) / 2) ** 2 + schedule.sigma(t) ** 2
    angles = np.arange(6) * np.pi / 3
    apart = 2 * alpha * np.stack([np.cos(angles), np.sin(angles)], axis=1) - z[:, None]
    weight = np.exp(-(apart**2).sum(-1) / (2 * variance))
    return (weight[..., None] * apart).sum(1) / weight.sum(1)[:, None] / variance


def root(t, sign):
    space = spaces.of(t)
    return 1 / space.sqrt(1 + space.exp(-sign * (7 - 12 * t)))


circle = problems.from_score(score, dimension=2)
linear = schedules.from_functions(lambda t: root(t, 1), lambda t: root(t, -1), variance_preserving=True)
'''
COMPARE = """
solvers = ["DDIM", "BDIA"]
problems = ["mixture", "mine:circle"]
grids = ["uniform"]
schedules = ["mine:linear"]
steps = [10, 20]
states = 8
seeds = [0]
t_min = 0.1
t_max = 0.9
"""
# Subject, with its inverse behind a space; what is claimed, and its verdict.
CLAIMS = {
    "euler euler_back": {"order=1": True, "nfe=1": True, "latent": True, "same=ddim": True, "invertible": False},
    "heun": {"order=2": True, "nfe=2": True, "same=heun": True, "order=2@leading": True, "order=2@alternating": True},
    "heun:old_time=true": {"order=2": False, "nfe=2": True, "order=1": True, "same=heun": False},
    "two_steps": {"order=2": True, "order=2@alternating": False, "nfe=1": True},
    "leapfrog leapfrog_back": {"order=2": True, "invertible": True, "inverse-nfe=1": True, "same=leapfrog": True},
}
EXTRAS = {
    "dask", "diffusers", "distributed", "flint", "h5netcdf", "h5py", "heyoka", "jax", "jinja2", "matplotlib", "safetensors", "torch", "tqdm"
}  # fmt: skip
HIDE = f"""
import sys


class Core:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *where):
        return None if name.partition(".")[0] in {EXTRAS!r} else self.finder.find_spec(name, *where)


sys.meta_path[:] = map(Core, sys.meta_path)
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Return a function that runs a line of a shell in a folder that was empty, without the extras or with them."""
    made = tmp_path_factory.mktemp("stranger")
    core, contents, programs, folder = (made / name for name in ("core", "contents", "bin", "empty"))
    for path in (core, programs, folder):
        path.mkdir()
    (core / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    installed = os.environ.get("BDIA_BIN")
    if installed is None:
        put_together(contents)
        command = programs / "bdia"
        command.write_text(
            f"#!{sys.executable}\nfrom bdia_start import main\n\nif __name__ == '__main__':\n    main()\n",
            encoding="utf-8",
        )
        command.chmod(0o755)
        (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        (programs / "python").chmod(0o755)
    for name, text in (("samplers.py", SAMPLERS), ("mine.py", MINE), ("compare.toml", COMPARE)):
        (folder / name).write_text(text, encoding="utf-8")

    def run(line, status=0, extras=False):
        paths = ([] if extras else [core]) + ([contents] if installed is None else [])
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV_"))}
        environment |= {"PYTHONPATH": os.pathsep.join(map(str, paths)), "MPLBACKEND": "Agg"}
        environment["PATH"] = os.pathsep.join([installed or str(programs), os.environ["PATH"]])
        told = ["bash", "-euo", "pipefail", "-c", line]
        found = subprocess.run(told, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        assert found.returncode == status, f"{line}\n{found.stdout[-2000:]}{found.stderr[-3000:]}"
        assert "Traceback" not in found.stderr and "Warning" not in found.stderr, found.stderr
        return found.stdout if status == 0 or found.stdout else found.stderr

    run.folder = folder
    return run


def put_together(contents):
    """Copy what the wheel holds, as pyproject.toml says."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    for here, there in ({name: name for name in wheel["packages"]} | wheel["force-include"]).items():
        (contents / there).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / here).is_dir():
            shutil.copytree(ROOT / here, contents / there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / here, contents / there)


def test_the_package_is_the_wheels_and_the_core_is_alone(stranger):
    line = "import bdia_numerics, importlib.util as u; print(bdia_numerics.__file__, u.find_spec('matplotlib'), u.find_spec('torch'))"
    where, *extras = stranger(f'python -c "{line}"').split()
    assert not Path(where).is_relative_to(ROOT) and extras == ["None", "None"]


@pytest.mark.parametrize("subject", CLAIMS)
def test_a_sampler_is_certified(stranger, subject):
    claims, (sample, *back) = CLAIMS[subject], subject.split()
    words = f"bdia certify samplers.py:{sample} --claim {','.join(claims)} --junit claims.xml --json"
    found = json.loads(
        stranger(words + "".join(f" --invert samplers.py:{b}" for b in back), 0 if all(claims.values()) else 1)
    )
    assert found["schema"] == "certify" and found["version"] == 1
    verdicts = {line["claim"]: line["verdict"] for line in found["claims"]}
    assert verdicts == {claim: "measured" if holds else "failed" for claim, holds in claims.items()}
    assert all(line["reason"] for line in found["claims"] if line["verdict"] == "failed")
    assert (stranger.folder / "claims.xml").read_text(encoding="utf-8").count("<failure") == list(
        claims.values()
    ).count(False)


def test_mistakes_are_one_line(stranger):
    for words, said in {
        "samplers.py:no_return --claim order=1": "no_return returned None for states of shape",
        "samplers.py --claim order=1": "SUBJECT=samplers.py names no function: write samplers.py:sample",
        "DDIMScheduler --claim order=1": "pip install 'bdia_numerics[torch]'",
        "samplers.py:euler --claim order=1 --distribution mine:circus": "mine has no circus, use circle",
    }.items():
        message = stranger(f"bdia certify {words}", 2)
        assert said in message and message.count("\n") == 1


def test_a_score_and_a_schedule_of_ones_own(stranger):
    stranger("bdia certify samplers.py:heun --claim order=2 --distribution mine:circle")
    found = json.loads(
        stranger(
            "bdia converge --solver BDIA --schedule mine:linear --distribution mine:circle --t-max 0.9 --t-min 0.1 --states 4 --json"
        )
    )
    orders = {line["family"]: line["order"] for line in found["orders"]}
    assert min(abs(order - 2) for order in orders.values()) < 0.1, orders
    line = """
from bdia_numerics import BDIA, encode, grids, round_trip
from mine import circle, linear
grid = grids.uniform(linear, 20, t_max=0.9, t_min=0.1)
trip = round_trip(BDIA(), circle.model(linear), grid, circle.sample(4, 0), end="data", reference=circle)
assert trip.error < 1e-10 and 1e-6 < trip.latent < 0.1 and trip.reference_error < 1e-7, trip
"""
    stranger(f"python - <<'END'\n{line}END")


def test_figures_and_datasets_say_which_extra_they_need(stranger):
    assert "pip install 'bdia_numerics[sweep]'" in stranger("bdia sweep compare.toml --workers 1 --out core", 2)
    assert "pip install 'bdia_numerics[report]'" in stranger("bdia sweep compare.toml --workers 1 --figure core.pdf", 2)


def test_a_sweep_is_extended_twice_and_drawn(stranger):
    def sweep(old="", new="", options=""):
        path = stranger.folder / "compare.toml"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        first = stranger("bdia sweep compare.toml --dry-run", extras=True).splitlines()[0]
        stranger(f"bdia sweep compare.toml --workers 1 --timeout 60 {options}", extras=True)
        return first

    assert sweep() == "study sweep: 8 cells to run, 0 finished in results/compare"
    assert sweep("[10, 20]", "[10, 20, 40]") == "study sweep: 4 cells to run, 8 finished in results/compare"
    last = sweep('"BDIA"]', '"BDIA", "EDICT"]', "--figure errors.pdf")
    assert last == "study sweep: 6 cells to run, 12 finished in results/compare"
    assert (stranger.folder / "errors.pdf").read_bytes().startswith(b"%PDF")
    line = """
from bdia_numerics import BDIA, analysis, grids
from bdia_numerics.studies import load
from mine import circle, linear
found = load("results/compare/sweep.nc")
error = found["error"].sel(solver="BDIA").squeeze(drop=True)
assert (error.sel(steps=40) < error.sel(steps=10) / 8).all() and not found["error"].isnull().any()
grid = grids.uniform(linear, 20, t_max=0.9, t_min=0.1)
growth = analysis.amplification(BDIA(), grid, "invert")
growth.plot().figure.savefig("growth.pdf")
growth.to_html("growth.html")
"""
    stranger(f"python - <<'END'\n{line}END", extras=True)
    assert (stranger.folder / "growth.pdf").read_bytes().startswith(b"%PDF")
    assert "data:image/svg" in (stranger.folder / "growth.html").read_text(encoding="utf-8")
