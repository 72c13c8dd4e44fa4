"""Runs that are fed one model output at a time, by a loop that is not ours: what the schedulers for diffusers are made of.

The plans are those of `solve`, `invert` and `encode`; here they wait at each evaluation for the caller to bring the model's output.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bdia_numerics.driver import Status
from bdia_numerics.grids import Grid, Point
from bdia_numerics.models import x0_form
from bdia_numerics.program import Plan, Solver, execute, identity, make_plan, record_run, record_steps, structure
from bdia_numerics.program.ops import Held
from bdia_numerics.program.plan import Call, Stage, Sum
from bdia_numerics.program.trace import Run, record_begin
from bdia_numerics.run import inverse_plan, starter_of
from bdia_numerics.spaces import FLOAT64
from bdia_numerics.state import State


@dataclass(frozen=True)
class Leg:
    """A plan, and the register whose states, by the index reached, are handed to the next leg; None hands on the registers."""

    plan: Plan
    chained: str | None = None


@dataclass(frozen=True)
class Course:
    """Plans that are run one after the other.

    Attributes
    ----------
    solver, grid
        Of the run.
    legs
        The plans.
    kind
        What the model predicts.
    entry
        The name of the one input, or None where the run begins from the registers of a State.
    noise_end : bool
        Whether the run ends at the noise end.
    """

    solver: Solver
    grid: Grid
    legs: tuple[Leg, ...]
    kind: str
    entry: str | None
    noise_end: bool

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The evaluations, in order."""
        stages = (stage for leg in self.legs for stage in leg.plan.stages)
        return tuple(x for stage in stages for x in stage.instructions if isinstance(x, Call))

    @property
    def times(self) -> list[float]:
        """The time of each evaluation."""
        return [float(call.t) for call in self.calls]

    @cached_property
    def previews(self) -> tuple[tuple[Any, Any] | None, ...]:
        """For each evaluation (a, b), with x0 = a z + b output; None where that diverges, and between the grid's times."""
        levels = {float(self.grid.t[i]): Point(*self.grid.level(i)) for i in range(self.grid.n + 1)}
        return tuple(_preview(self.kind, levels.get(t)) for t in self.times)

    @cached_property
    def result(self) -> str:
        """The register that the run is made for: the output, or at the noise end the state that is farthest there."""
        shape, final = structure(self.solver), self.legs[-1].plan.final
        names = [shape.output, *(r for r in shape.registers if r not in (shape.output, *shape.evaluations))]
        return max(names, key=lambda r: final[r].time) if self.noise_end else shape.output


def _preview(kind: str, point: Point | None) -> tuple[Any, Any] | None:
    try:
        return None if point is None else x0_form(kind, point)
    except ValueError:
        return None


def sampling(solver: Solver, grid: Grid, kind: str) -> Course:
    """Return the run of `solve` from z_N: the start, then the steps; `kind` is what the model predicts."""
    leg = Leg(_plan(record_run(solver, starter_of(solver), grid, kind)))
    return Course(solver, grid, (leg,), kind, "z", noise_end=False)


def resumed(solver: Solver, grid: Grid, kind: str) -> Course:
    """Return the run of `solve` from the State of the noise end."""
    return Course(solver, grid, (Leg(_plan(record_steps(solver, grid, kind))),), kind, None, noise_end=False)


def inverting(solver: Solver, grid: Grid, kind: str) -> Course:
    """Return the run of `invert`; NotInvertibleError where there is no exact inverse."""
    leg = Leg(_lasting(inverse_plan(solver, grid, kind, FLOAT64)))
    return Course(solver, grid, (leg,), kind, None, noise_end=True)


def encoding(solver: Solver, grid: Grid, kind: str) -> Course:
    """Return the run of `encode` from x_0: the start program on the reversed grid, then the derived inverse."""
    inverse, depth = inverting(solver, grid, kind), structure(solver).depth
    legs = (Leg(_plan(record_begin(solver, grid, 0, kind))), *inverse.legs)
    if not depth:
        return Course(solver, grid, legs, kind, "z0", noise_end=True)
    starter, mirror = starter_of(solver), grid.reversed()[grid.n - depth : grid.n]
    first = Leg(_plan(record_run(starter, starter_of(starter), mirror, kind)), structure(starter).output)
    return Course(solver, grid, (first, *legs), kind, "z", noise_end=True)


def _plan(run: Run) -> Plan:
    return _lasting(make_plan(run, FLOAT64))


def _lasting(plan: Plan) -> Plan:
    """Return a plan that writes over no value: each may have been handed out."""
    stages = (
        replace(
            stage, instructions=tuple(replace(x, reuse=None) if isinstance(x, Sum) else x for x in stage.instructions)
        )
        for stage in plan.stages
    )
    return replace(plan, stages=tuple(stages))


@dataclass
class Stepwise:
    """One run of a course; `value` is where the model is to be asked next, or the result when `done`.

    Parameters
    ----------
    course
        What to run.
    values
        Its inputs by name: the entry, or all registers.
    space
        The number system of the states.

    Attributes
    ----------
    status : Status
        Whether the registers so far are finite. On a device it is known at the end of the run only, since to look would halt it.
    """

    course: Course
    values: Mapping[str, Any]
    space: Any
    value: Any = field(init=False)
    place: int = field(init=False, default=0)
    done: bool = field(init=False, default=False)
    status: Status = field(init=False, default=Status())

    def __post_init__(self) -> None:
        self._whole: tuple[int, dict[str, int], dict[str, Any]] | None = None
        self._held: dict[str, Held] = {}
        self._unread: list[tuple[Any, Status]] = []
        self._requests = self._run()
        self._advance(None)

    def feed(self, output: Any, sample: Any = None) -> Any:
        """Take the model's output at `value` and return the next `value`.

        A `sample`, where given, takes the place of the value at which the model was evaluated.
        """
        if sample is not None:
            self._store[self.course.calls[self.place].argument] = sample
        self.place += 1
        self._advance(output)
        return self.value

    @property
    def state(self) -> State | None:
        """The registers after a whole slot or at the end of the run, from which the opposite run starts exactly; None between."""
        if self._whole is None or not (self.done or self._whole[0] == self.place):
            return None
        _, times, values = self._whole
        course = self.course
        own = identity(course.solver, course.grid)
        return State(own, course.grid.root, values, times, prediction=course.kind)

    def _advance(self, output: Any) -> None:
        try:
            self.value, _ = next(self._requests) if self.place == 0 else self._requests.send(output)
        except StopIteration:
            self.done, self.value = True, self.values[self.course.result]
            for finite, (_, bad) in zip(self.space.read([flag for flag, _ in self._unread]), self._unread, strict=True):
                self.status = self.status if finite or not self.status.ok else bad

    def _run(self) -> Generator[tuple[Any, Any], Any, None]:
        for leg in self.course.legs:
            plan = leg.plan
            self._store = {plan.inputs[name].number: value for name, value in self.values.items()}
            chain = {0: self.values["z"]} if leg.chained else {}
            for stage in plan.stages:
                yield from execute(stage.instructions, self._store, set(), self.space)
                self._look(stage, leg)
                if leg.chained in stage.held:
                    # The index on the reversed part counts from its other end.
                    chain[structure(self.course.solver).depth - stage.reached] = self._store[
                        stage.held[leg.chained].number
                    ]
                for number in stage.dead:
                    self._store.pop(number, None)
            held = {name: self._store[h.number] for name, h in plan.final.items()}
            if leg is self.course.legs[-1]:
                self._keep(plan.final)
            self.values = {f"z{k}": value for k, value in chain.items()} if leg.chained else held

    def _look(self, stage: Stage, leg: Leg) -> None:
        """Look at the registers that a stage has changed, and keep them all where the step is a whole one."""
        depth = structure(self.course.solver).depth
        # The index on the reversed part counts from its other end.
        slot = depth + 1 - stage.slot if leg.chained else stage.slot
        seen = {held.number for held in self._held.values()}
        for register, held in stage.held.items():
            if held.number in seen:  # handed on from another register
                continue
            finite = self.space.finite(self._store[held.number])
            bad = Status(False, slot, register, remedy=self.space.remedy)
            if self.space.deferred:
                self._unread.append((finite, bad))
            elif not finite and self.status.ok:
                self.status = bad
        self._held = stage.held
        if leg is self.course.legs[-1] and set(stage.held) == set(structure(self.course.solver).registers):
            self._keep(stage.held)

    def _keep(self, held: Mapping[str, Held]) -> None:
        times = {name: self.course.grid.offset + h.time for name, h in held.items()}
        self._whole = self.place, times, {name: self._store[h.number] for name, h in held.items()}
