"""Work and precision: error against model evaluations and against time, for any solvers, problems and grids."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from bdia_numerics.analysis.measurement.errors import (
    STATES,
    ExactProblem,
    exact_states,
    root_mean_square,
    run_from,
)
from bdia_numerics.analysis.measurement.observed import Family, as_family
from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.program import Solver, identity, structure
from bdia_numerics.spaces import Drawn, of_kind, ordered
from bdia_numerics.texts import shown

_TRIALS = (8, 9)


@dataclass(frozen=True)
class Work:
    """One run of one solver.

    Attributes
    ----------
    solver, problem, grid : str
        Labels.
    steps, nfe : int
        Slots, and model evaluations of the whole run.
    error : float
        Root mean square of an element at the data end less the exact solution; NaN if the run went wrong.
    setup : float
        Seconds of the first run less those of a later one: collapsing the program on this grid, once.
    seconds : float
        Median seconds of a later run.
    model_seconds, own_seconds : float
        Medians of the part in the model and of the rest, which is the solver's.
    status : str
        "ok", or what went wrong.
    """

    solver: str
    problem: str
    grid: str
    steps: int
    nfe: int
    error: float
    setup: float
    seconds: float
    model_seconds: float
    own_seconds: float
    status: str


@dataclass(frozen=True, repr=False)
class WorkPrecision(Drawn):
    """A table of runs.

    Attributes
    ----------
    rows : tuple of Work
        In the order of problems, grids, solvers, steps.
    by : str
        "steps" or "nfe": what was the same for all solvers.
    states : int
        States of each run.
    """

    rows: tuple[Work, ...]
    by: str
    states: int

    def select(self, **values: Any) -> tuple[Work, ...]:
        """Return the rows with these values of their attributes, for instance solver="BDIA(gamma=1)"."""
        return tuple(row for row in self.rows if all(getattr(row, k) == v for k, v in values.items()))

    def named(self, **names: str) -> WorkPrecision:
        """Return the same with other names of solvers."""
        return replace(self, rows=tuple(replace(row, solver=names.get(row.solver, row.solver)) for row in self.rows))

    def labels(self, attribute: str) -> tuple[str, ...]:
        """Return the values of an attribute, in order of appearance."""
        return tuple(dict.fromkeys(getattr(row, attribute) for row in self.rows))

    def error_at(self, nfe: float, *, solver: str, problem: str, grid: str) -> float:
        """Return the error at a number of evaluations, interpolated in logarithms; NaN outside what was run."""
        rows = [r for r in self.select(solver=solver, problem=problem, grid=grid) if 0 < r.error < math.inf]
        rows.sort(key=lambda r: r.nfe)
        if not rows or not rows[0].nfe <= nfe <= rows[-1].nfe:
            return math.nan
        x, y = [math.log(r.nfe) for r in rows], [math.log(r.error) for r in rows]
        return float(np.exp(np.interp(math.log(nfe), x, y)))


@ordered
def work_precision(
    solvers: Iterable[Solver] | Mapping[str, Solver],
    problems: Mapping[str, ExactProblem],
    grids: Mapping[str, Family | str],
    nfe: Sequence[int] | None = None,
    *,
    slots: Sequence[int] | None = None,
    states: Any = STATES,
    repeats: int = 5,
    start: Any = "own",
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[Work], None] | None = None,
) -> WorkPrecision:
    """Run every solver on every problem and every kind of grid, and note error, evaluations and time.

    Parameters
    ----------
    solvers
        Solvers, or solvers by label.
    problems
        Distributions with `model`, `sample` and `flow`, by label.
    grids
        Functions of the number of slots, for instance a `GridFamily`, or names of one, by label.
    nfe
        Numbers of evaluations, the same for all solvers; each takes as many steps as they pay for (EDICT, with two a step, half as
        many as BDIA).
    slots
        In place of nfe, numbers of slots, the same for all solvers.
    states
        A number of states to draw at t_N, or an array (*batch, *data).
    repeats
        Timed runs after the first; their median counts.
    start, seed
        As for `global_error`.
    clock
        Returns seconds; `time.process_time` counts this process alone, on all its cores.
    progress
        Called with each row.

    Returns
    -------
    WorkPrecision
        Rows whose budget pays for no step are left out.

    Raises
    ------
    ValueError
        For no solvers, problems or grids, for two solvers of one name without labels, for both of nfe and slots or neither, for numbers
        or repeats below 1, and for budgets that pay for no step at all.
    """
    counts = nfe or slots or ()
    if bool(nfe) == bool(slots) or min(counts) < 1:
        raise ValueError(f"nfe={shown(nfe)} and slots={shown(slots)}: pass one of them, numbers of at least 1")
    if repeats < 1:
        raise ValueError(f"repeats={repeats}: time at least 1 run")
    pairs = [*solvers.items()] if isinstance(solvers, Mapping) else [(identity(s), s) for s in solvers]
    named = dict[str, Solver](pairs)
    if lost := [label for label, solver in pairs if named[label] != solver]:
        raise ValueError(f"solvers holds two that are called {lost[0]}: pass a dict from labels of your own to solvers")
    families = {label: as_family(make) for label, make in grids.items()}
    for name, given in (("solvers", named), ("problems", problems), ("grids", families)):
        if not given:
            raise ValueError(f"{name} is empty: pass at least one")
    for g, make in families.items():
        of_kind("grid", f"grids[{g!r}](n)", make(max(counts)))
    rows = []
    for (p, problem), (g, make), (label, solver) in product(problems.items(), families.items(), named.items()):
        for n in counts if slots else _affordable(solver, problem, make, counts, start):
            row = _work(label, p, g, solver, problem, make(n), states, start, repeats, seed, clock)
            rows.append(row)
            if progress is not None:
                progress(row)
    if not rows:
        raise ValueError(f"nfe={tuple(counts)}: they pay for no step of any solver: allow more")
    count = int(states) if np.ndim(states) == 0 else len(states)
    return WorkPrecision(tuple(rows), "steps" if slots else "nfe", count)


def _affordable(
    solver: Solver, problem: ExactProblem, make: Callable[[int], Grid], budgets: Sequence[int], start: Any
) -> list[int]:
    """Return the most steps that each budget pays for: evaluations are affine in the steps, beyond the start."""
    depth = structure(solver).depth
    used = []
    for n in _TRIALS:
        grid = make(n + depth)
        used.append(run_from(solver, problem, grid, exact_states(problem, grid, 1), start).nfe)
    each, first = used[1] - used[0], used[0] - (used[1] - used[0]) * (_TRIALS[0] + depth)
    counts = [(budget - first) // max(each, 1) for budget in budgets]
    return [n for n in dict.fromkeys(counts) if n > depth]


def _work(
    label: str,
    p: str,
    g: str,
    solver: Solver,
    problem: ExactProblem,
    grid: Grid,
    states: Any,
    start: Any,
    repeats: int,
    seed: int,
    clock: Callable[[], float],
) -> Work:
    starts = range(grid.n - structure(solver).depth, grid.n)
    truth = exact_states(problem, grid, states, seed, [0, *starts])
    own_model = problem.model(grid.schedule)
    spent, inside = list[float](), list[float]()

    def model(z: Any, t: Any) -> Any:
        begin = clock()
        output = own_model(z, t)
        inside[-1] += clock() - begin
        return output

    timed: Any = SimpleNamespace(model=lambda schedule: Predicting(model, prediction_of(own_model)))
    for _ in range(repeats + 1):
        inside.append(0.0)
        begin = clock()
        with np.errstate(all="ignore"):
            run = run_from(solver, timed, grid, truth, start)
        spent.append(clock() - begin)
    seconds = median(spent[1:])
    error = root_mean_square(np.asarray(run.z - truth[0], dtype=float)) if run.status.ok else math.nan
    setup = max(spent[0] - seconds, 0.0)
    own = median(whole - part for whole, part in zip(spent[1:], inside[1:], strict=True))
    return Work(label, p, g, grid.n, run.nfe, error, setup, seconds, median(inside[1:]), own, str(run.status))
