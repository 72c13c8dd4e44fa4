"""Grids: N+1 times with their noise levels, made in one number system and evaluated anew in any other.

The named constructors take ``space=`` (default float64) and keep their recipe with its decimal parameters, so that
``grid.to(spaces.MPMath(50))`` has 50 right digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids.grid import Grid, Time, build, check_value, decided, ends_of, exact, slots_of
from bdia_numerics.grids.levels import Between, Index, Levels, Point, Pointwise
from bdia_numerics.grids.live import Live, live
from bdia_numerics.grids.recipes import (
    Listed,
    Mapped,
    Power,
    Symbolic,
    Values,
    alternating,
    pattern_of,
    periodic,
    random,
    rounded,
)
from bdia_numerics.schedules import Discrete, Schedule
from bdia_numerics.schedules.base import inside
from bdia_numerics.spaces import Space, ordered, share
from bdia_numerics.texts import shown

__all__ = [
    "Between",
    "Grid",
    "Index",
    "Levels",
    "Live",
    "Point",
    "Pointwise",
    "alternating",
    "angle",
    "asinh",
    "from_scheduler",
    "from_timesteps",
    "from_values",
    "karras",
    "leading",
    "linspace",
    "live",
    "log_snr",
    "pattern_of",
    "periodic",
    "quadratic",
    "random",
    "symbolic",
    "trailing",
    "uniform",
]

__dir__ = __all__.copy  # what completion shows
share(Between, Grid, Live, Point, Pointwise)


@ordered
def uniform(
    schedule: Schedule, n: int, *, t_max: Time | None = None, t_min: Time | None = None, space: Any = spaces.FLOAT64
) -> Grid:
    """Return the grid with equal steps of t; times of a discrete schedule are not rounded (see `linspace`).

    Parameters
    ----------
    schedule
        Gives alpha and sigma.
    n
        The number of slots; the grid has n+1 points.
    t_max, t_min
        Its ends; the schedule's own by default.
    space
        The number system.

    Returns
    -------
    Grid
        Of n slots.

    Raises
    ------
    ValueError
        For n < 1 and for ends outside the schedule's domain or in the wrong order.

    Examples
    --------
    >>> from bdia_numerics import grids, schedules
    >>> grids.uniform(schedules.vp_linear(), 4).t
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    return build(Power(schedule, slots_of(n), *ends_of(schedule, t_max, t_min), 1), space, schedule)


@ordered
def quadratic(
    schedule: Schedule, n: int, *, t_max: Time | None = None, t_min: Time | None = None, space: Any = spaces.FLOAT64
) -> Grid:
    """Return the grid with t_i = t_min + (t_max - t_min)(i/n)^2; parameters and errors as in `uniform`."""
    return build(Power(schedule, slots_of(n), *ends_of(schedule, t_max, t_min), 2), space, schedule)


@ordered
def log_snr(
    schedule: Schedule, n: int, *, t_max: Time | None = None, t_min: Time | None = None, space: Any = spaces.FLOAT64
) -> Grid:
    """Return the grid with equal steps of log(alpha^2/sigma^2); ValueError where it is infinite, else as `uniform`."""
    return build(Mapped(schedule, slots_of(n), *ends_of(schedule, t_max, t_min), "log_snr"), space, schedule)


@ordered
def asinh(
    schedule: Schedule, n: int, *, t_max: Time | None = None, t_min: Time | None = None, space: Any = spaces.FLOAT64
) -> Grid:
    """Return the grid with equal steps of asinh(sigma/alpha); ValueError where alpha = 0, else as in `uniform`."""
    return build(Mapped(schedule, slots_of(n), *ends_of(schedule, t_max, t_min), "asinh"), space, schedule)


@ordered
def angle(
    schedule: Schedule, n: int, *, t_max: Time | None = None, t_min: Time | None = None, space: Any = spaces.FLOAT64
) -> Grid:
    """Return the grid with equal steps of atan(sigma/alpha); ValueError unless variance preserving, else as in `uniform`."""
    return build(Mapped(schedule, slots_of(n), *ends_of(schedule, t_max, t_min), "angle"), space, schedule)


@ordered
def karras(
    schedule: Schedule,
    n: int,
    *,
    rho: spaces.Number = 7,
    t_max: Time | None = None,
    t_min: Time | None = None,
    append_zero: bool = False,
    space: Any = spaces.FLOAT64,
) -> Grid:
    """Return the grid with equal steps of (sigma/alpha)^(1/rho) (Karras et al. 2022, eq. (5)).

    Parameters
    ----------
    schedule, n, t_max, t_min, space
        As for `uniform`.
    rho
        At least 1; 7 in their paper.
    append_zero
        Take n-1 such slots and a last one down to sigma = 0, as they do.

    Returns
    -------
    Grid
        Of n slots.

    Raises
    ------
    ValueError
        As `uniform`; where alpha = 0, and for rho < 1.

    Examples
    --------
    >>> from bdia_numerics import grids, schedules
    >>> grids.karras(schedules.edm(), 3, t_max=80, t_min=0.002).t.round(3)
    array([2.000e-03, 4.700e-01, 9.723e+00, 8.000e+01])
    """
    exponent = exact("rho", rho)
    if exponent < 1:
        raise ValueError(f"rho={rho}: need rho >= 1, for instance rho=7")
    ends = ends_of(schedule, t_max, t_min)
    slots = slots_of(n, 2 if append_zero else 1)
    return build(Mapped(schedule, slots, *ends, "karras", exponent, append_zero), space, schedule)


def training_steps(schedule: Schedule, n: int, name: str) -> int:
    if not isinstance(schedule, Discrete):
        raise TypeError(f"{name} spacing counts training steps, and {schedule} has none: use grids.uniform")
    if slots_of(n) > schedule.length:
        raise ValueError(f"n={n} exceeds the {schedule.length} training steps: take fewer slots, or grids.uniform")
    return schedule.length


@ordered
def leading(
    schedule: Schedule, n: int, *, steps_offset: int = 0, final_alpha: Any = 1, space: Any = spaces.FLOAT64
) -> Grid:
    """Return diffusers' "leading" grid: times k (T//n) + steps_offset for k = n-1..0, then the final point.

    Parameters
    ----------
    schedule
        A discrete schedule with T training steps.
    n
        The number of slots, which is diffusers' number of inference steps.
    steps_offset
        Added to each time: 0 in diffusers, 1 in the configuration of Stable Diffusion.
    final_alpha
        alpha at the data end: 1 is clean data at t = -1 (diffusers' set_alpha_to_one); None ends at t = 0
        (set_alpha_to_one=False, as Stable Diffusion), for which the time before it must not be 0 already.
    space
        The number system.

    Returns
    -------
    Grid
        Of n slots.

    Raises
    ------
    TypeError
        If the schedule is not discrete.
    ValueError
        For n < 1 or n > T, and times outside the table.

    Examples
    --------
    >>> from bdia_numerics import grids, schedules
    >>> grids.leading(schedules.stable_diffusion(), 4, steps_offset=1).timesteps
    array([751., 501., 251.,   1.,  -1.])
    """
    ratio = training_steps(schedule, n, "leading") // n
    return _integers(schedule, [k * ratio + steps_offset for k in range(n)], final_alpha, space)


@ordered
def linspace(schedule: Schedule, n: int, *, final_alpha: Any = 1, space: Any = spaces.FLOAT64) -> Grid:
    """Return diffusers' "linspace" grid: n rounded times from T-1 to 0, then the final point; see `leading`."""
    steps = training_steps(schedule, n, "linspace")
    return _integers(schedule, rounded(np.linspace(0, steps - 1, n)), final_alpha, space)


@ordered
def trailing(schedule: Schedule, n: int, *, final_alpha: Any = 1, space: Any = spaces.FLOAT64) -> Grid:
    """Return diffusers' "trailing" grid: n rounded times from T-1 down by T/n, then the final point; see `leading`.

    They are counted in float64 as there, which decides ties; the superfluous time that this adds for some n (61, 103,
    ...) is left out.

    Parameters
    ----------
    schedule, n, final_alpha, space
        As for `leading`.

    Returns
    -------
    Grid
        Of n slots.

    Raises
    ------
    TypeError, ValueError
        As `leading`.

    Examples
    --------
    >>> from bdia_numerics import grids, schedules
    >>> grids.trailing(schedules.stable_diffusion(), 4).timesteps
    array([999., 749., 499., 249.,  -1.])
    """
    steps = training_steps(schedule, n, "trailing")
    counted = rounded(np.arange(steps, 0, -steps / n))[:n]
    return _integers(schedule, [k - 1 for k in counted[::-1]], final_alpha, space)


def _integers(schedule: Schedule, times: list[int], final_alpha: Any, space: Any) -> Grid:
    if final_alpha is None and times[0] == 0:
        raise ValueError("final_alpha=None ends at t=0, where this spacing is already: use final_alpha=1")
    if final_alpha is None:
        times = [0, *times]
    return from_timesteps(schedule, times[::-1], final_alpha, space=space)


@ordered
def from_timesteps(
    schedule: Schedule, ts: Iterable[Time], final_alpha: Any = None, *, space: Any = spaces.FLOAT64
) -> Grid:
    """Return the grid of given times.

    Parameters
    ----------
    schedule
        Gives alpha and sigma.
    ts
        N+1 times in sampling order, t_N first; or N of them, if final_alpha is given. Floats mean the decimals that
        they print as.
    final_alpha
        alpha of one more point at the data end, as in diffusers. 1 stands at the schedule's time of clean data (t = -1
        for discrete schedules); another alpha needs a variance-preserving schedule and stands at the time that has it.
    space
        The number system.

    Returns
    -------
    Grid
        One slot fewer than times, or as many with final_alpha.

    Raises
    ------
    ValueError
        For fewer than two points, times that are not strictly decreasing, NaN, or outside the schedule's domain, and
        for a final_alpha that is not above alpha at the last time.

    Examples
    --------
    >>> from bdia_numerics import grids, schedules
    >>> grids.from_timesteps(schedules.stable_diffusion(), [900, 500, 100], final_alpha=1).n
    3
    """
    times = [exact("ts", t) for t in _column("ts", ts)][::-1]
    if len(times) + (final_alpha is not None) < 2:
        raise ValueError(f"ts has {len(times)} times: a grid needs two points at least, or one and final_alpha")
    for t in times:
        inside(schedule, "t", t)
    for later, earlier in pairwise(times):
        if not later < earlier:
            what = "occurs twice" if later == earlier else f"comes after {float(earlier):g}"
            raise ValueError(f"ts must fall strictly, and {float(later):g} {what}: sort it, noise end first")
    final = None if final_alpha is None else _final(schedule, exact("final_alpha", final_alpha))
    return build(Listed(schedule, tuple(times), final), space, schedule)


def _column(name: str, values: Any) -> list[Any]:
    """Return numbers as a list; TypeError for what is not a list of numbers."""
    given: object = values
    if isinstance(given, str | bytes) or not isinstance(given, Iterable) or np.ndim(values) > 1:
        raise TypeError(
            f"{name}={shown(values)} is not a list of numbers: pass one number a point, such as [900, 500, 100]"
        )
    return list(spaces.plain(name, values))


def _final(schedule: Schedule, alpha: Fraction) -> Fraction:
    if not 0 < alpha <= 1 or (alpha < 1 and not schedule.variance_preserving):
        raise ValueError(f"final_alpha={float(alpha):g} leaves sigma open: give 1, or the last time itself")
    return alpha


@ordered
def from_values(t: Any, alpha: Any, sigma: Any, *, space: Any = None, schedule: Schedule | None = None) -> Grid:
    """Return the grid of given values.

    Parameters
    ----------
    t, alpha, sigma
        N+1 values each: floats, mpf, Fractions or symbols, with ints among them. Data end first, as the arrays of a
        grid, or noise end first: the end with the smaller sigma/alpha becomes index 0.
    space
        The number system, if it is not that of the values; for mpf it is otherwise of mpmath's present precision.
    schedule
        What methods of several stages ask for the levels between the points.

    Raises
    ------
    ValueError
        For mismatched lengths, fewer than two points, NaN or infinity, alpha < 0, sigma < 0, t not strictly monotone,
        sigma/alpha not strictly rising. Undecided for symbols.
    TypeError
        If values of two number systems are mixed.
    """
    lists = [_column(name, x) for name, x in (("t", t), ("alpha", alpha), ("sigma", sigma))]
    lengths = [len(x) for x in lists]
    if len(set(lengths)) > 1 or lengths[0] < 2:
        raise ValueError(f"t, alpha, sigma have {lengths} values: pass equally many of each, two at least")
    own = _common([x for column in lists for x in column])
    for name, column in zip(("t", "alpha", "sigma"), lists, strict=True):
        for i, x in enumerate(column):
            check_value(own, name, i, x)
    target = own if space is None else spaces.named(space)
    own = target if type(target) is type(own) else own
    lists = [[own.number(x) for x in column] for column in lists]
    if decided(lists[2][0] * lists[1][-1] > lists[2][-1] * lists[1][0]):
        lists = [column[::-1] for column in lists]
    return build(Values(tuple(lists[0]), tuple(lists[1]), tuple(lists[2]), own), target, schedule)


def from_scheduler(scheduler: Any) -> Grid:
    """Return the grid of a live scheduler of diffusers after its set_timesteps: the levels of its steps, at the times that it tells.

    The last point has no time of its own, since the model is not evaluated there: it stands one below the last time, that before the
    first one for an inverse scheduler.

    Raises
    ------
    TypeError, ValueError
        As `live`, and for steps of which one does not begin where the one before it ended, levels that do not fall or are infinite where
        alpha = 1 needs them, and times that are told twice.

    Examples
    --------
    >>> from types import SimpleNamespace as Scheduler
    >>> flow = Scheduler(timesteps=[1000.0, 500.0], sigmas=[1.0, 0.5, 0.0], config={"shift": 1.0}, num_inference_steps=2)
    >>> from_scheduler(flow).sigma.tolist()
    [0.0, 0.5, 1.0]
    """
    walk = live(scheduler)
    if not np.allclose(walk.ends[:-1], walk.begins[1:], rtol=1e-6):
        k = int(np.argmax(~np.isclose(walk.ends[:-1], walk.begins[1:], rtol=1e-6)))
        raise ValueError(
            f"step {k + 1} ends at sigma/alpha={walk.ends[k]:.4g} and the next begins at {walk.begins[k + 1]:.4g}: this walk "
            "is not a grid, take another spacing or number of steps"
        )
    s = np.append(walk.begins, walk.ends[-1])
    rising = s[-1] > s[0]
    times = walk.times.tolist()
    if len(set(times)) < len(times):
        raise ValueError(
            f"{len(set(times))} times are told for {len(times)} steps: this walk is not a grid, take fewer steps"
        )
    ends = [times[0] - 1, *times] if rising else [*times, times[-1] - 1]
    return from_values(ends, *levels_of(walk.kind, s))


def levels_of(kind: str, s: Any) -> tuple[Any, Any]:
    """Return alpha and sigma of sigma/alpha: "vp", "one" or "flow" as for `Live`; s may be infinite, but for "one"."""
    s = np.asarray(s, dtype=np.float64)
    if kind == "one":
        return s * 0 + 1, s
    with np.errstate(divide="ignore"):
        inverse = np.divide(1.0, s)
    if kind == "flow":
        return 1 / (1 + s), 1 / (1 + inverse)
    return 1 / np.hypot(1, s), 1 / np.hypot(1, inverse)


def _common(values: list[Any]) -> Space:
    found = {spaces.of(x) for x in values if not isinstance(x, int | np.integer)}
    if len(found) > 1:
        names = ", ".join(sorted(s.name for s in found))
        raise TypeError(f"t, alpha, sigma mix number systems ({names}): give all values in one of them")
    return found.pop() if found else spaces.FLOAT64


def symbolic(n: int) -> Grid:
    """Return a grid of n slots whose t_i (real), alpha_i and sigma_i (positive) are symbols; ValueError for n < 1."""
    return build(Symbolic(slots_of(n)), spaces.SYMBOLS, None)
