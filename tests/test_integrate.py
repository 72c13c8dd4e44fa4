"""solve, invert, encode and round_trip: predictions, ends where alpha or sigma is 0, status, starts, and both sides."""

from fractions import Fraction

import numpy as np
import pytest
from small_solvers import ALF, EDICT, AdamsBashforth, Coupled, Midpoint, ReversibleHeun

from bdia_numerics import (
    BDIA,
    DDIM,
    encode,
    grids,
    inversion,
    invert,
    models,
    problems,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.runs.solving import begin
from bdia_numerics.runs.state import State, identity

EPS = np.finfo(np.float64).eps
COSINE = schedules.vp_cosine()
GRID = grids.uniform(COSINE, 10, t_max=0.9, t_min=0.05)
MIXTURE = problems.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [0.04, 0.09])
MODEL = MIXTURE.model(COSINE)
Z = np.random.default_rng(5).standard_normal((6, 1))
ONE_STEP = [DDIM(), BDIA(), BDIA(0.5), EDICT(0.9), Midpoint()]


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


# Predictions


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "score"])
@pytest.mark.parametrize(
    "solver", [*ONE_STEP, AdamsBashforth(), ALF(), ReversibleHeun(), Coupled()], ids=lambda s: type(s).__name__
)
def test_what_the_model_predicts_makes_no_difference(solver, prediction):
    there = solve(solver, MODEL, GRID, Z)
    other = models.counted(models.as_prediction(MODEL, COSINE, prediction))
    same = solve(solver, other, GRID, Z)
    # The conversion rounds each evaluation a few times, amplified by 1/alpha <= 7 and 1/sigma <= 13 and by the run.
    assert np.allclose(same.z, there.z, rtol=0, atol=2e4 * EPS)
    assert same.nfe == there.nfe == other.nfe


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "score"])
def test_the_derived_inverse_is_of_the_same_prediction(prediction):
    other = models.as_prediction(MODEL, COSINE, prediction)
    for solver in (BDIA(), EDICT(0.9), ALF(), Coupled()):
        there = solve(solver, other, GRID, Z)
        assert np.allclose(invert(solver, other, GRID, there.state).z, Z, rtol=0, atol=1e5 * EPS)
        state = encode(solver, other, GRID, Z).state
        assert np.allclose(solve(solver, other, GRID, state).z, Z, rtol=0, atol=1e5 * EPS)


def exact_model(prediction):
    """The model of N(0, 1) data under alpha = 1-t, sigma = t, by hand: x0 = alpha z/(alpha^2 + sigma^2), eps = sigma z/(...)."""

    def model(z, t):
        a, s = 1 - t, t
        x0, eps = a * z / (a * a + s * s), s * z / (a * a + s * s)
        return {"eps": eps, "x0": x0, "v": a * eps - s * x0, "velocity": eps - x0}[prediction]

    return models.Predicting(model, prediction)


WHOLE = grids.uniform(schedules.flow(), 8, t_max=Fraction(1), t_min=Fraction(0), space=spaces.FRACTION)


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity"])
@pytest.mark.parametrize("solver", [DDIM(), BDIA(), BDIA(Fraction(1, 2))], ids=str)
def test_alpha_zero_at_the_noise_end_stays_finite(solver, prediction):
    part = WHOLE[1:8]
    assert part.alpha[part.n] == 0
    z = np.array([Fraction(1, 3)])
    there = solve(solver, exact_model(prediction), part, z)
    # By hand: the first DDIM step from alpha = 0 is z_{i-1} = alpha' x0 + sigma' z with x0 = 0.
    first = solve(DDIM(), exact_model(prediction), part[part.n - 1 : part.n], z).z
    assert first[0] == part.sigma[part.n - 1] * z[0]
    floats = solve(solver, exact_model(prediction), part.to(np.float64), np.array([1 / 3]))
    assert floats.status.ok
    # 7 slots, each of a few roundings, on coefficients of size 1.
    assert float(there.z[0]) == pytest.approx(float(floats.z[0]), rel=0, abs=200 * EPS)


@pytest.mark.parametrize("prediction", ["eps", "v", "velocity"])
@pytest.mark.parametrize("solver", [DDIM(), BDIA(), EDICT()], ids=lambda s: type(s).__name__)
def test_sigma_zero_at_the_data_end_stays_finite(solver, prediction):
    part = WHOLE[0:6]
    assert part.sigma[0] == 0
    z = np.array([Fraction(1, 3)])
    model = exact_model(prediction)
    exact = solve(solver, model, part, z)
    assert np.all(exact.z == solve(solver, exact_model("eps"), part, z).z)
    if not isinstance(solver, DDIM):
        assert np.all(invert(solver, model, part, exact.state).z == z)
        # The start at the data end evaluates at sigma = 0, where the data are the state.
        state = encode(solver, model, part, z).state
        assert np.all(solve(solver, model, part, state).z == z)
    assert solve(solver, model, part.to(np.float64), np.array([1 / 3])).status.ok


def test_the_whole_interval_from_alpha_zero_to_sigma_zero():
    z = np.array([Fraction(1, 3)])
    for prediction in ("v", "velocity"):
        assert solve(BDIA(), exact_model(prediction), WHOLE, z).status.ok
    # EDICT divides what one register holds less what the model says of the other by alpha.
    with pytest.raises(ValueError, match="alpha = 0"):
        solve(EDICT(), exact_model("v"), WHOLE, z)
    # eps leaves x0 open where alpha = 0, and x0 leaves eps open where sigma = 0: one line with the remedy.
    with pytest.raises(ValueError, match=r"alpha = 0: .*eps leaves the state open there: predict v, velocity or x0"):
        solve(DDIM(), exact_model("eps"), WHOLE, z)
    with pytest.raises(ValueError, match=r"sigma = 0: .*x0 leaves the state open there: predict eps, v or velocity"):
        encode(BDIA(), exact_model("x0"), WHOLE, z)


# Status


def blows_up(at, value):
    return lambda z, t: np.full_like(z, value) if t < at else 0 * z


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
@pytest.mark.parametrize("solver", [BDIA(1), EDICT(0.9), DDIM()], ids=lambda s: type(s).__name__)
def test_overflow_and_nan_are_a_status(solver, value):
    i = 4
    model = blows_up(float(GRID.t[i]) + 1e-9, value)
    if value == 1e308:  # finite itself, and overflows as it is scaled up

        def model(z, t):
            return 1e308 * np.sign(z) * (50 if t < GRID.t[i] + 1e-9 else 0)

    with np.errstate(over="ignore"):
        solution = solve(solver, model, GRID, Z, return_trajectory=True)
    assert not solution.status.ok
    # The model is first wrong at t_4, so in the slot from t_4 to t_3; coupled states meet t_3 in the slot of t_4, too.
    assert solution.status.slot == i
    assert solution.status.register in solver.registers
    assert not np.all(np.isfinite(solution.state.registers[solution.status.register]))
    assert f"register {solution.status.register} is not finite after slot i={i}" == str(solution.status)
    assert np.all(np.isfinite(solution.trajectory[i:])) and np.all(np.isnan(solution.trajectory[: i - 1]))


def test_a_failure_in_the_start_has_a_status_and_no_state():
    class Renamed:
        registers = ("older", "x")
        output = "x"

        def step(self, s):
            older, x = s.registers
            s.assign(older, older + s.delta(s.i, s.i - 1, x, s.eps(x)), at=s.i - 1)
            s.swap(older, x)

    for solver in (BDIA(), Renamed()):
        solution = solve(solver, lambda z, t: z * np.nan, GRID, Z)
        assert not solution.status.ok and solution.status.slot == GRID.n
        assert solution.state is None


def test_invert_encode_and_round_trip_report_too():
    late = float(GRID.t[6]) - 1e-9

    def model(z, t):
        return z * (np.nan if t > late else 0.1)

    state = solve(BDIA(), lambda z, t: 0.1 * z, GRID, Z).state
    assert invert(BDIA(), model, GRID, state).status.slot == 6
    assert encode(BDIA(), model, GRID, Z).status.slot == 6
    # Eq. (10) tells the model the time at which the step ends: t_6 in the slot of t_6.
    assert encode(DDIM(), model, GRID, Z).status.slot == 6
    for start in ("noise", "data"):
        trip = round_trip(BDIA(), model, GRID, Z, start, reference=Z)
        assert not trip.status.ok and trip.returned is None and np.isnan(trip.error) and np.isnan(trip.latent)
    broken = encode(BDIA(), lambda z, t: z * np.nan, GRID, Z)
    assert broken.status.slot == 1 and broken.state is None


@pytest.mark.parametrize(
    "solver", [DDIM(), BDIA(), EDICT(0.9), ALF(), ReversibleHeun(), Coupled()], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("size", [6, 8 * 32768 + 1])
def test_a_model_that_raises_leaves_the_last_state(solver, size):
    z, part, calls = np.resize(Z, size), GRID[7:10], models.counted(lambda z, t: 0.3 * z)
    solve(solver, calls, part, z)
    for fail in range(1, calls.nfe + 1):
        states, model = [], models.counted(lambda z, t: 0.3 * z)
        with pytest.raises(ConnectionError) as caught:
            solve(solver, Failing(model, fail), part, z, callback=lambda i, state, states=states: states.append(state))
        if states:
            partial = caught.value.partial
            assert dict(partial.times) == dict(states[-1].times)
            assert all(np.array_equal(partial.registers[r], states[-1].registers[r]) for r in solver.registers)
    assert states, "the last failure comes after a slot"


class Failing:
    """A model that raises at one of its calls."""

    def __init__(self, model, fail):
        self.model, self.fail = model, fail

    def __call__(self, z, t):
        if self.model.nfe + 1 == self.fail:
            raise ConnectionError("the network is gone")
        return self.model(z, t)


def test_a_run_goes_on_from_the_partial_state():
    with pytest.raises(ConnectionError) as caught:
        solve(BDIA(), Failing(models.counted(MODEL), 6), GRID, Z)
    partial = caught.value.partial
    rest = solve(BDIA(), MODEL, GRID[0 : max(partial.times.values())], partial)
    assert np.array_equal(rest.z, solve(BDIA(), MODEL, GRID, Z).z)


# Starts


def test_a_start_is_a_solver_or_states_or_registers():
    first = solve(DDIM(), MODEL, GRID[9:10], Z).z
    default = solve(BDIA(), MODEL, GRID, Z)
    assert default.nfe == 10
    states = solve(BDIA(), MODEL, GRID, Z, start=[first])
    registers = solve(BDIA(), MODEL, GRID, Z, start={"z_prev": Z, "z": first})
    assert np.array_equal(default.z, states.z) and np.array_equal(default.z, registers.z)
    assert states.nfe == registers.nfe == 9
    midpoint = solve(BDIA(), MODEL, GRID, Z, start=Midpoint())
    assert midpoint.nfe == 11
    assert np.array_equal(
        midpoint.z, solve(BDIA(), MODEL, GRID, Z, start=[solve(Midpoint(), MODEL, GRID[9:10], Z).z]).z
    )
    assert not np.array_equal(midpoint.z, default.z)


def test_gamma_zero_is_ddim():
    # Two steps of DDIM in one register of BDIA: the same numbers up to the rounding of a coefficient.
    assert np.allclose(solve(BDIA(0), MODEL, GRID, Z).z, solve(DDIM(), MODEL, GRID, Z).z, rtol=0, atol=1000 * EPS)


# Both sides


def planted(gamma, x_0):
    """Encode from a wrong start, z_1 = (alpha_1/alpha_0) z_0, the eps of eq. (21) forgotten."""
    z_1 = GRID.alpha[1] / GRID.alpha[0] * x_0
    registers, nfe = begin(BDIA(gamma), MODEL, GRID, {0: x_0, 1: z_1}, 0)
    assert nfe == 0
    state = State(identity(BDIA(gamma)), GRID.root, registers, {"z_prev": 1, "z": 0})
    return invert(BDIA(gamma), MODEL, GRID, state)


def test_a_round_trip_is_blind_to_a_wrong_start_and_the_latent_is_not():
    x_0 = MIXTURE.sample(40, np.random.default_rng(1), 0.05, COSINE)
    true = MIXTURE.flow(x_0, GRID.t[0], GRID.t[10], COSINE)
    right = round_trip(BDIA(), MODEL, GRID, x_0, "data", MIXTURE)
    wrong = planted(1, x_0)
    back = solve(BDIA(), MODEL, GRID, wrong.state)
    # Both return to rounding: 10 slots, amplified by less than a hundred.
    assert right.error <= 1000 * EPS and rms(back.z - x_0) <= 1000 * EPS
    # The distance to the true flow tells them apart.
    assert right.latent == pytest.approx(rms(right.far - true), rel=1e-12, abs=0)
    assert rms(wrong.z - true) > 3 * right.latent


def test_references_agree():
    x_0 = MIXTURE.sample(5, np.random.default_rng(2), 0.05, COSINE)
    exact = round_trip(BDIA(), MODEL, GRID, x_0, "data", MIXTURE)
    fine = round_trip(BDIA(), MODEL, GRID, x_0, "data")
    given = round_trip(BDIA(), MODEL, GRID, x_0, "data", MIXTURE.flow(x_0, GRID.t[0], GRID.t[10], COSINE))
    assert exact.latent == given.latent and exact.reference_error == given.reference_error == 0
    assert 0 < fine.reference_error < 1e-6
    assert fine.latent == pytest.approx(exact.latent, abs=10 * fine.reference_error)
    assert exact.nfe == 1 + 9 + 9  # the start, the inverse, and the way back from two states


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("start", ["noise", "data"])
def test_a_return_that_is_as_far_off_as_it_is_large_is_not_ok(start):
    """1/gamma a step amplifies rounding: 2^-53 by up to 10^(4 * 19) in 20 steps."""
    trip = round_trip(BDIA(1e-4), MODEL, grids.uniform(COSINE, 20, t_max=0.9, t_min=0.05), Z, start, MIXTURE)
    lost = trip.error / rms(Z)
    assert lost > 1e30
    assert not trip.status.ok
    assert f"its error is {lost:.2g} times the size of what was sent" in str(trip.status)
    assert str(trip).startswith("what comes back is useless")
    calm = round_trip(BDIA(), MODEL, GRID, Z, start, MIXTURE)
    assert calm.status.ok
    assert str(calm).startswith("ok: returns to ")
    poor = round_trip(DDIM(), MODEL, grids.uniform(COSINE, 2, t_max=0.9, t_min=0.05), Z, start, MIXTURE)
    assert poor.status.ok == (poor.error < rms(Z))
    assert spaces.FLOAT64.rms(np.array([3e200, -4e200])) == pytest.approx(5e200 / 2**0.5, rel=4 * EPS, abs=0)


def test_noise_side_round_trip_measures_the_sampling_error():
    z = MIXTURE.sample(20, np.random.default_rng(3), 0.9, COSINE)
    trip = round_trip(DDIM(), MODEL, GRID, z, "noise", MIXTURE)
    assert trip.latent == pytest.approx(
        rms(solve(DDIM(), MODEL, GRID, z).z - MIXTURE.flow(z, 0.9, 0.05, COSINE)), rel=1e-12, abs=0
    )
    finer = round_trip(DDIM(), MODEL, grids.uniform(COSINE, 40, t_max=0.9, t_min=0.05), z, "noise", MIXTURE)
    # First order both ways: a quarter of the step, about a quarter of both errors.
    assert 2.5 < trip.latent / finer.latent < 6.5 and 2.5 < trip.error / finer.error < 6.5


def test_ddim_inversion_conventions():
    # One slot by hand: eq. (10) evaluates at (z_0, t_1), eq. (23) at (z_0, t_0).
    grid, z = GRID[0:1], Z
    a, s = grid.alpha, grid.sigma
    for at_target, t in ((True, grid.t[1]), (False, grid.t[0])):
        e = MODEL(z, t)
        expected = a[1] * (z - s[0] * e) / a[0] + s[1] * e
        found = encode(DDIM(), MODEL, grid, z, inversion.DDIMInversion(at_target)).z
        assert np.allclose(found, expected, rtol=0, atol=20 * EPS)
    assert np.array_equal(encode(DDIM(), MODEL, grid, z).z, encode(DDIM(), MODEL, grid, z, inversion.DDIMInversion()).z)


def test_a_longdouble_state_on_a_float64_grid():
    z = Z.astype(np.longdouble) / 3
    state = encode(BDIA(), lambda z, t: z / 3, GRID, z).state
    back = solve(BDIA(), lambda z, t: z / 3, GRID, state)
    assert back.z.dtype == np.longdouble
    assert rms(back.z - z) <= 1000 * np.finfo(np.longdouble).eps
