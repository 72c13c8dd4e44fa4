"""A run made ready for arrays: coefficients rounded once, lifetimes decided, buffers chosen; and its interpreter."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from bdia_numerics.program.meaning import rows
from bdia_numerics.program.ops import Evaluate, Held
from bdia_numerics.program.trace import Run, Segment
from bdia_numerics.spaces import Space


@dataclass(frozen=True, slots=True)
class Call:
    """Ask for the model's output. `copy` where it must outlive a later call, since a model may reuse its buffer."""

    target: int
    argument: int
    t: Any
    copy: bool
    dead: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """One linear combination, written into the buffer of `reuse`, a value that ends here, if the run owns it."""

    target: int
    coefficients: tuple[Any, ...]
    sources: tuple[int, ...]
    reuse: int | None
    dead: tuple[int, ...]


Instruction = Call | Sum | Any
"""A number system with other operations adds instructions of its own: dataclasses with `target`, `sources` and `dead`."""


class Arithmetic:
    """How the instructions of a plan are run, and what a run keeps besides its registers.

    Numbers are combined as they are, and nothing is kept besides; a lattice has an arithmetic of its own.
    """

    def execute(
        self, instructions: Iterable[Instruction], store: dict[int, Any], owned: set[int], space: Space
    ) -> Generator[tuple[Any, Any], Any, None]:
        """Run instructions, as `execute` does."""
        return execute(instructions, store, owned, space)

    def enter(self, store: dict[int, Any], remainder: Mapping[str, Any]) -> None:
        """Take the inputs as they are."""

    def remainder(self, store: Mapping[int, Any]) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def shown(self, value: Any) -> Any:
        """Return the value itself."""
        return value


@dataclass(frozen=True)
class Stage:
    """Instructions of one slot (t_slot to t_{slot-1}), the index that they reach, what the registers hold then, and what ends there."""

    slot: int
    reached: int
    instructions: tuple[Instruction, ...]
    held: dict[str, Held]
    dead: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A run ready for arrays."""

    inputs: dict[str, Held]
    stages: tuple[Stage, ...]
    final: dict[str, Held]
    arithmetic: Arithmetic = field(default_factory=Arithmetic)

    @property
    def nfe(self) -> int:
        """Number of model evaluations of the run."""
        return sum(isinstance(x, Call) for stage in self.stages for x in stage.instructions)

    @property
    def peak(self) -> int:
        """Largest number of arrays of the state's size that stand at once: the caller's and the model's outputs counted."""
        live, owned = {h.number for h in self.inputs.values()}, set[int]()
        most = len(live)
        for stage in self.stages:
            for x in stage.instructions:
                if isinstance(x, Sum):
                    live -= {x.reuse} if x.reuse in owned else set()
                    owned.add(x.target)
                live.add(x.target)
                most = max(most, len(live))
                live -= set(x.dead)
                owned -= set(x.dead)
            live -= set(stage.dead)
        return most


def make_plan(run: Run, space: Space, lower: Callable[[Segment], Iterable[Instruction]] | None = None) -> Plan:
    """Round the coefficients of a run to a number system and decide every value's lifetime.

    `lower` gives the instructions of a segment, where they are not evaluations and sums.
    """
    drafts = [list(lower(segment) if lower else _drafts(segment.ops, run, space)) for segment in run.segments]
    drafts = _without_unused(drafts, [segment.after for segment in run.segments])
    last = _last_uses(drafts, run)
    ending: dict[tuple[int, int], list[int]] = {}
    for n, place in last.items():
        ending.setdefault(place, []).append(n)
    # A model may return one buffer at each call: an output that is read after the next call must be a copy.
    calls = [place for place, draft in _places(drafts) if isinstance(draft, Call)]
    following = dict(pairwise(calls))
    stages = []
    for k, (segment, stage) in enumerate(zip(run.segments, drafts, strict=True)):
        instructions: list[Instruction] = []
        for m, draft in enumerate(stage):
            dead = tuple(ending.get((k, m), ()))
            if isinstance(draft, Call):
                end = last[draft.target]
                kept = following.get((k, m), end) < end
                instructions.append(Call(draft.target, draft.argument, draft.t, kept, dead))
            elif isinstance(draft, Sum):
                reuse = next((n for n in draft.sources if n in dead), None)
                instructions.append(Sum(draft.target, draft.coefficients, draft.sources, reuse, dead))
            else:
                instructions.append(replace(draft, dead=dead))
        ended = tuple(ending.get((k, len(stage)), ()))
        stages.append(Stage(segment.slot, segment.reached, tuple(instructions), segment.after, ended))
    return Plan(run.inputs, tuple(stages), run.final)


def _drafts(ops: Iterable[Any], run: Run, space: Space) -> Iterable[Instruction]:
    asked = 0
    for op in ops:
        if isinstance(op, Evaluate):
            asked = op.target
            yield Call(op.target, op.argument, run.trace.point(op.time).t, False, ())
        for target, _, terms in rows(op):
            # A prediction without a coefficient, such as eps of a score where sigma = 0, is a zero of the output's shape.
            yield _sum(target, terms or ((space.field(0), asked),), space)


def _sum(target: int, terms: Iterable[tuple[Any, int]], space: Space) -> Sum:
    terms = tuple(terms)
    return Sum(target, tuple(space.coefficient(c) for c, _ in terms), tuple(n for _, n in terms), None, ())


def _sources(draft: Instruction) -> tuple[int, ...]:
    return (draft.argument,) if isinstance(draft, Call) else draft.sources


def _places(drafts: list[list[Instruction]]) -> Iterable[tuple[tuple[int, int], Instruction]]:
    return (((k, m), draft) for k, stage in enumerate(drafts) for m, draft in enumerate(stage))


def _without_unused(drafts: list[list[Instruction]], held: list[dict[str, Held]]) -> list[list[Instruction]]:
    """Drop what no later instruction and no register uses, such as a conversion that a solver never asked for."""
    used = {h.number for after in held for h in after.values()}
    result = []
    for stage in reversed(drafts):
        kept = []
        for draft in reversed(stage):
            if draft.target in used:
                kept.append(draft)
                used.update(_sources(draft))
        result.append(kept[::-1])
    return result[::-1]


def _last_uses(drafts: list[list[Instruction]], run: Run) -> dict[int, tuple[int, int]]:
    last: dict[int, tuple[int, int]] = {h.number: (-1, 0) for h in run.inputs.values()}
    for k, (segment, stage) in enumerate(zip(run.segments, drafts, strict=True)):
        for m, draft in enumerate(stage):
            last.update(dict.fromkeys((*_sources(draft), draft.target), (k, m)))
        # A model that raises leaves the state that the slot began with.
        asked = max((m for m, draft in enumerate(stage) if isinstance(draft, Call)), default=-1)
        for h in segment.before.values():
            last[h.number] = max(last[h.number], (k, asked))
        # What a register holds at the end of a slot is shown to callbacks and trajectories.
        last.update({h.number: (k, len(stage)) for h in segment.after.values()})
    return last | {h.number: (len(drafts), 0) for h in run.final.values()}


def execute(
    instructions: Iterable[Instruction], store: dict[int, Any], owned: set[int], space: Space
) -> Generator[tuple[Any, Any], Any, None]:
    """Run instructions on a store of values: yield (value, t) where the model is needed, receive its output.

    Parameters
    ----------
    store
        Values by number; changed in place.
    owned
        Numbers whose buffers this run made itself, and may write into; changed in place.
    """
    for x in instructions:
        if isinstance(x, Call):
            argument = store[x.argument]
            store[x.target] = space.received((yield argument, x.t), argument, x.copy)
        else:
            out = store[x.reuse] if x.reuse in owned else None
            store[x.target] = space.combine(x.coefficients, [store[n] for n in x.sources], out)
            owned.add(x.target)
        for n in x.dead:
            store.pop(n, None)
            owned.discard(n)
