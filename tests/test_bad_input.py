"""Bad input: one clear line that names the argument and its value, and says what to do."""

from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import (
    BDIA,
    DDIM,
    SOLVERS,
    encode,
    grids,
    invert,
    models,
    problems,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.solvers import find

GRID = grids.uniform(schedules.vp_cosine(), 4, t_max=0.9, t_min=0.1)
EXACT = grids.uniform(schedules.flow(), 4, t_max=Fraction(9, 10), t_min=Fraction(1, 10), space=spaces.FRACTION)
VP = schedules.vp_linear()
Z = np.array([0.5, -1.0])
HALVES = np.array([Fraction(1, 2), Fraction(-1)])


def model(z, t):
    return z / 3


def refused(kind, words, call):
    """Run `call`; check that it raises `kind` with one line of sense that holds all the `words`."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and 20 < len(message) < 400
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"
    return message


# Parameters of solvers


def test_gamma_zero_cannot_be_inverted():
    state = solve(BDIA(0), model, GRID, Z).state
    refused(ValueError, ["gamma=0", "BDIA", "gamma != 0"], lambda: invert(BDIA(0), model, GRID, state))

    def gamma(slot):
        return 0 if slot.i == 2 else 1

    state = solve(BDIA(gamma), model, GRID, Z).state
    refused(ValueError, ["gamma", "from i=2 to 1"], lambda: invert(BDIA(gamma), model, GRID, state))


@pytest.mark.parametrize("gamma", [-0.1, 1.5, Fraction(7, 5), np.float32(2), float("inf"), mpmath.mpf(-1)])
def test_gamma_outside_the_unit_interval(gamma):
    refused(ValueError, [f"gamma={gamma!r}", "[0, 1]", "allow_any=True"], lambda: BDIA(gamma))
    if np.isfinite(float(gamma)):
        BDIA(gamma, allow_any=True)


def test_gamma_that_is_no_number():
    refused(ValueError, ["gamma=nan", "not a number"], lambda: BDIA(float("nan")))
    refused(ValueError, ["gamma=nan"], lambda: BDIA(float("nan"), allow_any=True))
    for gamma in ("1", 1j, True, None):
        refused(TypeError, [f"gamma={gamma!r}", "[0, 1]"], lambda gamma=gamma: BDIA(gamma))


def test_gamma_of_a_slot_may_go_anywhere_and_must_be_a_number():
    assert solve(BDIA(lambda slot: 1.7), model, GRID, Z).status.ok
    refused(ValueError, ["nan", "finite"], lambda: solve(BDIA(lambda slot: float("nan")), model, GRID, Z))
    refused(
        TypeError, ["(1+1j)", "int, a float or a Fraction"], lambda: solve(BDIA(lambda slot: 1 + 1j), model, GRID, Z)
    )


def test_gamma_that_is_an_array():
    refused(TypeError, ["gamma=[0.5]", "function of the slot"], lambda: BDIA([0.5]))
    refused(TypeError, ["gamma=array(0.5)", "number"], lambda: BDIA(np.array(0.5)))
    refused(TypeError, ["gamma=array(", "..."], lambda: BDIA(np.zeros((50, 50))))
    assert solve(BDIA(np.float32(0.5)), model, GRID, Z).status.ok


def test_gamma_of_a_slot_is_named_with_the_slot():
    for value, kind in ((float("nan"), ValueError), (float("inf"), ValueError), ("x", ValueError), (None, TypeError)):

        def gamma(slot, value=value):
            return value if slot.i == 2 else 1

        words = [f"gamma={value!r}", "slot from i=2 to 1", "return a finite number"]
        refused(kind, words, lambda gamma=gamma: solve(BDIA(gamma), model, GRID, Z))
        refused(kind, words, lambda gamma=gamma: encode(BDIA(gamma), model, GRID, Z))


# What is not a solver, no model, no grid


RUNS = {
    "solve": lambda solver, model, grid: solve(solver, model, grid, Z),
    "invert": lambda solver, model, grid: invert(solver, model, grid, solve(BDIA(), lambda z, t: z, GRID, Z).state),
    "encode": lambda solver, model, grid: encode(solver, model, grid, Z),
    "round_trip": lambda solver, model, grid: round_trip(solver, model, grid, Z),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_arguments_of_another_kind(run):
    for grid in (None, [0.9, 0.5, 0.1], list(range(10_000)), np.zeros((9, 9))):
        refused(TypeError, ["grid=", "is not a Grid", "grids.uniform"], lambda grid=grid: run(BDIA(), model, grid))
    for other in (None, Z, 3):
        refused(TypeError, ["model=", "not callable", "(z, t)"], lambda other=other: run(BDIA(), other, GRID))
    refused(TypeError, ["solver=BDIA is a class", "instance", "BDIA()"], lambda: run(BDIA, model, GRID))
    refused(TypeError, ["solver='Heun' is text", "instance", "Heun()"], lambda: run("Heun", model, GRID))


def test_names_of_solvers():
    assert find("BDIA") is find("bdia") is BDIA and find("edict") is SOLVERS["EDICT"]
    refused(ValueError, ["solver='BDA'", "is unknown", "use BDIA"], lambda: find("BDA"))
    assert "Rex" not in refused(ValueError, ["Heun"], lambda: find("huen"))
    refused(ValueError, ["solver='zzzz'", *SOLVERS], lambda: find("zzzz"))
    refused(TypeError, ["name=3", "not text"], lambda: find(3))


@pytest.mark.parametrize("names", [(), ("z", "z"), "z", ("z", ""), ("z", 1)])
def test_registers_that_are_no_names(names):
    solver = SimpleNamespace(registers=names, step=lambda s: None)
    refused(ValueError, [f"registers={names!r}", "distinct names"], lambda: solve(solver, model, GRID, Z))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (lambda z, e: z * z, ["product", "name='z'", "linear", "model"]),
        (lambda z, e: e * (2 * z), ["product", "Form(z)", "linear"]),
        (lambda z, e: z / e, ["quotient", "linear"]),
        (lambda z, e: z if z > 0 else e, ["name='z'", "recorded once", "s.i"]),
        (lambda z, e: z if e - z else e, ["Form(", "recorded once"]),
        (lambda z, e: z + np.zeros((9, 9)), ["array(", "linear"]),
    ],
)
def test_steps_that_are_not_linear(line, words):
    def step(s):
        (z,) = s.registers
        s.assign(z, line(z, s.eps(z)), at=s.i - 1)

    solver = SimpleNamespace(registers=("z",), step=step)
    assert "Grid" not in refused(TypeError, words, lambda: solve(solver, model, GRID, Z))


def test_handles_print_in_a_few_words():
    seen = []

    def step(s):
        (z,) = s.registers
        e = s.eps(z)
        seen.extend([z, e, z + e, s.scratch(z, at=s.i)])
        s.assign(z, z + e, at=s.i - 1)

    solve(SimpleNamespace(registers=("z",), step=step), model, GRID, Z)
    assert len(seen) >= 4 and all(len(repr(x)) < 100 and "Grid" not in repr(x) for x in seen)


# Grids and schedules


def test_parameters_and_times_of_schedules():
    nan = float("nan")
    refused(ValueError, ["beta_min=nan", "finite"], lambda: schedules.vp_linear(beta_min=nan))
    refused(ValueError, ["beta_max='x'", "number"], lambda: schedules.vp_linear(beta_max="x"))
    refused(ValueError, ["s=inf", "finite"], lambda: schedules.vp_cosine(float("inf")))
    refused(ValueError, ["t_max=None", "number"], lambda: schedules.from_functions(abs, abs, t_max=None))
    table = schedules.from_alphas_cumprod([0.9, 0.5, 0.1])
    for schedule in (VP, schedules.vp_cosine(), schedules.edm(), schedules.ve(), schedules.flow(), table):
        for t in (nan, np.float32(nan), np.array([0.5, nan]), mpmath.mpf("nan")):
            with pytest.raises(ValueError, match=r"not a number|NaN|outside") as caught:
                schedule.alpha(t)
            assert "\n" not in str(caught.value)
    # Outside the domain the formulas go on; grids refuse.
    assert VP.alpha(1.5) == pytest.approx(np.exp(-(1.5 * 0.1 + 1.5**2 * 19.9 / 2) / 2), rel=1e-14, abs=0)
    refused(ValueError, ["1.5", "outside"], lambda: grids.from_timesteps(VP, [1.5, 0.5]))


def test_a_negative_level_is_named_as_it_was_given():
    refused(ValueError, ["alpha[0]=-1", "negative"], lambda: grids.from_values([0, 1], [-1, 1], [0, 1]))
    refused(ValueError, ["sigma[1]=-2", "negative"], lambda: grids.from_values([0, 1], [1, 1], [0, -2]))


def test_scores_at_nan():
    law = problems.Gaussian([0.0, 0.0], 1.0)
    refused(ValueError, ["t=nan", "finite"], lambda: law.score(Z, float("nan"), VP))
    assert np.all(np.isnan(law.score(np.array([np.nan, np.nan]), 0.5, VP)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: grids.uniform(VP, 0), ["n=0"]),
        (lambda: grids.from_timesteps(VP, []), ["ts", "0"]),
        (lambda: grids.from_timesteps(VP, [0.5]), ["ts", "1"]),
        (lambda: grids.from_timesteps(VP, [0.2, 0.9]), ["ts", "0.9", "sort"]),
        (lambda: grids.from_timesteps(VP, [0.9, 0.3, 0.5]), ["ts", "0.5", "sort"]),
        (lambda: grids.from_timesteps(VP, [0.9, 0.5, 0.5]), ["0.5", "twice"]),
        (lambda: grids.from_timesteps(VP, [0.9, float("nan")]), ["ts", "nan", "finite"]),
        (lambda: grids.from_timesteps(VP, [1.9, 0.5]), ["1.9", "outside the schedule"]),
        (lambda: grids.from_values([0, 1], [1, 1], [0]), ["t, alpha, sigma", "[2, 2, 1]", "equally many"]),
        (lambda: grids.from_values([0, 1, 1], [1, 1, 1], [0, 1, 2]), ["t=1", "twice"]),
        (lambda: grids.from_values([0, 1, 0.5], [1, 1, 1], [0, 1, 2]), ["t=0.5", "turns back"]),
        (lambda: grids.from_values([0, 1], [1, -1], [0, 1]), ["alpha[1]=-1", "negative"]),
        (lambda: grids.from_values([0, 1], [1, float("inf")], [0, 1]), ["inf", "finite"]),
        (lambda: GRID[2:2], ["grid[2:2]", "0 <= a < b <= 4"]),
        (lambda: GRID[0:9], ["grid[0:9]", "0 <= a < b <= 4"]),
    ],
)  # fmt: skip
def test_grids(call, words):
    refused(ValueError, words, call)


def test_a_grid_too_short_for_the_start():
    class ThreeStep:
        registers = ("a", "b", "z")

        def step(self, s):
            a, b, z = s.registers
            s.assign(a, a + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
            s.swap(a, b)
            s.swap(b, z)

    refused(ValueError, ["n=1", "2"], lambda: solve(ThreeStep(), model, GRID[0:1], Z))


# alpha or sigma = 0


def test_coefficients_that_diverge():
    whole = grids.uniform(schedules.flow(), 4)
    refused(
        ValueError, ["i=4, t=1.0", "alpha = 0", "predict v, velocity or x0"], lambda: solve(DDIM(), model, whole, Z)
    )
    refused(
        ValueError, ["sigma = 0", "predict eps, v or velocity"], lambda: encode(BDIA(), models.x0(model), whole[0:3], Z)
    )
    assert solve(DDIM(), models.v(model), whole, Z).status.ok


# States


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_input(bad):
    z = np.array([0.0, bad])
    refused(ValueError, ["z ", "NaN or infinite", "finite"], lambda: solve(BDIA(), model, GRID, z))
    refused(ValueError, ["x_0", "NaN or infinite"], lambda: encode(BDIA(), model, GRID, z))
    refused(ValueError, ["x_0", "NaN or infinite"], lambda: encode(DDIM(), model, GRID, z))
    refused(ValueError, ["NaN or infinite"], lambda: round_trip(BDIA(), model, GRID, z, "data", Z))
    refused(ValueError, ["start", "NaN or infinite"], lambda: solve(BDIA(), model, GRID, Z, start=[z]))
    refused(
        ValueError,
        ["register z ", "NaN or infinite"],
        lambda: solve(BDIA(), model, GRID, Z, start={"z_prev": Z, "z": z}),
    )
    broken = solve(BDIA(), lambda y, t: np.full_like(y, bad) if t < 0.4 else y, GRID, Z)
    refused(ValueError, ["register", "NaN or infinite"], lambda: invert(BDIA(), model, GRID[0:4], end_of(broken.state)))


def end_of(state):
    from bdia_numerics import State

    return State(state.solver, state.grid, state.registers, {"z_prev": 1, "z": 0})


@pytest.mark.parametrize("z", [np.array([1j]), "0.5", None, np.array([True])])
def test_states_in_no_number_system(z):
    for run, name in ((solve, "z"), (encode, "x_0"), (round_trip, "z")):
        refused(TypeError, [f"{name}: ", "number system", "float"], lambda run=run: run(BDIA(), model, GRID, z))


@pytest.mark.parametrize("z", [[[1, 2.5], (3, np.int64(4))], np.array([[1, 2], [3, 4]], np.int32)])
def test_lists_of_numbers_and_integers_are_float64(z):
    array = np.asarray(z, np.float64)
    for run in (solve, encode):
        found, expected = run(BDIA(), model, GRID, z), run(BDIA(), model, GRID, array)
        assert found.z.dtype == np.float64 and (found.z == expected.z).all()
    found, expected = (round_trip(BDIA(), model, GRID, x, reference=x) for x in (z, array))
    assert found.error == expected.error and found.latent == expected.latent
    found, expected = (solve(BDIA(), model, GRID, x, start=[x]) for x in (z, array))
    assert (found.z == expected.z).all()


@pytest.mark.parametrize("z", [[True, 1.0], [[1.0], [2.0, 3.0]], [None], [Fraction(1, 2)], ["0.5"], [1j]], ids=repr)
def test_lists_of_other_things_are_refused(z):
    for run, name in ((solve, "z"), (encode, "x_0"), (round_trip, "z")):
        refused(
            TypeError, [f"{name} is a list that holds", "pass an array"], lambda run=run: run(BDIA(), model, GRID, z)
        )


def test_states_of_different_shapes_or_systems():
    refused(ValueError, ["start", "(2,)", "(3,)"], lambda: solve(BDIA(), model, GRID, Z, start=[np.zeros(3)]))
    refused(
        ValueError, ["z_prev", "(3,)"], lambda: solve(BDIA(), model, GRID, Z, start={"z_prev": np.zeros(3), "z": Z})
    )
    refused(
        TypeError, ["start", "float32", "float64"], lambda: solve(BDIA(), model, GRID, Z, start=[Z.astype(np.float32)])
    )
    refused(ValueError, ["start", "['z']", "z_prev"], lambda: solve(BDIA(), model, GRID, Z, start={"z": Z}))
    refused(ValueError, ["start", "2 states", "needs 1"], lambda: solve(BDIA(), model, GRID, Z, start=[Z, Z]))
    refused(ValueError, ["start=", "one-step"], lambda: solve(BDIA(), model, GRID, Z, start=BDIA()))


# Models


@pytest.mark.parametrize("run", ["solve", "encode", "invert", "exact"])
def test_a_model_that_works_in_place(run):
    def greedy(z, t):
        z *= 2
        return z

    z, state = Z.copy(), solve(BDIA(), model, GRID, Z).state
    before = state.registers["z"].copy()
    calls = {
        "solve": lambda: solve(BDIA(), greedy, GRID, z),
        "encode": lambda: encode(BDIA(), greedy, GRID, z),
        "invert": lambda: invert(BDIA(), greedy, GRID, state),
        "exact": lambda: solve(BDIA(), greedy, EXACT, HALVES),
    }
    with pytest.raises(ValueError, match="read-only"):
        calls[run]()
    assert np.array_equal(z, Z) and np.array_equal(state.registers["z"], before) and HALVES[0] == Fraction(1, 2)


def test_a_model_that_returns_its_argument_or_its_own_buffer():
    buffer = np.empty_like(Z)

    def reused(z, t):
        np.divide(z, 3, out=buffer)
        return buffer

    for solver in (BDIA(), SOLVERS["EDICT"](), SOLVERS["PLMS"]()):
        assert np.array_equal(solve(solver, reused, GRID, Z).z, solve(solver, model, GRID, Z).z)
        own = solve(solver, lambda z, t: z, GRID, Z).z
        assert np.array_equal(own, solve(solver, lambda z, t: z.copy(), GRID, Z).z)
        half = solve(solver, lambda z, t: z[::-1], GRID, Z).z
        assert np.array_equal(half, solve(solver, lambda z, t: z[::-1].copy(), GRID, Z).z)


def test_a_model_of_another_shape():
    refused(
        ValueError, ["model(z, t=0.9)", "(1,)", "(2,)", "like z"], lambda: solve(BDIA(), lambda z, t: z[:1], GRID, Z)
    )
    refused(ValueError, ["model(z, t=0.9)", "()", "(2,)"], lambda: solve(BDIA(), lambda z, t: 0.0, GRID, Z))
    refused(ValueError, ["model", "(2, 1)"], lambda: solve(BDIA(), lambda z, t: z[:, None], GRID, Z))


def test_a_model_of_another_dtype():
    single = Z.astype(np.float32)
    refused(
        TypeError,
        ["model", "float64", "float32", "cast"],
        lambda: solve(BDIA(), lambda z, t: z.astype(float), GRID, single),
    )
    refused(TypeError, ["model", "complex128", "float64"], lambda: solve(BDIA(), lambda z, t: z * 1j, GRID, Z))
    refused(TypeError, ["model", "int64", "float64"], lambda: solve(BDIA(), lambda z, t: z.astype(int), GRID, Z))
    refused(TypeError, ["model", "object"], lambda: solve(BDIA(), lambda z, t: z.astype(object), GRID, Z))


def test_unknown_predictions():
    refused(
        ValueError, ["prediction='noise'", "eps, x0, v, velocity, score"], lambda: models.Predicting(model, "noise")
    )

    def odd(z, t):
        return z

    odd.prediction = "noise"
    refused(ValueError, ["prediction='noise'"], lambda: solve(BDIA(), odd, GRID, Z))


# Laws


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: problems.GaussianMixture([-0.5, 1.5], [[0.0], [1.0]], [1.0, 1.0]), ["weights", "-0.5", "non-negative"]),
        (lambda: problems.GaussianMixture([0.5, 0.6], [[0.0], [1.0]], [1.0, 1.0]), ["weights", "1.1", "divide"]),
        (lambda: problems.GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [1.0, -1.0]), ["covs", "-1.0", "non-negative"]),
        (lambda: problems.Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), ["cov", "positive definite"]),
        (lambda: problems.Gaussian([0.0, 0.0], [[1.0, 0.0], [0.5, 1.0]]), ["cov", "symmetric"]),
    ],
)  # fmt: skip
def test_laws(call, words):
    refused(ValueError, words, call)


# Exact runs


def test_a_float_in_an_exact_run():
    refused(TypeError, ["z ", "float64", "fractions", "grid.to"], lambda: solve(BDIA(), model, EXACT, Z))
    refused(TypeError, ["z ", "fractions", "float64"], lambda: solve(BDIA(), model, GRID, HALVES))
    refused(TypeError, ["model", "float64", "fractions"], lambda: solve(BDIA(), lambda z, t: z * 0.5, EXACT, HALVES))
    half_float = np.array([Fraction(1, 2), 0.5], dtype=object)
    refused(TypeError, ["z: ", "mixes fractions with float64"], lambda: solve(BDIA(), model, EXACT, half_float))
    refused(TypeError, ["model", "mixes"], lambda: solve(BDIA(), lambda z, t: half_float, EXACT, HALVES))
    refused(TypeError, ["start", "float64", "fractions"], lambda: solve(BDIA(), model, EXACT, HALVES, start=[Z]))
    refused(TypeError, ["float64"], lambda: GRID.to(Fraction))


@pytest.mark.parametrize("states", [[1.5, 2.0], [1, 2], [np.float32(1), 2]], ids=str)
def test_an_array_of_objects_that_are_floats(states):
    z, problem = np.array(states, dtype=object), problems.Gaussian([0.0, 0.0], 1.0)
    for call in (
        lambda: solve(BDIA(), model, GRID, z),
        lambda: problem.flow(z, 0.5, 0.2, VP),
        lambda: problem.score(z, 0.5, VP),
    ):
        refused(TypeError, ["an array of objects that are float", ".astype(float)"], call)


def test_a_float_in_an_mpmath_or_symbolic_run():
    grid = EXACT.to(spaces.MPMath(30))
    z = np.array([mpmath.mpf(1), mpmath.mpf(2)])
    refused(TypeError, ["model", "float64"], lambda: solve(BDIA(), lambda y, t: np.array([0.5, 0.5]), grid, z))
    symbols = grids.symbolic(3)
    half = type(
        "Half",
        (),
        {"registers": ("z",), "step": lambda self, s: s.assign(*s.registers, 0.5 * s.registers[0], at=s.i - 1)},
    )
    refused(TypeError, ["0.5", "symbols", "Fraction('0.5')"], lambda: solve(half(), model, symbols, sympy.Symbol("z")))
    assert solve(BDIA(Fraction(9, 10)), spaces.formal_model(), symbols, spaces.Vector.basis("z")).status.ok


# Runs


def test_names_that_are_none():
    refused(ValueError, ["end='middle'", "noise", "data"], lambda: round_trip(BDIA(), model, GRID, Z, "middle"))
    refused(ValueError, ["reference='exact'", "'fine'"], lambda: round_trip(BDIA(), model, GRID, Z, reference="exact"))
    refused(
        ValueError, ["reference", "(3,)", "(2,)"], lambda: round_trip(BDIA(), model, GRID, Z, reference=np.zeros(3))
    )
    for bad in (np.array([np.nan, 1.0]), np.array([1.0, np.inf])):
        refused(
            ValueError,
            ["reference", "NaN", "finite"],
            lambda bad=bad: round_trip(BDIA(), model, GRID, Z, reference=bad),
        )
    values = grids.from_values([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.1, 1.0, 2.0])
    refused(ValueError, ["schedule", "true state"], lambda: round_trip(BDIA(), model, values, Z))
    refused(TypeError, ["solver='BDIA' is text", "BDIA()"], lambda: solve("BDIA", model, GRID, Z))
    refused(TypeError, ["solver=", "registers", "step"], lambda: solve(object(), model, GRID, Z))


def test_no_solver_of_the_table_takes_a_stray_argument():
    for make in SOLVERS.values():
        with pytest.raises(TypeError):
            make(unheard_of=1)


# Parts that do not belong together

COSINE = schedules.vp_cosine()
OF_COSINE = problems.Gaussian([0.0, 1.0]).model(COSINE)
VALUES = grids.from_values(GRID.t, GRID.alpha, GRID.sigma)
WRAPPED = {
    "itself": OF_COSINE,
    "counted": models.counted(OF_COSINE),
    "witnessed": models.witnessed(OF_COSINE),
    "guided": models.guided(OF_COSINE, OF_COSINE, 2),
    "converted": models.as_prediction(OF_COSINE, COSINE, "x0"),
    "converted alone": models.as_prediction(model, COSINE, "v"),
    "said": models.Predicting(OF_COSINE, "eps"),
    "in the other branch": models.guided(model, OF_COSINE, 2),
    "in a conversion": models.as_prediction(OF_COSINE, VP, "x0"),
}


@pytest.mark.parametrize(
    ("run", "name"),
    [*(("solve", name) for name in WRAPPED), *((r, "itself") for r in ("invert", "encode", "round_trip"))],
)
def test_a_model_of_one_schedule_on_a_grid_of_another(run, name):
    other = grids.uniform(VP, 4, t_max=0.9, t_min=0.1)
    runs = {
        "solve": lambda grid: solve(DDIM(), WRAPPED[name], grid, Z),
        "invert": lambda grid: invert(BDIA(), WRAPPED[name], grid, solve(BDIA(), model, grid, Z).state),
        "encode": lambda grid: encode(DDIM(), WRAPPED[name], grid, Z),
        "round_trip": lambda grid: round_trip(BDIA(), WRAPPED[name], grid, Z, reference=Z),
    }
    words = [
        "model is of VPCosine",
        "(0.985948, 0.167055) at t=0.1",
        "the grid has (0.946722, 0.322053)",
        "one schedule",
    ]
    for grid in (other, grids.from_values(other.t, other.alpha, other.sigma), other.reversed()):
        expected = words if grid.t[0] < grid.t[-1] else [words[0], words[-1]]
        refused(ValueError, expected, lambda grid=grid: runs[run](grid))
    for grid in (GRID, VALUES, GRID[1:3]) if name != "in a conversion" else ():
        runs[run](grid)


def test_levels_are_compared_where_schedules_differ():
    same = schedules.from_functions(COSINE.alpha, COSINE.sigma)
    assert solve(DDIM(), OF_COSINE, grids.uniform(same, 4, t_max=0.9, t_min=0.1), Z).status.ok
    single = [np.float32(x).astype(float) for x in (GRID.t, GRID.alpha, GRID.sigma)]
    assert solve(DDIM(), OF_COSINE, grids.from_values(*single), Z).status.ok
    table = problems.Gaussian([0.0, 1.0]).model(schedules.stable_diffusion())
    refused(
        ValueError,
        ["model is of Discrete", "of other times", "one schedule"],
        lambda: solve(DDIM(), table, grids.from_values([2000, 3000], [0.9, 0.1], [0.3, 0.9]), Z),
    )
    leading = grids.leading(schedules.stable_diffusion(), 5, steps_offset=1)
    assert solve(DDIM(), table, leading, Z).status.ok
    refused(ValueError, ["one schedule"], lambda: solve(DDIM(), table, grids.leading(schedules.ddpm_linear(), 5), Z))


@pytest.mark.parametrize("extra", [{}, {"evaluations": ("e",)}], ids=["another name", "an evaluation"])
def test_a_solver_whose_only_register_is_no_state(extra):
    def step(s):
        (e,) = s.registers
        s.assign(e, e * 2, at=s.i - 1)

    solver = SimpleNamespace(registers=("e",), step=step, **extra)
    refused(
        ValueError,
        ["registers=('e',) of SimpleNamespace", "no state z", "output="],
        lambda: solve(solver, model, GRID, Z),
    )
