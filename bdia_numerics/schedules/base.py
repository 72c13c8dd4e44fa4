"""What a schedule offers, how its formulas are lifted to every number system, and eq. (2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.spaces import Scalar, Space, as_states, ordered
from bdia_numerics.texts import shown

_NAN_TIMES = "t holds NaN: pass finite times"
VARIABLES = ("t", "sigma_bar", "log_snr", "half_log_snr", "angle")
SINGLE = Fraction(1, 2**23)
"""Rounding of single precision."""
_ROUNDED = 10**5
"""One over what alpha^2 + sigma^2 of a table in float32 may miss of 1."""


@runtime_checkable
class Schedule(Protocol):
    """The noise level (alpha, sigma) of eq. (1) as functions of the time t, with the derivatives of eq. (3).

    `t_min` and `t_max` are where grids end unless told otherwise; `domain` is where the schedule is defined, with None
    for a side without end. Outside it the formulas are evaluated as they stand (a table raises ValueError): it is grids
    that refuse such times. Methods take a float, a float array of any shape, or a scalar or object array of another
    number system, and answer in the same system; a value that diverges is inf for floats and a ValueError elsewhere.
    NaN raises ValueError.
    """

    @property
    def t_min(self) -> Fraction:
        """Where grids end unless told otherwise."""

    @property
    def t_max(self) -> Fraction:
        """Where grids begin unless told otherwise."""

    @property
    def domain(self) -> tuple[Fraction, Fraction | None]:
        """Where the schedule is defined; None for a side without end."""

    @property
    def variance_preserving(self) -> bool:
        """Whether alpha^2 + sigma^2 = 1."""

    def alpha(self, t: Any) -> Any:
        """Return alpha(t)."""

    def sigma(self, t: Any) -> Any:
        """Return sigma(t)."""

    def sigma_bar(self, t: Any) -> Any:
        """Return sigma/alpha."""

    def log_snr(self, t: Any) -> Any:
        """Return log(alpha^2/sigma^2)."""

    def half_log_snr(self, t: Any) -> Any:
        """Return log(alpha/sigma), DPM-Solver's lambda."""

    def drift(self, t: Any) -> Any:
        """Return f = d log(alpha)/dt of eq. (3)."""

    def diffusion2(self, t: Any) -> Any:
        """Return g^2 of eq. (3)."""

    def alpha_dot(self, t: Any) -> Any:
        """Return d alpha/dt."""

    def sigma_dot(self, t: Any) -> Any:
        """Return d sigma/dt."""

    def time(self, variable: str, value: Any) -> Any:
        """Return the t at which one of `VARIABLES` has a value."""


def read(x: Any) -> tuple[Space, Any]:
    """Return the number system of a scalar or float array, and the value in it, floats ready for IEEE arithmetic."""
    if isinstance(x, float) and math.isfinite(x):  # of NumPy as well
        return spaces.FLOAT64, np.float64(x)
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x[()]
    if isinstance(x, np.ndarray | np.generic) and spaces.kind_of(x) == "integer":
        x = x.astype(np.float64)
    space = spaces.of(x, "t").scalars
    # Python floats raise where NumPy's give inf, and an array of times must not differ from its elements.
    value = np.float64(x) if isinstance(x, float) else space.number(x)
    return space, np.float64(value) if isinstance(value, float) else value


def write(space: Space, result: Any, like: Any) -> Any:
    """Return a result in the shape and dtype of its argument; float64 scalars become Python floats."""
    if isinstance(like, np.ndarray) and like.ndim:
        dtype = np.float64 if spaces.kind_of(like) != "float" else like.dtype
        return np.array(np.broadcast_to(result, like.shape), dtype=dtype)
    return float(result) if isinstance(result, np.float64) else result


def timed(formula: Callable[[Any, Space, Any], Any]) -> Callable[[Any, Any], Any]:
    """Turn ``formula(self, space, t)`` into a method of t alone, for scalars and arrays of every number system."""

    @wraps(formula)
    def method(self: Any, t: Any) -> Any:
        if isinstance(t := as_states("t", spaces.plain("t", t)), np.ndarray) and spaces.kind_of(t) == "objects":
            return np.frompyfunc(lambda x: method(self, x), 1, 1)(t)
        space, value = read(t)
        try:
            with space.working(), np.errstate(all="ignore"):
                result = formula(self, space, value)
                if np.any(value != value) if isinstance(value, np.ndarray) else value != value:
                    raise ValueError(f"t={t} is not a number: pass finite times" if np.ndim(t) == 0 else _NAN_TIMES)
                return write(space, result, t)
        except ZeroDivisionError:
            raise ValueError(f"{formula.__name__} of {self} diverges at t={t}: keep t away from it") from None

    return method


def elementwise(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method whose last argument is a scalar take arrays, element by element, with the dtype kept."""

    @wraps(method)
    def lifted(self: Any, *arguments: Any) -> Any:
        *front, x = arguments
        if not (isinstance(spaces.plain("value", x), np.ndarray) and x.ndim):
            return method(self, *arguments)
        result = np.frompyfunc(lambda element: method(self, *front, element), 1, 1)(x)
        return result if spaces.kind_of(x) == "objects" else write(spaces.FLOAT64, result, x)

    return lifted


def each(function: Callable[[Any], Any], t: Any) -> Any:
    """Return a function of one time at a time, or at each of an array of times."""
    if not isinstance(t, np.ndarray):
        return function(t)
    return np.array([function(x) for x in t.flat], dtype=t.dtype).reshape(t.shape)


def rounding(space: Space) -> Scalar:
    """Return the distance from 1 to the next number of a system, 0 where nothing is rounded."""
    return abs((space.number(4) / space.number(3) - space.number(1)) * 3 - 1)


def known(variable: str) -> str:
    """Return a time variable's name; ValueError if there is none of that name."""
    if variable not in VARIABLES:
        raise ValueError(f"variable={shown(variable)} is unknown: use one of {', '.join(VARIABLES)}")
    return variable


def inside(schedule: Any, name: str, t: Any, slack: Fraction | int = 0) -> Any:
    """Return a time; ValueError for NaN and outside a schedule's domain by more than the slack, a part of the larger end, at least of 1.

    Of symbols and balls it is not known where they are, nor of other people's schedules where they end.
    """
    if not hasattr(schedule, "domain"):
        return t
    low, high = schedule.domain
    # Fractions take as long as a step.
    within = isinstance(t, float) and float(low) < t < (math.inf if high is None else float(high))
    if within or not isinstance(t, Real):
        return t
    value, slack = t if isinstance(t, Fraction) else float(t), slack * max(1, low, high or 0)
    if not low - slack <= value or (high is not None and value > high + slack):
        upper = "" if high is None else f" <= {float(high):g}"
        raise ValueError(f"{name}={float(t):g} is outside the schedule: need {float(low):g} <= t{upper}")
    return t


def preserves(total: Scalar) -> bool:
    """Say whether alpha^2 + sigma^2 is 1, up to the rounding of tables in single precision."""
    return bool(-1 < _ROUNDED * (total - 1) < 1)


def angle_of(space: Space, alpha: Scalar, sigma: Scalar) -> Scalar:
    """Return atan(sigma/alpha) of a variance-preserving level, finite where alpha = 0; ValueError for another level.

    Of symbols it is taken for granted that alpha^2 + sigma^2 = 1.
    """
    total = alpha * alpha + sigma * sigma
    if not (space.symbolic or space.traced) and not preserves(total):
        raise ValueError(
            f"alpha^2 + sigma^2 = {shown(total)}, not 1: the angle needs a variance-preserving schedule, so take "
            "another variable, for instance 'sigma_bar'"
        )
    return 2 * space.atan(sigma / (1 + alpha))  # the half angle needs no quotient that diverges at either end


def sigma_bar_of(space: Space, variable: str, value: Scalar) -> Scalar:
    """Return sigma/alpha, given it or one of the log signal-to-noise ratios."""
    if variable == "sigma_bar":
        return value
    return space.exp(-value if variable == "half_log_snr" else -value / 2)


class Derived:
    """What follows from alpha, sigma and their derivatives; schedules replace what has a better form."""

    variance_preserving = False
    _time: Callable[[Space, str, Scalar], Scalar]

    @timed
    def sigma_bar(self, space: Space, t: Scalar) -> Scalar:
        """Return sigma/alpha."""
        return _ieee(self.sigma(t)) / self.alpha(t)  # type: ignore[attr-defined]

    @timed
    def half_log_snr(self, space: Space, t: Scalar) -> Scalar:
        """Return log(alpha/sigma), DPM-Solver's lambda."""
        return space.log(_ieee(self.alpha(t)) / self.sigma(t))  # type: ignore[attr-defined]

    @timed
    def log_snr(self, space: Space, t: Scalar) -> Scalar:
        """Return log(alpha^2/sigma^2)."""
        return 2 * self.half_log_snr(t)

    @timed
    def drift(self, space: Space, t: Scalar) -> Scalar:
        """Return f = d log(alpha)/dt of eq. (3)."""
        return _ieee(self.alpha_dot(t)) / self.alpha(t)  # type: ignore[attr-defined]

    @timed
    def diffusion2(self, space: Space, t: Scalar) -> Scalar:
        """Return g^2 = d sigma^2/dt - 2 f sigma^2 of eq. (3)."""
        sigma = _ieee(self.sigma(t))  # type: ignore[attr-defined]
        return 2 * sigma * (self.sigma_dot(t) - self.drift(t) * sigma)  # type: ignore[attr-defined]

    @elementwise
    def time(self, variable: str, value: Any) -> Any:
        """Return the t at which a variable has a value.

        Raises
        ------
        ValueError
            For an unknown variable, and for a value that does not occur where the schedule is defined.
        TypeError
            Where the number system has no functions for it.
        """
        if known(variable) == "t":
            return inside(self, "t", value, SINGLE)
        space, number = read(value)
        with space.working(), np.errstate(all="ignore"):
            if variable == "angle":
                if not space.symbolic and not 0 <= number <= 2 * space.atan(space.number(1)):
                    raise ValueError(f"angle={shown(value)}: atan(sigma/alpha) lies in [0, pi/2]: give one there")
                variable, number = "sigma_bar", space.sin(number) / space.cos(number)
            if variable == "sigma_bar" and not space.symbolic and number < 0:
                raise ValueError(f"sigma_bar={shown(value)} is negative: noise levels are at least 0")
            found = self._time(space, variable, number)
        return write(space, inside(self, f"{variable}={shown(value)}: t", found, SINGLE), value)


def _ieee(x: Any) -> Any:
    return np.float64(x) if isinstance(x, float) else x


@ordered
def probability_flow(score: Callable[[Any, Any], Any], schedule: Schedule) -> Callable[[Any, Any], Any]:
    """Return the right-hand side of the probability-flow ODE dz/dt = d(z, t), eq. (2).

    Parameters
    ----------
    score
        ``score(z, t)``, the gradient of log q(z; alpha_t, sigma_t), of z's shape.
    schedule
        Gives f and g^2 of eq. (3).

    Returns
    -------
    callable
        ``d(z, t) = f(t) z - g^2(t)/2 score(z, t)``, of z's shape and dtype, for a scalar t.
    """

    def gradient(z: Any, t: Any) -> Any:
        return schedule.drift(t) * z - schedule.diffusion2(t) / 2 * spaces.shaped(f"score(z, t={t})", score(z, t), z)

    return gradient
