"""Implicit inversion and defect correction, against closed forms, SciPy's root finders, and from both sides."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import brentq, root

from bdia_numerics import (
    BDIA,
    DDIM,
    EDICT,
    Heun,
    encode,
    grids,
    inversion,
    models,
    problems,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.runs.inversion import DDIMInversion, DefectCorrection, ImplicitInversion, steps
from bdia_numerics.solvers.dpm_solver import DPMSolver
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP

EPS = np.finfo(np.float64).eps
COSINE = schedules.vp_cosine()
MIXTURE = problems.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [0.04, 0.09])
MODEL = MIXTURE.model(COSINE)
X = MIXTURE.sample(24, np.random.default_rng(0))
GRID = grids.uniform(COSINE, 20, t_max=0.95, t_min=0.02)
COARSE = grids.uniform(COSINE, 5, t_max=0.95, t_min=0.02)
TENTH = grids.uniform(COSINE, 10, t_max=0.95, t_min=0.02)
VARIANCE = 0.3
GAUSSIAN = problems.Gaussian([0.0, 0.0], VARIANCE)

# The tolerance is 64 units per slot, on states below 4; each slot's miss grows by the sampler's own amplification.
EXACT = 64 * 4 * 20 * EPS


def returned(solver, grid, method, x=X, model=MODEL):
    there = encode(solver, model, grid, x, method, return_trajectory=True)
    return there, np.max(np.abs(solve(solver, model, grid, there.z).z - x))


def factors(grid):
    """c_i + d_i eps' of DDIM's step, written from eq. (7), for the data law N(0, VARIANCE)."""
    a, s = grid.alpha, grid.sigma
    eps = s[1:] / (a[1:] ** 2 * VARIANCE + s[1:] ** 2)
    return a[:-1] / a[1:] * (1 - s[1:] * eps) + s[:-1] * eps


@pytest.mark.parametrize("memory", [0, 1, 3])
def test_on_one_gaussian_the_latent_is_the_product_of_the_steps_undone(memory):
    x = np.random.default_rng(1).standard_normal((5, 2))
    found = encode(DDIM(), GAUSSIAN.model(COSINE), GRID, x, ImplicitInversion(memory=memory))
    # Each slot stops within 64 units, which the steps to the noise, with factors near 1 and product 1/0.55, carry on.
    assert np.allclose(found.z, x / np.prod(factors(GRID)), rtol=0, atol=64 * 20 * 4 * EPS)
    assert found.status.ok and found.converged.all() and found.state is not None
    assert found.nfe == np.sum(found.updates + 2)


def rate_of_plain_iterations():
    """Require that each plain update multiplies the residual by (1 - s_{i-1}/s_i)(1 - Cov/s_i^2), at a slot in the middle."""
    part, x = GRID[9:10], np.array([[0.7]])
    law = problems.Gaussian([0.0], VARIANCE)
    low, high = part.sigma / part.alpha
    rate = (1 - low / high) * (1 - VARIANCE / (VARIANCE + high**2))
    misses = []
    for updates in (1, 2, 3):
        found = encode(DDIM(), law.model(COSINE), part, x, ImplicitInversion(iterations=updates, tolerance=1e-300))
        assert not found.converged.any() and "stop short" in str(found.status)
        misses.append(found.residuals[0])
    # Residuals of 3e-6 and more carry some units of eps/3e-6 in relative rounding.
    assert np.allclose(misses[1:], rate * np.array(misses[:-1]), rtol=3e6 * EPS, atol=0)


def test_plain_iterations_contract_at_the_rate_of_equation_9():
    rate_of_plain_iterations()


@pytest.mark.parametrize("solver", [DDIM(), Heun(), DPMSolver(2), DPMSolverPP(1)], ids=repr)
@pytest.mark.parametrize("memory", [0, 1])
def test_one_step_solvers_return_to_rounding_where_the_naive_inversion_does_not(solver, memory):
    found, error = returned(solver, GRID, ImplicitInversion(memory=memory))
    assert found.converged.all() and found.status.ok
    assert np.max(found.residuals) <= 64 * EPS * max(1, np.max(np.abs(found.trajectory)))
    assert error < EXACT
    assert returned(solver, GRID, inversion.DDIMInversion())[1] > 1e-2


def hand_ddim(z, part, model):
    a, s = part.alpha, part.sigma
    e = model(z, part.t[1])
    return a[0] * (z - s[1] * e) / a[1] + s[0] * e


def test_each_row_solves_the_step_that_scipy_solves():
    law = problems.GaussianMixture([0.5, 0.5], [[-1.0, 0.2], [0.8, -0.5]], [[0.05, 0.2], [0.1, 0.04]])
    model, part = law.model(COSINE), COARSE[1:2]
    x = law.sample(6, np.random.default_rng(3))
    found = encode(DDIM(), model, part, x, ImplicitInversion(memory=2))
    assert found.converged.all()
    for row, answer in zip(x, found.z, strict=True):
        reference = root(lambda z, row=row: hand_ddim(z, part, model) - row, row, tol=1e-14)
        assert reference.success
        # Both stop at residuals of some 1e-14, and the step's derivative is above s_{i-1}/s_i > 0.3.
        assert np.allclose(answer, reference.x, rtol=0, atol=1e-12)


def test_where_plain_iterations_diverge_it_is_said_and_acceleration_solves():
    x = np.array([[-1.1], [-0.1], [0.7]])  # the second lies between the modes, where Cov(x|y) is many times s_i^2
    plain = encode(DDIM(), MODEL, COARSE, x, ImplicitInversion())
    assert not plain.status.ok and not plain.converged[plain.status.slot - 1] and "diverge" in str(plain.status)
    assert np.isfinite(plain.z).all() and plain.state is None
    assert np.isnan(round_trip(DDIM(), MODEL, COARSE, x, "data", MIXTURE, method=ImplicitInversion()).error)
    found, error = returned(DDIM(), COARSE, ImplicitInversion(memory=1), x)
    assert found.status.ok and found.converged.all() and error < EXACT
    assert found.nfe < plain.nfe / 3


def test_both_sides_of_the_round_trip():
    naive = round_trip(DDIM(), MODEL, GRID, X, "data", MIXTURE, method=DDIMInversion())
    exact = round_trip(DDIM(), MODEL, GRID, X, "data", MIXTURE, method=ImplicitInversion(memory=1))
    assert exact.error < EXACT < 1e-3 < naive.error
    # An exact return says nothing on the latent: that is as far from the truth as a first-order solver's is.
    assert 1e-2 < exact.latent < 0.5
    z = np.random.default_rng(4).standard_normal((12, 1))
    back = round_trip(DDIM(), MODEL, GRID, z, "noise", MIXTURE, method=ImplicitInversion(memory=1))
    # Towards the noise the residuals are amplified by 1/(dz_0/dz_N), up to 1e3 between the modes.
    assert back.error < 1e3 * EXACT and 1e-3 < back.latent < 0.5


# Multistep solvers


def hand_2m(z, later, part, model):
    """One 2M step from index 1 of `part` with the state at index 2 given; Lu et al., Algorithm 2."""
    a, s, t = part.alpha, part.sigma, part.t
    x1, x2 = ((y - s[k] * model(y, t[k])) / a[k] for k, y in ((1, z), (2, later)))
    lam = np.log(a / s)
    h, r = lam[0] - lam[1], (lam[1] - lam[2]) / (lam[0] - lam[1])
    d = (1 + 1 / (2 * r)) * x1 - 1 / (2 * r) * x2
    return s[0] / s[1] * z - a[0] * np.expm1(-h) * d


def history_is_the_naive_one():
    """Require that slot 1 solves the 2M equation with z_2 from the start program, and that residuals use the final z_2."""
    start = DDIMInversion(substeps=4)
    method = ImplicitInversion(memory=1, start=start)
    found = encode(DPMSolverPP(2), MODEL, GRID, X, method, return_trajectory=True)
    part, chain = GRID[0:2], found.trajectory
    z_1, z_2 = chain[1], start(DDIM(), MODEL, part, X).z
    assert found.converged.all()
    # The hand-written step rounds in another order: a few units of numbers below 4, log-SNR differences included.
    assert np.allclose(hand_2m(z_1, z_2, part, MODEL), X, rtol=0, atol=64 * 4 * EPS)
    miss = np.max(np.abs(hand_2m(z_1, chain[2], part, MODEL) - X))
    assert miss > 1e-4
    assert np.isclose(found.residuals[0], miss, rtol=0, atol=64 * 4 * EPS)


def test_a_multistep_solver_has_its_equations_solved_with_the_history_of_the_start():
    history_is_the_naive_one()
    found, error = returned(DPMSolverPP(2), GRID, ImplicitInversion(memory=1))
    assert found.status.ok and found.state is None
    assert 1e-4 < error < 0.1 and 1e-4 < np.max(found.residuals) < 0.1
    assert found.residuals[-1] <= 64 * EPS * 4  # the starter's step has no history
    assert returned(DPMSolverPP(2), GRID, DDIMInversion())[1] > 2 * error


@pytest.mark.parametrize("solver", [DPMSolverPP(2), DPMSolverPP(3), DDIM(), Heun()], ids=repr)
def test_defect_correction_returns_to_rounding_with_any_solver(solver):
    found, error = returned(solver, TENTH, DefectCorrection(memory=1, base=DDIMInversion(substeps=4)))
    assert found.status.ok and found.converged.all()
    # It stops at 64 units of the data; a second run from the same latent gives the same bits.
    assert error == np.max(found.residuals) <= 64 * EPS * np.max(np.abs(X))
    n = TENTH.n
    per_run = n * (2 if isinstance(solver, Heun) else 1)
    assert found.nfe == (found.updates + 1) * (4 * n + per_run) + 4 * n


def latents_of_brentq():
    """Require the latents that bracketing finds: the run of 10 slots is a rising function of z_N in one dimension."""
    solver = DPMSolverPP(2)
    line = solve(solver, MODEL, TENTH, np.linspace(-5, 5, 2001)[:, None]).z
    assert np.all(np.diff(line[:, 0]) > 0)
    found = encode(solver, MODEL, TENTH, X, DefectCorrection(memory=1, base=DDIMInversion(substeps=4)))
    for x, z in zip(X[::4, 0], found.z[::4, 0], strict=True):
        latent = brentq(lambda y, x=x: solve(solver, MODEL, TENTH, np.array([[y]])).z[0, 0] - x, -5, 5, xtol=1e-14)
        # 64 units of the data over the smallest slope of the run, 0.01.
        assert abs(z - latent) < 64 * EPS * 2 / 0.01


def test_defect_correction_finds_the_latent_of_a_bracketing_search():
    latents_of_brentq()


def test_the_corrected_latent_is_nearer_to_the_truth_than_the_naive_one():
    solver = DPMSolverPP(2)
    grid = grids.uniform(COSINE, 40, t_max=0.95, t_min=0.02)
    naive = round_trip(solver, MODEL, grid, X, "data", MIXTURE, method=DDIMInversion())
    exact = round_trip(
        solver, MODEL, grid, X, "data", MIXTURE, method=DefectCorrection(memory=1, base=DDIMInversion(substeps=2))
    )
    assert exact.error < 1e-13 and naive.error > 1e-3
    assert exact.latent < naive.latent / 2


def test_a_run_that_is_not_injective_may_leave_rows_unconverged_and_says_so():
    found = encode(DPMSolverPP(2), MODEL, COARSE, X, DefectCorrection(iterations=3))
    assert not found.converged.all() and str(found.status) != "ok"
    assert np.max(found.residuals) > 1e-2


# The start, predictions, number systems


def test_substeps_are_the_naive_inversion_of_a_finer_grid():
    part = GRID[4:5]
    s = np.linspace(*(part.sigma / part.alpha), 4)
    t = np.array([COSINE.time("sigma_bar", value) for value in s])
    fine = grids.from_values(t, np.vectorize(COSINE.alpha)(t), np.vectorize(COSINE.sigma)(t))
    one, many = encode(DDIM(), MODEL, part, X, DDIMInversion(substeps=3)), encode(DDIM(), MODEL, fine, X)
    # Times that were found and rounded apart.
    assert np.allclose(one.z, many.z, rtol=0, atol=1e3 * EPS) and one.nfe == many.nfe == 3


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "score"])
def test_what_the_model_predicts_makes_no_difference(prediction):
    other = models.as_prediction(MODEL, COSINE, prediction)
    for method in (ImplicitInversion(memory=1), ImplicitInversion()):
        same, found = (encode(DDIM(), m, TENTH, X, method) for m in (MODEL, other))
        solved = same.converged & found.converged
        assert solved[4:7].all()
        if method.memory:
            # Conversions divide by alpha > 0.07 and sigma > 0.03; residuals stop at 64 units.
            assert np.allclose(found.z, same.z, rtol=0, atol=2e4 * EPS)


def test_at_alpha_0_a_v_model_is_inverted_and_an_eps_model_refused():
    flow = schedules.flow()
    grid = grids.uniform(flow, 8, t_max=1, t_min=Fraction(1, 50))
    law = problems.GaussianMixture([0.5, 0.5], [[-0.5], [0.5]], [0.2, 0.1])
    eps = law.model(flow)

    def v(z, t):  # the kernel form of an exact v, which has a limit at alpha = 0
        a, s = 1 - t, t
        e = eps(z, t)
        x0 = 0.0 * z if a == 0 else (z - s * e) / a
        return a * e - s * x0

    x = law.sample(5, np.random.default_rng(2))
    found, error = returned(DDIM(), grid, ImplicitInversion(memory=1), x, models.v(v))
    assert found.converged.all() and error < EXACT
    with pytest.raises(ValueError, match="alpha = 0"):
        encode(DDIM(), eps, grid, x, ImplicitInversion())


def test_float32_longdouble_and_mpmath_keep_their_digits():
    law, x = problems.Gaussian([0], Fraction(1, 4)), np.array([[0.5], [-0.25]])
    for dtype in (np.float32, np.longdouble):
        there, error = returned(DDIM(), TENTH, ImplicitInversion(memory=1), x.astype(dtype), law.model(COSINE))
        assert there.z.dtype == dtype and there.converged.all()
        assert error < 64 * 10 * 4 * np.finfo(dtype).eps
    space = spaces.MPMath(30)
    with space.working():
        grid = grids.uniform(COSINE, 4, t_max=0.5, t_min=0.1, space=space)
        z = np.array([[space.number(Fraction(1, 2))], [space.number(Fraction(-1, 4))]], dtype=object)
        found, error = returned(DDIM(), grid, ImplicitInversion(iterations=150), z, law.model(COSINE))
        assert found.converged.all() and float(error) < 64 * 4 * 4 * 1e-29


def test_a_scalar_and_a_vector_are_one_row():
    model = problems.Gaussian([0.0], VARIANCE).model(COSINE)
    one = encode(DDIM(), model, TENTH, np.array([0.7]), ImplicitInversion(memory=1))
    assert np.allclose(one.z, 0.7 / np.prod(factors(TENTH)), rtol=0, atol=64 * 10 * 4 * EPS)


def test_an_overflowing_start_is_a_status():
    def model(z, t):
        with np.errstate(all="ignore"):
            return z * 1e200

    for method in (ImplicitInversion(), DefectCorrection()):
        found = encode(DDIM(), model, GRID, np.array([[1.0], [2.0]]), method)
        assert not found.status.ok and found.status.slot == 2


# Bad input


@pytest.mark.parametrize("name", ["iterations", "memory"])
@pytest.mark.parametrize("method", [ImplicitInversion, DefectCorrection])
def test_counts_out_of_range(method, name):
    for value in (-1, 1.5, True, "2"):
        with pytest.raises(ValueError, match=f"{name}="):
            method(**{name: value})


def test_bad_input_is_refused_in_one_line():
    cases = [
        (ValueError, "tolerance=0", lambda: ImplicitInversion(tolerance=0)),
        (ValueError, "substeps=0", lambda: DDIMInversion(substeps=0)),
        (ValueError, "EDICT carries z, y", lambda: encode(EDICT(), MODEL, GRID, X, ImplicitInversion())),
        (ValueError, "NaN", lambda: ImplicitInversion()(DDIM(), MODEL, GRID, X * np.nan)),
    ]
    space = spaces.FRACTION
    grid = grids.uniform(schedules.flow(), 3, t_max=Fraction(1, 2), t_min=Fraction(1, 4), space=space)
    z = np.array([[Fraction(1, 3)]], dtype=object)
    eps = problems.Gaussian([0], 1).model(schedules.flow())
    cases += [
        (ValueError, "tolerance=None", lambda: encode(DDIM(), eps, grid, z, ImplicitInversion())),
        (TypeError, "memory=2", lambda: encode(DDIM(), eps, grid, z, ImplicitInversion(memory=2))),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    found = encode(DDIM(), eps, grid, z, ImplicitInversion(iterations=8, tolerance=Fraction(1, 1000)))
    assert isinstance(found.z[0, 0], Fraction) and found.converged.all()


def test_an_invertible_solver_is_encoded_exactly_unless_a_method_is_asked_for():
    assert not isinstance(encode(BDIA(), MODEL, GRID, X), inversion.ImplicitSolution)


# Planted errors: each check above must see the defect it is there for.


@pytest.mark.parametrize(
    ("check", "place", "wrong"),
    [
        (rate_of_plain_iterations, "steps.Step.inverse_slope", lambda self: 0.9),
        (
            history_is_the_naive_one,
            "steps.Step.history",
            lambda self, z, right=steps.Step.history: right(self, [z[0]] * len(z)),
        ),
        (latents_of_brentq, "implicit.solve", lambda *run: solve(DDIM(), *run[1:])),
    ],
    ids=["another slope", "history of the state itself", "another solver's run"],
)
def test_planted_errors_are_seen(monkeypatch, check, place, wrong):
    monkeypatch.setattr(f"bdia_numerics.runs.inversion.{place}", wrong)
    with pytest.raises(AssertionError):
        check()
