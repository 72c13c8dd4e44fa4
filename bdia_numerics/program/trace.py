"""Record the steps of a run, one a slot; `start` records what comes before them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bdia_numerics.grids import Levels
from bdia_numerics.program.ops import Combine, Evaluate, Held, Op, Trace
from bdia_numerics.program.record import Recorder
from bdia_numerics.program.refusal import theirs
from bdia_numerics.program.structure import Solver, structure
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
