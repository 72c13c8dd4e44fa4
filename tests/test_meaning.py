"""One reading of a program's operations: values of any kind go through it, and it agrees with the runs."""

from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics import BDIA, CBDIA, EDICT, SOLVERS, grids, schedules, solve
from bdia_numerics.program import record_run
from bdia_numerics.program.ops import Combine, Evaluate, Mix, interpret, rows
from bdia_numerics.runs.solving import starter_of
from bdia_numerics.spaces import Balls

GRID = grids.uniform(schedules.vp_linear(), 5, t_min=0.02)


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - {"DPMSolverMultistep"}))
def test_a_run_is_what_its_operations_mean(name):
    """Interpreted on floats, every program gives what `solve` gives, but for the roundings of its sums."""
    solver = SOLVERS[name]()
    run = record_run(solver, starter_of(solver), GRID)
    values = {run.inputs["z"].number: 0.7}
    for segment in run.segments:
        interpret(
            segment.ops, values, lambda op, z: np.sin(z) / 3, lambda terms: sum(float(c) * x for c, x in terms), None
        )
    found = solve(solver, lambda z, t: np.sin(z) / 3, GRID, np.array([0.7]))
    for register, held in run.final.items():
        kept = found.state.registers[register]
        # The same products are added in the same order: a few roundings apart where an empty sum begins at 0.
        np.testing.assert_allclose(values[held.number], kept[0], rtol=8 * np.finfo(float).eps)


def test_a_mix_gives_rows_without_what_it_takes_over_and_without_zeros():
    mix = Mix((3, 1, 4), (1, 2, 5), ((0, 2, 1), (1, 0, 0), (0, 0, 0)), ("x", "y", "z"))
    assert list(rows(mix)) == [(3, "x", ((2, 2), (1, 5))), (4, "z", ((0, 1),))]
    assert list(rows(Combine(7, ((3, 1),), "x", 1))) == [(7, "x", ((3, 1),))]
    assert list(rows(Evaluate(2, 1, 0))) == []


def test_a_coefficient_that_may_vanish_is_kept():
    wide = Balls(64)
    open_zero = wide.sin(wide.pi)  # encloses 0, and more
    assert [terms for *_, terms in rows(Mix((3,), (1, 2), ((open_zero, wide.number(0)),), ("x",)))] == [
        ((open_zero, 1),)
    ]


def test_what_an_earlier_slot_defined_is_made_again():
    definitions = {5: Evaluate(5, 1, 0), 6: Combine(6, ((2, 1), (1, 5)))}
    values = {1: Fraction(3)}
    interpret(
        [Combine(7, ((Fraction(1, 2), 6),), "x", 1)],
        values,
        lambda op, z: 10 * z,
        lambda terms: sum(c * x for c, x in terms),
        definitions,
    )
    assert values == {1: 3, 5: 30, 6: 36, 7: 18}


@pytest.mark.parametrize("solver", [BDIA(gamma=Fraction(1, 2)), EDICT(), CBDIA()])
def test_values_may_be_text(solver):
    run = record_run(solver, starter_of(solver), GRID)
    values = {run.inputs["z"].number: "z"}
    for segment in run.segments:
        interpret(segment.ops, values, lambda op, z: "e", lambda terms: "+".join(x for _, x in terms))
    assert all("e" in values[held.number] for held in run.final.values())
