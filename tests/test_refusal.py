"""A refusal is a sentence of ours; every other exception is an error, and no finding about a solver."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from typer.testing import CliRunner

from bdia_numerics import (
    BDIA,
    analysis,
    datasheet,
    grids,
    invertibility,
    problems,
    schedules,
    solve,
    spaces,
    step_latex,
)
from bdia_numerics.analysis.scheme import scheme
from bdia_numerics.analysis.sheet import datasheet as measured, proved
from bdia_numerics.cli import app
from bdia_numerics.program import Parameter, condition_of, refusal, structure, symbolised

SCHEDULE = schedules.vp_linear()
GRID = grids.log_snr(SCHEDULE, 12, t_max=1, t_min=Fraction(1, 50))
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])


@dataclass(frozen=True)
class TwoStage:
    """The Runge-Kutta method of two stages whose second lies at c of the slot, in the log-SNR; order 2 for every c."""

    c: Parameter = Fraction(1, 2)
    registers = ("z",)

    def step(self, s: Any) -> None:
        (z,) = s.registers
        e, c = s.eps(z), s.value(self.c)
        middle = s.between(s.i, s.i - 1, c, "log_snr")
        second = s.eps(z + s.delta(s.i, middle, z, e), at=middle)
        weight = (s.sigma_bar(s.i - 1) - s.sigma_bar(s.i)) / (2 * (s.sigma_bar(middle) - s.sigma_bar(s.i)))
        s.assign(z, z + s.delta(s.i, s.i - 1, z, (1 - weight) * e + weight * second), at=s.i - 1)


PLACES = {
    "a Fraction": Fraction(2, 3),
    "a float": 0.4,
    "a symbol": sympy.Symbol("c"),
    "a function of the slot": lambda slot: Fraction(2, 3),
    "one that varies": lambda slot: slot.sigma / (slot.sigma + slot.alpha),
}


@pytest.mark.parametrize("c", PLACES.values(), ids=PLACES)
def test_a_stage_at_a_parameters_place_is_analysed(c):
    solver = TwoStage(c)
    assert analysis.symbolic_order(solver).order_smooth == 2
    assert structure(solver).nfe == 2
    assert str(analysis.characteristic_polynomial(solver)) == "zeta - 1"
    assert analysis.zero_stability(solver).stable
    assert not invertibility(solver).invertible
    assert r"\tau" in step_latex(symbolised(solver))


@pytest.mark.parametrize("c", [PLACES["a Fraction"], PLACES["a function of the slot"]])
def test_a_stage_at_a_parameters_place_is_run_in_every_system(c):
    places = {}
    for space in (spaces.FLOAT64, spaces.MPMath(30), spaces.Balls(128)):
        grid = GRID.to(space)
        start = space.array([space.number(Fraction("0.3"))]).reshape(1, 1)
        found = solve(TwoStage(c), LAW.model(SCHEDULE), grid, start)
        assert found.nfe == 2 * grid.n
        value = found.z[0, 0]
        places[space.name] = float(value.mid() if isinstance(space, spaces.Balls) else value)
    assert np.ptp(list(places.values())) < 1e-13  # some hundred roundings of numbers near 1
    assert len(scheme(TwoStage(c)).values) == 9  # z_N, and two values in each of four slots


def test_two_places_are_two_evaluations():
    class Twice:
        registers = ("z",)

        def step(self, s: Any) -> None:
            (z,) = s.registers
            places = [s.between(s.i, s.i - 1, s.value(c)) for c in (Fraction(1, 3), Fraction(2, 3), Fraction(1, 3))]
            slope = sum((s.eps(z, at=place) for place in places), 0 * z) / 3
            s.assign(z, z + s.delta(s.i, s.i - 1, z, slope), at=s.i - 1)

    assert structure(Twice()).nfe == 2


@pytest.mark.slow
def test_the_datasheet_of_a_stage_at_a_parameters_place():
    sheet = datasheet(TwoStage())
    assert sheet.given.order is not None and sheet.given.order.order == 2
    assert sheet.measured is not None and not sheet.measured.differences


FAULTS = {
    "unhashable": lambda *_, **__: {}[[]],
    "an index": lambda *_, **__: [].pop(),
    "an attribute": lambda *_, **__: None.registers,
    "a division": lambda *_, **__: 1 / 0,
    "text for a number": lambda *_, **__: float("x"),
    "one of sympy": lambda *_, **__: float(sympy.Symbol("x")),
    "one of numpy": lambda *_, **__: np.linalg.inv(np.zeros((2, 2))),
}


@pytest.mark.parametrize(
    ("where", "fault"),
    [("symbolic_order", fault) for fault in FAULTS.values()]
    + [(where, FAULTS["an index"]) for where in ("zero_stability", "characteristic_polynomial")],
    ids=[f"symbolic_order-{name}" for name in FAULTS] + ["zero_stability", "characteristic_polynomial"],
)
def test_a_fault_of_an_analysis_is_raised(fault, where, monkeypatch):
    monkeypatch.setattr(proved, where, fault)
    with pytest.raises((ArithmeticError, AttributeError, LookupError, TypeError, ValueError)):
        datasheet(BDIA(), measured=False)
    assert CliRunner().invoke(app, ["datasheet", "bdia", "--proved-only"]).exit_code != 0


def test_a_fault_of_a_measurement_is_raised(monkeypatch):
    monkeypatch.setattr(measured, "observed_order", FAULTS["unhashable"])
    with pytest.raises(TypeError, match="unhashable"):
        datasheet(BDIA())


def test_a_fault_within_a_step_is_raised(monkeypatch):
    """The step of others is on the way, but it is our recorder that fails."""
    structure(TwoStage())
    monkeypatch.setattr(grids.Between, "__hash__", None)
    for ask in (condition_of, analysis.symbolic_order, lambda s: datasheet(s, measured=False)):
        with pytest.raises(TypeError, match="unhashable"):
            ask(TwoStage())


class Numbers:
    """A step that is written for numbers."""

    registers = ("z",)
    c: Any = Fraction(1, 2)

    def step(self, s: Any) -> None:
        (z,) = s.registers
        weight = s.value(lambda slot: Fraction(math.cos(0 * slot.sigma)))
        s.assign(z, z + weight * s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)


def test_a_step_for_numbers_alone_is_refused_in_words():
    sheet = datasheet(Numbers(), measured=False)
    assert sheet.given.order is None
    assert sheet.given.refused["order"].startswith("the step raises TypeError: ")
    assert condition_of(Numbers()) is None


def test_what_a_refusal_is():
    with pytest.raises(ValueError, match="direction='up'") as ours:
        analysis.characteristic_polynomial(BDIA(), direction="up")
    assert refusal(ours.value) == "direction='up' is unknown: use one of sample, invert"
    with pytest.raises(ValueError, match="another program") as others:
        raise ValueError("of another program")
    with pytest.raises(ValueError, match="another program"):
        refusal(others.value)


class Numeric:
    """A step that calls a function of numbers, which a text on the command line names."""

    registers = ("z",)

    def step(self, s: Any) -> None:
        (z,) = s.registers
        s.assign(z, math.exp(s.alpha(s.i)) * z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)


def test_a_step_that_needs_numbers_is_named_on_the_command_line():
    """Kills: "must be real number, not Limit", without the remedy."""
    result = CliRunner().invoke(app, ["datasheet", f"{__name__}:Numeric"])
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "alpha, sigma and t have no value in it" in said and "a parameter that is a function of the slot" in said
