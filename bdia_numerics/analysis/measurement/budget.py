"""Which slots cost most: local errors carried to the end of the run by the method itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import (
    STATES,
    Exact,
    ExactProblem,
    as_floats64,
    exact_states,
    noisy_states,
    root_mean_square,
    run_from,
)
from bdia_numerics.analysis.perturbation.linearised import Array
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
        total: Array = self.contributions.sum(axis=0) + self.start
        return total

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
        order: Array = self.slots[np.argsort(-self.rms, kind="stable")]
        return order

    @property
    def defect(self) -> float:
        """Root mean square of predicted less actual error, over that of the actual one: what the first order leaves out."""
        return root_mean_square(self.predicted - self.actual) / root_mean_square(self.actual)

    def _share(self, parts: Array) -> Array:
        whole = self.predicted
        found: Array = np.array([np.vdot(part, whole) for part in parts]) / np.vdot(whole, whole)
        return found


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
    z = noisy_states(problem, grid, states, seed)
    if z.ndim < 2:
        raise ValueError(f"states has shape {z.shape}: pass (*batch, D)")
    truth = exact_states(problem, grid, z)
    history = Exact(solver, problem.model(grid.schedule), grid, truth)
    run = run_from(solver, problem, grid, truth, start)
    names, output = structure(solver).registers, structure(solver).output
    row = functional(names, output, z.shape)
    contributions = []
    for i in reversed(history.slots):
        errors = local_errors(history, i)
        contributions.append(contract(row, errors))
        row = contract_matrix(row, step_jacobian(history, i))
    first = contract(row, start_errors(history, start))
    return ErrorBudget(
        identity(solver), np.array(history.slots), np.array(contributions[::-1]), first, as_floats64(run.z - truth[0])
    )


def functional(names: tuple[str, ...], output: str, shape: tuple[int, ...]) -> Array:
    """Return the map from all registers to the output, shape (*batch, D, r, D)."""
    size = shape[-1]
    picked = np.zeros((size, len(names), size))
    picked[:, names.index(output)] = np.eye(size)
    return np.broadcast_to(picked, (*shape[:-1], *picked.shape))


def local_errors(history: Exact, i: int) -> Array:
    """Return the error of the step from t_i in all registers, shape (r, *batch, D)."""
    after, exact = history.step(i, history.registers(i)), history.registers(i - 1)
    return np.array([as_floats64(after[name]) - as_floats64(exact[name]) for name in exact])


def contract(row: Array, errors: Array) -> Array:
    """Return a functional of errors, shape (*batch, D)."""
    found: Array = np.einsum("...drk,r...k->...d", row, errors)
    return found


def contract_matrix(row: Array, jacobian: Array) -> Array:
    """Return a functional before a step from the one after it."""
    found: Array = np.einsum("...drk,...rkqj->...dqj", row, jacobian)
    return found


def step_jacobian(history: Exact, i: int) -> Array:
    """Return the derivative of the registers after the step from t_i by those before it, shape (*batch, r, D, r, D)."""
    before = {name: as_floats64(value) for name, value in history.registers(i).items()}
    names, shape = list(before), next(iter(before.values())).shape
    size = shape[-1]
    scale = _STEP * max(1.0, *(root_mean_square(v) for v in before.values()))
    moved = dict(_moved(before, scale))
    # All directions, forwards and backwards, ride along as one more axis of the batch.
    stacked = {name: np.array([moved[key][name] for key in moved]) for name in names}
    after = history.step(i, stacked)
    result = np.empty((len(names), size, *shape, len(names)))
    for k, (register, element, sign) in enumerate(moved):
        if sign > 0:
            continue
        for a, name in enumerate(names):
            result[register, element, ..., a] = (after[name][k - 1] - after[name][k]) / (2 * scale)
    # (r, D, *batch, D, r) from which, to which -> (*batch, r, D, r, D) to which, from which
    axes = len(shape) - 1
    order = (*range(2, 2 + axes), 3 + axes, 2 + axes, 0, 1)
    return np.transpose(result, order)


def _moved(before: Mapping[str, Array], scale: float) -> Iterator[tuple[tuple[int, int, int], dict[str, Array]]]:
    for register, name in enumerate(before):
        for element in range(before[name].shape[-1]):
            for sign in (1, -1):
                changed = before[name].copy()
                changed[..., element] += sign * scale
                yield (register, element, sign), {**before, name: changed}


def start_errors(history: Exact, start: Any) -> Array:
    """Return the errors of the starting registers, shape (r, *batch, D)."""
    grid, depth, n = history.grid, history.depth, history.grid.n
    exact = history.registers(n - depth)
    zero = np.zeros((len(exact), *history.truth[0].shape))
    if isinstance(start, str) and start == "exact":
        return zero
    solver, model = history.solver, history.model
    if not depth and isinstance(start, str):
        own = begin(solver, model, grid, {n: history.truth[n]}, n)[0]
    else:
        first = starter_of(solver) if isinstance(start, str) else start
        run = solve(first, model, grid[n - depth : n], history.truth[n], return_trajectory=True)
        chain = {n - depth + k: run.trajectory[k] for k in range(depth + 1)}
        own = begin(solver, model, grid, chain, n - depth)[0]
    return np.array([as_floats64(own[name]) - as_floats64(exact[name]) for name in exact])
