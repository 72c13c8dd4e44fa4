"""The driver: a plan run against a model, with the state watched, shown and kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Plan, Solver, Structure, identity, structure
from bdia_numerics.program.ops import Held
from bdia_numerics.spaces import Space, admitted, plain
from bdia_numerics.state import State
from bdia_numerics.values import share

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
    remedy : str
        What to change, where the number system is to blame.
    """

    ok: bool = True
    slot: int | None = None
    register: str | None = None
    remedy: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        what = f"register {self.register} is not finite after slot i={self.slot}"
        return "ok" if self.ok else ": ".join(filter(None, (what, self.remedy)))


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
    inversion : str
        Of a run from data to noise: what took it there, such as "derived inverse" or "DDIM inversion (10)".
    """

    z: Any
    state: State | None
    nfe: int
    status: Status = Status()
    trajectory: Any = None
    inversion: str = field(default="", kw_only=True)


share(Status, Solution)


@dataclass
class Driver:
    """One run of a plan: `go` to a Solution, or `go_on` to the registers alone."""

    solver: Solver
    model: Model
    grid: Grid
    space: Space
    plan: Plan
    return_trajectory: bool
    callback: Callback | None
    remainder: Mapping[str, Any] = field(default_factory=dict)
    nfe: int = 0
    own: str = ""

    @cached_property
    def shape(self) -> Structure:
        """Shape of the solver's step."""
        return structure(self.solver)

    @cached_property
    def identity(self) -> str:
        """Which solver the states belong to."""
        return self.own or identity(self.solver, self.grid)

    def go(self, inputs: dict[str, Any], *, noise_end: bool) -> Solution:
        status = self.go_on(inputs)
        shape = self.shape
        held = self.held
        if set(held) != set(shape.registers):  # the start itself failed
            first = next(iter(held.values()))
            return Solution(self._shown(first), None, self.nfe, status, self.trajectory)
        order = [shape.output, *(name for name in shape.registers if name not in (shape.output, *shape.evaluations))]
        name = max(order, key=lambda r: held[r].time) if noise_end else shape.output
        return Solution(self._shown(held[name]), self._state(held), self.nfe, status, self.trajectory)

    def go_on(self, inputs: dict[str, Any]) -> Status:
        self.store = {self.plan.inputs[name].number: value for name, value in inputs.items()}
        self.plan.arithmetic.enter(self.store, self.remainder)
        self.held = self.plan.inputs
        self.trajectory: Any = None
        self._keep()
        owned: set[int] = set()
        unread: list[tuple[Any, int, str]] = []
        deferred = self.space.deferred
        with self.space.working():
            for stage in self.plan.stages:
                try:
                    self._drive(self.plan.arithmetic.execute(stage.instructions, self.store, owned, self.space))
                except Exception as error:
                    if set(self.held) == set(self.shape.registers):
                        error.partial = self._state(self.held)  # type: ignore[attr-defined]
                    raise
                seen = {h.number for h in self.held.values()}
                self.held = stage.held
                for register, h in stage.held.items():
                    if h.number in seen:  # handed on from another register
                        continue
                    finite = self.space.finite(self.store[h.number])
                    if deferred:
                        unread.append((finite, stage.slot, register))
                    elif not finite:
                        return Status(False, stage.slot, register, remedy=self.space.remedy)
                self._keep()
                if self.callback is not None and set(self.held) == set(self.shape.registers):
                    with self.space.working():
                        self.callback(stage.reached, self._state(stage.held))
                for number in stage.dead:
                    self.store.pop(number, None)
                    owned.discard(number)
        for finite, (_, slot, register) in zip(self.space.read([flag for flag, *_ in unread]), unread, strict=True):
            if not finite:
                return Status(False, slot, register, remedy=self.space.remedy)
        return Status()

    def registers(self, held: Mapping[str, Held]) -> dict[str, Any]:
        return {name: self.store[h.number] for name, h in held.items()}

    def _state(self, held: Mapping[str, Held]) -> State:
        times = {name: self.grid.offset + h.time for name, h in held.items()}
        remainder = self.plan.arithmetic.remainder(self.store)
        return State(self.identity, self.grid.root, self.registers(held), times, remainder, prediction_of(self.model))

    def _shown(self, held: Held) -> Any:
        return self.plan.arithmetic.shown(self.store[held.number])

    def _drive(self, requests: Generator[tuple[Any, Any], Any, None]) -> None:
        with closing(requests):
            try:
                z, t = next(requests)
                while True:
                    self.nfe += 1
                    version = self.space.version(z)
                    with self.space.working():  # whatever precision the model leaves
                        output = self.model(_protected(z), t)
                    if self.space.version(z) != version:
                        raise ValueError(
                            f"model(z, t={t}) wrote into z, which the run still needs: let it work on a copy"
                        )
                    z, t = requests.send(self._output(output, z, t))
            except StopIteration:
                return

    def _output(self, output: Any, z: Any, t: Any) -> Any:
        if self.space.holds(output) and output.shape == z.shape:
            return output
        if hasattr(output, "sample") and not hasattr(output, "shape"):
            raise TypeError(
                f"model(z, t={t}) is a {type(output).__name__}: wrap the network in bdia_numerics.torch.NetworkModel"
            )
        if np.shape(output) != np.shape(z):
            raise ValueError(
                f"model(z, t={t}) has shape {np.shape(output)}, z has {np.shape(z)}: return an array like z"
            )
        admitted(self.space, f"model(z, t={t})", plain(f"model(z, t={t})", output))
        return output

    def _keep(self) -> None:
        if not self.return_trajectory:
            return
        shape = self.shape
        states = [
            self.held[r] for r in (shape.output, *shape.registers) if r in self.held and r not in shape.evaluations
        ]
        for number, time in states or self.held.values():
            if self.trajectory is None:
                self.trajectory = self.space.history(self.grid.n + 1, self.store[number])
                self._kept: set[int] = set()
            if time not in self._kept:
                self.trajectory[time] = self.store[number]
                self._kept.add(time)


def _protected(z: Any) -> Any:
    """Return a view that a model cannot write to: z is a state that the run still needs, or the caller's own array."""
    if not isinstance(z, np.ndarray):
        return z
    view = z.view()
    view.setflags(write=False)
    return view
