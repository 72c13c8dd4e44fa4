"""Families of grids, one for each number of steps: on what an order is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

from bdia_numerics import names, schedules
from bdia_numerics.grids import Grid, pattern_of, periodic, random
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces import FLOAT64
from bdia_numerics.texts import one_of, shown

KINDS = (*names.FAMILIES, "periodic")


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
    variable : {"asinh", "sigma_bar", "log_snr", "t"}
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
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "pattern", pattern)

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
