"""Mixtures of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bdia_numerics.problems.checks import parameter, variances_of, weights_of
from bdia_numerics.problems.law import Law


@dataclass(frozen=True, eq=False)
class GaussianMixture(Law):
    """The mixture sum_k weights[k] N(means[k], covs[k]), with exact score.

    The flow is exact in one dimension, and in several if the means lie on a line along an eigenvector of every covariance
    and the covariance across that line is common, or if all means are equal and the covariances isotropic. This is found
    from the components, to a rounding of the parameters for floats and exactly in mpmath; `flow_certificate` says which.

    Parameters
    ----------
    weights
        Shape (K,), non-negative, sum 1.
    means
        Shape (K, D).
    covs
        Isotropic variances (K,), diagonals (K, D), or symmetric positive definite matrices (K, D, D). Variances may be
        0 (atoms) where sigma > 0. With K = D, two-dimensional covs are diagonals.

    Raises
    ------
    ValueError
        For shapes that do not match, NaN, infinity, weights that are negative or do not sum to 1, negative variances
        and matrices not positive definite.
    TypeError
        For complex numbers.
    """

    weights: Any
    means: Any
    covs: Any

    def __post_init__(self) -> None:
        weights, means = weights_of(self.weights), parameter("means", self.means)
        if means.ndim != 2 or means.shape[0] != weights.size or means.shape[1] == 0:
            raise ValueError(f"means has shape {means.shape}: pass {weights.size} rows, one a weight")
        count, size = means.shape
        covs = variances_of("covs", self.covs, ((count,), (count, size), (count, size, size)))
        for name, value in (("weights", weights), ("means", means), ("covs", covs)):
            object.__setattr__(self, name, value)
        self._prepare(weights, means, covs, "covs")
