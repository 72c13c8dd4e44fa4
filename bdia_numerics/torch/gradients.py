"""Gradients of a whole run in memory that does not grow with its steps: states are rebuilt by the derived inverse.

    from bdia_numerics.torch import gradients

    found = gradients.solve(BDIA(), model, grid, z)
    loss(found.z).backward()  # z.grad, and the .grad of the network's parameters

Back-propagation walks the slots of a run backwards. At each it undoes the slot by the derived inverse, which evaluates the model where the
run did, and pulls the adjoints of the registers back through the same instructions that the run carried out. No formula of any
solver stands here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.program import NotInvertibleError, Plan, Solver, inverse_run, make_plan, record_steps
from bdia_numerics.program.plan import Call, Instruction
from bdia_numerics.runs import solving
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Callback, Course, Model, Solution, Stepwise
from bdia_numerics.spaces import Space, of
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import shown
from bdia_numerics.torch.networks.jacobians import Store, pull, recorded, recording

__all__ = ["invert", "solve"]


@ordered
def solve(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: torch.Tensor | State,
    start: Any = None,
    *,
    parameters: Iterable[torch.Tensor] | None = None,
    checkpoints: int = 0,
    tolerance: float = 1e-3,
) -> Solution:
    """Run an exactly invertible solver from noise to data, differentiably, holding a few states whatever the number of slots.

    Parameters
    ----------
    solver, model, grid, z, start
        As for `bdia_numerics.solve`: tensors of shape (*batch, *data). The model is evaluated once more at each point on the way back, so
        it must give the same output again (dropout off).
    parameters
        Tensors besides z that the model depends on and whose gradients are wanted, of which those count that require gradients; the
        parameters of the model's network by default.
    checkpoints
        How many states, equally far apart, are kept besides the two ends. Rebuilding begins anew at each: the remedy where the
        inverse magnifies rounding (gamma < 1, long runs), and memory grows with them.
    tolerance
        The beginning of the run is rebuilt from its end. If its relative error (root mean square) exceeds this, the gradients are that far
        off, and a RuntimeWarning says so. It is always compared, and costs one state.

    Returns
    -------
    Solution
        Its `.z` and the registers of its `.state` carry the graph. A run that was not finite carries none; see `.status`.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the step cannot be undone, with the reason.
    ValueError
        For a model that depends on other tensors that require gradients, one that records none, and as `bdia_numerics.solve`.

    Notes
    -----
    The graph of one evaluation stands at a time, and its memory is all that a run takes besides its states; of two for BDIA2 and of three
    for BDIA3, which undo a step with evaluations of steps before it. The start of a multistep solver, at most three slots, keeps its
    states; what its evaluations would be remembered for is evaluated again, which takes BDIA2 one more and BDIA3 two. The gradient has no
    derivative of its own.
    """
    model = recording(model)
    if isinstance(z, State):
        registers, nfe = dict(z.registers), 0
    else:
        # Each evaluation of the start keeps its argument instead of its graph, which is made again when its adjoint has come.
        remade = Predicting(lambda z, t: checkpoint(model, z, t, use_reentrant=False), prediction_of(model))
        registers, nfe, status = solving.begun(solver, remade, grid, z, start)
        if not status.ok:
            return solving.solve(solver, model, grid, z.detach(), start)

    def go(values: dict[str, torch.Tensor], callback: Callback | None) -> Solution:
        if isinstance(z, State):
            return solving.solve(solver, model, grid, replace(z, registers=values), callback=callback)
        return solving.solve(solver, model, grid, z.detach(), values, callback=callback)

    job = _job(solver, model, grid, registers, go, parameters, checkpoints, tolerance, direction="sample")
    found = job.apply(registers)
    return replace(found, nfe=found.nfe + nfe)


@ordered
def invert(
    solver: Solver,
    model: Model,
    grid: Grid,
    state: State,
    *,
    parameters: Iterable[torch.Tensor] | None = None,
    checkpoints: int = 0,
    tolerance: float = 1e-3,
) -> Solution:
    """Run the derived inverse from data to noise, differentiably; its states are rebuilt by the steps of the solver.

    Parameters
    ----------
    solver, model, grid, state
        As for `bdia_numerics.invert`; the registers of the state may require gradients.
    parameters, checkpoints, tolerance
        As for `solve`.

    Returns
    -------
    Solution
        As of `solve`.

    Raises
    ------
    NotInvertibleError, ValueError
        As `solve` and `bdia_numerics.invert`.
    """
    model = recording(model)

    def go(values: dict[str, torch.Tensor], callback: Callback | None) -> Solution:
        return solving.invert(solver, model, grid, replace(state, registers=values), callback=callback)

    registers = dict(state.registers)
    job = _job(solver, model, grid, registers, go, parameters, checkpoints, tolerance, direction="invert")
    return job.apply(registers)


def _job(
    solver: Solver,
    model: Model,
    grid: Grid,
    registers: Mapping[str, torch.Tensor],
    go: Callable[[dict[str, torch.Tensor], Callback | None], Solution],
    parameters: Iterable[torch.Tensor] | None,
    checkpoints: object,
    tolerance: float,
    *,
    direction: str,
) -> ReversibleRun:
    some = next(iter(registers.values()))
    if not isinstance(some, torch.Tensor):
        raise TypeError(f"z is a {type(some).__name__}: gradients are those of tensors, pass torch.from_numpy(z)")
    if isinstance(checkpoints, bool) or not isinstance(checkpoints, int) or checkpoints < 0:
        raise ValueError(f"checkpoints={shown(checkpoints)}: pass the number of states to keep, 0 or more")
    space, kind = of(some), prediction_of(model)
    steps = record_steps(solver, grid, kind)
    try:
        undone, _ = inverse_run(steps)
    except NotInvertibleError:
        solving.inverse_plan(solver, grid, kind, space)  # raises the same with the condition and the remedy
        raise
    way, home = (steps, undone) if direction == "sample" else (undone, steps)
    there = make_plan(way, space.scalars)
    back = Course(solver, grid, (make_plan(home, space.scalars, rebuilding=True),), kind)
    result = Course(solver, grid, (there,), kind, noise_end=direction == "invert").result
    given = _parameters(model) if parameters is None else parameters
    wanted = tuple(x for x in given if x.requires_grad)
    count = len(there.stages)
    places = {round(k * count / (checkpoints + 1)) for k in range(1, checkpoints + 1)} - {0, count}
    kept_at = frozenset(there.stages[k - 1].reached for k in places)
    return ReversibleRun(there, back, result, model, space, go, wanted, kept_at, tolerance)


def _parameters(model: Any) -> Iterable[torch.Tensor]:
    while model is not None and not isinstance(model, torch.nn.Module):
        model = getattr(model, "network", None) or getattr(model, "model", None)
    return () if model is None else model.parameters()


@dataclass
class ReversibleRun:
    """One run: its plan, the plan that undoes it, the register that it shows, and what its back-propagation needs."""

    there: Plan
    back: Course
    result: str
    model: Model
    space: Space
    go: Callable[[dict[str, torch.Tensor], Callback | None], Solution]
    parameters: tuple[torch.Tensor, ...]
    kept_at: frozenset[int]
    tolerance: float
    solution: Solution | None = None
    kept: dict[int, Mapping[str, torch.Tensor]] = field(default_factory=dict)

    def apply(self, registers: dict[str, torch.Tensor]) -> Solution:
        order = list(self.there.inputs)
        found = _Reversible.apply(self, *(registers[name] for name in order), *self.parameters)  # type: ignore[no-untyped-call]
        solution = self.solution
        assert solution is not None
        if not solution.status.ok or solution.state is None:
            return solution
        # The registers with their graph: `.z` is the one of them that the plain run shows.
        held = dict(zip(self.there.final, found, strict=True))
        return replace(solution, z=held[self.result], state=replace(solution.state, registers=held))

    def forward(self, values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        def keep(index: int, state: State) -> None:
            if index in self.kept_at:
                self.kept[index] = state.registers

        named = dict(zip(self.there.inputs, values, strict=True))
        self.solution = self.go(named, keep if self.kept_at else None)
        assert self.solution.state is not None
        return tuple(self.solution.state.registers[name] for name in self.there.final)

    def backward(
        self, first: tuple[torch.Tensor, ...], last: tuple[torch.Tensor, ...], weights: tuple[torch.Tensor, ...]
    ) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
        """Return the adjoints of the registers at the beginning, and the gradients of the parameters."""
        ends, begins = [h.number for h in self.there.final.values()], [h.number for h in self.there.inputs.values()]
        adjoints: Store = dict(zip(ends, weights, strict=True))
        tape, done = _Tape(self, adjoints), self.there.stages[::-1]

        def pulled(run: Stepwise) -> None:
            """Pull the adjoints through the rest of the slot that is undone, and let the next one begin with what was kept of it."""
            if run.completed:
                tape.pull(run.store, ends=True)
            if run.completed < len(done):
                slot = done[run.completed]
                tape.left = list(slot.instructions)
                for name, value in self.kept.get(slot.reached, {}).items():
                    run.store[slot.held[name].number] = value

        run = Stepwise(self.back, dict(zip(self.back.plans[0].inputs, last, strict=True)), self.space, listen=pulled)
        while (call := run.call) is not None:
            tape.pull(run.store)  # the graph of the evaluation before goes before that of this one is made
            run.feed(tape.asked(call.target, run.store[call.argument], call.t))
        self._compare([run.store[n] for n in begins], first)
        return [adjoints.get(n) for n in begins], tape.gradients

    def _compare(self, rebuilt: list[torch.Tensor], first: tuple[torch.Tensor, ...]) -> None:
        errors = [self.space.rms(a - b) for a, b in zip(rebuilt, first, strict=True)]
        sizes = [self.space.rms(b) for b in first]
        worst = max(e / s if s else e for e, s in zip(errors, sizes, strict=True))
        if not worst <= self.tolerance:
            warnings.warn(
                f"the beginning of the run was rebuilt with relative error {worst:.1e}, more than tolerance={self.tolerance:g}, so its "
                "gradients have an error of this size: pass checkpoints=, take float64 (analysis.required_dtype with tensors=True names "
                "the format), or switch dropout off",
                RuntimeWarning,
                stacklevel=2,
            )


class _Tape:
    """Evaluations of one backward pass, each with its graph until its adjoint has come; and what is left of the slot that is undone."""

    def __init__(self, job: ReversibleRun, adjoints: Store) -> None:
        self.job, self.adjoints = job, adjoints
        self.left: list[Instruction] = []
        self.graphs: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.gradients: list[torch.Tensor | None] = [None] * len(job.parameters)
        self.checked = False

    def pull(self, values: Store, *, ends: bool = False) -> None:
        """Pull the adjoints back through the slot as far as its evaluations are known, or to its beginning.

        The last evaluation of a slot is the first that its undoing asks for, so that one graph stands at a time.
        """

        def slope(number: int, weight: torch.Tensor) -> torch.Tensor:
            z, output = self.graphs.pop(number)
            found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
                output, (z, *self.job.parameters), weight, allow_unused=True
            )
            for k, gradient in enumerate(found[1:]):
                if gradient is not None:
                    have = self.gradients[k]
                    self.gradients[k] = gradient if have is None else have + gradient
            return torch.zeros_like(z) if found[0] is None else found[0]

        while self.left:
            x = self.left[-1]
            if isinstance(x, Call) and x.target in self.adjoints and x.target not in self.graphs:
                if not ends:
                    return
                self.asked(x.target, values[x.argument], x.t)  # undoing the slot did not need this evaluation
            pull([self.left.pop()], self.adjoints, slope, self.job.space)

    def asked(self, number: int, z: torch.Tensor, t: Any) -> torch.Tensor:
        """Return the model's output, and keep its graph."""
        leaf, output = recorded(self.job.model, z, t)
        if not self.checked:
            _refuse_strangers(output, (leaf, *self.job.parameters))
            self.checked = True
        self.graphs[number] = (leaf, output)
        return output.detach()


class _Reversible(torch.autograd.Function):
    """A run whose graph is its two ends."""

    @staticmethod
    def forward(ctx: Any, job: ReversibleRun, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        count = len(job.there.inputs)
        first = tuple(x.detach() for x in tensors[:count])
        last = job.forward(first)
        ctx.job, ctx.count = job, count
        ctx.save_for_backward(*tensors[:count], *last)
        return last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *weights: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = ctx.saved_tensors
        registers, parameters = ctx.job.backward(saved[: ctx.count], saved[ctx.count :], weights)
        return (None, *registers, *parameters)


def _refuse_strangers(output: torch.Tensor, known: tuple[torch.Tensor, ...]) -> None:
    """Raise unless the graph of an output ends in known tensors: other gradients would be lost without a word."""
    ends, leaves = {x.grad_fn for x in known} - {None}, {id(x) for x in known}
    stack, seen = [output.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen or node in ends:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in leaves:
            raise ValueError(
                f"the model depends on a tensor of shape {tuple(variable.shape)} that requires gradients and is not among parameters: "
                "pass it in parameters=, or detach it"
            )
        stack.extend(parent for parent, _ in node.next_functions)
