"""The plugin of pytest: markers, the ledger at the end, and both under pytest-xdist."""

import json
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.claim("order", "second order")
@pytest.mark.parametrize("n", [1, 2])
def test_order(n):
    pass

@pytest.mark.claim("nfe")
@pytest.mark.claim("cost", statement="one a step")
def test_nfe():
    assert 2 == 1

@pytest.mark.claim("latent")
def test_latent():
    pytest.skip("no weights")

@pytest.mark.claim("slow")
def test_slow():
    from bdia_numerics.testing import UndecidedOrder

    raise UndecidedOrder("undecided up to n = 512")

@pytest.fixture
def broken():
    raise RuntimeError

@pytest.mark.claim("setup")
def test_setup(broken):
    pass

@pytest.mark.xfail
@pytest.mark.claim("known")
def test_known():
    assert False

def test_other():
    pass
"""


PLUGIN = ("-p", "bdia_numerics.testing.plugin")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Other plugins take longer to load than these tests."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_pytest_is_told_of_it():
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    assert project["entry-points"]["pytest11"] == {"bdia_numerics": PLUGIN[1]}


def run(pytester, *options):
    pytester.makepyfile(TESTS)
    return pytester.runpytest_subprocess(*PLUGIN, "--strict-markers", "--claims-json", "claims.json", *options)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-p", "no:xdist"), id="one process", marks=pytest.mark.slow),
        pytest.param(("-p", "xdist", "-n", "2"), id="xdist"),
    ],
)
def test_the_ledger_lists_every_claim(pytester, options):
    pytest.importorskip("xdist")
    result = run(pytester, *options)
    result.stdout.fnmatch_lines(
        ["*= claims =*", "cost *failed *one a step*", "latent *skipped*", "order *measured *(second order)"]
    )
    result.stdout.fnmatch_lines(["3 failed, 1 undecided, 2 measured, 2 skipped"])
    claims = json.loads((pytester.path / "claims.json").read_text(encoding="utf-8"))["claims"]
    verdicts = [(c["id"], c["verdict"]) for c in claims]
    assert verdicts == [
        ("cost", "failed"),
        ("known", "skipped"),
        ("latent", "skipped"),
        ("nfe", "failed"),
        ("order", "measured"),
        ("order", "measured"),
        ("setup", "failed"),
        ("slow", "undecided"),
    ]
    assert all(c["seconds"] >= 0 and "::test_" in c["test"] for c in claims)
    assert "test_other" not in {c["test"].split("::")[1] for c in claims}


def test_a_claim_without_an_id_is_refused(pytester):
    pytester.makepyfile("import pytest\n\n@pytest.mark.claim\ndef test_a():\n    pass\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist")
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*has no id: write @pytest.mark.claim*"])


def test_without_claims_there_is_no_ledger(pytester):
    pytester.makepyfile("def test_a():\n    pass\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist")
    result.stdout.no_fnmatch_line("*= claims =*")
