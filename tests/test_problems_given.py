"""Distributions that are known by one function: their scores, flows, draws and orders are those of the same distribution in closed form."""

import numpy as np
import pytest

from bdia_numerics import BDIA, DDIM, encode, grids, problems, schedules, solve, spaces
from bdia_numerics.testing import assert_order

VP, EDM, SD = schedules.vp_linear(), schedules.edm(), schedules.stable_diffusion()
KNOWN = problems.GaussianMixture([0.3, 0.7], [[-2.0], [1.0]], [0.1, 0.2])


def log_density(z, t, schedule):
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    variances = alpha**2 * KNOWN.covs + sigma**2
    terms = np.log(KNOWN.weights / np.sqrt(variances)) - (z - alpha * KNOWN.means[:, 0]) ** 2 / (2 * variances)
    return np.logaddexp(*terms.T)


GIVEN = {
    "score": problems.from_score(KNOWN.score, KNOWN.sample, dimension=1),
    "score of a schedule": problems.from_score(lambda z, t: KNOWN.score(z, t, VP), dimension=1, schedule=VP),
    "eps of a table": problems.from_eps(KNOWN.model(SD), dimension=1, schedule=SD),
    "log density": problems.from_log_density(log_density, dimension=1),
    "log density of a schedule": problems.from_log_density(
        lambda z, t: log_density(z, t, VP), dimension=1, schedule=VP
    ),
}
PLACES = [(VP, 0.5), (VP, 0.05), (EDM, 3.0), (schedules.flow(), 0.5), (SD, 400)]
Z = np.random.default_rng(1).standard_normal((2, 3, 1))


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_scores_and_noise_of_every_schedule_are_the_distributions(given):
    for schedule, t in PLACES:
        z, sigma = Z * (schedule.sigma(t) + schedule.alpha(t)), schedule.sigma(t)
        tolerance = 1e-10 / sigma  # of finite differences; formulas are good to rounding
        np.testing.assert_allclose(given.score(z, t, schedule), KNOWN.score(z, t, schedule), atol=tolerance, rtol=1e-10)
        np.testing.assert_allclose(given.model(schedule)(z, t), KNOWN.model(schedule)(z, t), atol=1e-10, rtol=1e-10)


def test_differences_are_as_wide_as_the_noise_where_little_of_the_data_is_left():
    """alpha = 0.0066 and sigma = 1: steps of alpha sigma would leave 1e-10 of rounding."""
    for name in ("log density", "log density of a schedule"):
        np.testing.assert_allclose(GIVEN[name].score(Z, 1.0, VP), KNOWN.score(Z, 1.0, VP), rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_the_error_of_a_flow_covers_what_it_misses(given):
    x = KNOWN.sample(8, 0)
    found, truth = given.flow_certified(x, 0.05, 0.6, VP), KNOWN.flow(x, 0.05, 0.6, VP)
    assert found.certificate.kind == "reference"
    assert 0 < abs(found.z - truth).max() < found.certificate.error < 1e-6


def test_an_error_of_the_derivative_alone_is_stated():
    # Modes so narrow that the finest difference is too coarse for them; the wrong gradient is smooth, so both tolerances agree.
    ripple = problems.from_log_density(
        lambda z, t, s: -((z[:, 0] / 3) ** 2) + 1e-6 * np.sin(z[:, 0] * 600), dimension=1
    )
    x = np.linspace(-1, 1, 5)[:, None]
    found = ripple.flow_certified(x, 0.9, 1.1, EDM)
    bare = problems.Problem.flow_certified(ripple, x, 0.9, 1.1, EDM)
    np.testing.assert_array_equal(found.z, bare.z)
    assert found.certificate.error > 2 * bare.certificate.error


def test_a_network_is_told_the_times_of_its_own_grid():
    told = []

    def eps(z, t):
        told.append(t)
        return z * SD.sigma(t)

    given = problems.from_eps(eps, dimension=1, schedule=SD)
    grid = grids.trailing(SD, 7)
    told.clear()
    solve(DDIM(), given.model(SD), grid, Z[0])
    assert told == [float(t) for t in grid.t[1:][::-1]]


@pytest.mark.parametrize("name", ["score", "score of a schedule", "log density"])
def test_draws_are_those_of_the_distribution(name):
    x = GIVEN[name].sample(2000 if name == "score" else 300, np.random.default_rng(3))
    assert x.shape[1:] == (1,)
    truth = KNOWN.sample(100_000, 0)
    limit = 5 / np.sqrt(len(x))  # five standard errors of a mean of variables of size 1
    for moment in (np.sign, np.tanh, lambda x: np.exp(-(x**2))):
        assert abs(moment(x).mean() - moment(truth).mean()) < limit


def test_a_seed_draws_as_its_generator():
    for problem in (KNOWN, GIVEN["score"]):
        np.testing.assert_array_equal(problem.sample(3, 5), problem.sample(3, np.random.default_rng(5)))
    with pytest.raises(TypeError, match=r"rng=.a. draws nothing: pass numpy.random.default_rng"):
        KNOWN.sample(3, "a")


def test_orders_latents_and_assertions_take_it():
    given = GIVEN["score"]
    assert_order(BDIA(), 2, problem=given)
    grid = grids.uniform(VP, 40, t_max=1.0, t_min=0.01)
    x = given.sample(4, 0)
    latents = encode(BDIA(), given.model(VP), grid, x).z
    np.testing.assert_allclose(latents, encode(BDIA(), KNOWN.model(VP), grid, x).z, rtol=1e-9)


FIFTY = np.array([[spaces.MPMath(50).number(1)]])


def broken(z, t):
    return np.where(abs(z) > 9, np.nan, -z)


def score(function, dimension=2, **more):
    return problems.from_score(function, dimension=dimension, **{"schedule": VP, **more})


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (TypeError, r"cannot be called as score\(z, t, schedule\): .*say with schedule=", lambda: score(lambda z, t: -z, schedule=None)),
        (TypeError, r"cannot be called as score\(z, t\): pass one that can", lambda: score(lambda z: -z)),
        (TypeError, "score=3 cannot be called", lambda: score(3)),
        (TypeError, "schedule='vp' is not a schedule", lambda: score(lambda z, t: -z, schedule="vp")),
        (ValueError, "dimension=0: give 1 or more", lambda: score(lambda z, t: -z, dimension=0)),
        (ValueError, r"score\(z, t=.*\) has shape \(3,\) for z of shape \(3, 2\)", lambda: score(lambda z, t: -z[:, 0])),
        (ValueError, r"score is not finite at z = \[", lambda: score(lambda z, t: z * np.nan)),
        (TypeError, "has dtype float32 for z of float64", lambda: score(lambda z, t: -z.astype(np.float32))),
        (TypeError, r"is a list: return a NumPy array", lambda: score(lambda z, t: (-z).tolist())),
        (TypeError, r"is a MaskedArray: return", lambda: score(lambda z, t: np.ma.masked_less(z, 0))),
        (
            ValueError,
            r"log_density\(z, t=.*\) has shape \(192, 2\) .*return shape \(192,\)",
            lambda: problems.from_log_density(lambda z, t: -z, dimension=2, schedule=VP),
        ),
        (ValueError, r"sample\(n, rng\) has shape \(3,\)", lambda: score(lambda z, t: -z, sample=lambda n, rng: np.zeros(n)).sample(3, 0)),
        (ValueError, "no score follows from eps at sigma = 0", lambda: GIVEN["eps of a table"].score(Z, 0.0, VP)),
        (TypeError, "is a function of float64: pass float states", lambda: GIVEN["score"].score(FIFTY, 1, EDM)),
        (ArithmeticError, "the model is not finite at t = 0.1", lambda: score(broken).flow(np.full((1, 2), 10.0), 0.1, 1, VP)),
    ],
)  # fmt: skip
def test_a_bad_function_is_answered_in_one_line(error, words, call):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_tensor_is_answered_in_one_line():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"is a Tensor: return a NumPy array, .*detach\(\)\.numpy\(\)"):
        score(lambda z, t: -torch.from_numpy(z))
