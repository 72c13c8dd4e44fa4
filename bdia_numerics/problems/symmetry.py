"""What makes the flow of a mixture exact in several dimensions: one Gaussian in disguise, a line, or one centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bdia_numerics import spaces

Array = np.ndarray[Any, Any]
Parts = tuple[Array, Array, Array]
Kind = Literal["one", "1-D", "line", "radial", "none"]


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The kind of a mixture's flow, the components that count, and for a line its direction, of any length."""

    kind: Kind
    components: Sequence[int]
    direction: Array | None = None

    def of(self, parts: Parts) -> Parts:
        """Return the arrays (weights, means, covs) of the components that count."""
        if len(self.components) == len(parts[0]):
            return parts
        keep = list(self.components)
        return parts[0][keep], parts[1][keep], parts[2][keep]

    def axis(self, space: spaces.Space) -> Array:
        """Return the direction as a unit vector of a number system, shape (D,)."""
        assert self.direction is not None
        if isinstance(space, spaces.Numpy) and space.dtype != np.longdouble:
            return np.asarray(self.direction / np.linalg.norm(self.direction))
        direction = space.array(list(self.direction))
        return np.asarray(direction / space.sqrt(direction @ direction))


def symmetry(weights: Array, means: Array, covs: Array, *, slack: Any) -> Symmetry:
    """Find the symmetry of a mixture.

    Parameters
    ----------
    weights, means, covs
        Shapes (K,), (K, D), and (K,), (K, D) or (K, D, D); float64 or Fractions.
    slack
        Relative differences up to which numbers count as equal: 0 for Fractions, some eps for floats, whose literals
        are themselves rounded (0.1, 0.2 and 0.3 are collinear points).
    """
    every = range(len(weights))
    if means.shape[1] == 1:
        return Symmetry("1-D", every)
    keep = [k for k in every if weights[k] > 0]
    means, covs = means[keep], covs[keep]
    offsets, reach = means - means[0], slack * abs(means).max()
    common = _small(covs - covs[:1], slack * means.shape[1] * abs(covs).max())
    if _small(offsets, reach):
        if common:
            return Symmetry("one", keep[:1])
        if _all_isotropic(covs):
            return Symmetry("radial", keep)
        direction = _odd_direction(covs)
    else:
        direction = offsets[np.argmax((offsets * offsets).sum(axis=1))]
        shares = offsets @ direction / (direction @ direction)
        if not _small(offsets - np.multiply.outer(shares, direction), reach):
            return Symmetry("none", keep)
    if not _common_across(covs, direction, slack, common):
        return Symmetry("none", keep)
    return Symmetry("line", keep, direction)


def _small(values: Array, most: Any) -> bool:
    return bool(np.all(abs(values) <= most))


def _all_isotropic(covs: Array) -> bool:
    if covs.ndim == 1:
        return True
    if covs.ndim == 2:
        return bool(np.all(covs == covs[:, :1]))
    return bool(np.all(covs == covs[:, :1, :1] * np.eye(covs.shape[1], dtype=int)))


def _odd_direction(covs: Array) -> Array:
    """Return the direction in which covariances that differ by rank one do; anything if they differ by more."""
    differences = covs - covs[0]
    if covs.ndim == 2:
        k, j = np.unravel_index(np.argmax(abs(differences)), differences.shape)
        return np.asarray(np.eye(covs.shape[1], dtype=int)[j] * (covs[k, j] - covs[k, j] + 1))
    diagonals = np.einsum("kdd->kd", differences)
    k, j = np.unravel_index(np.argmax(abs(diagonals)), diagonals.shape)
    return np.asarray(differences[k, j])


def _common_across(covs: Array, direction: Array, slack: Any, common: bool) -> bool:
    """Say whether a direction is an eigenvector of every covariance, and the covariances agree across it."""
    length, most = direction @ direction, slack * len(direction) * abs(covs).max()
    if covs.ndim == 1:
        return common
    if covs.ndim == 2:
        images = covs * direction
        if not common and np.count_nonzero(direction) > 1:
            return False
        projector = direction * direction / length
    else:
        images = covs @ direction
        projector = np.multiply.outer(direction, direction) / length
    values = images @ direction / length
    if not _small(images - np.multiply.outer(values, direction), most * abs(direction).max()):
        return False
    return common or _small(covs - covs[0] - np.multiply.outer(values - values[0], projector), most)
