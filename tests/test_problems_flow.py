"""Exact flows: closed forms, conservation of the CDF, the numerical reference, their certificates and derivatives."""

from fractions import Fraction

import mpmath
import numpy as np
import problem_checks as checks
import pytest

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, Gaussian, GaussianMixture

FLOW = schedules.flow()


@pytest.mark.parametrize("shape", ["scalar", "diagonal", "full"])
def test_gaussian_flow_solves_the_ode(shape):
    """Kills: the square root of the stretch dropped, the stretch inverted, alpha before the mean dropped."""
    checks.check_gaussian_flow(shape)


@pytest.mark.parametrize("kind", ["float64", "longdouble", "mpmath"])
def test_gaussian_flow_with_a_matrix_in_every_system(kind):
    """Along eigenvectors of the covariance the flow is one-dimensional; eigenvalues 1 and 3, roots by hand."""
    law = Gaussian([0, 0], [[2, 1], [1, 2]])
    with mpmath.workdps(40):
        one = {"float64": np.float64, "longdouble": np.longdouble, "mpmath": mpmath.mpf}[kind](1)
        z = np.array([[one, one], [one, -one]], dtype=object if kind == "mpmath" else None)
        found = law.flow(z, Fraction(1, 2), Fraction(0), FLOW)
        root = np.sqrt if kind != "mpmath" else mpmath.sqrt
        expected = np.array([[root(3 * one)] * 2, [root(2 * one), -root(2 * one)]], dtype=found.dtype)
        eps = {"float64": 2.0**-52, "longdouble": 2.0**-63, "mpmath": mpmath.mpf(10) ** -39}[kind]
        assert np.max(abs(found - expected)) < 8 * eps  # eight roundings in rotating there and back


def test_gaussian_flow_passes_alpha_zero_and_reaches_atoms():
    law = Gaussian([3.0, -1.0], 0)
    z = np.array([[0.5, 2.0]])
    np.testing.assert_array_equal(law.flow(z, 1.0, 0.0, FLOW), [[3.0, -1.0]])
    np.testing.assert_allclose(law.flow(z, 1.0, 0.5, FLOW), [[1.75, 0.5]], rtol=checks.EPS)


@pytest.mark.parametrize(
    "times",
    [
        (0.75, 0.0625),
        (0.0625, 0.75),
        pytest.param((1.0, 0.125), marks=pytest.mark.slow),
        pytest.param((0.125, 0.1875), marks=pytest.mark.slow),
        pytest.param((0.1875, 0.125), marks=pytest.mark.slow),
        (0.5, 0.0),
    ],
)
def test_cdf_flow_keeps_its_digits(times):
    """To 40 sigma in both tails and between the modes, within 40 eps of max(|z'|, 1/2).

    Kills: CDFs without survival functions, weights dropped, slopes that stop Newton's method early."""
    checks.check_cdf_flow(*times)


def test_cdf_flow_between_far_modes():
    """Kills: one choice of CDF or survival function for all components."""
    checks.check_gap()


@pytest.mark.parametrize("times", [(0.875, 0.125), (0.125, 0.875)])
def test_cdf_flow_solves_the_ode(times):
    checks.check_ode(checks.TAILED, *times, np.linspace(-2.5, 2.5, 21)[:, None])


def test_many_states_are_those_of_few():
    """The interpolated starts of large batches change nothing but the start."""
    z = np.random.default_rng(0).normal(size=(5000, 1)) * 3
    together = checks.TAILED.flow(z, 0.9, 0.05, FLOW)
    singly = np.concatenate([checks.TAILED.flow(part, 0.9, 0.05, FLOW) for part in np.split(z, 50)])
    # Both within the tolerance of the test above.
    np.testing.assert_allclose(together, singly, rtol=0, atol=40 * checks.EPS * abs(singly).max())


def test_repeated_and_empty_states():
    z = np.repeat([[0.5], [0.5], [-1.0]], 1000, axis=0)
    found = checks.TAILED.flow(z, 0.5, 0.25, FLOW)
    assert len(np.unique(found)) == 2
    assert checks.TAILED.flow(np.empty((0, 1)), 0.5, 0.25, FLOW).shape == (0, 1)


def test_flow_and_its_inverse_in_the_tails():
    """There and back is the identity: to the data from 40 sigma of noise, and back."""
    z = np.concatenate([np.linspace(-40, -5, 36), np.linspace(5, 40, 36)])[:, None]
    there = checks.TAILED.flow(z, 1.0, 0.125, FLOW)
    back = checks.TAILED.flow(there, 0.125, 1.0, FLOW)
    # A rounding of z' grows by the slope of the way back, at most 1/0.2 here, on top of 40 eps each way.
    np.testing.assert_allclose(back, z, rtol=250 * checks.EPS)


def test_mpmath_flow_solves_the_ode():
    """Kills: a wrong scale inside the error functions."""
    checks.check_exact_transport()


def test_mpmath_flow_precision_grows_with_the_digits():
    z = Fraction(-5, 4)
    images = {}
    for dps in (20, 60):
        with mpmath.workdps(dps):
            state = np.array([[mpmath.mpf(z.numerator) / z.denominator]], dtype=object)
            images[dps] = checks.TAILED.flow(state, Fraction(1, 2), Fraction(1, 8), FLOW)[0, 0]
    with mpmath.workdps(60):
        assert mpmath.mpf(10) ** -24 < abs(images[20] - images[60]) < mpmath.mpf(10) ** -19


def test_longdouble_flow():
    z = np.linspace(-3, 3, 5, dtype=np.longdouble)[:, None]
    found = checks.TAILED.flow(z, 0.75, 0.125, FLOW)
    assert found.dtype == np.longdouble
    with mpmath.workdps(30):
        exact = checks.TAILED.flow(checks.to_mp(z.astype(float)), Fraction(3, 4), Fraction(1, 8), FLOW)
        for f, e in zip(found.ravel(), exact.ravel(), strict=True):
            numerator, denominator = f.as_integer_ratio()
            assert abs(mpmath.mpf(numerator) / denominator - e) <= abs(e) * 2.0**-63  # rounded once


def test_float32_flow_is_rounded_once():
    z = np.linspace(-3, 3, 7, dtype=np.float32)[:, None]
    found = checks.TAILED.flow(z, 0.75, 0.125, FLOW)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, checks.TAILED.flow(z.astype(float), 0.75, 0.125, FLOW).astype(np.float32))


def test_pushed_samples_have_the_right_law():
    """Kills: standard deviations taken for variances in the draws."""
    checks.check_samples()
    checks.check_covariances_of_samples()


def test_jacobian_of_the_cdf_flow():
    """Kills: the density ratio inverted."""
    checks.check_jacobian()


def test_jacobian_of_a_gaussian_flow():
    law = Gaussian([1.0, -2.0], [[2.0, 0.75], [0.75, 0.5]])
    z = np.array([[0.25, 1.0]])
    found = law.flow_jacobian(z, 0.75, 0.25, FLOW)
    assert found.shape == (1, 2, 2)
    # The flow is affine: differences of unit steps are its matrix.
    columns = [law.flow(z + e, 0.75, 0.25, FLOW) - law.flow(z, 0.75, 0.25, FLOW) for e in np.eye(2)]
    np.testing.assert_allclose(found[0], np.concatenate(columns).T, atol=16 * checks.EPS)


def test_the_reference_knows_its_error():
    """Kills: alpha forgotten on the way back from y to z."""
    checks.check_reference()


def test_certificates():
    plane = GaussianMixture([0.5, 0.25, 0.25], [[-1.0, 0.0], [1.0, 0.5], [0.0, 1.0]], [0.25, 0.25, 0.25])
    z = np.array([[0.3, -0.2], [1.0, 2.0]])
    assert plane.flow_certificate.kind == "reference"
    assert plane.flow_certificate.error is None
    certificate = plane.flow_certified(z, 0.875, 0.125, FLOW).certificate
    assert 0 < certificate.error < 1e-6
    assert not certificate.exact
    checks.check_ode(plane, 0.875, 0.125, z)
    assert checks.TAILED.flow_certificate.kind == "CDF transport"
    assert Gaussian([0.0], 1.0).flow_certificate.kind == "closed form"
    assert Empirical(np.zeros((1, 3)), 1.0).flow_certificate.exact
    assert Empirical(np.arange(3.0)[:, None]).flow_certificate.kind == "CDF transport"


def test_empirical_flow_on_the_line():
    atoms = np.array([[-1.0], [0.0], [2.0]])
    z = np.linspace(-2, 2, 9)[:, None]
    same = GaussianMixture([Fraction(1, 3)] * 3, atoms, [0, 0, 0])
    checks.check_ode(same, 0.875, 0.25, z)
    np.testing.assert_array_equal(Empirical(atoms).flow(z, 0.875, 0.25, FLOW), same.flow(z, 0.875, 0.25, FLOW))


@pytest.mark.parametrize(
    "make", [schedules.vp_linear, schedules.vp_cosine, schedules.edm, schedules.ve, schedules.flow]
)
def test_every_schedule(make):
    """The flow keeps the median of a symmetric law at alpha times its centre, and passes the reference's check."""
    schedule, law = make(), GaussianMixture([0.5, 0.5], [[0.0], [2.0]], [0.25, 0.25])
    centre = np.array([[schedule.alpha(0.5)]])
    np.testing.assert_allclose(law.flow(centre, 0.5, 0.25, schedule), [[schedule.alpha(0.25)]], rtol=8 * checks.EPS)
    z = centre + np.array([[-1.0], [0.5]])
    run = checks.reference_flow(law.model(schedule), schedule, z, 0.5, 0.25)
    np.testing.assert_allclose(law.flow(z, 0.5, 0.25, schedule), run.z, rtol=0, atol=run.error + 1e-13)
