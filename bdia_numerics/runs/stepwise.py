"""The driver: a run that takes one model output at a time, with its states looked at, shown and kept.

`solve`, `invert` and `encode` feed it in a loop, a scheduler for diffusers does from outside, and a back-propagation does with a
model that records its graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from functools import cached_property, reduce
from operator import and_
from types import MappingProxyType
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid, Point
from bdia_numerics.models import x0_form
from bdia_numerics.program import Call, Held, Plan, Solver, Structure, identity, structure
from bdia_numerics.program.plan import Stage
from bdia_numerics.runs.state import State
from bdia_numerics.spaces import Memory, Shown, Space, admitted, plain, shaped, share, tree

Model = Callable[[Any, Any], Any]
Callback = Callable[[int, State], None]


USELESS = 1.0
"""An error as large as what it is an error of."""


@dataclass(frozen=True)
class Status:
    """How a run ended.

    Attributes
    ----------
    ok : bool
        Whether every state is finite; of a round trip also whether what came back is of any use. Under JAX's transformations a traced
        boolean, without slot and register.
    slot : int or None
        Index i of the slot (from t_i to t_{i-1} in sampling) in which a state first was not.
    register : str or None
        The register that was not; None if all were.
    remedy : str
        What to change, where the number system is to blame; of a round trip also what it lost.

    Examples
    --------
    >>> from bdia_numerics import BDIA, grids, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> found = solve(BDIA(), lambda z, t: z * float("nan"), grid, [[1.0]])
    >>> found.status.ok, found.status.slot
    (False, 20)
    """

    ok: bool = True
    slot: int | None = None
    register: str | None = None
    remedy: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        what = "" if self.register is None else f"register {self.register} is not finite after slot i={self.slot}"
        # Of a run under vmap each state has its own answer.
        return "ok" if np.all(self.ok) else ": ".join(filter(None, (what, self.remedy))) or "a state is not finite"


def come_back(status: Status, error: Any, size: Any, *, exact: bool) -> Status:
    """Return the status of a round trip: that of its runs, or that what came back is useless.

    Parameters
    ----------
    status
        Of the runs.
    error, size
        Root mean squares of what came back less what was sent, and of what was sent.
    exact
        Whether the way from data to noise is the derived inverse.
    """
    try:
        lost = float(error) / float(size) if float(size) else 0.0
    except (TypeError, ValueError):  # of symbols
        return status
    if not status.ok or not lost > USELESS:
        return status
    why = (
        "the inverse amplifies rounding: take fewer slots, a gamma or p nearer to 1, or more digits"
        if exact
        else "this inversion is an approximation: take more slots, or a solver with an exact inverse"
    )
    return Status(
        ok=False, remedy=f"what comes back is useless, its error is {lost:.2g} times the size of what was sent: {why}"
    )


@dataclass(frozen=True, repr=False)
class Solution(Shown):
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
    inversion : str
        Of a run from data to noise: what took it there, such as "derived inverse" or "DDIM inversion (10)".

    Examples
    --------
    >>> from bdia_numerics import BDIA, grids, problems, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> model = problems.Gaussian([0.0], 0.25).model(grid.schedule)
    >>> solution = solve(BDIA(), model, grid, [[1.0]], return_trajectory=True)
    >>> solution.trajectory.shape, sorted(solution.state.registers)
    ((21, 1, 1), ['z', 'z_prev'])
    """

    z: Any
    state: State | None
    nfe: int
    status: Status = Status()
    trajectory: Any = None
    inversion: str = field(default="", kw_only=True)


share(Status, Solution)
tree(Status, "ok")
tree(Solution, "z", "state", "status", "trajectory")


@dataclass(frozen=True, eq=False)
class Course:
    """What is run, made ready once: plans, and whose states they take and leave.

    Attributes
    ----------
    solver, grid
        Of the run.
    plans
        Run one after the other: each begins with the registers that the one before it leaves.
    kind : str
        What the model predicts.
    noise_end : bool
        Whether the run ends at the noise end.
    own : str
        Which solver the states belong to, where that is known already.
    """

    solver: Solver
    grid: Grid
    plans: tuple[Plan, ...]
    kind: str = "eps"
    noise_end: bool = False
    own: str = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> Course:
        """Return itself: nothing in it changes."""
        return self

    @cached_property
    def shape(self) -> Structure:
        """Shape of the solver's step."""
        return structure(self.solver)

    @cached_property
    def identity(self) -> str:
        """Which solver the states belong to."""
        return self.own or identity(self.solver, self.grid)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The registers that hold states, the solution's first."""
        names = (r for r in self.shape.registers if r not in (self.shape.output, *self.shape.evaluations))
        return (self.shape.output, *names)

    @cached_property
    def result(self) -> str:
        """The register that the run is made for: the solution's, or at the noise end the state that is farthest there."""
        held = self.plans[-1].final
        return max(self.states, key=lambda r: held[r].time) if self.noise_end else self.shape.output

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The evaluations, in order."""
        return tuple(x for plan in self.plans for x in plan.tape if isinstance(x, Call))

    @property
    def times(self) -> list[float]:
        """The time of each evaluation."""
        return [float(call.t) for call in self.calls]

    @cached_property
    def previews(self) -> tuple[tuple[Any, Any] | None, ...]:
        """For each evaluation (a, b), with x0 = a z + b output; None where that diverges, and between the grid's times."""
        levels = {float(self.grid.t[i]): Point(*self.grid.level(i)) for i in range(self.grid.n + 1)}
        return tuple(_preview(self.kind, levels.get(t)) for t in self.times)


def _preview(kind: str, point: Point | None) -> tuple[Any, Any] | None:
    try:
        return None if point is None else x0_form(kind, point)
    except ValueError:
        return None


@dataclass(eq=False)
class Stepwise:
    """A run that is fed one model output at a time: the driver under `solve`, the schedulers and the gradients.

    Between two outputs it may be copied and pickled, and goes on from there.

    Parameters
    ----------
    course
        What to run.
    values
        Its inputs by name: the one state, or all registers.
    space
        The number system of the states.
    remainder
        Digits kept by the run before, in bit-exact arithmetic.
    stops
        Whether the run ends at the first state that is not finite, where that can be seen without halting a device.
    listen
        Called with the run before its first instruction and after each stage, while all its values stand.

    Attributes
    ----------
    call : Call or None
        The evaluation that the run waits for; None at its end.
    completed : int
        Stages of the plan that runs which are completed.
    status : Status
        Whether the registers so far are finite. On a device it is known at the end of the run only, since to look would halt it.
    place : int
        Model outputs taken.
    between : bool
        Whether none was taken since the last stage, so that `state` is where the run stands.
    store : dict
        The values that stand, by number.
    """

    course: Course
    values: InitVar[Mapping[str, Any]]
    space: Memory
    remainder: InitVar[Mapping[str, Any]] = MappingProxyType({})
    stops: bool = False
    listen: Callable[[Stepwise], None] | None = None
    call: Call | None = field(init=False, default=None)
    completed: int = field(init=False, default=0)
    status: Status = field(init=False, default=Status())
    place: int = field(init=False, default=0)
    between: bool = field(init=False, default=True)

    def __post_init__(self, values: Mapping[str, Any], remainder: Mapping[str, Any]) -> None:
        self._flags: list[Any] = []  # what a device found, read in one go at the end
        self._leg = 0
        self._enter(values, remainder)
        self._advance()

    def _enter(self, values: Mapping[str, Any], remainder: Mapping[str, Any]) -> None:
        """Begin the next plan."""
        plan = self.plan
        self.store = {plan.inputs[name].number: value for name, value in values.items()}
        self._at = self.completed = 0
        plan.arithmetic.enter(self.store, remainder)
        if plan.stages:
            plan.arithmetic.begin(plan.stages[0], self.store)
        if self.listen is not None:
            self.listen(self)

    @property
    def plan(self) -> Plan:
        """The plan that runs."""
        return self.course.plans[self._leg]

    @property
    def stage(self) -> Stage | None:
        """The last stage that was completed; None before the first of a plan."""
        return self.plan.stages[self.completed - 1] if self.completed else None

    @property
    def held(self) -> Mapping[str, Held]:
        """What the registers hold after the last stage."""
        stage = self.stage
        return self.plan.inputs if stage is None else stage.held

    @property
    def done(self) -> bool:
        """Whether no output is awaited any more."""
        return self.call is None

    @property
    def asks(self) -> tuple[Any, Any] | None:
        """The value and the time at which the model is to be evaluated; None at the end of the run."""
        if self.call is None:
            return None
        return self.plan.arithmetic.argument(self.call.argument, self.store), self.call.t

    @property
    def value(self) -> Any:
        """Where the model is to be evaluated next; in the end the result."""
        if self.call is not None:
            return self.store[self.call.argument]
        # A start that failed has registers of its own.
        held = self.held
        return self.store[held.get(self.course.result, next(iter(held.values()))).number]

    @property
    def whole(self) -> bool:
        """Whether the registers are those of the solver: not before its first states are made."""
        stage = self.stage
        return self.plan.begun if stage is None else stage.whole

    @property
    def registers(self) -> dict[str, Any]:
        """What the registers hold after the last stage; they stand while the run waits for an output of the next."""
        return {name: self.store[h.number] for name, h in self.held.items()}

    @property
    def state(self) -> State | None:
        """The registers after the last stage, from which the opposite run starts exactly; None while they are being made."""
        if not self.whole:
            return None
        course = self.course
        times = {name: course.grid.offset + h.time for name, h in self.held.items()}
        kept = self.plan.arithmetic.remainder(self.store)
        return State(course.identity, course.grid.root, self.registers, times, kept, course.kind)

    def feed(self, output: Any, sample: Any = None) -> None:
        """Take the model's output and go on to the next evaluation, or to the end.

        A `sample`, where given, takes the place of the value at which the model was evaluated.

        Raises
        ------
        ValueError
            At the end of the run.
        """
        x = self.call
        if x is None:
            raise ValueError(f"all {self.place} outputs of the run are taken: begin another run")
        if sample is not None:
            self.store[x.argument] = sample
        self._advance(outputs=[output])

    def finish(self, model: Model) -> Stepwise:
        """Take the outputs of a model to the end, and return the run itself.

        An exception that the model raises is given the State before its slot as `partial`.
        """
        if self.call is not None:
            self._advance(model)
        return self

    def _ask(self, model: Model, call: Call) -> Any:
        arithmetic, space, t = self.plan.arithmetic, self.space, call.t
        try:
            z = arithmetic.argument(call.argument, self.store)
            output = space.asked(model, z, t)
            if not (space.holds(output) and output.shape == z.shape):  # at a glance
                _check_output(space, output, z, t)
            return output
        except Exception as error:
            arithmetic.abandon(self.store)  # `state` is that before the slot
            if (state := self.state) is not None:
                error.partial = state  # type: ignore[attr-defined]
            raise

    def _advance(self, model: Model | None = None, outputs: list[Any] | None = None) -> None:
        """Carry out instructions up to an evaluation for which there is neither a model nor an output, or to the end."""
        space = self.space
        with space.working():
            while True:
                # This is done once a step, and costs as much as small states do: no property and no call more than it takes.
                plan, store = self.course.plans[self._leg], self.store
                tape, carry_out, receive = plan.tape, plan.arithmetic.carry_out, plan.arithmetic.receive
                for k in range(self._at, len(tape)):
                    x = tape[k]
                    if isinstance(x, Call):
                        if model is not None:
                            output = self._ask(model, x)
                        elif outputs:
                            output = outputs.pop()
                        else:
                            self.call, self._at = x, k
                            return
                        receive(x, output, store, space)
                        self.place += 1
                        self.between = False
                        continue
                    if not isinstance(x, Stage):
                        carry_out(x, store, space)
                        continue
                    self.completed += 1
                    self.between = True
                    for register, number in x.fresh:
                        if (finite := space.finite(store[number])) is not True:
                            self._found(finite, x.slot, register)
                    if not self.status.ok and self.stops:
                        break
                    if self.listen is not None:
                        with space.working():  # whatever precision it leaves
                            self.listen(self)
                    for n in x.dead:
                        store.pop(n, None)
                    if self.completed < len(plan.stages):
                        plan.arithmetic.begin(plan.stages[self.completed], store)
                if self._leg + 1 == len(self.course.plans) or (self.stops and not self.status.ok):
                    self.call = None
                    self._read()
                    return
                left = self.registers, plan.arithmetic.remainder(store)
                self._leg += 1
                self._enter(*left)

    def _found(self, finite: Any, slot: int, register: str) -> None:
        """Remember the first register that is not finite, on a device what will tell it."""
        if self.space.deferred:
            self._flags.append((finite, slot, register))
        elif not finite and self.status.ok:
            self.status = Status(False, slot, register, remedy=self.space.remedy)

    def _read(self) -> None:
        """Read what a device found in the course of the run."""
        flags = self.space.read([flag for flag, *_ in self._flags])
        if not all(isinstance(flag, bool) for flag in flags):  # a traced program will tell
            self.status = Status(reduce(and_, flags), remedy=self.space.remedy)
            return
        for finite, (_, slot, register) in zip(flags, self._flags, strict=True):
            if not finite and self.status.ok:
                self.status = Status(False, slot, register, remedy=self.space.remedy)


@dataclass
class _Watch:
    """What `solve` and its kin do with a run between its stages: keep its states, show them."""

    course: Course
    return_trajectory: bool
    callback: Callback | None
    trajectory: Any = None

    def __call__(self, run: Stepwise) -> None:
        if self.return_trajectory:
            self._keep(run)
        if self.callback is not None and run.stage is not None and (state := run.state) is not None:
            self.callback(run.stage.reached, state)

    def _keep(self, run: Stepwise) -> None:
        states = [run.held[r] for r in self.course.states if r in run.held]
        if run.stage is None:
            self._kept: set[int] = set()
        for number, time in states or run.held.values():
            if self.trajectory is None:
                self.trajectory = run.space.history(self.course.grid.n + 1, run.store[number])
            if time not in self._kept:
                self.trajectory[time] = run.store[number]
                self._kept.add(time)


def drive(
    course: Course,
    model: Model,
    values: Mapping[str, Any],
    space: Space,
    return_trajectory: bool = False,
    callback: Callback | None = None,
    remainder: Mapping[str, Any] = MappingProxyType({}),
) -> Solution:
    """Run a course with a model; arguments as of `solve` and of `Stepwise`."""
    watch = _Watch(course, return_trajectory, callback)
    listen = watch if return_trajectory or callback is not None else None
    run = Stepwise(course, values, space, remainder, stops=True, listen=listen).finish(model)
    kept = None if watch.trajectory is None else space.stacked(watch.trajectory)
    return Solution(run.plan.arithmetic.shown(run.value), run.state, run.place, run.status, kept)


def _check_output(space: Memory, output: Any, z: Any, t: Any) -> None:
    """Raise TypeError or ValueError where a run cannot take what a model returned."""
    if hasattr(output, "sample") and not hasattr(output, "shape"):
        raise TypeError(
            f"model(z, t={t}) is a {type(output).__name__}: wrap the network in bdia_numerics.torch.NetworkModel"
        )
    name = f"model(z, t={t})"
    admitted(space, name, plain(name, shaped(name, output, z)))
