"""Gradient fields, and the determinant and the symplectic structure of step maps.

The exact eps is -sigma times the gradient of a log density, so its Jacobian is symmetric. A learned one is not a gradient. The step maps
are those of the run that a model makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from bdia_numerics.analysis.perturbation.amplification import evaluations, slot_matrix
from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.problems.checks import generator
from bdia_numerics.program import Solver, inverse_run, record_steps, structure
from bdia_numerics.program.inverse import own_coefficients
from bdia_numerics.runs.solving import solve
from bdia_numerics.spaces import Array, kind_of, ordered, plain, shaped
from bdia_numerics.texts import shown

Model = Callable[[Any, Any], Any]
JVP = Callable[[Any, Any, Any], Any]
"""jvp(z, t, v): derivative of the model's output at (z, t) in the direction v, all of z's shape."""


@dataclass(frozen=True)
class Asymmetry:
    """The part of a Jacobian E that is not symmetric.

    Attributes
    ----------
    norm : float
        Frobenius norm of (E - E^T)/2, root mean square over the batch.
    relative : float
        The same over the Frobenius norm of E: 0 for a gradient field, 1 for a pure rotation, sqrt(1/2) for a matrix of
        independent entries.
    standard_error : float
        Of `norm`, from the spread of the probes; 0 where the whole Jacobian was formed.
    """

    norm: float
    relative: float
    standard_error: float = 0.0


def difference(model: Model, z: Array, t: Any, v: Array, length: float) -> Array:
    """Return the derivative of the model along v by central differences of fourth order, with steps of eps^(1/5) length."""
    h = z.dtype.type(float(np.finfo(z.dtype).eps) ** 0.2 * length)

    def asked(x: Array) -> Array:
        return np.asarray(shaped(f"model(z, t={t})", model(x, t), z))

    one, two = (asked(z + k * h * v) - asked(z - k * h * v) for k in (1, 2))
    return np.asarray((8 * one - two) / (12 * h))


def states_of(z: Any, axes: int) -> Array:
    """Return finite real float states with at least `axes` axes."""
    array = np.asarray(plain("z", z))
    if kind_of(array) != "float":
        raise TypeError(f"z has dtype {array.dtype}: pass real floats")
    if isinstance(axes, bool) or not 1 <= axes <= array.ndim:
        raise ValueError(f"axes={shown(axes)}: pass the number of trailing axes that hold one state, 1 to {array.ndim}")
    if not np.all(np.isfinite(array)):
        raise ValueError("z is not finite: pass finite states")
    return array


@ordered
def model_jacobian(
    model: Model, z: Any, t: Any, *, axes: int = 1, jvp: JVP | None = None, length: float = 1.0
) -> Array:
    """Return the Jacobian of a model's output by its state, one matrix for each state of the batch.

    Parameters
    ----------
    model
        ``model(z, t)``, which treats the states of a batch independently.
    z
        States, floats of shape (*batch, *data).
    t
        Time, as the model takes it.
    axes
        Number of trailing axes of z that are data.
    jvp
        ``jvp(z, t, v)`` if exact directional derivatives are at hand; else central differences of fourth order, whose
        error is about eps^(4/5) (3e-13 in float64) times the size of the model's derivatives for a `length` of 1.
    length
        Length over which the model changes; the differences step eps^(1/5) (7e-4 in float64) of it.

    Returns
    -------
    array
        Shape (*batch, d, d), d the number of coordinates of a state; row k is the derivative of output k. It takes 4 d
        model evaluations of the whole batch, or d calls of `jvp`.

    Raises
    ------
    ValueError
        For axes out of range, non-finite states, a length that is not positive.
    TypeError
        For states that are not real floats.
    """
    array = states_of(z, axes)
    if not 0 < length < np.inf:
        raise ValueError(
            f"length={shown(length)} is not a positive number: pass the length over which the model changes"
        )
    data = array.shape[array.ndim - axes :]
    batch, d = array.shape[: array.ndim - axes], prod(data)
    jacobian = np.empty((*batch, d, d), dtype=array.dtype)
    for k, direction in enumerate(np.eye(d, dtype=array.dtype)):
        v = np.broadcast_to(direction.reshape(data), array.shape)
        along = difference(model, array, t, v, length) if jvp is None else np.asarray(jvp(array, t, v))
        jacobian[..., :, k] = along.reshape(*batch, d)
    return jacobian


@ordered
def asymmetry(
    model: Model,
    z: Any,
    t: Any,
    *,
    axes: int = 1,
    jvp: JVP | None = None,
    probes: int | None = None,
    rng: np.random.Generator | None = None,
    length: float = 1.0,
) -> Asymmetry:
    """Measure how far a model is from a gradient field at given states.

    Parameters
    ----------
    model, z, t, axes, jvp, length
        As for `model_jacobian`.
    probes
        None forms the whole Jacobian. A number k takes k pairs of random directions u, v for each state instead, for networks
        with many coordinates: u^T E v - v^T E u has the variance |E - E^T|^2 (Frobenius norm, squared), so that its mean
        square is an unbiased estimate. Two directional derivatives a pair.
    rng
        Source of the directions; `np.random.default_rng(0)` by default.

    Returns
    -------
    Asymmetry

    Raises
    ------
    ValueError
        As `model_jacobian`, and for probes below 2.
    TypeError
        For states that are not real floats.
    """
    array = states_of(z, axes)
    if probes is None:
        E = model_jacobian(model, array, t, axes=axes, jvp=jvp, length=length)
        return _from_squares(np.sum(((E - np.swapaxes(E, -1, -2)) / 2) ** 2, (-1, -2)), np.sum(E**2, (-1, -2)))
    if probes < 2:
        raise ValueError(f"probes={probes}: take 2 or more, or None for the whole Jacobian")
    rng = generator(0 if rng is None else rng)
    over = tuple(range(array.ndim - axes, array.ndim))
    anti, size = [], []
    for _ in range(probes):
        u, v = rng.standard_normal((2, *array.shape)).astype(array.dtype)
        Eu, Ev = (
            difference(model, array, t, x, length) if jvp is None else np.asarray(jvp(array, t, x)) for x in (u, v)
        )
        anti.append((np.sum(u * Ev, over) - np.sum(v * Eu, over)) ** 2 / 4)
        size.append((np.sum(Eu**2, over) + np.sum(Ev**2, over)) / 2)
    found = _from_squares(np.mean(anti, 0), np.mean(size, 0))
    spread = float(np.std(np.mean(np.reshape(anti, (probes, -1)), 1), ddof=1)) / np.sqrt(probes)
    return Asymmetry(found.norm, found.relative, float(spread / (2 * found.norm)) if found.norm else 0.0)


def _from_squares(anti: Any, size: Any) -> Asymmetry:
    norm, whole = (float(np.sqrt(np.mean(x))) for x in (anti, size))
    return Asymmetry(norm, norm / whole if whole else 0.0)


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


@ordered
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
    return tuple(own_coefficients(segment, run.trace.grid.space) for segment in run.segments)


@ordered
def symplectic_defect(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: Any,
    start: Any = None,
    *,
    axes: int = 1,
    jvp: JVP | None = None,
    length: float = 1.0,
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
    jvp, length
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
        raise ValueError(f"{shown(solver)} has {len(registers)} registers: the symplectic form pairs exactly two")
    run = record_steps(solver, grid, prediction_of(model))
    places: list[tuple[Array, Any]] = []

    def listening(x: Array, t: Any) -> Any:
        places.append((np.array(x), t))
        return model(x, t)

    solve(solver, Predicting(listening, prediction_of(model)), grid, array, start)
    asked = list(evaluations(run))
    jacobians = [
        model_jacobian(model, x, t, axes=axes, jvp=jvp, length=length) for x, t in places[len(places) - len(asked) :]
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
    return np.asarray(np.divide(anti, size, out=np.zeros_like(anti), where=size != 0))
