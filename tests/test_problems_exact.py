"""Laws with exact flows: lines, one centre, uniform, products, guided Gaussians; in floats, longdouble and mpmath."""

from fractions import Fraction

import exact_checks as checks
import mpmath
import numpy as np
import pytest
from problem_checks import EPS, FLOW, plant
from scipy import stats

from bdia_numerics.problems import Empirical, Gaussian, GaussianMixture, GuidedGaussians, Product, Uniform
from bdia_numerics.problems.cdf_flow import ExactMarginal, increasing_root


@pytest.mark.parametrize("name", checks.LAWS)
def test_flow_solves_the_ode(name):
    law = checks.LAWS[name]
    assert law.flow_certificate.exact
    checks.check_flow(law, 0.875, 0.125)


@pytest.mark.parametrize("name", checks.LAWS)
def test_jacobian_is_the_derivative(name):
    checks.check_jacobian(checks.LAWS[name], 0.25, 0.75)


@pytest.mark.parametrize("name", checks.LAWS)
def test_flows_compose(name):
    """From s to r and from r to t is from s to t; there and back is the identity."""
    law = checks.LAWS[name]
    z = checks.states(law)
    through = law.flow(law.flow(z, 0.875, 0.5, FLOW), 0.5, 0.125, FLOW)
    np.testing.assert_allclose(through, law.flow(z, 0.875, 0.125, FLOW), rtol=0, atol=60 * EPS * abs(through).max())
    back = law.flow(through, 0.125, 0.875, FLOW)
    # Ratios of standard deviations up to 7 (its 7.5-fold power for guidance) enlarge roundings on the way back.
    np.testing.assert_allclose(back, z, rtol=0, atol=2000 * EPS)


@pytest.mark.parametrize("start", [0, mpmath.mpf(1) / 2, 3])
def test_a_root_is_found_where_the_slope_vanishes_on_the_way(start):
    def gap(x):
        return x**3 - 1, 0 if x < 0.75 else 3 * x * x

    assert increasing_root(gap, mpmath.mpf(start), mpmath.mpf(1) / 4, mpmath.mpf(10) ** -12) == pytest.approx(
        1, abs=1e-12
    )


def test_a_root_is_found_from_where_newtons_steps_grow():
    asked = []

    def gap(x):
        asked.append(x)
        assert len(asked) < 50  # a bracket that is halved has 40 bits by then
        return mpmath.atan(x - 1), 1 / (1 + (x - 1) ** 2)

    assert increasing_root(gap, mpmath.mpf(10), mpmath.mpf(1) / 4, mpmath.mpf(10) ** -12) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("z", [0.0, 1e-9, 0.3, 1.0, 3.0, 20.0, 39.0])
@pytest.mark.parametrize("t", [1 - 2.0**-30, 1 - 2.0**-8, 0.75, 0.25, 2.0**-6, 2.0**-12])
def test_uniform_score(z, t):
    """Narrow and wide against the noise, inside, at the edge and 40 sigma out. Kills: no Gauss's rule, no scaled erfc."""
    checks.check_uniform_score(Uniform([-1.0], [1.0]), np.array([[z], [-z]]), t)


@pytest.mark.parametrize("times", [(0.875, 0.0625), (0.0625, 0.75), (1 - 2.0**-20, 0.5), (1.0, 0.125), (0.5, 1.0)])
def test_uniform_digits(times):
    inside = np.linspace(-0.9, 1.2, 8) if times[0] < 0.1 else np.linspace(-30, 30, 8)
    # Thirty sigma out the exponents are 450 to 1800, each with some roundings.
    checks.check_digits(Uniform([-1.0], [1.5]), *times, inside[:, None], most=16, slope=8000)


def test_uniform_flow_from_and_to_the_data():
    law = Uniform([-1.0, 0.0], [1.0, 4.0])
    assert law.sample(0, 1).shape == (0, 2)
    x = np.array([[-0.999, 1.0], [0.0, 3.5], [0.25, 2.0]])
    z = law.flow(x, 0.0, 0.5, FLOW)
    np.testing.assert_allclose(law.flow(z, 0.5, 0.0, FLOW), x, rtol=0, atol=8 * EPS)
    far = law.flow(np.array([[50.0, -50.0]]), 0.5, 0.0, FLOW)
    np.testing.assert_array_equal(far, [[1.0, 0.0]])
    # The derivative by a central difference, whose rounding leaves 1e-11.
    for times in ((0.5, 0.0), (0.0, 0.5)):
        moved, beside = (law.flow(np.array([[0.7 + s, 3.0]]), *times, FLOW)[0, 0] for s in (1e-5, -1e-5))
        slope = law.flow_and_jacobian(np.array([[0.7, 3.0]]), *times, FLOW)[1][0, 0, 0]
        assert slope == pytest.approx((moved - beside) / 2e-5, rel=1e-8)
    # In mpmath, too: at the centre, and at the distance 1 from it.
    with mpmath.workdps(30):
        exact = law.flow(np.array([[0, 3]], dtype=object) * mpmath.mpf(1), 0, Fraction(1, 2), FLOW)[0]
    assert exact[0] == 0 and float(exact[1]) == pytest.approx(
        law.flow(np.array([[0.0, 3.0]]), 0.0, 0.5, FLOW)[0, 1], rel=1e-13, abs=0
    )
    # At alpha = 0 the law is unit noise, so x is the centre plus a length times Phi - 1/2.
    noise = np.array([[0.5, -1.25]])
    expected = np.array([0.0, 2.0]) + np.array([2.0, 4.0]) * (stats.norm.cdf(noise) - 0.5)
    np.testing.assert_allclose(law.flow(noise, 1.0, 0.0, FLOW), expected, rtol=0, atol=8 * EPS)
    with mpmath.workdps(30):
        exact = law.flow(noise * mpmath.mpf(1), 1, 0, FLOW)[0]
        wanted = (-1 + 2 * mpmath.ncdf(noise[0, 0]), 4 * mpmath.ncdf(noise[0, 1]))
        assert all(abs(a - b) < mpmath.mpf(10) ** -29 for a, b in zip(exact, wanted, strict=True))
        assert np.all(law.score(noise * mpmath.mpf(1), 1, FLOW) == -noise)


def test_states_that_lie_a_hundred_deviations_from_each_side():
    """Both tails underflow there, so that only their logarithms tell where the state is moved."""
    law, z = GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [1e-4, 1e-4]), np.array([[-0.2], [0.0], [0.3]])
    with mpmath.workdps(30):
        exact = law.flow(z.astype(object) * mpmath.mpf(1), Fraction(1, 1024), Fraction(1, 512), FLOW)
    np.testing.assert_allclose(law.flow(z, 2.0**-10, 2.0**-9, FLOW), exact.astype(float), rtol=1e-9)


def test_radial_digits():
    law = GaussianMixture([0.25, 0.75], [[1.0, 2.0, 3.0]] * 2, [0.0625, 1.0])
    z = np.array([[1.0, 0.5, 0.25], [0.125, 0.25, 0.375], [4.0, -3.0, 1.0]])
    checks.check_digits(law, 0.875, 0.0625, z, most=60)


def test_radial_tails():
    """Kills: incomplete gamma functions that underflow."""
    checks.check_radial_tails()


@pytest.mark.parametrize(
    ("z", "covs"),
    [
        ([8, 6], [Fraction(1, 100), Fraction(1, 50)]),
        ([5, Fraction(4, 5)], [Fraction(1, 100), Fraction(1, 50)]),  # exp(-645) here, and less at the end of the flow
        ([Fraction(1, 10**20), 0], [30, 40]),
    ],
)
def test_far_out_and_near_the_centre_more_digits_change_none(z, covs):
    """The tail that is small there is the one that is taken."""
    law = GaussianMixture([0.5, 0.5], np.zeros((2, 2)), covs)
    found = []
    for digits in (30, 60):
        with mpmath.workdps(digits):
            state = np.array([[mpmath.mpf(x.numerator) / x.denominator for x in map(Fraction, z)]], dtype=object)
            found.append(law.flow(state, Fraction(1, 1024), Fraction(1, 2), FLOW)[0])
    assert max(abs(found[0] - found[1])) < 1e-26 * max(abs(found[1]))
    floats = law.flow(np.array([z], dtype=float), 2.0**-10, 0.5, FLOW)[0]
    np.testing.assert_allclose(floats, found[1].astype(float), rtol=1e-11)


def test_what_one_deviation_above_a_mean_is_stays_there():
    """N(3, 4) to N(1, 9): from 5 to 4."""
    assert ExactMarginal([1], [3], [4]).images(mpmath.mpf(5), ExactMarginal([1], [1], [9])) == [4]


@pytest.mark.parametrize("shape", [(1, 3), (3, 3)])
def test_isotropic_covariances_move_states_in_each_of_their_forms(shape):
    """Variances of each coordinate, and matrices, whose first entry stands for all."""
    z, times, scales = np.array([[0.5, -1.0, 0.25]]), (0.1, 0.6), np.array([0.5, 2.0])
    covs = scales[:, None, None] * np.eye(3) if shape[0] == 3 else scales[:, None] * np.ones(3)
    found, wanted = (GaussianMixture([0.5, 0.5], np.zeros((2, 3)), c).flow(z, *times, FLOW) for c in (covs, scales))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=4 * EPS)


def test_line_digits():
    tilted = [[Fraction(52, 100), Fraction(36, 100)], [Fraction(36, 100), Fraction(73, 100)]]
    law = GaussianMixture([0.25, 0.75], [[0, 0], [4, -3]], [tilted, tilted])
    assert law.flow_certificate.kind == "CDF transport"
    z = np.array([[1.0, 0.5], [-0.25, 2.0]])
    checks.check_digits(law, 0.875, 0.125, z, most=40)


def test_product_and_guidance_in_mpmath():
    turn = [[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]]
    z = np.array([[1.0, 0.5], [-0.25, 2.0]])
    checks.check_digits(Product([Uniform([0], [1]), Gaussian([2], 1)], turn), 0.875, 0.125, z, most=40)
    one = Gaussian([2], 1)  # how many numbers a score is made of decides whether it is compiled
    assert Product([one, one], turn)._terms() == 2 * one._terms() + 4
    for cond, uncond in (((1, 2), (0, 1)), ((1, 2), (1, 2))):
        covs = ([2, 3], [2, 3]) if cond != uncond else ([2, 3], [1, 4])
        law = GuidedGaussians(Gaussian(cond, covs[0]), Gaussian(uncond, covs[1]), Fraction(5, 2))
        checks.check_digits(law, 0.875, 0.125, z, most=40)


def test_float32_and_longdouble():
    for law in (checks.LAWS["radial"], checks.LAWS["box"]):
        z = checks.states(law).astype(np.float32)
        found = law.flow(z, 0.875, 0.125, FLOW)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, law.flow(z.astype(float), 0.875, 0.125, FLOW).astype(np.float32))
        wide = law.flow(z[:2].astype(np.longdouble), 0.875, 0.125, FLOW)
        assert wide.dtype == np.longdouble
        np.testing.assert_allclose(wide, found[:2], rtol=1e-6)


def test_semigroup():
    checks.check_semigroup()


def test_guided_model():
    checks.check_guided_model()


def test_guided_law_is_that_of_pushed_noise():
    law = checks.LAWS["guided, equal means, negative scale"]
    x = law.sample(40000, np.random.default_rng(11))
    variances = np.array([0.3, 2.0]) ** -1.5 * 0.5**2.5
    # Standard errors of variances and means are below 1.5 percent and 0.02 here; four of them.
    np.testing.assert_allclose(x.var(axis=0), variances, rtol=0.03)
    np.testing.assert_allclose(x.mean(axis=0), [1, 2], atol=0.04)


@pytest.mark.parametrize("name", ["line, matrices", "radial", "box", "product"])
def test_pushed_noise_has_the_law(name):
    """Draws at a time and noise pushed there agree in each coordinate and in the radius (Kolmogorov and Smirnov)."""
    law = checks.LAWS[name]
    rng = np.random.default_rng(12)
    drawn = law.sample(4000, rng, 0.125, FLOW)
    pushed = law.flow(rng.standard_normal((4000, law.dimension)), 1.0, 0.125, FLOW)
    for a, b in [*zip(drawn.T, pushed.T, strict=True), (np.linalg.norm(drawn, axis=1), np.linalg.norm(pushed, axis=1))]:
        # 1e-4: one seed in a thousand fails by chance; this one passes.
        assert stats.ks_2samp(a, b).pvalue > 1e-4


def test_symmetry_is_exact_in_mpmath():
    """0.1, 0.2 and 0.3 are on a line up to their rounding, which counts in mpmath."""
    law = checks.LAWS["line, rounded literals"]
    with mpmath.workdps(30), pytest.raises(TypeError, match="float states"):
        law.flow(checks.to_mp(np.zeros((1, 2))), Fraction(1, 2), Fraction(1, 4), FLOW)


@pytest.mark.parametrize(
    ("weights", "means", "covs"),
    [
        ([0.5, 0.25, 0.25], [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.25] * 3),
        ([0.5, 0.5], [[0.0, 0.0], [1.0, 0.0]], [0.25, 0.5]),
        ([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [[0.25, 0.5]] * 2),
        ([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [[0.25, 0.25], [0.5, 0.25]]),
        ([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], [[0.25, 0.5], [0.5, 1.0]]),
        ([0.5, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[[1.0, 0.5], [0.5, 1.0]]] * 2),
        ([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [[[1.0, 0.5], [0.5, 1.0]], [[1.0, 0.25], [0.25, 1.0]]]),
    ],
)
def test_what_has_no_symmetry_is_a_reference(weights, means, covs):
    """Not on a line, no common covariance across it, no eigenvector; nearly so is not so."""
    law = GaussianMixture(weights, means, covs)
    assert law.flow_certificate.kind == "reference"
    tilted = GuidedGaussians(Gaussian([0.0, 0.0], [1.0, 2.0]), Gaussian([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]]), 2)
    assert tilted.flow_certificate.kind == "reference"


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "low=1.0 is not below high=1.0", lambda: Uniform([0.0, 1.0], [1.0, 1.0])),
        (ValueError, r"low has shape \(\)", lambda: Uniform(0.0, 1.0)),
        (ValueError, "high contains inf", lambda: Uniform([0.0], [np.inf])),
        (ValueError, "sigma.* is 0", lambda: Uniform([0.0], [1.0]).score(np.zeros((1, 1)), 0.0, FLOW)),
        (ValueError, "outside the open box", lambda: Uniform([0.0], [1.0]).flow(np.full((1, 1), 2.0), 0.0, 0.5, FLOW)),
        (TypeError, "not rational", lambda: Uniform([0], [1]).score(np.array([[Fraction(1)]]), Fraction(1, 2), FLOW)),
        (TypeError, r"factors\[0\] is a float", lambda: Product([1.0])),
        (ValueError, "factors is empty", lambda: Product([])),
        (ValueError, "basis has shape", lambda: Product([Gaussian([0.0])], [[1.0, 0.0]])),
        (ValueError, "misses orthonormality", lambda: Product([Gaussian([0.0])], [[1.001]])),
        (TypeError, "cond is a Uniform", lambda: GuidedGaussians(Uniform([0.0], [1.0]), Gaussian([0.0]))),
        (ValueError, "cond has D = 1", lambda: GuidedGaussians(Gaussian([0.0]), Gaussian([0.0, 1.0]))),
        (ValueError, "scale=", lambda: GuidedGaussians(Gaussian([0.0]), Gaussian([1.0]), [1.0, 2.0])),
        (ValueError, "scale contains nan", lambda: GuidedGaussians(Gaussian([0.0]), Gaussian([1.0]), np.nan)),
        (
            ValueError,
            "no known distribution",
            lambda: GuidedGaussians(Gaussian([0.0]), Gaussian([1.0], 2)).sample(3, np.random.default_rng(0)),
        ),
        (
            ValueError,
            "no closed form",
            lambda: GuidedGaussians(Gaussian([0.0]), Gaussian([1.0], 2)).flow_jacobian(
                np.zeros((1, 1)), 0.5, 0.25, FLOW
            ),
        ),
        (ValueError, "variance 0", lambda: Product([Empirical([[0.0]])]).score(np.zeros((1, 1)), 0.0, FLOW)),
    ],
)
def test_bad_input_is_one_clear_line(error, words, call):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_rational_rotation_turns_a_score_exactly():
    """By hand: variances 1/2 and 3/4 along the axes (3/5, 4/5) and (-4/5, 3/5), on which (1, 2) has 11/5 and 2/5."""
    axes = [[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]]
    law = Product([Gaussian([0], 1), Gaussian([1], 2)], axes)
    found = law.score(np.array([[Fraction(1), Fraction(2)]]), Fraction(1, 2), FLOW)
    assert found.tolist() == [[Fraction(-206, 75), Fraction(-86, 25)]]


def test_a_float_rotation_is_refused_in_mpmath():
    with mpmath.workdps(30), pytest.raises(ValueError, match="Fractions for runs in mpmath"):
        checks.LAWS["product"].score(checks.to_mp(np.zeros((1, 4))), Fraction(1, 2), FLOW)


def narrow():
    checks.check_uniform_score(Uniform([-1.0], [1.0]), np.array([[0.3], [3.0]]), 1 - 2.0**-30)


# (module, text, planted error, check that must fail)
MUTANTS = {
    "no Gauss's rule": ("uniform", "np.empty_like(x), (h < 1) & (x * h < 4)", "np.empty_like(x), h < 0", narrow),
    "chi of a wrong number of freedoms": (
        "transports",
        "_log_gamma_tails(size / 2,",
        "_log_gamma_tails((size + 1) / 2,",
        lambda: checks.check_flow(checks.LAWS["radial"], 0.875, 0.125),
    ),
    "no series": ("transports", "_TINY = -645.0", "_TINY = -np.inf", checks.check_radial_tails),
    "centre moved at the old alpha": (
        "transports",
        "end[0] * centre",
        "begin[0] * centre",
        lambda: checks.check_flow(checks.LAWS["radial"], 0.875, 0.125),
    ),
    "density ratio without the volume": (
        "transports",
        "(size - 1) * space.log(scales)",
        "0 * space.log(scales)",
        lambda: checks.check_jacobian(checks.LAWS["radial"], 0.25, 0.75),
    ),
    "variances across along the line": (
        "transports",
        "covs @ axis @ axis if",
        "covs[:, 0, 0] if",
        lambda: checks.check_flow(checks.LAWS["line, matrices"], 0.875, 0.125),
    ),
    "basis transposed": (
        "combined",
        "z if axes is None else z @ axes\n",
        "z if axes is None else z @ axes.T\n",
        lambda: checks.check_flow(checks.LAWS["product"], 0.875, 0.125),
    ),
    "guidance without 1 - w": (
        "combined",
        "(self.uncond, 1 - w)",
        "(self.uncond, w)",
        lambda: checks.check_flow(checks.LAWS["guided, equal means"], 0.875, 0.125),
    ),
    "guided mean from the wrong law": (
        "combined",
        "base + self._value(space) * (other - base)",
        "other + self._value(space) * (base - other)",
        checks.check_guided_model,
    ),
    "covariances across not compared": (
        "mixtures",
        "return alike(covs[:, ~on]",
        "return True or alike(covs[:, ~on]",
        lambda: test_what_has_no_symmetry_is_a_reference(
            [0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], [[0.25, 0.5], [0.5, 1.0]]
        ),
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_planted_errors_are_caught(mutant, monkeypatch):
    module, text, error, check = MUTANTS[mutant]
    plant(monkeypatch, module, text, error)
    with pytest.raises((AssertionError, ArithmeticError)):
        check()
