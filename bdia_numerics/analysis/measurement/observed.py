"""Observed order of convergence: how fast errors against exact flows fall with the number of steps, on a family of grids."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

from bdia_numerics import names, schedules
from bdia_numerics.analysis.measurement.errors import STATES, ExactProblem
from bdia_numerics.analysis.measurement.ladder import LEAST, LEAST_RANDOM, WIDEST, Ladder, solver_trial
from bdia_numerics.formulas import within
from bdia_numerics.grids import Grid, pattern_of, periodic, random
from bdia_numerics.grids.recipes import RULES
from bdia_numerics.program import Solver, refusal
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces import FLOAT64, Drawn, of_kind, ordered
from bdia_numerics.texts import one_of, shown

KINDS = (*names.FAMILIES, "periodic")
Family = Callable[..., Grid]
"""``family(n, space=)``: a grid of n slots; with ``seed=`` where its attribute `kind` is "random"."""


@dataclass(frozen=True)
class GridFamily:
    """Grids of one kind over one span, for every number of steps.

    Attributes
    ----------
    kind : {"smooth", "alternating", "random", "periodic"}
        Equal steps of `variable`; steps that alternate h, ratio h; independent steps, uniform between h and ratio h; steps in the
        proportions of `pattern`, over and over.
    schedule
        Gives alpha and sigma.
    t_max, t_min
        The span; decimals mean what they print as.
    variable : {"asinh", "sigma_bar", "log_snr", "angle", "t"}
        What the steps are of, see `grids.alternating`.
    ratio
        Of the steps of alternating and random grids.
    pattern
        Relative steps from the data end, of the kind "periodic": (1, 2, 3) for h, 2h, 3h, h, 2h, ...

    Raises
    ------
    ValueError
        For another kind, for a pattern that is missing or of a kind that has its own, and as `grids.periodic`.

    Examples
    --------
    >>> from bdia_numerics.analysis import GridFamily
    >>> GridFamily(pattern=(1, 2, 3)).label
    'periodic 1:2:3 in asinh'
    """

    kind: str = "smooth"
    schedule: Schedule = field(default_factory=schedules.vp_linear)
    t_max: Any = Fraction(6, 10)
    t_min: Any = Fraction(1, 10)
    variable: str = "asinh"
    ratio: Any = 2
    pattern: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.pattern
        pattern = () if isinstance(given, tuple) and not given else pattern_of(self.pattern)
        kind = "periodic" if pattern and self.kind == "smooth" else self.kind
        one_of("kind", kind, KINDS)
        if (kind == "periodic") != bool(pattern):
            raise ValueError(
                f"kind={shown(kind)} with pattern={shown(self.pattern)}: pass GridFamily(pattern=(1, 2, 3)), and no other kind"
            )
        of_kind("schedule", "schedule", self.schedule)
        one_of("variable", self.variable, RULES)
        vars(self).update(kind=kind, pattern=pattern)

    @property
    def repeats(self) -> tuple[Fraction, ...]:
        """The relative steps that repeat, from the data end: (1,), (1, ratio), the pattern, nothing on random grids."""
        return (
            ()
            if self.kind == "random"
            else self.pattern or pattern_of((1, self.ratio if self.kind == "alternating" else 1))
        )

    @property
    def label(self) -> str:
        """The kind with its variable, in words."""
        steps = f" {':'.join(map(str, self.pattern))}" if self.kind == "periodic" else ""
        return f"{self.kind}{steps} in {self.variable}"

    def __call__(self, n: int, *, seed: int = 0, space: Any = FLOAT64) -> Grid:
        """Return the grid of n slots; `seed` concerns random ones alone."""
        try:
            return _made(self, n, seed, space)[0:n]
        except TypeError:  # a schedule, or a system, that cannot be hashed
            return _made.__wrapped__(self, n, seed, space)


@lru_cache(maxsize=64)
def _made(family: GridFamily, n: int, seed: int, space: Any) -> Grid:
    """Return a grid whose columns many solvers share; each takes it as a part of itself, with plans of its own."""
    make: Callable[..., Grid] = partial(periodic, pattern=family.repeats)
    if family.kind == "random":
        make = partial(random, seed=seed, ratio=family.ratio)
    ends = {"t_max": family.t_max, "t_min": family.t_min, "space": space}
    return make(family.schedule, n, variable=family.variable, **ends)


def family_named(text: str, schedule: Schedule, t_max: Any, t_min: Any, variable: str) -> GridFamily:
    """Return the family that a text names: of `names.FAMILIES`, 'alternating:ratio=3', or `module:object`, a family or what makes one.

    Raises
    ------
    ValueError
        For another name or option, and for an object that makes no family.
    """
    entry, positional, options = names.read("family", text, {kind: kind for kind in names.FAMILIES})
    if isinstance(entry, str):
        if other := options.keys() - {"ratio"}:
            raise ValueError(f"family={shown(text)}: {min(other)} is not an option of {entry}, which takes ratio")
        return GridFamily(entry, schedule, t_max, t_min, variable, **options)
    ready = isinstance(entry, GridFamily)
    if not ready:
        positional = (schedule, *positional)
        options |= {"t_max": t_max, "t_min": t_min, "variable": variable}
    found = names.object_made("family", text, entry, positional, options, ready)
    if not isinstance(found, GridFamily):
        raise ValueError(f"family={shown(text)} makes {type(found).__name__}: return an analysis.GridFamily")  # noqa: TRY004
    return found


def as_family(family: Family | str | None) -> Family:
    """Return a family of grids: the smooth one for None, that of a name, 'alternating' or 'alternating:ratio=3', or what was given."""
    if family is None or isinstance(family, str):
        own = GridFamily()
        return family_named(family, own.schedule, own.t_max, own.t_min, own.variable) if family else own
    if not callable(family):
        raise TypeError(
            f"family={shown(family)} is not a family of grids: pass a name such as 'alternating', analysis.GridFamily(kind), "
            "or a function of n"
        )
    return family


FIRST = (8, 12, 16, 24, 32, 48, 64, 96, 128)
RANDOM = (16, 32, 64, 128, 256)
PRECISE = (16, 24, 32, 48, 64)
STALLED = 0.3
"""Errors whose slopes stay below it do not converge, however irregular they are."""


@dataclass(frozen=True)
class OrderLevel:
    """One number of steps.

    Attributes
    ----------
    steps : int
        Slots of the grid.
    error : float
        Root mean square at the data end over states and elements, on random grids over seeds too.
    rounding : float
        What rounding does to it, root mean square; 0 where it is far below.
    used : bool
        Whether the order rests on it.
    note : str
        Why not: "coarser" than those it rests on, "rounding", "not finite".
    """

    steps: int
    error: float
    rounding: float
    used: bool
    note: str


@dataclass(frozen=True, repr=False)
class ObservedOrder(Drawn):
    """An observed order: positive where errors fall with the number of steps, negative where they grow.

    It holds up to the finest number of steps that was run, and it is undecided where the errors are not consistent with one order, or
    the band is wide.

    Attributes
    ----------
    solver, family, start : str
        What was measured; the family of grids in words.
    order, low, high : float
        The order and its uncertainty band, see `analysis.measurement.ladder.fit_order`.
    asymptotic : bool
        Whether the errors are consistent with one order. If not, `order` is the slope of the finest octave, and the band holds the
        slopes seen.
    levels : tuple of OrderLevel
        Coarsest first.
    seeds : int
        Random grids at each number of steps; 0 for families that are not random.
    arithmetic : str
        "float64" or "mpmath".
    reason : str
        Which levels the order rests on, and why it is undecided.
    proved : int or None
        The order that follows from the program, where that was asked for.
    alternating : ObservedOrder or None
        The same on alternating grids, where that was asked for.
    """

    solver: str
    family: str
    start: str
    order: float
    low: float
    high: float
    asymptotic: bool
    levels: tuple[OrderLevel, ...]
    seeds: int
    arithmetic: str
    reason: str
    proved: int | None = None
    alternating: ObservedOrder | None = None

    @property
    def steps_used(self) -> tuple[int, ...]:
        """Numbers of steps that the order rests on."""
        return tuple(level.steps for level in self.levels if level.used)

    @property
    def local_slopes(self) -> tuple[float, ...]:
        """Orders between neighbouring levels; NaN beside a level that is not finite."""
        pairs = pairwise(self.levels)
        return tuple(
            math.log(a.error / b.error) / math.log(b.steps / a.steps)
            if 0 < a.error < math.inf > b.error > 0
            else math.nan
            for a, b in pairs
        )

    @property
    def up_to(self) -> int:
        """The finest number of steps that was run: what is said of the order is said up to there."""
        return max((level.steps for level in self.levels if level.used), default=self.levels[-1].steps)

    @property
    def decided(self) -> bool:
        """Whether there is one order: consistent errors and a band no wider than `fit.WIDEST`, end to end."""
        return self.asymptotic and self.high - self.low <= WIDEST * (1 + 1e-9)  # ends that were rounded

    @property
    def stalled(self) -> bool:
        """Whether the errors do not fall at all: no slope of the finest levels exceeds `STALLED`, or one is not finite."""
        slopes = [x for x in self.local_slopes[1 - LEAST :] if not math.isnan(x)]
        return self.order == -math.inf or bool(slopes and max(slopes) <= STALLED and self.order <= STALLED)

    @ordered
    def agrees(self, order: float, tolerance: float = 0.1) -> bool | None:
        """Say whether an order lies in the band, or within `tolerance` of the observed one on families that are not random.

        None where that is undecided. Errors that do not fall contradict every positive order, undecided or not.
        """
        if not self.decided:
            return False if self.stalled and order > STALLED else None
        return self.low <= order <= self.high or (not self.seeds and abs(self.order - order) <= tolerance)

    def __str__(self) -> str:
        proved = "" if self.proved is None else f", proved {self.proved}"
        beside = "" if self.alternating is None else f"; on alternating grids {self.alternating.value}"
        return f"{self.solver} on {self.family} grids: {self.value}{proved}; {self.reason}{beside}"

    @property
    def number(self) -> str:
        """The order with as many decimals as its band carries, two at most."""
        return self._written(self.order)

    def _written(self, x: float) -> str:
        return within(x, (self.high - self.low) / 2, 2, most=2)

    @property
    def value(self) -> str:
        """The order and its band, or that it is undecided, and up to which number of steps."""
        if self.order == -math.inf:
            return f"not finite up to n = {self.up_to}"
        found = f"{self.number} [{self._written(self.low)}, {self._written(self.high)}]"
        return f"{found} up to n = {self.up_to}" if self.decided else f"undecided up to n = {self.up_to} ({found})"


@ordered
def observed_order(
    solver: Solver,
    problem: ExactProblem,
    family: Family | str | None = None,
    *,
    steps: Sequence[int] | None = None,
    states: Any = STATES,
    start: Any = "exact",
    seeds: int = 16,
    arithmetic: str = "auto",
    max_steps: int = 512,
) -> ObservedOrder:
    """Measure the order of a solver against the exact flow of a problem.

    The error is the root mean square over states and elements at the data end: a norm, so that nothing cancels. The order rests on the
    finest five levels, by a fixed rule (see `analysis.measurement.ladder.fit_order`); where these are not consistent with one order, or the
    uncertainty band is wider than a half, it is undecided. Levels at which rounding matters are left out (float64's is measured there by
    a run in float32, whose rounding is 2^29 times as large); where too few are left the study is made again in mpmath.

    Parameters
    ----------
    solver
        Any solver.
    problem
        A distribution with `model`, `sample` and `flow`.
    family
        A `GridFamily`, the name of one ("alternating", "random", "alternating:ratio=3"), or any function of n that returns a grid with a
        schedule and takes `space=` (and `seed=` if its attribute `kind` is "random"); by default smooth grids in asinh(sigma/alpha).
    steps
        Numbers of steps to take, as they are, two to an octave; by default they are chosen, whole repeats of the family's pattern. At
        least five, three for random grids.
    states
        A number of states to draw at t_N, or an array (*batch, *data).
    start
        "exact" (first states of a multistep solver on the problem's flow), "own", or a one-step solver.
    seeds
        Random grids at each number of steps, at least 4.
    arithmetic : {"auto", "float64", "mpmath"}
        What to compute in; mpmath takes the first four states.
    max_steps
        Where chosen numbers of steps end: an order of 2 whose error has a small part of order 1 shows it only there.

    Returns
    -------
    ObservedOrder
        The order with its band, and the levels that it rests on.

    Raises
    ------
    ValueError
        For steps that are too few or not rising, `max_steps` that leave too few, another arithmetic, fewer than 4 seeds.

    Examples
    --------
    >>> from bdia_numerics import DDIM, analysis, problems
    >>> found = analysis.observed_order(DDIM(), problems.Gaussian([0.0], 0.25), steps=(8, 12, 16, 24, 32), states=4)
    >>> round(found.order), found.decided
    (1, True)
    """
    family = as_family(family)
    is_random = getattr(family, "kind", "") == "random"
    check(steps, arithmetic, seeds, is_random)
    ladder = Ladder(solver_trial(solver, problem, family, states, start), range(seeds) if is_random else range(1))
    return climb(ladder, steps, arithmetic, max_steps, first=first_steps(family))


def first_steps(family: Any) -> tuple[int, ...]:
    """Return the numbers of steps to begin with: even, two to an octave, and whole repeats of the family's pattern."""
    repeats = len(getattr(family, "repeats", None) or (1,))
    unit = repeats * (4 if repeats % 2 else 2)
    unit *= -(-FIRST[0] // unit)
    return tuple(n * unit // FIRST[0] for n in FIRST if n * unit // FIRST[0] <= 2 * FIRST[-1])


def climb(
    ladder: Ladder,
    steps: Sequence[int] | None = None,
    arithmetic: str = "auto",
    max_steps: int = 512,
    *,
    further: int = 0,
    first: Sequence[int] = FIRST,
) -> ObservedOrder:
    """Measure levels up to `max_steps`, and while the order is undecided up to `further`; other arguments as for `observed_order`."""
    chosen, least = (RANDOM, LEAST_RANDOM) if ladder.random else (first, LEAST)
    if (most := max(max_steps, further)) < chosen[least - 1] and not steps:
        raise ValueError(
            f"max_steps={most}: {least} numbers of steps are taken at least, here up to {chosen[least - 1]}"
        )
    wanted = [*(steps or (n for n in chosen if n <= most))]
    if arithmetic == "mpmath":
        return _precise(ladder, steps)
    ladder.measure(wanted)
    while steps is None and not ladder.random and not ladder.drowned():
        if wanted[-1] * 2 > (max_steps if ladder.decided() else most):
            break
        wanted += [wanted[-2] * 2, wanted[-1] * 2]
        ladder.measure(wanted[-2:])
    if arithmetic == "auto" and ladder.drowned() and not ladder.decided():
        try:
            return _precise(ladder, steps)
        except TypeError as error:  # what has no meaning in mpmath, as a numerical reference
            found = _result(ladder)
            return replace(found, reason=f"{found.reason}; no run in mpmath: {refusal(error)}")
    return _result(ladder)


def _precise(ladder: Ladder, steps: Sequence[int] | None) -> ObservedOrder:
    precise = Ladder(ladder.trial.precise(), ladder.seeds)
    precise.measure(steps or PRECISE)
    return _result(precise)


def check(steps: Sequence[int] | None, arithmetic: str, seeds: int, is_random: bool) -> None:
    """Raise ValueError for options that `observed_order` does not take."""
    least = LEAST_RANDOM if is_random else LEAST
    if steps is not None and (len(steps) < least or any(a >= b for a, b in pairwise(steps)) or steps[0] < 1):
        raise ValueError(
            f"steps={tuple(steps)}: pass at least {least} rising numbers of steps, for instance 16, 24, 32, 48, 64"
        )
    one_of("arithmetic", arithmetic, ("auto", "float64", "mpmath"))
    if is_random and seeds < 4:
        raise ValueError(f"seeds={seeds}: a band over random grids needs at least 4")


def _result(ladder: Ladder) -> ObservedOrder:
    means, (fit, kept) = ladder.means(), ladder.fit()
    window = kept[fit.first :]
    notes = {k: "" if k in window else "coarser" for k in kept}
    levels = tuple(
        OrderLevel(
            n,
            means[k],
            ladder.roundings[k],
            k in window,
            notes.get(k, "rounding" if math.isfinite(means[k]) else "not finite"),
        )
        for k, n in enumerate(ladder.steps)
    )
    used = f"n = {', '.join(str(ladder.steps[k]) for k in window)}" if window else "none"
    return ObservedOrder(
        solver=ladder.trial.solver,
        family=ladder.trial.family,
        start=ladder.trial.start,
        order=fit.order,
        low=fit.order - fit.half_width,
        high=fit.order + fit.half_width,
        asymptotic=fit.asymptotic,
        levels=levels,
        seeds=len(ladder.seeds) if ladder.random else 0,
        arithmetic=ladder.trial.arithmetic,
        reason=f"{used} ({fit.reason})" if fit.reason else used,
    )
