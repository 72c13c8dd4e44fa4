"""How far a noise prediction is from a gradient field: its Jacobian, and the part of it that is not symmetric.

The exact eps is -sigma times the gradient of a log density, so its Jacobian is symmetric. A learned one is not a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from bdia_numerics.spaces import kind_of, plain
from bdia_numerics.spaces.values import ordered

Array = np.ndarray[Any, Any]
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


def difference(model: Model, z: Array, t: Any, v: Array, scale: float) -> Array:
    """Return the derivative of the model along v by central differences of fourth order, with steps of eps^(1/5) scale."""
    h = z.dtype.type(float(np.finfo(z.dtype).eps) ** 0.2 * scale)
    one, two = (np.asarray(model(z + k * h * v, t)) - np.asarray(model(z - k * h * v, t)) for k in (1, 2))
    derivative: Array = (8 * one - two) / (12 * h)
    return derivative


def states_of(z: Any, axes: int) -> Array:
    """Return finite real float states with at least `axes` axes."""
    array = np.asarray(plain("z", z))
    if kind_of(array) != "float":
        raise TypeError(f"z has dtype {array.dtype}: pass real floats")
    if isinstance(axes, bool) or not 1 <= axes <= array.ndim:
        raise ValueError(f"axes={axes!r}: pass the number of trailing axes that hold one state, 1 to {array.ndim}")
    if not np.all(np.isfinite(array)):
        raise ValueError("z is not finite: pass finite states")
    return array


@ordered
def model_jacobian(model: Model, z: Any, t: Any, *, axes: int = 1, jvp: JVP | None = None, scale: float = 1.0) -> Array:
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
        error is about eps^(4/5) (3e-13 in float64) times the size of the model's derivatives at unit `scale`.
    scale
        Length over which the model changes; the differences step eps^(1/5) (7e-4 in float64) of it.

    Returns
    -------
    array
        Shape (*batch, d, d), d the number of coordinates of a state; row k is the derivative of output k. It takes 4 d
        model evaluations of the whole batch, or d calls of `jvp`.

    Raises
    ------
    ValueError
        For axes out of range, non-finite states, a scale that is not positive.
    TypeError
        For states that are not real floats.
    """
    array = states_of(z, axes)
    if not 0 < scale < np.inf:
        raise ValueError(f"scale={scale!r} is not a positive number: pass the length over which the model changes")
    data = array.shape[array.ndim - axes :]
    batch, d = array.shape[: array.ndim - axes], prod(data)
    jacobian = np.empty((*batch, d, d), dtype=array.dtype)
    for k in range(d):
        direction = np.zeros(d, dtype=array.dtype)
        direction[k] = 1
        v = np.broadcast_to(direction.reshape(data), array.shape)
        along = difference(model, array, t, v, scale) if jvp is None else np.asarray(jvp(array, t, v))
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
    scale: float = 1.0,
) -> Asymmetry:
    """Measure how far a model is from a gradient field at given states.

    Parameters
    ----------
    model, z, t, axes, jvp, scale
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
        E = model_jacobian(model, array, t, axes=axes, jvp=jvp, scale=scale)
        return _from_squares(np.sum(((E - np.swapaxes(E, -1, -2)) / 2) ** 2, (-1, -2)), np.sum(E**2, (-1, -2)))
    if probes < 2:
        raise ValueError(f"probes={probes}: take 2 or more, or None for the whole Jacobian")
    rng = np.random.default_rng(0) if rng is None else rng
    over = tuple(range(array.ndim - axes, array.ndim))
    anti, size = [], []
    for _ in range(probes):
        u, v = rng.standard_normal((2, *array.shape)).astype(array.dtype)
        Eu, Ev = (
            difference(model, array, t, x, scale) if jvp is None else np.asarray(jvp(array, t, x)) for x in (u, v)
        )
        anti.append((np.sum(u * Ev, over) - np.sum(v * Eu, over)) ** 2 / 4)
        size.append((np.sum(Eu**2, over) + np.sum(Ev**2, over)) / 2)
    found = _from_squares(np.mean(anti, 0), np.mean(size, 0))
    each = np.mean(np.reshape(anti, (probes, -1)), 1)
    spread = float(np.std(each, ddof=1)) / np.sqrt(probes)
    return Asymmetry(found.norm, found.relative, float(spread / (2 * found.norm)) if found.norm else 0.0)


def _from_squares(anti: Any, size: Any) -> Asymmetry:
    norm, whole = (float(np.sqrt(np.mean(x))) for x in (anti, size))
    return Asymmetry(norm, norm / whole if whole else 0.0)
