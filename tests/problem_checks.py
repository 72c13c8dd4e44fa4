"""Checks of the distributions against densities and ODEs typed here from their definitions, none from the package.

The flow schedule (1-t, t) at dyadic times is used throughout: alpha and sigma are exact in every number system there, so a
float result and its multiprecision reference solve the very same problem.
"""

import importlib
import sys
import types
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp
from scipy import stats
from scipy.integrate import solve_ivp

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, Gaussian, GaussianMixture, reference_flow

FLOW = schedules.flow()
EPS = np.finfo(np.float64).eps


def to_mp(values):
    array = np.asarray(values)
    result = np.empty(array.shape, dtype=object)
    for index, x in np.ndenumerate(array):
        result[index] = mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpmath.mpf(float(x))
    return result


def mixture(shape, size, *, count=3, seed=0):
    """A mixture whose components overlap, of one covariance shape; weights and variances differ on purpose."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(count, size)) + 1
    weights = np.array([0.5, 0.3125, 0.1875])[:count]
    roots = rng.normal(size=(count, size, size)) / np.sqrt(size)
    covs = {
        "isotropic": np.array([0.75, 0.5, 1.25])[:count],
        "equal": np.full(count, 0.5),
        "diagonal": rng.uniform(0.25, 2, (count, size)),
        "full": roots @ roots.transpose(0, 2, 1) + 0.25 * np.eye(size),
    }[shape]
    return GaussianMixture(weights, means, (covs + np.swapaxes(covs, -1, -2)) / 2 if shape == "full" else covs)


def log_density(weights, means, covs, alpha, sigma):
    """z -> log sum_k w_k N(z; alpha m_k, alpha^2 C_k + sigma^2 I), by determinants and inverses."""
    parts = []
    for w, m, c in zip(weights, means, covs, strict=True):
        size = len(m)
        v = mp.matrix(size, size)
        for i in range(size):
            for j in range(size):
                entry = c[i, j] if np.ndim(c) == 2 else (c[i] if np.ndim(c) == 1 else c) * (i == j)
                v[i, j] = alpha**2 * mp.mpf(entry) + sigma**2 * (i == j)
        height = mp.mpf(w) / mp.sqrt((2 * mp.pi) ** size * mp.det(v))
        parts.append((height, alpha * to_mp(m), np.array(mp.inverse(v).tolist(), dtype=object)))

    def at(z):
        total = mp.mpf(0)
        for height, centre, inverse in parts:
            d = np.asarray(z, dtype=object) - centre
            total += height * mp.exp(-(d @ (inverse @ d)) / 2)
        return mp.log(total)

    return at


def true_score(law, z, t, dps=30):
    """The gradient of log_density by mpmath's differentiation, states (n, D)."""
    with mp.workdps(dps):
        # mp.diff works with more digits than are asked for: the constants get as many.
        with mp.workdps(3 * dps):
            density = log_density(law.weights, law.means, law.covs, 1 - mp.mpf(t), mp.mpf(t))
        rows = []
        for state in to_mp(z):
            row = []
            for d in range(len(state)):

                def along(x, d=d, state=state):
                    return density([*state[:d], x, *state[d + 1 :]])

                row.append(mp.diff(along, state[d]))
            rows.append(row)
        return np.array(rows, dtype=object)


def check_float_score(shape, size):
    law = mixture(shape, size)
    z = np.random.default_rng(1).normal(size=(2, size)) * 1.5
    expected = true_score(law, z, 0.25).astype(float)
    # Exponents of size 10 with an error of some eps each move responsibilities, hence the score, by 1e2 eps at most.
    np.testing.assert_allclose(law.score(z, 0.25, FLOW), expected, rtol=0, atol=100 * EPS * abs(expected).max())
    np.testing.assert_allclose(law.model(FLOW)(z, 0.25), -expected / 4, rtol=0, atol=100 * EPS * abs(expected).max())


def check_generic_score(shape):
    law = mixture(shape, 2)
    z = np.random.default_rng(1).normal(size=(2, 2)) * 1.5
    with mp.workdps(30):
        expected = true_score(law, z, 0.25, 45)
        found = law.score(to_mp(z), Fraction(1, 4), FLOW)
        assert max(abs(found - expected).ravel()) < mp.mpf(10) ** -28  # two of thirty digits for the sums


TAILED = GaussianMixture([0.25, 0.5, 0.25], [[-2.0], [0.5], [1.5]], [0.0625, 0.25, 0.015625])


def one_sided(law, z, t, upper):
    """The distribution function, or the survival function, of a 1-D mixture, by erfc."""
    alpha, sigma = 1 - mp.mpf(t), mp.mpf(t)
    total = mp.mpf(0)
    for w, m, c in zip(law.weights, law.means[:, 0], law.covs, strict=True):
        x = (z - alpha * mp.mpf(m)) / mp.sqrt(2 * (alpha**2 * mp.mpf(c) + sigma**2))
        total += mp.mpf(w) * mp.erfc(x if upper else -x) / 2
    return total


def check_cdf_flow(t_from, t_to, *, relative=40 * EPS):
    """Float flow in both tails to 40 sigma and between the modes, against the equality of CDFs at 900 digits."""
    widest = np.sqrt((1 - t_from) ** 2 * 0.25 + t_from**2)
    z = np.concatenate([np.linspace(-40, 40, 17) * widest, np.linspace(-1.5, 1.5, 13)])
    found = TAILED.flow(z[:, None], t_from, t_to, FLOW)[:, 0]
    with mp.workdps(900):  # digits enough for a difference of survival functions of e^-800 not to vanish
        for start, image in zip(z, found, strict=True):
            upper = start > 0
            level = mp.log(one_sided(TAILED, mp.mpf(start), t_from, upper))

            def miss(x, upper=upper, level=level):
                return mp.log(one_sided(TAILED, x, t_to, upper)) - level

            # The states on both sides of the result, one tolerance away, must bracket the true one.
            # A mean near 1 is subtracted on the way, so near zero the error is absolute.
            margin = relative * max(abs(mp.mpf(image)), mp.mpf(1) / 2)
            below, above = miss(mp.mpf(image) - margin), miss(mp.mpf(image) + margin)
            assert below * above < 0, (start, image)


def number(x):
    return mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mp.mpf(float(x))


def cdf_miss(law, z, t_from, t_to, image, dps=40):
    """Return how far, for the schedule (1, t), `image` is from the solution of F'(z') = F(z), and the slope p(z)/p'(z') of the flow there.

    The difference of the distribution functions is summed over components, each as a difference of small tails.
    """
    with mp.workdps(dps):
        weights, means, covs = (list(map(number, np.ravel(part))) for part in (law.weights, law.means, law.covs))
        z, image = (x if isinstance(x, mp.mpf) else number(x) for x in (z, image))

        def places(x, t):
            return [(x - m) / mp.sqrt(c + number(t) ** 2) for m, c in zip(means, covs, strict=True)]

        def density(x, t):
            scales = [mp.sqrt(c + number(t) ** 2) for c in covs]
            return mp.fsum(w * mp.npdf(v) / s for w, v, s in zip(weights, places(x, t), scales, strict=True))

        old, new = places(z, t_from), places(image, t_to)
        gap = mp.fsum(
            w * (mp.ncdf(b) - mp.ncdf(a) if a < 0 else mp.ncdf(-a) - mp.ncdf(-b))
            for w, a, b in zip(weights, old, new, strict=True)
        )
        after = density(image, t_to)
        return abs(gap / after), density(z, t_from) / after


def check_gap():
    """Between two modes 60 standard deviations apart, where the CDF is 1/2 to hundreds of digits."""
    law = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [2.0**-12, 2.0**-10])
    z = np.linspace(-0.5, 0.5, 9)
    found = law.flow(z[:, None], 2.0**-6, 2.0**-5, FLOW)[:, 0]
    with mp.workdps(900):
        for start, image in zip(z, found, strict=True):

            def miss(x, start=start):
                return one_sided(law, x, 2.0**-5, False) - one_sided(law, mp.mpf(start), 2.0**-6, False)

            margin = 40 * EPS  # of the modes' distance, which is subtracted on the way
            assert miss(mp.mpf(image) - margin) * miss(mp.mpf(image) + margin) < 0, (start, image)


def check_ode(law, t_from, t_to, z):
    """The flow against scipy's DOP853 on dz/dt of the schedule (1-t, t), whose velocity is noise minus data."""
    size = z.shape[1]

    def velocity(t, flat):
        state = flat.reshape(-1, size)
        a, s = 1 - t, t
        weights, pulls, backs = [], [], []
        covs = np.asarray(law.covs if hasattr(law, "covs") else law.cov[None], dtype=float)
        for w, m, c in zip(
            getattr(law, "weights", [1.0]),
            np.atleast_2d(getattr(law, "means", None) if hasattr(law, "means") else law.mean).astype(float),
            covs,
            strict=True,
        ):
            full = c if np.ndim(c) == 2 else np.diag(np.broadcast_to(c, size))
            v = a * a * full + s * s * np.eye(size)
            d = state - a * m
            pull = np.linalg.solve(v, d.T).T
            weights.append(np.log(float(w)) - np.linalg.slogdet(v)[1] / 2 - (d * pull).sum(1) / 2)
            pulls.append(s * pull)
            backs.append(m + a * pull @ full)
        r = np.exp(np.array(weights) - np.max(weights, axis=0))
        r = (r / r.sum(0))[:, :, None]
        return ((r * pulls).sum(0) - (r * backs).sum(0)).ravel()

    run = solve_ivp(velocity, (t_from, t_to), z.ravel(), method="DOP853", rtol=1e-12, atol=1e-12)
    # The integrator's global error is some hundred times its tolerance on these paths.
    np.testing.assert_allclose(law.flow(z, t_from, t_to, FLOW), run.y[:, -1].reshape(z.shape), rtol=0, atol=1e-9)


def check_gaussian_flow(shape):
    law = {
        "scalar": Gaussian([1.0, -2.0, 0.5], 0.5),
        "diagonal": Gaussian([1.0, -2.0, 0.5], [0.25, 2.0, 0.5]),
        "full": Gaussian([1.0, -2.0], [[2.0, 0.75], [0.75, 0.5]]),
    }[shape]
    z = np.random.default_rng(2).normal(size=(4, law.dimension))
    check_ode(law, 0.875, 0.125, z)
    check_ode(law, 0.125, 0.875, z)


def check_exact_transport():
    """The mpmath flow against mpmath's Taylor integrator on dy/ds = eps, s = sigma/alpha, and against the floats."""
    law = GaussianMixture([0.25, 0.75], [[-1.0], [1.0]], [0.25, 0.5])
    with mp.workdps(20):

        def slope(s, y):
            numerator = denominator = mp.mpf(0)
            for w, m, c in ((0.25, -1, 0.25), (0.75, 1, 0.5)):
                v = mp.mpf(c) + s * s
                p = mp.mpf(w) * mp.exp(-((y[0] - m) ** 2) / (2 * v)) / mp.sqrt(v)
                numerator, denominator = numerator + p * s * (y[0] - m) / v, denominator + p
            return [numerator / denominator]

        solution = mp.odefun(slope, 1, [mp.mpf(3) / 4])
        z = np.array([[mp.mpf(3) / 8]], dtype=object)  # y = z / alpha at t = 1/2, s = 1
        found = law.flow(z, Fraction(1, 2), Fraction(2, 3), FLOW)[0, 0]
        assert abs(found - solution(2)[0] / 3) < mp.mpf(10) ** -17  # three of twenty digits for the integrator
        back = law.flow(np.array([[found]], dtype=object), Fraction(2, 3), Fraction(1, 2), FLOW)[0, 0]
        assert abs(back - z[0, 0]) < mp.mpf(10) ** -18


def check_jacobian():
    z = np.array([[-0.75], [0.25], [1.5]])
    found = TAILED.flow_jacobian(z, 0.875, 0.25, FLOW)
    with mp.workdps(30):
        for state, slope in zip(z[:, 0], found[:, 0, 0], strict=True):

            def image(x):
                return TAILED.flow(np.array([[x]], dtype=object), Fraction(7, 8), Fraction(1, 4), FLOW)[0, 0]

            expected = mp.diff(image, mp.mpf(state))
            # The slope inherits the relative rounding of both densities, whose exponents are below some hundred.
            assert abs(slope - expected) < 1e-12 * abs(expected)


def check_samples():
    """Draws at t and noise pushed through the flow have the law's distribution function (Kolmogorov and Smirnov)."""
    rng = np.random.default_rng(3)

    def cdf(t):
        a, s = 1 - t, t
        scales = np.sqrt(a * a * TAILED.covs + s * s)
        return lambda x: sum(
            w * stats.norm.cdf((x - a * m) / d)
            for w, m, d in zip(TAILED.weights, TAILED.means[:, 0], scales, strict=True)
        )

    draws = {0.0: TAILED.sample(20000, rng), 0.5: TAILED.sample(20000, rng, 0.5, FLOW)}
    draws[0.125] = TAILED.flow(rng.standard_normal((20000, 1)), 1.0, 0.125, FLOW)
    for t, values in draws.items():
        # 1e-4: a seed that fails by chance is one in three thousand for the three tests; this seed passes.
        assert stats.kstest(values[:, 0], cdf(t)).pvalue > 1e-4, t


def check_covariances_of_samples():
    cov = [[2.0, 0.75, -0.5], [0.75, 0.5, 0.125], [-0.5, 0.125, 1.0]]
    x = Gaussian([1.0, -2.0, 0.5], cov).sample(40000, np.random.default_rng(4))
    # Standard errors are below 2 * sqrt(2 / 40000) = 0.015; four of them.
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.06)
    np.testing.assert_allclose(x.mean(0), [1, -2, 0.5], atol=0.03)


def check_reference():
    """The error estimate bounds the true error of the reference, and is not an idle bound."""
    law = Gaussian([1.0, -2.0, 0.5], [0.25, 2.0, 0.5])
    z = np.random.default_rng(5).normal(size=(6, 3))
    run = reference_flow(law.model(FLOW), FLOW, z, 0.875, 0.0625, rtol=1e-9, method="DOP853")
    ratio = np.array([0.25, 2.0, 0.5])
    stretch = np.sqrt((0.9375**2 * ratio + 0.0625**2) / (0.125**2 * ratio + 0.875**2))
    exact = 0.9375 * law.mean + stretch * (z - 0.125 * law.mean)
    error = abs(run.z - exact).max()
    assert error <= run.error < 1e-5
    assert run.rms <= run.error
    assert run.nfe > 24


def check_empirical():
    data = np.random.default_rng(6).normal(size=(5, 12))
    z = np.random.default_rng(7).normal(size=(3, 12))
    for bandwidth in (0.0, 0.5):
        law = Empirical(data, bandwidth)
        v = 0.75**2 * bandwidth**2 + 0.25**2
        distances = ((z[:, None] - 0.75 * data) ** 2).sum(-1)
        r = np.exp(-(distances - distances.min(1, keepdims=True)) / (2 * v))
        expected = (0.75 * (r / r.sum(1, keepdims=True)) @ data - z) / v
        # Squared distances near 20 over 2v = 1/8 err by 20 * 8 * some eps in the exponent.
        np.testing.assert_allclose(law.score(z, 0.25, FLOW), expected, rtol=0, atol=2000 * EPS * abs(expected).max())


def plant(monkeypatch, module, text, error):
    """Compile the module's own source with one change, and put its functions wherever the package uses them."""
    name = f"bdia_numerics.problems.{module}"
    original = importlib.import_module(name)
    source = Path(original.__file__).read_text(encoding="utf-8")
    assert source.count(text) >= 1, f"{text!r} is no longer in {name}"
    mutant = types.ModuleType(name)
    mutant.__file__ = original.__file__
    exec(compile(source.replace(text, error), f"<mutant of {name}>", "exec"), mutant.__dict__)
    functions = {key: value for key, value in vars(original).items() if isinstance(value, types.FunctionType)}
    for user in [m for key, m in sys.modules.items() if key.startswith("bdia_numerics.problems")] + [
        sys.modules[__name__]
    ]:
        for key, function in functions.items():
            if vars(user).get(key) is function:
                monkeypatch.setattr(user, key, vars(mutant)[key])
    classes = [(key, value) for key, value in vars(original).items() if isinstance(value, type)]
    for key, kind in classes:
        if kind.__module__ == name and not issubclass(kind, tuple):
            for part, value in vars(vars(mutant)[key]).items():
                if isinstance(value, types.FunctionType) and not part.startswith("__"):
                    monkeypatch.setattr(kind, part, value)
