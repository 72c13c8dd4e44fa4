"""Parameters and states: what is accepted, and how it enters the number system of a run; symmetric matrices in any of them."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.schedules import EDM, VE, Discrete, Flow, VPCosine, VPLinear
from bdia_numerics.schedules.base import SINGLE, inside
from bdia_numerics.spaces import Array, decimal, of_kind
from bdia_numerics.spaces.later import mp
from bdia_numerics.texts import shown

Times = tuple[Any, Any]
"""(alpha, sigma) at one time."""
Parts = tuple[Array, Array, Array]
"""Weights, means and covariances."""
SEEN = 2.0**-36
"""Relative difference of variances in some direction from which on two matrices differ, whatever their entries say."""
_GRADED = 1e4
"""How much more spread covariances may have than their correlations for LAPACK to serve."""
_GUARD, _BITS = 10, 3.32
"""Digits that no result shows, and bits a digit."""


def ldl(a: Array) -> tuple[Array, Array]:
    """Return L (unit lower triangular) and d with a = L diag(d) L^T, by rational operations only.

    Parameters
    ----------
    a
        Symmetric, shape (D, D), of any dtype, objects included.
    """
    a = a.copy()
    size = a.shape[0]
    lower = np.zeros_like(a)
    for j in range(size):
        lower[j, j] = a[j, j] / a[j, j]
        column = a[j + 1 :, j] / a[j, j]
        lower[j + 1 :, j] = column
        a[j + 1 :, j + 1 :] = a[j + 1 :, j + 1 :] - column[:, None] * a[j, j + 1 :][None, :]
    return lower, a.diagonal().copy()


def ldl_solve(factors: tuple[Array, Array], b: Array) -> Array:
    """Return the solution x of L diag(d) L^T x = b, shape (D,)."""
    lower, d = factors
    x = b.copy()
    for j in range(len(d)):
        x[j + 1 :] = x[j + 1 :] - lower[j + 1 :, j] * x[j]
    x = x / d
    for j in range(len(d) - 1, 0, -1):
        x[:j] = x[:j] - lower[j, :j] * x[j]
    return x


def alike(a: Array, b: Array, slack: Any, *, matrices: bool) -> bool:
    """Say whether covariances are equal up to a rounding of each entry, and no direction tells them apart.

    Parameters
    ----------
    a, b
        Variances, or matrices in the last two axes; shapes that broadcast, float64 or Fractions.
    slack
        Largest difference of two variances, relative to either; for entries of matrices D times as much, relative to
        sqrt(c_ii c_jj). 0 asks for equality.
    matrices
        Whether the last two axes are a matrix.

    Notes
    -----
    A rounding of large entries can hide a small eigenvalue. So the variances of two matrices may differ by 2^-36 at most
    in any direction, too, which is a relative error of 1e-11 in the flow.
    """
    if np.all(a == b) or not slack:
        return bool(np.all(a == b))
    if not matrices:
        return bool(np.all(abs(a - b) <= slack * np.minimum(a, b)))
    size, deviations = b.shape[-1], np.sqrt(np.einsum("...dd->...d", b))
    if not np.all(abs(a - b) <= slack * size * deviations[..., :, None] * deviations[..., None, :]):
        return False
    return bool(np.all(abs(_whitened(a - b, b)) <= SEEN))


def _whitened(a: Array, b: Array) -> Array:
    """Return L^-1 a L^-T, b = L L^T; infinite where b is positive definite in no floats."""
    try:
        lower = np.linalg.cholesky(b)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.inf)
    return np.asarray(np.linalg.solve(lower, np.swapaxes(np.linalg.solve(lower, a), -1, -2)))


def commuting(a: Array, b: Array, slack: Any) -> bool:
    """Say whether two covariance matrices commute up to a rounding of their entries, as `alike` understands it."""
    difference = a @ b - b @ a
    if not slack:
        return bool(np.all(difference == 0))
    bound = slack * len(a) * (abs(a) @ abs(b) + abs(b) @ abs(a))
    if not np.all(abs(difference) <= bound):
        return False
    return bool(np.all(difference == 0) or np.all(abs(_whitened(_whitened(difference, a), b)) <= SEEN))


def narrowest(covs: Array, *, matrices: bool) -> Array:
    """Return the deviation of each coordinate while the others stand, shape of the variances."""
    if not matrices:
        return np.asarray(np.sqrt(covs))
    try:
        precisions = np.einsum("...dd->...d", np.linalg.inv(covs))
    except np.linalg.LinAlgError:
        return np.zeros(covs.shape[:-1])
    return np.asarray(np.where(precisions > 0, 1 / np.sqrt(abs(precisions)), 0.0))


def positive_definite(a: Array) -> bool:
    """Decide by the signs of the pivots; exact for Fractions."""
    try:
        with np.errstate(all="ignore"):
            return bool(np.all(ldl(a)[1] > 0))
    except ZeroDivisionError:
        return False


def eigen(a: Array, space: spaces.Space) -> tuple[Array, Array]:
    """Return eigenvalues (D,) and orthonormal eigenvectors in columns (D, D) of a symmetric matrix.

    LAPACK in float64, which knows small eigenvalues to eps of the largest. Where the matrix of the correlations has far
    less spread, so that the entries say more, and in every other system that has square roots: mpmath, with as many more
    digits as the spread takes.
    """
    if space.double:
        values, vectors = np.linalg.eigh(a)
        deviations = np.sqrt(a.diagonal())
        correlations = np.linalg.eigvalsh(a / np.multiply.outer(deviations, deviations))
        if correlations[0] * values[-1] <= _GRADED * values[0] * correlations[-1]:
            return values, vectors
    largest, smallest = (space.field(x) for x in (max(a.diagonal()), min(ldl(a)[1])))
    spread = int(largest / smallest) * space.eps.denominator
    digits = spaces.MPMath(_GUARD + int(spread.bit_length() / _BITS))
    with digits.working():
        found, axes = mp.eigsy(mp.matrix([[digits.number(space.field(x)) for x in row] for row in a]))
        values, vectors = (np.array([digits.field(x) for x in part], dtype=object) for part in (found, axes))
    return space.array(list(values)), space.array(list(vectors)).reshape(a.shape)


_REMEMBERED = 1 << 14
"""Times whose noise levels are remembered of a schedule, some MB of them: those of a long grid, not those of every adaptive run."""
_VALUES = (EDM, VE, Discrete, Flow, VPCosine, VPLinear)
"""Schedules whose levels follow from their arguments; functions and classes of other people may answer otherwise the next time."""


def levels_of(schedule: Any) -> dict[Any, tuple[Any, Any]]:
    """Return what is known of a schedule's levels, by the time: the same for all models under equal schedules."""
    return _levels(schedule) if type(schedule) in _VALUES else {}


@lru_cache(maxsize=64)
def _levels(schedule: Any) -> dict[Any, tuple[Any, Any]]:
    return {}


def parameter(name: str, value: object) -> Array:
    """Return a parameter as a read-only array: float64, longdouble or integers, else objects (Fractions, mpf, mixed).

    Raises
    ------
    TypeError
        For complex values and for what is not a real number.
    ValueError
        For ragged nesting, NaN and infinity.
    """
    try:
        array = np.array(spaces.plain(name, value))
    except ValueError:
        raise ValueError(f"{name}={shown(value)} is ragged: pass rows of equal length") from None
    if (kind := spaces.kind_of(array)) == "objects":
        array = _objects(name, array)
    elif kind == "other":
        raise TypeError(f"{name} has dtype {array.dtype}: pass real numbers")
    elif kind == "float":
        array = _cast(array, spaces.of(array, name).wide)
        if not spaces.of(array).finite(array):
            bad = array[~np.isfinite(array)].flat[0]
            raise ValueError(f"{name} contains {bad}: pass finite numbers")
    array.flags.writeable = False
    return array


def _objects(name: str, array: Array) -> Array:
    result = np.empty(array.shape, dtype=object)
    for index, x in np.ndenumerate(array):
        if isinstance(x, complex | bool | str):
            raise TypeError(f"{name} contains {shown(x)}: pass real numbers")
        element = Fraction(x) if isinstance(x, int) else x
        if not spaces.of(element).finite(element):
            raise ValueError(f"{name} contains {shown(x)}: pass finite numbers")
        result[index] = element
    return result


def _cast(array: Array, wide: spaces.Space) -> Array:
    """Return floats in a wider system; those that are there already as they are, since a data set may fill the memory."""
    return array if wide.holds(array) else np.asarray(wide.cast(array))


def embed(array: Array, space: spaces.Space) -> Array:
    """Return a checked parameter in the number system of a run.

    Floats enter mpmath and longdouble with their exact binary value, so the distribution is the same there. In systems where
    every digit counts (Fractions, symbols) a float raises TypeError.
    """
    wide = space.wide
    if wide.floats and spaces.kind_of(array) != "objects":
        return _cast(array, wide)
    if not any(array.strides):  # one number many times, as the weights of a data set
        return np.repeat(embed(array.flat[:1], space), array.size).reshape(array.shape)
    with wide.working():
        return wide.array([x if wide.exact else exact(x) for x in array.flat]).reshape(array.shape)


def exact(x: Any) -> Any:
    """Return the exact value of a number of any system."""
    return Fraction(int(x)) if isinstance(x, np.integer) else spaces.of(x).field(x)


def exact_values(array: Array) -> Array:
    """Return an array of the exact values of numbers of any system."""
    return np.asarray(np.frompyfunc(exact, 1, 1)(array), dtype=object)


def states(z: object, dimension: int) -> tuple[Array, spaces.Space]:
    """Return the states as an array of shape (*batch, D) and their number system.

    NaN and infinite states pass: a score gives NaN there, so that a run that diverges ends with its `Status`.

    Raises
    ------
    TypeError
        For complex, integer and other arrays that are in no number system.
    ValueError
        If the last axis is not D.
    """
    array = np.asarray(spaces.plain("z", z))
    space = spaces.of(array)
    if array.ndim == 0 or array.shape[-1] != dimension:
        raise ValueError(f"z has shape {array.shape}: the last axis must be D = {dimension}")
    return array, space


def marginal(
    schedule: Any, t: Any, space: spaces.Space, known: dict[Any, tuple[Any, Any]] | None = None
) -> tuple[Any, Any]:
    """Return alpha(t) and sigma(t) in the number system of the states; `known` remembers those of float64 by the time."""
    memory = known if space.double and spaces.is_float(t) else None
    if memory is not None and (found := memory.get(t)) is not None:
        return found
    if spaces.is_float(t) and t != t:
        raise ValueError(f"t={t} is not a number: pass a finite time")
    of_kind("schedule", "schedule", schedule, "alpha", "sigma")
    if np.ndim(t):
        raise TypeError(f"t={shown(t)} is not one time: pass a number, and states of one time at once")
    t = decimal(t) if isinstance(t, str) else t
    time = space.number(inside(schedule, "t", t, SINGLE))
    level = space.number(schedule.alpha(time)), space.number(schedule.sigma(time))
    if memory is not None:
        if len(memory) >= _REMEMBERED:
            memory.clear()
        memory[t] = level
    return level


def generator(rng: Any) -> np.random.Generator:
    """Return a generator of random numbers, of a seed where that is given; TypeError for what draws nothing."""
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(rng)
    if not hasattr(rng, "standard_normal"):
        raise TypeError(
            f"rng={shown(rng)} draws nothing: pass numpy.random.default_rng(seed), or the seed, an int of at least 0"
        )
    return rng


def weights_of(value: object) -> Array:
    """Return checked mixture weights, shape (K,)."""
    weights = parameter("weights", value)
    if weights.ndim != 1 or weights.size == 0:
        raise ValueError(f"weights has shape {weights.shape}: pass K >= 1 weights, shape (K,)")
    if np.any(weights < 0):
        raise ValueError(f"weights contains {min(weights)}: weights must be non-negative")
    # Weights that were divided by their sum in the given dtype miss 1 by less than one rounding each.
    source = np.asarray(value)
    rational = spaces.kind_of(source) == "integer" or all(isinstance(w, Fraction) for w in weights)
    given = spaces.of(source) if spaces.kind_of(source) == "float" else spaces.FLOAT64
    rounding = 0.0 if rational else weights.size * float(given.eps)
    total = sum(map(exact, weights), start=Fraction(0))
    if abs(total - 1) > rounding:
        raise ValueError(f"weights sums to {float(total):.17g}: divide the weights by their sum")
    return weights


def variances_of(name: str, value: object, shapes: tuple[tuple[int, ...], ...]) -> Array:
    """Return checked variances or covariance matrices in one of the allowed shapes.

    Zero variances (atoms) pass in the isotropic and diagonal shapes; matrices must be symmetric and positive definite.
    """
    array = parameter(name, value)
    if array.shape not in shapes:
        allowed = " or ".join(map(str, shapes))
        raise ValueError(f"{name} has shape {array.shape}: the means ask for {allowed}")
    if array.shape != shapes[-1]:
        if np.any(array < 0):
            raise ValueError(f"{name} contains {min(array.flat)}: variances must be non-negative")
        return array
    for k, matrix in enumerate(array.reshape(-1, *array.shape[-2:])):
        label = f"{name}[{k}]" if array.ndim > 2 else name
        if not np.all(matrix == matrix.T):
            raise ValueError(f"{label} is not symmetric: pass (C + C.T)/2")
        if not positive_definite(embed(matrix, spaces.FRACTION) if spaces.kind_of(matrix) == "integer" else matrix):
            raise ValueError(f"{label} is not positive definite, {matrix.tolist()}: pass one with positive eigenvalues")
    return array
