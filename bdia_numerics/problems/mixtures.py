"""Gaussians, mixtures of them and data sets: distributions that are known by their components, atoms included.

What makes the flow of a mixture exact in several dimensions is a symmetry: one Gaussian in disguise, a line, or one centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems import transports
from bdia_numerics.problems.checks import (
    Parts,
    Times,
    alike,
    embed,
    exact_values,
    narrowest,
    parameter,
    variances_of,
    weights_of,
)
from bdia_numerics.problems.enclosures import enclosed_score
from bdia_numerics.problems.problem import (
    CDF_TRANSPORT,
    CLOSED_FORM,
    ENCLOSABLE,
    LINE_TRANSPORT,
    RADIAL_TRANSPORT,
    Certificate,
    Problem,
)
from bdia_numerics.problems.scores import Components, components, float_score, generic_score
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import special
from bdia_numerics.texts import shown

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


_CERTIFICATES = {
    "one": CLOSED_FORM,
    "1-D": CDF_TRANSPORT,
    "line": LINE_TRANSPORT,
    "radial": RADIAL_TRANSPORT,
    "none": ENCLOSABLE,
}


def _key(space: spaces.Space) -> Any:
    """Return what parameters made for a number system are found by: a word for float64, since systems are slow to hash."""
    return "double" if space.double else space.wide


class Law(Problem):
    """Score, exact flow and samples of a distribution with components (weights, means, covs).

    Rational systems take one component; more need exp. Whether the flow is exact follows from the components' symmetry:
    one Gaussian, one dimension, all means on a line with a common covariance across it, or one centre with isotropic
    covariances.
    """

    _parts: tuple[Array, Array, Array]
    _cov_name: str
    _cache: dict[Any, Any]

    def _prepare(self, weights: Array, means: Array, covs: Array, cov_name: str) -> None:
        vars(self).update(_parts=(weights, means, covs), _cov_name=cov_name, _cache={})

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        return int(self._parts[1].shape[1])

    def _in(self, space: spaces.Space) -> tuple[Array, Array, Array]:
        key = _key(space)
        if key not in self._cache:
            weights, means, covs = (embed(part, space) for part in self._parts)
            self._cache[key] = weights, means, covs
        return self._cache[key]

    def _components(self, space: spaces.Space, dtype: Any = None) -> Components:
        key = ("components", "single" if dtype == np.float32 else _key(space))
        if key not in self._cache:
            self._cache[key] = (
                self._components(space).cast(dtype) if "single" in key else components(*self._in(space), space)
            )
        return self._cache[key]

    def _narrow(self, compute_dtype: str, space: spaces.Space) -> spaces.Numpy:
        return spaces.FLOAT32 if compute_dtype == "float32" and space.double else super()._narrow(compute_dtype, space)

    def _symmetry(self, space: spaces.Space) -> Symmetry:
        """Return what makes the flow exact: to a rounding of the parameters for floats, exactly in every other system."""
        if len(self._parts[0]) == 1:
            return Symmetry("one", [0])
        rounded = space.floats
        key = ("symmetry", rounded)
        if key not in self._cache:
            parts = self._in(spaces.FLOAT64) if rounded else tuple(map(exact_values, self._parts))
            self._cache[key] = symmetry(*parts, slack=4 * float(np.finfo(np.float64).eps) if rounded else 0)
        return self._cache[key]

    def _check_density(self, sigma: Any, t: object) -> None:
        if sigma == 0 and np.any(self._parts[2] == 0):
            raise ValueError(
                f"{self._cov_name} holds a variance 0 and sigma(t = {t}) is 0, so no density: use a time with sigma > 0"
            )

    def _check_flow(self, begin: Times, end: Times, t_from: object, t_to: object, certificate: Certificate) -> None:
        self._check_density(begin[1], t_from)
        if certificate is not CLOSED_FORM:
            self._check_density(end[1], t_to)

    def _score_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        if space.floats:
            return float_score(z, alpha, sigma, self._components(space, z.dtype))
        if space.encloses:
            return enclosed_score(z, alpha, sigma, self._in(space), space)  # type: ignore[arg-type]  # what encloses are balls
        if space.traced:
            # The largest exponent must belong to a component that is there.
            weights, means, covs = (p[np.asarray(self._parts[0] > 0, dtype=bool)] for p in self._in(space))
            return generic_score(z, alpha, sigma, weights, means, covs, space, space.largest)
        return generic_score(z, alpha, sigma, *self._in(space), space)

    def _terms(self) -> int:
        return sum(part.size for part in self._parts)

    def _draw(self, n: int, rng: np.random.Generator) -> Array:
        law, weights = self._components(spaces.FLOAT64), self._in(spaces.FLOAT64)[0]
        k = rng.choice(len(weights), size=n, p=weights / weights.sum())
        noise = rng.standard_normal((n, self.dimension))
        scales = np.sqrt(law.covs)[k]
        x = noise * (scales if scales.ndim == 2 else scales[:, None])
        if law.axes is not None:
            for j in np.unique(k):
                x[k == j] = x[k == j] @ law.axes[j].T
        x += law.means[k] + law.centre
        return np.asarray(x)

    def _certificate_in(self, space: spaces.Space) -> Certificate:
        return _CERTIFICATES[self._symmetry(space).kind]

    def _kind(self) -> str:
        return f"D = {self.dimension} and K = {len(self._parts[0])} without a symmetry"

    def _moved(self, z: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        found = self._symmetry(space)
        parts = found.of(self._in(space))
        if found.kind == "one":
            return transports.closed(z, begin, end, parts, space)
        if found.kind == "1-D":
            return transports.cdf(z, begin, end, parts, space)
        if found.kind == "radial":
            return transports.radial(z, begin, end, parts, space)
        return transports.along_line(z, begin, end, parts, found.axis(space), space)

    def _derivative(self, z: Array, moved: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        found = self._symmetry(space)
        parts = found.of(self._in(space))
        if found.kind == "one":
            return transports.closed_matrix(begin, end, parts, space)
        if found.kind == "1-D":
            return transports.density_ratio(z, moved, begin, end, parts, space)[:, :, None]
        if found.kind == "radial":
            return transports.radial_derivative(z, begin, end, parts, space)
        return transports.along_line_derivative(z, moved, begin, end, parts, found.axis(space), space)


@dataclass(frozen=True, eq=False)
class Gaussian(Law):
    """The normal distribution N(mean, cov), with its flow in closed form.

    Parameters
    ----------
    mean
        Shape (D,).
    cov
        A variance, D variances, or a symmetric positive definite matrix (D, D). Variances may be 0 (an atom) where
        sigma > 0. Floats are taken at their exact binary value in mpmath and longdouble; a distribution for runs in Fractions or
        symbols is written in ints and Fractions.

    Raises
    ------
    ValueError
        For shapes that do not match, NaN, infinity, negative variances and matrices not positive definite.
    TypeError
        For complex numbers.

    Examples
    --------
    >>> from bdia_numerics import problems, schedules
    >>> law = problems.Gaussian([0.0], 0.25)
    >>> law.flow([[1.0]], 1.0, 0.0, schedules.vp_linear()).round(4)
    array([[0.5]])
    """

    mean: Any
    cov: Any = 1

    def __post_init__(self) -> None:
        mean = parameter("mean", self.mean)
        if mean.ndim != 1 or mean.size == 0:
            raise ValueError(f"mean has shape {mean.shape}: pass D >= 1 numbers, shape (D,)")
        cov = variances_of("cov", self.cov, ((), mean.shape, (mean.size, mean.size)))
        vars(self).update(mean=mean, cov=cov)
        self._prepare(np.array([Fraction(1)], dtype=object), mean[None], cov[None], "cov")


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

    Examples
    --------
    >>> from bdia_numerics import problems
    >>> law = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
    >>> law.sample(3, 0).round(2).tolist(), law.flow_certificate.kind
    ([[1.55], [-1.17], [-0.89]], 'CDF transport')
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
        vars(self).update(weights=weights, means=means, covs=covs)
        self._prepare(weights, means, covs, "covs")


@dataclass(frozen=True, eq=False)
class Empirical(Law):
    """A data set as a distribution: equal atoms at its points, or Gaussians of one bandwidth around them.

    Parameters
    ----------
    data
        Shape (K, D), for instance `problems.digits()`.
    bandwidth
        Standard deviation around each point, 0 for atoms. With atoms the score exists only where sigma > 0.

    Raises
    ------
    ValueError
        For data that are not two-dimensional, are empty or contain NaN or infinity, and for a negative bandwidth.
    TypeError
        For complex numbers.
    """

    data: Any
    bandwidth: Any = 0.0

    def __post_init__(self) -> None:
        data, bandwidth = parameter("data", self.data), parameter("bandwidth", self.bandwidth)
        if data.ndim != 2 or data.size == 0:
            raise ValueError(f"data has shape {data.shape}: pass K >= 1 points of length D, shape (K, D)")
        if bandwidth.ndim != 0 or bandwidth[()] < 0:
            raise ValueError(f"bandwidth={shown(self.bandwidth)}: pass one non-negative standard deviation")
        object.__setattr__(self, "data", data)
        # An exact zero lets atoms run in every number system.
        variance = Fraction(0) if bandwidth[()] == 0 else bandwidth[()] ** 2
        # One number each, seen K times.
        weights, variances = (
            np.broadcast_to(np.array(x, dtype=object), len(data)) for x in (Fraction(1, len(data)), variance)
        )
        self._prepare(weights, data, variances, "bandwidth")


def digits() -> np.ndarray[Any, Any]:
    """Return small handwritten digits, scaled to [-1, 1]: those that scikit-learn distributes.

    Returns
    -------
    array
        1797 images of 8 x 8 pixels, shape (1797, 64), float64.

    Examples
    --------
    >>> digits().shape, float(digits().min()), float(digits().max())
    ((1797, 64), -1.0, 1.0)

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository (1998), test part.
    Pixels are integers 0 to 16, so that pixel / 8 - 1 is exact in every float.
    """
    # The last column has the labels.
    return np.loadtxt(Path(__file__).parent / "vendor" / "digits.csv.gz", delimiter=",")[:, :-1] / 8 - 1


def normal_quantiles(n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return n states of N(0, 1) on the line without a draw: the midpoints of equal parts of its probability, shape (n, 1)."""
    spaces.require_count("n", n, 1, " is not a number of states")
    return special.ndtri((np.arange(n) + 0.5) / n)[:, None]
