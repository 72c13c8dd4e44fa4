"""`analysis.design`: families that it finds by itself, what it predicts of their members, and what it refuses."""

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sympy
from typer.testing import CliRunner

from bdia_numerics import cli, grids, problems, schedules
from bdia_numerics.analysis import design, leading_error, multistep, order_on_pattern, symbolic_order, zero_stability
from bdia_numerics.analysis.designing.families import SolverFamily
from bdia_numerics.analysis.designing.flow import GaussianFlow
from bdia_numerics.analysis.designing.search import MOST_FREE, Design, Search, bounded
from bdia_numerics.analysis.designing.templates import Increments
from bdia_numerics.runs.solving import invert, solve
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, OBELM, Heun, Leapfrog, SymmetricMultistep

VP, EDM = schedules.vp_linear(), schedules.edm()
EVEN = schedules.vp_cosine(0)  # steps equal in t are equal in the angle
VARIANCE = Fraction(1, 4)
LAW = problems.Gaussian([0.0], 0.25)
Z = np.linspace(-1.5, 1.5, 5)[:, None]


@dataclass(frozen=True)
class TwoStages:
    """A Runge-Kutta step, which has no exact inverse."""

    weights: tuple = sympy.symbols("b_1 b_2")
    variable: str = "sigma_bar"
    registers = ("z",)

    def step(self, s):
        (z,), (first, second) = s.registers, map(s.value, self.weights)
        e = s.eps(z)
        stage = s.scratch(z + s.delta(s.i, s.i - 1, z, e), at=s.i - 1)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, first * e + second * s.eps(stage)), at=s.i - 1)


@dataclass(frozen=True)
class Adams:
    """The two-step method of Adams and Bashforth in t: the older slope is overwritten, which is a root 0."""

    weights: tuple = sympy.symbols("b_1 b_0")
    variable: str = "t"
    registers = ("z", "older")
    evaluations = {"older": "velocity"}  # noqa: RUF012
    starter = Heun("t")

    def step(self, s):
        (z, older), (now, before) = s.registers, map(s.value, self.weights)
        h, v = s.t(s.i - 1) - s.t(s.i), s.scratch(s.velocity(z, s.eps(z)))
        s.assign(z, z + h * (now * v + before * older), at=s.i - 1)
        s.assign(older, v, at=s.i)


@cache
def four():
    """Return the methods of four steps and order 4, with a bound."""
    return design("four-step", order=4, schedule=VP, steps=8, at_most_amplification=10)


def test_the_family_of_four_steps_is_found():
    (family,) = four().families
    (a,) = family.free
    c = a / 2
    wanted = {
        "a_0": -1, "a_1": -2 * c, "a_2": 0, "a_3": 2 * c, "b_1": (8 + 2 * c) / 3, "b_2": (8 * c - 4) / 3, "b_3": (8 + 2 * c) / 3,
    }  # fmt: skip
    assert {str(x): sympy.expand(w) for x, w in family.weights.items()} == {
        k: sympy.expand(w) for k, w in wanted.items()
    }
    ((element, constant),) = family.leading[1].items()
    assert element == (0, 5) and sympy.cancel(constant - (14 - c) / (180 * (1 + c))) == 0
    assert family.stability("invert").condition.as_set() == sympy.Interval.open(-2, 2)
    assert r"b_3 &= \frac{8 + a_3}{3}" in family.latex
    assert four().to_pandas().shape[0] > 10 and "leading error" in four()._repr_html_()


def test_the_best_has_the_least_error_within_the_bound():
    found, best = four(), four().best
    inside = [m for m in found.members if m.worst <= 10]
    assert best in inside and best.error == min(m.error for m in inside) and best in found.pareto
    assert 9 < best.worst == max(best.amplification.values())
    pairs = [(m.error, m.worst) for m in found.pareto]
    assert len(pairs) > 5 and pairs == sorted(pairs) and sorted(pairs, key=lambda p: p[1]) == pairs[::-1]
    (a,) = found.families[0].free
    for m in found.members:
        assert abs(m.weights[a]) < 2
        assert any(e <= m.error and w <= m.worst for e, w in pairs)


def test_a_solver_that_was_found_is_one_as_any_other():
    found = four()
    solver, grid = found.best.solver, found.grid
    assert symbolic_order(solver).order_uniform == 4 and zero_stability(solver, "invert").stable
    a = found.best.weights[found.families[0].free[0]]
    there = solve(solver, LAW.model(VP), grid, Z)
    known = SymmetricMultistep(4, Fraction(int(a.p), 2 * int(a.q)), variable="angle")
    assert np.abs(there.z - solve(known, LAW.model(VP), grid, Z).z).max() < 1e-12
    assert np.abs(invert(solver, LAW.model(VP), grid, there.state).z - Z).max() < 1e-13


def test_o_belm_and_bdia_are_among_the_methods_of_two_steps():
    even = design("two-step", order=2, schedule=EDM, steps=8)
    assert even.best.solver.a == (-1, 0) and even.best.solver.b == (2,)
    assert {"OBELM(variable='sigma_bar')", "BDIA(gamma=1, allow_any=False)"} <= set(even.same())
    found = design("two-step", order=2, schedule=EDM, steps=8, order_on="rough")
    assert found.same() == ["OBELM(variable='sigma_bar')"]
    assert found.as_dict()["families"][0]["weights"]["a_0"] == "-1/w_1**2"
    grid = grids.alternating(VP, 9, t_max=0.6, t_min=0.1)
    first, second = (solve(s, LAW.model(VP), grid, Z, start=Heun()).z for s in (found.best.solver, OBELM()))
    assert np.abs(first - second).max() < 1e-13 and order_on_pattern(found.best.solver, (1, 2)).order == 2
    increments = design("increments", order=2, schedule=VP, steps=8, order_on="smooth")
    assert increments.best.solver == Increments((1, 0, -1, 1)) and "BDIA(gamma=1, allow_any=False)" in increments.same()


def test_parameters_of_solvers_are_found():
    """Fact 13: CBDIA is of order 2 on the line gamma_1 + gamma_2 = 1; BDIA at gamma = 1 alone."""
    first, second = sympy.symbols("gamma1 gamma2")
    line = design(CBDIA(first, second, allow_any=True), order=2, schedule=EDM, steps=6, stable="sample")
    (family,) = line.families
    assert sympy.expand(sum(family.weights.values())) == 1
    assert design(BDIA(first), order=2, schedule=VP, steps=6, order_on="smooth").best.solver == BDIA(1)


@pytest.mark.parametrize(
    ("solver", "schedule", "variable"),
    [(Leapfrog("angle"), EVEN, "t"), (CBDIA(0, 1), EDM, "sigma_bar")],
    ids=["leapfrog", "CBDIA"],
)
def test_the_predicted_error_is_that_of_the_quadrature_for_any_solver(solver, schedule, variable):
    """Leapfrog has a root -1; the output of CBDIA is displaced from what its mean does. First states are exact."""
    ends = {"t_max": Fraction(9, 10), "t_min": Fraction(1, 10)}
    grid = grids.alternating(schedule, 100, ratio=1, variable=getattr(solver, "variable", "sigma_bar"), **ends)
    (found,) = Search(SolverFamily(solver, {}, 2), ("sample",), True, grid, 0.25, lambda: None).members(None)
    wanted = leading_error(solver, LAW, schedule, 1.0, variable=variable, rtol=1e-3, **ends)
    exact = LAW.flow(np.ones((1, 1)), 0.9, 0.1, schedule).item()
    assert found.error * 100**2 == pytest.approx(abs((wanted.coefficient - wanted.start) / exact), rel=1e-4)


def test_predictions_agree_with_runs():
    found = design("two-step", order=2, schedule=VP, steps=60)
    assert found.measured(found.best) == pytest.approx(found.best.error, rel=0.05)


def test_where_alpha_is_in_the_weights_an_error_is_that_of_a_run():
    """Its leading term for alpha = 1 is too small by a third, or by two fifths."""
    ends = {"t_max": Fraction(6, 10), "t_min": Fraction(1, 10)}
    for schedule in (VP, schedules.flow()):
        found = design(BDIA(sympy.Symbol("g")), order=2, schedule=schedule, steps=40, order_on="smooth", **ends)
        wanted = leading_error(BDIA(1), LAW, schedule, 1.0, variable="sigma_bar", rtol=1e-3, **ends)
        exact = LAW.flow(np.ones((1, 1)), 0.6, 0.1, schedule).item()
        assert found.best.error == pytest.approx(abs((wanted.coefficient - wanted.start) / exact) / 40**2, rel=0.05)
        assert "leading error for alpha = 1" in dict(found.said())


REFUSED = {
    "order 2 is the highest: ask for that": {"order": 3, "order_on": "rough"},
    "has no free weights: give sympy symbols": {"template": BDIA(1)},
    "is not exactly invertible: to undo the step": {"template": TwoStages()},
    "order=3: no weights of TwoStages": {"template": TwoStages(), "order": 3, "stable": "sample", "invertible": False},
    "no weights of order 6 are zero-stable in both directions": {"template": multistep("four-step", symmetric=True), "order": 6},
    "at_most_amplification=1.1: the least that was found is": {"at_most_amplification": 1.1},
    "leaves the weights a_1, a_2, a_3, b_2, b_3 free": {"template": "four-step", "order": 1, "stable": None},
    "template='six-step' is unknown": {"template": "six-step"},
    "stable='one way' is unknown": {"stable": "one way"},
    "order=0 is not an order of a solver": {"order": 0},
    "has alpha in its weights": {"template": "increments"},
    "variable='log_snr' is unknown: use one of sigma_bar, t, angle": {"template": TwoStages(variable="log_snr")},
    "takes steps in t, and errors would be of steps equal in sigma_bar": {"template": Adams(variable="sigma_bar")},
    "errors are compared on equal steps alone": {"template": "increments", "order": 1, "order_on": "smooth"},
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_found_is_refused_in_a_line(said):
    given = {"template": "two-step", "order": 2, "schedule": VP, "steps": 6} | REFUSED[said]
    with pytest.raises(ValueError, match=r"\A.*\Z") as error:
        design(**given)
    assert said in str(error.value)


def test_as_many_free_weights_as_are_allowed_are_searched(monkeypatch):
    """Members of a lattice of three weights; that each is refused saves their errors."""
    monkeypatch.setattr(Search, "_stands", lambda *_: False)
    a = sympy.symbols(f"a:{MOST_FREE}")
    family = SolverFamily(multistep("two-step"), dict(zip(a, a, strict=True)), 1)
    assert len(family.free) == MOST_FREE
    grid = grids.alternating(VP, 6, ratio=1, variable="angle")
    assert Search(family, ("sample",), True, grid, 0.25, lambda: None).members(None) == []


def test_a_place_where_the_error_is_infinite_does_not_stand():
    """Although the roots are as wanted."""
    w, zeta = sympy.symbols("w zeta")
    family = SimpleNamespace(free=[w], roots=zeta - 1, leading=(2, {(0, 1): 1 / w}, {}), restricted=lambda _: family)
    family.member, family.weights = DDIM(), {}
    search = Search(family, ("sample",), True, None, 0.25, lambda: None)
    assert [search._stands((place,)) for place in (Fraction(1), Fraction(0))] == [True, False]


def test_of_two_members_that_grow_alike_the_one_of_less_error_is_kept():
    members = [SimpleNamespace(error=e, worst=w) for e, w in ((3, 4), (1, 5), (2, 5), (4, 6))]
    assert [m.error for m in Design.pareto.fget(SimpleNamespace(members=members))] == [1, 3]


def test_finer_places_lie_on_both_sides():
    search = Search(None, (), True, None, 0.25, lambda: None)
    around = set(search._around((Fraction(1), Fraction(0)), Fraction(1, 2)))
    assert around == {(Fraction(x, 2), Fraction(y, 2)) for x in (1, 2, 3) for y in (-1, 0, 1)}


@pytest.mark.parametrize("variable", ["sigma_bar", "t", "angle"])
def test_a_prediction_spans_its_grid(variable):
    grid = grids.uniform(VP, 3, t_min=0.25, t_max=0.75)
    flow = GaussianFlow(grid, variable, 0.25)
    of = {"sigma_bar": VP.sigma_bar, "t": float, "angle": lambda t: np.arctan(VP.sigma_bar(t))}[variable]
    assert (flow.low, flow.high) == pytest.approx((of(0.25), of(0.75)), rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("roots", "kept"),
    [
        ([1, -1], True),
        ([1, 1], False),
        ([-1, 0.5, -1], False),
        ([0.5, 0.5, 1], True),
        ([1, 1.001], False),
        ([1j, -1j, 1], True),
    ],
)
def test_the_root_condition_up_to_rounding(roots, kept):
    assert bounded(np.poly(roots)) == kept


def test_weights_that_the_template_refuses_are_left_out():
    found = design(
        BDIA(sympy.Symbol("g")),
        order=1,
        schedule=schedules.edm(),
        steps=6,
        stable="sample",
        t_max=10,
        t_min=Fraction(1, 10),
    )
    weights = {m.weights[sympy.Symbol("g")] for m in found.members}
    assert {0, 1} >= {w for w in weights if not 0 < w < 1}
    assert max(int(w.q).bit_count() for w in weights) == 1  # the lattice is halved


def test_members_that_are_unstable_after_all_are_no_design(monkeypatch):
    from bdia_numerics.analysis.designing import search

    monkeypatch.setattr(search, "zero_stability", lambda *_: SimpleNamespace(stable=False))
    with pytest.raises(ValueError, match="no weights of order 2 are zero-stable in both directions"):
        design("two-step", order=2, schedule=VP, steps=6)


def test_a_template_without_inverse_can_be_asked_for():
    found = design(TwoStages(), order=2, schedule=VP, steps=6, stable="sample", invertible=False, t_max=0.5)
    assert found.best.solver == TwoStages((Fraction(1, 2), Fraction(1, 2)))


def test_a_root_0_is_stable_where_no_inverse_is_asked_for():
    given = {"schedule": VP, "steps": 40, "order": 2, "t_max": Fraction(3, 5), "t_min": Fraction(1, 10)}
    found = design(Adams(), stable="sample", invertible=False, **given)
    assert found.best.solver.weights == (Fraction(3, 2), Fraction(-1, 2))
    assert found.measured(found.best) == pytest.approx(found.best.error, rel=0.1)
    # An inverse divides by it.
    w = sympy.Symbol("w")
    family = SolverFamily(BDIA(w, allow_any=True), {w: w}, 1)
    kept = (Search(family, ("sample",), True, None, 0.25, lambda: None, inverse) for inverse in (True, False))
    assert [search._stands((Fraction(0),)) for search in kept] == [False, True]


def test_weights_with_a_pole_are_left_out():
    """Such as 1/(2c) of a stage at the part c of the step, on which neither roots nor the leading error need depend."""
    c, zeta = sympy.symbols("c zeta")
    family = SimpleNamespace(free=[c], roots=zeta - 1, leading=(2, {(0, 1): sympy.Integer(1)}, {}))
    family.restricted = lambda given: SimpleNamespace(weights={c: (1 / (2 * c)).subs(given)}, member=DDIM())
    search = Search(family, ("sample",), True, None, 0.25, lambda: None)
    assert [search._stands((place,)) for place in (Fraction(1), Fraction(0))] == [True, False]


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["design", "--template", "two-step", "--steps", "6", "--order"]
    shown = CliRunner().invoke(cli.app, [*words, "1", "--stable", "sample", "--figure", "found.svg"])
    assert shown.exit_code == 0, shown.output
    assert "sampling: zero-stable for -2 < a_1 and a_1 <= 0" in shown.stdout and "best a_0 = " in shown.stdout
    assert "<svg" in Path("found.svg").read_text(encoding="utf-8")
    found = json.loads(CliRunner().invoke(cli.app, [*words, "2", "--stable", "encode", "--json"]).stdout)
    assert found["said"][-1] == ["inverting", "zero-stable"] and found["best"]["weights"]["b_1"] == "2"
    assert list(found["best"]["amplification"]) == ["invert"]
    refused = CliRunner().invoke(cli.app, [*words, "2", "--distribution", "modes"])
    assert "--distribution=modes is not a Gaussian on the line" in refused.output
    for option, value in {"--symmetric": (), "--variable": ("t",)}.items():
        refused = CliRunner().invoke(cli.app, ["design", "--template", "mine.py:Mine", option, *value])
        assert refused.exit_code == 2 and f"{option}" in refused.output and "of its own: leave it out" in refused.output


@pytest.mark.parametrize(("schedule", "variable"), [(schedules.vp_cosine(), "angle"), (schedules.flow(), "t")])
def test_schedules_that_begin_at_alpha_0_are_designed_for_as_they_are(schedule, variable):
    found = design("two-step", order=2, schedule=schedule, steps=20)
    assert found.grid.alpha[20] < 1e-15 and found.best.solver.variable == variable
    assert found.rows()[0]["error of a run"] == pytest.approx(found.best.error, rel=0.2)
    low = design("two-step", order=2, schedule=schedules.flow(), steps=6, t_max=0.5)
    assert low.best.solver.variable == "sigma_bar"  # which is finite there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--order 6 --template four-step --symmetric", "ask for a lower order, or --stable none"),
        ("--template increments --order 2", "--order-on=uniform: the step"),
        ("--template increments --order 2 --variable angle", "--variable=angle: the increments of DDIM"),
        (
            "--schedule flow --variable sigma_bar",
            "--t-max=1.0: alpha = 0 there and sigma/alpha is infinite: give a smaller --t-max",
        ),
        ("--template two-step --order 2 --at-most-amplification 1", "--at-most-amplification=1: the least"),
        ("--stable perhaps", "use one of both, sample, encode, none"),
    ],
)
def test_messages_of_the_command_name_its_options(words, said):
    refused = CliRunner().invoke(cli.app, ["design", "--steps", "6", *words.split()])
    assert refused.exit_code == 2 and said in refused.output, refused.output


def test_what_is_in_brackets_of_a_message_is_no_option():
    """The template's text has a `variable`, which is a parameter of it."""
    given = ["--template", "two-step", "--order", "2", "--order-on", "smooth", "--steps", "6"]
    said = CliRunner().invoke(cli.app, ["design", *given]).output
    assert said.startswith("bdia: --order=2: no weights of") and "b=(b_1,), variable='angle') have it" in said
