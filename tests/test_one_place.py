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
from bdia_numerics import cli, plots, solvers, studies
from bdia_numerics.studies.records import data

def said(*words):
    return CliRunner().invoke(cli.app, list(words)).stdout

seen = {"solver": [str(bd.Again()), Again in SOLVERS.values(), "Again" in dir(bd)]}
seen["claims"] = json.loads(said("verify", "--only", "two", "--json"))["claims"]
seen["table"] = said("sweep", "--study", "squares", "--workers", "1", "--out", "out").splitlines()
study, found = studies.STUDIES["squares"], studies.load("out/squares.nc")
seen |= {"data": data(study, found), "drawn": plots.image(plots.figure_of(study, found))[:5].decode()}
solvers.SOLVERS = {"Again": SOLVERS["Again"]}  # `bdia list` reads all of them, which takes long
solvers.SECOND_ORDER = {}
seen["list"] = json.loads(said("list", "--json"))["solvers"]
seen["sheet"] = json.loads(said("datasheet", "again", "--proved-only", "--json"))
seen["stub"] = runpy.run_path("scripts/stubs.py")["stub"](solvers)
print(json.dumps(seen))
"""
FIGURE = '''"""Squares, drawn."""

from matplotlib.figure import Figure


def squares(found):
    """Draw them."""
    figure = Figure()
    figure.subplots().plot(found["number"], found["square"])
    return figure
'''


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
    for name in ("grids", "schedules", "solvers", "problems", "analysis", "spaces", "studies"):
        room = importlib.import_module(f"bdia_numerics.{name}")
        assert set(dir(room)) == set(room.__all__), name


def test_a_solver_a_claim_and_a_study_are_each_their_file(tmp_path):
    """And a line in the table of solvers, a statement, a figure: from these, lists, commands, tables, JSON, pictures and stubs follow."""
    pytest.importorskip("h5netcdf", reason="needs the extra sweep")
    pytest.importorskip("matplotlib", reason="needs the extra report")
    # With what Python compiled, which holds in the copy, since the files keep their times.
    shutil.copytree(ROOT / "bdia_numerics", tmp_path / "bdia_numerics", ignore=shutil.ignore_patterns("weights"))
    shutil.copytree(ROOT / "proofs", tmp_path / "proofs", ignore=shutil.ignore_patterns("coq", "__pycache__"))
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    package = tmp_path / "bdia_numerics"
    files = {"solvers/again": SOLVER, "claims/two": CLAIM, "studies/squares": STUDY, "plots/squares": FIGURE}
    for name, text in files.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    with (package / "claims/statements.toml").open("a", encoding="utf-8") as statements:
        statements.write(STATEMENT)
    table = package / "solvers/__init__.py"
    text = table.read_text(encoding="utf-8")
    assert text.count('        "DDIM": "ddim",\n') == 1
    table.write_text(
        text.replace('"DDIM": "ddim",\n', '"DDIM": "ddim",\n        "Again": "again",\n'), encoding="utf-8"
    )
    own = {"PYTHONPATH": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-P", "-c", SEEN], capture_output=True, text=True, cwd=tmp_path, env=own, check=False
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    assert seen["solver"] == ["Again()", True, True]
    assert [row["name"] for row in seen["list"]] == ["Again"] and seen["sheet"]["name"] == "Again"
    assert "import Again as Again" in seen["stub"]
    assert [(c["id"], c["verdict"], c["evidence"]) for c in seen["claims"]] == [("two", "proved", "1 + 1 = 2")]
    said = seen["table"]
    assert said[0] == "squares of (2, 3)" and said[1].split("  ")[0] == "number" and "its square" in said[1]
    assert [line.split() for line in said[3:5]] == [["2", "4"], ["3", "9"]]
    squares = [{"number": n, "square": n * n, "status": "ok"} for n in (2, 3)]
    assert seen["data"] == {"config": {"numbers": [2, 3]}, "cells": squares}
    assert seen["drawn"] == "<?xml"
