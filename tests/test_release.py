"""What a release says of itself: one version, a changelog by kinds of changes, what builds it, and where shipped data come from."""

import re
import tomllib
from pathlib import Path

import bdia_numerics

ROOT = Path(__file__).resolve().parent.parent


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version():
    cited = re.search(r"^version: (\S+)$", text("CITATION.cff"), re.MULTILINE)
    newest = re.search(r"^## (\S+) \(.+\)$", text("CHANGELOG.md"), re.MULTILINE)
    declared = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert declared == bdia_numerics.__version__ == cited[1] == newest[1]


def test_the_changelog_has_each_kind_of_change_once_a_version():
    for section in re.split(r"^## ", text("CHANGELOG.md"), flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert kinds == [kind for kind in ("Added", "Changed", "Fixed", "Removed") if kind in kinds]


def test_what_builds_the_wheel_in_ci_is_held_to_one_version():
    required = tomllib.loads(text("pyproject.toml"))["build-system"]["requires"]
    names = {re.split(r"[<>=]", name)[0] for name in required}
    held = [line for line in text(".ci/build-constraints.txt").splitlines() if not line.startswith("#")]
    assert {line.partition("==")[0] for line in held} == names and all("==" in line for line in held)
    assert "export PIP_CONSTRAINT=$PWD/.ci/build-constraints.txt" in text(".ci/run")


def test_a_cap_says_why():
    lines = text("pyproject.toml").splitlines()
    capped = [k for k, line in enumerate(lines) if re.match(r'\s*"[\w-]+>=[\d.]+,<', line)]
    assert capped and all(lines[k - 1].strip().startswith("#") for k in capped)


def test_shipped_weights_name_the_source_and_the_licence_of_their_data():
    card = text("bdia_numerics/torch/networks/weights/mnist/model_card.json")
    for said in (card, text("docs/model-card.md"), text("experiments/mnist/model-card.md.j2")):
        assert "yann.lecun.com/exdb/mnist" in said and re.search(
            r"Creative Commons\s+Attribution-ShareAlike 3\.0", said
        )
