"""What all laws here share: each is a mixture of Gaussians, atoms included, and is known by its components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems import transports
from bdia_numerics.problems.certificate import CDF_TRANSPORT, CLOSED_FORM, REFERENCE, Certificate, CertifiedFlow
from bdia_numerics.problems.checks import embed, finite_states, has_density, marginal, states, working_dtype
from bdia_numerics.problems.reference import reference_flow
from bdia_numerics.problems.scores import Components, components, float_score, generic_score

Array = np.ndarray[Any, Any]


class Schedule(Protocol):
    """What a law asks of a schedule."""

    def alpha(self, t: Any, /) -> Any: ...
    def sigma(self, t: Any, /) -> Any: ...


@dataclass(frozen=True)
class NoisePrediction:
    """The exact eps of a law under a schedule: eps = -sigma score."""

    law: Law
    schedule: Any
    prediction = "eps"

    def __call__(self, z: Any, t: Any) -> Array:
        """Return eps(z, t), shape and dtype of z."""
        return self.law._scaled_score(z, t, self.schedule, noise=True)


class Law:
    """Score, exact flow and samples of a law with components (weights, means, covs).

    States have shape (*batch, D). Times are scalars of the schedule. Everything is computed in the number system of the
    states: float16 to float64 in float64 and rounded once at the end, longdouble, mpmath, and, where nothing but
    rational operations occurs (one component), Fractions and symbols.
    """

    _parts: tuple[Array, Array, Array]
    _cov_name: str
    _cache: dict[Any, Any]

    def _prepare(self, weights: Array, means: Array, covs: Array, cov_name: str) -> None:
        object.__setattr__(self, "_parts", (weights, means, covs))
        object.__setattr__(self, "_cov_name", cov_name)
        object.__setattr__(self, "_cache", {})

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        return int(self._parts[1].shape[1])

    def _in(self, space: spaces.Space) -> tuple[Array, Array, Array]:
        key = working_dtype(space) if isinstance(space, spaces.Numpy) else space
        if key not in self._cache:
            weights, means, covs = (embed(part, space) for part in self._parts)
            self._cache[key] = weights, means, covs
        found: tuple[Array, Array, Array] = self._cache[key]
        return found

    def _components(self, space: spaces.Numpy) -> Components:
        key = ("components", working_dtype(space))
        if key not in self._cache:
            self._cache[key] = components(*self._in(space), space)
        found: Components = self._cache[key]
        return found

    def model(self, schedule: Schedule) -> NoisePrediction:
        """Return the exact noise prediction ``eps(z, t)`` under a schedule; the dtype of z is kept."""
        return NoisePrediction(self, schedule)

    def score(self, z: Any, t: Any, schedule: Schedule) -> Array:
        """Return the gradient of the log density of the law at time t.

        Parameters
        ----------
        z
            States, shape (*batch, D).
        t
            Time, a scalar.
        schedule
            Gives alpha(t) and sigma(t).

        Returns
        -------
        array
            Shape and dtype of z.

        Raises
        ------
        ValueError
            If the last axis of z is not D, or for atoms at sigma = 0.
        TypeError
            For complex or integer states, and for several components in a system without exp.
        """
        return self._scaled_score(z, t, schedule, noise=False)

    def _scaled_score(self, z: Any, t: Any, schedule: Schedule, *, noise: bool) -> Array:
        array, space = states(z, self.dimension)
        with space.working():
            alpha, sigma = marginal(schedule, t, space)
            has_density(self._cov_name, self._parts[2], sigma, t)
            flat = array.reshape(-1, self.dimension)
            if isinstance(space, spaces.Numpy):
                work = working_dtype(space)
                score = float_score(flat.astype(work), work.type(alpha), work.type(sigma), self._components(space))
            else:
                score = generic_score(flat, alpha, sigma, *self._in(space), space)
            with np.errstate(all="ignore"):
                result = -sigma * score if noise else score
                return result.astype(array.dtype).reshape(array.shape)

    def sample(self, n: int, rng: np.random.Generator, t: Any = None, schedule: Schedule | None = None) -> Array:
        """Return n independent draws, shape (n, D), float64: clean data, or z at time t when a schedule is given."""
        if (t is None) != (schedule is None):
            raise ValueError("sample takes t and schedule together: give both for noisy states, neither for clean data")
        law, weights = self._components(spaces.FLOAT64), self._in(spaces.FLOAT64)[0]
        k = rng.choice(len(weights), size=n, p=weights / weights.sum())
        noise = rng.standard_normal((n, self.dimension))
        scales = np.sqrt(law.covs)[k]
        x = noise * (scales if scales.ndim == 2 else scales[:, None])
        if law.axes is not None:
            for j in np.unique(k):
                x[k == j] = x[k == j] @ law.axes[j].T
        x += law.means[k] + law.centre
        if schedule is None:
            return x
        alpha, sigma = marginal(schedule, t, spaces.FLOAT64)
        return np.asarray(alpha * x + sigma * rng.standard_normal(x.shape))

    @property
    def flow_certificate(self) -> Certificate:
        """How exact `flow` is; for a numerical reference the estimate comes with each `flow_certified`."""
        if len(self._parts[0]) == 1:
            return CLOSED_FORM
        return CDF_TRANSPORT if self.dimension == 1 else REFERENCE

    def flow(self, z: Any, t_from: Any, t_to: Any, schedule: Schedule) -> Array:
        """Return the states at t_to that the probability-flow ODE reaches from z at t_from.

        Parameters
        ----------
        z
            Finite states at t_from, shape (*batch, D).
        t_from, t_to
            Times, in either order.
        schedule
            Gives alpha and sigma, and for a numerical reference also sigma_bar and time.

        Returns
        -------
        array
            Shape and dtype of z. `flow_certificate` says how exact it is.

        Raises
        ------
        ValueError
            For NaN states, a last axis that is not D, and atoms at a time where sigma = 0.
        TypeError
            Where the number system has no square root or no cumulative distribution function.

        Notes
        -----
        One component: mu + (S + s^2)^(1/2) (S + s_T^2)^(-1/2) (y - mu) in y = z/alpha, s = sigma/alpha, written in z so
        that alpha = 0 is allowed. One dimension: conservation of the cumulative distribution function.
        """
        return np.asarray(self.flow_certified(z, t_from, t_to, schedule).z)

    def flow_certified(
        self, z: Any, t_from: Any, t_to: Any, schedule: Schedule, *, rtol: float = 1e-11
    ) -> CertifiedFlow:
        """Return the flow and the certificate of this computation; `rtol` concerns a numerical reference alone."""
        array, space = states(z, self.dimension)
        finite_states(array, space)
        certificate = self.flow_certificate
        if not certificate.exact:
            for t in (t_from, t_to):
                has_density(self._cov_name, self._parts[2], marginal(schedule, t, space)[1], t)
            run = reference_flow(self.model(schedule), schedule, array, t_from, t_to, rtol=rtol)
            return CertifiedFlow(run.z, Certificate("reference", f"{run.method}, {run.nfe} evaluations", run.error))
        with space.working():
            flat = array.reshape(-1, self.dimension)
            begin, end = marginal(schedule, t_from, space), marginal(schedule, t_to, space)
            has_density(self._cov_name, self._parts[2], begin[1], t_from)
            if certificate is CDF_TRANSPORT:
                has_density(self._cov_name, self._parts[2], end[1], t_to)
                moved = transports.cdf(flat, begin, end, self._in(space), space)
            else:
                moved = transports.closed(flat, begin, end, self._in(space), space)
            return CertifiedFlow(moved.astype(array.dtype).reshape(array.shape), certificate)

    def flow_jacobian(self, z: Any, t_from: Any, t_to: Any, schedule: Schedule) -> Array:
        """Return the derivative of `flow` by z, shape (*batch, D, D), where it has a closed form.

        One component: the matrix of the closed form. One dimension: the ratio of the densities p(z) / p'(z').

        Raises
        ------
        ValueError
            For several components in several dimensions.
        """
        array, space = states(z, self.dimension)
        if not self.flow_certificate.exact:
            raise ValueError(f"D = {self.dimension} and K = {len(self._parts[0])}: no closed form, use D = 1 or K = 1")
        moved = self.flow(array, t_from, t_to, schedule)
        with space.working():
            begin, end = marginal(schedule, t_from, space), marginal(schedule, t_to, space)
            shape = (*array.shape, self.dimension)
            if self.flow_certificate is CLOSED_FORM:
                matrix = transports.closed_matrix(begin, end, self._in(space), space)
                return np.broadcast_to(matrix, shape).astype(array.dtype)
            old, new = array.reshape(-1, 1), moved.reshape(-1, 1)
            ratio = transports.density_ratio(old, new, begin, end, self._in(space), space)
            return ratio.astype(array.dtype).reshape(shape)
