"""What is added stands in one place, in a copy of the package, and is found everywhere: a solver, a claim, a study, each by its file."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("stubs", ROOT / "scripts/stubs.py")
stubs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stubs)

SOLVER = '''"""A solver of one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Again:
    """DDIM, under another name.

    z_{i-1} = z_i + Delta(t_i->t_{i-1}|z_i)

    State     z_i, of shape (*batch, *data)
    Order     1
    NFE       1 per step
    Requires  is not exactly invertible
    Source    eq. (20)
    """

    registers = ("z",)

    def step(self, s: Any) -> None:
        """Step from t_i to t_{i-1}."""
        (z,) = s.registers
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
'''
CLAIM = '''"""A claim's check."""

from bdia_numerics.claims.ledger import CheckFailed, check


@check("two", verdict="proved", mutants={"three": {"one": lambda: 2}})
def two(one: int = 1) -> dict[str, int]:
    """Add."""
    if one + one != 2:
        raise CheckFailed("not two")
    return {"one": one, "sum": one + one}
'''
STATEMENT = """
[[claim]]
id = "two"
source = "ours"
title = "One and one"
statement = "$1+1=2$"
evidence = "{one} + {one} = {sum}"
verdict = "proved"
note = "no check ran"
"""
STUDY = '''"""Squares."""

from dataclasses import dataclass

from bdia_numerics.studies.study import Study, Variable


@dataclass(frozen=True)
class Config:
    """The numbers."""

    numbers: tuple[int, ...] = (2, 3)


SQUARES = Study(
    "squares",
    "Squares",
    Config,
    dims=lambda config: {"number": config.numbers},
    compute=lambda config, cell: {"square": cell["number"] ** 2, "status": "ok"},
    variables={"square": Variable("square", whole=True), "status": Variable("status")},
    caption="squares of {numbers}",
    columns={"number": "", "its square": "{square}"},
    figure="squares:squares",
)
'''
SEEN = """
import json, runpy
import bdia_numerics as bd
from bdia_numerics import *
from typer.testing import CliRunner
from bdia_numerics import cli, solvers

print(bd.Again(), Again in SOLVERS.values(), "Again" in dir(bd))
solvers.SOLVERS = {"Again": SOLVERS["Again"]}  # `bdia list` reads all of them, which takes long
solvers.SECOND_ORDER = {}
for words in (["list", "--json"], ["datasheet", "again", "--proved-only", "--json"]):
    print(json.dumps(json.loads(CliRunner().invoke(cli.app, words).stdout)))
runpy.run_path("scripts/stubs.py", run_name="__main__")
"""
FIGURE = '''"""Squares, drawn."""

from matplotlib.figure import Figure


def squares(found):
    """Draw them."""
    figure = Figure()
    figure.subplots().plot(found["number"], found["square"])
    return figure
'''


@pytest.fixture
def copied(tmp_path):
    # With what Python compiled, which holds in the copy, since the files keep their times.
    shutil.copytree(ROOT / "bdia_numerics", tmp_path / "bdia_numerics", ignore=shutil.ignore_patterns("weights"))
    shutil.copytree(ROOT / "proofs", tmp_path / "proofs", ignore=shutil.ignore_patterns("coq", "__pycache__"))

    def ran(*arguments: str) -> str:
        run = subprocess.run(
            [sys.executable, "-P", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PATH": "", "HOME": str(tmp_path)},
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    return tmp_path, ran


@pytest.mark.parametrize("name", stubs.PACKAGES)
def test_the_stubs_are_what_the_packages_say(name):
    assert stubs.path(name).read_text(encoding="utf-8") == stubs.stub(importlib.import_module(name)), (
        "run python scripts/stubs.py"
    )


def test_only_public_names_are_offered():
    import bdia_numerics as bd

    assert [name for name in dir(bd) if name.startswith("_")] == ["__version__"]
    assert {"solve", "BDIA", "analysis", "testing", "studies", "plots"} <= set(dir(bd))
    assert all(getattr(bd, name) is not None for name in dir(bd))


def test_a_solver_is_its_file_and_one_line(copied):
    folder, ran = copied
    (folder / "bdia_numerics/solvers/again.py").write_text(SOLVER, encoding="utf-8")
    table = folder / "bdia_numerics/solvers/__init__.py"
    text = table.read_text(encoding="utf-8")
    table.write_text(
        text.replace('        "DDIM": "ddim",\n', '        "DDIM": "ddim",\n        "Again": "again",\n'),
        encoding="utf-8",
    )
    assert table.read_text(encoding="utf-8") != text
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    said = ran("-c", SEEN).splitlines()
    assert said[0] == "Again() True True"
    assert [row["name"] for row in json.loads(said[1])["solvers"]] == ["Again"]
    assert json.loads(said[2])["name"] == "Again"
    assert "import Again as Again" in (folder / "bdia_numerics/__init__.pyi").read_text(encoding="utf-8")


def test_a_claim_is_its_statement_and_one_file(copied):
    folder, ran = copied
    (folder / "bdia_numerics/claims/two.py").write_text(CLAIM, encoding="utf-8")
    with (folder / "bdia_numerics/claims/statements.toml").open("a") as statements:
        statements.write(STATEMENT)
    claims = json.loads(ran("-m", "bdia_numerics", "verify", "--only", "two", "--json"))["claims"]
    assert [(c["id"], c["verdict"], c["evidence"]) for c in claims] == [("two", "proved", "1 + 1 = 2")]


def test_a_study_is_one_file(copied):
    """With a figure two: `bdia sweep` finds it, and its table, its JSON and its figure follow from the study."""
    pytest.importorskip("h5netcdf", reason="needs the extra sweep")
    pytest.importorskip("matplotlib", reason="needs the extra report")
    folder, ran = copied
    (folder / "bdia_numerics/studies/squares.py").write_text(STUDY, encoding="utf-8")
    (folder / "bdia_numerics/plots/squares.py").write_text(FIGURE, encoding="utf-8")
    said = ran("-m", "bdia_numerics", "sweep", "--study", "squares", "--workers", "1", "--out", "out").splitlines()
    assert said[0] == "squares of (2, 3)" and said[1].split("  ")[0] == "number" and "its square" in said[1]
    assert [line.split() for line in said[3:5]] == [["2", "4"], ["3", "9"]]
    read = (
        "import json; from bdia_numerics import plots, studies; from bdia_numerics.studies.study import data; "
        "study, found = studies.STUDIES['squares'], studies.load('out/squares.nc'); "
        "print(json.dumps(data(study, found))); print(plots.image(plots.figure_of(study, found))[:5].decode())"
    )
    text, drawn = ran("-c", read).splitlines()
    squares = [{"number": n, "square": n * n, "status": "ok"} for n in (2, 3)]
    assert json.loads(text) == {"config": {"numbers": [2, 3]}, "cells": squares}
    assert drawn == "<?xml"
