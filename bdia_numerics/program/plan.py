"""A run made ready for arrays: coefficients rounded once, lifetimes decided, buffers chosen; and its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from bdia_numerics.program.ops import Evaluate, Held, Op, rows
from bdia_numerics.program.trace import Run, Segment
from bdia_numerics.spaces import Array, Memory, Scalar, Space, States


@dataclass(slots=True)
class Call:
    """Ask for the model's output at the time t, of an argument that stands at the time `at` (EDICT's is evaluated at another).

    `copy` where it must outlive a later call, since a model may reuse its buffer.
    """

    target: int
    argument: int
    t: Scalar
    copy: bool = False
    dead: tuple[int, ...] = ()
    at: Scalar = None

    @property
    def sources(self) -> tuple[int, ...]:
        """What it reads, as of other instructions."""
        return (self.argument,)


@dataclass(slots=True)
class Sum:
    """One linear combination, written into the buffer of `reuse`, a value that ends here and that the run has made itself."""

    target: int
    coefficients: tuple[Scalar, ...]
    sources: tuple[int, ...]
    reuse: int | None = None
    dead: tuple[int, ...] = ()


Instruction = Call | Sum | Any
"""A number system with other operations adds instructions of its own: dataclasses with `target`, `sources`, `reuse` and `dead`."""


@dataclass(frozen=True)
class Arithmetic:
    """How the instructions of a plan are carried out: numbers are combined as they are here, and nothing is kept besides.

    A run's `store` holds its values by number. A number system with other instructions has an arithmetic of its own.
    """

    def enter(self, store: dict[int, States], remainder: Mapping[str, Array]) -> None:
        """Take the inputs, and what the run before has kept besides."""

    def begin(self, stage: Stage, store: dict[int, States]) -> None:
        """Begin a slot."""

    def argument(self, number: int, store: dict[int, States]) -> States:
        """Return the value at which the model is evaluated."""
        return store[number]

    def receive(self, x: Call, output: States, store: dict[int, States], space: Memory) -> None:
        """Take the model's output."""
        store[x.target] = space.received(output, store[x.argument], x.copy)
        for n in x.dead:
            store.pop(n, None)

    def carry_out(self, x: Any, store: dict[int, States], space: Memory) -> None:
        """Carry out an instruction that is not a call."""
        store[x.target] = space.combine(x.coefficients, [store[n] for n in x.sources], store.get(x.reuse))
        for n in x.dead:
            store.pop(n, None)

    def abandon(self, store: dict[int, States]) -> None:
        """Leave a slot whose evaluation failed; the values that it began with stand until its last evaluation is made."""

    def remainder(self, store: Mapping[int, States]) -> Mapping[str, Array]:
        """Return what is kept besides the registers."""
        return {}

    def shown(self, value: States) -> States:
        """Return a state as a solution shows it."""
        return value


@dataclass(frozen=True)
class Stage:
    """Instructions of one slot (t_slot to t_{slot-1}), and what they lead to.

    Attributes
    ----------
    reached
        The index that they reach.
    held, dead
        What the registers hold then, and what ends there.
    whole : bool
        Whether `held` are the registers of the solver, and not those of the one that makes its first states.
    fresh : tuple of (str, int)
        The registers that hold something new, and its number: what is looked at for NaN and infinity.
    """

    slot: int
    reached: int
    instructions: tuple[Instruction, ...]
    held: dict[str, Held]
    dead: tuple[int, ...]
    whole: bool
    fresh: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Plan:
    """A run ready for arrays.

    Attributes
    ----------
    inputs, final
        What the registers hold before the first stage and after the last.
    begun : bool
        Whether the inputs are all registers of the solver, so that no stage has to make them.
    """

    inputs: dict[str, Held]
    stages: tuple[Stage, ...]
    final: dict[str, Held]
    begun: bool = True
    arithmetic: Arithmetic = field(default_factory=Arithmetic)

    @cached_property
    def tape(self) -> tuple[Instruction | Stage, ...]:
        """All instructions in a row, with each stage after its own."""
        return tuple(x for stage in self.stages for x in (*stage.instructions, stage))

    @property
    def nfe(self) -> int:
        """Number of model evaluations of the run."""
        return sum(isinstance(x, Call) for stage in self.stages for x in stage.instructions)

    @property
    def peak(self) -> int:
        """Largest number of arrays of the state's size that stand at once: the caller's and the model's outputs counted."""
        live = {h.number for h in self.inputs.values()}
        most = len(live)
        for stage in self.stages:
            for x in stage.instructions:
                live -= {getattr(x, "reuse", None)}
                live.add(x.target)
                most = max(most, len(live))
                live -= set(x.dead)
            live -= set(stage.dead)
        return most


def make_plan(
    run: Run,
    space: Space,
    lower: Callable[[Segment], Iterable[Instruction]] | None = None,
    *,
    rebuilding: bool = False,
) -> Plan:
    """Round the coefficients of a run to a number system and decide every value's lifetime.

    Parameters
    ----------
    run, space
        What is run, and the number system of its coefficients.
    lower
        Gives the instructions of a segment, where they are not sums.
    rebuilding
        Whether values end with their slot, nothing is written over and no state is looked at: for states that a run has been
        through, which a back-propagation rebuilds and needs to the end of each slot.
    """
    drafts = [list(lower(segment) if lower else _drafts(segment.ops, run, space)) for segment in run.segments]
    drafts = _without_unused(drafts, [segment.after for segment in run.segments])
    last = _last_uses(drafts, run)
    ending: dict[tuple[int, int], list[int]] = {}
    for n, place in last.items():
        ending.setdefault(place, []).append(n)
    # Only the next call can spoil an output, by writing into the same buffer, so each call is compared with that one alone.
    calls = [(k, m) for k, stage in enumerate(drafts) for m, draft in enumerate(stage) if isinstance(draft, Call)]
    following = dict(pairwise(calls))
    # The buffers of sums are the run's own. Inputs are the caller's and outputs the model's: these are never written over.
    stages, made, before = [], set[int](), run.inputs
    for k, (segment, stage) in enumerate(zip(run.segments, drafts, strict=True)):
        ended: list[int] = []
        for m, draft in enumerate(stage):
            dead = tuple(ending.get((k, m), ()))
            if rebuilding:
                ended += dead
                dead = ()
            if isinstance(draft, Call):
                end = last[draft.target]
                draft.copy = following.get((k, m), end) < end
            else:
                draft.reuse = next((n for n in draft.sources if n in dead and n in made), None)
                made.add(draft.target)
            draft.dead = dead
        ended += ending.get((k, len(stage)), ())
        standing = {h.number for h in before.values()}  # what is handed on from one register to another was looked at
        fresh = () if rebuilding else tuple((r, h.number) for r, h in segment.after.items() if h.number not in standing)
        whole, before = k + 1 >= run.starting, segment.after
        stages.append(Stage(segment.slot, segment.reached, tuple(stage), before, tuple(ended), whole, fresh))
    return Plan(run.inputs, tuple(stages), run.final, run.starting == 0)


def _drafts(ops: Iterable[Op], run: Run, space: Space) -> Iterable[Instruction]:
    """Yield the instructions of operations, nothing decided yet but the coefficients, which are rounded here, each once."""
    given = {h.number: h.time for h in run.inputs.values()}
    for op in ops:
        if isinstance(op, Evaluate):
            stands = given.get(op.argument, run.trace.times.get(op.argument, op.time))
            yield Call(op.target, op.argument, run.trace.point(op.time).t, at=run.trace.point(stands).t)
        for target, _, terms in rows(op):
            yield Sum(target, tuple(space.coefficient(c) for c, _ in terms), tuple(n for _, n in terms))


def _without_unused(drafts: list[list[Instruction]], held: list[dict[str, Held]]) -> list[list[Instruction]]:
    """Drop what no later instruction and no register uses, such as a conversion that a solver never asked for."""
    used = {h.number for after in held for h in after.values()}
    result = []
    # From the end to the beginning, so that what only dropped instructions use is dropped, too.
    for stage in reversed(drafts):
        kept = []
        for draft in reversed(stage):
            if draft.target in used:
                kept.append(draft)
                used.update(draft.sources)
        result.append(kept[::-1])
    return result[::-1]


def _last_uses(drafts: list[list[Instruction]], run: Run) -> dict[int, tuple[int, int]]:
    """Return for each value the place (stage, instruction) after which nothing reads it; a stage's end comes after its last."""
    last: dict[int, tuple[int, int]] = {h.number: (-1, 0) for h in run.inputs.values()}
    for k, (segment, stage) in enumerate(zip(run.segments, drafts, strict=True)):
        for m, draft in enumerate(stage):
            last.update(dict.fromkeys((*draft.sources, draft.target), (k, m)))
        # A model that raises leaves the state that the slot began with.
        asked = max((m for m, draft in enumerate(stage) if isinstance(draft, Call)), default=-1)
        for h in segment.before.values():
            last[h.number] = max(last[h.number], (k, asked))
        # What a register holds at the end of a slot is shown to callbacks and trajectories.
        last.update({h.number: (k, len(stage)) for h in segment.after.values()})
    return last | {h.number: (len(drafts), 0) for h in run.final.values()}
