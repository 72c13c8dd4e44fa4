"""Schedules given by the user: by a table of T noise levels, t = 0..T-1, or by any two functions of t."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.schedules.base import Derived, each, preserves, rounding, sigma_bar_of, timed
from bdia_numerics.schedules.continuous import damping_of
from bdia_numerics.spaces import Scalar, Space
from bdia_numerics.spaces.later import mp, sympy
from bdia_numerics.texts import shown


@dataclass(frozen=True)
class TableLevel:
    """A noise level in one number system: alpha, sigma and the damping -log(alpha^2), None where alpha = 0."""

    alpha: Scalar
    sigma: Scalar
    damping: Scalar | None


@dataclass(frozen=True)
class Discrete(Derived):
    """A table of alpha^2 = alphas_cumprod at the integers t = 0..T-1; sigma = sqrt(1 - alpha^2).

    At an integer t the values are those of the table. In between log(alpha) is linear, that is beta is constant, so
    that drift and diffusion2 are steps, read to the right of an integer (to the left at T-1); sigma/alpha increases
    throughout and has a closed inverse. t = -1 is clean data, alpha = 1, unless the table begins with it. If
    alphas_cumprod ends at 0, alpha itself is linear on the last interval.

    `table` holds the exact values; a schedule given by its betas has `betas` = (rule, T, first, last) instead, from
    which every number system takes its own table.
    """

    table: tuple[Fraction, ...] | None = None
    betas: tuple[str, int, Fraction, Fraction] | None = None
    _levels: dict[tuple[str, int], TableLevel] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tables: dict[Space, tuple[Scalar, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    variance_preserving = True
    t_min = Fraction(0)

    def __repr__(self) -> str:
        return f"Discrete({self.length} steps)" if self.betas is None else f"Discrete(betas={self.betas})"

    @property
    def length(self) -> int:
        """The number T of training steps."""
        return self.betas[1] if self.betas is not None else len(self.table or ())

    @property
    def t_max(self) -> Fraction:
        """The last time of the table, T-1."""
        return Fraction(self.length - 1)

    @cached_property
    def domain(self) -> tuple[Fraction, Fraction | None]:
        """From clean data to the last time of the table."""
        return Fraction(0 if self._squares(spaces.FLOAT64)[0] == 1 else -1), self.t_max

    @property
    def alphas_cumprod(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The table, shape (T,), float64."""
        return np.array([float(a) for a in self._squares(spaces.FLOAT64)])

    @timed
    def alpha(self, space: Space, t: Scalar) -> Scalar:
        """Return alpha(t)."""
        return each(lambda x: self._at(space, x).alpha, t)

    @timed
    def sigma(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma(t)."""
        return each(lambda x: self._at(space, x).sigma, t)

    @timed
    def drift(self, space: Space, t: Scalar) -> Scalar:
        """Return f of eq. (3), constant between integers."""
        return each(lambda x: -self._rate(space, x) / 2, t)

    @timed
    def diffusion2(self, space: Space, t: Scalar) -> Scalar:
        """Return g^2 = -2 f of eq. (3), constant between integers."""
        return each(lambda x: self._rate(space, x), t)

    @timed
    def alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d alpha/dt, to the right of an integer."""
        return each(lambda x: self._alpha_dot(space, x), t)

    @timed
    def sigma_dot(self, space: Space, t: Scalar) -> Scalar:
        """Return d sigma/dt = -alpha alpha_dot/sigma, to the right of an integer."""
        return each(lambda x: -self._at(space, x).alpha * self._alpha_dot(space, x) / self._at(space, x).sigma, t)

    def _squares(self, space: Space) -> tuple[Scalar, ...]:
        if self.betas is None:
            return self.table or ()
        wide = space.guarded()
        if wide not in self._tables:
            self._tables[wide] = products_of_alphas(*self.betas, space=wide)  # type: ignore[arg-type]  # spaces have a hash
        return self._tables[wide]

    def _level(self, space: Space, k: int) -> TableLevel:
        key = (space.name, k)
        if key not in self._levels:
            if self.betas is not None and space.exact:
                raise TypeError(
                    f"{shown(self)} has no exact values in {space.name}: use floats or spaces.MPMath(digits)"
                )
            square = self._squares(space)[k] if k >= 0 else Fraction(1)
            rest = 1 - square
            damping = None
            if square:
                near_one = square > Fraction(1, 2)
                damping = -(space.log1p(space.number(-rest)) if near_one else space.log(space.number(square)))
            self._levels[key] = TableLevel(space.sqrt(space.number(square)), space.sqrt(space.number(rest)), damping)
        return self._levels[key]

    def _place(self, t: Scalar) -> tuple[int, Scalar]:
        low, high = int(self.domain[0]), self.length - 1
        if not low <= t <= high:
            raise ValueError(f"t={t} is outside the table: need {low} <= t <= {high}")
        k = -1 if t < 0 else min(int(t), high - 1)
        return k, t - k

    def _at(self, space: Space, t: Scalar) -> TableLevel:
        k, part = self._place(t)
        if part == 0 or part == 1:
            return self._level(space, k + int(part))
        first, last = self._level(space, k), self._level(space, k + 1)
        if last.damping is None:
            alpha = first.alpha * (1 - part)
            return TableLevel(alpha, space.sqrt((1 - alpha) * (1 + alpha)), -2 * space.log(alpha))
        damping = first.damping + (last.damping - first.damping) * part
        return TableLevel(space.exp(-damping / 2), space.sqrt(-space.expm1(-damping)), damping)

    def _rate(self, space: Space, t: Scalar) -> Scalar:
        k, part = self._place(t)
        if self._level(space, k + 1).damping is None:
            return 2 / (1 - part)
        squares = self._squares(space)
        # Not the difference of the two dampings, which has fewer digits.
        return -space.log1p(space.number(squares[k + 1] / (squares[k] if k >= 0 else 1) - 1))

    def _alpha_dot(self, space: Space, t: Scalar) -> Scalar:
        k, _ = self._place(t)
        if self._level(space, k + 1).damping is None:
            return -self._level(space, k).alpha
        return -self._at(space, t).alpha * self._rate(space, t) / 2

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        damping = damping_of(space, variable, value)
        first, last = int(self.domain[0]), self.length - 1
        bottom, top = self._level(space, first).damping, self._level(space, last).damping
        slack = 16 * rounding(space)
        if not damping >= bottom * (1 - slack) or (top is not None and not damping <= top * (1 + slack)):
            raise ValueError(
                f"{variable}={value} is outside the table: its noise levels are those of t from {first} to {last}"
            )
        low, high = first, last
        while high - low > 1:
            middle = (low + high) // 2
            if self._level(space, middle).damping <= damping:
                low = middle
            else:
                high = middle
        below, above = self._level(space, low), self._level(space, high)
        if above.damping is None:
            return high - space.exp(-damping / 2) / below.alpha
        part = (damping - below.damping) / (above.damping - below.damping)
        return low + (part if part < 1 else part * 0 + 1) if part > 0 else part * 0 + low


@lru_cache(maxsize=16)
def products_of_alphas(rule: str, steps: int, first: Fraction, last: Fraction, *, space: Space) -> tuple[Scalar, ...]:
    """Return prod_{j <= k} (1 - beta_j) for k = 0..steps-1, computed in a number system, each as an element of its field.

    beta, or for ``rule="scaled_linear"`` its square root, is linear in j.
    """
    with space.working():
        ends = [space.number(first), space.number(last)]
        low, high = [space.sqrt(e) for e in ends] if rule == "scaled_linear" else ends
        result, product = [], space.number(1)
        for k in range(steps):
            root = low + (high - low) * k / (steps - 1)
            product = product * (1 - (root * root if rule == "scaled_linear" else root))
            result.append(space.field(product))
    return tuple(result)


def exact_table(alphas_cumprod: Sequence[Any] | np.ndarray[Any, Any]) -> tuple[Fraction, ...]:
    """Return the values of a table of alpha^2 as Fractions; ValueError unless they fall strictly within [0, 1]."""
    values = np.asarray(spaces.plain("alphas_cumprod", alphas_cumprod))
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"alphas_cumprod has shape {values.shape}: pass a table of shape (T,), T >= 2")
    if spaces.kind_of(values) == "float" and not np.all(np.isfinite(values)):
        raise ValueError(f"alphas_cumprod={shown(values)} holds NaN or infinite values: pass a finite table")
    table = tuple(spaces.of(a, "alphas_cumprod").field(a) for a in values)
    for k, a in enumerate(table):
        if not (0 <= a <= 1) or (k and not a < table[k - 1]):
            raise ValueError(
                f"alphas_cumprod[{k}]={float(a)!r}: the table must fall strictly and stay in [0, 1] (data end first)"
            )
    return table


Function = Callable[[Any], Any]
_PLACES, _STEP, _ALIKE = (0.137, 0.459, 0.853), 1e-5, 1e-4
"""Where derivatives are compared with differences, as parts of the domain, the half width of these, and how far both may be apart."""
LOOKS = 5
"""Times at which functions that are said to preserve the variance are looked at."""


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
        for name in ("alpha", "sigma"):
            self._compare(name)
        for k in range(LOOKS if self.variance_preserving else 0):
            t = float(self.t_min + (self.t_max - self.t_min) * k / (LOOKS - 1))
            total = self.alpha(t) ** 2 + self.sigma(t) ** 2
            if not preserves(total):
                raise ValueError(
                    f"variance_preserving=True: alpha^2 + sigma^2 = {shown(total)} at t={t:g}, not 1: leave it out, or mend the functions"
                )

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

    def _compare(self, name: str) -> None:
        """Raise ValueError where a derivative that was given is not that of its function, which is looked at on floats."""
        given, function = getattr(self, f"{name}_derivative"), getattr(self, f"{name}_function")
        start, width = float(self.t_min), float(self.t_max - self.t_min)
        for part in _PLACES if given is not None else ():
            t, step = start + part * width, _STEP * width
            try:
                said, value = float(given(t)), float(function(t))
                seen = (float(function(t + step)) - float(function(t - step))) / (2 * step)
            except (AttributeError, TypeError):  # functions of another number system alone
                return
            if not abs(said - seen) <= _ALIKE * (abs(said) + abs(seen) + abs(value) / width):
                raise ValueError(
                    f"{name}_dot is {shown(said)} at t={t:.3g}, and {name} changes there by {seen:.4g} a unit of t: "
                    "give its derivative, or leave it out"
                )

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
