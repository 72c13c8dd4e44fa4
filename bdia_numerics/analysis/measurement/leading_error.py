"""The leading coefficient of a solver's global error in one dimension: a quadrature along the exact flow, no ODE solve.

It is put together of tiny steps beside the exact solution, in mpmath: their errors, derivatives and modes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bdia_numerics import grids, spaces
from bdia_numerics.grids.grid import ends_of
from bdia_numerics.problems.checks import exact
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.solving import Solution, begin, solve
from bdia_numerics.spaces import Array, Drawn, ordered
from bdia_numerics.spaces.later import mp, scipy
from bdia_numerics.texts import shown

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
class LocalStep:
    """A step at a place, in arrays of mpf.

    Attributes
    ----------
    matrix : array, shape (r, r)
        Its derivative M by the r registers.
    error : array, shape (r,)
        Exact minus numerical.
    before, after : array, shape (r,)
        Derivatives of the exact registers by the state at t_max, before and after the step.
    left : array, shape (r,)
        The left eigenvector of M for the root 1, whose product with `before` is 1.
    """

    matrix: Array
    error: Array
    before: Array
    after: Array
    left: Array


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
    known: dict[Any, tuple[LocalStep, LocalStep]] = field(default_factory=dict)

    @property
    def epsilon(self) -> Any:
        """The fraction of the grid that a slot takes."""
        return mp.mpf(self.step)

    @cached_property
    def depth(self) -> int:
        """Slots that the start takes."""
        return structure(self.solver).depth

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the registers."""
        return structure(self.solver).registers

    @cached_property
    def output(self) -> int:
        """The number of the register that is the solution."""
        return self.names.index(structure(self.solver).output)

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

    def _registers(self, grid: Any, exact: Sequence[tuple[Any, Any]], first: int) -> tuple[Array, Array]:
        """Return the exact registers before the step from t_first, and their derivatives by the state at t_max."""
        chain, delta = {}, mp.mpf(_PERTURBATION)
        for k in range(first, first + self.depth + 1):
            # Each state of the chain is followed by the one moved along the tangent, so that one run gives both.
            z, slope = exact[k]
            chain[k] = np.array([[z], [z + delta * slope]], dtype=object)
        found = begin(self.solver, self.problem.model(self.schedule), grid, chain, first)[0]
        here, beside = np.hstack([found[name] for name in self.names])
        return here, (beside - here) / delta

    def steps(self, u: Any) -> tuple[LocalStep, LocalStep]:
        """Return two steps in a row, the second of which ends at u."""
        if u not in self.known:
            grid = self.grid(u, self.depth + 2)
            states = [self._exact(t) for t in grid.t]
            exact = [self._registers(grid, states, first) for first in (2, 1, 0)]
            first, second = (self._step(grid[k : k + self.depth + 1], *exact[1 - k], *exact[2 - k]) for k in (1, 0))
            self.known[u] = first, second
        return self.known[u]

    def _step(self, part: Any, before: Array, tangent: Array, after: Array, tangent_after: Array) -> LocalStep:
        size, delta = len(self.names), mp.mpf(_PERTURBATION)
        # The registers as they are, and then with each of them moved in turn: one run gives the step and its derivative.
        moved = before + np.vstack([np.zeros(size, dtype=int), np.eye(size, dtype=int)]) * delta
        start = {name: moved[:, [j]] for j, name in enumerate(self.names)}
        found = _kept(
            solve(self.solver, self.problem.model(self.schedule), part, start[self.names[0]], start), self.names
        )
        matrix = ((found[1:] - found[0]) / delta).T
        left = _eigenvector(matrix.T, 1, self.epsilon)
        return LocalStep(matrix, after - found[0], tangent, tangent_after, left / (left @ tangent))

    def _adjoint(self, first: LocalStep, second: LocalStep) -> tuple[Array, Array]:
        """Return w before and after the first step, w T = 1: the left eigenvector, and how far it lags behind as M changes."""
        lag = _off_mode(first.matrix.T, first.left, first.before, (second.left - first.left) @ first.matrix)
        return first.left + lag, second.left + lag

    def source(self, u: Any) -> Any:
        """Return w L, what a slot near u adds to the error, carried back to t_max."""
        first, second = self.steps(u)
        return self._adjoint(first, second)[1] @ first.error

    def parts(self) -> Parts:
        """Return what start and end of the run add to the error of the output."""
        first, second = self.steps(1 - (self.depth + 2) * self.epsilon)
        last = self.steps(0 * self.epsilon)[1]
        slope, missed, swinging = self.slope(), self._missed_start(first), 0 * self.state
        if self.swings:
            left, right = self._swing(first.matrix)
            swinging = left @ (missed - _displaced(first)) * right[self.output]
        return Parts(slope * (self._adjoint(first, second)[0] @ missed), _displaced(last)[self.output], swinging)

    def _missed_start(self, first: LocalStep) -> Array:
        """Return exact - numerical of the first states."""
        if not self.depth:
            return first.before * 0
        grid = self.grid(1 - self.depth * self.epsilon, self.depth)
        run = solve(self.solver, self.problem.model(self.schedule), grid, np.array([[self.state]], dtype=object))
        states = [self._exact(t) for t in grid.t]
        return np.asarray(self._registers(grid, states, 0)[0] - _kept(run, self.names)[0])

    @cached_property
    def swings(self) -> bool:
        """Whether the step has a root -1 beside its root 1.

        Raises
        ------
        ValueError
            For a multiple root 1, a root outside the unit circle, and one on it that is neither 1 nor -1.
        """
        roots = np.linalg.eigvals(self.steps(mp.mpf(1) / 3)[0].matrix.astype(np.float64))
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

    def _swing(self, matrix: Array) -> tuple[Array, Array]:
        """Return the left and right eigenvectors of the root -1, with 1 in the output if it is seen there."""
        right, left = _eigenvector(matrix, -1, self.epsilon), _eigenvector(matrix.T, -1, self.epsilon)
        largest, seen = max(abs(right)), right[self.output]
        right = right / (seen if abs(seen) > largest * _NEAR else largest)
        return left / (left @ right), right

    def growth(self, u: Any) -> Any:
        """Return by how much the mode of the root -1 grows near u, per unit of u."""
        first, second = self.steps(u)
        right, left = self._swing(first.matrix)[1], self._swing(second.matrix)[0]
        return -(left @ first.matrix @ right + 1) / self.epsilon


def _kept(run: Solution, names: Sequence[str]) -> Array:
    """Return the registers that a run ends with, shape (batch, r)."""
    if run.state is None:
        raise ArithmeticError(f"a step of the expansion failed: {run.status}")
    return np.hstack([run.state.registers[name] for name in names])


def _displaced(step: LocalStep) -> Array:
    """Return (1 - M)^-1 of L, both without their part along the tangent."""
    return _off_mode(step.matrix, step.before, step.left, step.error - step.after * (step.left @ step.error))


def _off_mode(matrix: Array, mode: Array, dual: Array, right_side: Array) -> Array:
    """Solve (1 - matrix) x = right_side up to a multiple of `mode`, with dual x = 0."""
    # 1 - matrix is singular, or nearly so. Bordered by the mode and its dual it is not, and the border takes up the multiple.
    rows = [[np.eye(len(mode), dtype=int) - matrix, mode[:, None]], [dual[None, :], np.zeros((1, 1), dtype=int)]]
    return _solved(np.block(rows), np.append(right_side, 0))[:-1]


def _eigenvector(matrix: Array, root: int, epsilon: Any) -> Array:
    """Return the eigenvector whose eigenvalue is within some epsilon of a simple root, by inverse iteration."""
    # Each turn gains as many digits as epsilon has; the shift keeps away from the eigenvalue itself.
    shifted = matrix - np.eye(len(matrix), dtype=int) * (root + epsilon / 97)
    vector = np.array([1 + mp.mpf(k) / 3 for k in range(len(matrix))], dtype=object)
    for _ in range(_TURNS):
        vector = _solved(shifted, vector)
        vector = vector / max(abs(vector))
    return vector


def _solved(matrix: Array, right_side: Array) -> Array:
    """Return the solution of a linear system in mpf, which NumPy's own solver does not take."""
    return np.array(list(mp.lu_solve(mp.matrix(matrix.tolist()), mp.matrix(right_side.tolist()))), dtype=object)


GridMap = Callable[[Any], Any]

VARIABLES = ("t", "sigma_bar", "log_snr", "half_log_snr")
_DIGITS = 50


@dataclass(frozen=True, repr=False)
class LeadingError(Drawn):
    """exact - numerical of a run over N slots, times N^order, as N grows: coefficient + (-1)^N oscillating.

    Attributes
    ----------
    order
        Of the global error, start included.
    coefficient, oscillating
        In units of z at the data end. `oscillating` belongs to a root -1 of the solver (BDIA with gamma = 1, leapfrog).
    start, displacement
        The parts of `coefficient` that come from the first states, and from registers that stand off the exact solution
        by as much as the error, without growth. The rest is the integral.
    error
        Estimated error of the integral in `coefficient`.
    u, density
        Nodes in (0, 1), fraction i/N of the grid, 0 the data end, and what a unit of u there adds to `coefficient`.
    """

    order: int
    coefficient: float
    oscillating: float
    start: float
    displacement: float
    error: float
    u: Array
    density: Array

    def at(self, n: int) -> float:
        """Return the leading term of the error of a run over n slots."""
        return float((self.coefficient + (-1) ** n * self.oscillating) / n**self.order)


@ordered
def leading_error(
    solver: Solver,
    problem: Any,
    schedule: Any,
    z: Any,
    *,
    t_max: Any,
    t_min: Any,
    variable: str | GridMap = "t",
    rtol: float = 1e-4,
) -> LeadingError:
    """Return the leading term of a solver's global error on a smooth grid, for one state in one dimension.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`, zero-stable, with a simple root 1.
    problem
        A distribution with D = 1 and an exact flow.
    schedule
        Gives alpha, sigma and time in mpmath.
    z
        The state at t_max, a number or shape (1,).
    t_max, t_min
        The noise end and the data end.
    variable
        The variable in which the grid is uniform, "t", "sigma_bar", "log_snr" or "half_log_snr", or a smooth function that
        gives t at u = i/N, in mpmath.
    rtol
        Relative tolerance of the quadratures.

    Returns
    -------
    LeadingError

    Raises
    ------
    ValueError
        For more dimensions or states than one, no exact flow, times outside the schedule or in the wrong order, and
        solvers that are not zero-stable, that have a multiple root 1 or a root of modulus 1 other than 1 and -1.
    TypeError
        For times or states that are not numbers.

    Notes
    -----
    A step applied to the exact solution misses it by L = exact - numerical, and its derivative is M, both taken from the
    solver's own program, in mpmath, at a step so small that only the leading terms are left. With T the derivative of the
    flow, p_T/p_s (fact 17), and w the left eigenvector of M for the root 1, scaled to w T = 1, the error is T times the
    integral of w L over the grid. What L does to the other modes displaces the registers by (1 - M)^-1 L.

    Examples
    --------
    >>> from bdia_numerics import DDIM, analysis, problems, schedules
    >>> law = problems.Gaussian([0.0], 0.25)
    >>> found = analysis.leading_error(DDIM(), law, schedules.vp_linear(), 1.0, t_max=0.6, t_min=0.1, variable="t")
    >>> found.order, round(found.coefficient, 3)
    (1, 0.321)
    """
    if problem.dimension != 1 or not problem.flow_certificate.exact:
        raise ValueError(f"problem={shown(problem)}: the leading error needs D = 1 and an exact flow")
    if np.size(z) != 1:
        raise ValueError(f"z has shape {np.shape(z)}: pass one state, a number or shape (1,)")
    space = spaces.MPMath(_DIGITS)
    with space.working():
        high, low = map(space.number, ends_of(schedule, t_max, t_min))
        state = space.number(exact(np.ravel(np.asarray(z, dtype=object))[0]))
        where = _grid_map(variable, schedule, low, high, space)
        windows = [Window(solver, problem, schedule, where, high, state, step) for step in EPSILONS]
        return _assembled(windows, rtol)


def _grid_map(variable: str | GridMap, schedule: Any, low: Any, high: Any, space: spaces.MPMath) -> GridMap:
    if callable(variable):
        return variable
    if variable not in VARIABLES:
        raise ValueError(
            f"variable={shown(variable)} is unknown: use one of {', '.join(VARIABLES)}, or a function of u = i/N"
        )
    if variable == "t":
        return lambda u: low + u * (high - low)
    ends = [getattr(schedule, variable)(t) for t in (low, high)]
    return lambda u: schedule.time(variable, ends[0] + u * (ends[1] - ends[0]))


def _assembled(windows: Sequence[Window], rtol: float) -> LeadingError:
    fine, place = windows[1], mp.mpf(1) / 3
    parts, middle = [w.parts() for w in windows], [w.source(place) for w in windows]
    ends = [order_between(*(getattr(p, name) for p in parts)) for name in ("start", "displacement", "oscillating")]
    order = int(min(order_between(*middle) - 1, *ends))
    scale, slope = fine.epsilon**order, fine.slope()
    swinging, seen = fine.swings and parts[1].oscillating != 0, {}

    def integrand(u: float) -> Array:
        """Return the density of the error, and the growth of the oscillating mode."""
        growth = float(fine.growth(mp.mpf(u))) if swinging else 0.0
        seen[u] = float(slope * fine.source(mp.mpf(u)) / (scale * fine.epsilon))
        return np.array([seen[u], growth])

    # Where an integral cancels, it is the size of the integrand that counts.
    least = rtol * float(abs(integrand(1 / 3)).max())
    (total, growth), error = scipy.integrate.quad_vec(
        integrand, 0, 1, epsrel=rtol, epsabs=least, norm="max", quadrature="gk15"
    )[:2]
    start, displacement = (float(getattr(parts[1], name) / scale) for name in ("start", "displacement"))
    oscillating = float(parts[1].oscillating / scale * mp.exp(growth)) * (-1) ** fine.depth if swinging else 0.0
    u = np.array(sorted(seen))
    density, whole = np.array([seen[x] for x in u]), float(total) + start + displacement
    return LeadingError(order, whole, oscillating, start, displacement, float(error), u, density)
