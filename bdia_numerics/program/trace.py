"""Record a run: its steps, one a slot, and before them its first registers.

These come from the one state at either end of the grid, or from states that are given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bdia_numerics.grids import Between, Grid, Levels
from bdia_numerics.program.ops import Combine, Evaluate, Held, Op, Trace
from bdia_numerics.program.record import Recorder
from bdia_numerics.program.refusal import theirs
from bdia_numerics.program.structure import OTHER, Solver, structure, unfilled
from bdia_numerics.texts import shown

Mapping = dict[str, Held]


@dataclass(frozen=True)
class Segment:
    """Operations of the slot from t_slot to t_{slot-1}, the index that is reached, what the registers hold before and after."""

    slot: int
    reached: int
    before: Mapping
    ops: tuple[Op, ...]
    after: Mapping


@dataclass(frozen=True)
class Run:
    """The straight-line program of a run: inputs, segments, and what the registers hold in the end.

    The first `starting` segments make the first registers; each of the others is a step.
    """

    trace: Trace
    inputs: Mapping
    segments: tuple[Segment, ...]
    final: Mapping
    starting: int = 0

    def definitions(self) -> dict[int, Op]:
        """Return the operation that defines each evaluation and each scratch value."""
        ops = (op for segment in self.segments for op in segment.ops)
        return {
            op.target: op for op in ops if isinstance(op, Evaluate) or (isinstance(op, Combine) and op.register is None)
        }


def record_step(solver: Solver, trace: Trace, i: Any, held: Mapping, recorder: type[Recorder] = Recorder) -> Segment:
    """Record the step from t_i to t_{i-1}."""
    s = recorder(trace, i, dict(held), solver=solver)
    try:
        theirs(solver.step, s)
    # Exact numbers divide by an exact zero at an end of the grid: the solver is not at fault, and the remedy is another end.
    except ZeroDivisionError:
        message = _open_end(solver, trace)
        if not message:
            raise
        raise ValueError(message) from None
    return Segment(i, i - 1, dict(held), tuple(s.ops), dict(s.held))


def record_steps(solver: Solver, grid: Levels, prediction: str = "eps", written: bool = False) -> Run:
    """Record the steps alone, from registers that are given."""
    shape = structure(solver)
    trace = Trace(grid, prediction, written)
    first = check_length(solver, grid)
    inputs = {
        name: Held(trace.new(f"{name} at {first + lag}"), first + lag)
        for name, lag in zip(shape.registers, shape.lags, strict=True)
    }
    segments = steps_from(solver, trace, inputs, range(first, 0, -1))
    return Run(trace, inputs, segments, segments[-1].after if segments else inputs)


def _open_end(solver: Solver, trace: Trace) -> str:
    """Say which end of the grid a step divides by, one of sigma = 0 or alpha = 0; nothing if neither is."""
    for name, remedy in (("sigma", "end the grid above it (t_min > 0)"), ("alpha", "begin the grid below it")):
        # Only the levels that the step asked for are known here, which are those that it can have divided by.
        for point in trace.points.values():
            if getattr(point, name) == 0:
                back = trace.grid.is_reversed
                way = " from data to noise" if back else " in sampling"
                other = ", or encode by another method, such as inversion.DDIMInversion()" if back else ""
                where = f"{name} = 0 at t={point.t}: {type(solver).__name__} divides by it, or takes its logarithm,"
                return f"{where}{way}: {remedy}{other}"
    return ""


def check_length(solver: Solver, grid: Levels) -> int:
    """Return the index of the first step; ValueError if the grid is too short for the start."""
    depth = structure(solver).depth
    if grid.n < depth:
        raise ValueError(f"grid of n={grid.n} slots is too short: {shown(solver)} takes {depth} for its start")
    return grid.n - depth


def steps_from(solver: Solver, trace: Trace, held: Mapping, indices: Iterable[int]) -> tuple[Segment, ...]:
    """Record the steps from some indices, one after the other, from what the registers hold before the first."""
    segments = []
    for i in indices:
        segments.append(record_step(solver, trace, i, held))
        held = segments[-1].after
    return tuple(segments)


def record_run(solver: Solver, starter: Solver, grid: Grid, prediction: str = "eps", written: bool = False) -> Run:
    """Record a run from the one state z_N: the first states by steps of `starter`, eq. (25), then the steps."""
    start = record_start(solver, starter, grid, prediction, written)
    steps = steps_from(solver, start.trace, start.final, range(check_length(solver, grid), 0, -1))
    segments = (*start.segments, *steps)
    return Run(start.trace, start.inputs, segments, segments[-1].after, start.starting)


def record_start(
    solver: Solver,
    starter: Solver,
    grid: Grid,
    prediction: str = "eps",
    written: bool = False,
    *,
    data_end: bool = False,
) -> Run:
    """Record how the registers are filled from one state, the input "z".

    Parameters
    ----------
    solver, grid
        Of the run that begins.
    starter
        Makes the states that a multistep solver has besides, by its steps from there.
    prediction
        What the model predicts.
    written
        As of `Trace`.
    data_end
        Whether the state is x_0 and the registers are those at the data end, where the starter's steps are those of the reversed
        grid; otherwise it is z_N.

    Returns
    -------
    Run
        Without steps of the solver; its `final` are the registers.

    Raises
    ------
    ValueError
        For a grid that is too short, a starter that is itself in need of more states, registers that no state fills.
    """
    first, depth = check_length(solver, grid), structure(solver).depth
    trace = Trace(grid, prediction, written)
    if data_end:
        z = Held(trace.new("z at 0"), 0)
        chain, start = _mirrored(starter, trace, z, depth)
        first = 0
    else:
        z = Held(trace.new(f"z at {grid.n}"), grid.n)
        chain, start = _chain(starter, trace, z, depth)
    held, ops = _filled(solver, trace, chain, first, _kept(solver, starter, start))
    # The registers are complete in a segment of its own, which ends no slot; messages count it with the starter's last.
    return Run(trace, {"z": z}, (*start, Segment(first + 1, first, {}, ops, held)), held, len(start) + 1)


def record_begin(solver: Solver, grid: Grid, first: int, prediction: str = "eps", written: bool = False) -> Run:
    """Record how the registers before the step from t_first are filled from states at first, first + 1, ..., inputs "z{index}"."""
    trace = Trace(grid, prediction, written)
    times = range(first, first + structure(solver).depth + 1)
    inputs = {f"z{i}": Held(trace.new(f"z at {i}"), i) for i in times}
    held, ops = _filled(solver, trace, {h.time: h.number for h in inputs.values()}, first)
    return Run(trace, inputs, (Segment(first, first, {}, ops, held),), held, 1)


def _chain(starter: Solver, trace: Trace, z: Held, depth: int) -> tuple[dict[int, int], list[Segment]]:
    """Return the numbers of the states at z.time, z.time - 1, ..., made by a solver of fewer steps, and by its own starter."""
    if not depth:
        return {z.time: z.number}, []
    # A starter of several steps needs states before it in turn: the chain ends at a one-step solver.
    shape, inner = structure(starter), getattr(starter, "starter", None)
    if shape.depth and (inner is None or shape.depth > depth):
        raise ValueError(f"start={shown(starter)} is not a one-step solver: use DDIM(), or pass states")
    chain, segments = _chain(inner or starter, trace, z, shape.depth)
    first = z.time - shape.depth
    held, ops = _filled(starter, trace, chain, first, _kept(starter, inner, segments))
    begin = Segment(first + 1, first, {}, ops, held)
    steps = steps_from(starter, trace, held, range(first, z.time - depth, -1))
    return chain | {s.reached: s.after[shape.output].number for s in steps}, [*segments, begin, *steps]


def _mirrored(starter: Solver, trace: Trace, x: Held, depth: int) -> tuple[dict[int, int], list[Segment]]:
    """Return the numbers of the states at 0, 1, ..., depth, made by steps on the reversed grid, and these as segments of this one."""
    grid: Any = trace.grid
    if not depth:
        return {0: x.number}, []
    # The slots next to the data are the last ones of the reversed grid.
    mirror = Trace(grid.reversed()[grid.n - depth : grid.n], trace.prediction, trace.written)
    chain, segments = _chain(starter, mirror, Held(mirror.new("z at 0"), depth), depth)

    # Index k of the mirror is index depth - k here, and all its values but the first, the state itself, are new ones.
    def time(there: Any) -> Any:
        return replace(there, i=time(there.i), j=time(there.j)) if isinstance(there, Between) else depth - there

    times = (time(mirror.times[k]) if k in mirror.times else None for k in range(1, len(mirror.names)))
    own = [x.number, *map(trace.new, mirror.names[1:], times)]

    def op_of(op: Op) -> Op:
        if isinstance(op, Evaluate):
            return Evaluate(own[op.target], own[op.argument], time(op.time))
        if isinstance(op, Combine):
            old = None if op.old is None else own[op.old]
            return Combine(own[op.target], tuple((c, own[n]) for c, n in op.terms), op.register, old)
        return replace(op, targets=tuple(own[n] for n in op.targets), olds=tuple(own[n] for n in op.olds))

    def held_of(held: Mapping) -> Mapping:
        return {name: Held(own[h.number], time(h.time)) for name, h in held.items()}

    moved = [
        Segment(depth + 1 - s.slot, depth - s.reached, held_of(s.before), tuple(map(op_of, s.ops)), held_of(s.after))
        for s in segments
    ]
    return {depth - k: own[number] for k, number in chain.items()}, moved


def _kept(solver: Solver, starter: Solver | None, segments: list[Segment]) -> Mapping:
    """Return the states that a starter of the solver's own class holds in the end, beside its solution: these are taken over."""
    if not segments or type(starter) is not type(solver):
        return {}
    shape = structure(starter)
    return {n: h for n, h in segments[-1].after.items() if shape.kind(n) == "state" and n != shape.output}


def _prediction(solver: Solver, name: str, s: Recorder) -> int:
    """Record what an evaluation register holds at its state: eps, or x0, v or velocity where the solver says so."""
    (z,) = s.registers
    e = s.eps(z)
    kind = structure(solver).kind(name)
    if kind == OTHER:
        raise unfilled(solver, name)
    return s.eps_number(e) if kind == "eps" else s.scratch(getattr(s, kind)(z, e)).number


def _filled(
    solver: Solver, trace: Trace, chain: dict[int, int], first: int, kept: Mapping | None = None
) -> tuple[Mapping, tuple[Op, ...]]:
    """Fill the registers from a chain of states: equal times give equal states, evaluations are taken at the output."""
    if given := getattr(solver, "given", ()):
        name, both = type(solver).__name__, ", ".join(f"{shown(r)}: ..." for r in solver.registers)
        raise ValueError(f"{name} cannot make {', '.join(given)} from a state: pass start={{{both}}} to solve")
    shape, held, ops, one = structure(solver), {}, list[Op](), trace.grid.space.field(1)
    # The output comes first, so that it keeps the number of the state that was given, and others at its time are the copies.
    order = sorted(zip(shape.registers, shape.lags, strict=True), key=lambda pair: pair[0] != shape.output)
    taken: set[int] = set()
    for name, lag in order:
        number, time = chain[first + lag], first + lag
        if kept and name in kept and kept[name].time == time:
            number = kept[name].number
        if name in shape.evaluations:
            s = Recorder(trace, first, {"z": Held(number, time)})
            number = _prediction(solver, name, s)
            ops.extend(s.ops)
        # Two registers that begin with one state need two versions, since each is overwritten on its own.
        elif number in taken:
            copy = trace.new(f"{name} at {time}")
            ops.append(Combine(copy, ((one, number),)))
            number = copy
        taken.add(number)
        held[name] = Held(number, time)
    return {name: held[name] for name in shape.registers}, tuple(ops)
