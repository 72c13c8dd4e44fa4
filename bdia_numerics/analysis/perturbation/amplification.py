"""Step programs made linear, and how they amplify perturbations: the product of companion matrices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Any

import numpy as np

from bdia_numerics.grids import Between, Grid, Point
from bdia_numerics.models import eps_form
from bdia_numerics.program import (
    Evaluate,
    NotInvertibleError,
    Op,
    Run,
    Segment,
    Solver,
    identity,
    interpret,
    inverse_run,
    record_steps,
    structure,
)
from bdia_numerics.runs.solving import inverse_plan
from bdia_numerics.spaces import Array, Drawn, Shown, ordered, plain
from bdia_numerics.texts import one_of, shown, whole

Jacobian = float | Array | Callable[[Point], float]
"""d eps/dz, a number: one for the whole run, one for each index of the grid (shape (N+1,)), or a function of a Point."""

DIRECTIONS = ("sample", "invert")


def directed_run(solver: Solver, grid: Grid, direction: str, prediction: str) -> Run:
    """Record the steps, or derive their inverse; errors as `amplification` names them."""
    one_of("direction", direction, DIRECTIONS)
    if grid.space.symbolic:
        raise TypeError(
            f"grid is in {grid.space.name}: amplification needs numbers, pass a grid of floats or fractions"
        )
    run = record_steps(solver, grid, prediction)
    if not run.segments:
        raise ValueError(f"grid of n={grid.n} slots leaves no step after the start of {shown(solver)}: take more slots")
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
        value = J(Point(*(None if x is None else float(x) for x in run.trace.point(at, derivatives=True))))
    elif np.ndim(J) == 0:
        value = J
    elif np.shape(J) != (run.trace.grid.n + 1,):
        raise ValueError(f"J has shape {np.shape(J)}: pass a number, a function, or {run.trace.grid.n + 1} numbers")
    elif isinstance(at, Between):
        table, theta = np.asarray(J), float(at.theta)
        value = (1 - theta) * table[at.i] + theta * table[at.j]
    else:
        value = np.asarray(J)[at]
    try:
        finite = np.isfinite(value)
    except TypeError:
        raise TypeError(
            f"J={shown(value)} is not a number: pass d eps/dz, a number, a function of a Point, or one number a point"
        ) from None
    if not finite:
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


Sides = dict[int, int]


@dataclass(frozen=True, eq=False, repr=False)
class Amplification(Drawn):
    """How perturbations grow over a run, linearised: eps answers a perturbation dz with J dz.

    Attributes
    ----------
    solver, direction, registers
        What was analysed; "sample" runs from noise to data. Rows and columns of the matrices follow `registers`.
    output
        The register that is the run's `.z`.
    slots : array, shape (K,)
        Index i of each slot (between t_i and t_{i-1}) in run order; K is N less the slots that the start takes.
    J : array, shape (E,)
        d eps/dz at each model evaluation, in run order.
    matrices : array, shape (K, r, r)
        Companion matrix of each slot: registers after it from registers before it.
    norms : array, shape (K,)
        Spectral norm of the product of the matrices so far; the last is `total`.
    injected : array, shape (K,)
        Spectral norm of what unit perturbations of the registers that the slot computes are at the end of the run.
    """

    solver: str
    direction: str
    registers: tuple[str, ...]
    output: str
    slots: Array
    J: Array
    matrices: Array
    norms: Array
    injected: Array

    @property
    def product(self) -> Array:
        """Registers at the end from registers at the beginning, shape (r, r)."""
        return np.asarray(running_products(self.matrices)[-1])

    @property
    def response(self) -> Array:
        """The run's `.z` from the registers at the beginning, shape (r,)."""
        return np.asarray(self.product[self.registers.index(self.output)])

    @property
    def total(self) -> float:
        """Largest growth of a perturbation of the registers at the beginning (spectral norm of `product`)."""
        return float(self.norms[-1])

    @property
    def rounding(self) -> float:
        """Sum over slots of the propagated unit roundings: a bound when the error of each slot is at most one unit."""
        return float(self.injected.sum())

    @property
    def rounding_rms(self) -> float:
        """Root of the sum of their squares: the size to expect when the slots err independently."""
        return float(np.hypot.reduce(self.injected))


@dataclass(frozen=True, eq=False, repr=False)
class WorstCase(Shown):
    """Largest total amplification when J lies anywhere between two limits, at each evaluation on its own.

    Attributes
    ----------
    found : float
        The largest that a search over the corners of the box met: attained, hence a lower bound.
    bound : float
        The spectral norm of the product of the entrywise largest |matrix| of each slot: an upper bound, in real
        arithmetic, evaluated in float64.
    J : array, shape (E,)
        Where `found` is attained, one number an evaluation, in run order.
    """

    found: float
    bound: float
    J: Array


@ordered
def amplification(
    solver: Solver, grid: Grid, direction: str = "sample", *, J: Jacobian = 0.0, prediction: str = "eps"
) -> Amplification:
    """Return the amplification of perturbations by a run of steps on this grid.

    The matrices are read off the recorded step program, or its derived inverse, with every model evaluation replaced by
    J times its argument. Only the steps count: the starting registers are given, not made.

    Parameters
    ----------
    solver, grid
        Any solver; any grid of numbers.
    direction : {"sample", "invert"}
        From noise to data by the steps, or back by their derived inverse.
    J
        d eps/dz, in z (not y = z/alpha), taken as a multiple of the identity: a number, an array of shape (N+1,) over
        the indices of the grid (an evaluation at a `Between` takes (1-theta) J_i + theta J_j), or a function of the Point
        (t, alpha, sigma as floats) of the evaluation. 0 is eps = 0, the zero-stability of the bare recursion. For a Jacobian that
        is not a multiple of the identity but keeps its eigenvectors, take its eigenvalues one by one.
    prediction
        What the model predicts; J is that of eps in any case.

    Returns
    -------
    Amplification
        The matrices of the steps, and the norms of their products.

    Raises
    ------
    NotInvertibleError
        (a ValueError) for "invert" of a solver without derived inverse, with the reason.
    ValueError
        For another direction, a J that is not finite or of another shape, a grid too short for the start.
    TypeError
        For a symbolic grid.

    Notes
    -----
    Zero-stability: paper, sec. 4; Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, sec. III.3.

    Examples
    --------
    >>> from bdia_numerics import BDIA, analysis
    >>> grid = analysis.GridFamily()(20)
    >>> found = analysis.amplification(BDIA(gamma=0.9), grid, "invert")
    >>> round(found.total, 1)
    40.2
    """
    run = directed_run(solver, grid, direction, prediction)
    slopes = slopes_of(run, J)
    definitions = run.definitions()
    matrices = np.array([slot_matrix(segment, slopes, definitions) for segment in run.segments])
    registers = structure(solver).registers
    return Amplification(
        solver=identity(solver),
        direction=direction,
        registers=registers,
        output=output_of(solver, run, direction),
        slots=np.array([segment.slot for segment in run.segments]),
        J=np.array([jacobian_at(run, op, J) for op in evaluations(run)]),
        matrices=matrices,
        norms=np.array([_norm(p) for p in running_products(matrices)]),
        injected=np.array(_injected(run.segments, matrices)),
    )


@ordered
def worst_amplification(
    solver: Solver,
    grid: Grid,
    direction: str = "sample",
    *,
    J_min: Jacobian,
    J_max: Jacobian,
    prediction: str = "eps",
    sweeps: int = 3,
) -> WorstCase:
    """Return the worst total amplification over all J between two limits, from below and from above.

    Parameters
    ----------
    solver, grid, direction, prediction
        As for `amplification`.
    J_min, J_max
        Limits of d eps/dz, each as J there.
    sweeps
        Passes of the search over the slots, from each of two beginnings (all low, all high).

    Returns
    -------
    WorstCase

    Raises
    ------
    ValueError
        If J_min > J_max somewhere, and for sweeps below 1; else as `amplification`.

    Notes
    -----
    The product is affine in the J of each single evaluation, and a norm is convex, so the maximum over the box is attained at a corner.
    """
    sweeps, run = whole("sweeps", sweeps, least=1), directed_run(solver, grid, direction, prediction)
    low, high = slopes_of(run, J_min), slopes_of(run, J_max)
    ends = {op.target: (jacobian_at(run, op, J_min), jacobian_at(run, op, J_max)) for op in evaluations(run)}
    if wrong := [pair for pair in ends.values() if pair[0] > pair[1]]:
        raise ValueError(f"J_min={wrong[0][0]:g} exceeds J_max={wrong[0][1]:g}: exchange them")
    definitions = run.definitions()
    used = [_evaluations_used(segment, definitions) for segment in run.segments]

    def table(segment: Segment, names: Sequence[int]) -> dict[tuple[int, ...], Array]:
        corners = product((0, 1), repeat=len(names))
        slopes = [(c, {n: (low, high)[side][n] for n, side in zip(names, c, strict=True)}) for c in corners]
        return {c: slot_matrix(segment, chosen, definitions) for c, chosen in slopes}

    tables = [table(segment, names) for segment, names in zip(run.segments, used, strict=True)]
    largest = np.array([np.abs(list(matrices.values())).max(axis=0) for matrices in tables])

    def total(sides: Sides) -> float:
        chosen = [matrices[tuple(sides[n] for n in names)] for matrices, names in zip(tables, used, strict=True)]
        return _norm(running_products(np.array(chosen))[-1])

    climbs = [_climb(dict.fromkeys(ends, side), total, sweeps) for side in (0, 1)]
    found, sides = max(climbs, key=lambda climb: climb[0])
    corner = np.array([pair[sides[n]] for n, pair in ends.items()])
    return WorstCase(found, _norm(running_products(largest)[-1]), corner)


@ordered
def gaussian_jacobian(variance: float) -> Callable[[Point], float]:
    """Return J of the exact eps of a Gaussian of this variance: sigma/(alpha^2 variance + sigma^2) at each Point.

    Raises
    ------
    ValueError
        For a variance that is not a positive number.
    """
    if not 0 < variance < np.inf:
        raise ValueError(
            f"variance={shown(variance)} is not a positive number: pass the variance of the data, such as 0.25"
        )
    return lambda point: float(point.sigma / (point.alpha**2 * variance + point.sigma**2))


def running_products(matrices: Array) -> Array:
    """Return M_k ... M_1 for each k, shape (K, r, r); infinite where they overflow."""
    with np.errstate(all="ignore"):
        return np.array([*accumulate(matrices, lambda before, m: m @ before)])


def _norm(matrix: Array) -> float:
    return float(np.linalg.norm(matrix, 2)) if np.all(np.isfinite(matrix)) else float("inf")


def _injected(segments: Sequence[Segment], matrices: Array) -> list[float]:
    """Propagate a unit perturbation of what each slot computes, as opposed to moves, to the end."""
    sizes, to_end = [], np.eye(matrices.shape[1])
    for segment, matrix in zip(reversed(segments), matrices[::-1], strict=True):
        before = {h.number for h in segment.before.values()}
        computed = [h.number not in before for h in segment.after.values()]
        sizes.append(_norm(to_end[:, computed]))
        with np.errstate(all="ignore"):
            to_end = to_end @ matrix
    return sizes[::-1]


def _evaluations_used(segment: Segment, definitions: Mapping[int, Op]) -> tuple[int, ...]:
    """Return the evaluations that a slot's matrix depends on, those remembered from earlier slots included."""
    asked = defaultdict[int, float](float)
    slot_matrix(segment, asked, definitions)
    return tuple(asked)


def _climb(sides: Sides, total: Callable[[Sides], float], sweeps: int) -> tuple[float, Sides]:
    """Flip one J at a time to its other limit as long as the total grows."""
    best = total(sides)
    for _ in range(sweeps):
        before = best
        for n in sides:
            trial = {**sides, n: 1 - sides[n]}
            if (value := total(trial)) > best:
                best, sides = value, trial
        if best == before:
            break
    return best, sides
