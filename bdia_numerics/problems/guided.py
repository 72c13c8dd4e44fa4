"""Classifier-free guidance of two Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.certificate import POWER_LAW, REFERENCE, SHIFTED_MEAN, Certificate
from bdia_numerics.problems.checks import embed, exact_values, parameter
from bdia_numerics.problems.linear import alike, commuting, narrowest
from bdia_numerics.problems.mixtures import Gaussian
from bdia_numerics.problems.problem import Problem, Times
from bdia_numerics.problems.transports import closed, closed_matrix, root_vectors
from bdia_numerics.spaces import Array
from bdia_numerics.texts import shown


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

    @property
    def flow_certificate(self) -> Certificate:
        """How exact `flow` is on floats."""
        return self._certificate_in(spaces.FLOAT64)

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
