"""Products of distributions in an orthonormal basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.certificate import CLOSED_FORM, PRODUCT_TRANSPORT, REFERENCE, Certificate
from bdia_numerics.problems.checks import embed, exact_values, parameter
from bdia_numerics.problems.problem import Problem, Times
from bdia_numerics.spaces import Array


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
        factors = tuple(self.factors)
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
        floats = embed(basis, spaces.FLOAT64)
        self._orthonormal(floats, self.dimension * float(np.finfo(np.float64).eps))

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

    @property
    def flow_certificate(self) -> Certificate:
        """Exact if the flow of every factor is, and the basis separates them entry by entry."""
        return self._certificate_in(spaces.FLOAT64)

    def _certificate_in(self, space: spaces.Space) -> Certificate:
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
