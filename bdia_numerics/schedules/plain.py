"""Schedules without a parameter: (1, t), (1, sqrt t) and (1-t, t)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

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
        if variable == "sigma_bar":
            return value / (1 + value)
        return 1 / (1 + 1 / sigma_bar_of(space, variable, value))
