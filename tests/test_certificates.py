"""Certificates of exactness where entries are of very different size, and what follows from them.

The schedule is (1, t). What is certified as exact is compared with an equation or an integration of its own; laws that
only look alike next to their largest entry must not be certified as one.
"""

from fractions import Fraction

import numpy as np
import pytest
import scipy.integrate
from problem_checks import EPS, cdf_miss

from bdia_numerics import BDIA, grids, round_trip, schedules, spaces
from bdia_numerics.analysis.measurement.errors import noisy_states
from bdia_numerics.analysis.measurement.ladder import solver_trial
from bdia_numerics.problems import Gaussian, GaussianMixture, GuidedGaussians, Product, reference_flow
from bdia_numerics.problems.checks import eigen
from bdia_numerics.problems.reference import right_hand_side
from bdia_numerics.studies.sweep import ends

EDM = schedules.edm()
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]


def turned(variances, turn):
    full = turn * variances @ turn.T
    return (full + full.T) / 2


@pytest.mark.parametrize("matrices", [False, True])
def test_variances_that_differ_below_the_rounding_of_the_largest(matrices):
    variances = np.array([[1.0, 1e-20], [1.0, 1e-16]])
    law = GaussianMixture([0.5, 0.5], np.zeros((2, 2)), [np.diag(v) for v in variances] if matrices else variances)
    found = law.flow([[1.0, 1e-6]], 1e-6, 1e-10, EDM)[0]
    assert found[1] == pytest.approx(4.752e-9, rel=1e-3)
    # The second coordinate is independent of the first, so it is a mixture on the line.
    line = GaussianMixture([0.5, 0.5], np.zeros((2, 1)), variances[:, 1])
    error, slope = cdf_miss(line, 1e-6, 1e-6, 1e-10, found[1], 60)
    assert error <= 40 * EPS * (found[1] + slope * 1e-6)
    assert found[0] == pytest.approx(np.sqrt((1 + 1e-20) / (1 + 1e-12)), rel=4 * EPS, abs=0)


def test_one_small_variance_of_sixty_four():
    wide, narrow = np.ones(64), np.ones(64)
    wide[-1], narrow[-1] = 4e-14, 4e-15
    law = GaussianMixture([0.5, 0.5], np.zeros((2, 64)), [wide, narrow])
    found = law.flow(np.full((1, 64), 1e-6), 1e-6, 1e-8, EDM)[0, -1]
    line = GaussianMixture([0.5, 0.5], np.zeros((2, 1)), [4e-14, 4e-15])
    error, slope = cdf_miss(line, 1e-6, 1e-6, 1e-8, found, 40)
    assert error <= 40 * EPS * (found + slope * 1e-6)


@pytest.mark.parametrize(
    "law",
    [
        GaussianMixture([0.5, 0.5], [[0, 0], [1, 0]], [[1, 1e-18], [1, 1e-25]]),
        GaussianMixture([0.5, 0.5], [[0, 0], [1, 0]], [np.diag([1, 1e-18]), np.diag([1, 1e-25])]),
        # In a basis where no entry is small, each entry differs by less than its rounding.
        GaussianMixture(
            [0.5, 0.5], np.zeros((2, 64)), [turned(np.array([1.0] * 63 + [v]), TURN) for v in (4e-14, 4e-15)]
        ),
        # Means that differ by 1000 deviations of the second coordinate, and less than a rounding of the first.
        GaussianMixture([0.5, 0.5], [[1, 0], [1, 1e-17]], [[1, 1e-40], [2, 1e-40]]),
        # A direction that is an eigenvector next to the larger variance alone.
        GaussianMixture([0.5, 0.5], [[0, 0], [1, 1e-17]], [[1, 1e-40], [1, 1e-40]]),
        GaussianMixture([0.3, 0.3, 0.4], [[0, 0], [1, 1e-17], [2, 5e-17]], [1e-40] * 3),
        GuidedGaussians(Gaussian([0, 0], [1, 1e-20]), Gaussian([1, 0], [1, 1e-16]), 2),
        GuidedGaussians(Gaussian([1, 1e-17], [1, 1e-40]), Gaussian([1, 0], [2, 1e-40]), 2),
        GuidedGaussians(Gaussian([0, 0], [[1, 1e-17], [1e-17, 1e-30]]), Gaussian([0, 0], [1, 3e-30]), 2),
        Product([Gaussian([0.0], 1), Gaussian([0.0], 1e-30)], [[1.0, 1e-16], [0.0, 1.0]]),
    ],
)
def test_what_is_alike_only_next_to_the_largest_entry_is_not_certified(law):
    assert law.flow_certificate.kind == "reference"
    assert not law.flow_certificate.exact


@pytest.mark.parametrize(("angle", "kind"), [(0.0, "closed form"), (2e-15, "reference")])
def test_narrow_axes_that_no_entry_of_the_covariances_tells_apart(angle, kind):
    """A narrow axis that turns by less than a rounding of the others: the entries of the matrices commute."""
    other = TURN.copy()
    other[:, -1] += angle * TURN[:, 0]
    other[:, 0] -= angle * TURN[:, -1]
    covs = [turned(np.array([1.0] * 63 + [v]), axes) for v, axes in ((1e-6, TURN), (2e-6, other))]
    a, b = covs
    assert np.all(abs(a @ b - b @ a) <= 4 * EPS * 64 * (abs(a) @ abs(b) + abs(b) @ abs(a)))
    law = GuidedGaussians(*(Gaussian(np.zeros(64), cov) for cov in covs), 2)
    assert law.flow_certificate.kind == kind


def test_a_reference_instead_of_the_false_certificate():
    """Means apart along the first axis, narrow variances across: by scipy on the score, coordinate by coordinate."""
    law = GaussianMixture([0.5, 0.5], [[0, 0], [1, 0]], [[1, 1e-18], [1, 1e-25]])
    z, times = np.array([[1.0, 1e-6]]), (1e-6, 1e-9)

    def slope(s, z):
        v = np.array([[1.0, 1e-18], [1.0, 1e-25]]) + s * s
        pulls = (z - np.array([[0, 0], [1, 0]])) / v
        logs = -(pulls * pulls * v).sum(axis=1) / 2 - np.log(v).sum(axis=1) / 2
        r = np.exp(logs - logs.max())
        return s * (r / r.sum()) @ pulls

    run = scipy.integrate.solve_ivp(slope, times, z[0], method="Radau", rtol=1e-11, atol=1e-18)
    found = law.flow_certified(z, *times, EDM)
    assert found.certificate.error < 1e-12
    # Radau's error is some hundred times its tolerance.
    np.testing.assert_allclose(found.z[0], run.y[:, -1], rtol=1e-8)


@pytest.mark.parametrize(
    ("law", "kind"),
    [
        (GaussianMixture([0.2, 0.3, 0.5], [[0.1, 0.3], [0.2, 0.6], [0.3, 0.9]], [0.1] * 3), "CDF transport"),
        (GaussianMixture([0.5, 0.5], [[0.3, 1.0], [0.1 + 0.2, 2.0]], [[0.5, 0.1]] * 2), "CDF transport"),
        (GaussianMixture([0.5, 0.5], np.zeros((2, 64)), [turned(np.linspace(1, 2, 64), TURN)] * 2), "closed form"),
        (GaussianMixture([0.5, 0.5], [[0.0, 0.0]] * 2, [[0.1 + 0.2, 1e-20], [0.3, 1e-20]]), "closed form"),
        (GuidedGaussians(Gaussian([0.1 + 0.2, 0], [1, 0]), Gaussian([0.3, 0], [2, 0]), 2), "closed form"),
        (
            GuidedGaussians(
                Gaussian(np.zeros(64), turned(np.linspace(1, 2, 64), TURN)),
                Gaussian(np.zeros(64), turned(np.linspace(3, 1, 64), TURN)),
                2,
            ),
            "closed form",
        ),
    ],
)
def test_roundings_of_the_parameters_still_count_as_equal(law, kind):
    assert law.flow_certificate.kind == kind


def test_small_eigenvalues_of_a_graded_matrix():
    """The exact eigenvalues by the determinant."""
    cov = np.array([[1.0, 1e-11], [1e-11, 1e-20]])
    values, _ = eigen(cov, spaces.FLOAT64)
    a, b, c = (Fraction(float(x)) for x in (cov[0, 0], cov[0, 1], cov[1, 1]))
    # The small one is det/large, and the large one 1 up to 1e-22.
    assert min(values) == pytest.approx(float(a * c - b * b), rel=8 * EPS, abs=0)
    law = Gaussian([0.0, 0.0], cov)
    found = law.flow([[0.0, 1e-6]], 1e-6, 1e-13, EDM)
    # Down to 1e-13 the short axis, in which z lies but for an angle of 1e-11, shrinks to its own deviation.
    small = float(a * c - b * b)
    assert found[0, 1] == pytest.approx(1e-6 * np.sqrt((small + 1e-26) / (small + 1e-12)), rel=1e-9, abs=0)


def test_small_eigenvalues_of_three_axes():
    """Kills: LAPACK, which is off 5,000 times in this order of the axes, and exact in two dimensions."""
    deviations = np.array([1e-5, 1e-10, 1.0])
    cov = (0.1 + 0.9 * np.eye(3)) * np.multiply.outer(deviations, deviations)
    values, _ = eigen(cov, spaces.FLOAT64)
    a, b, c, d, e, f = (Fraction(float(cov[k])) for k in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))
    whole = c * (a * b - d * d) - f * (a * f - d * e) + e * (d * f - b * e)
    pairs = (a * b - d * d) + (a * c - e * e) + (b * c - f * f)
    # The product of all over the sum of the products of two, of which that of the larger two is all up to 1e-9.
    assert min(values) == pytest.approx(float(whole / pairs), rel=1e-9, abs=0)


MIXTURE = GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [1.0, 1.0]], [0.1, 0.2])


class Foreign:
    """A problem of somebody else: a flow, and no word on its error."""

    def flow(self, *arguments):
        return MIXTURE.flow(*arguments)


def test_a_round_trip_says_how_well_its_truth_is_known():
    """Kills: a literal 0 in place of the certificate's error."""
    grid, z = grids.uniform(schedules.vp_linear(), 4, t_max=0.9, t_min=0.01), np.array([[0.3, -1.0], [2.0, 0.5]])
    stated = MIXTURE.flow_certified(z, grid.t[grid.n], grid.t[0], grid.schedule).certificate
    assert stated.kind == "reference" and stated.error > 0

    def known(reference):
        return round_trip(BDIA(), MIXTURE.model(grid.schedule), grid, z, reference=reference).reference_error

    assert known(MIXTURE) == stated.error
    assert np.isnan(known(Foreign()))
    assert known(Gaussian([0.0, 0.0], 1.0)) == 0  # a closed form: rounding alone
    assert known(z) == 0  # given


def test_an_order_rests_on_how_well_the_truth_is_known():
    """Kills: a literal share of the size for references, and none for flows that state nothing."""
    grid = grids.uniform(schedules.vp_linear(), 8, t_max=0.9, t_min=0.01)
    z = noisy_states(MIXTURE, grid, 4)

    class Rough(Foreign):
        """Off by 1e-5, as a coarse integrator is, and says nothing."""

        model, sample = staticmethod(MIXTURE.model), staticmethod(MIXTURE.sample)

        def flow(self, z, *arguments):
            return MIXTURE.flow(z, *arguments) * (1 + 1e-5)

    stated = MIXTURE.flow_certified(z, grid.t[8], grid.t[0], grid.schedule).certificate.error
    for law, least, most in ((MIXTURE, stated, 10 * stated + 1e-14), (Rough(), 5e-6, 1e-3)):
        off = solver_trial(BDIA(), law, lambda n, space, law=law: grid, 4, "exact").run(8, None)[1]
        assert least <= off <= most, law


def test_taylor_steps_that_overflow_give_way():
    """Coefficients between scales that are 1e14 apart leave the floats; the flow is found all the same."""
    wide, narrow = np.ones(64), np.ones(64)
    wide[32:], narrow[32:] = 4e-14, 4e-15
    z = np.concatenate([np.ones(32), np.full(32, 1e-7)])
    moved, certificate = GaussianMixture([0.5, 0.5], np.zeros((2, 64)), [wide, narrow]).flow_certified(
        [z], 1e-6, 1e-10, EDM
    )
    assert np.isfinite(moved).all() and certificate.kind == "reference"
    # The density is radial in the narrow axes, and all of its mass is at one component there or at the other.
    lone = [
        GaussianMixture([1.0], np.zeros((1, 1)), [v]).flow([[1e-7]], 1e-6, 1e-10, EDM)[0, 0] for v in (4e-14, 4e-15)
    ]
    assert min(lone) <= moved[0, -1] <= max(lone)


def test_a_sweep_says_how_well_its_truth_is_known():
    assert ends("plane", "vp_linear", 0.9, 0.1, "float64", 0, 3).uncertain > 0
    assert ends("mixture", "vp_linear", 0.9, 0.1, "float64", 0, 3).uncertain == 0


def test_the_uncertainty_of_a_certificate():
    assert np.isnan(MIXTURE.flow_certificate.uncertainty)  # nothing has been computed
    assert Gaussian([0.0], 1.0).flow_certificate.uncertainty == 0


@pytest.mark.parametrize("schedule", [schedules.stable_diffusion(), schedules.vp_cosine(), schedules.flow()])
def test_the_right_hand_side_is_total(schedule):
    """Far outside the interval, at negative sigma/alpha and beyond a table, it stands as at the nearer end."""
    first, last = float(schedule.t_min), float(schedule.t_max)
    times = (first + 0.9 * (last - first), first + 0.1 * (last - first))
    y = np.array([0.5, -1.0])
    slope = right_hand_side(MIXTURE.model(schedule), schedule, (1, 2), *times)
    inner, outer = sorted(float(schedule.sigma_bar(t)) for t in times)
    for s, end in ((-1.0, inner), (0.0, inner), (0.5 * inner, inner), (1.5 * outer, outer), (1e9, outer)):
        np.testing.assert_array_equal(slope(s, y), slope(end, y))
    t, alpha = times[1], float(schedule.alpha(times[1]))
    np.testing.assert_allclose(slope(inner, y), MIXTURE.model(schedule)(alpha * y[None], t)[0], rtol=1e-9)


def test_a_trial_step_beyond_the_table_ends_no_run(monkeypatch):
    """As some releases of scipy do: the right-hand side is asked for outside the span before the run begins."""
    original = scipy.integrate.solve_ivp

    def straying(f, span, start, **options):
        for s in (min(span) - 1, 1.2 * max(span)):
            assert np.all(np.isfinite(f(s, start)))
        return original(f, span, start, **options)

    monkeypatch.setattr(scipy.integrate, "solve_ivp", straying)
    schedule = schedules.stable_diffusion()
    exact = MIXTURE.model(schedule)
    for model in (exact, exact.__call__):  # one that is known by its distribution, and any other
        run = reference_flow(model, schedule, np.ones((1, 2)), 999, 10, method="DOP853")
        assert run.error < 1e-6
