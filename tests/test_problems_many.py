"""Exact flows of many components and of far states, against equations that mpmath evaluates here from their definitions.

The schedule is (1, t): sigma is the time, and alpha is 1.
"""

from fractions import Fraction

import numpy as np
import pytest
from mpmath import libmp, mp
from problem_checks import EPS, cdf_miss, number, to_mp

from bdia_numerics import schedules, spaces
from bdia_numerics.problems import Empirical, GaussianMixture, Uniform, reference_flow

EDM = schedules.edm()


def check(law, z, t_from, t_to, found, unit=EPS):
    """Forty roundings of the coordinates at both ends, those of z carried by the slope of the flow."""
    reach = float(abs(np.asarray(law.means, dtype=float)).max())
    for state, image in zip(np.ravel(z), np.ravel(found), strict=True):
        error, slope = cdf_miss(law, state, t_from, t_to, image, 40 if unit == EPS else 60)
        allowed = 40 * unit * (max(abs(float(image)), reach) + slope * max(abs(float(state)), reach))
        assert error <= allowed, (state, image, error)


def weights_of(kind, count, rng):
    weights = rng.random(count)
    if kind == "steep":
        weights **= 30
    elif kind != "random":
        weights[count // 2] = float(kind)
    return weights / weights.sum()


def mixture(kind, count, seed=0):
    rng = np.random.default_rng(seed)
    return GaussianMixture(
        weights_of(kind, count, rng), rng.normal(size=(count, 1)), rng.uniform(0.001, 0.1, size=count)
    )


def test_fifty_equal_components():
    law = GaussianMixture(np.ones(50) / 50, np.linspace(-1, 1, 50)[:, None], np.full(50, 0.01))
    z = np.array([[3.0], [20.0]])
    found = law.flow(z, 10.0, 0.01, EDM)
    # Computed from the definition in 40 digits, as `check` does for every state.
    np.testing.assert_allclose(found, [[0.24021949654835], [1.0071026880513]], rtol=1e-13)
    check(law, z, 10.0, 0.01, found)


@pytest.mark.parametrize("times", [(10.0, 0.01), (0.01, 10.0)])
def test_a_negligible_component(times):
    law = GaussianMixture([1 - 1e-18, 1e-18], [[0.0], [5.0]], [1.0, 1.0])
    found = law.flow([[2.0]], *times, EDM)
    # Next to N(0, 1) the other component changes no digit.
    stretch = np.sqrt((1 + times[1] ** 2) / (1 + times[0] ** 2))
    np.testing.assert_allclose(found, [[2 * stretch]], rtol=8 * EPS)
    # Forty deviations out it is all that counts.
    z = np.array([[40.0 * np.sqrt(1 + times[0] ** 2) + 5]])
    check(law, z, *times, law.flow(z, *times, EDM))


@pytest.mark.parametrize(
    ("kind", "count"),
    [*(("random", count) for count in (8, 50, 200, 500)), ("steep", 50), ("1e-18", 200), ("1e-300", 50)],
)
def test_many_components_in_batches(kind, count):
    """Every state of a batch settles; a few are compared with the definition, noise to data and back."""
    law = mixture(kind, count)
    noise = 10 * np.random.default_rng(1).normal(size=(50, 1))
    data = law.flow(noise, 10.0, 0.01, EDM)
    back = law.flow(data, 0.01, 10.0, EDM)
    for k in range(0, 50, 25):
        check(law, noise[k], 10.0, 0.01, data[k])
        check(law, data[k], 0.01, 10.0, back[k])


@pytest.mark.parametrize("count", [50, 200])
@pytest.mark.parametrize("bandwidth", [0.0, 0.01, 0.3])
def test_points_on_the_line(count, bandwidth):
    points = np.random.default_rng(2).normal(size=(count, 1))
    law = Empirical(points, bandwidth)
    same = GaussianMixture([Fraction(1, count)] * count, points, np.full(count, bandwidth**2))
    z = np.linspace(-40, 40, 1500)[:, None]
    found = law.flow(z, 10.0, 0.01, EDM)
    assert np.all(np.diff(found[:, 0]) > 0)  # the flow on a line keeps the order
    check(same, z[::500], 10.0, 0.01, found[::500])


def test_a_line_in_the_plane():
    rng, along = np.random.default_rng(3), np.array([0.6, 0.8])
    places, weights = rng.normal(size=50), weights_of("1e-18", 50, rng)
    law = GaussianMixture(weights, np.multiply.outer(places, along), np.full(50, 0.01))
    assert law.flow_certificate.kind == "CDF transport"
    z = rng.normal(size=(50, 2)) * 10
    found = law.flow(z, 10.0, 0.01, EDM)
    line = GaussianMixture(weights, places[:, None], np.full(50, 0.01))
    np.testing.assert_allclose((found @ along)[:, None], line.flow((z @ along)[:, None], 10.0, 0.01, EDM), atol=1e-13)
    across = np.array([-0.8, 0.6])
    np.testing.assert_allclose(found @ across, z @ across * np.sqrt(0.0101 / 100.01), atol=1e-13)


@pytest.mark.parametrize(("kind", "count"), [("1e-18", 8), ("1e-300", 2), ("random", 50)])
def test_every_number_system(kind, count):
    law, space = mixture(kind, count), spaces.Balls(53)
    z = 10 * np.random.default_rng(4).normal(size=(2, 1)).astype(np.float32)
    times = (Fraction(10), Fraction(1, 100))
    floats = law.flow(z.astype(float), *map(float, times), EDM)
    short = law.flow(z, *map(float, times), EDM)
    assert short.dtype == np.float32
    np.testing.assert_array_equal(short, floats.astype(np.float32))
    with mp.workdps(30):
        wide = law.flow(to_mp(z), *times, EDM)
        check(law, z, *times, wide, unit=mp.mpf(10) ** -30)
    long = law.flow(z.astype(np.longdouble), *times, EDM)
    for f, e in zip(long.ravel(), wide.ravel(), strict=True):
        with mp.workdps(30):
            assert abs(number(Fraction(*f.as_integer_ratio())) - e) <= abs(e) * 2.0**-63  # rounded once
    balls = law.flow(space.array(list(map(Fraction, z[:, 0].astype(float))))[:, None], *times, EDM)
    for ball, e in zip(balls.ravel(), wide.ravel(), strict=True):
        # The 30 digits are a point next to the ball's radius, which is above 1e-17 of it.
        assert ball.contains(spaces.Balls(200).number(Fraction(*map(int, libmp.to_rational(e._mpf_)))))


def test_states_far_beyond_the_law():
    """There the widest component is all that counts: z goes to m' + s'/s (z - m)."""
    law, times = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.0, 1.0]), (Fraction(10), Fraction(1))
    for digits in (12, 40, 100):
        with mp.workdps(30):
            z = mp.mpf(10) ** digits
            found = law.flow(np.array([[z]], dtype=object), *times, EDM)[0, 0]
            # Exponents of the two differ by 1e-4 z^2: the other component is gone; the means are 1e-12 of z at most.
            exact = 1 + mp.sqrt(mp.mpf(2) / 101) * (z - 1)
            assert abs(found - exact) <= mp.mpf(10) ** -27 * abs(exact), digits
    with pytest.raises(ArithmeticError, match=r"1 of 2 states, z=1e\+200 among them: use mpmath"):
        law.flow([[0.0], [1e200]], 10.0, 1.0, EDM)


@pytest.mark.parametrize("sigma", [1e-5, 1e-8, 1e-12])
def test_a_uniform_law_seen_from_far_outside(sigma):
    """Its tail beyond x is (g(x - h) - g(x + h)) / (2h), g(v) = phi(v) - v (1 - Phi(v)), in units of sigma."""
    law = Uniform([-1.0], [1.0])
    z = np.random.default_rng(5).uniform(1.0001, 3.0, size=(20, 1))
    found = law.flow(z, sigma, 1.0, EDM)
    with mp.workdps(120):

        def log_tail(x, h):
            near, far = (mp.npdf(v) - v * mp.erfc(v / mp.sqrt(2)) / 2 for v in (x - h, x + h))
            return mp.log((near - far) / (2 * h))

        for state, image in zip(z.ravel(), found.ravel(), strict=True):
            s = mp.mpf(sigma)
            level, x = log_tail(mp.mpf(state) / s, 1 / s), mp.mpf(image)
            # The logarithm's slope there is the distance from the edge.
            error = (log_tail(x, mp.mpf(1)) - level) / (x - 1)
            assert abs(error) <= 40 * EPS * x, (state, image)


def test_between_two_shells():
    """Where the distribution function of the radius is 1/2 to 100 digits, the ODE itself says what is right."""
    law = GaussianMixture([0.5, 0.5], np.zeros((2, 64)), [1e-4, 1.0])
    assert law.flow_certificate.kind == "CDF transport"
    z = np.zeros((4, 64))
    z[:, 5] = [0.3, 1.0, 2.0, 5.0]
    run = reference_flow(law.model(EDM), EDM, z, 0.001, 0.1, method="DOP853")
    found = law.flow(z, 0.001, 0.1, EDM)
    np.testing.assert_allclose(found, run.z, rtol=0, atol=max(10 * run.error, 1e-10))
    with mp.workdps(30):
        wide = law.flow(to_mp(z[:1]), Fraction(1, 1000), Fraction(1, 10), EDM)
    np.testing.assert_allclose(wide.astype(float), found[:1], rtol=1e-12)


@pytest.mark.parametrize("times", [(1e-10, 1e-13), (1.0, 1e-12), (1e-13, 1e-10)])
def test_a_narrow_component_far_from_another(times):
    """Kills: iterations that end at a rounding of the farthest mean, which is wide against a deviation of 1e-12."""
    law = GaussianMixture([0.5, 0.5], [[0.0], [1e6]], [1e-24, 1.0])
    z = times[0] * np.array([[0.3], [-2.5]])
    with mp.workdps(60):
        for state, image in zip(z.ravel(), law.flow(z, *times, EDM).ravel(), strict=True):
            error, slope = cdf_miss(law, state, *times, image, 60)
            assert error <= 40 * EPS * (abs(image) + slope * abs(state))
