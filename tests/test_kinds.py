"""What a register holds is read off what the step assigns to it, and every analysis and run reads it there."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bdia_numerics import (
    ALF,
    SOLVERS,
    FireFlow,
    analysis,
    datasheet,
    grids,
    inverse_latex,
    invertibility,
    problems,
    schedules,
    solve,
    spaces,
    step_latex,
)
from bdia_numerics.program import structure
from bdia_numerics.program.structure import VALUES

GRID = grids.log_snr(schedules.vp_linear(), 12, t_max=1, t_min=Fraction(1, 50))
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])


class Undeclared:
    """A solver without its declaration of what its registers hold."""

    def __init__(self, solver: Any) -> None:
        self.solver, self.registers, self.starter = solver, solver.registers, getattr(solver, "starter", None)

    def step(self, s: Any) -> None:
        self.solver.step(s)


class TwoStep:
    """Two-step Adams-Bashforth with variable steps; its second register is as the test says."""

    registers = ("z", "e_1")

    def step(self, s: Any) -> None:
        z, e_1 = s.registers
        e, before = s.eps(z), s.scratch(z)
        ratio = s.slot.h / (2 * s.slot.previous.h)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, e + ratio * (e - e_1)), at=s.i - 1)
        self.keep(s, e_1, e, before)

    def keep(self, s: Any, e_1: Any, e: Any, before: Any) -> None:
        s.assign(e_1, e, at=s.i)


class KeepsState(TwoStep):
    def keep(self, s: Any, e_1: Any, e: Any, before: Any) -> None:
        s.assign(e_1, before, at=s.i)


class KeepsNothing(TwoStep):
    def keep(self, s: Any, e_1: Any, e: Any, before: Any) -> None:
        s.assign(e_1, e_1 + 0 * e, at=s.i)


class KeepsHalf(TwoStep):
    """What it keeps is half an evaluation, which no start can know."""

    def keep(self, s: Any, e_1: Any, e: Any, before: Any) -> None:
        s.assign(e_1, e / 2, at=s.i)


class DataByHand:
    """DPM-Solver++ 2M's kind of method, whose data prediction is written out."""

    registers = ("z", "x_1")

    def step(self, s: Any) -> None:
        z, x_1 = s.registers
        i, end = s.i, s.i - 1
        x = s.scratch((z - s.sigma(i) * s.eps(z)) / s.alpha(i))
        ratio = s.sigma(end) / s.sigma(i)
        change = (1 / s.sigma_bar(end) - 1 / s.sigma_bar(i)) / (2 * (1 / s.sigma_bar(i) - 1 / s.sigma_bar(i + 1)))
        s.assign(z, ratio * z + (s.alpha(end) - ratio * s.alpha(i)) * (x + change * (x - x_1)), at=end)
        s.assign(x_1, x, at=i)


CASES = [solver for solver in SOLVERS.values() if structure(solver()).depth or structure(solver()).evaluations]


@pytest.mark.parametrize("make", [*CASES, ALF, FireFlow])
def test_what_solvers_declare_is_what_is_read_off_their_steps(make):
    solver = make()
    assert structure(Undeclared(solver)).kinds == structure(solver).kinds


@pytest.mark.parametrize("solver", [Undeclared(ALF()), TwoStep(), DataByHand()], ids=lambda x: type(x).__name__)
def test_methods_of_order_two_without_a_declaration(solver):
    """Textbook orders: ALF, Adams-Bashforth and DPM-Solver++ 2M are of order 2."""
    assert analysis.symbolic_order(solver).order_smooth == 2


def test_a_solver_may_declare_every_kind():
    class Every:
        registers = ("a", "b", "c", "d", "z")
        evaluations = {"a": "eps", "b": "x0", "c": "velocity", "d": "v"}  # noqa: RUF012 - as a user writes it

        def step(self, s: Any) -> None:
            *kept, z = s.registers
            s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
            for register in kept:
                s.assign(register, 1 * register, at=s.i)

    assert structure(Every()).kinds == ("eps", "x0", "velocity", "v", "state")
    assert {*structure(Every()).kinds} == {*VALUES}


def declared(solver: TwoStep) -> Any:
    return type("Declared", (type(solver),), {"evaluations": ("e_1",)})()


def test_every_consumer_reads_the_same_kinds():
    bare, named = TwoStep(), declared(TwoStep())
    for space in (spaces.FLOAT64, spaces.MPMath(30)):
        grid = GRID.to(space)
        model = LAW.model(schedules.vp_linear())
        start = space.array([space.number(Fraction(x)) for x in ("0.3", "-1.2")]).reshape(2, 1)
        assert np.all(solve(bare, model, grid, start).z == solve(named, model, grid, start).z)
    for ask in (
        analysis.characteristic_polynomial, analysis.zero_stability, invertibility, step_latex,
        lambda s: datasheet(s, measured=False).given.order.order_with_start,
    ):  # fmt: skip
        assert str(ask(bare)) == str(ask(named))
    with pytest.raises(ValueError, match="own coefficient 0"):
        inverse_latex(bare)


@pytest.mark.parametrize("solver", [KeepsState(), KeepsNothing()], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("ask", [structure, analysis.symbolic_order, analysis.zero_stability, invertibility, datasheet])
def test_a_step_with_a_state_for_an_evaluation_is_refused_by_all(solver, ask):
    with pytest.raises(
        ValueError, match=r"s\.delta\(i, j, z, e\) takes register e_1 .* holds a state.*evaluations = \('e_1',\)"
    ):
        ask(solver)


@pytest.mark.parametrize(
    ("make", "says", "message"),
    [
        (KeepsState, ("e_1",), "evaluations of .* says that e_1 holds eps, and the step assigns it a state"),
        (DataByHand, ("x_1",), r"assigns it a prediction of the data, x0: set evaluations = \{'x_1': 'x0'\}"),
        (TwoStep, {"e_1": "x0"}, r"assigns it an evaluation, eps: set evaluations = \('e_1',\)"),
        (TwoStep, ("e1",), r"evaluations=\('e1',\) of .* names among its registers \('z', 'e_1'\)"),
        (TwoStep, "e_1", "evaluations='e_1' of .*: give a tuple of names"),
        (TwoStep, {"e_1": "noise"}, "a dict from them to 'eps', 'x0', 'v' or 'velocity'"),
    ],
)  # fmt: skip
def test_a_declaration_that_the_step_contradicts(make, says, message):
    solver = type("Declared", (make,), {"evaluations": says})()
    with pytest.raises(ValueError, match=message):
        structure(solver)


def test_a_register_that_no_start_can_fill():
    message = r"assigns e_1 neither a state nor a prediction.*given = \('e_1',\)"
    with pytest.raises(ValueError, match=message):
        solve(KeepsHalf(), LAW.model(schedules.vp_linear()), GRID, np.array([[0.3]]))
    with pytest.raises(ValueError, match=message):
        analysis.symbolic_order(KeepsHalf())


def test_a_solution_that_is_declared_an_evaluation_is_named_with_the_attribute():
    class Declared(TwoStep):
        evaluations = ("z",)

    with pytest.raises(
        ValueError, match=r"z would be the solution, and it holds an evaluation.*leave z out of evaluations"
    ):
        structure(Declared())
