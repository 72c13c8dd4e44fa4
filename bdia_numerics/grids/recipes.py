"""How the points of grids are computed, in any number system: those of the named grids, and steps in a pattern or at random.

On the latter, which are not smooth, an order has to be proved anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate, islice
from typing import Any, TypedDict, Unpack

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids.grid import Columns, Grid, Time, build, ends_of, exact, slots_of
from bdia_numerics.grids.levels import Point
from bdia_numerics.schedules import Schedule
from bdia_numerics.schedules.base import angle_of, write
from bdia_numerics.spaces import Scalar, Space
from bdia_numerics.spaces.later import sympy
from bdia_numerics.spaces.values import answering, ordered
from bdia_numerics.texts import one_of, shown


def at_times(schedule: Schedule, space: Space, times: Iterable[Any]) -> Columns:
    """Return times with the schedule's noise levels, asked for all times at once."""
    t = space.wide.array([space.number(x) for x in times])
    return t, schedule.alpha(t), schedule.sigma(t)


def clean_time(schedule: Schedule) -> Fraction:
    """Return the time of clean data, sigma = 0; ValueError if the schedule has none."""
    start = schedule.domain[0]
    if schedule.sigma(float(start)) != 0:
        raise ValueError(f"{schedule} has no time with sigma = 0: give the last time itself instead of final_alpha=1")
    return start


@dataclass(frozen=True)
class Power:
    """t_i = t_min + (t_max - t_min) (i/n)^power."""

    schedule: Schedule
    n: int
    t_max: Fraction
    t_min: Fraction
    power: int

    def points(self, space: Space) -> Columns:
        """Return t, alpha, sigma, data end first."""
        # Whole numerators over one denominator: a Fraction's own sums and products would cost more than all the rest.
        common = self.n**self.power * self.t_min.denominator * self.t_max.denominator
        low, high = (int(end * common) for end in (self.t_min, self.t_max))
        unit = (high - low) // self.n**self.power
        numerators = (low + unit * i**self.power for i in range(self.n + 1))
        return at_times(self.schedule, space, (Fraction(k, common) for k in numerators))


@dataclass(frozen=True)
class Mapped:
    """A function of sigma/alpha is equally spaced: its logarithm, asinh, arc tangent, or its power 1/rho; or t itself is.

    `parts` are the inner points as parts of the whole where they are not equally spaced.
    """

    schedule: Schedule
    n: int
    t_max: Fraction
    t_min: Fraction
    rule: str
    rho: Fraction = Fraction(1)
    append_zero: bool = False
    parts: tuple[Fraction, ...] = ()

    def points(self, space: Space) -> Columns:
        """Return t, alpha, sigma, data end first."""
        slots = self.n - 1 if self.append_zero else self.n
        times = [space.number(self.t_min), space.number(self.t_max)]
        for t in times:
            if self.rule not in ("t", "angle") and self.schedule.alpha(t) == 0:
                raise ValueError(f"t_max={t}: alpha = 0 there and sigma/alpha is infinite: give a smaller t_max")
            if self.rule == "log_snr" and self.schedule.sigma(t) == 0:
                raise ValueError(f"t_min={t}: sigma = 0 there and log_snr is infinite: give a larger t_min, say 0.001")
        low, high = (self._forward(space, t) for t in times)
        inner = [low + (high - low) * i / slots for i in range(1, slots)]
        if self.parts:
            inner = [low + (high - low) * space.number(part) for part in self.parts]
        t = [times[0], *(self._backward(space, v) for v in inner), times[1]]
        if self.append_zero:
            t.insert(0, clean_time(self.schedule))
        found = at_times(self.schedule, space, t)
        if self.rule == "angle":  # the ends of most schedules have an angle, whatever is between them
            list(map(partial(angle_of, space), *found[1:]))
        return found

    def _forward(self, space: Space, t: Scalar) -> Scalar:
        if self.rule == "t":
            return t
        if self.rule == "log_snr":
            return self.schedule.half_log_snr(t)
        if self.rule == "angle":
            return angle_of(space, self.schedule.alpha(t), self.schedule.sigma(t))
        s = self.schedule.sigma_bar(t)
        return space.asinh(s) if self.rule == "asinh" else power(space, s, 1 / self.rho)

    def _backward(self, space: Space, v: Scalar) -> Scalar:
        if self.rule == "t":
            return write(space, v, None)
        if self.rule in ("log_snr", "angle"):
            return self.schedule.time("half_log_snr" if self.rule == "log_snr" else "angle", write(space, v, None))
        s = space.sinh(v) if self.rule == "asinh" else power(space, v, self.rho)
        return self.schedule.time("sigma_bar", write(space, s, None))


def power(space: Space, x: Scalar, exponent: Fraction) -> Scalar:
    """Return x^exponent for x >= 0; whole exponents take multiplications only."""
    if exponent.denominator == 1:
        return x ** int(exponent)
    return x if x == 0 else space.exp(space.log(x) * space.number(exponent))


@dataclass(frozen=True)
class Listed:
    """Given times, data end first; `final` is alpha of a point with more data than all of them."""

    schedule: Schedule
    times: tuple[Fraction, ...]
    final: Fraction | None = None

    def points(self, space: Space) -> Columns:
        """Return t, alpha, sigma, data end first."""
        listed = at_times(self.schedule, space, self.times)
        if self.final is None:
            return listed
        rest = 1 - self.final * self.final
        level = space.number(self.final), space.sqrt(space.number(rest)) if rest else space.number(0)
        time = clean_time(self.schedule)
        if rest:
            time = self.schedule.time("sigma_bar", write(space, level[1] / level[0], None))
        ends = (space.wide.array([space.number(x)]) for x in (time, *level))
        t, alpha, sigma = (np.concatenate(pair) for pair in zip(ends, listed, strict=True))
        return t, alpha, sigma


@dataclass(frozen=True)
class Values:
    """Given values, data end first, in the number system that they were given in."""

    t: tuple[Scalar, ...]
    alpha: tuple[Scalar, ...]
    sigma: tuple[Scalar, ...]
    space: Space

    def points(self, space: Space) -> Columns:
        """Return t, alpha, sigma, data end first; TypeError if rounded values would enter an exact system."""
        if space.exact and not self.space.exact:
            raise TypeError(
                f"this grid was given values in {self.space.name}, whose rounding would stay in {space.name}: "
                "give grids.from_values Fractions"
            )
        if space == self.space:
            return self.t, self.alpha, self.sigma
        t, alpha, sigma = ([space.number(self.space.field(x)) for x in c] for c in (self.t, self.alpha, self.sigma))
        return t, alpha, sigma


@dataclass(frozen=True)
class Symbolic:
    """Symbols t_i, alpha_i, sigma_i; a time in between has symbols of its own, named after it."""

    n: int

    def symbols(self, name: str) -> Point:
        """Return the symbols of one time."""
        kinds = {"t": "real", "alpha": "positive", "sigma": "positive", "alphadot": "real", "sigmadot": "real"}
        return Point(*(sympy.Symbol(f"{x}_{name}", **{kind: True}) for x, kind in kinds.items()))

    def points(self, space: Space) -> Columns:
        """Return the symbols, data end first; TypeError for every system but symbols."""
        points = [self.symbols(str(i)) for i in range(self.n + 1)]
        try:
            t, alpha, sigma = ([space.number(p[k]) for p in points] for k in range(3))
        except TypeError:
            raise TypeError(f"symbols have no value in {space.name}: make the grid with grids.from_values") from None
        return t, alpha, sigma


def rounded(values: Any) -> list[int]:
    """Return float64 times rounded to whole ones, ties to even."""
    return [int(v) for v in np.round(values)]


RULES = {"t": "t", "sigma_bar": "power", "log_snr": "log_snr", "asinh": "asinh", "angle": "angle"}
"""How steps of a variable are made, by its name."""
_RESOLUTION = 2**20
_MOST = 1000
"""Entries of a pattern; more of them are a mistake, and may have no end."""
Step = spaces.Number


class Span(TypedDict, total=False):
    """What grids share, with its defaults: variable="asinh", the ends t_max and t_min of the schedule's own span, space=FLOAT64."""

    variable: str
    t_max: Time | None
    t_min: Time | None
    space: Any


@ordered
def alternating(schedule: Schedule, n: int, *, ratio: Step = 2, **ends: Unpack[Span]) -> Grid:
    """Return the grid whose steps alternate h, ratio h, h, ..., from the data end.

    Parameters
    ----------
    schedule, n, t_max, t_min, space
        As in `uniform`.
    ratio
        Of neighbouring steps, positive; 1 gives equal steps.
    variable : {"asinh", "sigma_bar", "log_snr", "angle", "t"}
        What is spaced so: asinh(sigma/alpha), sigma/alpha, log(alpha^2/sigma^2), atan(sigma/alpha) or t. The others' steps then have ratios
        that tend to the same.

    Raises
    ------
    ValueError
        For a ratio that is not positive, another variable, a variable that is infinite at an end; else as in `uniform`.
    """
    if _step("ratio", ratio) <= 0:
        raise ValueError(f"ratio={ratio} is not positive: pass a ratio of two steps, for instance 2")
    return periodic(schedule, n, pattern=(1, ratio), **ends)


@ordered
def periodic(schedule: Schedule, n: int, *, pattern: Iterable[Step], **ends: Unpack[Span]) -> Grid:
    """Return the grid whose steps repeat a pattern, h p_1, h p_2, ..., from the data end.

    Parameters
    ----------
    schedule, n, t_max, t_min, space
        As in `uniform`.
    pattern
        Relative steps, positive; (1, 2, 3) for h, 2h, 3h, h, ...
    variable
        As in `alternating`.

    Raises
    ------
    ValueError
        As `pattern_of`; else as in `alternating`.

    Examples
    --------
    >>> from bdia_numerics import grids, schedules
    >>> grid = grids.periodic(schedules.ve(), 3, pattern=(1, 2, 3), variable="sigma_bar", t_max=6, t_min=0)
    >>> grid.t.tolist()
    [0.0, 1.0, 3.0, 6.0]
    """
    chosen = pattern_of(pattern)
    return _spaced(schedule, [chosen[k % len(chosen)] for k in range(slots_of(n))], **ends)


def pattern_of(pattern: Iterable[Step]) -> tuple[Fraction, ...]:
    """Return relative steps as fractions, decimals as they print.

    Raises
    ------
    ValueError
        For what is not a sequence of numbers (a string, a set, truth values); if there is no step, more than a thousand, or one that is
        not positive and finite.
    """
    given: object = pattern
    is_ordered = isinstance(given, Iterable) and not isinstance(given, str | bytes | set | frozenset | dict)
    if not is_ordered:
        raise ValueError(
            f"pattern={shown(pattern)} is not a sequence of relative steps: pass numbers, for instance (1, 2, 3)"
        )
    given = list(islice(pattern, _MOST + 1))
    if len(given) > _MOST:
        raise ValueError(
            f"pattern has more than {_MOST} steps: pass the few relative steps that repeat, for instance (1, 2, 3)"
        )
    steps = tuple(_step("pattern", step) for step in given)
    if not steps or min(steps) <= 0:
        raise ValueError(
            f"pattern=({', '.join(map(str, steps))}): pass positive relative steps, for instance (1, 2, 3)"
        )
    return steps


def _step(name: str, x: Any) -> Fraction:
    """Return a relative step as the fraction that was meant; ValueError for truth values, words and what is not a number."""
    try:
        if not isinstance(x, bool | np.bool_ | str | bytes):
            return exact(name, x)
    except TypeError:
        pass  # of no number system
    raise ValueError(f"{name}={shown(x)} is not a relative step: pass numbers, for instance 2")


@ordered
def random(schedule: Schedule, n: int, *, seed: Any, ratio: Step = 2, **ends: Unpack[Span]) -> Grid:
    """Return a grid whose steps are independent, uniformly distributed between h and ratio h.

    Parameters
    ----------
    schedule, n, t_max, t_min, space
        As in `uniform`.
    seed
        Of the steps, together with n; the same in every number system.
    ratio
        Of the largest step possible to the smallest, at least 1.
    variable
        As in `alternating`.

    Raises
    ------
    ValueError
        For a ratio below 1, a negative seed; else as in `alternating`.
    """
    largest = _step("ratio", ratio)
    if largest < 1:
        raise ValueError(f"ratio={ratio} is below 1: pass the largest step over the smallest, for instance 2")
    spaces.require_count("seed", seed, 0, " is not a seed")
    drawn = np.random.default_rng((int(seed), slots_of(n))).integers(0, _RESOLUTION, n)
    return _spaced(schedule, [1 + (largest - 1) * Fraction(int(k), _RESOLUTION) for k in drawn], **ends)


@partial(answering, called="a grid of patterns")
def _spaced(
    schedule: Schedule,
    steps: list[Fraction],
    *,
    variable: str = "asinh",
    t_max: Time | None = None,
    t_min: Time | None = None,
    space: Any = spaces.FLOAT64,
) -> Grid:
    one_of("variable", variable, RULES)
    *inner, whole = accumulate(steps)
    parts = tuple(end / whole for end in inner)
    recipe = Mapped(schedule, len(steps), *ends_of(schedule, t_max, t_min), RULES[variable], parts=parts)
    return build(recipe, space, schedule)
