"""Independent solutions for the laws with exact flows: scipy's DOP853 on scores by finite differences of log densities.

A density is that of the data convolved with the noise, by scipy's distributions or by mpmath, never by the package.
"""

from fractions import Fraction

import mpmath
import numpy as np
from mpmath import mp
from problem_checks import EPS, FLOW
from scipy.integrate import solve_ivp

from bdia_numerics.problems import Gaussian, GaussianMixture, GuidedGaussians, Product, Uniform, reference_flow

U, V = np.array([0.6, 0.8]), np.array([-0.8, 0.6])


def along(length, across):
    return length * np.outer(U, U) + across * np.outer(V, V)


TURN = np.linalg.qr(np.random.default_rng(8).normal(size=(4, 4)))[0]
LAWS = {
    "line, matrices": GaussianMixture(
        [0.3, 0.3, 0.4], [1 + t * U for t in (-1, 0.3, 2)], [along(c, 0.5) for c in (0.2, 0.05, 0.3)]
    ),
    "line, two atoms": GaussianMixture([0.5, 0.5], [[0.0, 0.0, 1.0], [1.0, 2.0, 0.0]], [0, 0]),
    "line, rounded literals": GaussianMixture([0.2, 0.3, 0.5], [[0.1, 0.3], [0.2, 0.6], [0.3, 0.9]], [0.1] * 3),
    "line, one mean": GaussianMixture([0.25, 0.75], [[1.0, 2.0]] * 2, [along(0.2, 0.5), along(0.9, 0.5)]),
    "line, one mean, diagonals": GaussianMixture([0.25, 0.75], [[1.0, 2.0]] * 2, [[0.25, 0.5], [0.75, 0.5]]),
    "line, an absent component": GaussianMixture([0.5, 0, 0.5], [[0.0, 0], [5.0, 1], [1.0, 0]], [0.5] * 3),
    "one Gaussian in three": GaussianMixture([0.25, 0.25, 0.5], [[1.0, 2.0]] * 3, [along(0.5, 0.25)] * 3),
    "radial": GaussianMixture([0.2, 0.3, 0.5], [[1.0, 2.0, 3.0]] * 3, [0.01, 0.3, 2.0]),
    "interval": Uniform([-1.0], [1.0]),
    "box": Uniform([-1.0, 0.0, 2.0], [1.0, 0.5, 5.0]),
    "product": Product(
        [
            GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.1, 0.2]),
            Uniform([0.0, 0.0], [1.0, 1.0]),
            Gaussian([1.0], 2.0),
        ],
        TURN,
    ),
    "guided, equal covariances": GuidedGaussians(Gaussian([1, 2], along(0.3, 2)), Gaussian([0, 1], along(0.3, 2)), 7.5),
    "guided, equal means": GuidedGaussians(Gaussian([1, 2], along(0.3, 2)), Gaussian([1, 2], along(0.5, 1)), 2.5),
    "guided, equal means, negative scale": GuidedGaussians(Gaussian([1, 2], [0.3, 2]), Gaussian([1, 2], 0.5), -1.5),
}


def states(law, count=5):
    return np.random.default_rng(9).normal(size=(count, law.dimension)) * 1.5


def check_flow(law, t_from, t_to):
    """The flow solves the ODE whose right-hand side is the law's score, tested by itself against densities below."""
    z = states(law)

    def velocity(t, flat):
        state = flat.reshape(z.shape)
        # dz/dt = alpha'/alpha z - g^2/2 score, with alpha = 1-t, sigma = t.
        return (-(state + t * law.score(state, t, FLOW)) / (1 - t)).ravel()

    run = solve_ivp(velocity, (t_from, t_to), z.ravel(), method="DOP853", rtol=1e-11, atol=1e-12)
    # The integrator's global error is some hundred times its tolerance on these paths.
    np.testing.assert_allclose(law.flow(z, t_from, t_to, FLOW), run.y[:, -1].reshape(z.shape), rtol=0, atol=2e-9)


def check_jacobian(law, t_from, t_to):
    z, step = states(law, 3), 1e-4
    found = law.flow_jacobian(z, t_from, t_to, FLOW)
    columns = []
    for unit in np.eye(law.dimension) * step:
        shifts = {k: law.flow(z + k * unit, t_from, t_to, FLOW) for k in (-2, -1, 1, 2)}
        columns.append((8 * (shifts[1] - shifts[-1]) - shifts[2] + shifts[-2]) / (12 * step))
    # Rounding 1e-15 over the step, and a fifth derivative of up to 1e6 times step^4 / 30.
    np.testing.assert_allclose(found, np.stack(columns, axis=-1), rtol=0, atol=2e-9)


def uniform_density(law, z, alpha, sigma):
    total = mp.mpf(1)
    for x, a, b in zip(z, law.low, law.high, strict=True):
        near, far = ((mp.mpf(x) - alpha * mp.mpf(float(c))) / (sigma * mp.sqrt(2)) for c in (a, b))
        # Of two survival functions or two distribution functions, whichever is small.
        side = mp.sign(near + far) or 1
        total *= (mp.erfc(side * (far if side > 0 else near)) - mp.erfc(side * (near if side > 0 else far))) / 2
    return total


def check_uniform_score(law, z, t):
    """Against mpmath's derivative of the logarithm of the density at 60 digits, to 20 eps of the score."""
    found = law.score(z, float(t), FLOW)
    with mp.workdps(60):
        t = mp.mpf(float(t))
        for state, score in zip(z, found, strict=True):
            for d in range(law.dimension):

                def log_density(x, d=d, state=state):
                    moved = [mp.mpf(float(v)) for v in state]
                    moved[d] = x
                    return mp.log(uniform_density(law, moved, 1 - t, t))

                expected = mp.diff(log_density, mp.mpf(float(state[d])))
                # A coordinate far out is subtracted from an end of the interval, and divided by sigma squared.
                slack = 20 * EPS * (abs(expected) + abs(state[d]) / t**2 * mp.mpf("0.1"))
                assert abs(score[d] - expected) <= slack, (state, t, score[d], expected)


def to_mp(values):
    return np.frompyfunc(lambda x: mpmath.mpf(float(x)), 1, 1)(values)


def check_digits(law, t_from, t_to, z, *, most, slope=None):
    """Floats against the mpmath form at 40 digits: two formulas, two methods of solution.

    Flow and score to `most` eps; the derivative, whose logarithm inherits the rounding of both densities' exponents, to `slope`.
    """
    floats = law.flow(z, t_from, t_to, FLOW), law.score(z, t_from, FLOW), law.flow_jacobian(z, t_from, t_to, FLOW)
    with mp.workdps(40):
        times, wide = (Fraction(t_from), Fraction(t_to)), to_mp(z)
        exact = law.flow(wide, *times, FLOW), law.score(wide, times[0], FLOW), law.flow_jacobian(wide, *times, FLOW)
        for found, true, limit in zip(floats, exact, (most, most, slope or most), strict=True):
            scale = max(abs(true).max(), mpmath.mpf(1) / 2)
            assert max(abs(found - true).ravel()) <= limit * EPS * scale


def check_radial_tails():
    """Far out and near the centre, where both incomplete gamma functions underflow, in 3 and in 64 dimensions."""
    for size, radii in ((3, [1e-30, 1e-3, 50.0, 300.0]), (64, [0.0, 1e-6, 1.0, 8.0, 400.0])):
        law = GaussianMixture([0.25, 0.75], np.zeros((2, size)), [0.25, 1.0])
        z = np.array([r * np.eye(size)[1] for r in radii])
        found = law.flow(z, 0.875, 0.125, FLOW)[:, 1]
        with mp.workdps(40):
            exact = law.flow(to_mp(z), Fraction(7, 8), Fraction(1, 8), FLOW)[:, 1]
            for f, e in zip(found, exact, strict=True):
                # log r and the logarithm of a tail near 1e5 are rounded on the way.
                assert abs(f - e) <= 200 * EPS * abs(e), (size, f, e)


def check_semigroup():
    """Atoms at (c^2 + s^2)^(1/2) and Gaussians of variance c^2 at s have one flow, in y = z/alpha."""
    from bdia_numerics import schedules
    from bdia_numerics.problems import Empirical

    edm, c = schedules.edm(), 0.75
    z = np.random.default_rng(10).normal(size=(4, 2)) * 3
    for data in ([[0.0, 1.0], [2.0, 0.0], [-1.0, -2.0]], [[0.0, 1.0], [2.0, 3.0], [-1.0, 0.0]]):
        atoms, wide = Empirical(data), Empirical(data, c)
        shifted = [np.hypot(c, s) for s in (5.0, 0.5)]
        first = atoms.flow_certified(z, *shifted, edm)
        second = wide.flow_certified(z, 5.0, 0.5, edm)
        assert first.certificate.kind == second.certificate.kind
        slack = 1e-13 + (first.certificate.error or 0) + (second.certificate.error or 0)
        np.testing.assert_allclose(first.z, second.z, rtol=0, atol=slack)


def check_guided_model():
    """The guided law's model is `models.guided` of the two models; its reference outside the closed forms agrees with them."""
    from bdia_numerics import models

    law = LAWS["guided, equal means"]
    both = models.guided(law.cond.model(FLOW), law.uncond.model(FLOW), 2.5)
    z = states(law)
    np.testing.assert_allclose(law.model(FLOW)(z, 0.5), both(z, 0.5), rtol=4 * EPS, atol=4 * EPS)
    run = reference_flow(both, FLOW, z, 0.875, 0.125)
    np.testing.assert_allclose(law.flow(z, 0.875, 0.125, FLOW), run.z, rtol=0, atol=run.error + 1e-13)
