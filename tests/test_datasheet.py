"""The datasheet and its command: on the paper's solver, and on methods that are written here."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from bdia_numerics import EDICT, SOLVERS, Datasheet, datasheet, grids, schedules, solve
from bdia_numerics.analysis.sheet.proved import Compared, summary
from bdia_numerics.cli import app

METHOD = '''
class Method:
    """Two steps, uniform in sigma/alpha."""

    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        h = s.sigma_bar(s.i - 1) - s.sigma_bar(s.i)
        y = {a0!r} * z / s.alpha(s.i) + {a1!r} * z_prev / s.alpha(s.i + 1)
        y = y + h * ({b0!r} * s.eps(z) + {b1!r} * s.eps(z_prev))
        s.assign(z_prev, s.alpha(s.i - 1) * y, at=s.i - 1)
        s.swap(z_prev, z)
'''


def run(*arguments):
    return CliRunner().invoke(app, ["datasheet", *arguments])


def sheet(*arguments):
    result = run(*arguments, "--proved-only", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_bdia():
    found = sheet("bdia")
    general, given = found["general"], found["given"]
    assert found["condition"] == "gamma != 0"
    assert general["order"]["ddim_ratio"] == "-(gamma - 1)/(gamma + 1)"
    assert general["order"]["condition"] == ["gamma - 1"]
    assert general["polynomial"] == "(gamma + zeta)*(zeta - 1)"
    assert general["zero_stability"][0]["condition"] == "zero-stable for -1 < gamma and gamma <= 1"
    assert given["order"]["smooth"] == 2
    assert given["order"]["rough"] == 1
    assert [x["stable"] for x in given["zero_stability"]] == [True, True]
    assert (given["real_interval"], given["growth"]) == ("0", [{"roots": "zeta + 1", "rate": "-1", "exponent": 1.0}])
    assert general["growth"] == [{"roots": "gamma + zeta", "rate": "-1", "exponent": None}]


def test_parameters_are_taken():
    given = sheet("bdia:gamma=0.9")["given"]
    assert given["order"]["ddim_ratio"] == "1/19"
    assert given["real_interval"] == "2/19"
    assert [x["stable"] for x in given["zero_stability"]] == [True, False]
    assert sheet("plms:order=3")["given"]["order"]["error_constant"] == "3/8"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nope",), "nope"),
        (("bdia:p=0.9",), "p is not a parameter of BDIA"),
        (("bdia(gamma='many words')",), "gamma='many words'"),
        (("no_such_module:Method",), "no_such_module"),
        (("bdia", "--html", "no/such/folder/page.html"), "make it first"),
        (("bdia", "--html", "."), "is a folder"),
    ],
)
def test_errors_are_one_line(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_page_in_the_terminal():
    page = run("bdia", "--proved-only").stdout
    growth = "-1 at zeta = -1: errors there grow over a run by (contraction of the flow)^1"
    for line in (
        "exactly invertible", "Proved for all parameters", "(1 - gamma)/(1 + gamma)", "Proved for gamma = 1", growth,
    ):  # fmt: skip
        assert line in page


def observed_order(solver):
    """dy/ds = -2 s y^2, y = 1/(s^2 + c), on equal steps with exact first states; the slope between 200 and 400 slots."""
    top, bottom, errors = 2.0, 0.5, []
    c = np.array([0.3, 1.0, 2.0])
    for n in (200, 400):
        grid = grids.uniform(schedules.edm(), n, t_max=top, t_min=bottom)
        exact = {k: 1 / (grid.sigma[k] ** 2 + c) for k in (n, n - 1, 0)}
        start = {"z_prev": exact[n], "z": exact[n - 1]}
        z = solve(solver, lambda z, t: -2 * t * z**2, grid, exact[n], start=start).z
        errors.append(np.linalg.norm(z - exact[0]))
    return np.log2(errors[0] / errors[1])


@pytest.mark.parametrize("seed", range(3))
def test_a_method_that_was_written_a_moment_ago(seed, tmp_path, monkeypatch):
    rng = np.random.default_rng(seed)
    a1 = int(rng.integers(-6, 12)) / 8  # dyadic, so that the text means the number
    b1 = int(rng.integers(-6, 7)) / 8 if seed % 2 else (a1 - 1) / 2
    text = METHOD.format(a0=1 - a1, a1=a1, b0=1 + a1 - b1, b1=b1)
    name = f"written_{seed}"
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = sheet(f"{name}:Method")["given"]
    companion = np.array([[0, 1], [a1, 1 - a1]])
    with np.errstate(over="ignore", invalid="ignore"):
        power = np.linalg.matrix_power(companion, 4000)
    stable = bool(np.isfinite(power).all() and np.abs(power).max() < 1e3)
    assert given["zero_stability"][0]["stable"] == stable
    if stable and abs(a1) < 1:
        namespace = {}
        exec(text, namespace)
        # A second term of the expansion is smaller by h, 1/133 here: slopes are that near to whole numbers.
        assert abs(observed_order(namespace["Method"]()) - given["order"]["uniform"]) < 0.1


def test_what_cannot_be_said_is_refused_with_a_reason():
    found = datasheet(EDICT(exchange=True), measured=False)
    assert isinstance(found, Datasheet)
    assert found.given.order is None
    assert "depends on its index" in found.given.refused["order"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_has_a_datasheet(name):
    found = datasheet(SOLVERS[name](), measured=False)
    assert found.given.order is not None
    assert found.given.zero_stability.stable
    assert found.given.order.zero_stable
    json.dumps(found.as_dict())


def test_a_comparison_without_rows_is_none():
    """Kills: "no differences" where nothing was held against anything."""
    assert summary([]) == "nothing to compare"


def test_undecided_rows_are_counted():
    """Kills: "no differences" of rows without a verdict."""
    rows = [Compared("NFE", "1", "1", True), Compared("order", "2", "1.5", None), Compared("order", "2", "1", False)]
    assert summary(rows[:1]) == "no differences"
    assert summary(rows[:2]) == "no differences, 1 of 2 rows undecided"
    assert summary(rows) == "1 difference, 1 of 3 rows undecided"


def test_a_docstring_proves_nothing():
    """Kills: "proved docs: 2" in a row that holds a docstring's claim against runs."""
    assert str(Compared("NFE, docstring", "docs: 2", "1 per step", False)) == "measured 1 per step; docs: 2; differs"
    assert str(Compared("NFE per step", "1", "1", True)) == "measured 1; proved 1; agrees"
