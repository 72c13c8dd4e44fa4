"""Bad input, one clear line each; and mutants: errors planted in the package's own text that the checks must catch."""

import numpy as np
import problem_checks as checks
import pytest

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, Gaussian, GaussianMixture, reference_flow

FLOW = schedules.flow()
ONE = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.25, 0.25])
PLANE = GaussianMixture([0.5, 0.25, 0.25], [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.25, 0.25, 0.25])
Z = np.zeros((1, 1))
SYMBOLIC = np.array([[checks.Fraction(1, 2)]], dtype=object)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "weights contains -0.5", lambda: GaussianMixture([1.5, -0.5], [[0.0], [1.0]], [1.0, 1.0])),
        (ValueError, "weights sums to 0.9", lambda: GaussianMixture([0.5, 0.4], [[0.0], [1.0]], [1.0, 1.0])),
        (ValueError, "weights has shape", lambda: GaussianMixture([[1.0]], [[0.0]], [1.0])),
        (ValueError, "weights contains nan", lambda: GaussianMixture([np.nan, 1.0], [[0.0], [1.0]], [1.0, 1.0])),
        (ValueError, "means has shape", lambda: GaussianMixture([0.5, 0.5], [[0.0]], [1.0, 1.0])),
        (ValueError, "means='?.*ragged", lambda: GaussianMixture([0.5, 0.5], [[0.0], [1.0, 2.0]], [1.0, 1.0])),
        (ValueError, "covs has shape", lambda: GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0, 1.0])),
        (ValueError, "covs contains -1", lambda: GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [1.0, -1.0])),
        (ValueError, "covs contains inf", lambda: GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [1.0, np.inf])),
        (ValueError, r"covs\[0\] is not positive definite", lambda: GaussianMixture([1], [[0, 0]], [[[1, 2], [2, 1]]])),
        (ValueError, r"cov is not positive definite", lambda: Gaussian([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]])),
        (ValueError, "cov is not symmetric", lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]])),
        (ValueError, "mean has shape", lambda: Gaussian(0.0, 1.0)),
        (TypeError, "mean has dtype complex128", lambda: Gaussian([1j], 1.0)),
        (TypeError, "weights has dtype complex128", lambda: GaussianMixture([1 + 0j], [[0.0]], [1.0])),
        (ValueError, "data has shape", lambda: Empirical(np.zeros(3))),
        (ValueError, "data contains nan", lambda: Empirical([[np.nan]])),
        (ValueError, "bandwidth=-1", lambda: Empirical([[0.0]], -1.0)),
        (TypeError, "complex", lambda: ONE.score(Z.astype(complex), 0.5, FLOW)),
        (TypeError, "int64", lambda: ONE.score(Z.astype(np.int64), 0.5, FLOW)),
        (ValueError, "the last axis must be D = 1", lambda: ONE.score(np.zeros(3), 0.5, FLOW)),
        (ValueError, "variance 0 and sigma", lambda: Empirical([[0.0], [1.0]]).score(Z, 0.0, FLOW)),
        (ValueError, "variance 0 and sigma", lambda: Empirical([[0.0], [1.0]]).flow(Z, 0.5, 0.0, FLOW)),
        (ValueError, "z holds NaN", lambda: ONE.flow(Z * np.nan, 0.5, 0.25, FLOW)),
        (ValueError, "alpha is 0", lambda: PLANE.flow(np.zeros((1, 2)), 1.0, 0.5, FLOW)),
        (ValueError, "rtol=1e-20", lambda: reference_flow(ONE.model(FLOW), FLOW, Z, 0.5, 0.25, rtol=1e-20)),
        (ValueError, "no closed form", lambda: PLANE.flow_jacobian(np.zeros((1, 2)), 0.75, 0.5, FLOW)),
        (ValueError, "t and schedule together", lambda: ONE.sample(3, np.random.default_rng(0), 0.5)),
        (TypeError, "write Fraction", lambda: ONE.score(SYMBOLIC, checks.Fraction(1, 2), FLOW)),
        (TypeError, "not rational", lambda: Gaussian([0], 1).flow(SYMBOLIC, checks.Fraction(1, 2), 0, FLOW)),
        (
            TypeError,
            "not rational",
            lambda: GaussianMixture([checks.Fraction(1, 2)] * 2, [[0], [1]], [1, 1]).flow(
                SYMBOLIC, checks.Fraction(1, 2), 0, FLOW
            ),
        ),
    ],
)
def test_bad_input_is_one_clear_line(error, words, call):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_parameters_are_copied_and_read_only():
    means = np.array([[-1.0], [1.0]])
    law = GaussianMixture([0.5, 0.5], means, [1.0, 1.0])
    means[:] = 7
    assert law.means[0, 0] == -1
    with pytest.raises(ValueError, match="read-only"):
        law.means[0, 0] = 3


def test_weights_rounded_in_float32_pass():
    weights = np.random.default_rng(0).uniform(size=1000).astype(np.float32)
    GaussianMixture(weights / weights.sum(), np.zeros((1000, 1)), np.ones(1000))


# (module, text, planted error, check that must fail)
MUTANTS = {
    "log-determinant dropped": (
        "scores",
        " - half * z.shape[1] * np.log(v)",
        "",
        lambda: checks.check_float_score("isotropic", 9),
    ),
    "log-determinant dropped, few dimensions": (
        "scores",
        "size * np.log(v) if v.ndim == 1",
        "0 if v.ndim == 1",
        lambda: checks.check_float_score("isotropic", 2),
    ),
    "log-determinant dropped, matrices": (
        "scores",
        "else np.log(v).sum(axis=1)) / 2",
        "else 0) / 2",
        lambda: checks.check_float_score("full", 2),
    ),
    "determinant dropped, generic form": (
        "scores",
        " / space.sqrt(np.prod(f[1]))",
        "",
        lambda: checks.check_generic_score("diagonal"),
    ),
    "alpha not squared": (
        "scores",
        "alpha * alpha * law.covs",
        "alpha * law.covs",
        lambda: checks.check_float_score("isotropic", 9),
    ),
    "alpha not squared, diagonal": (
        "scores",
        "np.multiply(covs[near], alpha * alpha, out=inverse)",
        "np.multiply(covs[near], alpha, out=inverse)",
        lambda: checks.check_float_score("diagonal", 9),
    ),
    "missing mean": (
        "scores",
        "centred = z - alpha * law.centre",
        "centred = z.copy()",
        lambda: checks.check_float_score("equal", 9),
    ),
    "alpha before the means dropped": (
        "scores",
        "(alpha * (_softmax(r) @ law.means) - z)",
        "(_softmax(r) @ law.means - z)",
        checks.check_empirical,
    ),
    "eps without sigma": (
        "problem",
        "np.asarray(-sigma * score)",
        "np.asarray(-score)",
        lambda: checks.check_float_score("full", 2),
    ),
    "eps with the score's sign": (
        "problem",
        "np.asarray(-sigma * score)",
        "np.asarray(sigma * score)",
        lambda: checks.check_float_score("full", 2),
    ),
    "no survival functions": (
        "cdf_flow",
        "left = x > 0\n",
        "left = x > np.inf\n",
        lambda: checks.check_cdf_flow(0.75, 0.0625),
    ),
    "no gaps: one split for all components": (
        "cdf_flow",
        "left = x > 0\n",
        "left = np.broadcast_to(x[0] > 0, x.shape)\n",
        checks.check_gap,
    ),
    "weights dropped from the sums": (
        "cdf_flow",
        "np.log(law.weights) + np.where",
        "np.where",
        lambda: checks.check_cdf_flow(0.75, 0.0625),
    ),
    "Newton's method stopped early": (
        "cdf_flow",
        "1e-8 / sums.curvature",
        "1e-2 / sums.curvature",
        lambda: checks.check_cdf_flow(0.75, 0.0625),
    ),
    "a wrong scale in the error function": (
        "cdf_flow",
        "root = f.sqrt(2 * v)\n",
        "root = f.sqrt(v)\n",
        checks.check_exact_transport,
    ),
    "mean not multiplied by the new alpha": (
        "transports",
        "np.asarray(end[0] * mean + _stretch",
        "np.asarray(mean + _stretch",
        lambda: checks.check_gaussian_flow("diagonal"),
    ),
    "old mean not subtracted": ("transports", " - begin[0] * mean", "", lambda: checks.check_gaussian_flow("full")),
    "square root of the stretch dropped": (
        "transports",
        "space.sqrt(new / old)",
        "new / old",
        lambda: checks.check_gaussian_flow("scalar"),
    ),
    "stretch inverted": ("transports", "new / old)", "old / new)", lambda: checks.check_gaussian_flow("full")),
    "density ratio inverted": ("transports", "np.exp(old - new)", "np.exp(new - old)", checks.check_jacobian),
    "standard deviations not rooted in draws": (
        "mixtures",
        "np.sqrt(law.covs)[k]",
        "law.covs[k]",
        checks.check_samples,
    ),
    "eigenvectors transposed in draws": (
        "mixtures",
        "@ law.axes[j].T",
        "@ law.axes[j]",
        checks.check_covariances_of_samples,
    ),
    "alpha forgotten in the reference": (
        "reference",
        "return schedule.alpha(end) * ",
        "return ",
        checks.check_reference,
    ),
    "bisection after convergence": (
        "cdf_flow",
        "            return moved\n        if not low",
        "            return (low + high) / 2\n        if not low",
        checks.check_exact_transport,
    ),
    "error estimate of the coarser run against itself": (
        "reference",
        "np.abs(fine - coarse)",
        "np.abs(fine - fine)",
        checks.check_reference,
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_planted_errors_are_caught(mutant, monkeypatch):
    module, text, error, check = MUTANTS[mutant]
    checks.plant(monkeypatch, module, text, error)
    with pytest.raises((AssertionError, ArithmeticError)):
        check()
