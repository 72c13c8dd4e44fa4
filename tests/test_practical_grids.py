"""What inverses do on the grids in use, which verdicts on equal steps and smooth grids do not tell."""

import numpy as np
import pytest

from bdia_numerics import BDIA, DDIM, EDICT, OBELM, analysis, datasheet, encode, grids, schedules
from bdia_numerics.analysis.lint.measure import LAW, states_at
from bdia_numerics.analysis.perturbation.growth import LIMIT, PRACTICAL, inverse_growth, inverse_growths, listed
from bdia_numerics.solvers import ALF, DPMSolverPP


def growth_by_hand(grid):
    """O-BELM's inverse for eps = J z of data of variance 1, as a product of 2 x 2 matrices on (z_i, z_{i-1}), typed from its formula."""
    a, s = grid.alpha, grid.sigma
    bar, J = s / a, s / (a**2 + s**2)
    product = np.eye(2)
    for i in range(1, grid.n):
        h, h_prev = bar[i - 1] - bar[i], bar[i] - bar[i + 1]
        ratio = (h_prev / h) ** 2
        # y_{i-1} = y_i + (h/h_prev)^2 (y_{i+1} - y_i + h_prev e_i) + h e_i, solved for y_{i+1}
        of_z = (1 - ratio) / a[i] - (h_prev + ratio * h) * J[i]
        product = np.array([[a[i + 1] * of_z, a[i + 1] * ratio / a[i - 1]], [1, 0]]) @ product
    return np.linalg.norm(product, 2)


@pytest.mark.parametrize("name", PRACTICAL)
def test_the_growth_of_o_belm_is_that_of_its_formula(name):
    grid = PRACTICAL[name](10)
    # Ten products of numbers up to 1e4, some of them differences of neighbours.
    assert inverse_growth(OBELM(), grid) == pytest.approx(growth_by_hand(grid), rel=1e-9)


def test_what_the_steps_ratios_do():
    """(h_N/h_1)^2 in all: thousands on grids with a short last slot, tens on the others; BDIA with gamma = 1 grows nowhere."""
    worst = inverse_growths(OBELM(), 10)
    assert worst["leading"] > 5000 and worst["Stable Diffusion"] > 1000 and worst["flow"] > 1000
    assert LIMIT < worst["trailing"] < 20
    for solver in (BDIA(1), ALF()):
        assert all(value < 1.5 for value in inverse_growths(solver, 10).values())
    assert inverse_growths(DPMSolverPP(), 10) == {}
    assert [*inverse_growths(BDIA(1), 1000)] == [
        "flow"
    ]  # the others have no 1000 slots after the first step of training
    assert inverse_growth(BDIA(0.5), PRACTICAL["trailing"](10)) == pytest.approx(2**9, rel=0.05)
    assert listed({"leading": 7808.3, "trailing": 8.84}) == "leading 7800 times, trailing 8.8"


@pytest.mark.parametrize(("name", "obelm", "ddim"), [("Stable Diffusion", 0.93, 0.14), ("leading", 2.0, 0.18)])
def test_its_latents_are_worse_than_those_of_ddim_inversion(name, obelm, ddim):
    """Three modes on the line, ten steps, against the exact flow; figures to a tenth, since draws differ."""
    grid = PRACTICAL[name](10)
    x = states_at(float(grid.t[0]), grid.schedule)
    truth = LAW.flow(x, grid.t[0], grid.t[grid.n], grid.schedule)

    def error(solver):
        return np.sqrt(np.mean((encode(solver, LAW.model(grid.schedule), grid, x).z - truth) ** 2))

    assert error(OBELM()) == pytest.approx(obelm, rel=0.1) and error(DDIM()) == pytest.approx(ddim, rel=0.1)
    assert error(BDIA(1)) < error(DDIM()) and error(ALF()) < error(DDIM()) / 4


# Lint


def amplifying(target, solver, **options):
    found = analysis.lint(target, solver=solver, dtype="float64", **options)
    return [finding for finding in found if finding.rule == "inverse-amplification"]


def test_lint_names_the_number_its_cost_and_a_solver_without_it():
    grid = PRACTICAL["leading"](10)
    (found,) = amplifying(grid, OBELM())
    assert found.severity == "error" and "enlarges errors 7800 times on this grid" in found.message
    assert found.cost.configured == pytest.approx(2.0, rel=0.1) and found.cost.remedied < 0.05
    assert found.remedy == "encode by a solver whose inverse does not, such as ALF"
    (found,) = amplifying({"beta_schedule": "scaled_linear", "steps_offset": 1}, OBELM(), steps=10)
    assert found.severity in ("error", "warning") and found.cost.configured > 0.5
    assert not amplifying(grid, BDIA(1)) and not amplifying(grid, ALF()) and not amplifying(grid, DDIM())


def test_lint_of_a_smooth_grid_looks_at_those_in_use():
    smooth = grids.asinh(schedules.vp_linear(), 10, t_min=0.001)
    assert inverse_growth(OBELM(), smooth) < LIMIT
    (found,) = amplifying(smooth, OBELM())
    assert found.severity == "note" and "leading 7800 times" in found.message
    assert not amplifying(smooth, BDIA(1))


def test_advice_fits_the_solver():
    (rough,) = [f for f in analysis.lint(PRACTICAL["leading"](10), solver=BDIA(1)) if f.rule == "rough-grid"]
    assert "for samples alone: its inverse enlarges errors" in rough.remedy
    for solver in (OBELM(), EDICT()):
        small = [f for f in analysis.lint(PRACTICAL["leading"](50), solver=solver) if f.rule == "small-dtype"]
        assert not any("gamma" in finding.remedy for finding in small)
    small = [f for f in analysis.lint(PRACTICAL["leading"](50), solver=BDIA(0.7)) if f.rule == "small-dtype"]
    assert small and all(f.remedy.endswith("or take gamma nearer to 1") for f in small)


# Datasheets, gamma, zero-stability


def test_the_datasheet_says_it():
    sheet = datasheet(OBELM(), measured=False)
    assert sheet.as_dict()["inverse_growth"][10]["leading"] == inverse_growth(OBELM(), PRACTICAL["leading"](10))
    page = {label: text for _, rows in sheet.sections() for label, text in rows}
    assert page["errors grow, 10 steps"].startswith("leading 7800 times, trailing 8.8, ")
    assert "latents are far from the ODE's" in page["beware"]
    for direction in ("sampling", "inverting"):
        assert page[f"stability, {direction}"] == (
            "zero-stable, on equal steps alone: the coefficients depend on the ratios of steps"
        )
    quiet = {label: text for _, rows in datasheet(BDIA(1), measured=False).sections() for label, text in rows}
    assert "beware" not in quiet and quiet["stability, inverting"] == "zero-stable"
    assert not datasheet(DDIM(), measured=False).inverse_growth


def test_zero_stability_on_a_pattern_names_the_pattern():
    verdict = analysis.zero_stability(OBELM(), "invert", pattern=(1, 2))
    assert str(verdict).endswith(", on steps 1, 2 in turn alone: the coefficients depend on the ratios of steps")
    assert analysis.zero_stability(BDIA(1), "invert", pattern=(1, 2)).steps == ""


def test_best_gamma_says_it():
    grid = PRACTICAL["trailing"](10)
    found = analysis.best_gamma(1.0, grid, target="both", dtype="float64")
    assert found.inverse_growth == inverse_growth(BDIA(found.gamma), grid)
    assert found.elsewhere == inverse_growths(BDIA(found.gamma), 10)
    assert f"(on other grids: {listed(found.elsewhere)})" in found.why


@pytest.mark.parametrize("kind", ["smooth", "alternating", "random"])
def test_grids_of_one_size_share_their_columns_and_not_their_plans(kind):
    one, other = (analysis.GridFamily(kind)(24, seed=3) for _ in range(2))
    assert one == other and one is not other and one._plans is not other._plans
    assert all(a is b for a, b in zip(one.whole, other.whole, strict=True))
    assert (analysis.GridFamily(kind)(24, seed=4) == one) is (kind != "random")
    assert analysis.GridFamily(kind)(24, seed=3, space="longdouble").alpha.dtype == np.longdouble
