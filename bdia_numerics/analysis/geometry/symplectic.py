"""The determinant and the symplectic structure of a solver's step map, on the run that a model makes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from bdia_numerics.analysis.geometry.gradient_field import JVP, Model, model_jacobian, states_of
from bdia_numerics.analysis.perturbation.linearised import Array, evaluations, slot_matrix
from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Run, Segment, Solver, inverse_run, record_steps, structure
from bdia_numerics.program.inverse import invert_matrix
from bdia_numerics.program.meaning import interpret
from bdia_numerics.runs.solving import solve


@dataclass(frozen=True, eq=False)
class SymplecticDefect:
    """How far the step maps of a run are from conformally symplectic.

    With M the Jacobian of a step by the two registers and Omega = [[0, I], [-I, 0]], a conformally symplectic map has
    M^T Omega M = c Omega.

    Attributes
    ----------
    slots : array, shape (K,)
        Index i of each step (from t_i to t_{i-1}), in run order.
    factors : array, shape (K,)
        c: for d coordinates the determinant of the step is c^d, whatever the model.
    defects : array, shape (K, *batch)
        Frobenius norm of M^T Omega M - c Omega, in the units of the registers.
    asymmetry : array, shape (E, *batch)
        Of the model's Jacobian at each evaluation, |E - E^T| / (2 |E|): 0 for a gradient field, at most 1.
    """

    slots: Array
    factors: Array
    defects: Array
    asymmetry: Array

    @property
    def worst(self) -> float:
        """The largest asymmetry over evaluations and states: what a learned model is judged by."""
        return float(self.asymmetry.max())


def step_determinants(solver: Solver, grid: Grid) -> tuple[Any, ...]:
    """Return, for each step, the exact number whose d-th power is the determinant of its map on states of d coordinates.

    Each assignment x <- c x + f(the other registers) has the determinant c^d, whatever f, and each mix or swap that of
    its matrix, to the power d. So the model plays no part: for BDIA the number is -gamma.

    Parameters
    ----------
    solver
        One whose step is exactly invertible.
    grid
        Of floats, fractions or symbols.

    Returns
    -------
    tuple
        In run order, in the exact field of the grid's number system (fractions for floats). Registers stand in the order in
        which the solver names them, before and after the step.

    Raises
    ------
    NotInvertibleError
        (a ValueError) if the step is not invertible: its determinant then depends on the model, or is 0.
    """
    run = record_steps(solver, grid)
    inverse_run(run)  # refuses what cannot be undone
    return tuple(_determinant(segment, run) for segment in run.segments)


def _determinant(segment: Segment, run: Run) -> Any:
    """Return the determinant of a step with the model's output set to zero."""
    space = run.trace.grid.space
    zero, one, registers = space.field(0), space.field(1), tuple(segment.before)
    nothing = [zero] * len(registers)

    def combined(terms: Sequence[tuple[Any, list[Any]]]) -> list[Any]:
        return [sum((c * row[j] for c, row in terms), zero) for j in range(len(registers))]

    # The model's output, of this slot or an earlier one, counts as zero.
    values: defaultdict[int, list[Any]] = defaultdict(lambda: nothing)
    for k, held in enumerate(segment.before.values()):
        values[held.number] = [one if j == k else zero for j in range(len(registers))]
    interpret(segment.ops, values, lambda op, argument: nothing, combined)
    matrix = tuple(tuple(values[segment.after[name].number]) for name in registers)
    determinant = invert_matrix(matrix, space)[1]
    return space.coefficient(determinant) if space.exact else determinant


def symplectic_defect(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: Any,
    start: Any = None,
    *,
    axes: int = 1,
    jvp: JVP | None = None,
    scale: float = 1.0,
) -> SymplecticDefect:
    """Return how far the step maps of a run are from conformally symplectic, and the model from a gradient field.

    Parameters
    ----------
    solver
        Exactly invertible, with two registers: BDIA and other two-step solvers, EDICT, CBDIA, ...
    model, grid, z, start
        As for `solve`: z of shape (*batch, *data), real floats; the Jacobians are taken where the run evaluates the model.
    axes
        Number of trailing axes of z that are data.
    jvp, scale
        As for `model_jacobian`: exact directional derivatives of the model's output, or central differences.

    Returns
    -------
    SymplecticDefect

    Raises
    ------
    NotInvertibleError
        (a ValueError) for a solver that is not exactly invertible.
    ValueError
        For a solver without exactly two registers, non-finite states, axes out of range.
    TypeError
        For states that are not real floats.

    Notes
    -----
    With a model whose Jacobian is symmetric, as an exact score's is, the defect of every method that adds evaluations at one
    register to the other is zero. For BDIA it is the norm of (b_i + gamma b_{i+1}/a_{i+1}) (E - E^T), E = d eps/dz. Each
    evaluation's Jacobian takes 4 d more, or d calls of `jvp`.
    """
    array = states_of(z, axes)
    registers = structure(solver).registers
    if len(registers) != 2:
        raise ValueError(f"{solver!r} has {len(registers)} registers: the symplectic form pairs exactly two")
    run = record_steps(solver, grid, prediction_of(model))
    places: list[tuple[Array, Any]] = []
    solve(solver, _listening(model, places), grid, array, start)
    asked = list(evaluations(run))
    jacobians = [
        model_jacobian(model, x, t, axes=axes, jvp=jvp, scale=scale) for x, t in places[len(places) - len(asked) :]
    ]
    slopes = {op.target: E for op, E in zip(asked, jacobians, strict=True)}
    factors = np.array([float(c) for c in step_determinants(solver, grid)])
    batch, d = array.shape[: array.ndim - axes], prod(array.shape[array.ndim - axes :])
    form = np.kron(np.array([[0, 1], [-1, 0]], dtype=array.dtype), np.eye(d, dtype=array.dtype))
    defects = []
    for segment, factor in zip(run.segments, factors, strict=True):
        M = slot_matrix(segment, slopes, run.definitions(), (*batch, d))
        defects.append(np.linalg.norm(np.swapaxes(M, -1, -2) @ form @ M - factor * form, axis=(-1, -2)))
    return SymplecticDefect(
        slots=np.array([segment.slot for segment in run.segments]),
        factors=factors,
        defects=np.array(defects),
        asymmetry=np.array([_relative(E) for E in jacobians]),
    )


def _relative(E: Array) -> Array:
    """Return |E - E^T| / (2 |E|), 0 for E = 0."""
    anti, size = (np.linalg.norm(x, axis=(-1, -2)) for x in ((E - np.swapaxes(E, -1, -2)) / 2, E))
    ratio: Array = np.divide(anti, size, out=np.zeros_like(anti), where=size != 0)
    return ratio


def _listening(model: Model, places: list[tuple[Array, Any]]) -> Model:
    """Return the model, which notes where it is asked."""

    class Listening:
        prediction = prediction_of(model)

        def __call__(self, z: Array, t: Any) -> Any:
            places.append((np.array(z), t))
            return model(z, t)

    return Listening()
