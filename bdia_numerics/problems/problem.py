"""What every distribution here offers: score, noise prediction, draws, exact flow, its derivative, and how exact the flow is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.checks import Times, generator, levels_of, marginal, states
from bdia_numerics.problems.reference import Method, reference_flow
from bdia_numerics.spaces import Array, Space, ball_of, of_kind
from bdia_numerics.texts import one_of

Kind = Literal["closed form", "CDF transport", "enclosure", "reference"]


@dataclass(frozen=True)
class Certificate:
    """How a flow was computed and how far it can be from the exact solution.

    Parameters
    ----------
    kind
        "closed form" and "CDF transport" are exact up to rounding, "enclosure" has a proved radius, "reference" is a
        numerical solution with an estimated error.
    detail
        The formula or the method, in words.
    error
        Largest absolute error of an element of z: a bound for an enclosure, an estimate for a reference solution, None
        where only rounding in the number system of the states is left or where no solution has been computed yet.
    """

    kind: Kind
    detail: str
    error: float | None = None

    @property
    def exact(self) -> bool:
        """Whether rounding is the only error."""
        return self.kind in ("closed form", "CDF transport")

    @property
    def uncertainty(self) -> float:
        """The error as a number: 0 where rounding alone is left, NaN where no solution has been computed yet."""
        if self.exact:
            return 0.0
        return math.nan if self.error is None else self.error


class CertifiedFlow(NamedTuple):
    """States after a flow, shape (*batch, D), and the certificate of this very computation."""

    z: Any
    certificate: Certificate


def known_flow(problem: Any, z: Any, t_from: Any, t_to: Any, schedule: Any) -> tuple[Any, float]:
    """Return the states after a problem's flow, which may write into those that it gets, and the error that its certificate states.

    NaN for a flow without one.
    """
    z = np.array(z)
    certified = getattr(problem, "flow_certified", None)
    if certified is None:
        return problem.flow(z, t_from, t_to, schedule), math.nan
    moved, certificate = certified(z, t_from, t_to, schedule)
    return moved, certificate.uncertainty


def enclosure(z: Any, certificate: Certificate, space: Space) -> Certificate:
    """Return the certificate of a flow on balls: how it was computed, and its largest radius."""
    radii = [float(ball_of(x).rad()) for x in z.flat]
    # A radius has 30 bits, and a float holds it; the next float covers one that is subnormal.
    bound = max((r and math.nextafter(r, math.inf) for r in radii), default=0.0)
    return Certificate("enclosure", f"{certificate.kind} on {space.name}", bound)


CLOSED_FORM = Certificate(
    "closed form",
    "z -> alpha' mu + (alpha'^2 S + sigma'^2)^(1/2) (alpha^2 S + sigma^2)^(-1/2) (z - alpha mu), "
    "a few units of rounding in the states' number system",
)
CDF_TRANSPORT = Certificate(
    "CDF transport",
    "the 1-D flow conserves the cumulative distribution function; a few units of rounding in the states' number system",
)
LINE_TRANSPORT = Certificate(
    "CDF transport",
    "means on a line along an eigenvector of every covariance, the covariance across common: conservation of the CDF along "
    "the line, closed form across it; a few units of rounding in the states' number system",
)
RADIAL_TRANSPORT = Certificate(
    "CDF transport",
    "one centre, isotropic covariances: directions stay and the distribution function of the radius is conserved; a few "
    "units of rounding in the states' number system",
)
UNIFORM_TRANSPORT = Certificate(
    "CDF transport",
    "conservation of the distribution function of a uniform distribution with noise in each coordinate; a few units of rounding in the "
    "states' number system",
)
PRODUCT_TRANSPORT = Certificate(
    "CDF transport",
    "independent factors in an orthonormal basis, each moved by its own exact flow; a few units of rounding in the states' "
    "number system",
)
SHIFTED_MEAN = Certificate(
    "closed form",
    "guidance of equal covariances: the flow of N(m_u + w (m_c - m_u), C); a few units of rounding in the states' number system",
)
POWER_LAW = Certificate(
    "closed form",
    "guidance of equal means and commuting covariances: z - alpha m goes like V_u^((1-w)/2) V_c^(w/2), V = alpha^2 C + sigma^2; "
    "a few units of rounding in the states' number system",
)
REFERENCE = Certificate(
    "reference",
    "no closed form: Taylor steps (heyoka) or DOP853 at two tolerances; flow_certified says which ran and returns its error "
    "estimate",
)
ENCLOSABLE = Certificate(
    "reference", f"{REFERENCE.detail}; problems.certified_flow encloses this flow with a proved radius"
)


ComputeDtype = Literal["float64", "float32"]


class NoiseLevels(Protocol):
    """What a distribution asks of a schedule."""

    def alpha(self, t: Any, /) -> Any:
        """Return alpha at a time."""

    def sigma(self, t: Any, /) -> Any:
        """Return sigma at a time."""


@dataclass(frozen=True)
class NoisePrediction:
    """The exact eps of a distribution under a schedule: eps = -sigma score, computed as `Problem.score` says of `compute_dtype`."""

    law: Problem
    schedule: Any
    compute_dtype: ComputeDtype = "float64"
    prediction = "eps"

    @cached_property
    def _levels(self) -> dict[Any, tuple[Any, Any]]:
        return levels_of(self.schedule)

    def __call__(self, z: Any, t: Any) -> Array:
        """Return eps(z, t), shape and dtype of z."""
        return self.law._scaled_score(
            z, t, self.schedule, noise=True, known=self._levels, compute_dtype=self.compute_dtype
        )

    def _law_under(self, schedule: Any) -> Problem | None:
        """Return the distribution, None under another schedule, where the prediction belongs to another distribution."""
        return self.law if self.schedule == schedule else None


class Problem:
    """A distribution with exact score, and with its exact flow where `flow_certificate` says so.

    States have shape (*batch, D). Times are scalars of the schedule. Everything is computed in the number system of the
    states: float16 to float64 in float64 (scores in float32, if asked) and rounded once at the end, longdouble, mpmath,
    and Fractions and symbols where nothing but rational operations occurs.

    A distribution says what it is by `dimension`, `_certificate_in`, `_score_at`, `_draw`, and, if its flow is exact, `_moved`
    and `_derivative`; these see flat states (n, D) and the noise levels (alpha, sigma).
    """

    _certificate_in: Callable[[Space], Certificate]
    _score_at: Callable[[Array, Any, Any, Space], Array]
    _draw: Callable[[int, np.random.Generator], Array]
    _moved: Callable[[Array, Times, Times, Space], Array]
    _derivative: Callable[[Array, Array, Times, Times, Space], Array]

    @property
    def dimension(self) -> int:
        """D, the length of a state."""
        raise NotImplementedError

    @property
    def flow_certificate(self) -> Certificate:
        """How exact `flow` is on floats; for a numerical reference the estimate comes with each `flow_certified`."""
        return self._certificate_in(spaces.FLOAT64)

    def model(self, schedule: NoiseLevels, *, compute_dtype: ComputeDtype = "float64") -> NoisePrediction:
        """Return the exact noise prediction ``eps(z, t)`` under a schedule; the dtype of z is kept, `compute_dtype` as in `score`."""
        of_kind("schedule", "schedule", schedule, "alpha", "sigma")
        one_of("compute_dtype", compute_dtype, ("float64", "float32"))
        return NoisePrediction(self, schedule, compute_dtype)

    def score(self, z: Any, t: Any, schedule: NoiseLevels, *, compute_dtype: ComputeDtype = "float64") -> Array:
        """Return the gradient of the log density of the distribution at time t.

        Parameters
        ----------
        z
            States, shape (*batch, D).
        t
            Time, a scalar.
        schedule
            Gives alpha(t) and sigma(t).
        compute_dtype
            "float32" takes half the time of "float64" for mixtures of many components on float states, and loses digits: the
            logarithms of the components' weights then are wrong by up to some 1e-7 (|z|^2 + alpha^2 max |m|^2) / min v, with means
            m, variances v of the noisy components and coordinates taken at the distribution's centre. Where that is small, it
            is the relative error of the score; near sigma = 0 on atoms it is large, and another component may win.

        Returns
        -------
        array
            Shape and dtype of z.

        Raises
        ------
        ValueError
            If the last axis of z is not D, where there is no density (atoms at sigma = 0), and for "float32" where nothing is computed
            so: other distributions than mixtures, and states beyond float64.
        TypeError
            For complex or integer states, and in a system without the functions that the score needs.
        """
        return self._scaled_score(z, t, schedule, noise=False, compute_dtype=compute_dtype)

    def _scaled_score(
        self,
        z: Any,
        t: Any,
        schedule: NoiseLevels,
        *,
        noise: bool,
        known: dict[Any, tuple[Any, Any]] | None = None,
        compute_dtype: str = "float64",
    ) -> Array:
        array, space = states(z, self.dimension)
        with space.working():
            alpha, sigma = marginal(schedule, t, space, known)
            self._check_density(sigma, t)
            flat = array.reshape(-1, self.dimension)
            cast = space.wide.cast if compute_dtype == "float64" else self._narrow(compute_dtype, space).cast
            result = (self._noise_at if noise else self._score_at)(cast(flat), cast(alpha), cast(sigma), space)
            with np.errstate(all="ignore"):
                return result.astype(array.dtype).reshape(array.shape)

    def sample(
        self, n: int, rng: np.random.Generator | int, t: Any = None, schedule: NoiseLevels | None = None
    ) -> Array:
        """Return n independent draws, shape (n, D), float64: clean data, or z at time t when a schedule is given.

        `rng` is a generator of NumPy, or the seed of a new one.
        """
        rng = generator(rng)
        spaces.require_count("n", n, 0, " is not a number of draws")
        if (t is None) != (schedule is None):
            raise ValueError("sample takes t and schedule together: give both for noisy states, neither for clean data")
        x = self._draw(n, rng)
        if schedule is None:
            return x
        alpha, sigma = marginal(schedule, t, spaces.FLOAT64)
        return np.asarray(alpha * x + sigma * rng.standard_normal(x.shape))

    def flow(self, z: Any, t_from: Any, t_to: Any, schedule: NoiseLevels) -> Array:
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
            For NaN states, a last axis that is not D, times outside the schedule, and times without a density (atoms at sigma = 0).
        TypeError
            Where the number system lacks the functions of the flow.
        """
        return np.asarray(self.flow_certified(z, t_from, t_to, schedule).z)

    def flow_certified(
        self,
        z: Any,
        t_from: Any,
        t_to: Any,
        schedule: NoiseLevels,
        *,
        rtol: float | None = None,
        method: Method = "auto",
    ) -> CertifiedFlow:
        """Return the flow and the certificate of this computation.

        `rtol` and `method` concern a numerical reference alone and are those of `reference_flow`; the certificate says
        what ran. For Gaussians and mixtures `problems.certified_flow` gives an enclosure with a proved radius instead.
        """
        array, space = states(z, self.dimension)
        spaces.require_finite("z", array, space)
        certificate = self._certificate_in(space)
        with space.working():
            begin, end = marginal(schedule, t_from, space), marginal(schedule, t_to, space)
            self._check_flow(begin, end, t_from, t_to, certificate)
            if certificate.exact:
                moved = self._moved(space.wide.cast(array.reshape(-1, self.dimension)), begin, end, space)
                moved = moved.astype(array.dtype).reshape(array.shape)
                return CertifiedFlow(moved, enclosure(moved, certificate, space) if space.encloses else certificate)
        if space.encloses:
            raise TypeError(f"{self._kind()}: no exact flow on balls: use problems.certified_flow")
        run = reference_flow(self.model(schedule), schedule, array, t_from, t_to, rtol=rtol, method=method)
        return CertifiedFlow(run.z, Certificate("reference", run.method, run.error))

    def flow_jacobian(self, z: Any, t_from: Any, t_to: Any, schedule: NoiseLevels) -> Array:
        """Return the derivative of `flow` by z, shape (*batch, D, D), where it has a closed form.

        Raises
        ------
        ValueError
            Where the flow is not a closed form and no transport of a distribution function.
        """
        return self.flow_and_jacobian(z, t_from, t_to, schedule)[1]

    def flow_and_jacobian(self, z: Any, t_from: Any, t_to: Any, schedule: NoiseLevels) -> tuple[Array, Array]:
        """Return `flow` and `flow_jacobian`, for little more than the price of the flow; errors as theirs."""
        array, space = states(z, self.dimension)
        spaces.require_finite("z", array, space)
        certificate = self._certificate_in(space)
        if not certificate.exact:
            raise ValueError(f"{self._kind()}: the flow has no closed form, so its derivative has none either")
        with space.working():
            begin, end = marginal(schedule, t_from, space), marginal(schedule, t_to, space)
            self._check_flow(begin, end, t_from, t_to, certificate)
            flat = space.wide.cast(array.reshape(-1, self.dimension))
            moved = self._moved(flat, begin, end, space)
            slopes = np.broadcast_to(self._derivative(flat, moved, begin, end, space), (*flat.shape, self.dimension))
            return moved.astype(array.dtype).reshape(array.shape), slopes.astype(array.dtype).reshape(*array.shape, -1)

    def _terms(self) -> int | None:
        """Return how many numbers the components have, None for a distribution whose score is not a formula in components."""
        return None

    def _narrow(self, compute_dtype: str, space: spaces.Space) -> spaces.Numpy:
        """Return the floats in which a score is computed instead of float64; ValueError where there is no such way."""
        one_of("compute_dtype", compute_dtype, ("float64", "float32"))
        if not space.double:
            raise ValueError(f"compute_dtype='float32' is for float states, and z is in {space.name}: leave it out")
        raise ValueError(f"compute_dtype='float32' is for mixtures, and this is a {type(self).__name__}: leave it out")

    def _kind(self) -> str:
        return f"{type(self).__name__} with D = {self.dimension}"

    def _check_density(self, sigma: Any, t: object) -> None:
        """Raise ValueError at a time without a score."""

    def _check_flow(self, begin: Times, end: Times, t_from: object, t_to: object, certificate: Certificate) -> None:
        """Raise ValueError at times between which there is no flow."""
        for (_, sigma), t in ((begin, t_from), (end, t_to)):
            self._check_density(sigma, t)

    def _noise_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        score = self._score_at(z, alpha, sigma, space)
        with np.errstate(all="ignore"):
            return np.asarray(-sigma * score)
