"""Scores: float forms and the generic form, each against differentiation of the log density."""

import tracemalloc
from fractions import Fraction

import numpy as np
import problem_checks as checks
import pytest
import sympy

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, Gaussian, GaussianMixture, Uniform, checks as parameters, digits, scores
from bdia_numerics.spaces import MPMath

FLOW = schedules.flow()


@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize("shape", ["isotropic", "equal", "diagonal", "full"])
def test_float_score_is_the_gradient_of_the_log_density(shape, size):
    """D = 9 takes the matrix products, smaller D the sums of differences.

    Kills: the log-determinant dropped, alpha not squared, a missing mean, eps without sigma."""
    checks.check_float_score(shape, size)


@pytest.mark.parametrize("shape", ["isotropic", "diagonal", "full"])
def test_generic_score_is_the_gradient_to_thirty_digits(shape):
    """Kills: the determinant dropped from the generic form."""
    checks.check_generic_score(shape)


def test_up_to_eight_dimensions_distances_are_formed_from_differences():
    """Two narrow modes close to each other and far from the third, whose squares of 8e6 over 1e-8 would keep no digit."""
    means = np.full((3, 8), [[0.0], [1000.0], [1000.0]])
    means[2, 0] += 2.0**-13
    law = GaussianMixture([0.5, 0.25, 0.25], means, [2.0**-26] * 3)
    z = means[1:2] + np.array([2.0**-14, *[2.0**-15] * 7])  # as far from the one as from the other
    v = 2.0**-26 + 2.0**-40
    np.testing.assert_allclose(law.score(z, 2.0**-20, schedules.edm()), (means[1:].mean(axis=0) - z) / v, rtol=1e-9)


def test_empirical_score():
    """Kills: alpha dropped before the means in the two matrix products."""
    checks.check_empirical()


@pytest.mark.parametrize("shape", ["isotropic", "diagonal", "full"])
def test_dtypes(shape):
    law = checks.mixture(shape, 3)
    z = np.random.default_rng(0).normal(size=(2, 4, 3))
    for dtype, eps in ((np.float32, 2.0**-24), (np.longdouble, 2.0**-52)):
        found = law.score(z.astype(dtype), 0.25, FLOW)
        assert found.dtype == dtype
        assert found.shape == z.shape
        # float32 states: one rounding of the result. longdouble against float64: the float64's error of 100 eps.
        expected = law.score(z.astype(dtype).astype(np.float64), 0.25, FLOW)
        atol = (1 if dtype == np.float32 else 100) * eps * abs(expected).max()
        np.testing.assert_allclose(found.astype(np.float64), expected, rtol=0, atol=atol)


def test_longdouble_has_its_own_digits():
    law = checks.mixture("full", 2)
    z = np.random.default_rng(1).normal(size=(2, 2)) * 1.5
    expected = checks.true_score(law, z, 0.25)
    found = law.score(z.astype(np.longdouble), 0.25, FLOW)
    values = [checks.Fraction(*f.as_integer_ratio()) for f in found.ravel()]
    with checks.mp.workdps(30):
        error = abs(checks.to_mp(values) - expected.ravel()).max()
    assert error < 500 * float(np.finfo(np.longdouble).eps)  # as for float64, with scores up to 5


def test_close_means_far_from_the_origin_keep_their_digits():
    """Two clusters 1e-3 apart at 1e6: without centring the matrix products would lose every digit.

    Kills: coordinates not centred."""
    rng = np.random.default_rng(2)
    offset, means = 2.0**20, np.round(rng.normal(size=(2, 12)) * 64) / 2**16
    law = GaussianMixture([0.5, 0.5], means + offset, [2.0**-20, 2.0**-20])
    near = GaussianMixture([0.5, 0.5], means, [2.0**-20, 2.0**-20])
    z = np.round(rng.normal(size=(3, 12)) * 64) / 2**16
    t = 2.0**-10
    # Moving law and state by alpha times the offset, exactly, changes nothing.
    moved = law.score(z + (1 - t) * offset, t, FLOW)
    expected = near.score(z, t, FLOW)
    # alpha m of size 1e6 is rounded to 1e-10, against distances of 1e-3.
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-5 * abs(expected).max())


def test_stated_accuracy_of_the_matrix_products():
    """The docstring's bound on the exponents, as a bound on the score, for small variances."""
    rng = np.random.default_rng(3)
    base = rng.normal(size=16)
    means = base + rng.normal(size=(4, 16)) * 1e-3
    law = GaussianMixture([0.25] * 4, np.vstack([means[:3], -means[3:]]), [0.0] * 4)
    t = 2.0**-10
    z = (1 - t) * means[:2] + t * rng.normal(size=(2, 16))
    expected = checks.true_score(law, z, t).astype(float)
    radius = (np.square(law.means).sum(1).max() + np.square(z).sum(1).max()) / t**2
    spread = abs(means[:3, None] - means[:3]).max() / t**2
    bound = 8 * checks.EPS * radius * spread + 100 * checks.EPS * abs(expected).max()
    np.testing.assert_allclose(law.score(z, t, FLOW), expected, rtol=0, atol=bound)
    assert bound < 1e-3 * abs(expected).max()


def test_one_component_is_rational():
    law = Gaussian([0, 1], [[2, 1], [1, 2]])
    z = np.array([[Fraction(1, 3), Fraction(2)]], dtype=object)
    # V = ([[2, 1], [1, 2]] + I) / 4, z - alpha m = (1/3, 3/2), by hand: -V^-1 (1/3, 3/2) = (1/4, -25/12).
    assert law.score(z, Fraction(1, 2), FLOW).tolist() == [[Fraction(1, 4), Fraction(-25, 12)]]
    x = sympy.Symbol("x")
    symbolic = law.score(np.array([[x, sympy.Integer(2)]], dtype=object), sympy.Rational(1, 2), FLOW)
    assert sympy.simplify(symbolic[0, 0].subs(x, sympy.Rational(1, 3)) - sympy.Rational(1, 4)) == 0


def test_far_states_stay_finite():
    law = checks.mixture("isotropic", 12)
    z = np.full((1, 12), 1e100)
    score = law.score(z, 0.25, FLOW)
    v = 0.75**2 * law.covs.max() + 0.25**2
    np.testing.assert_allclose(score, -z / v, rtol=1e-12)  # the widest component alone is left there


def test_digits_are_the_embedded_data():
    data = digits()
    assert data.shape == (1797, 64)
    assert data.min() == -1
    assert data.max() == 1
    near = data[:3] * 0.99 + 0.01 * np.random.default_rng(0).normal(size=(3, 64))
    eps = Empirical(data).model(FLOW)(near, 0.01)
    # At t = 0.01 the posterior is one image, and eps is the noise that was added.
    np.testing.assert_allclose(eps, (near - 0.99 * data[:3]) / 0.01, rtol=0, atol=1e-12)


def test_a_data_set_is_two_fractions_however_many_points(monkeypatch):
    """The weights 1/K and the bandwidth are one number each, seen K times."""
    asked = []
    exact = parameters.exact
    monkeypatch.setattr(parameters, "exact", lambda x: asked.append(x) or exact(x))
    law = Empirical(np.random.default_rng(0).normal(size=(500, 9)), bandwidth=0.5)
    law.score(np.zeros((1, 9)), 0.5, FLOW)
    assert asked == [Fraction(1, 500), 0.25]
    assert set(map(type, law._in(MPMath(20))[0])) == {type(checks.mp.mpf(1))}


def test_a_large_data_set_is_held_once_and_keeps_its_digits():
    """Around 0 the points are not copied to be centred; far from it they are."""
    points = np.random.default_rng(0).normal(size=(70_000, 60))
    z, t = points[:2] + 0.3, 0.5
    for shift, copies in ((0.0, 0.3), (100.0, 1.3)):
        law = Empirical(points + shift, bandwidth=2.0)
        tracemalloc.start()
        found = law.score(z + shift / 2, t, FLOW)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < copies * points.nbytes
        # The definition, from differences: V = (alpha^2 2^2 + sigma^2) with alpha = sigma = 1/2.
        for row, score in zip(z + shift / 2, found, strict=True):
            differences = (points + shift) / 2 - row
            exponents = -(differences**2).sum(axis=1) / (2 * 1.25)
            weights = np.exp(exponents - exponents.max())
            expected = weights @ differences / weights.sum() / 1.25
            # The exponents are wrong by some eps (|z|^2 + max |m|^2 / 4) / V, about 100 eps with 60 coordinates of order 1.
            np.testing.assert_allclose(score, expected, rtol=0, atol=1000 * np.finfo(float).eps)


def diagonal_score(law, z, t):
    """The definition in differences, with the logarithms of the weights subtracted before anything is summed."""
    v = (1 - t) ** 2 * law.covs + t**2
    differences = (1 - t) * law.means - z[:, None]
    exponents = (
        np.log(np.maximum(law.weights, 1e-300)) - np.log(v).sum(axis=1) / 2 - (differences**2 / (2 * v)).sum(axis=2)
    )
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    return np.einsum("nk,nkd->nd", weights / weights.sum(axis=1, keepdims=True), differences / v)


@pytest.mark.parametrize("size", [9, 64, 101])
@pytest.mark.parametrize("block", [1 << 22, 500])
def test_diagonal_covariances_part_by_part(monkeypatch, size, block):
    """In one part, whose tables are kept for a time that comes again, and in parts summed one after the other.

    Kills: tables of another time, a part's largest exponent not carried on to the next, or none where the first part has no weight.
    """
    monkeypatch.setattr(scores, "_BLOCK", block)
    rng = np.random.default_rng(size)
    weights = np.repeat([0.0, 0.025], [10, 40])
    law = GaussianMixture(weights, 3 * rng.normal(size=(50, size)), rng.uniform(0.5, 1.5, (50, size)))
    z = rng.normal(size=(7, size))
    for t in (0.5, 0.5, 0.9, 0.1, 0.5):
        expected = diagonal_score(law, z, t)
        # The exponents are wrong by some eps (|z|^2 + alpha^2 max |m|^2) / min v, that is by 10 size eps / 0.5.
        np.testing.assert_allclose(
            law.score(z, t, FLOW), expected, rtol=0, atol=100 * size * 2.0**-52 * abs(expected).max()
        )


def test_tables_of_one_time_are_kept(monkeypatch):
    made = []
    monkeypatch.setattr(scores, "_log_products", lambda v, own=scores._log_products: made.append(1) or own(v))
    law = GaussianMixture([0.5, 0.5], np.eye(2, 9), np.full((2, 9), 0.3) + np.arange(9) / 9)
    model, z = law.model(FLOW), np.zeros((1, 9))
    for t, times in ((0.5, 1), (0.5, 1), (0.25, 2), (0.5, 3)):
        model(z, t)
        assert len(made) == times


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-20, 1.0, 1e100, 1e300])
@pytest.mark.parametrize("size", [9, 784, 1001])
def test_logarithms_of_products_neither_overflow_nor_lose_digits(scale, size):
    v = np.random.default_rng(0).uniform(0.1, 10, (3, size)) * scale
    with checks.mp.workdps(30):
        expected = np.array([sum(map(checks.mp.log, map(float, row))) for row in v], dtype=float)
    # A rounding a product, those of the logarithms, and of their sum in pairs: a few units of the sum.
    atol = 2.0**-52 * (size + 8 * abs(expected).max())
    np.testing.assert_allclose(scores._log_products(v), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("size", [2, 9, 300])
@pytest.mark.parametrize("shape", ["isotropic", "equal", "diagonal", "full"])
def test_scores_in_float32_lose_what_is_said(shape, size):
    """Kills: a float64 scalar that promotes the arrays, weights that underflow."""
    law = checks.mixture(shape, min(size, 9)) if shape == "full" else wide_mixture(shape, size)
    z, size = np.random.default_rng(0).normal(size=(64, law.dimension)), law.dimension
    for t in (0.5, 0.25):
        expected = law.score(z, t, FLOW)
        for dtype in (np.float32, np.float64):
            found = law.score(z.astype(dtype), t, FLOW, compute_dtype="float32")
            assert found.dtype == dtype
            reach = (z**2).sum(axis=1).max() + (np.asarray(law.means, float) ** 2).sum(axis=1).max()
            # As the docstring says of log-weights and so of scores; and a few roundings of what is summed for each coordinate.
            lost = 2.0**-23 * (reach / t**2 + 10)
            error = abs(found - expected)
            assert error.max() <= lost * abs(expected).max()
            assert error.max() > 2.0**-30 * abs(expected).max()  # float32 indeed


def wide_mixture(shape, size):
    rng = np.random.default_rng(size)
    covs = {"isotropic": rng.uniform(0.5, 1.5, 40), "equal": np.ones(40), "diagonal": rng.uniform(0.5, 1.5, (40, size))}
    return GaussianMixture(np.full(40, 1 / 40), rng.normal(size=(40, size)), covs[shape])


def test_float32_is_computed_on_request_and_keeps_the_state_alone():
    law, z = wide_mixture("isotropic", 100), np.random.default_rng(1).normal(size=(3, 100)).astype(np.float32)
    plain, short = law.model(FLOW), law.model(FLOW, compute_dtype="float32")
    assert plain != short
    exact = -0.5 * law.score(z.astype(np.float64), 0.5, FLOW)
    assert np.array_equal(plain(z, 0.5), exact.astype(np.float32))  # float64 by default, rounded once
    assert 0 < abs(short(z, 0.5) - exact).max() < 1e-3
    assert {part.dtype for part in vars(law._cache["components", "single"]).values() if hasattr(part, "dtype")} == {
        z.dtype
    }


def test_float32_is_refused_where_nothing_is_computed_so():
    law, z = wide_mixture("equal", 9), np.zeros((1, 9))
    for other, states, dtype, message in (
        (law, z, "float16", "compute_dtype='float16' is unknown: use float64 or float32"),
        (law, z.astype(np.longdouble), "float32", "is for float states, and z is in longdouble: leave it out"),
        (Uniform(np.zeros(9), np.ones(9)), z, "float32", "is for mixtures, and this is a Uniform: leave it out"),
    ):
        with pytest.raises(ValueError, match=message):
            other.score(states, 0.5, FLOW, compute_dtype=dtype)
        with pytest.raises(ValueError, match=message):
            other.model(FLOW, compute_dtype=dtype)(states, 0.5)
