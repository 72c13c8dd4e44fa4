"""Heun, Euler and DPM-Solver against the schedulers of diffusers, the reversible solvers against those of diffrax."""

from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics import grids, problems, schedules, solve
from bdia_numerics.models import as_prediction
from bdia_numerics.solvers import ALF, DDIM, DPMSolver, DPMSolverPPSinglestep, Euler, Heun, Leapfrog, ReversibleHeun

# torch's tensors have no `copy` keyword in __array__ yet, which NumPy says wherever diffusers makes an array of one.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

EPS = float(np.finfo(np.float64).eps)
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
Z = np.random.default_rng(0).standard_normal((64, 1))
VP = schedules.stable_diffusion()


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the extra torch")


@pytest.fixture(scope="module")
def diffusers():
    pytest.importorskip("torch", reason="needs the extra torch")
    return pytest.importorskip("diffusers", reason="needs the extra torch")


@pytest.fixture(scope="module")
def diffrax():
    jax = pytest.importorskip("jax", reason="needs the extra test")
    jax.config.update("jax_enable_x64", True)
    return pytest.importorskip("diffrax", reason="needs the extra test")


def distance(found, expected):
    """Largest difference in units of the largest state."""
    expected = np.asarray(expected)
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


def set_levels(scheduler, levels, times, torch):
    """Give a scheduler float64 levels instead of its own, which it rounds to float32 or interpolates from its table."""
    scheduler.sigmas = torch.tensor(levels, dtype=torch.float64)
    scheduler.timesteps = torch.tensor(times, dtype=torch.float64)
    scheduler.set_begin_index(0)


def sampled(scheduler, model, grid, z, torch):
    """Run a scheduler whose samples are z/alpha, with a model of z."""
    alpha = dict(zip(grid.t.tolist(), grid.alpha.tolist(), strict=True))
    y = torch.tensor(z / grid.alpha[grid.n])
    for t in scheduler.timesteps:
        z = alpha[float(t)] * y.numpy().astype(np.float64)
        y = scheduler.step(torch.tensor(model(z, float(t))), t, y).prev_sample
    return grid.alpha[0] * y.numpy()


@pytest.mark.parametrize("final_alpha", [1, None])
def test_heun_is_diffusers(diffusers, torch, final_alpha):
    grid = grids.from_timesteps(VP, [999, 900, 700, 650, 400, 150, 20], final_alpha=final_alpha)
    model, scheduler = LAW.model(VP), diffusers.HeunDiscreteScheduler()
    s, t = (grid.sigma / grid.alpha)[::-1], grid.t[::-1]
    levels, times = [s[0], *np.repeat(s[1:-1], 2), s[-1]], [t[0], *np.repeat(t[1:-1], 2), t[-1]]
    # Its last step is an Euler step whatever the level: with sigma_0 > 0 the last level is doubled as the others are.
    if final_alpha is None:
        levels, times = [*levels, s[-1]], [*times]
    else:
        times = times[:-1]
    set_levels(scheduler, levels, times, torch)
    ours = solve(Heun(), model, grid, Z)
    # A few roundings a step, on states that the mixture's curvature magnifies a little.
    assert distance(ours.z, sampled(scheduler, model, grid, Z, torch)) < 100 * EPS
    assert ours.nfe == len(scheduler.timesteps)
    # Two-sided: the same levels with Euler steps are somewhere else.
    assert distance(solve(DDIM(), model, grid, Z).z, ours.z) > 1e-2


def test_euler_is_diffusers(diffusers, torch):
    grid = grids.from_timesteps(VP, [999, 900, 700, 650, 400, 150, 20], final_alpha=1)
    model, scheduler = LAW.model(VP), diffusers.EulerDiscreteScheduler()
    set_levels(scheduler, (grid.sigma / grid.alpha)[::-1].tolist(), grid.t[:0:-1].tolist(), torch)
    theirs = sampled(scheduler, model, grid, Z, torch)
    # It computes each step in float32, on z/alpha, which begins 15 times larger than it ends.
    unit = float(np.finfo(np.float32).eps)
    assert distance(solve(Euler(), model, grid, Z).z, theirs) < 100 * unit
    assert np.array_equal(solve(Euler(), model, grid, Z).z, solve(DDIM(), model, grid, Z).z)


def test_euler_is_the_edm_scheduler(diffusers, torch):
    scheduler = diffusers.EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    scheduler.set_timesteps(12)
    s = scheduler.sigmas.numpy().astype(np.float64)
    grid = grids.from_timesteps(schedules.edm(), s)
    x0 = as_prediction(LAW.model(schedules.edm()), schedules.edm(), "x0")
    y = torch.tensor(80.0 * Z, dtype=torch.float64)
    for k, t in enumerate(scheduler.timesteps):
        level = s[k]
        c_skip, c_out = 0.25 / (level**2 + 0.25), 0.5 * level / np.sqrt(level**2 + 0.25)
        output = (x0(y.numpy().astype(np.float64), level) - c_skip * y.numpy()) / c_out
        y = scheduler.step(torch.tensor(output, dtype=torch.float64), t, y).prev_sample
    ours = solve(Euler(), LAW.model(schedules.edm()), grid, 80.0 * Z)
    # It computes each step in float32, on states that begin at 80 and end at 2.
    assert distance(ours.z, y.numpy()) < 1000 * float(np.finfo(np.float32).eps)


def _stages(grid, parts):
    """Return (t, alpha, sigma) at the points of a grid and at parts of each slot in log_snr, in sampling order."""
    points = [grid.point(grid.n)]
    for i in range(grid.n, 0, -1):
        inner = [grid.point(grids.Between(i, i - 1, Fraction(r), "log_snr")) for r in parts]
        points += [*inner, grid.point(i - 1)]
    return [p.t for p in points], [p.alpha for p in points], [p.sigma for p in points]


@pytest.mark.filterwarnings("ignore:`algorithm_types=dpmsolver` is deprecated:FutureWarning")
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("kind", "algorithm"), [(DPMSolver, "dpmsolver"), (DPMSolverPPSinglestep, "dpmsolver++")])
def test_dpm_solver_is_diffusers(diffusers, torch, order, kind, algorithm):
    """Singlestep of diffusers takes its stages at grid points: here those of ours, at parts of each slot in log_snr."""
    schedule = schedules.vp_linear()
    grid, eps = grids.log_snr(schedule, 8, t_max=1.0, t_min=0.01), LAW.model(schedule)
    model = as_prediction(eps, schedule, "eps" if kind is DPMSolver else "x0")  # its update takes converted outputs
    t, alpha, sigma = _stages(grid, [Fraction(k, order) for k in range(1, order)])
    scheduler = diffusers.DPMSolverSinglestepScheduler(algorithm_type=algorithm, final_sigmas_type="sigma_min")
    scheduler.set_timesteps(8)
    set_levels(scheduler, [s / a for s, a in zip(sigma, alpha, strict=True)], t[:-1], torch)
    scheduler._step_index = 0
    z = torch.tensor(Z)
    for _ in range(grid.n):
        outputs, start = [], z
        for stage in range(order):
            outputs.append(torch.tensor(model(z.numpy(), t[scheduler.step_index])))
            # The stage at 2/3 and the step from it take the two forms that the paper's algorithm names.
            scheduler.register_to_config(solver_type="heun" if (order, stage) == (3, 1) else "midpoint")
            z = scheduler.singlestep_dpm_solver_update(outputs, sample=start, order=stage + 1)
            scheduler._step_index += 1
    ours = solve(kind(order), eps, grid, Z)
    # (e^h - 1)/h - 1 loses a few digits at the steps taken, log_snr / 2 = .8.
    assert distance(ours.z, z.numpy()) < 1000 * EPS
    assert distance(solve(kind(order % 3 + 1), eps, grid, Z).z, ours.z) > 1e-4


@pytest.mark.parametrize("solver", [ReversibleHeun(), Leapfrog()], ids=["ReversibleHeun", "Leapfrog"])
def test_reversible_solvers_are_diffrax(diffrax, solver):
    """On the probability flow of a mixture in sigma, where eps is the slope: whole trajectories, ours on arrays of NumPy and of JAX."""
    jax, jnp = pytest.importorskip("jax"), pytest.importorskip("jax.numpy")
    edm = schedules.edm()
    levels = np.geomspace(3.0, 0.2, 9)
    grid = grids.from_timesteps(edm, levels)
    means, data = jnp.asarray([[-1.0], [1.0]]), 0.2

    @jax.jit
    def field(s, y, args):
        apart = y[..., None, :] - means
        near = jax.nn.softmax(-(apart**2).sum(-1) / (2 * (s * s + data)))
        return s * (near[..., None] * apart).sum(-2) / (s * s + data)

    def model(z, t):
        return field(t, z, None)

    name = {"ReversibleHeun": "ReversibleHeun", "Leapfrog": "LeapfrogMidpoint"}[type(solver).__name__]
    theirs = diffrax.diffeqsolve(
        diffrax.ODETerm(field), getattr(diffrax, name)(), t0=levels[0], t1=levels[-1], dt0=None, y0=jnp.asarray(Z),
        stepsize_controller=diffrax.StepTo(ts=jnp.asarray(levels)), saveat=diffrax.SaveAt(t0=True, steps=True), max_steps=8,
    ).ys  # fmt: skip
    on_numpy = solve(solver, lambda z, t: np.asarray(model(z, t)), grid, Z, return_trajectory=True).trajectory
    by_jax = solve(solver, model, grid, jnp.asarray(Z), return_trajectory=True).trajectory
    assert distance(on_numpy[::-1], theirs) < 100 * EPS and distance(by_jax[::-1], theirs) < 100 * EPS
    assert distance(solve(ALF(), model, grid, jnp.asarray(Z)).z, theirs[-1]) > 1e-5
