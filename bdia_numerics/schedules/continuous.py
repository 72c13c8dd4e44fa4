"""Schedules in continuous time: (1, t), (1, sqrt t) and (1-t, t), and variance-preserving ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from bdia_numerics.schedules.base import Derived, sigma_bar_of, timed
from bdia_numerics.spaces import Scalar, Space


class Exploding(Derived):
    """Schedules with alpha = 1 and sigma growing from 0."""

    t_min = Fraction(0)
    domain = (Fraction(0), None)

    @timed
    def alpha(self, space: Space, t: Scalar) -> Scalar:
        """Return 1."""
        return space.number(1)

    @timed
    def alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return 0."""
        return space.number(0)


@dataclass(frozen=True)
class EDM(Exploding):
    """(alpha, sigma) = (1, t), t >= 0 (Karras et al. 2022); grids start at t_max = 80 by default. Rational."""

    t_max = Fraction(80)

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return t."""
        return t

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return 1."""
        return space.number(1)

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        return sigma_bar_of(space, variable, value)


@dataclass(frozen=True)
class VE(Exploding):
    """(alpha, sigma) = (1, sqrt(t)), t >= 0: heat at constant speed (Song et al. 2021); t_max = 6400 is sigma = 80."""

    t_max = Fraction(6400)

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return sqrt(t)."""
        return space.sqrt(t)

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return 1/(2 sqrt(t))."""
        return space.number(1) / (2 * space.sqrt(t))

    @timed
    def diffusion2(self, space: Space, t: Scalar) -> Scalar:
        """Return g^2 = 1 of eq. (3)."""
        return space.number(1)

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        return sigma_bar_of(space, variable, value) ** 2


@dataclass(frozen=True)
class Flow(Derived):
    """(alpha, sigma) = (1-t, t), t in [0, 1]: flow matching, rectified flow. Rational; alpha = 0 at t = 1."""

    t_min = Fraction(0)
    t_max = Fraction(1)
    domain = (Fraction(0), Fraction(1))

    @timed
    def alpha(self, space: Space, t: Scalar) -> Scalar:
        """Return 1 - t."""
        return 1 - t

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return t."""
        return t

    @timed
    def alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return -1."""
        return space.number(-1)

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return 1."""
        return space.number(1)

    @timed
    def diffusion2(self, space: Space, t: Scalar) -> Scalar:
        """Return g^2 = 2t/(1-t) of eq. (3)."""
        return 2 * t / (1 - t)

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        # 1/(1 + alpha/sigma) for large noise: sigma/alpha may overflow where alpha/sigma does not.
        return value / (1 + value) if variable == "sigma_bar" else 1 / (1 + 1 / sigma_bar_of(space, variable, value))


Formula = Callable[[Space, Scalar], Scalar]


def damping_of(space: Space, variable: str, value: Scalar) -> Scalar:
    """Return -log(alpha^2) of a variance-preserving schedule, given sigma/alpha or a log signal-to-noise ratio."""
    if variable == "sigma_bar":
        return space.log1p(value * value)
    x = -value if variable == "log_snr" else -2 * value
    if space.exact:
        return space.log1p(space.exp(x))
    # log(1 + exp(x)), with an exponential that cannot overflow.
    return max(x, 0) + space.log1p(space.exp(-abs(x)))


class Damped(Derived):
    """Variance-preserving schedules, computed from the damping -log(alpha^2), so that a small sigma keeps its digits."""

    variance_preserving = True
    _damping: Formula
    _rate: Formula  # the derivative of the damping
    _at_damping: Formula  # the time of a damping

    @timed
    def alpha(self, space: Space, t: Scalar) -> Scalar:
        """Return alpha(t)."""
        return space.exp(-self._damping(space, t) / 2)

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma(t) = sqrt(1 - alpha^2)."""
        return space.sqrt(-space.expm1(-self._damping(space, t)))

    @timed
    def sigma_bar(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma/alpha."""
        return space.sqrt(space.expm1(self._damping(space, t)))

    @timed
    def half_log_snr(self, space: Space, t: Scalar) -> Scalar:
        """Return log(alpha/sigma), DPM-Solver's lambda."""
        return -space.log(space.expm1(self._damping(space, t))) / 2

    @timed
    def drift(self, space: Space, t: Scalar) -> Scalar:
        """Return f of eq. (3)."""
        return -self._rate(space, t) / 2

    @timed
    def diffusion2(self, space: Space, t: Scalar) -> Scalar:
        """Return g^2 of eq. (3), which is -2 f here."""
        return self._rate(space, t)

    @timed
    def alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d alpha/dt."""
        return -space.exp(-self._damping(space, t) / 2) * self._rate(space, t) / 2

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d sigma/dt."""
        damping = self._damping(space, t)
        return space.exp(-damping) * self._rate(space, t) / (2 * space.sqrt(-space.expm1(-damping)))

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        return self._at_damping(space, damping_of(space, variable, value))


@dataclass(frozen=True)
class VPLinear(Damped):
    """Variance preserving, d log(alpha)/dt = -beta/2 with beta linear in t, t in [0, 1] (Song et al. 2021)."""

    beta_min: Fraction = Fraction(1, 10)
    beta_max: Fraction = Fraction(20)
    t_min = Fraction(0)
    t_max = Fraction(1)
    domain = (Fraction(0), Fraction(1))

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(f"beta_min={self.beta_min}, beta_max={self.beta_max}: need 0 < beta_min <= beta_max")

    @cached_property
    def _half_slope(self) -> Fraction:
        return (self.beta_max - self.beta_min) / 2

    def _damping(self, space: Space, t: Scalar) -> Scalar:
        return t * (space.number(self.beta_min) + t * space.number(self._half_slope))

    def _rate(self, space: Space, t: Scalar) -> Scalar:
        return t * space.number(self.beta_max - self.beta_min) + space.number(self.beta_min)

    def _at_damping(self, space: Space, damping: Scalar) -> Scalar:
        low, slope = space.number(self.beta_min), space.number(self.beta_max - self.beta_min)
        return 2 * damping / (low + space.sqrt(low * low + 2 * slope * damping))


@dataclass(frozen=True)
class VPCosine(Damped):
    """Variance preserving, alpha = cos((t+s)/(1+s) pi/2) / cos(s/(1+s) pi/2), t in [0, 1] (Nichol and Dhariwal 2021).

    alpha is exactly 0 at t = 1. The clipping of their discrete betas is left out; t_max=0.9946 keeps grids clear of it.
    """

    s: Fraction = Fraction(1, 125)
    t_min = Fraction(0)
    t_max = Fraction(1)
    domain = (Fraction(0), Fraction(1))

    def __post_init__(self) -> None:
        if not 0 <= self.s < 1:
            raise ValueError(f"s={self.s}: need 0 <= s < 1, for instance s=0.008")

    @cached_property
    def _turns(self) -> tuple[Fraction, Fraction]:
        return 1 / (1 + self.s), self.s / (1 + self.s)

    def _angles(self, space: Space) -> tuple[Scalar, Scalar]:
        speed, shift = (space.pi * space.number(turn) / 2 for turn in self._turns)
        return speed, shift

    @timed
    def alpha(self, space: Space, t: Scalar) -> Scalar:
        """Return alpha(t)."""
        speed, shift = self._angles(space)
        return space.sin((1 - t) * speed) / space.cos(shift)

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma(t) = sqrt(1 - alpha^2)."""
        return self._root(space, t) / space.cos(self._angles(space)[1])

    @timed
    def sigma_bar(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma/alpha."""
        return self._root(space, t) / space.sin((1 - t) * self._angles(space)[0])

    @timed
    def half_log_snr(self, space: Space, t: Scalar) -> Scalar:
        """Return log(alpha/sigma), DPM-Solver's lambda."""
        return space.log(space.sin((1 - t) * self._angles(space)[0]) / self._root(space, t))

    @timed
    def alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d alpha/dt."""
        speed, shift = self._angles(space)
        return -speed * space.cos((1 - t) * speed) / space.cos(shift)

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d sigma/dt."""
        speed, shift = self._angles(space)
        cosine = space.cos((1 - t) * speed)
        return space.sin((1 - t) * speed) * speed * cosine / (space.cos(shift) * self._root(space, t))

    def _root(self, space: Space, t: Scalar) -> Scalar:
        # cos(shift)^2 - sin((1-t) speed)^2 as a product, since the difference has no digits left near t = 0.
        speed, shift = self._angles(space)
        return space.sqrt(space.sin(t * speed) * space.sin(t * speed + 2 * shift))

    def _rate(self, space: Space, t: Scalar) -> Scalar:
        speed, _ = self._angles(space)
        return 2 * speed * space.cos((1 - t) * speed) / space.sin((1 - t) * speed)

    def _at_damping(self, space: Space, damping: Scalar) -> Scalar:
        speed, shift = self._angles(space)
        alpha, sigma2 = space.exp(-damping / 2), -space.expm1(-damping)
        cosine_b, sine_b = space.cos(shift), space.sin(shift)
        cosine_w = cosine_b * alpha
        sine_w = space.sqrt(sine_b * sine_b + cosine_b * cosine_b * sigma2)
        cosine_a = cosine_w * cosine_b + sine_w * sine_b
        if space.exact:
            return space.acos(cosine_a) / speed
        # The angle a = t speed from its cosine, then corrected by its sine: acos alone has half its digits near t = 0.
        sine_a = cosine_b * cosine_b * sigma2 / (sine_w * cosine_b + cosine_w * sine_b) if sigma2 else sigma2
        angle = space.acos(cosine_a if cosine_a < 1 else space.number(1))
        return (angle + (sine_a * space.cos(angle) - cosine_a * space.sin(angle))) / speed
