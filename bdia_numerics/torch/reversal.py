"""One run whose graph is its two ends: back-propagation undoes it slot by slot, by the plan that undoes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from bdia_numerics.models import prediction_of
from bdia_numerics.program import Plan
from bdia_numerics.program.plan import Call, Instruction
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Callback, Course, Model, Solution, Stepwise
from bdia_numerics.spaces import Space
from bdia_numerics.torch.linear import Store, pull


@dataclass
class ReversibleRun:
    """One run: its plan, the plan that undoes it, and what its back-propagation needs."""

    there: Plan
    back: Course
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
        shown = next(name for name, value in solution.state.registers.items() if torch.equal(value, solution.z))
        return replace(solution, z=held[shown], state=replace(solution.state, registers=held))

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
            if isinstance(x, Call) and x.target not in self.graphs:
                if not ends:
                    return
                self.asked(x.target, values[x.argument], x.t)  # undoing the slot did not need this evaluation
            pull([self.left.pop()], self.adjoints, slope, self.job.space)

    def asked(self, number: int, z: torch.Tensor, t: Any) -> torch.Tensor:
        """Return the model's output, and keep its graph."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            output = self.job.model(leaf, t)
        if not output.requires_grad:
            raise ValueError(
                f"model(z, t={t}) records no gradient: let it compute outside torch.no_grad and inference_mode"
            )
        if not self.checked:
            _refuse_strangers(output, (leaf, *self.job.parameters))
            self.checked = True
        self.graphs[number] = (leaf, output)
        detached: torch.Tensor = output.detach()
        return detached


@dataclass(frozen=True)
class OneByOne:
    """A model whose evaluations keep their arguments instead of their graphs: each graph is made again when its adjoint has come."""

    model: Model

    @property
    def prediction(self) -> str:
        """What the model predicts."""
        return prediction_of(self.model)

    def __call__(self, z: torch.Tensor, t: Any) -> Any:
        """Return the model's output."""
        return checkpoint(self.model, z, t, use_reentrant=False)


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
