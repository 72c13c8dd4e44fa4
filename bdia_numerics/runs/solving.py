"""Run a step program, or its derived inverse: solve and invert."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.models import Trained, prediction_of, schedules_of
from bdia_numerics.program import (
    NotInvertibleError,
    Plan,
    Run,
    Solver,
    condition_of,
    end_without_inverse,
    identity,
    inverse_run,
    lattice_plan,
    make_plan,
    parameters,
    record_begin,
    record_run,
    record_start,
    record_steps,
    structure,
)
from bdia_numerics.runs.state import State, check_state
from bdia_numerics.runs.stepwise import Callback, Course, Model, Solution, Status, Stepwise, drive
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces import (
    FLOAT64,
    Space,
    given,
    of,
    of_kind,
    ordered,
    parameter,
    require_finite,
    require_system,
    same_system,
)
from bdia_numerics.texts import shown

Made = TypeVar("Made")
DERIVED = "derived inverse"
"""What results call the exact inverse that is derived from the step program."""

PLANNED_SLOTS = 1 << 14
"""A slot of a plan takes about half a kilobyte."""
_SAME_LEVEL = 1e-5
"""Relative difference of noise levels up to which they are the same: tables are often given in float32, and accumulated there."""

__all__ = ["Model", "Solution", "Status", "begin", "inverse_plan", "invert", "solve"]


@ordered
def solve(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: Any,
    start: Any = None,
    *,
    return_trajectory: bool = False,
    callback: Callback | None = None,
) -> Solution:
    """Run a solver from noise to data.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.
    model
        ``model(z, t)`` returns an array of z's shape and dtype; a plain callable predicts eps. A NumPy z is read-only to
        it.
    grid
        Grid of N slots.
    z
        z_N of shape (*batch, *data), or a State. Lists of numbers and arrays of integers are read as float64.
    start
        How the first states of a multistep solver are made: a one-step solver (DDIM by default, eq. (25)), a sequence of
        the states z_{N-1}, z_{N-2}, ..., or a mapping with a value for every register.
    return_trajectory
        Whether to keep all N+1 states.
    callback
        Called as ``callback(i, state)`` with copies, when t_i is reached.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        For a non-finite state, a State of another solver, grid or prediction, a model output of another shape or dtype.
    TypeError
        For complex or boolean states, and for floats in an exact run.

    Examples
    --------
    >>> from bdia_numerics import BDIA, grids, problems, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> model = problems.Gaussian([0.0], 0.25).model(grid.schedule)
    >>> solution = solve(BDIA(), model, grid, [[1.0]])
    >>> solution.z.round(3), solution.nfe
    (array([[0.569]]), 20)
    """
    check_arguments(solver, model, grid)
    space, grid = prepared("z", z, grid)
    _check_parameters(solver, space)
    kind, options = prediction_of(model), (return_trajectory, callback)
    if isinstance(z, State):
        check_state(z, solver, grid, grid.n - structure(solver).depth, kind)
        course, values = resumed(solver, grid, kind, space), _alike(z.registers, space)
        return drive(course, model, values, space, *options, z.remainder)
    z = _checked("z", z, space)
    check_start(start)
    if start is None or hasattr(start, "step"):
        return drive(sampling(solver, grid, kind, space, start), model, {"z": z}, space, *options)
    registers, nfe, _ = begun(solver, model, grid, z, start)
    course = resumed(solver, grid, kind, space)
    if given := set(course.plans[0].inputs) ^ set(registers):
        names = f"does not name the registers {sorted(course.plans[0].inputs)} of {type(solver).__name__}"
        raise ValueError(f"start={sorted(registers)} {names}: leave out or add {sorted(given)}")
    found = drive(course, model, _alike(registers, space), space, *options)
    return replace(found, nfe=found.nfe + nfe)


@ordered
def invert(
    solver: Solver,
    model: Model,
    grid: Grid,
    state: State,
    *,
    return_trajectory: bool = False,
    callback: Callback | None = None,
) -> Solution:
    """Run the derived inverse from data to noise: exact, but for rounding.

    Parameters
    ----------
    solver, model, grid, return_trajectory, callback
        As for `solve`.
    state
        The State that `solve` (or `encode`'s start) left at the data end.

    Returns
    -------
    Solution
        Its `.z` is z_N; of a solver whose registers do not keep z_N, which `encode` takes for one without inverse, all registers are
        undone, and it is the state that is farthest there.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the structure of the step does not let it be undone, with the reason.
    ValueError
        For a State of another solver, grid or prediction.

    Examples
    --------
    >>> from bdia_numerics import BDIA, grids, invert, problems, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> model = problems.Gaussian([0.0], 0.25).model(grid.schedule)
    >>> state = solve(BDIA(), model, grid, [[1.0]]).state
    >>> found = invert(BDIA(), model, grid, state)
    >>> found.z.round(12), found.inversion
    (array([[1.]]), 'derived inverse')
    """
    if not isinstance(state, State):
        raise TypeError(
            f"state is a {type(state).__name__}: pass the .state of a Solution; to start from data alone, use encode"
        )
    check_arguments(solver, model, grid)
    space, grid = prepared("state", state, grid)
    _check_parameters(solver, space)
    kind = prediction_of(model)
    course = inverting(solver, grid, kind, space)
    check_state(state, solver, grid, 0, kind)
    values = _alike(state.registers, space)
    found = drive(course, model, values, space, return_trajectory, callback, state.remainder)
    return replace(found, inversion=DERIVED)


def sampling(solver: Solver, grid: Grid, kind: str, space: Space = FLOAT64, starter: Solver | None = None) -> Course:
    """Return the run of `solve` from z_N: the start, then the steps; `kind` is what the model predicts."""
    starter, own = starter_of(solver) if starter is None else starter, identity(solver, grid)
    key = ("run", solver, own, starter, identity(starter, grid), kind, _rounded_to(space))
    plan = _cached(grid, key, lambda: _plan(solver, record_run(solver, starter, grid, kind, space.written), space))
    return Course(solver, grid, (plan,), kind, own=own)


def resumed(solver: Solver, grid: Grid, kind: str, space: Space = FLOAT64) -> Course:
    """Return the run of `solve` from all registers at the noise end."""
    key = ("steps", solver, own := identity(solver, grid), kind, _rounded_to(space))
    plan = _cached(grid, key, lambda: _plan(solver, record_steps(solver, grid, kind, space.written), space))
    return Course(solver, grid, (plan,), kind, own=own)


def inverting(solver: Solver, grid: Grid, kind: str, space: Space = FLOAT64) -> Course:
    """Return the run of `invert`; NotInvertibleError where there is no exact inverse."""
    return Course(solver, grid, (inverse_plan(solver, grid, kind, space),), kind, noise_end=True)


def encoding(solver: Solver, grid: Grid, kind: str, space: Space = FLOAT64) -> Course:
    """Return the run of `encode` from x_0: the start at the data end, then the derived inverse."""
    inverse, starter = inverting(solver, grid, kind, space), starter_of(solver)
    with grid.space.working():
        start = _plan(solver, record_start(solver, starter, grid, kind, space.written, data_end=True), space)
    return replace(inverse, plans=(start, *inverse.plans))


def inverse_plan(solver: Solver, grid: Grid, kind: str, space: Space) -> Plan:
    """Return the derived inverse on a grid; NotInvertibleError, with the condition and the remedy, if there is none."""
    try:
        return _inverse_plan(solver, grid, kind, space)
    except NotInvertibleError as error:
        values = "".join(f"{name}={shown(value)}: " for name, value in parameters(solver).items())
        condition = condition_of(solver)
        remedy = "use encode with a method of bdia_numerics.runs.inversion, or an invertible solver"
        if condition is not None:
            end = end_without_inverse(
                grid, structure(solver).depth, lambda part: has_inverse(solver, part, kind, space)
            )
            needs = f"{structure(solver).depth + 1} slots or more" if condition == "always" else condition
            values, remedy = ("", end) if end else (values, f"invert needs {needs}")
        raise NotInvertibleError(
            f"{values}{type(solver).__name__} is not exactly invertible here, {error}; {remedy}",
            kind=error.kind, slot=error.slot, operation=error.operation, missing=error.missing,
        ) from None  # fmt: skip


def has_inverse(solver: Solver, grid: Grid, kind: str, space: Space) -> bool:
    """Say whether the derived inverse exists on a grid, and leads to the state at the noise end."""
    if structure(solver).noise_lost:
        return False
    try:
        _inverse_plan(solver, grid, kind, space)
    except NotInvertibleError:
        return False
    return True


def _inverse_plan(solver: Solver, grid: Grid, kind: str, space: Space) -> Plan:
    def make() -> Plan:
        run, shape = record_steps(solver, grid, kind, space.written), structure(solver)
        back, _ = inverse_run(run)
        if grid.n <= shape.depth and not shape.keeps_noise:  # without a step there is nothing that cannot be undone
            raise NotInvertibleError(shape.noise_lost, kind="lost", slot=grid.n, operation=None, missing=None)
        return _plan(solver, back, space, forward=run)

    return _cached(grid, ("inverse", solver, identity(solver, grid), kind, _rounded_to(space)), make)


def _rounded_to(space: Space) -> Space:
    """Return what coefficients are rounded to: a run on float32 has the plan of float64, since both take Python's floats."""
    scalars: Space = space.scalars
    return FLOAT64 if scalars.floats and scalars.double and not scalars.integers else scalars


def _plan(solver: Solver, run: Run, space: Space, *, forward: Run | None = None) -> Plan:
    """Prepare a run for the arithmetic of a system; `forward` is what an inverse run undoes."""
    if space.integers:
        return lattice_plan(run, space, solver, forward=forward)  # type: ignore[arg-type]  # of integers
    return make_plan(run, space.scalars)


def check_start(start: Any) -> None:
    """Raise TypeError unless the first states of a solver can come from what is given."""
    if isinstance(start, str | type) or hasattr(start, "step"):
        of_kind("solver", "start", start)
    elif start is not None and not (hasattr(start, "__iter__") or hasattr(start, "__getitem__")):
        raise TypeError(
            f"start={shown(start)} makes no first states: pass a one-step solver such as DDIM(), a sequence of states, or a dict "
            "with a value for every register; a State is passed as z"
        )


def begin(solver: Solver, model: Model, grid: Grid, chain: Mapping[int, Any], first: int) -> tuple[dict[str, Any], int]:
    """Fill the registers of a solver from states at indices first, first + 1, ...; return them and the NFE."""
    check_arguments(solver, model, grid)
    depth = structure(solver).depth
    if sorted(chain) != list(range(first, first + depth + 1)):
        raise ValueError(
            f"start gives {len(chain) - 1} states after z_N, and {type(solver).__name__} needs {depth}: pass so many, or a one-step solver"
        )
    space, grid = prepared("start", chain[first], grid)
    with space.working():
        plan = _plan(solver, record_begin(solver, grid, first, prediction_of(model), space.written), space)
    values = _alike({f"z{i}": value for i, value in chain.items()}, space, "start")
    run = Stepwise(Course(solver, grid, (plan,), prediction_of(model)), values, space).finish(model)
    return run.registers, run.place


def begun(solver: Solver, model: Model, grid: Grid, z: Any, start: Any = None) -> tuple[dict[str, Any], int, Status]:
    """Return the registers before the first step, the evaluations that they took, and whether their making went well.

    Parameters
    ----------
    solver, model, grid, z, start
        As for `solve`.
    """
    check_start(start)
    if isinstance(start, Mapping):
        return {**start}, 0, Status()
    if start is not None and not hasattr(start, "step"):
        chain = {grid.n: z, **{grid.n - 1 - k: state for k, state in enumerate(start)}}
        return *begin(solver, model, grid, chain, grid.n - structure(solver).depth), Status()
    check_arguments(solver, model, grid)
    space, grid = prepared("z", z, grid)
    kind = prediction_of(model)
    with space.working():
        recorded = record_start(solver, starter_of(solver) if start is None else start, grid, kind, space.written)
        plan = _plan(solver, recorded, space)
    course = Course(solver, grid, (plan,), kind)
    run = Stepwise(course, {"z": _checked("z", z, space)}, space, stops=True).finish(model)
    return run.registers, run.place, run.status


def starter_of(solver: Solver) -> Solver:
    """Return the solver that makes the first states of a multistep one: its own choice, or DDIM, eq. (25)."""
    return getattr(solver, "starter", None) or DDIM()


def _cached(grid: Grid, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
    """Collapse once per (solver, grid); a solver that cannot be hashed is collapsed each time.

    A grid keeps the plans that were used last, so many that together they have `PLANNED_SLOTS` slots, but eight at least.
    """
    try:
        hash(key)
    except TypeError:
        return make()
    plan = grid._plans.pop(key, None)
    if plan is None:
        with grid.space.working(), _growing():  # balls collapse a step in the precision of the run
            plan = make()
    grid._plans[key] = plan  # the last one of the dict is the one that was used last
    for old in list(grid._plans)[: -max(8, PLANNED_SLOTS // grid.n)]:
        grid._plans.pop(old, None)
    return plan


@contextmanager
def _growing() -> Iterator[None]:
    """Make something large, without cycles: a collector that walks all of it as it grows would take longer a slot on longer grids."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def check_arguments(solver: Any, model: Any, grid: Any) -> None:
    """Raise TypeError unless the three are a solver, a model and a grid."""
    of_kind("grid", "grid", grid)
    of_kind("model", "model", model)
    structure(solver)
    own = () if grid.schedule is None else (grid.schedule, Trained(grid.schedule))
    for schedule in schedules_of(model):
        if schedule not in own and (other := _levels_checked(schedule, grid)):
            raise ValueError(other)


def _levels_checked(schedule: Any, grid: Grid) -> str:
    return _cached(grid, ("levels", schedule), lambda: _differs(schedule, grid))


def _differs(schedule: Any, grid: Grid) -> str:
    """Say where a schedule has other noise levels than a grid, beyond float32's rounding; nothing where it has the same.

    Of a network's training the data end does not count, where it is told no time, nor what a time that is rounded to a whole one misses.
    """
    is_trained = isinstance(schedule, Trained)
    for t, *levels in list(zip(grid.t, grid.alpha, grid.sigma, strict=True))[is_trained:]:
        try:
            asked, found = [float(schedule.alpha(t)), float(schedule.sigma(t))], [float(x) for x in levels]
        except TypeError:  # symbols, and functions that the grid's system does not have
            continue
        except ValueError as error:
            return f"model is of {schedule} and grid of other times ({error}): make both with one schedule"
        slack = schedule.slack(t, *found) if is_trained else 0.0
        allowed = _SAME_LEVEL * sum(found) + slack
        if not all(abs(a - b) <= allowed for a, b in zip(asked, found, strict=True)):
            return (
                f"model is of {schedule}, where (alpha, sigma) = ({asked[0]:.6g}, {asked[1]:.6g}) at t={float(t):g}, and the grid has "
                f"({found[0]:.6g}, {found[1]:.6g}) there: make both with one schedule"
            )
    return ""


def prepared(name: str, z: Any, grid: Grid) -> tuple[Space, Grid]:
    """Return the system of the states and the grid in it; of different systems only NumPy floats mix."""
    z = next(iter(z.registers.values())) if isinstance(z, State) else given(name, z)
    space = of(z, name)
    scalars = space.scalars
    if scalars.floats and grid.space.floats:
        # Arrays of any float meet a grid of floats, but a longdouble's digits are more than those of the grid's numbers.
        extended = not scalars.double and grid.space != scalars
        return space, _cached(grid, ("grid", scalars), lambda: grid.to(scalars)) if extended else grid
    if same_system(scalars, grid.space):
        return grid.space, grid
    if space != grid.space:
        raise TypeError(
            f"{name} is in {space.name} and the grid in {grid.space.name}: "
            "convert one, for instance grid.to(...) or z.astype(...)"
        )
    return space, grid


def _check_parameters(solver: Solver, space: Space) -> None:
    for name, value in parameters(solver).items():
        if callable(value) and not hasattr(value, "free_symbols"):
            continue
        try:
            parameter(space.scalars, value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}={shown(value)}: {error}") from None


def _alike(registers: Mapping[str, Any], space: Space, prefix: str = "register") -> dict[str, Any]:
    values = {name: _checked(f"{prefix} {name}", value, space) for name, value in registers.items()}
    shapes = {name: np.shape(value) for name, value in values.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{prefix} states have the shapes {shapes}: pass states of one shape")
    return values


def _checked(name: str, value: Any, space: Space) -> Any:
    value = np.float64(value) if isinstance(value, float) else given(name, value)
    require_system(name, value, space, "the other states", "convert it")
    require_finite(name, value, space)
    return value
