"""Null-text and edit-friendly inversion on exact mixtures, against formulas written by hand."""

import numpy as np
import pytest

from bdia_numerics import BDIA, DDIM, Heun, grids, models, problems, schedules, solve, spaces
from bdia_numerics.runs.inversion import ImplicitInversion, edit_friendly, null_text
from bdia_numerics.runs.inversion.guided import DDPMMean
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP

EPS = np.finfo(np.float64).eps
COSINE = schedules.vp_cosine()
GRID = grids.uniform(COSINE, 20, t_max=0.95, t_min=0.02)
MEANS = [[-1.0, 0.0], [0.8, 0.5], [0.0, -1.0]]
ALL = problems.GaussianMixture([0.4, 0.3, 0.3], MEANS, [0.05, 0.05, 0.05])
FIRST = problems.GaussianMixture([1.0], MEANS[:1], [0.05])
SECOND = problems.GaussianMixture([1.0], MEANS[1:2], [0.05])
COND, OTHER, UNCOND = (law.model(COSINE) for law in (FIRST, SECOND, ALL))
X = FIRST.sample(16, np.random.default_rng(0))
SCALE = 3.0


def null_text_returns():
    """Require the reconstruction, and that each null solves the step written by hand from eq. (7)."""
    found = null_text(DDIM(), COND, UNCOND, GRID, X, scale=SCALE)
    assert found.status.ok and len(found.nulls) == GRID.n
    # Each step ends on the pivot afresh, but for rounding: of the null, times d_i (1 - w), and of the step's sum.
    assert np.max(np.abs(found.reconstruction - X)) < 32 * 4 * EPS
    a, s, t = GRID.alpha, GRID.sigma, GRID.t
    for i in range(1, GRID.n + 1):
        z, e, u = found.pivot[i], COND(found.pivot[i], t[i]), UNCOND(found.pivot[i], t[i])
        guided = (1 - SCALE) * (u + found.nulls[t[i]]) + SCALE * e
        assert np.allclose(
            a[i - 1] * (z - s[i] * guided) / a[i] + s[i - 1] * guided, found.pivot[i - 1], rtol=0, atol=1e-12
        )
    return found


def test_null_text_reproduces_the_pivot_and_the_data():
    found = null_text_returns()
    assert np.array_equal(found.pivot[0], X) and np.array_equal(found.pivot[-1], found.z)
    assert found.nfe == GRID.n + 2 * GRID.n


def test_the_sampler_returns_with_the_nulls_bit_for_bit_and_misses_without():
    found = null_text(DDIM(), COND, UNCOND, GRID, X, scale=SCALE)
    calls = models.counted(COND)
    again = solve(DDIM(), found.model(calls), GRID, found.z)
    assert np.array_equal(again.z, found.reconstruction) and calls.nfe == GRID.n
    plain = solve(DDIM(), models.guided(COND, UNCOND, SCALE), GRID, found.z)
    assert np.max(np.abs(plain.z - X)) > 0.05
    # DDIM at scale 1 misses by what its inversion misses.
    assert np.max(np.abs(solve(DDIM(), COND, GRID, found.z).z - X)) > 1e-3


def test_another_condition_moves_the_data_towards_its_law():
    found = null_text(DDIM(), COND, UNCOND, GRID, X, scale=SCALE)
    edited = solve(DDIM(), found.model(OTHER), GRID, found.z).z
    target = np.array(MEANS[1])
    assert np.mean(np.linalg.norm(edited - target, axis=1)) < np.mean(np.linalg.norm(X - target, axis=1)) / 1.5


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "score"])
def test_null_text_with_other_predictions(prediction):
    cond, uncond = (models.as_prediction(m, COSINE, prediction) for m in (COND, UNCOND))
    found = null_text(DDIM(), cond, uncond, GRID, X, scale=SCALE)
    # Conversions divide by alpha > 0.07 and sigma > 0.03.
    assert found.status.ok and np.max(np.abs(found.reconstruction - X)) < 1e4 * EPS


def test_null_text_with_an_exact_pivot_keeps_the_latent_of_the_conditional_run():
    found = null_text(DDIM(), COND, UNCOND, GRID, X, scale=SCALE, pivot=ImplicitInversion(memory=2))
    assert np.max(np.abs(solve(DDIM(), COND, GRID, found.z).z - X)) < 1e-12
    assert np.max(np.abs(found.reconstruction - X)) < 32 * 4 * EPS


def test_null_text_refuses_in_one_line():
    v = models.as_prediction(COND, COSINE, "v")
    cases = [
        ("scale=1", lambda: null_text(DDIM(), COND, UNCOND, GRID, X, scale=1.0)),
        ("one evaluation", lambda: null_text(Heun(), COND, UNCOND, GRID, X, scale=2.0)),
        ("one state", lambda: null_text(BDIA(), COND, UNCOND, GRID, X, scale=2.0)),
        ("one state", lambda: null_text(DPMSolverPP(2), COND, UNCOND, GRID, X, scale=2.0)),
        ("predicts v", lambda: null_text(DDIM(), v, UNCOND, GRID, X, scale=2.0)),
    ]
    for message, call in cases:
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    found = null_text(DDIM(), COND, UNCOND, GRID, X, scale=SCALE)
    with pytest.raises(ValueError, match="no fitted null"):
        found.model(COND)(X, 0.123456)


# Edit-friendly DDPM


def mean_and_deviation():
    """Require the step of Song et al., ICLR 2021, eq. (12) and (16) with eta = 1, in their alpha, our alpha squared."""
    a, t = GRID.alpha**2, GRID.t
    drawn = edit_friendly(COND, GRID, X, np.random.default_rng(1))
    for i in range(1, GRID.n + 1):
        sd = np.sqrt((1 - a[i - 1]) / (1 - a[i])) * np.sqrt(1 - a[i] / a[i - 1])
        z = drawn.trajectory[i]
        e = COND(z, t[i])
        mean = np.sqrt(a[i - 1]) * (z - np.sqrt(1 - a[i]) * e) / np.sqrt(a[i]) + np.sqrt(1 - a[i - 1] - sd**2) * e
        # Their square roots lose up to 1/alpha = 14 at the noise end, and a difference of 1 - a near the data.
        assert np.allclose(solve(DDPMMean(), COND, GRID[i - 1 : i], z).z, mean, rtol=0, atol=1e4 * EPS)
        assert np.isclose(drawn.deviations[i - 1], sd, rtol=1e4 * EPS, atol=0)


def test_the_ddpm_step_is_ddim_with_eta_1():
    mean_and_deviation()


def test_reconstruction_is_exact_by_construction():
    drawn = edit_friendly(COND, GRID, X, np.random.default_rng(1))
    assert drawn.status.ok and drawn.nfe == GRID.n
    # One subtraction and one addition of numbers below 4.
    assert np.max(np.abs(drawn.trajectory[0] - X)) <= 4 * EPS
    for first in (None, 7, 1):
        back = drawn.replay(COND, first)
        assert np.array_equal(back.z, drawn.trajectory[0]) and back.nfe == (first or GRID.n)
    same = edit_friendly(COND, GRID, X, np.random.default_rng(1))
    assert np.array_equal(same.offsets, drawn.offsets)
    assert not np.array_equal(edit_friendly(COND, GRID, X, np.random.default_rng(2)).z, drawn.z)


def test_another_condition_edits_and_fewer_steps_keep_more():
    drawn = edit_friendly(COND, GRID, X, np.random.default_rng(1))
    target = np.array(MEANS[1])
    far = [np.mean(np.linalg.norm(drawn.replay(OTHER, k).z - target, axis=1)) for k in (20, 10, 3)]
    assert far[0] < far[1] < far[2] < np.mean(np.linalg.norm(X - target, axis=1))


def noise_statistics():
    """Require variance and neighbour covariance of the noise maps in closed form, for data N(0, c)."""
    c, n = 0.3, 200_000
    part = GRID[8:10]
    a, s = part.alpha, part.sigma
    x = np.random.default_rng(5).standard_normal((n, 1)) * np.sqrt(c)
    drawn = edit_friendly(problems.Gaussian([0.0], c).model(COSINE), part, x, np.random.default_rng(6))
    # Rows: z_0 = x, z_1, z_2 in independent x, xi_1, xi_2; then the maps are linear in them.
    spread = [np.sqrt(s[i] ** 2 - (a[i] * s[0] / a[0]) ** 2) for i in (1, 2)]
    states = np.array([[1, 0, 0], [a[1] / a[0], spread[0], 0], [a[2] / a[0], 0, spread[1]]])
    maps = []
    for i in (1, 2):
        r = (s[i - 1] * a[i] / (s[i] * a[i - 1])) ** 2
        shrink = a[i] * c / (a[i] ** 2 * c + s[i] ** 2)  # E[x | z_i], of the law at t = 0
        factor = a[i - 1] * (1 - r) * shrink + a[i - 1] / a[i] * r
        maps.append((states[i - 1] - factor * states[i]) / (s[i - 1] * np.sqrt(1 - r)))
    covariance = np.array(maps) @ np.diag([c, 1, 1]) @ np.array(maps).T
    measured = np.cov(drawn.noises[..., 0])
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    # The standard error of a covariance is at most sqrt(2/n) times the deviations; 6 of them.
    assert np.max(np.abs(measured - covariance) / scale) < 6 * np.sqrt(2 / n)
    assert covariance[1, 1] > 1.2 and covariance[0, 1] < -0.1  # neither normal nor independent


def test_the_noise_maps_have_the_covariance_of_independent_states():
    noise_statistics()


def test_a_noiseless_last_step_keeps_its_miss_as_an_offset():
    flow = schedules.flow()
    grid = grids.uniform(flow, 6, t_max=0.9, t_min=0)
    model = FIRST.model(flow)
    drawn = edit_friendly(model, grid, X, np.random.default_rng(1))
    assert drawn.deviations[0] == 0 and np.isnan(drawn.noises[0]).all() and np.isfinite(drawn.noises[1:]).all()
    assert np.max(np.abs(drawn.offsets[0])) > 1e-3
    assert np.max(np.abs(drawn.replay(model).z - X)) <= 4 * EPS


def test_float32_stays_float32():
    drawn = edit_friendly(COND, GRID, X.astype(np.float32), np.random.default_rng(1))
    assert drawn.z.dtype == drawn.offsets.dtype == drawn.noises.dtype == drawn.replay(COND).z.dtype == np.float32


def test_overflow_is_a_status():
    def model(z, t):
        with np.errstate(all="ignore"):
            return z * 1e308 * 10

    drawn = edit_friendly(model, GRID, X, np.random.default_rng(1))
    assert not drawn.status.ok and drawn.status.slot == GRID.n
    fine = edit_friendly(COND, GRID, X, np.random.default_rng(1))
    assert fine.replay(model).status.slot == GRID.n


def test_edit_friendly_refuses_in_one_line():
    fraction = np.array([[spaces.FRACTION.number(1)] * 2], dtype=object)
    exact = grids.uniform(schedules.flow(), 2, t_max="1/2", t_min="1/4", space=spaces.FRACTION)
    drawn = edit_friendly(COND, GRID, X, np.random.default_rng(1))
    cases = [
        (TypeError, "rng=-7", lambda: edit_friendly(COND, GRID, X, -7)),
        (TypeError, "NumPy floats", lambda: edit_friendly(COND, exact, fraction, np.random.default_rng(1))),
        (ValueError, "NaN", lambda: edit_friendly(COND, GRID, X * np.nan, np.random.default_rng(1))),
        *((ValueError, "first=", lambda k=k: drawn.replay(COND, k)) for k in (0, 21, True)),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


# Planted errors: each check above must see the defect it is there for.


def wrong_mean(self, s):
    (z,) = s.registers
    top, alpha = s.alpha(s.i - 1), s.alpha(s.i)
    kept = s.sigma(s.i - 1) * alpha / (s.sigma(s.i) * top)  # the ratio not squared: eta = 0
    s.assign(z, (top - kept * alpha) * s.x0(z, s.eps(z)) + kept * z, at=s.i - 1)


@pytest.mark.parametrize(
    ("check", "place", "wrong"),
    [
        (null_text_returns, "guided.guided", lambda c, u, w: models.guided(u, c, w)),
        (null_text_returns, "guided.dependence", lambda run, name: {0: 1, max(run.trace.evaluations.values()): 1}),
        (mean_and_deviation, "guided.DDPMMean.step", wrong_mean),
        (noise_statistics, "guided.DDPMMean.step", wrong_mean),
    ],
    ids=["guidance the wrong way", "null of another size", "DDIM's mean", "DDIM's mean, in statistics"],
)
def test_planted_errors_are_seen(monkeypatch, check, place, wrong):
    monkeypatch.setattr(f"bdia_numerics.runs.inversion.{place}", wrong)
    with pytest.raises(AssertionError):
        check()
