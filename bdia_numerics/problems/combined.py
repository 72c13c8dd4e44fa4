"""Distributions made of others: products in an orthonormal basis, and classifier-free guidance of two Gaussians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.checks import Times, alike, commuting, embed, exact_values, narrowest, parameter
from bdia_numerics.problems.mixtures import Gaussian
from bdia_numerics.problems.problem import (
    CLOSED_FORM,
    POWER_LAW,
    PRODUCT_TRANSPORT,
    REFERENCE,
    SHIFTED_MEAN,
    Certificate,
    Problem,
)
from bdia_numerics.problems.transports import closed, closed_matrix, root_vectors
from bdia_numerics.spaces import Array
from bdia_numerics.texts import shown


@dataclass(frozen=True, eq=False)
class Product(Problem):
    """Independent distributions along the columns of an orthonormal basis: x = basis (x_1, ..., x_m), x_k from factor k.

    Parameters
    ----------
    factors
        Distributions; their dimensions add up to D.
    basis
        Orthonormal columns, shape (D, D); the coordinate axes by default. It must be orthonormal in the number system of
        the states: a rotation in floats serves float states, one in Fractions (3/5, 4/5) or mpf serves mpmath, too.

    Raises
    ------
    ValueError
        For no factor, a basis of another shape, and one that is not orthonormal.
    TypeError
        For factors that are not distributions.

    Notes
    -----
    The noise is isotropic, so score and flow act on each factor's coordinates alone; the flow is exact if each is. It
    is a numerical reference if two columns are orthogonal only next to 1, [1, 0] and [1e-17, 1] for instance, and not
    next to the terms of their own product.
    """

    factors: Sequence[Problem]
    basis: Any = None

    def __post_init__(self) -> None:
        given: object = self.factors
        factors = tuple(self.factors) if isinstance(given, Iterable) else (given,)
        for k, factor in enumerate(factors):
            if not isinstance(factor, Problem):
                raise TypeError(
                    f"factors[{k}] is a {type(factor).__name__}: pass distributions, for instance problems.Gaussian"
                )
        if not factors:
            raise ValueError("factors is empty: pass at least one distribution")
        object.__setattr__(self, "factors", factors)
        if self.basis is None:
            return
        basis = parameter("basis", self.basis)
        if basis.shape != (self.dimension, self.dimension):
            raise ValueError(f"basis has shape {basis.shape}: the factors ask for {(self.dimension, self.dimension)}")
        object.__setattr__(self, "basis", basis)
        self._orthonormal(embed(basis, spaces.FLOAT64), self.dimension * float(np.finfo(np.float64).eps))

    def _orthonormal(self, basis: Array, most: Any) -> bool:
        """Refuse a basis that is not orthonormal to `most`; say whether each product is as small as its own terms ask.

        What a column has of another one, however small, is large for a narrow factor beside a wide one.
        """
        misses = abs(basis.T @ basis - np.eye(self.dimension, dtype=int))
        if (miss := misses.max()) > 4 * most:
            raise ValueError(
                f"basis misses orthonormality by {float(miss):.1e}: pass numpy.linalg.qr(basis)[0], or Fractions for runs in mpmath"
            )
        return bool(np.all(misses <= 4 * most * (abs(basis).T @ abs(basis))))

    def _axes(self, space: spaces.Space) -> Array | None:
        if self.basis is None:
            return None
        basis = embed(self.basis, space)
        if not space.traced:  # these stand for floats, which were checked
            self._separates(basis, space)
        return basis

    def _separates(self, basis: Array, space: spaces.Space) -> bool:
        if space.floats:
            return self._orthonormal(basis, self.dimension * float(space.wide.eps))
        # A ball is compared by its bounds, which need no allowance for rounding.
        return self._orthonormal(exact_values(basis), self.dimension * (0 if space.encloses else space.eps))

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        return sum(f.dimension for f in self.factors)

    def _certificate_in(self, space: spaces.Space) -> Certificate:
        """Exact if the flow of every factor is, and the basis separates them entry by entry."""
        found = [f._certificate_in(space) for f in self.factors]
        apart = self.basis is None or self._separates(embed(self.basis, space), space)
        if not apart or not all(c.exact for c in found):
            return REFERENCE
        return CLOSED_FORM if all(c is CLOSED_FORM for c in found) else PRODUCT_TRANSPORT

    def _check_density(self, sigma: Any, t: object) -> None:
        for factor in self.factors:
            factor._check_density(sigma, t)

    def _check_flow(self, begin: Times, end: Times, t_from: object, t_to: object, certificate: Certificate) -> None:
        for factor in self.factors:
            factor._check_flow(begin, end, t_from, t_to, certificate)

    def _parts(self) -> list[slice]:
        ends = list(accumulate((f.dimension for f in self.factors), initial=0))
        return [slice(a, b) for a, b in pairwise(ends)]

    def _along(self, method: str, z: Array, space: spaces.Space, *arguments: Any) -> Array:
        """Apply a method of each factor to its coordinates of z, shape (n, D)."""
        axes = self._axes(space)
        coordinates = z if axes is None else z @ axes
        parts = zip(self.factors, self._parts(), strict=True)
        found = np.concatenate([getattr(f, method)(coordinates[:, p], *arguments, space) for f, p in parts], axis=1)
        return np.asarray(found if axes is None else found @ axes.T)

    def _terms(self) -> int | None:
        found = [f._terms() for f in self.factors]
        return None if None in found else sum(n for n in found if n is not None) + np.size(self.basis)

    def _score_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        return self._along("_score_at", z, space, alpha, sigma)

    def _moved(self, z: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        return self._along("_moved", z, space, begin, end)

    def _derivative(self, z: Array, moved: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        axes = self._axes(space)
        old, new = (x if axes is None else x @ axes for x in (z, moved))
        blocks = np.zeros((*z.shape, self.dimension), dtype=z.dtype)
        for factor, p in zip(self.factors, self._parts(), strict=True):
            blocks[:, p, p] = factor._derivative(old[:, p], new[:, p], begin, end, space)
        return blocks if axes is None else axes @ blocks @ axes.T

    def _draw(self, n: int, rng: np.random.Generator) -> Array:
        x = np.concatenate([f._draw(n, rng) for f in self.factors], axis=1)
        axes = self._axes(spaces.FLOAT64)
        return x if axes is None else x @ axes.T


@dataclass(frozen=True, eq=False)
class GuidedGaussians(Problem):
    """Guidance uncond + scale (cond - uncond) of the scores of two Gaussians, with its flow in closed form if there is one.

    Parameters
    ----------
    cond, uncond
        Gaussians of one dimension.
    scale
        The guidance scale: 0 is uncond, 1 is cond; any real number. It enters every number system at its exact value.

    Raises
    ------
    ValueError
        For dimensions that differ and scales that are not finite numbers.
    TypeError
        For distributions that are not Gaussians, and complex scales.

    Notes
    -----
    Equal covariance C: the flow is that of N(m_u + scale (m_c - m_u), C). Equal mean m and commuting covariances:
    z - alpha m goes like V_u^((1-scale)/2) V_c^(scale/2), V = alpha^2 C + sigma^2 (a power law of each eigenvalue). In both
    cases pure noise is carried to a Gaussian, which `sample` draws from, at sigma -> 0 of covariance
    C_u^(1-scale) C_c^scale; `score` is that of the guidance, which is not the score of that Gaussian unless scale is 0 or 1.
    Otherwise the flow is a numerical reference, and no distribution is known to draw from.
    """

    cond: Gaussian
    uncond: Gaussian
    scale: Any = 1

    def __post_init__(self) -> None:
        for name, law in (("cond", self.cond), ("uncond", self.uncond)):
            if not isinstance(law, Gaussian):
                raise TypeError(f"{name} is a {type(law).__name__}: pass a problems.Gaussian")
        if self.cond.dimension != self.uncond.dimension:
            raise ValueError(
                f"cond has D = {self.cond.dimension} and uncond {self.uncond.dimension}: pass equal dimensions"
            )
        scale = parameter("scale", self.scale)
        if scale.ndim != 0:
            raise ValueError(f"scale={shown(self.scale)}: pass one number")
        object.__setattr__(self, "_scale", scale)

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        return self.cond.dimension

    def _certificate_in(self, space: spaces.Space) -> Certificate:
        slack: Any = 0
        matrices = max(np.ndim(self.cond.cov), np.ndim(self.uncond.cov)) == 2
        parts = [exact_values(x) for law in (self.cond, self.uncond) for x in (law.mean, _covariance(law, matrices))]
        if space.floats:
            # Float literals are rounded, and covariances in a common rotated basis commute up to rounding.
            slack = 4 * float(np.finfo(np.float64).eps)
            parts = [x.astype(np.float64) for x in parts]
        m_c, c_c, m_u, c_u = parts
        if alike(c_c, c_u, slack, matrices=matrices):
            return SHIFTED_MEAN
        same_mean = np.all(m_c == m_u)
        if slack and not same_mean:
            widths = np.minimum(*(narrowest(c, matrices=matrices) for c in (c_c, c_u)))
            same_mean = np.all(abs(m_c - m_u) <= slack * widths)
        return POWER_LAW if same_mean and (not matrices or commuting(c_c, c_u, slack)) else REFERENCE

    def _kind(self) -> str:
        return "two Gaussians with neither equal covariances nor equal means and commuting covariances"

    def _check_density(self, sigma: Any, t: object) -> None:
        for law in (self.cond, self.uncond):
            law._check_density(sigma, t)

    def _terms(self) -> int:
        return self.cond._terms() + self.uncond._terms()

    def _value(self, space: spaces.Space) -> Any:
        return embed(self._scale.reshape(1), space)[0]  # type: ignore[attr-defined]

    def _score_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        base, other = (law._score_at(z, alpha, sigma, space) for law in (self.uncond, self.cond))
        return np.asarray(base + self._value(space) * (other - base))

    def _shifted(self, space: spaces.Space) -> tuple[Array, Array, Array]:
        weights, mean, cov = self.uncond._in(space)
        return weights, mean + self._value(space) * (self.cond._in(space)[1] - mean), cov

    def _powers(self, begin: Times, end: Times, space: spaces.Space) -> Array:
        """Return the matrix V_u'^((1-w)/2) V_u^(-(1-w)/2) V_c'^(w/2) V_c^(-w/2), shape (D, D)."""
        w = self._value(space)
        result: Array | None = None
        for law, power in ((self.uncond, 1 - w), (self.cond, w)):
            cov = law._in(space)[2][0]
            values, vectors = root_vectors(cov, space) if np.ndim(cov) == 2 else (cov + 0 * law._in(space)[1][0], None)
            old, new = (alpha * alpha * values + sigma * sigma for alpha, sigma in (begin, end))
            stretch = space.exp(power * space.log(new / old) / 2)
            unit = np.eye(self.dimension, dtype=int)
            factor = unit * stretch if vectors is None else (vectors * stretch) @ vectors.T
            result = factor if result is None else result @ factor
        return np.asarray(result)

    def _moved(self, z: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        if self._certificate_in(space) is SHIFTED_MEAN:
            return closed(z, begin, end, self._shifted(space), space)
        mean = self.uncond._in(space)[1][0]
        return np.asarray(end[0] * mean + (z - begin[0] * mean) @ self._powers(begin, end, space).T)

    def _derivative(self, z: Array, moved: Array, begin: Times, end: Times, space: spaces.Space) -> Array:
        if self._certificate_in(space) is SHIFTED_MEAN:
            return closed_matrix(begin, end, self._shifted(space), space)
        return self._powers(begin, end, space)

    def _draw(self, n: int, rng: np.random.Generator) -> Array:
        """Draw from what the flow makes of noise: unit noise far out is carried to the clean end."""
        noise, space = rng.standard_normal((n, self.dimension)), spaces.FLOAT64
        if not self.flow_certificate.exact:
            raise ValueError(
                f"{self._kind()}: the guided flow leads to no known distribution, so nothing can be drawn: use flow"
            )
        return self._moved(noise, (0.0, 1.0), (1.0, 0.0), space)


def _covariance(law: Gaussian, matrix: bool) -> Array:
    """Return the variances, shape (D,), or the covariance as a matrix, shape (D, D)."""
    cov = exact_values(np.asarray(law.cov))
    if np.ndim(cov) == 2:
        return cov
    return np.asarray(np.eye(law.dimension, dtype=int) * cov if matrix else np.broadcast_to(cov, (law.dimension,)))
