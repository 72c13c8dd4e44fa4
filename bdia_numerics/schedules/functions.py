"""A schedule made of any two functions of t."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.schedules.base import Derived, each, rounding, sigma_bar_of, timed
from bdia_numerics.spaces import Scalar, Space
from bdia_numerics.spaces.later import mp, sympy
from bdia_numerics.texts import shown

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Functions(Derived):
    """A schedule given by alpha and sigma, callables of t, with sigma/alpha increasing on the domain.

    Derivatives are taken as given; without them they are exact on symbols, mpmath's on mpf, and for floats those of the
    polynomial through eleven points around t, good to about 1e-11 for functions smooth on a 25th of the domain.
    """

    alpha_function: Function
    sigma_function: Function
    alpha_derivative: Function | None = None
    sigma_derivative: Function | None = None
    t_min: Fraction = Fraction(0)
    t_max: Fraction = Fraction(1)
    variance_preserving: bool = False

    def __post_init__(self) -> None:
        for name in ("alpha_function", "sigma_function"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name}={shown(getattr(self, name))} is not callable: pass a function of t")
        if not self.t_min < self.t_max:
            raise ValueError(f"t_min={self.t_min}, t_max={self.t_max}: need t_min < t_max")

    @property
    def domain(self) -> tuple[Fraction, Fraction | None]:
        """The interval on which the functions are asked."""
        return self.t_min, self.t_max

    @timed
    def alpha(self, space: Space, t: Scalar) -> Scalar:
        """Return alpha(t)."""
        return each(lambda x: self.alpha_function(_plain(x)), t)

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma(t)."""
        return each(lambda x: self.sigma_function(_plain(x)), t)

    @timed
    def alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d alpha/dt."""
        return each(lambda x: self._derivative("alpha", space, x), t)

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d sigma/dt."""
        return each(lambda x: self._derivative("sigma", space, x), t)

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        # The root of sigma - value alpha, bracketed to the last digit.
        if space.exact or space.encloses:
            raise TypeError(
                f"{variable}={value}: the inverse of a schedule from functions is not known in {space.name}: "
                "use floats or mpmath, or a grid of given times"
            )
        target = sigma_bar_of(space, variable, value)
        low, high = space.number(self.t_min), space.number(self.t_max)
        root = increasing_root(lambda t: self.sigma(t) - target * self.alpha(t), low, high, 8 * rounding(space))
        if root is None:
            raise ValueError(f"{variable}={value} does not occur for t in [{self.t_min}, {self.t_max}]")
        return root

    def _derivative(self, name: str, space: Space, t: Scalar) -> Scalar:
        given, function = getattr(self, f"{name}_derivative"), getattr(self, f"{name}_function")
        if given is not None:
            return given(_plain(t))
        derivative = (
            _symbolic_derivative if space.symbolic else _float_derivative if space.double else _mpmath_derivative
        )
        if not space.symbolic and (space.exact or space.encloses or space.floats > space.double):
            raise TypeError(
                f"{name}_dot in {space.name} is not known from {name} alone: give from_functions({name}_dot=...)"
            )
        return derivative(function, t, float(self.t_min), float(self.t_max))


def _plain(t: Any) -> Any:
    return float(t) if isinstance(t, np.float64) else t


def _symbolic_derivative(function: Function, t: Any, low: float, high: float) -> Any:
    x = sympy.Symbol("x", positive=True)
    return sympy.diff(function(x), x).subs(x, t)


def _mpmath_derivative(function: Function, t: Any, low: float, high: float) -> Any:
    # One-sided at an end, since the functions need not exist beyond it.
    side = 1 if t <= low else -1 if t >= high else 0
    return mp.diff(function, t, direction=side)


def _float_derivative(function: Function, t: Any, low: float, high: float) -> Any:
    width = (high - low) / 25
    start = min(max(low, t - width / 2), high - width)
    sampled = np.polynomial.Chebyshev.interpolate(
        np.vectorize(function, otypes=[float]), 10, domain=[start, start + width]
    )
    return np.float64(sampled.deriv()(t))


def increasing_root(function: Function, low: Scalar, high: Scalar, slack: Scalar) -> Scalar | None:
    """Return where an increasing function changes sign on [low, high], None if it does not.

    Secant and bisection take turns, until the bracket holds no further number. A function that misses its sign at an
    end by no more than the rounding `slack` has its root there.
    """
    f_low, f_high = function(low), function(high)
    scale = slack * (abs(f_low) + abs(f_high))
    if f_low >= 0:
        return low if f_low <= scale else None
    if f_high <= 0:
        return high if -f_high <= scale else None
    bisect = False
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return low if -f_low < f_high else high
        if not bisect:
            secant = low - f_low * ((high - low) / (f_high - f_low))
            middle = secant if low < secant < high else middle
        f_middle = function(middle)
        if f_middle == 0:
            return middle
        if f_middle < 0:
            low, f_low = middle, f_middle
        else:
            high, f_high = middle, f_middle
        bisect = not bisect
