"""One tiny step of a solver beside the exact solution of a 1-D problem, in mpmath: its error, its derivative, its modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bdia_numerics import grids, spaces
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.solving import Solution, begin, solve
from bdia_numerics.spaces.later import mp

Array = np.ndarray[Any, Any]

EPSILONS = ("1e-5", "1e-7")
"""Fractions of the grid that a slot takes, coarse and fine."""
_PERTURBATION = "1e-22"
_NEAR = 1e-3
_TURNS = 8


def order_between(coarse: Any, fine: Any) -> float:
    """Return the exponent of a quantity's power of the step; infinity where it vanishes to every digit that is left."""
    if abs(fine) < mp.mpf(10) ** (8 - mp.dps) or abs(coarse) < mp.mpf(10) ** (8 - mp.dps):
        return float("inf")
    return float(mp.nint(mp.log(abs(coarse / fine)) / mp.log(mp.mpf(EPSILONS[0]) / mp.mpf(EPSILONS[1]))))


@dataclass(frozen=True, eq=False)
class Local:
    """A step at a place: matrix M, error L, and tangents of the exact registers before and after it."""

    matrix: Any
    error: Any
    before: Any
    after: Any
    left: Any


@dataclass(frozen=True)
class Parts:
    """What start and end of a run add to the error, at one step size."""

    start: Any
    displacement: Any
    oscillating: Any


@dataclass(frozen=True, eq=False)
class Window:
    """A few slots of a grid with N = 1/epsilon slots, anywhere on the exact solution through `state` at t_max."""

    solver: Solver
    problem: Any
    schedule: Any
    where: Callable[[Any], Any]
    t_max: Any
    state: Any
    step: str

    @property
    def epsilon(self) -> Any:
        """The fraction of the grid that a slot takes."""
        return mp.mpf(self.step)

    @cached_property
    def depth(self) -> int:
        """Slots that the start takes."""
        return structure(self.solver).depth

    def grid(self, u: Any, slots: int) -> Any:
        """Return the grid of `slots` slots whose data end is at u."""
        times = [self.where(u + k * self.epsilon) for k in range(slots, -1, -1)]
        return grids.from_timesteps(self.schedule, times, space=spaces.of(times[0]))

    def _exact(self, t: Any) -> tuple[Any, Any]:
        """Return the exact state at a time, and its derivative by that at t_max."""
        z = np.array([[self.state]], dtype=object)
        if t == self.t_max:
            return self.state, 1 + 0 * self.state
        moved, slope = self.problem.flow_and_jacobian(z, self.t_max, t, self.schedule)
        return moved[0, 0], slope[0, 0, 0]

    def slope(self) -> Any:
        """Return the derivative of the flow over the whole grid."""
        return self._exact(self.where(0 * self.epsilon))[1]

    def _registers(self, grid: Any, chain: Mapping[int, Any], first: int) -> dict[str, Any]:
        model = self.problem.model(self.schedule)
        return begin(self.solver, model, grid, {k: chain[k] for k in range(first, first + self.depth + 1)}, first)[0]

    def _chain(self, grid: Any) -> dict[int, Any]:
        """Return exact states at every index, and beside each the state moved along the tangent, shape (2, 1)."""
        delta, chain = mp.mpf(_PERTURBATION), {}
        for k, t in enumerate(grid.t):
            z, slope = self._exact(t)
            chain[k] = np.array([[z], [z + delta * slope]], dtype=object)
        return chain

    def _vectors(self, registers: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the registers of the exact state, and their tangent, as columns."""
        names = structure(self.solver).registers
        values = [registers[n][0, 0] for n in names]
        slopes = [(registers[n][1, 0] - registers[n][0, 0]) / mp.mpf(_PERTURBATION) for n in names]
        return mp.matrix(values), mp.matrix(slopes)

    @cached_property
    def _known(self) -> dict[Any, tuple[Local, Local]]:
        return {}

    def steps(self, u: Any) -> tuple[Local, Local]:
        """Return two steps in a row, the second of which ends at u."""
        if u not in self._known:
            self._known[u] = self._steps(u)
        return self._known[u]

    def _steps(self, u: Any) -> tuple[Local, Local]:
        grid = self.grid(u, self.depth + 2)
        chain = self._chain(grid)
        exact = [self._vectors(self._registers(grid, chain, first)) for first in (2, 1, 0)]
        pair = [self._step(grid[k : k + self.depth + 1], *exact[1 - k], *exact[2 - k]) for k in (1, 0)]
        return pair[0], pair[1]

    def _step(self, part: Any, before: Any, tangent: Any, after: Any, tangent_after: Any) -> Local:
        names, delta = structure(self.solver).registers, mp.mpf(_PERTURBATION)
        size = len(names)
        start = {
            name: np.array([[before[j] + (delta if k == j else 0)] for k in range(-1, size)], dtype=object)
            for j, name in enumerate(names)
        }
        run = solve(self.solver, self.problem.model(self.schedule), part, start[names[0]], start)
        found = [_kept(run)[name] for name in names]
        matrix = mp.matrix(size, size)
        for i in range(size):
            for j in range(size):
                matrix[i, j] = (found[i][j + 1, 0] - found[i][0, 0]) / delta
        error = after - mp.matrix([f[0, 0] for f in found])
        left = _eigenvector(matrix.T, 1, self.epsilon).T
        return Local(matrix, error, tangent, tangent_after, left / (left * tangent)[0])

    def _adjoint(self, first: Local, second: Local) -> tuple[Any, Any]:
        """Return w before and after the first step, w T = 1: the left eigenvector, and how far it lags behind as M changes."""
        lag = _off_mode(first.matrix.T, first.left.T, first.before, ((second.left - first.left) * first.matrix).T).T
        return first.left + lag, second.left + lag

    def source(self, u: Any) -> Any:
        """Return w L, what a slot near u adds to the error, carried back to t_max."""
        first, second = self.steps(u)
        return (self._adjoint(first, second)[1] * first.error)[0]

    def parts(self) -> Parts:
        """Return what start and end of the run add to the error of the output."""
        output = structure(self.solver).registers.index(structure(self.solver).output)
        first, second = self.steps(1 - (self.depth + 2) * self.epsilon)
        last = self.steps(0 * self.epsilon)[1]
        slope = self.slope()
        missed = self._missed_start(first)
        start = slope * (self._adjoint(first, second)[0] * missed)[0]
        swinging = 0 * slope
        if self.swings:
            left, right = self._swing(first.matrix, output)
            swinging = (left * (missed - _displaced(first)))[0] * right[output]
        return Parts(start, _displaced(last)[output], swinging)

    def _missed_start(self, first: Local) -> Any:
        """Return exact - numerical of the first states."""
        if not self.depth:
            return 0 * first.before
        grid = self.grid(1 - self.depth * self.epsilon, self.depth)
        run = solve(self.solver, self.problem.model(self.schedule), grid, np.array([[self.state]], dtype=object))
        exact = self._vectors(self._registers(grid, self._chain(grid), 0))[0]
        return exact - mp.matrix([_kept(run)[name][0, 0] for name in structure(self.solver).registers])

    @cached_property
    def swings(self) -> bool:
        """Whether the step has a root -1 beside its root 1.

        Raises
        ------
        ValueError
            For a multiple root 1, a root outside the unit circle, and one on it that is neither 1 nor -1.
        """
        matrix = self.steps(mp.mpf(1) / 3)[0].matrix
        roots = np.linalg.eigvals(np.array(matrix.tolist(), dtype=np.float64))
        name = type(self.solver).__name__
        if np.any(abs(roots) > 1 + _NEAR):
            raise ValueError(
                f"{name} has the root {max(roots, key=abs):.6g}, outside the unit circle: no error expansion"
            )
        if np.count_nonzero(abs(roots - 1) < _NEAR) != 1:
            raise ValueError(f"{name} has {np.count_nonzero(abs(roots - 1) < _NEAR)} roots at 1: its errors need one")
        circle = roots[(abs(roots) > 1 - _NEAR) & (abs(roots - 1) >= _NEAR)]
        if np.any(abs(circle + 1) >= _NEAR) or len(circle) > 1:
            raise ValueError(f"{name} has the roots {circle} on the unit circle: only a simple -1 is treated beside 1")
        return bool(len(circle))

    def _swing(self, matrix: Any, output: int) -> tuple[Any, Any]:
        """Return the left and right eigenvectors of the root -1, with 1 in the output if it is seen there."""
        right = _eigenvector(matrix, -1, self.epsilon)
        largest = max(abs(x) for x in right)
        right = right / (right[output] if abs(right[output]) > largest * _NEAR else largest)
        left = _eigenvector(matrix.T, -1, self.epsilon).T
        return left / (left * right)[0], right

    def growth(self, u: Any) -> Any:
        """Return by how much the mode of the root -1 grows near u, per unit of u."""
        output = structure(self.solver).registers.index(structure(self.solver).output)
        first, second = self.steps(u)
        right, left = self._swing(first.matrix, output)[1], self._swing(second.matrix, output)[0]
        return -((left * first.matrix * right)[0] + 1) / self.epsilon


def _kept(run: Solution) -> Mapping[str, Any]:
    if run.state is None:
        raise ArithmeticError(f"a step of the expansion failed: {run.status}")
    return run.state.registers


def _displaced(step: Local) -> Any:
    """Return (1 - M)^-1 of L, both without their part along the tangent."""
    rest = step.error - step.after * (step.left * step.error)[0]
    return _off_mode(step.matrix, step.before, step.left.T, rest)


def _off_mode(matrix: Any, mode: Any, dual: Any, right_side: Any) -> Any:
    """Solve (1 - matrix) x = right_side up to a multiple of `mode`, with dual x = 0; columns."""
    size = len(mode)
    system = mp.zeros(size + 1)
    for i in range(size):
        for j in range(size):
            system[i, j] = (1 if i == j else 0) - matrix[i, j]
        system[i, size], system[size, i] = mode[i], dual[i]
    return mp.matrix(list(mp.lu_solve(system, mp.matrix([*right_side, 0])))[:size])


def _eigenvector(matrix: Any, root: int, epsilon: Any) -> Any:
    """Return the eigenvector, a column, whose eigenvalue is within some epsilon of a simple root, by inverse iteration."""
    size = matrix.rows
    # Each turn gains as many digits as epsilon has; the shift keeps away from the eigenvalue itself.
    shifted = matrix - (root + epsilon / 97) * mp.eye(size)
    vector = mp.matrix([1 + mp.mpf(k) / 3 for k in range(size)])
    for _ in range(_TURNS):
        vector = mp.lu_solve(shifted, vector)
        vector = vector / max(abs(x) for x in vector)
    return vector
