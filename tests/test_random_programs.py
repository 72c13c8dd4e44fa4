"""Random step programs: what the package derives, against a plain interpreter that shares nothing with it."""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings, strategies as st
from random_programs import Plain, Programmed, StaleError, Step, determinant, programs, record, refusal

from bdia_numerics import NotInvertibleError, grids, invert, schedules, solve, spaces
from bdia_numerics.program import (
    Recorder,
    Run,
    Segment,
    StaleFormError,
    Trace,
    inverse_run,
    make_plan,
    structure,
)
from bdia_numerics.program.ops import Held
from bdia_numerics.runs.solving import inverse_plan
from bdia_numerics.runs.stepwise import Course, Stepwise

# No database and no clock: the same programs on every machine.
FIXED = settings(
    derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip


def few_or_many(few: int, many: int) -> Any:
    """Run a test on few programs by default, on many with the slow tests."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.slow)])


def on_examples(check: Callable[..., None], count: int, *strategies: Any) -> None:
    settings(FIXED, max_examples=count)(given(*strategies)(check))()


SEARCH = settings(FIXED, max_examples=2000, phases=[Phase.generate])
SLOTS = 3
GRID = grids.uniform(schedules.flow(), SLOTS, t_min=Fraction(1, 10), t_max=Fraction(4, 5), space=spaces.FRACTION)
FLOATS = GRID.to(np.float64)


def polynomial(z: Any, t: Any) -> Any:
    """Nonlinear, coupled between the elements, not autonomous, and exact in Fractions."""
    return z[::-1] * z / 4 + t * z / 3 + t


def begin(solver: Programmed, grid: Any, state: Callable[[int], Any]) -> tuple[dict[str, Any], dict[str, int], range]:
    shape = structure(solver)
    first = grid.n - shape.depth
    times = {name: first + lag for name, lag in zip(shape.registers, shape.lags, strict=True)}
    return {name: state(k) for k, name in enumerate(shape.registers)}, times, range(first, 0, -1)


def fractions(k: int) -> Any:
    return np.array([Fraction(2 * k + 1, 7), Fraction(3 - 2 * k, 5)])


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return set(a) == set(b) and all(np.all(a[name] == b[name]) for name in a)


def verdict(solver: Programmed) -> tuple[str, Step] | None:
    values, times, slots = begin(solver, GRID, fractions)
    return refusal(Plain.start(polynomial, GRID, values, times).run(solver, slots).steps)


@few_or_many(80, 250)
def test_the_interpreter_the_inverse_and_the_refusals(count):
    on_examples(interpreter_inverse_and_refusal, count, programs())


def test_what_keeps_no_state_at_the_noise_end_is_undone_from_all_registers():
    """Such a run has no start that gives its state there, and its registers are undone nevertheless; without a step nothing is."""
    half = ("assign", "a", ((Fraction(1, 4), "a"),), -1)
    solver = Programmed(
        ("a", "b"), (("assign", "b", ((Fraction(1), "b"), (Fraction(-1), "a")), None), half, ("swap", "a", "b"))
    )
    interpreter_inverse_and_refusal(solver)
    short = GRID[: structure(solver).depth]
    with pytest.raises(NotInvertibleError, match=r"the start takes 1 slot, .*; use encode with a method"):
        inverse_plan(solver, short, "eps", GRID.space)


def interpreter_inverse_and_refusal(solver: Programmed) -> None:
    values, times, slots = begin(solver, GRID, fractions)
    plain = Plain.start(polynomial, GRID, values, times).run(solver, slots)
    there = solve(solver, polynomial, GRID, values[solver.output], start=values)
    assert same(there.state.registers, plain.values())
    assert dict(there.state.times) == {name: version.time for name, version in plain.registers.items()}
    assert there.nfe <= len(plain.evaluated)

    expected = refusal(plain.steps)
    if expected is None:
        back = invert(solver, polynomial, GRID, there.state)
        assert same(back.state.registers, values)
        assert dict(back.state.times) == times
        return
    kind, step = expected
    with pytest.raises(NotInvertibleError) as caught:
        invert(solver, polynomial, GRID, there.state)
    assert (caught.value.kind, caught.value.slot) == (kind, step.slot)
    if kind == "lost":
        # The versions that stand after the instruction were simulated without the package; a needed one is not among them.
        assert step.leaves - step.after
    else:
        assert_contraction(solver, step)


def assert_contraction(solver: Programmed, step: Step) -> None:
    """Show that the old value stands nowhere, and two states with one image unless the model read the old value."""
    assert not step.old & step.after
    if not step.leaves <= step.before - step.old:
        return
    values, times, _ = begin(solver, GRID, fractions)
    shape = structure(solver)
    times = {name: step.slot + lag for name, lag in zip(shape.registers, shape.lags, strict=True)}
    plain = Plain.start(polynomial, GRID, values, times)
    names = plain.slot(solver.program[: step.place], step.slot, {})
    reached = plain.values()
    moved = {**reached, **perturbed(solver.program[step.place], reached)}
    twin = pulled_back(solver, step, values, times, moved)
    if twin is not None:
        assert not same(twin, values)
        ends = [
            Plain.start(polynomial, GRID, v, times).run(solver, range(step.slot, step.slot - 1, -1))
            for v in (values, twin)
        ]
        assert same(ends[0].values(), ends[1].values())
        return
    # An earlier instruction of the step cannot be undone either: the pair stands before this instruction.
    images = []
    for state in (reached, moved):
        copy = Plain.start(polynomial, GRID, state, {n: v.time for n, v in plain.registers.items()})
        # What was computed before belongs to both alike.
        copy.origin = dict(plain.origin)
        copy.slot(solver.program, step.slot, dict(names), first=step.place)
        images.append(copy.values())
    assert same(*images)


def perturbed(instruction: Any, values: dict[str, Any]) -> dict[str, Any]:
    if instruction[0] == "assign":
        return {instruction[1]: values[instruction[1]] + 1}
    registers, matrix = instruction[1], instruction[2]
    return {r: values[r] + x for r, x in zip(registers, kernel(matrix), strict=True)}


def kernel(matrix: Any) -> list[Fraction]:
    """Return a null vector of a singular matrix: cofactors, or a vector orthogonal to the one row direction left."""
    n = len(matrix)
    if n == 2:
        rows = [row for row in matrix if any(row)]
        return [-rows[0][1], rows[0][0]] if rows else [Fraction(1), Fraction(0)]
    for k in range(3):
        others = [row for j, row in enumerate(matrix) if j != k]
        vector = [(-1) ** c * determinant([[*row[:c], *row[c + 1 :]] for row in others]) for c in range(3)]
        if any(vector):
            return vector
    row = next((row for row in matrix if any(row)), None)
    if row is None:
        return [Fraction(1), Fraction(0), Fraction(0)]
    k = next(k for k in range(3) if row[k])
    vector = [Fraction(0)] * 3
    vector[k], vector[(k + 1) % 3] = -row[(k + 1) % 3] / row[k], Fraction(1)
    return vector


def pulled_back(
    solver: Programmed, step: Step, values: Any, times: dict[str, int], moved: Any
) -> dict[str, Any] | None:
    """Return the state before the step that the instructions before this one take to `moved`; None if they lose some."""
    trace = Trace(GRID)
    held = {name: Held(trace.new(name), times[name]) for name in values}
    s = Recorder(trace, step.slot, dict(held))
    record(solver, s, solver.program[: step.place])
    prefix = Run(trace, held, (Segment(step.slot, step.slot - 1, held, tuple(s.ops), dict(s.held)),), dict(s.held))
    try:
        inverse, _ = inverse_run(prefix)
    except NotInvertibleError:
        return None
    course = Course(solver, GRID, (make_plan(inverse, spaces.FRACTION),))
    return Stepwise(course, moved, spaces.FRACTION).finish(polynomial).registers


def shown(step: Step) -> bool:
    """Say whether a pair of states must be shown although other values are involved."""
    return bool(step.leaves) and step.leaves <= step.before - step.old


def kinds(solver: Programmed, *wanted: str) -> bool:
    """Say whether a program holds instructions of all these kinds, before it is run at greater cost."""
    return set(wanted) <= {line[0] for line in solver.program}


@pytest.mark.parametrize(
    ("seed", "wanted"),
    [
        (1, lambda solver: kinds(solver, "eval") and verdict(solver) is None and structure(solver).nfe > 0 and structure(solver).depth > 0),
        (0, lambda solver: kinds(solver, "eval", "scratch") and verdict(solver) is None and structure(solver).nfe > 1),
        (4, lambda solver: kinds(solver, "eval", "mix") and verdict(solver) is None and structure(solver).nfe > 0),
        (1, lambda solver: len(solver.registers) > 1 and (found := verdict(solver)) is not None and found[0] == "lost"),
        (4, lambda solver: kinds(solver, "mix") and (found := verdict(solver)) is not None and solver.program[found[1].place][0] == "mix"),
        (3, lambda solver: (found := verdict(solver)) is not None and found[0] == "contraction" and shown(found[1])),
    ],
    ids=["two-step", "stages", "mixed", "lost", "singular mix", "contraction"],
)  # fmt: skip
def test_the_random_programs_reach_every_verdict(seed, wanted):
    """Each from a seed with which few programs are drawn before one is found."""
    find(programs(), wanted, settings=SEARCH, random=Random(seed))


@few_or_many(50, 150)
def test_a_kept_form_is_right_or_stale(count):
    on_examples(kept_form, count, programs(kept_forms=True))


def kept_form(solver: Programmed) -> None:
    shape = structure_or_none(solver)
    plain = Plain.start(
        polynomial, GRID, {r: fractions(k) for k, r in enumerate(solver.registers)}, dict.fromkeys(solver.registers, 1)
    )
    try:
        plain.slot(solver.program, 1, {})
    except StaleError:
        assert shape is None
        with pytest.raises(StaleFormError, match="overwritten"):
            structure(solver)
        return
    except IndexError:
        pass
    assert shape is not None
    values, times, slots = begin(solver, GRID, fractions)
    plain = Plain.start(polynomial, GRID, values, times).run(solver, slots)
    assert same(solve(solver, polynomial, GRID, values[solver.output], start=values).state.registers, plain.values())


def structure_or_none(solver: Programmed) -> Any:
    try:
        return structure(solver)
    except StaleFormError:
        return None


def test_both_kinds_of_kept_forms_occur():
    used = programs(kept_forms=True).filter(lambda p: any(line[0] == "form" for line in p.program))
    find(used, lambda p: structure_or_none(p) is None, settings=SEARCH)
    find(used, lambda p: structure_or_none(p) is not None and structure(p).nfe > 0, settings=SEARCH)


# More than the 8 blocks above which arrays are worked on in place, and no whole number of blocks.
LARGE = 8 * 32768 + 5


def wave(z: Any, t: Any) -> Any:
    return np.sin(z + t)


def buffered() -> Any:
    buffer = np.empty(LARGE)

    def model(z: Any, t: Any) -> Any:
        return np.sin(z + t, out=buffer)

    return model


MODELS = {
    "new array": lambda: wave,
    "its input": lambda: lambda z, t: z,
    "a view of its input": lambda: lambda z, t: z[::-1],
    "one buffer": buffered,
}


@few_or_many(15, 40)
def test_large_arrays_are_reused_and_never_mixed_up(count):
    on_examples(large_arrays, count, programs(), st.sampled_from(sorted(MODELS)))


def large_arrays(solver: Programmed, kind: str) -> None:
    wide = np.random.default_rng(3).standard_normal((3, LARGE))
    values, times, slots = begin(solver, FLOATS, lambda k: wide[k].copy())
    plain = Plain.start(MODELS[kind](), FLOATS, values, times, number=float)
    plain.run(solver, slots)
    there = solve(solver, MODELS[kind](), FLOATS, values[solver.output], start=values)
    for k, name in enumerate(values):
        assert np.array_equal(values[name], wide[k]), "the caller's array was written to"
        scale = np.max(np.abs(plain.largest))
        # A few dozen operations, each rounded at the scale of the largest value met: far below one mixed-up value.
        assert np.allclose(
            there.state.registers[name], plain.registers[name].value, rtol=0, atol=1e4 * np.finfo(float).eps * scale
        )
