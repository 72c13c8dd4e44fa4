"""Step programs: versions, times, counts, the derived inverse, and what is printed of it."""

import cProfile
import dataclasses
import math
import re
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy
from small_solvers import ALF, EDICT, INVERTIBLE, REFUSED, AdamsBashforth, AdamsBashforthAgain, Midpoint, StaleMutant

from bdia_numerics import (
    BDIA,
    CBDIA,
    DDIM,
    Heun,
    NotInvertibleError,
    RFSolver,
    StormerVerlet,
    encode,
    grids,
    inverse_latex,
    invert,
    invertibility,
    models,
    program,
    schedules,
    solve,
    spaces,
    step_latex,
)
from bdia_numerics.program import Parameter, StaleFormError, parameters, record_run, record_steps, structure

N = 5
GRID = grids.uniform(schedules.flow(), N, t_min=Fraction(1, 10), t_max=Fraction(4, 5), space=spaces.FRACTION)
Z = np.array([Fraction(1, 3), Fraction(-2, 5)])


def model(z, t):
    return z[::-1] * z / 4 - t * z / 3 + t


def solver_of(step, registers=("y", "z"), **attributes):
    return SimpleNamespace(registers=registers, step=step, **attributes)


# Versions


def use_assigned(s, y, z, form):
    s.assign(z, z + y, at=s.i - 1)
    s.assign(y, y + form, at=s.i - 1)


def use_mixed(s, y, z, form):
    s.mix({y: y + z, z: y - z}, at=s.i - 1)
    s.scratch(form, at=s.i)


def use_in_a_mix(s, y, z, form):
    s.assign(z, z + y)
    s.mix({y: y + form, z: z}, at=s.i - 1)


def use_in_an_evaluation(s, y, z, form):
    s.assign(z, z + y, at=s.i - 1)
    s.eps(form, at=s.i)


@pytest.mark.parametrize("use", [use_assigned, use_mixed, use_in_a_mix, use_in_an_evaluation])
@pytest.mark.parametrize(
    "make", [lambda s, z: 2 * z, lambda s, z: z - z, lambda s, z: s.delta(s.i, s.i - 1, z, s.eps(z))]
)
def test_a_form_is_stale_once_a_version_that_it_mentions_is_overwritten(use, make):
    def step(s):
        y, z = s.registers
        use(s, y, z, make(s, z))

    with pytest.raises(
        StaleFormError, match=r"mentions z, a version that has been overwritten: form it again, or keep it"
    ):
        solve(solver_of(step), model, GRID, Z)


def test_a_form_survives_a_swap_and_a_change_of_something_else():
    def step(s):
        y, z = s.registers
        form = 2 * z
        s.swap(y, z)
        s.assign(z, z - form, at=s.i - 1)  # what y held
        s.assign(y, y, at=s.i - 1)

    start = {"y": Z, "z": 3 * Z}
    end = solve(solver_of(step), model, GRID[0:1], Z, start=start).state.registers
    assert np.all(end["z"] == Z - 6 * Z)
    assert np.all(end["y"] == 3 * Z)


def test_an_evaluation_outlives_its_argument_and_is_then_refused_by_invert():
    solution = solve(StaleMutant(), model, GRID, Z)
    with pytest.raises(
        NotInvertibleError,
        match="to undo the step the network is needed at the old z, which the step has overwritten",
    ):
        invert(StaleMutant(), model, GRID, solution.state)
    assert not invertibility(StaleMutant()).invertible


def test_the_same_lines_with_the_evaluation_taken_in_time_are_invertible():
    def step(s):
        y, z = s.registers
        s.assign(y, y + s.eps(z), at=s.i - 1)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(y)), at=s.i - 1)

    solver = solver_of(step)
    solution = solve(solver, model, GRID, Z)
    assert np.all(invert(solver, model, GRID, solution.state).z == Z)


def test_linear_forms_only():
    def step(s):
        (z,) = s.registers
        s.assign(z, z + 1, at=s.i - 1)

    with pytest.raises(TypeError, match="1 cannot be added to a linear form"):
        solve(solver_of(step, ("z",)), model, GRID, Z)


# Inverses of solvers that keep evaluations, evaluate at scratch values, and mix


@pytest.mark.parametrize("name", INVERTIBLE)
def test_derived_inverse_is_exact(name):
    solver = INVERTIBLE[name]
    assert invertibility(solver).invertible
    there = solve(solver, model, GRID[0:3], Z)
    back = invert(solver, model, GRID[0:3], there.state)
    assert np.all(back.z == Z)
    again = solve(solver, model, GRID[0:3], back.state)
    assert all(np.all(again.state.registers[r] == there.state.registers[r]) for r in solver.registers)


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_with_the_remedy(name):
    solver = REFUSED[name]
    there = solve(solver, model, GRID, Z)
    with pytest.raises(
        NotInvertibleError, match=r"is not exactly invertible here, .*; use encode with a method"
    ) as caught:
        invert(solver, model, GRID, there.state)
    assert "\n" not in str(caught.value)


def test_conditions_are_stated_in_symbols():
    gamma, p = sympy.symbols("gamma p")
    assert invertibility(BDIA()).condition == (gamma,)
    assert invertibility(EDICT()).condition == (p,)
    assert invertibility(ALF()).condition == ()
    assert str(invertibility(ALF())) == "always"
    verdict = invertibility(DDIM())
    assert not verdict.invertible and "has overwritten" in verdict.reason


def test_zero_is_decided_exactly():
    # In binary floats 1 - 3 (1/10) - 7/10 is not 0; exact parameters decide it on a float grid as well.
    def step(s):
        (z,) = s.registers
        tenth = s.value(Fraction(1, 10))
        s.assign(z, z - 3 * tenth * z - 7 * tenth * z, at=s.i - 1)

    solver, grid = solver_of(step, ("z",)), GRID.to(np.float64)
    solution = solve(solver, lambda z, t: z, grid, np.ones(2))
    with pytest.raises(NotInvertibleError, match="own coefficient 0"):
        invert(solver, lambda z, t: z, grid, solution.state)


def test_a_mix_may_be_singular_in_one_slot_only():
    class Turning:
        registers = ("y", "z")

        def step(self, s):
            y, z = s.registers
            s.mix({y: y + z, z: y + s.value(s.i - 2) * z}, at=s.i - 1)

    there = solve(Turning(), model, GRID, Z)
    with pytest.raises(NotInvertibleError, match=r"mix of y, z has determinant 0 \(slot from i=3 to 2\)") as caught:
        invert(Turning(), model, GRID, there.state)
    assert (caught.value.kind, caught.value.slot) == ("contraction", 3)


def test_a_mix_mentions_its_own_registers_only():
    def step(s):
        y, z = s.registers
        s.mix({y: y + s.eps(z), z: z}, at=s.i - 1)

    with pytest.raises(ValueError, match="mix of y, z mentions other values: use assign"):
        solve(solver_of(step), model, GRID, Z)


# What is remembered, and what is counted


@pytest.mark.parametrize(
    ("solver", "nfe", "run", "registers", "combinations", "lags"),
    [
        (DDIM(), 1, N, 1, 1, (0,)),
        (BDIA(), 1, N, 2, 1, (1, 0)),
        (AdamsBashforth(), 1, N, 2, 2, (1, 0)),
        (AdamsBashforthAgain(), 1, N, 2, 1, (1, 0)),
        (INVERTIBLE["ReversibleHeun"], 1, N + 1, 2, 3, (0, 0)),
        (ALF(), 1, N + 1, 2, 3, (0, 0)),
        (EDICT(), 2, 2 * N, 2, 4, (0, 0)),
        (CBDIA(0, 1), 1, N + 1, 2, 4, (0, 0)),
        (INVERTIBLE["Coupled"], 4, 4 * N, 2, 4, (0, 0)),
        (Midpoint(), 2, 2 * N, 1, 2, (0,)),
    ],
    ids=lambda x: type(x).__name__ if hasattr(x, "step") else None,
)
def test_counts(solver, nfe, run, registers, combinations, lags):
    shape = structure(solver)
    assert (shape.nfe, len(shape.registers), shape.combinations, shape.lags) == (nfe, registers, combinations, lags)
    counted = models.counted(lambda z, t: z / 2)
    solution = solve(solver, counted, GRID, Z)
    assert solution.nfe == counted.nfe == run


def test_a_kept_evaluation_and_asking_again_are_one_method():
    kept, again = (solve(solver, model, GRID, Z) for solver in (AdamsBashforth(), AdamsBashforthAgain()))
    assert np.all(kept.z == again.z)
    assert kept.nfe == again.nfe == N


def test_asking_twice_costs_nothing_and_another_time_costs_one():
    def step(s):
        (z,) = s.registers
        e = s.eps(z) + s.eps(z, at=s.i) + s.eps(z, at=s.i - 1)
        s.assign(z, z + e, at=s.i - 1)

    assert structure(solver_of(step, ("z",))).nfe == 2


def test_ab2_is_second_order_and_midpoint_too():
    # dy/ds = eps with eps = s y (alpha = 1, t = s): y = exp(s^2 / 2), so an independent reference.
    for solver, slope in ((DDIM(), 1), (AdamsBashforth(), 2), (Midpoint(), 2), (ALF(), 2)):
        errors = []
        for n in (40, 80):
            grid = grids.uniform(schedules.edm(), n, t_min=0.5, t_max=1.5)
            errors.append(abs(solve(solver, lambda z, t: z * t, grid, np.exp([1.125])).z[0] - np.exp(0.125)))
        # Halving the step divides the error by 2^p; 10% is left for the next order.
        assert np.log2(errors[0] / errors[1]) == pytest.approx(slope, rel=0.1)


def test_the_program_is_collapsed_once_per_solver_and_grid():
    steps = []

    class Watched(DDIM):
        def step(self, s):
            steps.append(s.i)
            super().step(s)

    solver, grid = Watched(), GRID.to(np.float64)
    first = solve(solver, lambda z, t: z, grid, np.ones(2))
    count = len(steps)
    second = solve(solver, lambda z, t: z, grid, np.ones(2))
    assert len(steps) == count > 0
    assert np.array_equal(first.z, second.z)


def test_a_changed_attribute_is_a_changed_solver():
    class Scaled:
        registers = ("z",)

        def __init__(self, c):
            self.c = c

        def step(self, s):
            (z,) = s.registers
            s.assign(z, s.value(self.c) * z, at=s.i - 1)

    solver = Scaled(Fraction(1, 2))
    half = solve(solver, model, GRID, Z)
    solver.c = Fraction(1, 3)
    assert np.all(half.z == Z / 2**N)
    assert np.all(solve(solver, model, GRID, Z).z == Z / 3**N)
    with pytest.raises(ValueError, match="state is of solver"):
        invert(solver, model, GRID, half.state)


class Slotted:
    """One register times c, kept in a slot; no inverse is asked of it with symbols."""

    __slots__ = ("c", "registers")

    def __init__(self, c, registers=("z",)):
        self.c, self.registers = c, registers

    def step(self, s):
        s.assign(s.registers[-1], s.value(self.c) * s.registers[-1], at=s.i - 1)
        for other in s.registers[:-1]:
            s.assign(other, other, at=s.i - 1)


def test_a_changed_slot_is_a_changed_solver():
    solver = Slotted(Fraction(1, 2))
    half = solve(solver, model, GRID, Z)
    solver.c = Fraction(1, 3)
    assert np.all(half.z == Z / 2**N)
    assert np.all(solve(solver, model, GRID, Z).z == Z / 3**N)
    with pytest.raises(ValueError, match="state is of solver"):
        invert(solver, model, GRID, half.state)
    solver.registers = ("y", "z")
    assert set(solve(solver, model, GRID, Z).state.registers) == {"y", "z"}


def test_a_closure_whose_result_changes_is_collapsed_again():
    box = [Fraction(1, 2)]
    solver = BDIA(lambda slot: box[0])
    half = solve(solver, model, GRID, Z)
    assert np.all(half.z == solve(BDIA(Fraction(1, 2)), model, GRID, Z).z)
    box[0] = Fraction(1, 3)
    assert np.all(solve(solver, model, GRID, Z).z == solve(BDIA(Fraction(1, 3)), model, GRID, Z).z)
    with pytest.raises(ValueError, match="state is of solver"):
        invert(solver, model, GRID, half.state)


def test_a_closure_of_the_starter_is_collapsed_again_too():
    box = [Fraction(1, 2)]

    @dataclasses.dataclass(frozen=True)
    class Scaled:
        c: Parameter
        registers = ("z",)

        def step(self, s):
            (z,) = s.registers
            s.assign(z, s.value(self.c) * z, at=s.i - 1)

    starter = Scaled(lambda slot: box[0])
    first = solve(BDIA(), model, GRID, Z, start=starter).z
    box[0] = Fraction(1, 3)
    second = solve(BDIA(), model, GRID, Z, start=starter).z
    assert np.all(first == solve(BDIA(), model, GRID, Z, start=[Z / 2]).z)
    assert np.all(second == solve(BDIA(), model, GRID, Z, start=[Z / 3]).z)


# Solvers of others: their floats


class Halving:
    """A float literal, and a step that has no inverse."""

    registers = ("z",)

    def step(self, s):
        (z,) = s.registers
        s.assign(z, 0.5 * z + s.eps(z), at=s.i - 1)


@dataclasses.dataclass(frozen=True)
class Mixing:
    """A field that is a float, with a check of its own; the own coefficient is gamma."""

    gamma: float = 0.5
    registers = ("y", "z")

    def __post_init__(self):
        if not 0 <= self.gamma <= 1:
            raise ValueError("gamma")

    def step(self, s):
        y, z = s.registers
        s.assign(y, self.gamma * y + s.eps(z), at=s.i - 1)
        s.assign(z, z + 0.5 * s.eps(y), at=s.i - 1)


def test_floats_of_others_keep_the_refusal_and_the_verdict():
    grid = GRID.to(np.float64)
    state = solve(Halving(), lambda z, t: z, grid, np.ones(2)).state
    with pytest.raises(NotInvertibleError, match=r"Halving is not exactly invertible here, .*; use encode") as caught:
        invert(Halving(), lambda z, t: z, grid, state)
    assert "\n" not in str(caught.value)
    assert encode(Halving(), lambda z, t: z, grid, np.ones(2)).status.ok
    verdict = invertibility(Halving())
    assert not verdict.invertible and "has overwritten" in verdict.reason
    # Checked values cannot become symbols: then the verdict is that of the numbers.
    assert parameters(Mixing()) == {"gamma": 0.5}
    assert invertibility(Mixing()).condition == () and invertibility(Mixing(0.0)).invertible is False
    state = solve(Mixing(0.0), lambda z, t: z, grid, np.ones(2)).state
    with pytest.raises(NotInvertibleError, match=r"gamma=0.0: Mixing is not exactly invertible here, .*coefficient 0"):
        invert(Mixing(0.0), lambda z, t: z, grid, state)


def test_fields_that_are_floats_or_fractions_become_symbols():
    @dataclasses.dataclass(frozen=True)
    class Free(Mixing):
        gamma: Fraction | float = 0.5
        other: float = 2.0
        count: int = 1

        def __post_init__(self):
            pass

    assert set(parameters(Free())) == {"gamma", "other"}
    assert invertibility(Free()).condition == (sympy.Symbol("gamma"),)
    state = solve(Free(0.0), lambda z, t: z, GRID.to(np.float64), np.ones(2)).state
    with pytest.raises(NotInvertibleError, match=r"gamma=0.0: other=2.0: Free .*; invert needs gamma != 0"):
        invert(Free(0.0), lambda z, t: z, GRID.to(np.float64), state)


def test_a_step_that_takes_no_symbols():
    @dataclasses.dataclass(frozen=True)
    class Growing:
        c: float = 0.5
        registers = ("z",)

        def step(self, s):
            (z,) = s.registers
            s.assign(z, math.exp(self.c) * z, at=s.i - 1)

    assert str(invertibility(Growing())) == "always"

    class Foreign(Growing):
        def step(self, s):
            (z,) = s.registers
            s.assign(z, s.value(mpmath.mpf(1) / 3) * z + s.eps(z), at=s.i - 1)

    with pytest.raises(TypeError, match=r"Foreign has no verdict in symbols, .*: give it ints") as caught:
        invertibility(Foreign())
    assert "\n" not in str(caught.value)
    grid = GRID.to(spaces.MPMath(20))
    solver, z = Foreign(Fraction(1, 2)), np.array([mpmath.mpf(1)])
    with pytest.raises(NotInvertibleError, match=r"Foreign is not exactly invertible here, .*; use encode"):
        invert(solver, model, grid, solve(solver, model, grid, z).state)


def test_shapes_that_are_no_solver():
    with pytest.raises(TypeError, match="needs an attribute registers and a method step"):
        structure(object())
    with pytest.raises(ValueError, match=r"assigns z and leaves it at the time of its old value: write s.assign\(z"):
        structure(solver_of(lambda s: s.assign(s.registers[0], s.registers[0]), ("z",)))
    with pytest.raises(ValueError, match="output='x' is none of its registers"):
        structure(solver_of(lambda s: s.assign(s.registers[0], s.registers[0], at=s.i - 1), ("z",), output="x"))


def test_the_solution_stands_at_the_end_of_the_step():
    """The older of two states was returned as z_0."""

    class Behind(BDIA):
        output = "z_prev"

    with pytest.raises(
        ValueError, match=r"Behind: output='z_prev' holds no state at s.i - 1 after a step, .*: name z$"
    ):
        structure(Behind())


# The collapsed coefficients and what is printed


def printed(latex):
    """Return the printed lines as {left side: right side}."""
    body = latex.removeprefix(r"\begin{aligned}").removesuffix(r"\end{aligned}")
    return dict(line.split(" &= ") for line in body.split(r" \\ "))


def coefficients(line):
    """Read a printed sum as {value: sympy expression}."""
    value = r"(?:\\hat\\epsilon\([^()]*\)|z_\{[^}]*\})"
    pattern = rf"(?P<sign>[+-]?)(?:(?P<c>(?:(?! [+-]\S).)*?)\\, )?(?P<value>{value})(?: (?=[+-])|$)"
    return {m["value"]: parsed(m["sign"] + (m["c"] or "1")) for m in re.finditer(pattern, line)}


def parsed(text):
    text = text.replace(r"\left", "").replace(r"\right", "").replace("\\, ", " ")
    text = re.sub(r"\\(alpha|sigma)_\{i([+-]1)?\}", lambda m: f"{m[1]}_{3 + int(m[2] or 0)}", text).replace(
        r"\gamma", "gamma"
    )
    while (new := re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)) != text:
        text = new
    text = re.sub(r"\^\{(\d)\}", r"**\1", text)
    names = {f"{x}_{k}": sympy.Symbol(f"{x}_{k}", positive=True) for x in ("alpha", "sigma") for k in (2, 3, 4)}
    return sympy.sympify(re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text), {**names, "gamma": sympy.Symbol("gamma")})


def test_printed_bdia_is_eq_27_and_its_inverse_eq_33():
    g = sympy.Symbol("gamma")
    a2, a3, a4 = (sympy.Symbol(f"alpha_{k}", positive=True) for k in (2, 3, 4))
    s2, s3, s4 = (sympy.Symbol(f"sigma_{k}", positive=True) for k in (2, 3, 4))
    # Delta(t_i -> t_j | z_i) = (alpha_j/alpha_i - 1) z_i + (sigma_j - alpha_j sigma_i/alpha_i) eps, eq. (21)
    of_z = 1 - g - g * (a4 / a3 - 1) + (a2 / a3 - 1)
    of_eps = -g * (s4 - a4 * s3 / a3) + (s2 - a2 * s3 / a3)
    step = coefficients(printed(step_latex(BDIA()))["z_{i-1}"])
    expected = {"z_{i+1}": g, "z_{i}": of_z, r"\hat\epsilon(z_{i}, i)": of_eps}
    assert step.keys() == expected.keys()
    assert all(sympy.simplify(step[k] - expected[k]) == 0 for k in expected)
    # Eq. (33): z_{i+1} from z_{i-1} and z_i.
    inverse = coefficients(printed(inverse_latex(BDIA()))["z_{i+1}"])
    expected = {"z_{i-1}": 1 / g, "z_{i}": -of_z / g, r"\hat\epsilon(z_{i}, i)": -of_eps / g}
    assert inverse.keys() == expected.keys()
    assert all(sympy.simplify(inverse[k] - expected[k]) == 0 for k in expected)


@pytest.mark.parametrize("solver", [*INVERTIBLE.values(), *REFUSED.values()], ids=lambda s: type(s).__name__)
def test_every_printed_line_names_what_it_computes(solver):
    lines = printed(step_latex(solver))
    assert all(lines.values())
    assert any("z_{i-1}" in left for left in lines)
    texts = [step_latex(solver)]
    if type(solver).__name__ in INVERTIBLE:
        texts.append(text := inverse_latex(solver))
        assert any("z_{i}" in left for left in printed(text))
    else:
        with pytest.raises(NotInvertibleError):
            inverse_latex(solver)
    for text in texts:
        assert text.count("{") == text.count("}")
        assert not re.search(r"(?<!\\)(alpha|sigma|eps|gamma|Between)", text)


@pytest.mark.parametrize("solver", [StormerVerlet(), RFSolver(), Heun("t")], ids=lambda s: type(s).__name__)
def test_times_and_derivatives_are_printed_by_their_index(solver):
    text = step_latex(solver)
    assert "t_{i-1}" in text and "t_i" in text
    # No symbol of the grid that the step was recorded on is left.
    assert not re.search(r"_\{?\d|dot\{", text), text
    assert (r"\dot\sigma_{i}" in text) == (not isinstance(solver, StormerVerlet))


def test_a_numerical_parameter_is_printed_with_its_value_on_request():
    assert r"\gamma" in step_latex(BDIA(Fraction(1, 2)))
    assert r"\gamma" not in step_latex(BDIA(Fraction(1, 2)), symbols=False)
    assert coefficients(printed(step_latex(BDIA(Fraction(1, 2)), symbols=False))["z_{i-1}"])[
        "z_{i+1}"
    ] == sympy.Rational(1, 2)


def test_formulas_for_alpha_1_are_short():
    end, start = sympy.symbols("sigma_2 sigma_3", positive=True)
    (line,) = printed(step_latex(DDIM(), exploding=True)).items()
    assert line[0] == "z_{i-1}"
    # With alpha = 1 eq. (8) is Euler's method in sigma.
    assert coefficients(line[1]) == {"z_{i}": 1, r"\hat\epsilon(z_{i}, i)": end - start}
    assert r"\alpha" not in step_latex(Heun(), exploding=True) + inverse_latex(BDIA(), exploding=True)


def test_collapsed_ddim_is_eq_8():
    # z_{i-1} = alpha_{i-1} (z_i - sigma_i eps)/alpha_i + sigma_{i-1} eps, eq. (6) and (8)
    (segment, *_) = record_steps(DDIM(), GRID[2:4]).segments
    a, s = GRID[2:4].alpha, GRID[2:4].sigma
    (op,) = (op for op in segment.ops if getattr(op, "register", None))
    assert [c for c, _ in op.terms] == [a[1] / a[2], s[1] - a[1] * s[2] / a[2]]


def test_a_parameter_may_depend_on_the_slot():
    seen = []

    def gamma(slot):
        seen.append(slot.i)
        assert slot.alpha == GRID.alpha[slot.i] and slot.sigma == GRID.sigma[slot.i] and slot.t == GRID.t[slot.i]
        ratio = [GRID.sigma[slot.i - k] / GRID.alpha[slot.i - k] for k in (0, 1)]
        assert slot.h == ratio[1] - ratio[0]
        assert slot.previous.h == ratio[0] - GRID.sigma[slot.i + 1] / GRID.alpha[slot.i + 1]
        return Fraction(slot.i, 7)

    record_steps(BDIA(gamma), GRID)
    assert seen == list(range(N - 1, 0, -1))
    varying = solve(BDIA(gamma), model, GRID, Z)
    assert np.all(invert(BDIA(gamma), model, GRID, varying.state).z == Z)
    assert np.any(varying.z != solve(BDIA(Fraction(1, 7)), model, GRID, Z).z)


def test_the_work_of_a_plan_grows_with_its_slots():
    """Counted, not timed: calls of Python functions while a plan is made."""

    def calls(n: int) -> int:
        run = record_run(EDICT(), DDIM(), grids.uniform(schedules.vp_cosine(), n, t_max=0.9, t_min=0.1))
        profile = cProfile.Profile()
        profile.runcall(program.make_plan, run, spaces.FLOAT64)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(200) < 2.05 * calls(100)


def test_the_times_of_a_run_are_not_copied_for_each_slot():
    """What is done in C counts as one call, however long a dictionary is."""
    copies = []

    class Watched(dict):
        def __or__(self, other):
            copies.append(other)
            return dict(self) | other

    run = record_run(EDICT(), DDIM(), grids.uniform(schedules.vp_cosine(), 20, t_max=0.9, t_min=0.1))
    run.trace.times = Watched(run.trace.times)
    program.make_plan(run, spaces.FLOAT64)
    assert len(copies) <= 1


def test_the_verdict_follows_a_solver_that_is_changed():
    """The verdict is kept, and a solver whose attributes have changed is another one."""

    class Changed:
        registers = ("z_prev", "z")
        kept = 1

        def step(self, s):
            z_prev, z = s.registers
            s.assign(z_prev, self.kept * z_prev + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
            s.swap(z_prev, z)

    solver = Changed()
    assert invertibility(solver).invertible
    solver.kept = 0
    assert not invertibility(solver).invertible
