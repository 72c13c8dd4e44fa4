"""Fixed-point iterations, plain and accelerated: the solver of the implicit equations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.runs.solving import Status
from bdia_numerics.spaces import Space, kind_of

Array = np.ndarray[Any, Any]

# Two differences of increments whose directions agree to this many digits say the same about the slope.
PARALLEL = 1e-10


@dataclass(frozen=True)
class Iteration:
    """How to iterate; the methods that take these options explain them."""

    iterations: int = 50
    memory: int = 0
    tolerance: Any = None

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("memory", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name}={value!r}: pass an int of at least {least}")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance={self.tolerance!r} cannot be reached: pass a positive number, or None")

    def admitted(self, name: str, z: Any, space: Space) -> tuple[Array, Any]:
        """Return a state as an array, and the tolerance in its number system; ValueError and TypeError as documented."""
        if space.scalars is not space or space.encloses or space.symbolic:
            raise TypeError(f"{name} is in {space.name}, where iterations have no limit: use floats, mpf or fractions")
        if not space.finite(z):
            raise ValueError(f"{name} holds NaN or infinite values: pass finite states")
        if self.memory and not space.floats:
            raise TypeError(f"memory={self.memory} needs NumPy floats, and {name} is in {space.name}: use memory=0")
        if self.tolerance is not None:
            return np.asarray(z), space.number(self.tolerance)
        if space.exact:
            raise ValueError("tolerance=None has no meaning in fractions, which are never rounded: pass a Fraction")
        return np.asarray(z), float(64 * space.eps) if space.floats else space.number(64 * space.eps)


@dataclass(frozen=True)
class Unconverged(Status):
    """Status of a run with iterations that missed the tolerance; `slot` is the first such one, N for whole runs.

    It is ok if each row came nearer to a solution, and not ok if one ended no nearer than it began: it diverged.
    """

    residual: float = float("nan")

    def __str__(self) -> str:
        how = "stop short of the tolerance" if self.ok else "diverge"
        return f"the iterations at slot i={self.slot} {how}: {self.register} misses by {self.residual:.1e}"


@dataclass(frozen=True)
class Solved:
    """What the iterations found.

    Attributes
    ----------
    z : array
        For each row the iterate of least residual.
    residual, first, enough : array, shape (rows,)
        The largest |defect| of each row at z, the same where the iterations began, and where they were to end.
    evaluations : int
        Evaluations of the defect.
    """

    z: Array
    residual: Array
    first: Array
    enough: Array
    evaluations: int

    @property
    def worst(self) -> float:
        """The largest residual."""
        return float(np.max(self.residual))

    @property
    def converged(self) -> bool:
        """Whether all rows came within the tolerance."""
        return bool(np.all(self.residual <= self.enough))

    @property
    def diverged(self) -> bool:
        """Whether a row is not within the tolerance and no nearer than at the start."""
        return bool(np.any((self.residual > self.enough) & (self.residual >= self.first)))

    def status(self, slot: int, register: str) -> Status:
        """Return the status of the run, as far as these iterations decide it."""
        return Status() if self.converged else Unconverged(not self.diverged, slot, register, self.worst)


def fixed_point(
    defect: Callable[[Array], Array],
    z: Array,
    inverse_slope: Any,
    *,
    relative: Any,
    target: Array,
    options: Iteration,
) -> Solved:
    """Solve defect(z) = 0 by z <- z + inverse_slope defect(z), row by row.

    Parameters
    ----------
    defect
        Maps an array of z's shape to one; its derivative should be near -1/inverse_slope.
    z
        Where to begin. The first axis of an array of two or more axes counts the rows; any other array is one row.
    inverse_slope
        Scalar of the states' number system.
    relative, target
        A row rests once its largest |defect| is at most `relative` times its largest |target|, or 1 if that is larger.
    options
        `iterations` is the largest number of updates; the defect is evaluated at most once more. A row of D elements
        uses a memory of D at most; for D = 1 it is the secant method.

    Returns
    -------
    Solved
        A row whose iterates overflow stops, and keeps its best one.

    Notes
    -----
    D. G. Anderson, J. ACM 12 (1965) 547; as written by Walker and Ni, SIAM J. Numer. Anal. 49 (2011) 1715: with
    f = inverse_slope defect, z <- z + f - (dZ + dF) w, where w minimises |f - dF w| over the differences dZ, dF of the
    latest iterates and their f.
    """
    rows = rows_of(z)
    enough = relative * np.maximum(largest(target, rows), 1)
    best, least = z, np.full(rows, np.inf, dtype=object if kind_of(z) == "objects" else np.float64)
    first: Array | None = None
    resting = np.zeros(rows, dtype=bool)
    past: deque[tuple[Array, Array]] = deque(maxlen=min(options.memory, z.size // max(rows, 1)) + 1)
    evaluations = 0
    with np.errstate(all="ignore"):
        while True:
            r = defect(z)
            evaluations += 1
            norms = largest(r, rows)
            first = norms if first is None else first
            better = norms < least
            best, least = _rowwise(better, z, best), np.where(better, norms, least)
            resting = resting | (least <= enough) | (norms == np.inf)
            if evaluations > options.iterations or resting.all():
                return Solved(best, least, first, enough, evaluations)
            f = r * inverse_slope
            past.append((z, f))
            update = f if len(past) == 1 else f - _correction(past, f, rows)
            moved = z + update
            resting = resting | (largest(moved, rows) == np.inf)
            z = _rowwise(resting, best, moved)


def _correction(past: deque[tuple[Array, Array]], f: Array, rows: int) -> Array:
    """Return (dZ + dF) w, shape of f; the weights need few digits, as they only choose the next iterate."""
    states, values = (np.stack([x.reshape(rows, -1) for x in column], axis=-1) for column in zip(*past, strict=True))
    moves, changes = np.diff(states, axis=-1), np.diff(values, axis=-1)
    sizes = np.linalg.norm(changes.astype(np.float64), axis=1, keepdims=True)
    scale = np.where((sizes > 0) & np.isfinite(sizes), 1 / sizes, 0)
    directions = np.nan_to_num(changes * scale, posinf=0, neginf=0).astype(np.float64)
    right = np.nan_to_num(f.reshape(rows, -1, 1).astype(np.float64), posinf=0, neginf=0)
    weights = np.swapaxes(scale, 1, 2) * (np.linalg.pinv(directions, rcond=PARALLEL) @ right)
    return np.asarray(((moves + changes) @ weights.astype(f.dtype)).reshape(f.shape))


def largest(x: Array, rows: int) -> Array:
    """Return the largest absolute value of each row, inf where it is not finite; shape (rows,)."""
    if kind_of(x) != "objects":
        values = np.max(np.abs(x.reshape(rows, -1)), axis=1, initial=0).astype(np.float64)
        return np.where(np.isfinite(values), values, np.inf)
    return np.max(np.abs(x.reshape(rows, -1)), axis=1)  # type: ignore[no-any-return]


def _rowwise(chosen: Array, x: Array, y: Array) -> Array:
    return np.where(chosen.reshape((-1, *(1,) * (x.ndim - 1))) if x.ndim > 1 else chosen[0], x, y)


def rows_of(z: Array) -> int:
    """Return how many rows an array has: its first axis, if there is another one."""
    return len(z) if z.ndim > 1 else 1
