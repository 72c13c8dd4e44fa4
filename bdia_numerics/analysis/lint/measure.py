"""What defects cost, measured on a distribution on the line whose exact flow is known.

The distribution has mean 0 and variance 1, as latents and standardised data have. All errors are root mean squares in units of its
standard deviation, over states that are spread evenly over its probability.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, models, names
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.configs import Walk
from bdia_numerics.configs.tables import RatioLevels
from bdia_numerics.problems import Gaussian, normal_quantiles
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import encode, round_trip
from bdia_numerics.runs.inversion.guided import DDPMMean
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import DDIM

STATES = 256
ERROR = "rms error at the data end, in standard deviations"
LAW = names.distribution("modes")
"""Modes at -1.3, -0.1 and 1.05 of equal width: mean 0, variance 1 (`tests/test_lint.py` says so)."""

Array = np.ndarray[Any, np.dtype[np.float64]]
Change = Callable[[Any, Any, float, float], Any]
"""(z, eps, alpha, sigma) to the eps that a scheduler really uses."""

TOP = 1e8
"""sigma/alpha that stands for infinity: pure noise."""


def shift(s: float, end: float, levels: RatioLevels) -> float:
    """Return the error of the mean of N(1, 1) where its run starts from N(0, 1) at the level s."""
    law = Gaussian([1.0], 1.0)
    z = float(levels.sigma(s)) * np.hypot(1, 1 / s) * normal_quantiles(STATES)
    return float(np.mean(law.flow(z, s, end, levels)) / levels.alpha(end) - 1)


def states(s: float, levels: RatioLevels) -> Array:
    """Return states of the distribution at the level s: where its exact flow takes those of pure noise, shape (STATES, 1)."""
    return np.asarray(LAW.flow(levels.sigma(TOP) * normal_quantiles(STATES), TOP, min(s, TOP), levels))


def truth(layout: Walk) -> Array:
    """Return where the exact flow ends from the right states at the first level."""
    first, end = layout.steps[0].s, layout.steps[-1].s_end
    return np.asarray(LAW.flow(states(first, layout.levels), min(first, TOP), end, layout.levels))


def error(layout: Walk, *, change: Change | None = None, keeps_eps: bool = False) -> float:
    """Return the error of DDIM, walking as the layout does, against the exact flow from the same states.

    Parameters
    ----------
    layout
        The steps. A step takes its state to stand at its own level, even if the step before it ended elsewhere.
    change
        What the scheduler does to the prediction.
    keeps_eps
        Whether that holds for the predicted clean data alone, and the noise is added as predicted.
    """
    levels = layout.levels
    z = states(layout.steps[0].s, levels)
    for step in layout.steps:
        z = _step(z, min(step.s, TOP), min(step.s_end, TOP), levels, change, keeps_eps)
    return root_mean_square(z - truth(layout))


def _step(z: Array, s: float, end: float, levels: RatioLevels, change: Change | None, keeps_eps: bool) -> Array:
    if s == end:
        return z
    grid = _slot(s, end, levels)
    alpha, sigma = float(levels.alpha(s)), float(levels.sigma(s))
    eps = LAW.model(levels)(z, s)
    used = eps if change is None else change(z, eps, alpha, sigma)
    moved = np.asarray(solve(DDIM(), lambda *_: used, grid.reversed() if end > s else grid, z).z)
    return moved + float(levels.sigma(end)) * (eps - used) if keeps_eps else moved


def _slot(s: float, end: float, levels: RatioLevels) -> grids.Grid:
    pair = np.sort([s, end])
    return grids.from_values(pair, levels.alpha(pair), levels.sigma(pair))


def solver_error(solver: Solver, grid: grids.Grid, schedule: Any) -> float:
    """Return the error of a solver on a grid of a schedule, from right states at its noise end."""
    top, bottom = float(grid.t[grid.n]), float(grid.t[0])
    z = states_at(top, schedule)
    found = solve(solver, LAW.model(schedule), grid, z)
    return root_mean_square(found.z - LAW.flow(z, top, bottom, schedule)) if found.status.ok else float("inf")


def latent_error(solver: Solver, grid: grids.Grid, schedule: Any) -> float:
    """Return how far the latents of `encode` are from the exact flow's; infinite if the run fails or does not exist."""
    top, bottom = float(grid.t[grid.n]), float(grid.t[0])
    x = states_at(bottom, schedule)
    try:
        with np.errstate(all="ignore"):  # the status says what overflows
            found = encode(solver, LAW.model(schedule), grid, x)
    except ValueError:
        return float("inf")
    return root_mean_square(found.z - LAW.flow(x, bottom, top, schedule)) if found.status.ok else float("inf")


def states_at(t: float, schedule: Any) -> Array:
    """Return states of the distribution at a time of a schedule, shape (STATES, 1)."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    return sigma * normal_quantiles(STATES) if alpha == 0 else alpha * states(sigma / alpha, RatioLevels("one"))


def return_error(solver: Solver, grid: grids.Grid, schedule: Any, dtype: str) -> float:
    """Return what a round trip from the data in a dtype comes back with, against what was sent; infinite if it fails."""
    z = states_at(float(grid.t[0]), schedule).astype(dtype)
    trip = round_trip(solver, LAW.model(schedule), grid, z, end="data", reference=np.zeros_like(z))
    return float(trip.error) if trip.status.ok else float("inf")


def read_as(prediction: str, used: str) -> Change:
    """Return what a network of one prediction gives where it is read as another one."""

    def change(z: Any, eps: Any, alpha: float, sigma: float) -> Any:
        x0 = (z - sigma * eps) / alpha
        output = {"eps": eps, "x0": x0, "v": alpha * eps - sigma * x0, "velocity": eps - x0}[prediction]
        point = grids.Point(0.0, alpha, sigma, -1.0, 1.0)
        of_state, of_output = models.eps_form(used, point)
        return float(of_state) * z + float(of_output) * output

    return change


def clipped(limit: float) -> Change:
    """Return the prediction of a scheduler that clips x0 to [-limit, limit], with the eps that fits the clipped x0."""

    def change(z: Any, eps: Any, alpha: float, sigma: float) -> Any:
        return (z - alpha * np.clip((z - sigma * eps) / alpha, -limit, limit)) / sigma

    return change


def spread(layout: Walk, seeds: tuple[int, int] = (0, 1)) -> float:
    """Return the distance between two runs of DDPM, with other noise, from the same states."""
    ends = []
    for seed in seeds:
        rng, levels = np.random.default_rng(seed), layout.levels
        z = states(layout.steps[0].s, levels)
        for step in layout.steps:
            s, end = min(step.s, TOP), min(step.s_end, TOP)
            if end < s:
                z = np.asarray(solve(DDPMMean(), LAW.model(levels), _slot(s, end, levels), z).z)
                z = z + float(levels.sigma(end)) * np.sqrt(1 - (end / s) ** 2) * rng.standard_normal(z.shape)
        ends.append(z)
    return root_mean_square(ends[1] - ends[0])
