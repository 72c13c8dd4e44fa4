"""assert_same: a sampler carries out the program of a solver, on which grids, and where it first does not.

What a sampler makes of its start and of the model's predictions is linear in them, whatever the states are. So its coefficients are read
off a run from a unit vector, with a model that answers each question with the next unit vector: each state at which the model is
evaluated, and the end, is then the row of its coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from bdia_numerics.analysis import GridFamily
from bdia_numerics.program import Solver
from bdia_numerics.runs.solving import solve
from bdia_numerics.runs.state import identity
from bdia_numerics.spaces.values import ordered
from bdia_numerics.testing.carry import at_home, one_time
from bdia_numerics.testing.samplers import IN_USE, NOTES, RAISES, as_sampler, below_one

Array = np.ndarray[Any, Any]
SLOTS, ASKED = 12, 12
"""Slots of the grids, and evaluations that a slot may have."""
LINEAR, NAMED = 1e-5, 3
"""What single precision leaves of a linear response; coefficients that a message names."""
EXACT, TABLES, TIME, REPEATED = 1e-10, 1e-5, 1e-9, 1e-12
"""How near coefficients are by default, of functions and of schedulers; times, in parts of the grid's span; states of one question."""
KINDS: dict[str, Callable[[int], Any]] = {
    **{f"uniform in {v}": GridFamily(variable=v) for v in ("asinh", "sigma_bar", "log_snr", "t")},
    **{f"alternating in {v}": GridFamily("alternating", variable=v) for v in ("asinh", "t")},
    **{kind.label: kind for kind in IN_USE.values()},
}


class TooMany(AssertionError):
    """A sampler evaluates the model more often than there are answers."""


@dataclass(eq=False)
class Answers:
    """A model that answers its k-th question with the k-th of some rows, and the same question with the same row.

    Attributes
    ----------
    rows : array, shape (questions, D)
    asked : list of (float, array)
        Time and state of each question.
    calls : int
        Questions, also those that are asked again.
    """

    rows: Array
    prediction: str = "eps"
    asked: list[tuple[float, Array]] = field(default_factory=list)
    calls: int = 0

    def __call__(self, z: Any, t: Any) -> Any:
        """Return an answer for each state of a batch."""
        time = float(one_time(t))

        def answered(z: Any) -> Array:
            states = np.asarray(z)
            return np.array([self._answer(time, row) for row in states.reshape(-1, states.shape[-1])]).reshape(
                states.shape
            )

        return at_home(answered, z)

    def _answer(self, time: float, state: Array) -> Array:
        self.calls += 1
        for answer, (t, z) in zip(self.rows, self.asked, strict=False):
            if t == time and _near(state, z, REPEATED).all():
                return np.asarray(answer)
        if len(self.asked) == len(self.rows):
            raise TooMany(f"it evaluates the model more than {len(self.rows)} times: pass a grid= of fewer slots")
        self.asked.append((time, state.copy()))
        return np.asarray(self.rows[len(self.asked) - 1])

    def states(self, end: Any) -> Array:
        """Return the states that it was asked at, and the end of that run, shape (questions + 1, D)."""
        return np.array([*(state for _, state in self.asked), *np.asarray(end)])


@ordered
def assert_same(
    subject: Any,
    solver: Solver,
    *,
    mu: float | None = None,
    grid: Any = None,
    tolerance: float | None = None,
) -> tuple[str, ...]:
    """Assert that a sampler carries out the program of a solver: the same evaluations in the same order, with the same coefficients.

    The coefficients of a sampler are found from its responses, without its source. They are compared evaluation by evaluation, and the
    first one that differs is named with its step.

    Parameters
    ----------
    subject, mu
        See `as_sampler`.
    solver
        What it should be, with its own start.
    grid
        A grid with a schedule, or for a scheduler a number of steps. By default 12 slots of nine kinds of grids, of those that the solver
        takes: uniform in four variables, alternating in two, and three in use; a scheduler runs on its own times.
    tolerance
        How far a coefficient may be from the solver's, relative to the largest one of its state, below 1: 1e-10 by default, and 1e-5
        for a scheduler, whose tables are in single precision.

    Returns
    -------
    tuple of str
        The grids that were looked at: it is that program on all of them.

    Raises
    ------
    AssertionError
        With the grids on which it is the program and those on which it is not; and of the first of these the step with the
        coefficient, the time that the model is told, or the number of evaluations that differs. Also for a sampler that is not linear in
        its state and the predictions, such as one that clips.
    TypeError, ValueError
        For arguments that are not a sampler, solver or grid.

    Examples
    --------
    >>> from bdia_numerics import DDIM
    >>> from bdia_numerics.testing import assert_same
    >>> def sample(eps, grid, z):
    ...     for i in range(grid.n, 0, -1):
    ...         e = eps(z, grid.t[i])
    ...         z = grid.alpha[i - 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i - 1] * e
    ...     return z
    >>> len(assert_same(sample, DDIM()))
    9
    """
    sampler = as_sampler(subject, mu=mu)
    bound = (EXACT if sampler.takes_grids else TABLES) if tolerance is None else tolerance
    below_one(bound, "coefficients are compared with the largest one")
    every = grid is None and sampler.takes_grids
    places = {kind: make(SLOTS) for kind, make in KINDS.items()}
    if not every:
        places = {"the given" if sampler.takes_grids else "its own": sampler.place(SLOTS if grid is None else grid)}
    programs, refusal = dict[str, _Program](), None
    for kind, place in places.items():
        try:
            programs[kind] = _Program(solver, sampler.grid(place)[0])
        except RAISES as error:  # it has no program on such grids
            refusal = error
    if not programs and refusal:
        raise refusal
    same, faults = list[str](), dict[str, str]()
    for kind, program in programs.items():
        try:
            fault = _deviation(partial(_run, sampler, places[kind]), program, bound)
        except TooMany as error:
            fault = str(error)
        except RAISES as error:
            if not every:
                raise
            fault = f"it raises {type(error).__name__}: {error}"
        if fault:
            faults[kind] = fault
        else:
            same.append(kind)
    NOTES.append(f"the same on {len(same)} of {len(programs)} kinds of grids")
    if faults:
        first = next(iter(faults))
        where = f"on these grids: {', '.join(faults)}; it is that program on these: {', '.join(same)}"
        raise AssertionError(
            f"assert_same: {sampler.label} is not {identity(solver)}: {faults[first]} (grid: {first})"
            + (f". It deviates {where if same else 'on all kinds of grids'}" if every else "")
        )
    return tuple(same)


def _run(sampler: Any, place: Any, model: Any, z: Array) -> Array:
    """Return where a sampler comes to on a model that solves no problem."""
    problem: Any = SimpleNamespace(model=lambda _: model, sample=None, flow=lambda z, *_: z)
    return np.asarray(sampler.run(problem, place, "sample", z).end)


class _Program:
    """What a solver does on a grid: the states at which it evaluates the model, and after how many evaluations it reached each index."""

    def __init__(self, solver: Solver, grid: Any) -> None:
        self.grid, self.basis, self.reached = grid, np.eye(1 + ASKED * grid.n), list[tuple[int, int]]()
        self.own = Answers(self.basis[1:])
        end = solve(
            solver, self.own, grid, self.basis[:1], callback=lambda i, _: self.reached.append((len(self.own.asked), i))
        )
        self.states = self.own.states(end.z)


def _deviation(run: Callable[[Any, Array], Array], program: _Program, tolerance: float) -> str:
    """Say in words where a run first deviates from the program of a solver; empty if it does not."""
    grid, basis, own, wanted = program.grid, program.basis, program.own, program.states
    # Of other states: a sampler that is linear takes them where its coefficients say.
    values = 3 * np.random.default_rng(0).standard_normal((len(basis), 4))
    theirs, others = (Answers(answers[1:]) for answers in (basis, values))
    rows, moved = theirs.states(run(theirs, basis[:1])), others.states(run(others, values[:1]))
    span = abs(float(grid.t[-1]) - float(grid.t[0]))
    for k in range(min(len(rows), len(wanted))):
        is_end = k == len(own.asked)
        if is_end != (k == len(theirs.asked)):
            break
        due = None if is_end else own.asked[k][0]
        made = f"{_step(grid, program.reached, k, due)} the {'end' if is_end else f'state of evaluation {k + 1}'}"
        if not (k < len(moved) and _near(rows[k] @ values, moved[k], LINEAR).all()):
            return f"{made} is not linear in the start and the predictions: look for clipping, or for steps chosen by the state"
        if due is not None and not abs(theirs.asked[k][0] - due) <= max(TIME, tolerance) * span:
            return f"the model is told the time {theirs.asked[k][0]:.10g} at evaluation {k + 1}, and by the solver {due:.10g}"
        if said := _coefficients(rows[k], wanted[k], wanted[:k], tolerance):
            return f"{made} deviates: {said}"
    if theirs.calls != own.calls:
        return f"it evaluates the model {theirs.calls} times in {grid.n} slots, and the solver {own.calls} times"
    return ""


def _step(grid: Any, reached: list[tuple[int, int]], k: int, told: float | None) -> str:
    """Return in words in which step the state of evaluation k + 1 is made, from how many evaluations each index was reached after."""
    if k == 0:
        return "at the start"
    ended = [i for count, i in reached if count <= k]
    if not ended and told is not None:  # in the first states, which are made in one go
        ways = np.abs(np.array(grid.t, float) - float(grid.t[-1]))
        before = np.flatnonzero(ways < abs(told - float(grid.t[-1])) - TIME * ways[0])
        begin = max(1, int(np.append(before, grid.n)[0]))
        return f"in the step from t_{begin} to t_{begin - 1}"
    last, done = (ended[-1], any(count == k for count, _ in reached)) if ended else (grid.n, False)
    # A state that stands beyond the last index that was reached is made in the step from there.
    gone, span = (abs(float(t) - float(grid.t[-1])) for t in (grid.t[last], grid.t[0]))
    beyond = told is not None and abs(told - float(grid.t[-1])) > gone + TIME * span
    begin = last + 1 if done and not beyond else last
    return f"in the step from t_{begin} to t_{begin - 1}"


def _near(a: Array, b: Array, tolerance: float) -> Array:
    return np.asarray(np.abs(a - b) <= tolerance * np.max(np.abs(b), initial=0.0))


def _coefficients(row: Array, wanted: Array, before: Array, tolerance: float) -> str:
    """Say in words which coefficients of a state differ; empty if none does.

    A wrong factor of an earlier state changes many coefficients. It is named in their place where that leaves fewer to name.
    """
    missed, left, said = row - wanted, ~_near(row, wanted, tolerance), list[str]()
    for k, state in enumerate([wanted, *before]):
        share = missed[0] / state[0] if left[0] and state[0] else 0.0
        rest = ~_near(row - share * state, wanted, tolerance)
        if share and rest.sum() + 1 < left.sum() + len(said):
            size = f"{abs(share):.6g} too {'large' if share > 0 else 'small'}"
            said = [
                f"the coefficient of the state of evaluation {k} is {size}"
                if k
                else f"it is {1 + share:.6g} times the solver's"
            ]
            missed, left = row - share * state - wanted, rest
    for k in np.flatnonzero(left)[::-1]:
        found = f"is {wanted[k] + missed[k]:.6g}, and the solver's {wanted[k]:.6g}"
        said.append(f"the coefficient of {f'evaluation {k}' if k else 'the start'} {found}")
    return "; ".join(said[:NAMED]) + (f"; and {len(said) - NAMED} more" if len(said) > NAMED else "")
