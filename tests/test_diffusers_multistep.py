"""PLMS, DEIS, DPM-Solver and DPM-Solver++ against diffusers' schedulers: same model, same timesteps, to rounding."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="diffusers' schedulers need torch")
diffusers = pytest.importorskip("diffusers", reason="the reference is diffusers")

from bdia_numerics import grids, problems, schedules, solve  # noqa: E402
from bdia_numerics.solvers.deis import DEIS  # noqa: E402
from bdia_numerics.solvers.dpm_solver_multistep import DPMSolverMultistep  # noqa: E402
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP  # noqa: E402
from bdia_numerics.solvers.plms import PLMS  # noqa: E402

N = 20  # from 15 steps on diffusers takes the full order to the end
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.5], [1.5, -0.2]], [0.3, 0.4])
STATES = np.random.default_rng(0).standard_normal((4, 2))
# Twenty steps, each a sum of a few terms of size 1 to 20 (1/alpha at the noise end), amplified by less than 10.
TOLERANCE = 2000 * np.finfo(np.float64).eps

QUIET = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of NumPy on tensors


class Double:
    """torch whose float32 is float64, since the schedulers write float32 into their tables and states."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture
def double(monkeypatch):
    from diffusers.schedulers import scheduling_deis_multistep, scheduling_dpmsolver_multistep, scheduling_pndm

    for module in (scheduling_deis_multistep, scheduling_dpmsolver_multistep, scheduling_pndm):
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
    options = {"final_sigmas_type": "sigma_min", **options} if "DPM" in name else options
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
        other = solve(type(solver)(solver.order - 1), LAW.model(schedule), grid, STATES).z
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


@QUIET
def test_short_runs_end_with_lower_orders_there(double):
    """Below 15 steps diffusers lowers the order of the last two steps, unless told not to; the method does not."""
    for lower in (True, False):
        scheduler = made("DEISMultistepScheduler", {"solver_order": 3, "lower_order_final": lower})
        expected, schedule = reference(scheduler, 10)
        grid = grids.from_timesteps(schedule, [*map(int, scheduler.timesteps), 0])
        gap = np.abs(solve(DEIS(3), LAW.model(schedule), grid, STATES).z - expected).max()
        assert gap > 1e-4 if lower else gap < TOLERANCE
