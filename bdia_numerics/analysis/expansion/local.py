"""One step of a solver on series: the residual of the exact solution, and the step made linear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bdia_numerics import models
from bdia_numerics.analysis.expansion.differentials import SOLUTION, Element, Expansion, evaluated, moved
from bdia_numerics.analysis.expansion.layouts import Layout, NeedsTime
from bdia_numerics.analysis.expansion.series import Series
from bdia_numerics.grids import Index
from bdia_numerics.program import Evaluation, Form, Linear, Recorder, Run, Segment, Solver, Trace, structure
from bdia_numerics.program.kinds import OTHER
from bdia_numerics.program.meaning import interpret
from bdia_numerics.program.ops import Evaluate, Held
from bdia_numerics.program.refusal import theirs
from bdia_numerics.program.structure import unfilled


@dataclass(eq=False)
class SeriesRecorder(Recorder):
    """A recorder on a layout: velocity is what the model predicts where t is the independent variable."""

    def t(self, time: Any) -> Any:
        """Return t at a time; NeedsTime in the variable s."""
        self._timed("t")
        return super().t(time)

    def sigma_bar(self, time: Any) -> Any:
        """Return sigma/alpha at a time."""
        return cast(Layout, self.trace.grid).sigma_bar(time)

    def velocity(self, z: Linear, e: Linear) -> Form:
        """Return dz/dt; NeedsTime in the variable s."""
        self._timed("velocity")
        if not isinstance(e, Evaluation):
            return super().velocity(z, e)
        return Form(self, {e.number: self.one})

    def _timed(self, what: str) -> None:
        if not cast(Layout, self.trace.grid).in_time:
            raise NeedsTime(what)


def recorded(solver: Solver, layout: Layout) -> Run:
    """Record the step from t_0 to t_{-1} of a layout, as a run of one slot; of as many as its pattern has."""
    shape = structure(solver)
    trace = Trace(layout, "velocity" if layout.in_time else "eps")
    inputs = {
        n: Held(trace.new(f"{n} at {lag}"), Index(lag)) for n, lag in zip(shape.registers, shape.lags, strict=True)
    }
    held, segments = inputs, []
    for k in range(len(layout.pattern)):
        s = SeriesRecorder(trace, Index(-k), dict(held), solver=solver)
        theirs(solver.step, s)
        segments.append(Segment(-k, -k - 1, held, tuple(s.ops), dict(s.held)))
        held = segments[-1].after
    return Run(trace, inputs, tuple(segments), held)


def kinds(solver: Solver) -> dict[str, str]:
    """Return what each register holds: "state", "eps", "x0" or "velocity"."""
    shape = structure(solver)
    return dict(zip(shape.registers, shape.kinds, strict=True))


Profile = Mapping[Element, Series]
"""What a register adds to the value that it stands for: coefficients by basis element, on uniform and smooth grids; at t_i, and
carried from there to the register's own time."""


def exact_value(layout: Layout, kind: str, time: Any, profile: Profile | None = None) -> Expansion:
    """Return the value on the exact solution of what a register holds: of a state, divided by alpha."""
    x = layout.place(time)
    value, slope = moved(layout.space, SOLUTION, x), moved(layout.space, (0, 1), x)
    prediction = "velocity" if layout.in_time else "eps"
    if kind == prediction:
        total = slope
    elif kind == "state":
        total = value
    elif kind == "velocity":
        raise NeedsTime(kind)
    else:
        form = models.eps_form if kind == "eps" else models.x0_form
        of_state, of_output = map(layout.space.field, form(prediction, layout.point(time)))
        total = value.times(of_state * layout.scale(time)) + slope.times(of_output)
    for element, c in (profile or {}).items():
        total = total + moved(layout.space, element, x).times(layout.carried(c, time))
    return total


def residual(
    solver: Solver, layout: Layout, profiles: Mapping[str, Profile] | None = None, run: Run | None = None
) -> dict[str, Expansion]:
    """Return, register by register, the exact value after a step less what the step makes of the exact values before it.

    The step is recorded unless `run` is given.
    """
    run = run or recorded(solver, layout)
    kind, profiles = kinds(solver), profiles or {}
    values: dict[int, Expansion] = {}
    for name in kind:
        if kind[name] == OTHER:
            raise unfilled(solver, name)

    def scale(name: str, time: Any) -> Series:
        return layout.scale(time) if kind[name] == "state" else layout.space.one

    for name, held in run.segments[0].before.items():
        exact = exact_value(layout, kind[name], held.time, profiles.get(name))
        values[held.number] = exact.times(scale(name, held.time))

    def evaluate(op: Evaluate, argument: Expansion) -> Expansion:
        return evaluated(argument.times(layout.scale(op.time).inverse()), layout.place(op.time))

    def combine(terms: Sequence[tuple[Any, Expansion]]) -> Expansion:
        total = Expansion.of(layout.space, {}, layout.space.terms)
        for c, value in terms:
            total = total + value.times(layout.space.field(c))
        return total

    for segment in run.segments:
        interpret(segment.ops, values, evaluate, combine)
    result = {}
    for name, held in run.segments[-1].after.items():
        exact = exact_value(layout, kind[name], held.time, profiles.get(name))
        result[name] = exact - values[held.number].times(scale(name, held.time).inverse())
    return result


Matrix = list[list[Series]]


def step_matrix(solver: Solver, layout: Layout, jacobian: Any, run: Run | None = None) -> Matrix:
    """Return the registers after a step from those before it for eps = J y: states over alpha.

    Parameters
    ----------
    solver, layout
        The solver, and where its step is recorded.
    jacobian
        J, a number of the layout, or 0.
    run
        The step, or its inverse; recorded by default.
    """
    run = run or recorded(solver, layout)
    kind, space, before = kinds(solver), layout.space, run.segments[0].before
    zero, slope = space.field(0), space.field(jacobian)

    def scale(name: str, time: Any) -> Series:
        return layout.scale(time) if kind[name] == "state" else space.one

    width = len(before)
    values: dict[int, list[Series]] = {}
    for k, (name, held) in enumerate(before.items()):
        values[held.number] = [scale(name, held.time) if j == k else zero for j in range(width)]

    def evaluate(op: Evaluate, argument: list[Series]) -> list[Series]:
        ratio = slope / layout.scale(op.time)
        return [ratio * x for x in argument]

    def combine(terms: Sequence[tuple[Any, list[Series]]]) -> list[Series]:
        return [sum((c * row[j] for c, row in terms), zero) for j in range(width)]

    for segment in run.segments:
        interpret(segment.ops, values, evaluate, combine)
    after = [(held, 1 / scale(name, held.time)) for name, held in run.segments[-1].after.items()]
    return [[x * factor for x in values[held.number]] for held, factor in after]
