"""The README's commands are the ones that CI runs, and its Python lines run."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    'pip install -c constraints.txt ".[report]" && bdia verify',
    'pip install -c constraints.txt -e ".[all]" && pytest',
]


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_begins_with_the_two_commands():
    assert [block.rstrip("\n") for block in fenced("sh")[:2]] == COMMANDS
    assert README.index(COMMANDS[1]) < README.index("```python")


@pytest.mark.posix
def test_ci_extracts_the_same_commands():
    run = subprocess.run(["bash", str(ROOT / ".ci" / "run"), "--commands"], check=True, capture_output=True, text=True)
    assert run.stdout.splitlines() == COMMANDS


def test_the_commands_name_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(re.findall(r'"\.\[(\w+)\]"', " ".join(COMMANDS))) <= set(extras)
    (everything,) = extras["all"]
    assert set(re.fullmatch(r"bdia_numerics\[(.*)\]", everything)[1].split(",")) == set(extras) - {"all"}


def test_the_command_begins_in_a_file_that_the_wheel_carries():
    text = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, function = text["project"]["scripts"]["bdia"].split(":")
    carried = text["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried[f"{module}.py"] == f"{module}.py"
    assert f"\ndef {function}() -> None:\n" in (ROOT / f"{module}.py").read_text(encoding="utf-8")


def test_torch_is_pinned_by_constraints_and_not_installed_by_report():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.search(r"^torch==2\.13\.0$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not [d for d in project["dependencies"] + project["optional-dependencies"]["report"] if "torch" in d]


def test_the_ledger_has_its_place():
    assert re.search(r"<!-- ledger:begin -->.*<!-- ledger:end -->", README, flags=re.DOTALL)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()
