"""The driver: run a step program, or its derived inverse, against a model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import (
    NotInvertibleError,
    Plan,
    Solver,
    execute,
    inverse_run,
    invertibility,
    make_plan,
    parameters,
    record_run,
    record_steps,
    structure,
)
from bdia_numerics.program.record import Held
from bdia_numerics.program.trace import record_begin
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces import Numpy, Space, of
from bdia_numerics.state import State, check_state, identity

Made = TypeVar("Made")
Model = Callable[[Any, Any], Any]
Callback = Callable[[int, State], None]


@dataclass(frozen=True)
class Status:
    """How a run ended.

    Attributes
    ----------
    ok : bool
        Whether every state is finite.
    slot : int or None
        Index i of the slot (from t_i to t_{i-1} in sampling) in which a state first was not.
    register : str or None
        The register that was not.
    """

    ok: bool = True
    slot: int | None = None
    register: str | None = None

    def __str__(self) -> str:
        return "ok" if self.ok else f"register {self.register} is not finite after slot i={self.slot}"


@dataclass(frozen=True)
class Solution:
    """Result of a run.

    Attributes
    ----------
    z : array, shape (*batch, *data)
        State at the end of the run: the data end for `solve`, the noise end for `invert` and `encode`.
    state : State or None
        All registers, from which the opposite run starts exactly; None after an inexact `encode` of a multistep solver.
    nfe : int
        Model evaluations made.
    status : Status
        Whether all went well, or the slot and the register where it did not.
    trajectory : array or None
        Shape (N+1, *batch, *data), indexed as in the paper: 0 is the data end.
    """

    z: Any
    state: State | None
    nfe: int
    status: Status = Status()
    trajectory: Any = None


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
        ``model(z, t)`` returns an array of z's shape and dtype; a plain callable predicts eps.
    grid
        Grid of N slots.
    z
        z_N of shape (*batch, *data), or a State.
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
        For a non-finite state, a State of another solver or grid, a model output of another shape or dtype.
    TypeError
        For complex or integer states, and for floats in an exact run.
    """
    space = _space(z, grid)
    grid = _in(grid, space)
    shape = structure(solver)
    _check_parameters(solver, space)
    if isinstance(z, State):
        check_state(z, solver, grid, grid.n - shape.depth)
        return _run_steps(solver, model, grid, dict(z.registers), space, return_trajectory, callback)
    z = _checked("z", z, space)
    if isinstance(start, Mapping):
        return _run_steps(solver, model, grid, {**start}, space, return_trajectory, callback)
    if start is not None and not hasattr(start, "step"):
        chain = {grid.n: z, **{grid.n - 1 - k: state for k, state in enumerate(start)}}
        registers, nfe = begin(solver, model, grid, chain, grid.n - shape.depth)
        solution = _run_steps(solver, model, grid, registers, space, return_trajectory, callback)
        return Solution(solution.z, solution.state, solution.nfe + nfe, solution.status, solution.trajectory)
    starter, kind = DDIM() if start is None else start, prediction_of(model)
    plan = _cached(grid, ("run", solver, starter, kind, space), lambda: make_plan(record_run(solver, starter, grid, kind), space))
    return _Driver(solver, model, grid, space, plan, return_trajectory, callback).go({"z": z}, noise_end=False)


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
        Its `.z` is z_N.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the structure of the step does not let it be undone, with the reason.
    ValueError
        For a State of another solver or grid.
    """
    if not isinstance(state, State):
        raise TypeError(f"state is a {type(state).__name__}: pass the .state of a Solution; to start from data alone, use encode")
    space = _space(state, grid)
    grid = _in(grid, space)
    _check_parameters(solver, space)
    plan = inverse_plan(solver, grid, prediction_of(model), space)
    check_state(state, solver, grid, 0)
    driver = _Driver(solver, model, grid, space, plan, return_trajectory, callback)
    return driver.go(dict(state.registers), noise_end=True)


def inverse_plan(solver: Solver, grid: Grid, kind: str, space: Space) -> Plan:
    """Return the derived inverse on a grid; NotInvertibleError, with the condition and the remedy, if there is none."""
    try:
        return _cached(
            grid, ("inverse", solver, kind, space), lambda: make_plan(inverse_run(record_steps(solver, grid, kind))[0], space)
        )
    except NotInvertibleError as error:
        values = "".join(f"{name}={value!r}: " for name, value in parameters(solver).items())
        verdict = invertibility(solver)
        remedy = (
            f"invert needs {verdict}" if verdict.invertible else "use encode with a method of bdia_numerics.inversion, or an invertible solver"
        )
        raise NotInvertibleError(
            f"{values}{type(solver).__name__} is not exactly invertible here, {error}; {remedy}",
            kind=error.kind, slot=error.slot, operation=error.operation, missing=error.missing,
        ) from None  # fmt: skip


def begin(solver: Solver, model: Model, grid: Grid, chain: Mapping[int, Any], first: int) -> tuple[dict[str, Any], int]:
    """Fill the registers of a solver from states at indices first, first + 1, ...; return them and the NFE."""
    depth = structure(solver).depth
    if sorted(chain) != list(range(first, first + depth + 1)):
        raise ValueError(f"start gives {len(chain) - 1} states after z_N, and {type(solver).__name__} needs {depth}")
    space = of(chain[first])
    plan = make_plan(record_begin(solver, grid, first, prediction_of(model)), space)
    values = {f"z{i}": _checked("start", value, space) for i, value in chain.items()}
    driver = _Driver(solver, model, grid, space, plan, False, None)
    driver.go_on(values)
    return driver.registers(plan.final), driver.nfe


def _run_steps(solver: Solver, model: Model, grid: Grid, registers: dict[str, Any], space: Space, *options: Any) -> Solution:
    kind = prediction_of(model)
    plan = _cached(grid, ("steps", solver, kind, space), lambda: make_plan(record_steps(solver, grid, kind), space))
    missing = set(plan.inputs) ^ set(registers)
    if missing:
        raise ValueError(f"start={sorted(registers)} does not name the registers {sorted(plan.inputs)} of {type(solver).__name__}")
    values = {name: _checked(f"register {name}", value, space) for name, value in registers.items()}
    return _Driver(solver, model, grid, space, plan, *options).go(values, noise_end=False)


def _cached(grid: Grid, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
    """Collapse once per (solver, grid); a solver that cannot be hashed is collapsed each time."""
    try:
        if key not in grid._plans:
            grid._plans[key] = make()
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return make()
    made: Made = grid._plans[key]
    return made


def _space(z: Any, grid: Grid) -> Space:
    space = of(next(iter(z.registers.values())) if isinstance(z, State) else z)
    return grid.space if type(space) is type(grid.space) and not isinstance(space, Numpy) else space


def _in(grid: Grid, space: Space) -> Grid:
    """Return the grid in the system of the states; only NumPy floats mix."""
    if isinstance(space, Numpy) and isinstance(grid.space, Numpy):
        extended = space.dtype == np.longdouble and grid.space != space
        return _cached(grid, ("grid", space), lambda: grid.to(space)) if extended else grid
    if space != grid.space:
        raise TypeError(
            f"z is in {space.name} and the grid in {grid.space.name}: convert one, for instance grid.to(...) or z.astype(...)"
        )
    return grid


def _check_parameters(solver: Solver, space: Space) -> None:
    for name, value in parameters(solver).items():
        if callable(value) and not hasattr(value, "free_symbols"):
            continue
        try:
            space.field(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}={value!r}: {error}") from None


def _checked(name: str, value: Any, space: Space) -> Any:
    if isinstance(value, float):
        value = np.float64(value)
    if of(value) != space and isinstance(space, Numpy):
        raise TypeError(f"{name} is in {of(value).name}, the other states in {space.name}: convert it")
    if not space.finite(value):
        raise ValueError(f"{name} holds NaN or infinite values: pass finite states")
    return value


@dataclass
class _Driver:
    solver: Solver
    model: Model
    grid: Grid
    space: Space
    plan: Plan
    return_trajectory: bool
    callback: Callback | None
    nfe: int = 0

    def go(self, inputs: dict[str, Any], *, noise_end: bool) -> Solution:
        status = self.go_on(inputs)
        shape = structure(self.solver)
        held = self.held
        order = [shape.output, *(name for name in shape.registers if name not in (shape.output, *shape.evaluations))]
        name = max(order, key=lambda r: held[r].time) if noise_end else shape.output
        return Solution(self.store[held[name].number], self._state(held), self.nfe, status, self.trajectory)

    def go_on(self, inputs: dict[str, Any]) -> Status:
        self.store = {self.plan.inputs[name].number: value for name, value in inputs.items()}
        self.held, self.trajectory = self.plan.inputs, None
        self._keep()
        owned: set[int] = set()
        with self.space.working():
            for stage in self.plan.stages:
                try:
                    self._drive(execute(stage.instructions, self.store, owned, self.space))
                except Exception as error:
                    if set(self.held) == set(structure(self.solver).registers):
                        error.partial = self._state(self.held)  # type: ignore[attr-defined]
                    raise
                changed = [r for r, h in stage.held.items() if self.held.get(r) != h]
                self.held = stage.held
                for register in changed:
                    if not self.space.finite(self.store[stage.held[register].number]):
                        return Status(False, stage.slot, register)
                self._keep()
                if self.callback is not None and set(self.held) == set(structure(self.solver).registers):
                    self.callback(stage.reached, self._state(stage.held))
                for number in stage.dead:
                    self.store.pop(number, None)
                    owned.discard(number)
        return Status()

    def registers(self, held: Mapping[str, Held]) -> dict[str, Any]:
        return {name: self.store[h.number] for name, h in held.items()}

    def _state(self, held: Mapping[str, Held]) -> State:
        times = {name: self.grid.offset + h.time for name, h in held.items()}
        return State(identity(self.solver), self.grid.root, self.registers(held), times)

    def _drive(self, requests: Generator[tuple[Any, Any], Any, None]) -> None:
        try:
            z, t = next(requests)
            while True:
                self.nfe += 1
                z, t = requests.send(self._output(self.model(z, t), z, t))
        except StopIteration:
            return

    def _output(self, output: Any, z: Any, t: Any) -> Any:
        if np.shape(output) != np.shape(z):
            raise ValueError(f"model(z, t={t}) has shape {np.shape(output)}, z has {np.shape(z)}: return an array like z")
        if isinstance(self.space, Numpy):
            kind = output.dtype if isinstance(output, np.ndarray | np.generic) else np.result_type(type(output))
            if kind != self.space.dtype:
                raise TypeError(f"model(z, t={t}) has dtype {kind}, z has {self.space.dtype}: cast the output, or z")
        elif type(of(output)) is not type(self.space):
            raise TypeError(f"model(z, t={t}) is in {of(output).name}, the run in {self.space.name}: compute it there")
        return output

    def _keep(self) -> None:
        if not self.return_trajectory:
            return
        shape = structure(self.solver)
        states = [self.held[r] for r in (shape.output, *shape.registers) if r in self.held and r not in shape.evaluations]
        for number, time in states or self.held.values():
            if self.trajectory is None:
                value = np.asarray(self.store[number])
                self.trajectory = np.full((self.grid.n + 1, *value.shape), None if value.dtype == object else np.nan, value.dtype)
                self._kept: set[int] = set()
            if time not in self._kept:
                self.trajectory[time] = self.store[number]
                self._kept.add(time)
