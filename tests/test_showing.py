"""What results show of themselves: in a line, in notebooks, in pandas, as pages and as figures; and the printer of expressions."""

import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec

import matplotlib as mpl
import numpy as np
import pytest
import sympy

from bdia_numerics import (
    BDIA,
    DDIM,
    EDICT,
    OBELM,
    SOLVERS,
    analysis,
    claims,
    datasheet,
    grids,
    problems,
    schedules,
    solve,
)
from bdia_numerics.formulas import expression
from bdia_numerics.program import step_latex, symbolised
from bdia_numerics.spaces import showing
from bdia_numerics.studies import run
from bdia_numerics.studies.gamma_map import MAP
from bdia_numerics.testing import certify

mpl.use("Agg")
VP = schedules.vp_linear()
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
GRID = grids.uniform(VP, 8, t_max=1, t_min=0.1)
LEADING = analysis.LeadingError(2, 0.5, 0.1, 0.0, 0.0, 1e-6, np.linspace(0.01, 0.99, 21), np.linspace(1, 2, 21))
NFE = (4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 30)


def work():
    named = {"DDIM": DDIM(), "EDICT": EDICT()}
    return analysis.work_precision(
        named, {"mixture": LAW}, {"uniform": lambda n: grids.uniform(VP, n, t_min=0.1)}, NFE, states=4, repeats=1
    )


@pytest.fixture(scope="module")
def results():
    config = {
        "clip_sample": True,
        "steps_offset": 0,
        "set_alpha_to_one": False,
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": 1000,
    }
    config |= {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "epsilon"}
    study = MAP.config(grids=("leading", "trailing"), gammas=(0.0, 1.0), steps=(4, 8), states=8)
    return {
        "order": analysis.observed_order(BDIA(), LAW, states=4, steps=(16, 24, 32, 48, 64)),
        "work": work(),
        "region": analysis.stability_region(DDIM(), resolution=41),
        "budget": analysis.error_budget(BDIA(), LAW, GRID, states=3),
        "error": analysis.global_error(BDIA(), LAW, GRID, states=3),
        "gamma": analysis.best_gamma(LAW, GRID),
        "map": run(MAP, study).bdia,
        "sheet": datasheet(BDIA(), measured=False),
        "symbolic": analysis.symbolic_order(symbolised(BDIA())),
        "findings": analysis.lint(config, steps=10),
        "ledger": claims.Ledger(claims.decide(["eq-1", "eq-34"])),
        "amplification": analysis.amplification(BDIA(), GRID, "invert"),
        "local": analysis.local_truncation_error(BDIA(), LAW, GRID, states=3),
        "leading": LEADING,
        "loss": analysis.round_trip_error(BDIA(), GRID),
        "requirement": analysis.required_dtype(BDIA(), GRID, 1e-3),
        "stability": analysis.zero_stability(BDIA()),
        "certified": certify(BDIA(), ["nfe=1", "nfe=2"]),
        "grid": grids.uniform(VP, 200, t_min=0.1),
        "solution": solve(BDIA(), lambda z, t: z / 2, GRID, np.zeros((64, 2))),
    }


DRAWN = (
    "order",
    "work",
    "region",
    "budget",
    "error",
    "gamma",
    "map",
    "amplification",
    "local",
    "leading",
    "loss",
    "requirement",
)


def test_a_result_is_a_few_short_lines(results):
    for name, found in results.items():
        text = repr(found)
        assert len(text.splitlines()) <= 9 and len(text) < 1600, name
    assert "z=float64 array of shape (64, 2)" in repr(results["solution"])
    assert repr(results["sheet"]).startswith("Datasheet of BDIA(gamma=1") and "gamma != 0" in repr(results["sheet"])
    many = showing.Listing(range(30))
    assert (
        repr(many).splitlines()[-1] == "and 22 more" and many == tuple(range(30)) and repr(showing.Listing()) == "none"
    )


def test_a_notebook_gets_tables_with_formulas(results):
    pages = {name: found._repr_html_() for name, found in results.items()}
    assert all(page.count("<table>") == page.count("</table>") > 0 for page in pages.values())
    assert r"$\frac{1 - \gamma}{1 + \gamma}$" in pages["symbolic"]
    assert "clip-sample" in pages["findings"] and "eq-34" in pages["ledger"]
    assert pages["map"].count("<tr>") == 1 + len(results["map"].to_pandas())
    assert "and 1621 more rows" in pages["region"]
    assert "<script>" not in showing.resolve_name("bdia_numerics.pages.results:fragment")(
        showing.Listing([Bad("<script>")])
    )


@dataclass(frozen=True, repr=False)
class Bad(showing.Shown):
    """A result whose text would be code on a page."""

    text: str


def test_a_table_of_pandas_has_the_numbers(results):
    work, found = results["work"], results["work"].to_pandas()
    assert found["error"].tolist() == [row.error for row in work.rows] and len(found) == len(work.rows)
    budget = results["budget"].to_pandas()
    assert budget["share"].sum() + results["budget"].start_share == pytest.approx(1)
    levels = results["order"].to_pandas()
    assert levels["steps"].tolist() == [16, 24, 32, 48, 64]
    assert set(results["sheet"].to_pandas()["part"]) >= {"Proved for all parameters", "Proved for gamma = 1"}


def test_columns_of_a_table_are_those_of_the_result(results):
    found, table = results["amplification"], results["amplification"].to_pandas()
    assert table["slot"].tolist() == found.slots.tolist() and table["growth so far"].iloc[-1] == found.total
    assert table["growth to the end"].tolist() == found.injected.tolist()
    assert results["loss"].to_pandas().set_index("dtype")["error"].to_dict() == dict(results["loss"].errors)
    assert results["local"].to_pandas()["rms"].tolist() == results["local"].rms.tolist()
    assert results["certified"].to_pandas()["verdict"].tolist() == ["measured", "failed"]


def test_an_enclosure_is_drawn_as_the_boxes_that_hold_the_error():
    pytest.importorskip("flint")
    from matplotlib import pyplot as plt

    found = analysis.enclose_error(DDIM(), LAW, grids.uniform(VP, 2, t_min=0.1), (-0.5, 0.5), budget=8)
    boxes = [patch.get_bbox() for patch in found.plot().patches]
    for bar, (((low, high),), (error,)) in zip(boxes, found.pieces, strict=True):
        assert (bar.x0, bar.x1) == pytest.approx((float(low), float(high)))
        assert (bar.y0, bar.y1) == pytest.approx((float(error.lower()), float(error.upper())))
    assert len(found.to_pandas()) == len(boxes) and len(repr(found)) < 400
    plt.close("all")


def test_no_findings_are_said_to_be_none():
    found = analysis.lint(GRID)
    assert len(found) == 0 and found._repr_html_() == "<p>none</p>"


def test_where_a_result_cannot_be_shown_is_said(results, tmp_path):
    for path, words in ((tmp_path, "is a folder: give"), (tmp_path / "no" / "a.html", "there is not a folder")):
        with pytest.raises(ValueError, match=words) as error:
            results["order"].to_html(path)
        assert str(error.value).startswith(f"path={path}")
    with pytest.raises(TypeError, match=r"path=None is not a path: pass one such as 'result.html'"):
        results["order"].to_html(None)
    with pytest.raises(TypeError, match="ax=3 is not a pair of axes: pass one of matplotlib"):
        results["order"].plot(3)


def test_a_page_is_one_file(results, tmp_path):
    for name in ("order", "findings", "sheet"):
        results[name].to_html(tmp_path / f"{name}.html")
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert page.startswith("<!DOCTYPE html>") and "http://" not in re.sub(r"http://www\.w3\.org", "", page)
        assert ("data:image/svg+xml" in page) == (name == "order")
    assert "Derived inverse" in (tmp_path / "sheet.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DRAWN)
def test_what_was_measured_can_be_drawn_into_given_axes(results, name):
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots()
    assert results[name].plot(ax) is ax and ax.has_data() and ax.get_xlabel()
    alone = results[name].plot()
    assert alone.figure is not figure
    plt.close("all")


def test_a_convergence_has_its_interval_and_the_slopes_beside_it(results):
    from matplotlib import pyplot as plt

    ax, found = results["order"].plot(), results["order"]
    labels = ax.get_legend_handles_labels()[1]
    assert {"slope 2", "slope 3", "its interval"} <= set(labels)
    (n, e) = next(line for line in ax.get_lines() if line.get_label() == "slope 2").get_data()
    assert np.log(e[0] / e[1]) / np.log(n[1] / n[0]) == pytest.approx(2)
    band = ax.collections[0].get_paths()[0].vertices
    first = band[band[:, 0] == 16][:, 1]
    end = found.levels[-1]
    assert {*first.round(12)} == {round(end.error * 4**slope, 12) for slope in (found.low, found.high)}
    plt.close("all")


def test_a_region_has_one_scale_and_work_all_its_points(results):
    from matplotlib import pyplot as plt

    assert results["region"].plot().get_aspect() == 1
    lines = {line.get_label(): line for line in results["work"].plot().get_lines()}
    assert len(lines["DDIM"].get_xdata()) == len(NFE)
    plt.close("all")


def test_without_matplotlib_a_figure_says_what_to_install(results, monkeypatch):
    monkeypatch.setattr(showing, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    with pytest.raises(ImportError, match=r"plot needs matplotlib: pip install 'bdia_numerics\[report\]'"):
        results["order"].plot()


def test_a_solver_shows_its_step_and_its_inverse():
    for make in SOLVERS.values():
        assert callable(make._repr_latex_)
    text = BDIA()._repr_latex_()
    assert text.count("$") == 4 and r"\text{inverse}" in text and r"\frac{1}{\gamma}" in text
    assert r"\text{inverse}" not in DDIM()._repr_latex_()
    assert analysis.symbolic_order(OBELM())._repr_latex_().startswith("$")
    assert "sympy" in sys.modules


def test_a_prime_tells_states_apart_and_leaves_their_times():
    class Coupled:
        registers = ("i_x", "i_y")
        output = "i_x"

        def step(self, s):
            x, y = s.registers
            s.assign(x, x + s.eps(y), at=s.i - 1)
            s.assign(y, y + s.eps(x), at=s.i - 1)

    text = step_latex(Coupled())
    assert "i'_{i-1} &=" in text and "i'-1" not in text


gamma, zeta, h, p, a, b = sympy.symbols("gamma zeta h_{i-1} p gamma1 gamma2")
CASES = {
    (gamma - 1) / (-1 - gamma): ("(1 - gamma)/(1 + gamma)", r"\frac{1 - \gamma}{1 + \gamma}"),
    sympy.factor((1 - gamma) / (2 * gamma + 2)): ("(1 - gamma)/(2 (1 + gamma))", r"\frac{1 - \gamma}{2 \left(1 + \gamma\right)}"),
    2 * p - 1: ("2 p - 1", "2 p - 1"),
    sympy.factor((zeta - 1) * (gamma + zeta)): ("(zeta + gamma) (zeta - 1)", r"\left(\zeta + \gamma\right) \left(\zeta - 1\right)"),
    -gamma / 2: ("-gamma/2", r"-\frac{\gamma}{2}"),
    h**2 / gamma**2: ("h_{i-1}^2/gamma^2", r"\frac{h_{i-1}^{2}}{\gamma^{2}}"),
    4 * sympy.sqrt(65) / 75: ("4 sqrt(65)/75", r"\frac{4 \sqrt{65}}{75}"),
    sympy.Integer(0): ("0", "0"),
    sympy.Rational(-5, 12): ("-5/12", r"-\frac{5}{12}"),
    -(a - b - 1) * (a + b): (
        "(gamma1 + gamma2) (1 - gamma1 + gamma2)",
        r"\left(\gamma_1 + \gamma_2\right) \left(1 - \gamma_1 + \gamma_2\right)",
    ),
    sympy.CRootOf(p**3 - 4 * p**2 + 12 * p - 24, 0): ("2.78529", "2.78529"),
    sympy.Ne(p, 0): ("p != 0", r"p \neq 0"),
    sympy.And(gamma > 0, gamma <= 1): ("gamma <= 1 and gamma > 0", r"\gamma \le 1\text{ and }\gamma > 0"),
    gamma * sympy.Symbol("y''") * (1 + h): ("gamma (1 + h_{i-1}) y''", r"\gamma \left(1 + h_{i-1}\right) y''"),
    sympy.log(gamma) * p: ("p log(gamma)", r"p \log(\gamma)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_expression_stands_as_in_texts(case):
    assert (expression(case), expression(case, tex=True)) == CASES[case]


def test_what_is_printed_is_what_was_meant():
    """Read back, each text is the expression: a sign or a bracket that is lost would change it."""
    names = {str(s): s for s in (gamma, zeta, p, a, b)} | {"sqrt": sympy.sqrt}
    rng, at = (
        np.random.default_rng(0),
        dict(zip((gamma, zeta, p, a), sympy.sympify("3/7, 5/11, 2/13, 11/17"), strict=True)),
    )

    def some():
        return sum(int(k) * x for k, x in zip(rng.integers(-3, 4, 4), (1, gamma, zeta, p * a), strict=True))

    for _ in range(40):
        value = some() * some() ** 2 * int(rng.integers(1, 9)) / (some() * p + 7) / gamma / int(rng.integers(1, 9))
        text = expression(value)
        assert "*" not in text
        product = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text).replace("^", "**")
        assert sympy.sympify(product, names).subs(at) == value.subs(at), text
