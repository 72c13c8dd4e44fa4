"""The measured part of a datasheet: agreement with what is proved, and that a wrong claim shows."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from browser_checks import unset
from typer.testing import CliRunner

from bdia_numerics import (
    BDIA,
    DDIM,
    EDICT,
    SOLVERS,
    DPMSolver,
    datasheet,
    grids,
    problems,
    program,
    schedules,
    spaces,
)
from bdia_numerics.analysis import GridFamily, observed_order
from bdia_numerics.analysis.measurement.errors import error_over_ddim
from bdia_numerics.analysis.sheet.datasheet import law, measure
from bdia_numerics.analysis.sheet.proved import claimed, compared_order, compared_ratio
from bdia_numerics.cli import app
from bdia_numerics.pages.results import render

MINE = '''
class Mine:
    """Explicit Euler in sigma/alpha.

    Order     3
    NFE       2 per step
    """

    registers = ("z",)

    def step(self, s):
        (z,) = s.registers
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
'''


@pytest.fixture(
    scope="module",
    params=[BDIA(), DDIM(), pytest.param(EDICT(), marks=pytest.mark.slow)],
    ids=lambda x: type(x).__name__,
)
def sheet(request):
    return request.param, datasheet(request.param)


@pytest.mark.parametrize(
    ("limit", "half_width", "text"),
    [
        (1.23456, 0.02, "1.23 ± 0.02"),
        (-3e-8, 1e-6, "0.000000 ± 1e-06"),
        (0.33333, 0.3, "0.3 ± 0.3"),
        (0.24999, 8e-5, "0.24999 ± 8e-05"),
    ],
)
def test_a_ratio_has_the_digits_that_its_uncertainty_carries(limit, half_width, text):
    found = compared_ratio(SimpleNamespace(order=None, refused={}), SimpleNamespace(limit=limit, half_width=half_width))
    assert found.measured == text


@pytest.mark.parametrize(
    ("order", "half", "text"),
    [(2.4437, 15.52, "2 [-13, 18]"), (4.03, 0.27, "4.03 [3.76, 4.30]"), (1.234, 3.0, "1.2 [-1.8, 4.2]")],
)
def test_an_order_has_the_digits_that_its_band_carries(order, half, text):
    found = observed_order(DDIM(), problems.Gaussian([0.0], 1.0), steps=(8, 12, 16, 24, 32), states=2)
    made = replace(found, order=order, low=order - half, high=order + half)
    assert text in made.value


def test_proved_and_measured_agree(sheet):
    solver, found = sheet
    rows = {row.quantity: row for row in found.measured.compared}
    assert found.measured.differences == ()
    assert {"order on smooth grids", "order on alternating grids", "order on random grids", "NFE per step"} <= set(rows)
    assert rows["order on smooth grids"].agrees
    assert ("order, own start" in rows) == isinstance(solver, BDIA)
    trip = found.measured.trip
    exact = trip.inversion == "derived inverse"
    assert exact == found.invertibility.invertible == bool(trip.predicted) == bool(trip.needed)
    assert (trip.returned["float64"] < 1e-9) == exact and trip.inversion in dict(found.measured.rows())["inversion"]
    json.dumps(found.as_dict()["measured"]["compared"])


def test_the_page_shows_it(sheet):
    solver, found = sheet
    page = render(found, solver)
    assert page.count("data:image/svg+xml;base64,") == 3
    assert "no differences" in page
    assert unset(page) == []


def test_a_wrong_proof_and_a_wrong_constant_show():
    found = datasheet(DDIM(), measured=False)
    wrong = replace(
        found.given, order=replace(found.given.order, order_smooth=2, ddim_ratio=found.given.order.ddim_ratio / 2)
    )
    shown = measure(DDIM(), wrong, {})
    differing = {row.quantity: row for row in shown.differences}
    assert set(differing) == {"order on smooth grids", "error over DDIM's"}
    assert differing["order on smooth grids"].proved == "2"
    assert differing["order on smooth grids"].measured.startswith("1.00")
    assert "no reason known" in differing["error over DDIM's"].reason
    assert compared_order(found.given, shown.orders["smooth"], "smooth").agrees
    assert compared_ratio(found.given, shown.ratio).agrees


def test_a_solver_written_in_an_empty_folder_with_a_wrong_docstring(tmp_path, monkeypatch):
    (tmp_path / "just_written.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    result = CliRunner().invoke(app, ["datasheet", "just_written:Mine", "--html", "page.html", "--json"])
    assert result.exit_code == 0, result.stderr
    rows = {row["quantity"]: row for row in json.loads(result.stdout)["measured"]["compared"]}
    assert [name for name, row in rows.items() if row["agrees"] is False] == ["order, docstring", "NFE, docstring"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "2 differences" in page
    assert "Mine" in page


@pytest.mark.parametrize(("gamma", "limit"), [("1/2", 1 / 3), ("9/10", 1 / 19), ("1", 0)])
def test_the_ratio_of_bdia(gamma, limit):
    from bdia_numerics import names

    found = error_over_ddim(names.solver(f"bdia:gamma={gamma}"), law(), GridFamily(), states=8)
    assert abs(found.limit - limit) < 1e-4  # terms in 1/N^3 at N = 48: 1e-5
    assert found.half_width < 1e-3


def test_ratios_need_levels():
    with pytest.raises(ValueError, match="at least 5"):
        error_over_ddim(DDIM(), law(), GridFamily(), steps=(16, 32))
    own = error_over_ddim(DDIM(), law(), GridFamily(), steps=(8, 12, 16, 24, 32), states=2)  # as few as are fitted
    assert own.limit == pytest.approx(1, abs=1e-9) and own.half_width < 1e-9 and own.alignment == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", {3}),
        ("2 for gamma = 1 on smooth grids, else 1 with (1-gamma)/(1+gamma) of DDIM's error", {1, 2}),
        ("`order`: 1, 2 or 3", set()),
        ("that of the base", set()),
    ],
)
def test_numbers_of_a_docstring(text, numbers):
    assert claimed(text) == numbers


def test_peak_counts_arrays():
    grid = grids.uniform(schedules.vp_linear(), 4)
    plans = {
        n: program.make_plan(program.record_run(SOLVERS[n](), DDIM(), grid), spaces.FLOAT64)
        for n in ("DDIM", "BDIA", "RK4")
    }
    # DDIM: the caller's z, eps and the new z. BDIA writes over z_prev, but holds z, eps and the caller's z at first.
    assert plans["DDIM"].peak == 3
    assert plans["DDIM"].peak < plans["BDIA"].peak <= plans["RK4"].peak


def test_a_stage_in_the_log_snr_is_measured_above_clean_data():
    """Its middle is infinite at sigma = 0: the four rows are those of a grid that ends above, and each says so."""
    from bdia_numerics.analysis.sheet.datasheet import counted_evaluations, float_trip, last_time, registers_and_arrays

    t_min, end = last_time(DPMSolver(2))
    assert t_min > 0
    grid = grids.uniform(schedules.vp_linear(), 50, t_min=t_min)
    assert end == f"on a grid that ends at sigma = {float(grid.sigma[0]):.2g}, not at 0"
    assert counted_evaluations(DPMSolver(2), t_min) == {"run": 100, "step": 2}
    assert registers_and_arrays(DPMSolver(2), grid)["registers"] == 1
    assert registers_and_arrays(EDICT(), grid) == {"registers": 2, "peak": 4, "peak_inverse": 5}
    assert 0 < float_trip(DPMSolver(2), grid).returned["float64"] < 0.1
    for other in (DDIM(), BDIA(), EDICT()):
        assert last_time(other) == (None, "")
