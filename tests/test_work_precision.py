"""Work-precision tables: equal evaluations, errors that are those of plain runs, times apart; the commands and the figures."""

import json
import math
import time
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from typer.testing import CliRunner

from bdia_numerics import BDIA, DDIM, EDICT, PLMS, Heun, problems
from bdia_numerics.analysis import GridFamily, global_error, work_precision
from bdia_numerics.cli import app
from bdia_numerics.models import Predicting
from bdia_numerics.plots import orders as drawing

LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
RUN = CliRunner()
FAMILY = GridFamily()


def test_equal_evaluations():
    found = work_precision([DDIM(), BDIA(1), EDICT(), Heun()], {"law": LAW}, {"smooth": FAMILY}, (1, 10, 21), repeats=1)
    by_solver = {name: [(r.steps, r.nfe) for r in found.select(solver=name)] for name in found.labels("solver")}
    ddim, bdia, edict, heun = by_solver.values()
    assert ddim == [(1, 1), (10, 10), (21, 21)]
    assert bdia == [(10, 10), (21, 21)]  # one slot is DDIM's, not its own
    assert edict == heun == [(5, 10), (10, 20)]  # two a step: half as many, and never more than is paid for
    for row in found.rows:
        solver = {r.solver: s for r, s in zip(found.select(steps=10), (DDIM(), BDIA(1), EDICT(), Heun()), strict=False)}
        if row.steps == 10:
            expected = global_error(solver[row.solver], LAW, FAMILY(10), start="own").error
            assert row.error == pytest.approx(expected, rel=1e-12, abs=0)
        assert row.status == "ok" and row.seconds > 0 and row.setup >= 0


def test_the_models_time_is_told_apart():
    class Slow:
        sample, flow = LAW.sample, LAW.flow

        def model(self, schedule):
            own = LAW.model(schedule)

            def model(z, t):
                time.sleep(0.002)
                return own(z, t)

            return Predicting(model, "eps")

    (row,) = work_precision({"DDIM": DDIM()}, {"slow": Slow()}, {"smooth": FAMILY}, (10,), repeats=3).rows
    assert row.model_seconds >= 0.02  # ten evaluations that sleep for 2 ms
    assert row.seconds >= row.model_seconds > row.own_seconds > 0


def test_a_run_is_timed_as_often_as_is_said_and_once_before():
    """Each run looks at the clock at its ends, and at those of its evaluations."""
    ticks = count()
    found = work_precision([DDIM()], {"p": LAW}, {"g": FAMILY}, slots=(5,), repeats=2, clock=lambda: float(next(ticks)))
    assert next(ticks) == 3 * (2 + 2 * 5)
    assert [(row.seconds, row.setup) for row in found.rows] == [(11, 0)]  # the first took as long as the others


def test_interpolation_and_labels():
    found = work_precision({"a": DDIM()}, {"p": LAW}, {"g": FAMILY}, slots=(10, 40), repeats=1)
    low, high = (r.error for r in found.rows)
    where = {"solver": "a", "problem": "p", "grid": "g"}
    assert found.error_at(20, **where) == pytest.approx(math.sqrt(low * high), rel=1e-12, abs=0)
    assert math.isnan(found.error_at(9, **where)) and math.isnan(found.error_at(41, **where))
    exact = replace(found, rows=(replace(found.rows[0], nfe=5, error=0.0), *found.rows))  # has no logarithm
    assert exact.error_at(20, **where) == found.error_at(20, **where) and math.isnan(exact.error_at(9, **where))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slots": (4,)}, "nfe=(4,) and slots=(4,): pass one of them"),
        ({"nfe": (0,)}, "nfe=(0,)"),
        ({"repeats": 0}, "repeats=0"),
        ({"nfe": ()}, "nfe=()"),
        ({"problems": {}}, "problems is empty"),
    ],
)
def test_bad_input_is_named(options, message):
    given = {"problems": {"p": LAW}, "grids": {"g": FAMILY}, "nfe": (4,), **options}
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        work_precision([DDIM()], **given)


def test_two_solvers_of_one_name_need_labels():
    """Functions of the slot that are written in place have no names of their own: the last one alone was run."""
    constant, none = BDIA(lambda slot: 1), BDIA(lambda slot: 0)
    with pytest.raises(ValueError, match=r"two that are called BDIA\(gamma=.*lambda.*: pass a dict from labels"):
        work_precision([constant, none], {"p": LAW}, {"g": FAMILY}, (8,))
    found = work_precision({"a": constant, "b": none}, {"p": LAW}, {"g": FAMILY}, (8,), repeats=1, states=2)
    assert found.labels("solver") == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--solver", "BDA"], "solver='BDA' is unknown"),
        (["--solver", "BDIA("], "is not a solver"),
        (["--solver", "BDIA(gama=1)"], "gama is not a parameter of BDIA"),
        (["--solver", "nowhere_at_all:X"], "cannot be imported"),
        (["--family", "rough"], "family='rough'"),
        (["--distribution", "cat"], "distribution='cat'"),
        (["--schedule", "cat"], "schedule='cat'"),
        (["--t-max", "far"], "--t-max=far"),
        (["--steps", "8,x"], "--steps=x"),
        (["--solver", "DDIM", "--family", "smooth", "--figure", "nowhere/x.png"], "there is not a folder"),
        (["--solver", "DDIM", "--family", "smooth", "--figure", "x.gif"], "end its name in .png"),
    ],
)
def test_converge_says_what_is_wrong_in_one_line(arguments, message):
    result = RUN.invoke(app, ["converge", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_converge(tmp_path):
    path = tmp_path / "orders.pdf"
    arguments = [
        "converge",
        "--solver",
        "BDIA",
        "--solver",
        "OBELM",
        "--states",
        "4",
        "--max-steps",
        "128",
        "--proved",
        "--figure",
        str(path),
    ]
    result = RUN.invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["orders"]
    assert [(r["label"], round(r["order"]), r["proved"], r["agrees"]) for r in rows] == [
        ("BDIA", 2, 2, True), ("BDIA", 1, 1, True), ("OBELM", 2, 2, True), ("OBELM", 2, 2, True),
    ]  # fmt: skip
    assert path.read_bytes().startswith(b"%PDF")
    shown = RUN.invoke(
        app, ["converge", "--solver", "DDIM", "--family", "smooth", "--states", "4", "--max-steps", "128"]
    )
    assert "1.00" in shown.stdout and "n = " in shown.stdout


def test_work_precision_command(tmp_path):
    path = tmp_path / "work.png"
    arguments = [
        "work-precision",
        "--solver",
        "BDIA",
        "--solver",
        "EDICT",
        "--nfe",
        "10,20",
        "--repeats",
        "1",
        "--figure",
        str(path),
    ]
    result = RUN.invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    assert [(r["solver"], r["nfe"]) for r in json.loads(result.stdout)["rows"]] == [
        ("BDIA", 10), ("BDIA", 20), ("EDICT", 10), ("EDICT", 20),
    ]  # fmt: skip
    assert path.read_bytes().startswith(b"\x89PNG")
    assert RUN.invoke(app, ["work-precision", "--nfe", "ten"]).exit_code == 2
    assert "EDICT" in RUN.invoke(app, arguments[:-2]).stdout


def test_the_figure_shows_what_counts_and_what_does_not():
    from bdia_numerics.analysis import observed_order

    order = observed_order(DDIM(), LAW, steps=(1, 8, 16, 24, 32, 48), states=4)
    figure = drawing.convergence([("DDIM", order)])
    (ax,) = figure.axes
    every, counted = ax.get_lines()
    assert list(every.get_xdata()) == [level.steps for level in order.levels]
    assert list(counted.get_xdata()) == list(order.steps_used)
    assert np.allclose(every.get_ydata(), [level.error for level in order.levels])


def test_a_budget_pays_for_the_start_too():
    """Heun's step at the start of PLMS takes two evaluations, and what is left pays for one a step."""
    found = work_precision([PLMS(2)], {"p": LAW}, {"g": FAMILY}, (12, 13), repeats=1, states=1)
    assert [(row.steps, row.nfe) for row in found.rows] == [(11, 12), (12, 13)]


def test_budgets_that_pay_for_no_step_are_named():
    with pytest.raises(ValueError, match=r"nfe=\(1,\): they pay for no step"):
        work_precision([EDICT()], {"p": LAW}, {"g": FAMILY}, (1,))
