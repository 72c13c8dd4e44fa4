"""Step programs made linear: every model evaluation replaced by a slope times its argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.grids import Between, Grid, Point
from bdia_numerics.models import eps_form
from bdia_numerics.program import NotInvertibleError, Run, Segment, Solver, inverse_run, record_steps, structure
from bdia_numerics.program.meaning import interpret, rows
from bdia_numerics.program.ops import Evaluate, Op
from bdia_numerics.runs.solving import inverse_plan
from bdia_numerics.spaces import plain

Array = np.ndarray[Any, Any]
Jacobian = float | Array | Callable[[Point], float]
"""d eps/dz, a number: one for the whole run, one for each index of the grid (shape (N+1,)), or a function of a Point."""

DIRECTIONS = ("sample", "invert")


def directed_run(solver: Solver, grid: Grid, direction: str, prediction: str) -> Run:
    """Record the steps, or derive their inverse; errors as `amplification` names them."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={direction!r} is neither 'sample' nor 'invert'")
    if grid.space.symbolic:
        raise TypeError(
            f"grid is in {grid.space.name}: amplification needs numbers, pass a grid of floats or fractions"
        )
    run = record_steps(solver, grid, prediction)
    if not run.segments:
        raise ValueError(f"grid of n={grid.n} slots leaves no step after the start of {solver!r}: take more slots")
    if direction == "sample":
        return run
    try:
        return inverse_run(run)[0]
    except NotInvertibleError:
        inverse_plan(solver, grid, prediction, grid.space)  # raises the same with the condition and the remedy
        raise


def evaluations(run: Run) -> Iterator[Evaluate]:
    """Yield the model evaluations of a run, in order."""
    return (op for segment in run.segments for op in segment.ops if isinstance(op, Evaluate))


def jacobian_at(run: Run, op: Evaluate, J: Jacobian) -> float:
    """Return d eps/dz at an evaluation."""
    at = op.time
    value: Any
    plain("J", J)
    if callable(J):
        value = J(Point(*(None if x is None else float(x) for x in run.trace.point(at))))
    elif np.ndim(J) == 0:
        value = J
    elif np.shape(J) != (run.trace.grid.n + 1,):
        raise ValueError(f"J has shape {np.shape(J)}: pass a number, a function, or {run.trace.grid.n + 1} numbers")
    elif isinstance(at, Between):
        table, theta = np.asarray(J), float(at.theta)
        value = (1 - theta) * table[at.i] + theta * table[at.j]
    else:
        value = np.asarray(J)[at]
    if not np.isfinite(value):
        raise ValueError(f"J={value} at index {op.time} is not finite: pass finite numbers")
    return float(value)


def slopes_of(run: Run, J: Jacobian) -> dict[int, float]:
    """Return d output/dz of what the model predicts, by the number of the evaluation."""
    slopes = {}
    for op in evaluations(run):
        of_state, of_output = eps_form(run.trace.prediction, run.trace.point(op.time))
        if of_output == 0:
            raise ValueError(f"eps does not depend on the model at index {op.time}: end the grid before it")
        slopes[op.target] = (jacobian_at(run, op, J) - float(of_state)) / float(of_output)
    return slopes


@dataclass(frozen=True)
class Rounded:
    """target = sum of coefficient * value; of a model evaluation, slope * argument.

    `exact` holds the same coefficients in the field, and is empty for an evaluation.
    """

    target: int
    terms: tuple[tuple[Any, int], ...]
    exact: tuple[Any, ...] = ()


def rounded_rows(ops: Iterable[Op], slopes: Mapping[int, Any]) -> Iterator[Rounded]:
    """Yield what operations compute as rows of floats."""
    for op in ops:
        if isinstance(op, Evaluate):
            yield Rounded(op.target, ((slopes[op.target], op.argument),))
        for target, _, terms in rows(op):
            yield Rounded(target, tuple((float(c), n) for c, n in terms), tuple(c for c, _ in terms))


def advance(
    ops: Iterable[Op], values: dict[int, Any], slopes: Mapping[int, Any], definitions: Mapping[int, Op]
) -> None:
    """Run operations on linear forms or numbers, slopes being numbers or matrices; a value of an earlier slot is made again."""

    def evaluate(op: Evaluate, argument: Any) -> Any:
        slope = slopes[op.target]
        return 0 + (slope @ argument if np.ndim(slope) else slope * argument)

    interpret(ops, values, evaluate, lambda terms: sum(float(c) * x for c, x in terms), definitions)


def slot_matrix(
    segment: Segment, slopes: Mapping[int, Any], definitions: Mapping[int, Op], block: tuple[int, ...] = ()
) -> Array:
    """Return the registers after a slot from those before it, shape (r, r).

    With `block` = (*batch, d) the slopes are matrices of shape (*batch, d, d), and the result has (*batch, r d, r d).
    """
    count = len(segment.before)
    unit = np.eye(count)
    if block:
        *batch, d = block
        unit = np.broadcast_to(np.eye(count * d), (*batch, count * d, count * d))
        unit = np.stack(np.split(unit, count, axis=-2))
    values: dict[int, Any] = {h.number: unit[k] for k, h in enumerate(segment.before.values())}
    advance(segment.ops, values, slopes, definitions)
    after = [values[segment.after[name].number] for name in segment.before]
    return np.concatenate(after, axis=-2) if block else np.array(after)


def output_of(solver: Solver, run: Run, direction: str) -> str:
    """Return the register that is the `.z` of a run: at the noise end the one that stands furthest out."""
    shape = structure(solver)
    if direction == "sample":
        return shape.output
    order = [shape.output, *(r for r in shape.registers if r not in (shape.output, *shape.evaluations))]
    return max(order, key=lambda r: run.final[r].time)
