"""Amplification and rounding: against runs of the solvers themselves, closed forms, and measured round trips."""

import re
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from bdia_numerics import (
    BDIA,
    CBDIA,
    DDIM,
    EDICT,
    SOLVERS,
    NotInvertibleError,
    State,
    encode,
    grids,
    invert,
    invertibility,
    problems,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.analysis import (
    amplification,
    gaussian_jacobian,
    required_dtype,
    round_trip_error,
    worst_amplification,
)
from bdia_numerics.analysis.perturbation import amplification as module, precision
from bdia_numerics.analysis.perturbation.precision import MARGIN, damping
from bdia_numerics.program import structure
from bdia_numerics.program.ops import Combine
from bdia_numerics.runs.state import identity

VP = schedules.vp_linear()
SD = schedules.stable_diffusion()
EPS = float(np.finfo(np.float64).eps)
WITHIN = {"float16": (0.4, 2.0), "float32": (0.5, 1.2), "float64": (0.5, 1.2)}
"""Measured over predicted errors. In float16 the coefficients' own errors are large, and few values are rounded at random."""
INVERTIBLE = [name for name in SOLVERS if invertibility(SOLVERS[name]()).invertible]


def vp(n):
    return grids.uniform(VP, n, t_min=0.01)


def run_on_units(solver, grid, direction, slope):
    """Return the registers at the end for unit registers at the beginning, from solve or invert with a linear model."""
    shape = structure(solver)
    first = 0 if direction == "invert" else grid.n - shape.depth
    times = {name: grid.offset + first + lag for name, lag in zip(shape.registers, shape.lags, strict=True)}
    unit = np.eye(len(shape.registers))
    state = State(identity(solver), grid.root, dict(zip(shape.registers, unit, strict=True)), times)
    end = (invert if direction == "invert" else solve)(solver, lambda z, t: slope(float(t)) * z, grid, state).state
    return np.array([end.registers[name] for name in shape.registers])


def check_product(solver, direction, n=12):
    grid = vp(n)
    found = amplification(solver, grid, direction, J=lambda point: 0.3 + 0.4 * point.t)
    expected = run_on_units(solver, grid, direction, lambda t: 0.3 + 0.4 * t)
    # Each slot errs by a few roundings of entries no larger than the running product.
    assert np.abs(found.product - expected).max() <= 100 * n * EPS * np.max(found.norms)
    assert found.total == pytest.approx(np.linalg.norm(expected, 2), rel=1e-9)


@pytest.mark.parametrize("direction", ["sample", "invert"])
@pytest.mark.parametrize("name", INVERTIBLE)
def test_the_product_is_what_a_run_with_a_linear_model_does(name, direction):
    check_product(SOLVERS[name](), direction)


def test_most_solvers_were_tried():
    assert {"BDIA", "EDICT", "CBDIA", "ALF", "ReversibleHeun"} <= set(INVERTIBLE)


def wrong_direction(monkeypatch):
    right = module.directed_run
    monkeypatch.setattr(module, "directed_run", lambda s, g, d, p: right(s, g, "sample", p))


def one_slot_dropped(monkeypatch):
    right = module.inverse_run

    def mutant(run):
        inverse, divisors = right(run)
        return replace(inverse, segments=inverse.segments[:-1]), divisors

    monkeypatch.setattr(module, "inverse_run", mutant)


def own_coefficient_not_inverted(monkeypatch):
    right = module.inverse_run

    def spoil(op):
        if not (isinstance(op, Combine) and op.register is not None):
            return op
        (c, n), *others = op.terms
        return replace(op, terms=((1 / c, n), *others))

    def mutant(run):
        inverse, divisors = right(run)
        return replace(inverse, segments=tuple(replace(s, ops=tuple(map(spoil, s.ops))) for s in inverse.segments)), (
            divisors
        )

    monkeypatch.setattr(module, "inverse_run", mutant)


def evaluations_ignored(monkeypatch):
    right = module.slopes_of
    monkeypatch.setattr(module, "slopes_of", lambda run, J: dict.fromkeys(right(run, J), 0.0))


@pytest.mark.parametrize(
    "plant", [wrong_direction, one_slot_dropped, own_coefficient_not_inverted, evaluations_ignored]
)
@pytest.mark.parametrize("solver", [BDIA(0.9), EDICT(0.93)], ids=["BDIA", "EDICT"])
def test_planted_errors_are_found(solver, plant, monkeypatch):
    check_product(solver, "invert")
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_product(solver, "invert")


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "score"])
def test_the_slope_is_that_of_eps_whatever_the_model_predicts(prediction):
    for direction in ("sample", "invert"):
        plain = amplification(BDIA(0.8), vp(10), direction, J=0.7)
        other = amplification(BDIA(0.8), vp(10), direction, J=0.7, prediction=prediction)
        # Conversions cancel terms up to sigma/alpha at the noise end, about 150.
        assert np.allclose(other.product, plain.product, rtol=0, atol=1e4 * EPS * np.max(plain.norms))


def test_slope_as_number_array_and_function_agree():
    grid, law = vp(9), gaussian_jacobian(0.5)
    table = np.array([law(grid.point(i)) for i in range(grid.n + 1)])
    for solver in (BDIA(0.9), EDICT()):
        assert np.array_equal(amplification(solver, grid, J=law).product, amplification(solver, grid, J=table).product)
    constant = amplification(SOLVERS["Midpoint"](), grid, J=np.full(grid.n + 1, 0.3))
    assert constant.product == pytest.approx(
        amplification(SOLVERS["Midpoint"](), grid, J=0.3).product, rel=10 * EPS, abs=0
    )


@pytest.mark.parametrize("J", [0.0, 0.8, gaussian_jacobian(0.3)])
def test_determinants_of_the_inverse_are_the_published_contractions(J):
    n, grid = 20, vp(20)
    a = grid.alpha[0] / grid.alpha[n]
    for solver, expected in (
        (BDIA(0.9), (-0.9) ** -(n - 1)),
        (EDICT(0.93), 0.93 ** (-2 * n) * a**-2),
        (CBDIA(0.95, 0.05), 0.9**-n),
    ):
        found = amplification(solver, grid, "invert", J=J)
        # Taken slot by slot: the determinant of the product itself would cancel.
        assert np.prod(np.linalg.det(found.matrices)) == pytest.approx(expected, rel=1e-11, abs=0)


def test_edict_amplifies_by_its_mixing_and_the_drift():
    n, grid = 30, vp(30)
    drift = grid.alpha[n] / grid.alpha[0]
    found = np.sort(np.abs(np.linalg.eigvals(amplification(EDICT(0.93), grid, "invert").product)))
    assert found == pytest.approx([drift, drift * 0.93 ** (-2 * n)], rel=1e-10)


def test_cbdia_amplifies_by_its_mixing_against_the_drift():
    n, grid = 50, grids.trailing(SD, 50)
    found = amplification(CBDIA(0.95, 0.05), grid, "invert")
    # The drift a = alpha_0/alpha_N multiplies, where |gamma1 - gamma2|^-N alone is 14 times too small.
    assert found.total == pytest.approx(0.9**-n * grid.alpha[0] / grid.alpha[n], rel=0.02)


@pytest.mark.parametrize("J", [0.0, gaussian_jacobian(1.0), gaussian_jacobian(0.1)], ids=["0", "unit", "narrow"])
@pytest.mark.parametrize("gamma", [0.9, 0.5])
def test_the_inverse_of_bdia_grows_as_its_root_with_its_prefactor(gamma, J):
    def off(n):
        grid = vp(n)
        s, alpha = grid.sigma / grid.alpha, grid.alpha
        slope = alpha * np.array([J(grid.point(i)) if callable(J) else J for i in range(n + 1)])
        growth = gamma ** -(n - 1) * alpha[1] / alpha[n - 1] * np.exp(-np.trapezoid(slope, s)) / (1 + gamma)
        return np.abs(amplification(BDIA(gamma), grid, "invert", J=J).response / growth)

    coarse, fine = off(100), off(400)
    assert np.all(np.abs(fine - 1) < 0.1)
    assert np.all(np.abs(fine - 1) < 0.5 * np.abs(coarse - 1))


def test_rounding_of_a_slot_is_a_unit_in_what_it_computes():
    grid = vp(6)
    found = amplification(BDIA(0.9), grid, "invert", J=0.4)
    tails = [np.linalg.multi_dot([*found.matrices[:k:-1], np.eye(2), np.eye(2)]) for k in range(len(found.slots))]
    # A slot of the inverse of BDIA computes z_{i+1}, which z_prev holds then.
    expected = [np.linalg.norm(tail[:, found.registers.index("z_prev")]) for tail in tails]
    assert found.injected == pytest.approx(expected, rel=1e-12, abs=0)
    assert found.rounding == pytest.approx(sum(expected))
    assert found.rounding_rms == pytest.approx(np.hypot.reduce(expected))


def test_the_worst_case_is_met_by_a_corner_and_bounded():
    grid = vp(5)
    for direction in ("sample", "invert"):
        worst = worst_amplification(BDIA(0.8), grid, direction, J_min=-1.0, J_max=1.5)
        corners = [np.array([0.0, *c, 0.0]) for c in product((-1.0, 1.5), repeat=grid.n - 1)]
        totals = [amplification(BDIA(0.8), grid, direction, J=c).total for c in corners]
        assert worst.found == pytest.approx(max(totals), rel=1e-12, abs=0)
        assert worst.found <= worst.bound * (1 + 1e-12)
        inside = np.random.default_rng(0).uniform(-1, 1.5, (50, grid.n + 1))
        assert max(amplification(BDIA(0.8), grid, direction, J=J).total for J in inside) < worst.found


def test_one_slope_has_no_better_worst_case():
    for solver in (EDICT(0.9), CBDIA(0.7, 0.2), SOLVERS["ALF"]()):
        worst = worst_amplification(solver, vp(10), "invert", J_min=0.4, J_max=0.4)
        exact = amplification(solver, vp(10), "invert", J=0.4)
        assert worst.found == pytest.approx(exact.total, rel=1e-12, abs=0)
        assert np.array_equal(worst.J, exact.J)
        assert exact.total <= worst.bound * (1 + 1e-12)


# Measured round trips. Compared: the root mean square, over all states of the batch, all elements and all seeds, of what
# came back less what was sent (exactly in the dtype), against the prediction.

GAUSSIAN = problems.Gaussian([0.0], 1)
MIXTURE = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.09, 0.25])
MIXTURE_RMS = float(np.sqrt(0.4 * 1.09 + 0.6 * 1.25))
DTYPES = (np.float16, np.float32, np.float64)
CONTENDERS = [BDIA(1), BDIA(0.9), BDIA(0.5), EDICT(0.93), EDICT(0.5), CBDIA(0.95, 0.05), CBDIA(0.6, 0.2)]


def measured(solver, law, schedule, grid, dtype, start, seeds=3, batch=300):
    squares = []
    end = grid.n if start == "noise" else 0
    for seed in range(seeds):
        model = law.model(schedule)
        sent = law.sample(batch, np.random.default_rng(seed), grid.t[end], schedule).astype(dtype)
        there = (solve if start == "noise" else encode)(solver, model, grid, sent)
        if not there.status.ok:
            return np.inf
        back = (invert if start == "noise" else solve)(solver, model, grid, there.state)
        if not back.status.ok:
            return np.inf
        squares.append(np.mean((back.z.astype(np.float64) - sent.astype(np.float64)) ** 2))
    return float(np.sqrt(np.mean(squares)))


def check_measured(solver, grid, schedule, start):
    predicted = round_trip_error(solver, grid, end=start)
    compared = 0
    for dtype in DTYPES:
        error = predicted.errors[dtype.__name__]
        found = measured(solver, GAUSSIAN, schedule, grid, dtype, start)
        if error < predicted.scale / 10:
            compared += 1
            low, high = WITHIN[dtype.__name__]
            assert low * error < found < high * error, (identity(solver), dtype.__name__)
        else:  # beyond the first order in the unit roundoff: nothing comes back, and the prediction says so
            assert found > predicted.scale / 40
    return compared


@pytest.mark.parametrize("start", ["noise", "data"])
@pytest.mark.parametrize("solver", CONTENDERS, ids=identity)
def test_measured_round_trips_of_a_gaussian(solver, start):
    assert check_measured(solver, vp(20), VP, start)


@pytest.mark.parametrize("start", ["noise", "data"])
@pytest.mark.parametrize("solver", [BDIA(1), BDIA(0.9), EDICT(0.93), CBDIA(0.95, 0.05)], ids=identity)
def test_measured_round_trips_at_fifty_steps(solver, start):
    assert check_measured(solver, grids.trailing(SD, 50), SD, start) >= 2


@pytest.mark.parametrize(
    ("solver", "start"),
    [
        *((BDIA(1), "noise"), (BDIA(1), "data"), (BDIA(0.9), "data"), (BDIA(0.5), "noise")),
        *((EDICT(0.93), "noise"), (EDICT(0.93), "data"), (CBDIA(0.95, 0.05), "data")),
    ],
    ids=lambda x: x if isinstance(x, str) else identity(x),
)
def test_measured_round_trips_of_a_mixture_with_slopes_along_each_path(solver, start):
    grid, model, d = vp(20), MIXTURE.model(VP), 1e-5
    noise = MIXTURE.sample(12, np.random.default_rng(9), grid.t[grid.n], VP)
    paths = solve(solver, model, grid, noise, return_trajectory=True).trajectory
    slopes = [(model(z + d, t) - model(z - d, t))[:, 0] / (2 * d) for z, t in zip(paths, grid.t, strict=True)]
    each = [round_trip_error(solver, grid, end=start, J=J, data_rms=MIXTURE_RMS) for J in np.array(slopes).T]
    for dtype in (np.float32, np.float64):
        error = float(np.sqrt(np.mean([e.errors[dtype.__name__] ** 2 for e in each])))
        if error < 0.1:  # a factor of 4: the sizes of all values are predicted by those of a Gaussian of this spread
            assert error / 4 < measured(solver, MIXTURE, VP, grid, dtype, start) < error * 4


def backwards(monkeypatch):
    right = precision.RoundedTrip.go
    monkeypatch.setattr(
        precision.RoundedTrip, "go", lambda self, there, back, sent, a, b: right(self, back, there, sent, b, a)
    )


def random_parts_forgotten(monkeypatch):
    right = precision.RoundedTrip.error

    def mutant(self, dtype, largest):
        self.random = 0.0
        return right(self, dtype, largest)

    monkeypatch.setattr(precision.RoundedTrip, "error", mutant)


def coefficients_forgotten(monkeypatch):
    right = precision.RoundedTrip.error

    def mutant(self, dtype, largest):
        self.coefficients = []
        return right(self, dtype, largest)

    monkeypatch.setattr(precision.RoundedTrip, "error", mutant)


@pytest.mark.parametrize(
    ("plant", "solver", "n"),
    [
        (backwards, BDIA(0.5), 20),
        (random_parts_forgotten, BDIA(1), 20),
        # The coefficients .93 and .07 err alike in every slot, so what they do grows with N.
        (coefficients_forgotten, EDICT(0.93), 50),
    ],
)
def test_planted_errors_of_the_prediction_are_measured(plant, solver, n, monkeypatch):
    check_measured(solver, vp(n), VP, "noise")
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_measured(solver, vp(n), VP, "noise")


def test_the_format_that_a_run_needs():
    grid = grids.trailing(SD, 50)
    need = required_dtype(BDIA(0.9), grid, 1e-6)
    assert need.dtype == "float64"
    assert "BDIA(gamma=0.9" in str(need) and "at 50 steps needs float64" in str(need) and "float32 returns" in str(need)
    assert need.errors["float64"] * MARGIN <= 1e-6 < need.errors["float32"] * MARGIN
    assert required_dtype(BDIA(1), grid, 1e-5).dtype == "float32"
    assert required_dtype(BDIA(1), grid, 0.1).dtype == "float16"


@pytest.mark.parametrize("wanted", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("tensors", [False, True])
def test_no_sentence_names_a_format_that_already_does(wanted, tensors):
    """ "needs float64 to return to 1e-4; float32 returns to 3e-5": a margin stands behind it, and is said."""
    for solver in (BDIA(1), BDIA(0.9), EDICT(0.93), CBDIA(0.95, 0.05)):
        need = required_dtype(solver, grids.trailing(SD, 20), wanted, tensors=tensors)
        found = re.search(
            r"(\w+) returns to ([\d.e+-]+)(, which a prediction good to a factor of 3 does not promise)?", str(need)
        )
        if found:
            assert (float(found[2]) <= wanted) == bool(found[3]), str(need)
        assert need.errors.get(need.dtype, 0) * MARGIN <= wanted


def test_tensors_are_not_told_to_take_what_they_have_not():
    grid = grids.trailing(SD, 50)
    assert required_dtype(BDIA(0.7), grid, 1e-10).dtype == "longdouble"
    for wanted in (1e-10, 1e-14):
        need = required_dtype(BDIA(0.7), grid, wanted, tensors=True)
        assert need.dtype == "mpmath" and "longdouble" not in need.errors
        assert "more than any of these formats has" in str(need) and "longdouble" not in str(need)


def test_what_damps_an_inverse():
    assert [damping(s) for s in (BDIA(0.9), EDICT(0.93))] == ["gamma nearer to 1", "p nearer to 1"]
    assert not any(map(damping, (BDIA(1), SOLVERS["OBELM"](), CBDIA(0.9, 0.1), BDIA(lambda slot: Fraction(9, 10)))))


def test_digits_of_mpmath_do_what_they_promise():
    grid, wanted = vp(30), 1e-30
    need = required_dtype(BDIA(0.5), grid, wanted)
    assert need.dtype == "mpmath" and f"mpmath with {need.digits} digits" in str(need)
    for digits, enough in ((need.digits, True), (need.digits - 5, False)):
        space = spaces.MPMath(digits)
        exact = grid.to(space)
        sent = space.array([spaces.base.decimal(x) for x in (0.31, -1.7, 0.9)])[:, None]
        model = GAUSSIAN.model(VP)
        back = invert(
            BDIA(space.number("0.5")), model, exact, solve(BDIA(space.number("0.5")), model, exact, sent).state
        )
        assert (max(abs(float(x)) for x in (back.z - sent).flat) <= wanted) is enough


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: amplification(BDIA(), vp(5), "up"), ValueError, "direction='up'"),
        (lambda: amplification(DDIM(), vp(5), "invert"), NotInvertibleError, "DDIM is not exactly invertible here"),
        (lambda: amplification(BDIA(gamma=0), vp(5), "invert"), NotInvertibleError, "own coefficient 0"),
        (lambda: amplification(BDIA(), vp(5), J=np.zeros(5)), ValueError, r"J has shape \(5,\)"),
        (lambda: amplification(BDIA(), vp(5), J=np.nan), ValueError, "J=nan"),
        (lambda: amplification(BDIA(), vp(1)), ValueError, "n=1"),
        (lambda: amplification(BDIA(), grids.symbolic(3)), TypeError, "needs numbers"),
        (lambda: worst_amplification(BDIA(), vp(5), J_min=1, J_max=0), ValueError, "J_min=1 exceeds J_max=0"),
        (lambda: gaussian_jacobian(0), ValueError, "variance=0"),
        (lambda: round_trip_error(BDIA(), vp(5), end="up"), ValueError, "end='up'"),
        (lambda: round_trip_error(DDIM(), vp(5)), NotInvertibleError, "DDIM is not exactly invertible here"),
        (lambda: round_trip_error(BDIA(), vp(5), data_rms=-1), ValueError, "data_rms=-1"),
        (lambda: required_dtype(BDIA(), vp(5), 0), ValueError, "tolerance=0"),
        (lambda: required_dtype(BDIA(0.01), vp(300), 1), ValueError, "take fewer slots"),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
