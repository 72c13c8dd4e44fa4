"""What commands print with --json has a schema and a version, and fits it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from json_checks import fits
from typer.main import get_command
from typer.testing import CliRunner

from bdia_numerics.cli import app, schemas, solvers
from bdia_numerics.cli.reference import commands

ROOT = Path(__file__).parents[1]
PLACES = Path(schemas.__file__).parents[2], ROOT  # of the package that is tested, and of bdia_start.py
WORDS = {
    "verify": "--only eq-27",
    "verify --mutants": "--only eq-27",
    "list": "bdia",
    "roundtrip": "--solver ddim --steps 6",
    "roundtrip --exact": "--solver bdia --steps 6",
    "lint": "--steps 10",
    "work-precision": "--solver ddim --nfe 8 --states 4",
    "certify": "ddim --claim nfe=1",
    "map": "--distribution gaussian --steps 6 --grid leading --states 20",
    "encode-table": "--solver ddim --distribution mixture --guidance none --grid cut --nfe 6 --states 2 --seeds 2",
    "datasheet": "ddim --proved-only",
    "design": "--template two-step --order 2 --steps 6",
    "pages --list": "",
}
SLOW = {
    "converge": "--solver ddim --distribution gaussian --family smooth",
    "edit": "--steps 4",
    "unet sample": "--steps 4 --count 2 --fine 0",
    "unet growth": "--steps 4",
    "unet table": "--solver ddim --grid trailing --nfe 6 --images 8 --paired 2",
}
ELSEWHERE = {
    "sweep": "test_sweep.py",
    "sweep --tasks": "test_sweep.py",
    "sweep --dry-run": "test_sweep.py",
    "reproduce": "test_reproduction.py",
    "figures": "test_figures.py",
    "figures --list": "test_figures.py",
    "pages": "test_made_pages.py",
    "explore": "test_explorer.py",
}
"""Outputs that need what other tests make, each held to its schema by `fits` there."""


@pytest.mark.parametrize("output", [*WORDS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_an_output_fits_its_schema(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = solvers.row
    monkeypatch.setattr(
        solvers, "rows_of_all", lambda: [row(name, solvers.solvers.SOLVERS[name]) for name in ("BDIA",)]
    )
    run = CliRunner().invoke(app, [*output.split(), *(WORDS | SLOW)[output].split(), "--json"])
    assert run.exit_code in (0, 1), run.output
    found = fits(output, run.stdout)
    assert list(found)[:2] == ["schema", "version"] and found["schema"] == output


def test_a_round_trip_that_went_wrong_fits_its_schema():
    run = CliRunner().invoke(app, ["roundtrip", "--solver", "edict", "--steps", "300", "--dtype", "float32", "--json"])
    found = fits("roundtrip", run.stdout)
    assert run.exit_code == 1 and found["status"] != "ok" and found["amplification"] > 1


def test_every_command_with_json_has_a_schema():
    words = {name for name, command in commands(get_command(app)) if any("--json" in p.opts for p in command.params)}
    assert words == {name.split(" --")[0] for name in schemas.known()}
    assert {*WORDS, *SLOW, *ELSEWHERE} == {*schemas.known()}
    for output, file in ELSEWHERE.items():
        assert f'fits("{output}", ' in (ROOT / "tests" / file).read_text(encoding="utf-8")
    for output in schemas.known():
        jsonschema.Draft202012Validator.check_schema(schemas.schema(output))


def test_a_field_that_nobody_described_is_noticed():
    made = {"study": "digits", "cells": 1, "finished": 0, "seconds_a_cell": None, "workers": 2, "seconds": 1.5}
    text = json.dumps(schemas.marked("sweep --dry-run", made))
    assert fits("sweep --dry-run", text)["version"] == 1
    for wrong in ({"more": 1}, {"cells": "1"}, {"cells": 1.5}, {"version": 0}):
        with pytest.raises(jsonschema.ValidationError):
            fits("sweep --dry-run", json.dumps({**json.loads(text), **wrong}))


def test_the_schema_is_printed_for_validators():
    run = CliRunner().invoke(app, ["--schema", "sweep --dry-run"])
    assert run.exit_code == 0 and json.loads(run.stdout) == schemas.schema("sweep --dry-run")
    wrong = CliRunner().invoke(app, ["--schema", "swep"])
    assert wrong.exit_code == 2 and "schema='swep' is unknown: use sweep" in wrong.output


def test_the_page_has_the_schemas():
    page = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    for output, fields in schemas.known().items():
        assert f"### bdia {output}\n\nVersion {fields['version']}." in page
        assert all(f"`{path}`" in page for path in fields if path != "version")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("bdia round", "roundtrip"),
        ("bdia list bdiah", "bdiaheun"),
        ("bdia converge --solver bdiah", "bdiaheun"),
        ("bdia certify bdiah", "bdiaheun"),
    ],
)
def test_a_shell_completes_commands_and_solvers(typed, found):
    """As the installed command does, which begins in bdia_start.py."""
    own = {
        "_BDIA_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": typed,
        "PYTHONPATH": os.pathsep.join(map(str, PLACES)),
    }
    run = subprocess.run(
        [sys.executable, "-P", "-c", "from bdia_start import main; main()"],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0 and found in run.stdout and "Traceback" not in run.stderr
