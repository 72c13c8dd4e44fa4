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


MEASURED = """
import pytest
from bdia_numerics.testing import assert_nfe, assert_order

def ddim(eps, grid, z):
    for i in range(grid.n, 0, -1):
        e = eps(z, grid.t[i])
        z = grid.alpha[i - 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i - 1] * e
    return z

def broken(eps, grid, z):
    return eps(z, grid.t[grid.n + 1])

def test_before():
    assert_nfe(ddim, 1)

@pytest.mark.claim("right", "first order")
def test_right():
    assert_order(ddim, 1, states=4)
    assert_nfe(ddim, 1)

@pytest.mark.claim("wrong")
def test_wrong():
    assert_nfe(ddim, 2)

@pytest.mark.claim("raised")
def test_raised():
    assert_nfe(broken, 2)
"""


def test_the_ledger_holds_the_numbers_and_no_frame_of_the_package(pytester):
    pytester.makepyfile(MEASURED)
    options = (*PLUGIN, "-p", "no:xdist", "--claims-json", "claims.json")
    result = pytester.runpytest_subprocess(*options)
    found = json.loads((pytester.path / "claims.json").read_text(encoding="utf-8"))["claims"]
    numbers = {claim["id"]: claim["numbers"] for claim in found}
    assert numbers["right"].startswith("1.00 [") and numbers["right"].endswith("; 12 and 25 in 12 and 25 slots")
    assert (numbers["wrong"], numbers["raised"]) == ("12 and 25 in 12 and 25 slots", "")
    result.stdout.fnmatch_lines(["right *(first order): 1.00 [[]*up to n = *", "wrong *::test_wrong: 12 and 25 in *"])
    assert "orders.py" not in result.stdout.str() and "samplers.py" not in result.stdout.str()
    # Of what a sampler raises, its own line is there.
    result.stdout.fnmatch_lines([">       return eps(z, grid.t[[]grid.n + 1[]])"])


def test_a_claim_without_an_id_is_refused(pytester):
    pytester.makepyfile("import pytest\n\n@pytest.mark.claim\ndef test_a():\n    pass\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist")
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*has no id: write @pytest.mark.claim*"])


def test_without_claims_there_is_no_ledger(pytester):
    pytester.makepyfile("def test_a():\n    pass\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist")
    result.stdout.no_fnmatch_line("*= claims =*")
