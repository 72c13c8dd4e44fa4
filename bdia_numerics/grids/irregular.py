"""Grids that are not smooth, on which an order has to be proved anew: steps in a pattern that repeats, and random ones."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate, islice
from typing import Any, TypedDict, Unpack

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids.grid import Grid, Time, build, ends_of, exact, slots_of
from bdia_numerics.grids.recipes import Mapped
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import shown

_RULES = {"t": "t", "sigma_bar": "power", "log_snr": "log_snr", "asinh": "asinh"}
_RESOLUTION = 2**20
_MOST = 1000
"""Entries of a pattern; more of them are a mistake, and may have no end."""
Step = float | int | Fraction


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
    variable : {"asinh", "sigma_bar", "log_snr", "t"}
        What is spaced so: asinh(sigma/alpha), sigma/alpha, log(alpha^2/sigma^2) or t. The others' steps then have ratios
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
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed={shown(seed)} is not a seed: pass an int of at least 0")
    drawn = np.random.default_rng((int(seed), slots_of(n))).integers(0, _RESOLUTION, n)
    steps = [1 + (largest - 1) * Fraction(int(k), _RESOLUTION) for k in drawn]
    return _spaced(schedule, steps, **ends)


def _spaced(
    schedule: Schedule,
    steps: list[Fraction],
    *,
    variable: str = "asinh",
    t_max: Time | None = None,
    t_min: Time | None = None,
    space: Any = spaces.FLOAT64,
) -> Grid:
    if variable not in _RULES:
        raise ValueError(f"variable={shown(variable)} is unknown: use {', '.join(map(repr, _RULES))}")
    *inner, whole = accumulate(steps)
    parts = tuple(end / whole for end in inner)
    recipe = Mapped(schedule, len(steps), *ends_of(schedule, t_max, t_min), _RULES[variable], parts=parts)
    return build(recipe, space, schedule)
