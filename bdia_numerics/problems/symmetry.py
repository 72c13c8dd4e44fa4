"""What makes the flow of a mixture exact in several dimensions: one Gaussian in disguise, a line, or one centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.checks import alike, narrowest
from bdia_numerics.spaces import Array

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
        if space.double:
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
        Differences up to which numbers count as equal: 0 for Fractions, some eps for floats, whose literals are
        themselves rounded (0.1, 0.2 and 0.3 are collinear points). Variances are compared each with itself, covariances
        with sqrt(c_ii c_jj), means with the deviations of the components or with that coordinate of the means: never with
        the largest entry, which says nothing of small ones.
    """
    every = range(len(weights))
    if means.shape[1] == 1:
        return Symmetry("1-D", every)
    keep = [k for k in every if weights[k] > 0]
    means, covs, matrices = means[keep], covs[keep], covs.ndim == 3
    offsets = _offsets(means, covs, slack)
    common = alike(covs, covs[:1], slack, matrices=matrices)
    if not offsets.any():
        if common:
            return Symmetry("one", keep[:1])
        if _all_isotropic(covs):
            return Symmetry("radial", keep)
        direction = _odd_direction(covs)
    else:
        direction = offsets[np.argmax((offsets * offsets).sum(axis=1))]
        lead = np.argmax(abs(direction))
        shares = offsets[:, lead] / direction[lead]
        # A mean may miss the line by a rounding of that coordinate of the means.
        if not np.all(abs(offsets - np.multiply.outer(shares, direction)) <= slack * abs(means).max(axis=0)):
            return Symmetry("none", keep)
    if not direction.any() or not _common_across(covs, direction, slack, common):
        return Symmetry("none", keep)
    return Symmetry("line", keep, direction)


def _offsets(means: Array, covs: Array, slack: Any) -> Array:
    """Return the means less the first, without coordinates in which no component can tell them apart."""
    offsets: Array = means - means[0]
    if not slack:
        return offsets
    widths = narrowest(covs, matrices=covs.ndim == 3)
    smallest = widths.min(axis=0) if widths.ndim == 2 else np.full(means.shape[1], widths.min())
    return np.asarray(np.where(np.all(abs(offsets) <= slack * smallest, axis=0), 0.0, offsets))


def _all_isotropic(covs: Array) -> bool:
    if covs.ndim == 1:
        return True
    if covs.ndim == 2:
        return bool(np.all(covs == covs[:, :1]))
    return bool(np.all(covs == covs[:, :1, :1] * np.eye(covs.shape[1], dtype=int)))


def _odd_direction(covs: Array) -> Array:
    """Return the direction in which covariances that differ by rank one do; anything if they differ by more."""
    variances = covs if covs.ndim == 2 else np.einsum("kdd->kd", covs)
    apart, larger = abs(variances - variances[0]), np.maximum(variances, variances[0])
    k, j = np.unravel_index(np.argmax(apart / (larger + (larger == 0))), apart.shape)
    if covs.ndim == 2:
        return np.asarray(np.eye(covs.shape[1], dtype=int)[j] * (covs[k, j] - covs[k, j] + 1))
    return np.asarray(covs[k, j] - covs[0, j])


def _common_across(covs: Array, direction: Array, slack: Any, common: bool) -> bool:
    """Say whether a direction is an eigenvector of every covariance, and the covariances agree across it."""
    if covs.ndim == 1:
        return common
    if covs.ndim == 2:
        on = np.asarray(direction != 0, dtype=bool)
        if np.count_nonzero(on) > 1:
            return common and alike(covs[:, on], covs[:, on][:, :1], slack, matrices=False)
        return alike(covs[:, ~on], covs[:1, ~on], slack, matrices=False)
    # The covariances that would have this symmetry.
    along = np.multiply.outer(direction, direction) / (direction @ direction)
    across = np.eye(len(direction), dtype=int) - along
    lengths = covs @ direction @ direction / (direction @ direction)
    return alike(covs, np.multiply.outer(lengths, along) + across @ covs[0] @ across, slack, matrices=True)
