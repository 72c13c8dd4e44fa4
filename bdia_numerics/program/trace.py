"""Record a whole run: the start, then one step a slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bdia_numerics.grids import Levels
from bdia_numerics.program.kinds import OTHER
from bdia_numerics.program.ops import Combine, Evaluate, Held, Op, Trace
from bdia_numerics.program.record import Recorder
from bdia_numerics.program.refusal import theirs
from bdia_numerics.program.structure import Solver, structure, unfilled

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
    """The straight-line program of a run: inputs, segments, and what the registers hold in the end."""

    trace: Trace
    inputs: Mapping
    segments: tuple[Segment, ...]
    final: Mapping

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
    segments = _steps(solver, trace, inputs, range(first, 0, -1))
    return Run(trace, inputs, segments, segments[-1].after if segments else inputs)


def _open_end(solver: Solver, trace: Trace) -> str:
    """Say which end of the grid a step divides by, one of sigma = 0 or alpha = 0; nothing if neither is."""
    for name, remedy in (("sigma", "end the grid above it (t_min > 0)"), ("alpha", "begin the grid below it")):
        for point in trace.points.values():
            if getattr(point, name) == 0:
                back = trace.grid.is_reversed
                way = " from data to noise" if back else " in sampling"
                other = ", or encode by another method, such as inversion.DDIMInversion()" if back else ""
                where = f"{name} = 0 at t={point.t}: {type(solver).__name__} divides by it, or takes its logarithm,"
                return f"{where}{way}: {remedy}{other}"
    return ""


def record_run(solver: Solver, starter: Solver, grid: Levels, prediction: str = "eps", written: bool = False) -> Run:
    """Record a run from the one state z_N: the first states by steps of `starter`, eq. (25), then the steps."""
    trace = Trace(grid, prediction, written)
    first = check_length(solver, grid)
    z = Held(trace.new(f"z at {grid.n}"), grid.n)
    chain, start = _chain(starter, trace, z, structure(solver).depth)
    held, ops = _begin(solver, trace, chain, first)
    begin = Segment(first + 1, first, {}, ops, held)
    segments = (*start, begin, *_steps(solver, trace, held, range(first, 0, -1)))
    return Run(trace, {"z": z}, segments, segments[-1].after)


def record_begin(solver: Solver, grid: Levels, first: int, prediction: str = "eps", written: bool = False) -> Run:
    """Record how the registers before the step from t_first are filled from states at first, first + 1, ..."""
    trace = Trace(grid, prediction, written)
    times = range(first, first + structure(solver).depth + 1)
    inputs = {f"z{i}": Held(trace.new(f"z at {i}"), i) for i in times}
    held, ops = _begin(solver, trace, {h.time: h.number for h in inputs.values()}, first)
    return Run(trace, inputs, (Segment(first, first, {}, ops, held),), held)


def check_length(solver: Solver, grid: Levels) -> int:
    """Return the index of the first step; ValueError if the grid is too short for the start."""
    depth = structure(solver).depth
    if grid.n < depth:
        raise ValueError(f"grid of n={grid.n} slots is too short: {solver!r} takes {depth} for its start")
    return grid.n - depth


def _steps(solver: Solver, trace: Trace, held: Mapping, indices: Iterable[int]) -> tuple[Segment, ...]:
    segments = []
    for i in indices:
        segments.append(record_step(solver, trace, i, held))
        held = segments[-1].after
    return tuple(segments)


def _chain(starter: Solver, trace: Trace, z: Held, depth: int) -> tuple[dict[int, int], list[Segment]]:
    """Return the numbers of the states at z.time, z.time - 1, ..., made by a solver of fewer steps, and by its own starter."""
    if not depth:
        return {z.time: z.number}, []
    shape, inner = structure(starter), getattr(starter, "starter", None)
    if shape.depth and (inner is None or shape.depth > depth):
        raise ValueError(f"start={starter!r} is no one-step solver: use DDIM(), or pass states")
    chain, segments = _chain(inner or starter, trace, z, shape.depth)
    first = z.time - shape.depth
    held, ops = _begin(starter, trace, chain, first)
    segments.append(Segment(first + 1, first, {}, ops, held))
    for segment in _steps(starter, trace, held, range(first, z.time - depth, -1)):
        chain[segment.reached] = segment.after[shape.output].number
        segments.append(segment)
    return chain, segments


def _prediction(solver: Solver, name: str, s: Recorder) -> int:
    """Record what an evaluation register holds at its state: eps, or x0 or velocity where the solver says so."""
    (z,) = s.registers
    e = s.eps(z)
    kind = structure(solver).kind(name)
    if kind == OTHER:
        raise unfilled(solver, name)
    return s.eps_number(e) if kind == "eps" else s.scratch(getattr(s, kind)(z, e)).number


def _begin(solver: Solver, trace: Trace, chain: dict[int, int], first: int) -> tuple[Mapping, tuple[Op, ...]]:
    """Fill the registers from a chain of states: equal times give equal states, evaluations are taken at the output."""
    if given := getattr(solver, "given", ()):
        name, both = type(solver).__name__, ", ".join(f"{r!r}: ..." for r in solver.registers)
        raise ValueError(f"{name} cannot make {', '.join(given)} from a state: pass start={{{both}}} to solve")
    shape, held, ops, one = structure(solver), {}, list[Op](), trace.grid.space.field(1)
    # The output comes first, so that it takes the state itself, and any other register at its time a copy.
    order = sorted(zip(shape.registers, shape.lags, strict=True), key=lambda pair: pair[0] != shape.output)
    taken: set[int] = set()
    for name, lag in order:
        number, time = chain[first + lag], first + lag
        if name in shape.evaluations:
            s = Recorder(trace, first, {"z": Held(number, time)})
            number = _prediction(solver, name, s)
            ops.extend(s.ops)
        elif number in taken:
            # Two registers that start equal are two values: each is overwritten by itself later on.
            copy = trace.new(f"{name} at {time}")
            ops.append(Combine(copy, ((one, number),)))
            number = copy
        taken.add(number)
        held[name] = Held(number, time)
    return {name: held[name] for name in shape.registers}, tuple(ops)
