"""How the points of the named grids are computed, in any number system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.grids.grid import Columns
from bdia_numerics.grids.levels import Point
from bdia_numerics.schedules import Schedule
from bdia_numerics.schedules.base import write
from bdia_numerics.spaces import Scalar, Space
from bdia_numerics.spaces.later import sympy


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
    """A function of sigma/alpha is equally spaced: its logarithm, asinh, or its power 1/rho; or t itself is.

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
            if self.rule != "t" and self.schedule.alpha(t) == 0:
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
        return at_times(self.schedule, space, t)

    def _forward(self, space: Space, t: Scalar) -> Scalar:
        if self.rule == "t":
            return t
        if self.rule == "log_snr":
            return self.schedule.half_log_snr(t)
        s = self.schedule.sigma_bar(t)
        return space.asinh(s) if self.rule == "asinh" else power(space, s, 1 / self.rho)

    def _backward(self, space: Space, v: Scalar) -> Scalar:
        if self.rule == "t":
            return write(space, v, None)
        if self.rule == "log_snr":
            return self.schedule.time("half_log_snr", v)
        s = space.sinh(v) if self.rule == "asinh" else power(space, v, self.rho)
        return self.schedule.time("sigma_bar", write(space, s, None))


def power(space: Space, x: Scalar, exponent: Fraction) -> Scalar:
    """Return x^exponent for x >= 0; whole exponents take multiplications only."""
    if exponent.denominator == 1:
        return x ** int(exponent)
    if x == 0:
        return x
    return space.exp(space.log(x) * space.number(exponent))


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

        def positive(x: str) -> Any:
            return sympy.Symbol(f"{x}_{name}", positive=True)

        def real(x: str) -> Any:
            return sympy.Symbol(f"{x}_{name}", real=True)

        return Point(real("t"), positive("alpha"), positive("sigma"), real("alphadot"), real("sigmadot"))

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
