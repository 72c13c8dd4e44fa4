"""Distributions of which one function is known, a score, a noise prediction or a log density: their flow is the numerical reference."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bdia_numerics import schedules, spaces
from bdia_numerics.problems.problem import REFERENCE, Certificate, CertifiedFlow, Problem
from bdia_numerics.spaces import Array, of_kind, takes
from bdia_numerics.texts import refuse, shown, whole

_EDM = schedules.edm()
_NEAR, _FAR = 1e-3, 1e3
"""Levels sigma/alpha between which data are drawn, if the schedule goes so far."""
_DRAWN = 1e-6
"""Tolerance of the flow by which data are drawn."""
_STENCIL = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
"""Weights of central differences of order 8 (Fornberg, Math. Comp. 51, 1988)."""
_STEPS = 4.0 ** -np.arange(1, 5)
"""Of the differences, in sigma: log densities of distant modes change over sigma^2 by their distance."""
_REMEMBERED = 1 << 14


@dataclass(frozen=True, eq=False)
class GivenFunction(Problem):
    """A distribution that is known by one function; made by `from_score`, `from_eps` and `from_log_density`.

    Attributes
    ----------
    function, predicts
        The function, and whether it is a "score", an "eps" or a "log_density".
    dimension : int
        D, the length of a state.
    sampler
        sample(n, rng) -> clean data, or None.
    schedule
        The schedule of a function of (z, t); None for one of (z, t, schedule).
    """

    function: Callable[..., Any]
    predicts: Literal["score", "eps", "log_density"]
    dimension: int = 0
    sampler: Callable[..., Any] | None = None
    schedule: Any = None
    _times: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _rough: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.predicts
        if self.schedule is not None:
            of_kind("schedule", "schedule", self.schedule)
        object.__setattr__(self, "dimension", whole("dimension", self.dimension, least=1))
        if self.sampler is not None:
            takes("sample", self.sampler, "n", "rng")
        arguments = 3 if self.schedule is None else 2
        try:
            inspect.signature(self.function).bind(*range(arguments))
        except TypeError:
            call = "(z, t, schedule)" if self.schedule is None else "(z, t)"
            also = ", or say with schedule= to which schedule a function of (z, t) belongs" * (self.schedule is None)
            raise TypeError(
                f"{name}={shown(self.function)} cannot be called as {name}{call}: pass one that can{also}"
            ) from None
        except ValueError:  # a function in C, which does not say what it takes
            pass
        for sigma in (1.0, 2.0):
            z = np.random.default_rng(0).standard_normal((3, self.dimension)) * np.hypot(1, sigma)
            found = self._asked(z, np.float64(1), np.float64(self._inside(sigma)))
            if not np.isfinite(found).all():
                bad = z[~np.isfinite(found).reshape(3, -1).all(axis=1)][0]
                raise ValueError(
                    f"{name} is not finite at z = {shown(bad.tolist())}, sigma/alpha = {sigma:g}: mend it there"
                )

    def _certificate_in(self, space: spaces.Space) -> Certificate:
        return REFERENCE

    def flow_certified(self, z: Any, t_from: Any, t_to: Any, schedule: Any, **options: Any) -> CertifiedFlow:
        """Return the flow and its certificate; of a log density the error has what a rougher derivative changes, too."""
        found = super().flow_certified(z, t_from, t_to, schedule, **options)
        if self.predicts != "log_density" or self._rough:
            return found
        other = copy.copy(self)
        object.__setattr__(other, "_rough", True)
        gap = float(np.max(np.abs(found.z - other.flow(z, t_from, t_to, schedule)), initial=0.0))
        known = found.certificate
        return CertifiedFlow(found.z, Certificate(known.kind, known.detail, known.uncertainty + gap))

    def _inside(self, sigma_bar: float) -> float:
        """Return the level of the function's own schedule that is nearest to a level, since outside of it the function is unknown."""
        if self.schedule is None:
            return sigma_bar
        ends = [float(self.schedule.sigma_bar(float(t))) for t in (self.schedule.t_min, self.schedule.t_max)]
        return min(max(sigma_bar, ends[0]), ends[1])

    def _scaled_score(self, z: Any, t: Any, schedule: Any, **options: Any) -> Array:
        if self.schedule is not None and schedule == self.schedule and spaces.is_float(t):
            # A network is told the very time of the grid, not one that is found from its level.
            if len(self._times) >= _REMEMBERED:
                self._times.clear()
            self._times[float(schedule.alpha(t)), float(schedule.sigma(t))] = t
        return super()._scaled_score(z, t, schedule, **options)

    def _asked(self, z: Array, alpha: Any, sigma: Any) -> Array:
        """Return what the function says at states z of a noise level, carried over to that level from its own of equal sigma/alpha."""
        further = () if self.schedule is not None else (_EDM,)
        schedule, t = self.schedule or _EDM, self._times.get((alpha, sigma))
        if t is None:
            t = float(schedule.time("sigma_bar", float(sigma / alpha)))
        own = np.float64(schedule.alpha(t))
        factor = own / alpha

        def asked(x: Array) -> Array:
            return self._checked(self.function(x, t, *further), x, t)

        if self.predicts == "log_density":
            return np.asarray(factor * self._gradient(asked, factor * z, own * sigma / alpha))
        found = asked(factor * z)
        return found * factor if self.predicts == "score" else found

    def _gradient(self, density: Callable[[Array], Array], z: Array, width: Any) -> Array:
        """Return the gradient of a log density by central differences, at each state and axis with the step at which they change least."""
        steps = width * _STEPS
        offsets = (steps[:, None] * np.arange(1, len(_STENCIL) + 1))[..., None, None] * np.eye(self.dimension)
        points = z[:, None, None, None] + np.stack([offsets, -offsets])[:, None]
        values = density(points.reshape(-1, self.dimension)).reshape(points.shape[:-1])
        with np.errstate(all="ignore"):
            slopes = np.einsum("nlkd,k->nld", values[0] - values[1], _STENCIL) / steps[:, None]
            changes = np.abs(np.diff(slopes, axis=1))
        best = np.where(np.isnan(changes), np.inf, changes).argmin(axis=1)[:, None] + (not self._rough)
        return np.asarray(np.take_along_axis(slopes, best, axis=1)[:, 0])

    def _checked(self, found: Any, z: Array, t: Any) -> Array:
        said, wanted = f"{self.predicts}(z, t={t:g})", z.shape[:1] if self.predicts == "log_density" else z.shape
        if type(found) is not np.ndarray:
            remedy = "numpy.asarray(...) of it; for a network of torch: net(torch.from_numpy(z), t).detach().numpy()"
            raise TypeError(f"{said} is a {type(found).__name__}: return a NumPy array, {remedy}")
        if found.shape != wanted:
            raise ValueError(f"{said} has shape {found.shape} for z of shape {z.shape}: return shape {wanted}")
        if not spaces.FLOAT64.holds(found):
            raise TypeError(
                f"{said} has dtype {found.dtype} for z of float64: compute in float64, since flows are found to 1e-11"
            )
        return found

    def _floats(self, space: spaces.Space) -> None:
        if not space.double:
            raise TypeError(f"z is in {space.name}, and {self.predicts} is a function of float64: pass float states")

    def _score_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        self._floats(space)
        refuse(
            (
                sigma == 0 and self.predicts != "score",
                f"no score follows from {self.predicts} at sigma = 0: use a time with sigma > 0",
            )
        )
        if alpha == 0:  # pure noise, whatever the data are
            return np.asarray(-z / sigma**2)
        found = self._asked(z, alpha, sigma)
        return -found / sigma if self.predicts == "eps" else found

    def _noise_at(self, z: Array, alpha: Any, sigma: Any, space: spaces.Space) -> Array:
        self._floats(space)
        if self.predicts == "eps" and alpha != 0:
            return self._asked(z, alpha, sigma)
        return 0 * z if sigma == 0 else -sigma * self._score_at(z, alpha, sigma, space)

    def _draw(self, n: int, rng: np.random.Generator) -> Array:
        """Draw by the sampler, or carry noise of the schedule's far end to its near end by the reference flow."""
        if self.sampler is not None:
            x = np.asarray(spaces.plain("sample(n, rng)", self.sampler(n, rng)), dtype=np.float64)
            if x.shape != (n, self.dimension) or not np.isfinite(x).all():
                raise ValueError(
                    f"sample(n, rng) has shape {x.shape} for n={n}: return finite data of shape {(n, self.dimension)}"
                )
            return x
        schedule = self.schedule or _EDM
        far, near = (float(schedule.time("sigma_bar", self._inside(level))) for level in (_FAR, _NEAR))
        noise = float(schedule.sigma(far)) * rng.standard_normal((n, self.dimension))
        return np.asarray(super().flow_certified(noise, far, near, schedule, rtol=_DRAWN).z / schedule.alpha(near))


def from_score(score: Callable[..., Any], sample: Any = None, *, dimension: int, schedule: Any = None) -> GivenFunction:
    """Return the distribution whose score is given; its flow is `reference_flow`, with an error estimate.

    Parameters
    ----------
    score
        The gradient of the log density of the noisy states: ``score(z, t, schedule)``, as the method of every distribution here, which
        is asked under `schedules.edm()`, where alpha = 1 and t = sigma; or ``score(z, t)`` of one schedule, which `schedule` names.
        Under any other schedule the states are scaled to the level with the same sigma/alpha. It is given states of shape (n, D) in
        float64, and returns the same shape and dtype.
    sample
        ``sample(n, rng)``, clean data of shape (n, D). Without it, data are drawn by carrying noise from sigma/alpha = 1000, or the
        schedule's far end, to 0.001, or its near end: a draw is then as good as that noise is.
    dimension
        D.
    schedule
        That of a score of (z, t).

    Returns
    -------
    Problem
        With a numerical flow.

    Raises
    ------
    TypeError
        For a function that cannot be called so, and for outputs that are not NumPy arrays of float64.
    ValueError
        For a dimension below 1, outputs of another shape, and outputs that are not finite at moderate states.

    Examples
    --------
    >>> from bdia_numerics import problems, schedules
    >>> vp = schedules.vp_linear()
    >>> unit = problems.from_score(lambda z, t: -z, lambda n, rng: rng.standard_normal((n, 2)), dimension=2, schedule=vp)
    >>> z = unit.sample(3, 0)
    >>> bool(abs(unit.flow(z, 0.1, 0.9, vp) - z).max() < 1e-9), unit.flow_certificate.kind
    (True, 'reference')
    """
    return GivenFunction(score, "score", dimension, sample, schedule)


def from_eps(eps: Callable[..., Any], sample: Any = None, *, dimension: int, schedule: Any = None) -> GivenFunction:
    """Return the distribution whose noise prediction eps = -sigma score is given; arguments and errors as of `from_score`.

    Examples
    --------
    >>> from bdia_numerics import problems, schedules
    >>> vp = schedules.vp_linear()
    >>> unit = problems.from_eps(lambda z, t: vp.sigma(t) * z, dimension=1, schedule=vp)
    >>> unit.score([[2.0]], 0.5, vp).round(12)
    array([[-2.]])
    """
    return GivenFunction(eps, "eps", dimension, sample, schedule)


def from_log_density(
    log_density: Callable[..., Any], sample: Any = None, *, dimension: int, schedule: Any = None
) -> GivenFunction:
    """Return the distribution whose log density with noise is given, up to a constant of each time; else as `from_score`.

    ``log_density(z, t, schedule)``, or ``log_density(z, t)`` of one schedule, is the logarithm of the density of z = alpha x + sigma eps,
    not of the data x: of states (n, D) it returns shape (n,). Its gradient is taken by central differences of order 8 over parts of
    sigma. The error of a flow includes what a derivative with another step changes.

    Examples
    --------
    >>> from bdia_numerics import problems, schedules
    >>> vp = schedules.vp_linear()
    >>> unit = problems.from_log_density(lambda z, t: -(z**2).sum(axis=-1) / 2, dimension=2, schedule=vp)
    >>> unit.score([[2.0, -1.0]], 0.5, vp).round(9)
    array([[-2.,  1.]])
    """
    return GivenFunction(log_density, "log_density", dimension, sample, schedule)
