"""Bad input: one clear line that names the argument and its value, and says what to do."""

from fractions import Fraction

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


# Grids


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
    refused(ValueError, ["alpha = 0", "predict v, velocity or x0"], lambda: solve(DDIM(), model, whole, Z))
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


@pytest.mark.parametrize("z", [np.array([1j]), np.array([1, 2]), [0.5], "0.5", None, np.array([True])])
def test_states_in_no_number_system(z):
    for run, name in ((solve, "z"), (encode, "x_0"), (round_trip, "z")):
        refused(TypeError, [f"{name}: ", "number system", "float"], lambda run=run: run(BDIA(), model, GRID, z))


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
    refused(TypeError, ["gamma=0.5", "fractions", "Fraction('0.5')"], lambda: solve(BDIA(0.5), model, EXACT, HALVES))
    refused(TypeError, ["0.5", "fractions"], lambda: solve(BDIA(lambda slot: 0.5), model, EXACT, HALVES))
    refused(TypeError, ["model", "float64", "fractions"], lambda: solve(BDIA(), lambda z, t: z * 0.5, EXACT, HALVES))
    half_float = np.array([Fraction(1, 2), 0.5], dtype=object)
    refused(TypeError, ["z: ", "mixes fractions with float64"], lambda: solve(BDIA(), model, EXACT, half_float))
    refused(TypeError, ["model", "mixes"], lambda: solve(BDIA(), lambda z, t: half_float, EXACT, HALVES))
    refused(TypeError, ["start", "float64", "fractions"], lambda: solve(BDIA(), model, EXACT, HALVES, start=[Z]))
    refused(TypeError, ["float64"], lambda: GRID.to(Fraction))


def test_a_float_in_an_mpmath_or_symbolic_run():
    grid = EXACT.to(spaces.MPMath(30))
    z = np.array([mpmath.mpf(1), mpmath.mpf(2)])
    refused(TypeError, ["gamma=0.9", "mpmath", "Fraction('0.9')"], lambda: solve(BDIA(0.9), model, grid, z))
    refused(TypeError, ["model", "float64"], lambda: solve(BDIA(), lambda y, t: np.array([0.5, 0.5]), grid, z))
    symbols = grids.symbolic(3)
    refused(
        TypeError,
        ["gamma=0.9", "symbols", "Fraction('0.9')"],
        lambda: solve(BDIA(0.9), model, symbols, sympy.Symbol("z")),
    )
    assert solve(BDIA(Fraction(9, 10)), spaces.formal_model(), symbols, spaces.Vector.basis("z")).status.ok


# Runs


def test_names_that_are_none():
    refused(ValueError, ["start='middle'", "'noise'", "'data'"], lambda: round_trip(BDIA(), model, GRID, Z, "middle"))
    refused(ValueError, ["reference='exact'", "'fine'"], lambda: round_trip(BDIA(), model, GRID, Z, reference="exact"))
    refused(
        ValueError, ["reference", "(3,)", "(2,)"], lambda: round_trip(BDIA(), model, GRID, Z, reference=np.zeros(3))
    )
    values = grids.from_values([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.1, 1.0, 2.0])
    refused(ValueError, ["schedule", "true state"], lambda: round_trip(BDIA(), model, values, Z))
    refused(TypeError, ["solver=", "registers", "step"], lambda: solve("BDIA", model, GRID, Z))
    refused(TypeError, ["solver=", "registers", "step"], lambda: solve(object(), model, GRID, Z))


def test_no_solver_of_the_table_takes_a_stray_argument():
    for make in SOLVERS.values():
        with pytest.raises(TypeError):
            make(unheard_of=1)
