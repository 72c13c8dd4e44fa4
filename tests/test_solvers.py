"""Every solver of SOLVERS, and a stranger's, in every number system: solve, invert or be refused, encode, save, go on."""

import functools
import importlib.util
import textwrap
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from small_solvers import INVERTIBLE, REFUSED

from bdia_numerics import (
    BDIA,
    CBDIA,
    EDICT,
    SOLVERS,
    NotInvertibleError,
    State,
    encode,
    grids,
    invert,
    invertibility,
    models,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.program import structure
from bdia_numerics.runs.solving import starter_of
from bdia_numerics.runs.state import identity


def varying(slot):
    """A parameter that differs from slot to slot, on the whole grid's index."""
    return Fraction(1, 2) + Fraction(slot.i, 20)


def vanishing_at_two(slot):
    return 0 if slot.i == 2 else 1


VARIANTS = (
    BDIA(Fraction(9, 10)),
    BDIA(varying),
    EDICT(1),
    EDICT(varying),
    EDICT(shifted=True),
    EDICT(exchange=True),
    EDICT(Fraction(1, 2), shifted=True, exchange=True),
    CBDIA(0, 1),
    CBDIA(1, 0),
    CBDIA(Fraction(3, 10), 1),
    CBDIA(varying, 0),
)
SOLVED = {
    **{name: make() for name, make in SOLVERS.items()},
    **{
        name: SOLVERS[name](1, 1) for name in ("UniPC", "SASolver")
    },  # with order 2 three slots have a million terms in symbols
    **{identity(solver): solver for solver in VARIANTS},
    **{f"test:{k}": v for k, v in {**INVERTIBLE, **REFUSED}.items()},
}
N = 5
EXACT = grids.uniform(schedules.flow(), N, t_min=Fraction(1, 10), t_max=Fraction(4, 5), space=spaces.FRACTION)
PRIMES = ((2, 3), (-3, 5), (5, 7), (-7, 11), (1, 13), (0, 1))


def numbers(make):
    z = np.empty((3, 2), dtype=object)
    z[...] = np.reshape([make(a, b) for a, b in PRIMES], (3, 2))
    return z


def quadratic(z, t):
    return (z * z[..., ::-1] - t * z) / 4 + t


def linear(z, t):
    """For Fractions, whose digits would double with each evaluation of a quadratic; test_random_programs has those."""
    return t * z[..., ::-1] / 3 + t


class Case:
    """A number system: its grid, states of shape (3, 2), a model, and the rounding unit (0: exact)."""

    def __init__(self, space, states, unit, model=quadratic):
        self.space, self.unit, self.model = space, unit, model
        self.grid = EXACT.to(space)
        with self.grid.space.working():
            self.z = states()


def floats(dtype):
    return Case(dtype, lambda: numbers(lambda a, b: dtype(a) / dtype(b)).astype(dtype), float(np.finfo(dtype).eps))


CASES = {
    "float32": floats(np.float32),
    "float64": floats(np.float64),
    "longdouble": floats(np.longdouble),
    "mpmath": Case(spaces.MPMath(30), lambda: numbers(lambda a, b: mpmath.mpf(a) / b), 1e-30),
    "fractions": Case(spaces.FRACTION, lambda: numbers(Fraction), 0, linear),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=SOLVED)
def solver(request):
    return SOLVED[request.param]


KINDS = ("DDIM", "EDICT", "BDIA2", "DPMSolverPP", "ALF", "test:AdamsBashforth")
"""One step, coupled states, several steps, a history, an evaluation that is kept: what a state holds differs by these."""
in_pairs = pytest.mark.parametrize(
    ("solver", "case"),
    [(name, "float64") for name in SOLVED] + [(name, case) for name in KINDS for case in CASES if case != "float64"],
    indirect=True,
)
"""Each solver in float64, and each number system with one solver of each kind."""


@functools.cache
def solved(solver, case):
    """Return a solver's run in a number system, once for all tests; a solver whose formulas leave the rationals must say so."""
    try:
        return solve(solver, case.model, case.grid, case.z)
    except TypeError as error:
        if case.space is not spaces.FRACTION or "rational" not in str(error):
            raise
        return str(error)


def meaningful(solver, case):
    """Return the run, or skip a solver that a number system has no functions for."""
    found = solved(solver, case)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def largest(values):
    return float(max(abs(x) for x in np.ravel(values)))


def same(a, b):
    return set(a) == set(b) and all(np.array_equal(a[k], b[k]) for k in a)


def same_kind(a, b):
    return np.shape(a) == np.shape(b) and a.dtype == b.dtype and {type(x) for x in a.flat} == {type(x) for x in b.flat}


def is_invertible(solver):
    return invertibility(solver).invertible


# Five steps on a smooth grid amplify a rounding by far less than this. A float32 run on a float64 grid included.
ROUNDINGS = 4000


def test_solve_keeps_the_system_and_agrees_with_fractions(solver, case):
    meaningful(solver, case)
    z = case.z.copy()
    solution = solve(solver, case.model, case.grid, z, return_trajectory=True)
    assert np.array_equal(z, case.z), "the caller's array was written to"
    assert solution.status.ok and str(solution.status) == "ok"
    assert same_kind(solution.z, case.z)
    assert all(same_kind(value, case.z) for value in solution.state.registers.values())
    reference = CASES["mpmath"]
    exact = (
        solve(solver, case.model, reference.grid, reference.z).z
        if case.model is linear
        else solved(solver, reference).z
    )
    # mpmath is the reference of all the others, and Fractions are that of mpmath.
    difference = [
        spaces.of(x).field(x) - spaces.FRACTION.field(0) - spaces.of(y).field(y)
        for x, y in zip(solution.z.flat, exact.flat, strict=True)
    ]
    assert largest(difference) <= ROUNDINGS * max(case.unit, reference.unit)


def test_invert_returns_or_refuses(solver, case):
    there = meaningful(solver, case)
    if not is_invertible(solver):
        with pytest.raises(NotInvertibleError, match="not exactly invertible"):
            invert(solver, case.model, case.grid, there.state)
        return
    back = invert(solver, case.model, case.grid, there.state)
    assert same_kind(back.z, case.z)
    assert largest(back.z - case.z) <= ROUNDINGS * case.unit
    assert {v.dtype for v in back.state.registers.values()} == {case.z.dtype}


@pytest.mark.parametrize(
    ("refused", "condition"),
    [
        (BDIA(0), "gamma != 0"),
        (BDIA(vanishing_at_two), "gamma != 0"),
        (EDICT(0), "p != 0"),
        (EDICT(vanishing_at_two), "p != 0"),
        (CBDIA(Fraction(2, 5), Fraction(2, 5)), "gamma1 - gamma2 != 0"),
        (CBDIA(vanishing_at_two, 0), "gamma1 - gamma2 != 0"),
    ],
    ids=identity,
)
def test_parameters_that_cannot_be_undone_are_refused_with_the_condition(refused, condition, case):
    there = solve(refused, case.model, case.grid, case.z)
    with pytest.raises(NotInvertibleError, match=f"invert needs {condition}"):
        invert(refused, case.model, case.grid, there.state)
    with pytest.raises(NotInvertibleError, match=f"invert needs {condition}"):
        encode(refused, case.model, case.grid, case.z)


@in_pairs
def test_round_trip_has_two_sides(solver, case):
    there = meaningful(solver, case)
    truth = case.z + 1  # any known state: the distance to it is checked against one made by hand
    noise = round_trip(solver, case.model, case.grid, case.z, reference=truth)
    gap = there.z - truth
    expected = (sum(float(x) ** 2 for x in gap.flat) / gap.size) ** 0.5
    assert float(noise.latent) == pytest.approx(expected, rel=max(10 * case.unit, 1e-12), abs=0)
    assert np.array_equal(noise.far, there.z)
    # An approximate way back may lose as much as was sent, and says so.
    size = (sum(float(x) ** 2 for x in case.z.flat) / case.z.size) ** 0.5
    assert noise.reference_error == 0 and noise.status.ok is (float(noise.error) < size)
    data = round_trip(solver, case.model, case.grid, case.z, "data", truth)
    if is_invertible(solver):
        assert float(noise.error) <= ROUNDINGS * case.unit
        assert float(data.error) <= ROUNDINGS * case.unit
    else:
        # No run on the reversed grid, and not (10), undoes five steps: even RK4's error is far above any rounding of 16 digits.
        least = 1e-5 if type(solver).__name__ != "RK4" else 1e-8
        assert float(noise.error) > least
        assert float(data.error) > least


@in_pairs
def test_encode_and_solve_from_its_state(solver, case):
    meaningful(solver, case)
    there = encode(solver, case.model, case.grid, case.z, return_trajectory=True)
    assert there.status.ok and same_kind(there.z, case.z)
    assert there.trajectory.shape == (N + 1, 3, 2)
    assert np.array_equal(there.trajectory[0], case.z)
    assert np.array_equal(there.trajectory[N], there.z)
    if is_invertible(solver):
        back = solve(solver, case.model, case.grid, there.state)
        assert largest(back.z - case.z) <= ROUNDINGS * case.unit
    elif len(solver.registers) > 1:
        assert there.state is None
    else:
        assert np.array_equal(
            solve(solver, case.model, case.grid, there.state).z, solve(solver, case.model, case.grid, there.z).z
        )


@in_pairs
def test_state_survives_a_file(solver, case, tmp_path):
    there = meaningful(solver, case)
    there.state.save(tmp_path / "state")
    loaded = State.load(tmp_path / "state")
    assert (loaded.solver, loaded.grid, dict(loaded.times)) == (
        there.state.solver,
        there.state.grid,
        dict(there.state.times),
    )
    assert same(loaded.registers, there.state.registers)
    assert all(same_kind(loaded.registers[r], there.state.registers[r]) for r in loaded.registers)
    if is_invertible(solver):
        assert np.array_equal(
            invert(solver, case.model, case.grid, loaded).z, invert(solver, case.model, case.grid, there.state).z
        )


@in_pairs
def test_a_part_of_the_grid_and_going_on_from_its_state(solver, case):
    whole = meaningful(solver, case)
    depth, cut = structure(solver).depth, 2
    first = solve(solver, case.model, case.grid[cut:N], case.z)
    # The registers of a multistep solver reach back, so that the next part begins as many slots earlier.
    second = solve(solver, case.model, case.grid[0 : cut + depth], first.state)
    assert np.array_equal(second.z, whole.z)
    assert dict(second.state.times) == dict(whole.state.times)
    if is_invertible(solver):
        middle = invert(solver, case.model, case.grid[0 : cut + depth], whole.state)
        assert dict(middle.state.times) == dict(first.state.times)
        assert (
            largest(middle.z - (first.z if not depth else middle.state.registers[solver.registers[0]]))
            <= ROUNDINGS * case.unit
        )
        back = invert(solver, case.model, case.grid[cut:N], middle.state)
        assert largest(back.z - case.z) <= ROUNDINGS * case.unit


@in_pairs
def test_trajectory_is_indexed_as_in_the_paper_and_callbacks_get_copies(solver, case):
    plain = meaningful(solver, case)
    output, seen = structure(solver).output, []

    def callback(i, state):
        seen.append((i, state.registers[output].copy()))
        assert state.times[output] == i
        for value in state.registers.values():
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 0

    solution = solve(solver, case.model, case.grid, case.z, return_trajectory=True, callback=callback)
    assert np.array_equal(solution.z, plain.z)
    assert solution.trajectory.shape == (N + 1, 3, 2) and solution.trajectory.dtype == case.z.dtype
    assert np.array_equal(solution.trajectory[N], case.z)
    assert np.array_equal(solution.trajectory[0], solution.z)
    depth = structure(solver).depth
    assert [i for i, _ in seen] == list(range(N - depth, -1, -1))
    assert all(np.array_equal(solution.trajectory[i], z) for i, z in seen)
    # Index i is the state after N - i slots: a run on the upper part ends there.
    for i in range(N - depth):
        assert np.array_equal(solution.trajectory[i], solve(solver, case.model, case.grid[i:N], case.z).z)


def test_in_symbols_with_the_formal_model(solver):
    n = structure(solver).depth + (1 if structure(solver).depth > 1 else 2)  # terms multiply with each slot
    grid, z, model = grids.symbolic(n), spaces.Vector.basis("z"), spaces.formal_model()
    there = solve(solver, model, grid, z)
    assert isinstance(there.z, spaces.Vector)
    # Every run starts at z_N, and eps(z_N, t_N) is the first unknown.
    assert there.z.coefficient("z") != 0
    assert any(name != "z" for name in there.z.terms)
    if is_invertible(solver):
        back = invert(solver, model, grid, there.state)
        assert back.z == z
        start = encode(solver, model, grid, z)
        assert solve(solver, model, grid, start.state).z == z
    else:
        with pytest.raises(NotInvertibleError):
            invert(solver, model, grid, there.state)
    with pytest.raises(TypeError, match="no file form"):
        there.state.save("nowhere")


def test_in_symbols_with_numbers_substituted_it_is_the_fraction_run(solver):
    meaningful(solver, CASES["fractions"])
    symbols = sympy.symbols("x:2")
    z = np.array(symbols, dtype=object)
    depth = structure(solver).depth
    part = EXACT[0 : depth + 1]
    grid = grids.from_values(
        *([sympy.Rational(x.numerator, x.denominator) for x in c] for c in (part.t, part.alpha, part.sigma))
    )

    try:
        ran = solve(solver, linear, grid, z)
    except ValueError as error:
        if "schedule" not in str(error):
            raise
        pytest.skip(f"times in between need a schedule: {error}")
    values = [Fraction(2, 3), Fraction(-3, 5)]
    exact = solve(solver, linear, part, np.array(values)).z
    rational = [sympy.Rational(v.numerator, v.denominator) for v in values]
    assert [x.subs(dict(zip(symbols, rational, strict=True))) for x in ran.z] == [
        sympy.Rational(v.numerator, v.denominator) for v in exact
    ]


def test_counted_nfe_is_that_of_the_program(solver):
    counted = models.counted(CASES["float64"].model)
    solution = solve(solver, counted, CASES["float64"].grid, CASES["float64"].z)
    assert solution.nfe == counted.nfe
    shape = structure(solver)
    # CBDIA with gamma2 = 1 asks again at a state that it only handed on, which the shape, made without numbers, cannot know.
    per_step = 1 if getattr(solver, "gamma2", None) == 1 and isinstance(solver, CBDIA) else shape.nfe
    # The start takes at most what its solver does a slot, and one that fills a register.
    started = structure(starter_of(solver)).nfe * shape.depth
    assert 0 <= counted.nfe - per_step * (N - shape.depth) <= started + 1


def test_scalars_and_big_batches(solver):
    grid, model = CASES["float64"].grid, lambda z, t: z * t / 3
    one = solve(solver, model, grid, np.float64(0.7))
    batch = solve(solver, model, grid, np.full((2, 2, 3), 0.7))
    assert np.shape(one.z) == () and isinstance(one.z, np.float64)
    assert batch.z.shape == (2, 2, 3) and np.all(batch.z == one.z)


STRANGER = """
    class Leapfrog:
        registers = ("older", "z")

        def step(self, s):
            older, z = s.registers
            e = s.eps(z)
            s.assign(older, older - s.delta(s.i, s.i + 1, z, e) + s.delta(s.i, s.i - 1, z, e), at=s.i - 1)
            s.swap(older, z)
"""


def test_a_strangers_file_works_without_registration(tmp_path, case):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(STRANGER), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("mine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mine = module.Leapfrog()
    # It is BDIA with gamma = 1, eq. (27), so that one has to give the same numbers.
    there, known = (solve(s, case.model, case.grid, case.z) for s in (mine, SOLVERS["BDIA"](1)))
    assert np.array_equal(there.z, known.z)
    there.state.save(tmp_path / "s.npz")
    back = invert(mine, case.model, case.grid, State.load(tmp_path / "s.npz"))
    assert largest(back.z - case.z) <= ROUNDINGS * case.unit
    trip = round_trip(mine, case.model, case.grid, case.z, "data", reference=case.z)
    assert float(trip.error) <= ROUNDINGS * case.unit
    assert encode(mine, case.model, case.grid, case.z).status.ok
    assert [str(c) for c in invertibility(mine).condition] == []


@pytest.mark.parametrize(
    ("solver", "size"),
    [(name, 4) for name in SOLVED] + [(name, 8 * 32768 + 3) for name in KINDS],  # a large array is combined in blocks
    indirect=["solver"],
)
def test_a_model_may_reuse_its_buffer_and_return_its_input(solver, size):
    grid, z = CASES["float64"].grid, np.random.default_rng(7).standard_normal(size)
    buffer = np.empty(size)

    def reusing(z, t):
        return np.multiply(np.sin(z), t, out=buffer)

    plain = solve(solver, lambda z, t: np.sin(z) * t, grid, z)
    reused = solve(solver, reusing, grid, z)
    assert np.array_equal(reused.z, plain.z)
    assert all(np.array_equal(reused.state.registers[r], plain.state.registers[r]) for r in solver.registers)
    buffer[...] = 0
    assert np.array_equal(reused.z, plain.z), "the solution is the model's own buffer"
    given = solve(solver, lambda z, t: z, grid, z)
    assert np.array_equal(given.z, solve(solver, lambda z, t: z.copy(), grid, z).z)
    if is_invertible(solver):
        back = [invert(solver, model, grid, plain.state).z for model in (reusing, lambda z, t: np.sin(z) * t)]
        assert np.array_equal(*back)
