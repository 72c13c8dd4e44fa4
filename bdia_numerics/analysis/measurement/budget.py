"""Which slots cost most: local errors carried to the end of the run by the method itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import (
    STATES,
    Exact,
    ExactProblem,
    as_floats64,
    exact_states,
    root_mean_square,
    run_from,
)
from bdia_numerics.analysis.perturbation.amplification import Array
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.solving import begin, solve, starter_of
from bdia_numerics.runs.state import identity
from bdia_numerics.spaces.values import ordered

# The error of a central difference, of order step^2 and eps/step, is smallest near eps^(1/3).
_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


@dataclass(frozen=True, eq=False)
class ErrorBudget:
    """The global error as a sum over slots, to first order in the local errors.

    Attributes
    ----------
    solver
        What was analysed.
    slots : array, shape (K,)
        Index i of each slot, from t_i to t_{i-1}, in sampling order.
    contributions : array, shape (K, *batch, D)
        What the local error of each slot is at the data end.
    start : array, shape (*batch, D)
        The same of the error of the starting registers; 0 for exact starts.
    actual : array, shape (*batch, D)
        Numerical less exact state at the data end.
    """

    solver: str
    slots: Array
    contributions: Array
    start: Array
    actual: Array

    @property
    def predicted(self) -> Array:
        """Sum of all contributions, shape (*batch, D)."""
        return np.asarray(self.contributions.sum(axis=0) + self.start)

    @property
    def rms(self) -> Array:
        """Root mean square of each slot's contribution over states and elements, shape (K,)."""
        return np.array([root_mean_square(c) for c in self.contributions])

    @property
    def shares(self) -> Array:
        """Part of the predicted error that each slot makes, its projection on it, shape (K,); with the start's they sum to 1.

        Negative where a slot takes away what others add.
        """
        return self._share(self.contributions)

    @property
    def start_share(self) -> float:
        """The start's part."""
        return float(self._share(self.start[None])[0])

    @property
    def costliest(self) -> Array:
        """Slots by the size of their contributions, the largest first."""
        return np.asarray(self.slots[np.argsort(-self.rms, kind="stable")])

    @property
    def defect(self) -> float:
        """Root mean square of predicted less actual error, over that of the actual one: what the first order leaves out."""
        return root_mean_square(self.predicted - self.actual) / root_mean_square(self.actual)

    def _share(self, parts: Array) -> Array:
        whole = self.predicted
        return np.asarray(np.array([np.vdot(part, whole) for part in parts]) / np.vdot(whole, whole))


@ordered
def error_budget(
    solver: Solver, problem: ExactProblem, grid: Grid, *, states: Any = STATES, start: Any = "exact", seed: int = 0
) -> ErrorBudget:
    """Share out the error at the data end among the slots.

    A slot's local error, of all registers, is the error of its step from exact history. It travels to the end through the
    Jacobians of the later steps, each a central difference of the step itself at exact registers, so that any solver
    and any problem will do, with all elements of a state coupled.

    Parameters
    ----------
    solver, problem, grid, states, start, seed
        As for `global_error`; the grid in floats, states of shape (*batch, D).

    Raises
    ------
    ValueError
        As for `global_error`.
    TypeError
        For a grid that is not in floats.
    """
    if not grid.space.floats:
        raise TypeError(f"grid is in {grid.space.name}: the budget needs floats, pass grid.to(spaces.FLOAT64)")
    if 0 < np.ndim(states) < 2:
        raise ValueError(f"states has shape {np.shape(states)}: pass (*batch, D)")
    truth = exact_states(problem, grid, states, seed)
    history = Exact(solver, problem.model(grid.schedule), grid, truth)
    run = run_from(solver, problem, grid, truth, start)
    slots = history.slots[::-1]
    local, jacobians = map(history.errors, slots), (step_jacobian(history, i) for i in slots)
    contributions, first = carried(solver, local, jacobians, start_errors(history, start))
    return ErrorBudget(
        identity(solver), np.array(history.slots), contributions[::-1], first, as_floats64(run.z - truth[0])
    )


def carried(solver: Solver, errors: Iterable[Array], jacobians: Iterable[Array], first: Array) -> tuple[Array, Array]:
    """Return what local errors are at the data end, shape (K, *batch, D), and what errors of the starting registers are, shape (*batch, D).

    Errors of the registers have shape (r, *batch, D), Jacobians of the steps (*batch, r, D, r, D), each with the data end first.
    """
    shape, (count, *batch, size) = structure(solver), first.shape
    picked = np.zeros((size, count, size))
    picked[:, shape.registers.index(shape.output)] = np.eye(size)
    row, parts = np.broadcast_to(picked, (*batch, *picked.shape)), []
    for error, jacobian in zip(errors, jacobians, strict=True):
        parts.append(np.einsum("...drk,r...k->...d", row, error))
        row = np.einsum("...drk,...rkqj->...dqj", row, jacobian)
    return np.array(parts), np.einsum("...drk,r...k->...d", row, first)


def step_jacobian(history: Exact, i: int) -> Array:
    """Return the derivative of the registers after the step from t_i by those before it, shape (*batch, r, D, r, D)."""
    names = list(history.registers(i))
    before = np.array([as_floats64(history.registers(i)[name]) for name in names])
    count, *batch, size = before.shape
    scale = _STEP * max(1.0, *map(root_mean_square, before))
    # All directions, forwards and backwards, ride along as one more axis of the batch.
    ways = np.eye(count * size).reshape(-1, count, *(1 for _ in batch), size)
    moved = before + scale * np.concatenate([ways, -ways])
    after = history.step(i, {name: moved[:, k] for k, name in enumerate(names)})
    forwards, backwards = np.split(np.array([as_floats64(after[name]) for name in names]), 2, axis=1)
    slopes = (forwards - backwards) / (2 * scale)
    return np.moveaxis(slopes.reshape(count, count, size, *batch, size), (0, -1, 1, 2), (-4, -3, -2, -1))


def start_errors(history: Exact, start: Any) -> Array:
    """Return the errors of the starting registers, shape (r, *batch, D)."""
    solver, model, grid, depth = history.solver, history.model, history.grid, history.depth
    n, truth, exact = grid.n, history.truth, history.registers(grid.n - history.depth)
    if isinstance(start, str) and start == "exact":
        return np.zeros((len(exact), *truth[0].shape))
    chain = {n: truth[n]}
    if depth or not isinstance(start, str):
        first = starter_of(solver) if isinstance(start, str) else start
        run = solve(first, model, grid[n - depth : n], truth[n], return_trajectory=True)
        chain = {n - depth + k: run.trajectory[k] for k in range(depth + 1)}
    own = begin(solver, model, grid, chain, n - depth)[0]
    return np.array([as_floats64(own[name]) - as_floats64(exact[name]) for name in exact])
