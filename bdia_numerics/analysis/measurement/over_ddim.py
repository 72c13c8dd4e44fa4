"""The global error of a solver over DDIM's, as the steps fall: measured, with its sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bdia_numerics.analysis.measurement.errors import ExactProblem, exact_states, noisy_states, run_from
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.state import identity
from bdia_numerics.solvers import DDIM

STEPS = (48, 64, 96, 128, 192, 256)
LEAST = 5
WIDER = 2.0
"""The half-width is this many times what the choice of levels and the degree of the fit change."""


@dataclass(frozen=True)
class ErrorRatio:
    """A solver's error over DDIM's on the same states and grids: the factor by which DDIM's errors fit it best, with its sign.

    Attributes
    ----------
    solver : str
        What was measured.
    limit, half_width : float
        Extrapolated to infinitely many steps, and how far that can be off.
    steps : tuple of int
        Numbers of steps.
    ratios : tuple of float
        The factor at each.
    alignment : float
        Cosine between the two errors over the states, at the finest grid: 1 or -1 where one is a multiple of the other.
    """

    solver: str
    limit: float
    half_width: float
    steps: tuple[int, ...]
    ratios: tuple[float, ...]
    alignment: float


def error_over_ddim(
    solver: Solver,
    problem: ExactProblem,
    family: Callable[[int], Grid],
    *,
    steps: Sequence[int] = STEPS,
    states: int = 32,
) -> ErrorRatio:
    """Measure the limit of a solver's global error over DDIM's on smooth grids, from exact first states.

    Parameters
    ----------
    solver
        Any solver.
    problem
        A distribution with an exact flow.
    family
        Grids by their number of slots, smooth; even numbers, so that what oscillates has one sign.
    steps
        At least five rising numbers of slots.
    states
        How many are drawn at t_N.

    Raises
    ------
    ValueError
        For fewer numbers of steps.
    ArithmeticError
        If a run is not finite.
    """
    if len(steps) < LEAST or list(steps) != sorted(set(steps)):
        raise ValueError(f"steps={tuple(steps)}: pass at least {LEAST} rising numbers of steps")
    depth, ratios, alignment = structure(solver).depth, [], 0.0
    for n in steps:
        grid = family(n)
        z = noisy_states(problem, grid, states)
        truth = exact_states(problem, grid, z, [0, *range(n - depth, n)])
        with np.errstate(all="ignore"):
            runs = [run_from(s, problem, grid, truth, "exact") for s in (solver, DDIM())]
        if bad := next((run.status for run in runs if not run.status.ok), None):
            raise ArithmeticError(f"{identity(solver)} over {n} slots: {bad}")
        own, other = (np.asarray(run.z - truth[0], dtype=np.float64) for run in runs)
        product, size = float(np.sum(own * other)), float(np.sum(other**2))
        ratios.append(product / size)
        alignment = product / float(np.sqrt(size * np.sum(own**2))) if np.any(own) else 0.0
    limits = [_limit(steps[k:], ratios[k:], degree) for k, degree in ((0, 2), (1, 2), (2, 1), (0, 3))]
    width = WIDER * max(abs(x - limits[0]) for x in limits[1:])
    return ErrorRatio(identity(solver), limits[0], width, tuple(steps), tuple(ratios), alignment)


def _limit(steps: Sequence[int], ratios: Sequence[float], degree: int) -> float:
    """Fit a polynomial in 1/N, and return its value at 0."""
    powers = np.vander(1 / np.array(steps, dtype=float), degree + 1, increasing=True)
    return float(np.linalg.lstsq(powers, np.array(ratios), rcond=None)[0][0])
