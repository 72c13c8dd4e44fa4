"""DDIM and its inversion, PLMS, iPNDM, DEIS, LMS, DPM-Solver, DPM-Solver++, UniPC and SA-Solver against diffusers' schedulers.

Same model, same timesteps, to rounding.
"""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="diffusers' schedulers need torch")
diffusers = pytest.importorskip("diffusers", reason="the reference is diffusers")

from double_torch import Double  # noqa: E402

from bdia_numerics import DDIM, RK4, encode, grids, inversion, problems, schedules, solve  # noqa: E402
from bdia_numerics.models import as_prediction  # noqa: E402
from bdia_numerics.solvers.deis import DEIS  # noqa: E402
from bdia_numerics.solvers.dpm_solver_multistep import DPMSolverMultistep  # noqa: E402
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP  # noqa: E402
from bdia_numerics.solvers.plms import IPNDM, PLMS  # noqa: E402
from bdia_numerics.solvers.unipc import SASolver, UniPC  # noqa: E402

N = 20  # from 15 steps on diffusers takes the full order to the end
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.5], [1.5, -0.2]], [0.3, 0.4])
STATES = np.random.default_rng(0).standard_normal((4, 2))
# Twenty steps, each a sum of a few terms of size 1 to 20 (1/alpha at the noise end), amplified by less than 10.
TOLERANCE = 2000 * np.finfo(np.float64).eps

QUIET = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of NumPy on tensors


@pytest.fixture
def double(monkeypatch):
    from diffusers.schedulers import (
        scheduling_ddim,
        scheduling_ddim_inverse,
        scheduling_deis_multistep,
        scheduling_dpmsolver_multistep,
        scheduling_edm_dpmsolver_multistep,
        scheduling_ipndm,
        scheduling_lms_discrete,
        scheduling_pndm,
        scheduling_sasolver,
        scheduling_unipc_multistep,
    )

    for module in (
        scheduling_ddim,
        scheduling_ddim_inverse,
        scheduling_deis_multistep,
        scheduling_dpmsolver_multistep,
        scheduling_edm_dpmsolver_multistep,
        scheduling_ipndm,
        scheduling_lms_discrete,
        scheduling_pndm,
        scheduling_sasolver,
        scheduling_unipc_multistep,
    ):
        monkeypatch.setattr(module, "torch", Double())


def reference(scheduler, n=N):
    """Run a scheduler from STATES in float64; return x_0, the timesteps, and the schedule of its table."""
    scheduler.set_timesteps(n)
    table = scheduler.alphas_cumprod.numpy()
    assert table.dtype == np.float64
    schedule = schedules.from_alphas_cumprod(table)
    model = LAW.model(schedule)
    if getattr(scheduler, "sigmas", None) is not None:
        t = [*map(int, scheduler.timesteps), 0]
        # The table itself: set_timesteps rounds it to float32.
        scheduler.sigmas = torch.from_numpy(np.sqrt((1 - table[t]) / table[t]))
    z = torch.from_numpy(STATES.copy())
    for t in scheduler.timesteps:
        z = scheduler.step(torch.from_numpy(model(z.numpy(), float(t))), t, z).prev_sample
    return z.numpy(), schedule


MULTISTEP = {
    **{f"deis {k}": (DEIS(k), "DEISMultistepScheduler", {"solver_order": k}) for k in (1, 2, 3)},
    **{
        f"dpmsolver++ {k}": (
            DPMSolverPP(k),
            "DPMSolverMultistepScheduler",
            {"solver_order": k, "algorithm_type": "dpmsolver++"},
        )
        for k in (1, 2, 3)
    },
    **{
        f"dpmsolver {k}": (
            DPMSolverMultistep(k),
            "DPMSolverMultistepScheduler",
            {"solver_order": k, "algorithm_type": "dpmsolver"},
        )
        for k in (1, 2, 3)
    },
    **{
        f"unipc {k} {weights}": (
            UniPC(k, k, weights),
            "UniPCMultistepScheduler",
            {"solver_order": k, "solver_type": weights, "lower_order_final": False},
        )
        for k in (1, 2, 3)
        for weights in ("bh1", "bh2")
    },
    **{
        f"sa-solver {k} {c}": (
            SASolver(k, c - 1),
            "SASolverScheduler",
            {"predictor_order": k, "corrector_order": c, "tau_func": lambda t: 0, "lower_order_final": False},
        )
        for k, c in ((2, 2), (3, 4))
    },
    "dpmsolver++ 2, integrated exactly": (
        DPMSolverPP(2, exact=True),
        "DPMSolverMultistepScheduler",
        {"solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "heun"},
    ),
    "dpmsolver 2, integrated exactly, which is DEIS": (
        DEIS(2),
        "DPMSolverMultistepScheduler",
        {"solver_order": 2, "algorithm_type": "dpmsolver", "solver_type": "heun"},
    ),
}


def made(name, options):
    options = {"final_sigmas_type": "sigma_min", **options} if name[:3] in ("DPM", "Uni") else options
    return getattr(diffusers, name)(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, **options)


@pytest.mark.parametrize("case", MULTISTEP)
@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
@QUIET
def test_same_numbers(case, spacing, double):
    solver, name, options = MULTISTEP[case]
    scheduler = made(name, {"timestep_spacing": spacing, **options})
    expected, schedule = reference(scheduler)
    grid = grids.from_timesteps(schedule, [*map(int, scheduler.timesteps), 0])
    found = solve(solver, LAW.model(schedule), grid, STATES).z
    assert np.abs(found - expected).max() < TOLERANCE
    # Another order of the same family is far away: the comparison can tell.
    if getattr(solver, "order", 1) > 1:
        other = solve(replace(solver, order=solver.order - 1), LAW.model(schedule), grid, STATES).z
        assert np.abs(other - expected).max() > 1e-4


@pytest.mark.parametrize("offset", [0, 1])
def test_plms_without_runge_kutta_steps(offset, double):
    """diffusers lists the second timestep twice: there it corrects the first step, which is Heun's with one grid point."""
    scheduler = diffusers.PNDMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=offset
    )
    expected, schedule = reference(scheduler)
    times = [int(t) for t in scheduler.timesteps]
    assert times[1] == times[2]
    grid = grids.from_timesteps(schedule, [times[0], *times[2:]], final_alpha=float(schedule.alpha(0.0)))
    assert grid.n == N
    found = solve(PLMS(4), LAW.model(schedule), grid, STATES)
    assert found.nfe == len(times) == N + 1
    assert np.abs(found.z - expected).max() < TOLERANCE
    assert np.abs(solve(PLMS(3), LAW.model(schedule), grid, STATES).z - expected).max() > 1e-4


def test_ipndm_begins_order_by_order(double):
    """Its levels are an angle t pi/2, here below pure noise, where it takes the data for 0; its outputs are v."""
    scheduler, turn = diffusers.IPNDMScheduler(), np.pi / 2
    schedule = schedules.from_functions(lambda t: np.cos(turn * t), lambda t: np.sin(turn * t))
    times = np.linspace(0.98, 0, N + 1)
    scheduler.set_timesteps(N)
    scheduler.timesteps, scheduler.betas, scheduler.alphas = (
        torch.from_numpy(x) for x in (times[:-1], np.sin(turn * times), np.cos(turn * times))
    )
    model, z = as_prediction(LAW.model(schedule), schedule, "v"), torch.from_numpy(STATES.copy())
    for t in scheduler.timesteps:
        z = scheduler.step(torch.from_numpy(model(z.numpy(), float(t))), t, z).prev_sample
    grid = grids.from_timesteps(schedule, times)
    found = solve(IPNDM(4), model, grid, STATES)
    assert found.nfe == N and np.abs(found.z - z.numpy()).max() < TOLERANCE
    assert np.abs(solve(PLMS(4), model, grid, STATES).z - found.z).max() > 1e-4


def test_pndm_begins_with_runge_kutta_steps_whose_middle_is_in_t(double):
    """The scheduler as it comes: three steps of four evaluations, at timesteps half-way, then PLMS of order 4."""
    scheduler = diffusers.PNDMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    expected, schedule = reference(scheduler)
    grid = grids.from_timesteps(schedule, range(950, -1, -50), final_alpha=float(schedule.alpha(0.0)))
    model = LAW.model(schedule)
    found = solve(PLMS(4), model, grid, STATES, start=RK4("t"))
    assert found.nfe == len(scheduler.timesteps) == 3 * 4 + N - 3
    assert np.abs(found.z - expected).max() < TOLERANCE
    assert np.abs(solve(PLMS(4), model, grid, STATES, start=RK4()).z - expected).max() > 1e-6


@QUIET
def test_short_runs_end_with_lower_orders_there(double):
    """Below 15 steps diffusers lowers the order of the last two steps, unless told not to; the method does not."""
    for lower in (True, False):
        scheduler = made("DEISMultistepScheduler", {"solver_order": 3, "lower_order_final": lower})
        expected, schedule = reference(scheduler, 10)
        grid = grids.from_timesteps(schedule, [*map(int, scheduler.timesteps), 0])
        gap = np.abs(solve(DEIS(3), LAW.model(schedule), grid, STATES).z - expected).max()
        assert gap > 1e-4 if lower else gap < TOLERANCE


def ddim_pair(steps, spacing, offset=0, to_one=True):
    """Return the sampling and the inverse scheduler of diffusers, and our grid of the sampling one."""
    options = {
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False,
        "set_alpha_to_one": to_one, "timestep_spacing": spacing, "steps_offset": offset,
    }  # fmt: skip
    there, back = diffusers.DDIMScheduler(**options), diffusers.DDIMInverseScheduler(**options)
    there.set_timesteps(steps)
    back.set_timesteps(steps)
    schedule = schedules.from_alphas_cumprod(there.alphas_cumprod.numpy())
    final = 1 if to_one else float(schedule.alpha(0.0))
    return there, back, grids.from_timesteps(schedule, [int(t) for t in there.timesteps], final_alpha=final)


def driven(scheduler, model, z):
    for t in scheduler.timesteps:
        z = scheduler.step(torch.from_numpy(model(z, float(t))), int(t), torch.from_numpy(z)).prev_sample.numpy()
    return z


@pytest.mark.parametrize(
    ("steps", "spacing", "offset", "to_one"),
    [(20, "leading", 0, True), (30, "leading", 1, True), (20, "trailing", 0, True), (20, "leading", 1, False)],
)
def test_ddim_and_its_inversion(steps, spacing, offset, to_one, double):
    there, back, grid = ddim_pair(steps, spacing, offset, to_one)
    model = LAW.model(grid.schedule)
    expected = driven(there, model, STATES.copy())
    assert np.abs(solve(DDIM(), model, grid, STATES).z - expected).max() < TOLERANCE
    # The inverse scheduler is told the target's time, eq. (10), over the same grid, from alpha = 1 (or alpha_0) on.
    latent = driven(back, model, STATES.copy())
    found = encode(DDIM(), model, grid, STATES)
    assert found.nfe == steps
    assert np.abs(found.z - latent).max() < TOLERANCE
    # It is not (23), which tells the model the time of the state; and it does not return to where sampling began.
    other = encode(DDIM(), model, grid, STATES, inversion.DDIMInversion(at_target=False)).z
    assert np.abs(other - latent).max() > 1e-4
    assert np.abs(driven(there, model, latent) - STATES).max() > 1e-2


def test_the_inverse_scheduler_leaves_the_grid_where_the_steps_do_not_divide_1000(double):
    """With "trailing" spacing its timesteps are rounded, and its steps are 1000 // S: each begins beside the last one's end.

    So it is (10) on no grid: with 30 steps, a third of the starts are one timestep off.
    """
    _, back, grid = ddim_pair(30, "trailing")
    targets = [int(t) for t in back.timesteps]
    starts = [t - 1000 // 30 for t in targets]
    off = sum(start != end for start, end in zip(starts[1:], targets, strict=False))
    assert off == 10 and starts[0] == -1
    model = LAW.model(grid.schedule)
    gap = np.abs(driven(back, model, STATES.copy()) - encode(DDIM(), model, grid, STATES).z).max()
    assert 1e-4 < gap < 1e-1


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("last", [0.02, 0])
@QUIET
def test_lms_is_deis_in_sigma_bar(order, last, double):
    """Its samples are z/alpha; it integrates the interpolant in sigma/alpha by quadrature, exact for polynomials."""
    scheduler = diffusers.LMSDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    schedule = schedules.stable_diffusion()
    grid = grids.from_timesteps(schedule, range(950, 0, -50), final_alpha=(1 + last**2) ** -0.5)
    model, n = LAW.model(schedule), grid.n
    scheduler.set_timesteps(n)
    scheduler.sigmas = torch.from_numpy((grid.sigma / grid.alpha)[::-1].copy())
    scheduler.timesteps = torch.from_numpy(grid.t[:0:-1].copy())
    scheduler.set_begin_index(0)
    y = torch.from_numpy(STATES / grid.alpha[n])
    for t in scheduler.timesteps:
        z = scheduler.scale_model_input(y, t).numpy()  # divides by sqrt(1 + s^2), which is 1/alpha
        y = scheduler.step(torch.from_numpy(model(z, float(t))), t, y, order=order).prev_sample
    found = solve(DEIS(order, "sigma_bar"), model, grid, STATES)
    assert found.nfe == n
    # The coefficients of order 4 on states of z/alpha, which begin at 15, amount to some hundred.
    assert np.abs(found.z - grid.alpha[0] * y.numpy()).max() < 4 * TOLERANCE
    assert np.abs(solve(DEIS(order % 4 + 1, "sigma_bar"), model, grid, STATES).z - found.z).max() > 1e-4


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_edm_multistep_scheduler_is_dpm_solver_pp(order, double):
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(
        solver_order=order, sigma_min=0.05, sigma_max=20.0, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(N)
    levels = np.geomspace(20, 0.05, N + 1)
    scheduler.sigmas = torch.from_numpy(levels)
    scheduler.set_begin_index(0)
    edm = schedules.edm()
    x0, data = as_prediction(LAW.model(edm), edm, "x0"), scheduler.config.sigma_data
    z = torch.from_numpy(20 * STATES)
    for level, t in zip(levels, scheduler.timesteps, strict=False):
        skip, out = data**2 / (level**2 + data**2), level * data / np.hypot(level, data)
        output = (x0(z.numpy(), level) - skip * z.numpy()) / out
        z = scheduler.step(torch.from_numpy(output), t, z).prev_sample
    grid = grids.from_timesteps(edm, levels)
    found = solve(DPMSolverPP(order), LAW.model(edm), grid, 20 * STATES).z
    assert np.abs(found - z.numpy()).max() < 20 * TOLERANCE
    assert np.abs(solve(DPMSolverPP(order % 3 + 1), LAW.model(edm), grid, 20 * STATES).z - found).max() > 1e-4
