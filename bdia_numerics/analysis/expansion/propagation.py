"""How residuals add up to global errors: mode by mode, on rough, smooth and uniform grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bdia_numerics.analysis.expansion.modes import CIRCLE, ONE, OPEN, OUTSIDE, StepModes, error_orders
from bdia_numerics.analysis.expansion.series import Element, Expansion, Series, TooShort, added
from bdia_numerics.analysis.expansion.step import SeriesStep
from bdia_numerics.spaces.later import sympy

ROUGH = frozenset({ONE, CIRCLE, OUTSIDE})
"""Modes in which residuals add up over a run, on rough grids."""


def known_order(x: Expansion) -> int:
    """Return the order of an expansion; `TooShort` if it vanishes as far as it is known, and that is not to the end."""
    if not x.terms and x.precision < x.space.terms:
        raise TooShort
    return x.order if x.terms else x.space.terms


def mode_orders(step: SeriesStep, d: Sequence[Expansion]) -> dict[str, int]:
    """Return a lower bound for the order of the error in each mode on rough grids: what one mode feeds another is taken not to cancel."""
    if min(map(known_order, d)) >= step.layout.space.terms:
        raise TooShort
    sources = {}
    for name, P in step.modes.groups.items():
        parts = step.applied(P, d)
        k = min(map(known_order, parts))
        if name == ONE and k >= step.layout.space.terms:
            raise TooShort
        # Over 1/h steps a residual adds up to one power less, unless each slot takes back what the one before it gave.
        sources[name] = k - (name in ROUGH and not (name == ONE and telescopes(step, parts, k)))
    return error_orders(sources, step.modes, step.coefficient, ROUGH)


def varies(step: SeriesStep) -> bool:
    """Say whether the step at h = 0 depends on the step ratios."""
    parts = [part for row in step.modes.V.to_list() for x in row for part in (x.numer, x.denom)]
    return any(monomial[k] for part in parts for monomial in part for k in step.layout.space.ratios.values())


def telescopes(step: SeriesStep, parts: Sequence[Expansion], k: int) -> bool:
    """Say whether terms in h^k add up to nothing over a run, shifted from slot to slot: h_{i+1}^k against h_i^k."""
    ratios = step.layout.space.ratios
    for c in (c for part in parts for c in part.at(k).values()):
        if any(m[place] for m in c.denom for place in ratios.values()):
            return False
        shifted: Counter[Any] = Counter()
        for monomial, number in c.numer.terms():
            # h_i^k w_1^p w_2^q ... is h_i^(k-p-q-...) h_{i+1}^p h_{i+2}^q ...: one product of steps, shifted so that it begins at h_i.
            powers = {j: monomial[place] for j, place in ratios.items() if monomial[place]}
            rest = tuple(0 if place in ratios.values() else p for place, p in enumerate(monomial))
            left = k - sum(powers.values())
            if left < 0:
                return False
            powers |= {0: left} if left else {}
            shifted[rest, tuple(sorted((j - min(powers), p) for j, p in powers.items()))] += number
        if any(shifted.values()):
            return False
    return True


@dataclass(frozen=True)
class Displaced:
    """The trajectory on which the error grows: the exact one, with each register displaced so that only modes that stay get a residual.

    On uniform and smooth grids. A residual in the other modes does not add up: it displaces the registers by a smooth function, found by
    summing the powers of V, and what they then feed to the modes that stay is part of the residual of the displaced values, where it may
    cancel.

    Attributes
    ----------
    step
        Where.
    residual, profiles
        What a step from the displaced values leaves, and by what each register is displaced.
    power
        The power of h of the residual in the modes of eigenvalue 1; no mode has a lower one.
    """

    step: SeriesStep
    residual: list[Expansion]
    profiles: Mapping[str, Mapping[Element, Series]]
    power: int

    @classmethod
    def of(cls, step: SeriesStep) -> Displaced:
        """Displace the registers until the modes of eigenvalue 1 have a residual; TooShort if the series do not show it."""
        P, off = step.modes.principal, step.modes.unit - step.modes.principal
        profiles: dict[str, dict[Element, Series]] = {name: {} for name in step.shape.registers}
        for _ in range(2 * step.layout.space.terms):
            d = step.residual(profiles)
            kept, rest = step.applied(P, d), step.applied(off, d)
            # The lower of the two powers decides: a residual off the modes of eigenvalue 1 is turned into a displacement
            # first, since only the residual that this leaves shows what really adds up.
            k, other = min(map(known_order, kept)), min(map(known_order, rest))
            if min(k, other) >= step.layout.space.terms:
                raise TooShort
            if k <= other:
                return cls(step, d, profiles, k)
            for name, x in zip(step.shape.registers, step.applied(step.modes.summed, rest), strict=True):
                for element, c in x.at(other).items():
                    profiles[name] = added(profiles[name], {element: step.layout.space.series(other, [-c])})
        raise TooShort

    @cached_property
    def kept(self) -> list[Expansion]:
        """The residual in the modes of eigenvalue 1."""
        return self.step.applied(self.step.modes.principal, self.residual)

    @property
    def mean_order(self) -> int:
        """The order of the error in the modes of eigenvalue 1, to which each step adds."""
        return self.power - 1

    def shift(self, row: int) -> int:
        """Return the power of h by which a register is displaced; the length of the series, if it is not."""
        terms = self.profiles[self.step.shape.registers[row]].values()
        return min((c.valuation for c in terms if c), default=self.step.layout.space.terms)

    def order(self, row: int) -> int:
        """Return the order of a register's error: its displacement, and the error that grows, where it sees that."""
        return min(self.shift(row), self.power - (ONE in self.step.modes.seen(row)))

    def exact(self, row: int) -> bool:
        """Whether `order` is the order of a register's error, and no lower bound.

        Displacement and growing error do not vanish for a general model at that order, unless the residual is in a mode that the
        register does not see: where 1 is a multiple eigenvalue.
        """
        return self.shift(row) < self.power or bool(self.kept[row].at(self.power))

    def from_exact(self, row: int, order: int) -> int:
        """Return what exact first values leave of an order: they miss the displacement, which oscillates or decays then.

        What oscillates is seen as long as the run lasts; what decays, and the sum of what oscillates, feeds the modes that stay.
        """
        step, P, space = self.step, self.step.modes.principal, self.step.layout.space
        fed = [P * step.coefficient(k) * step.modes.summed for k in range(1, order)]
        stays = step.modes.groups.get(CIRCLE, P * P.domain.zero)
        for j in range(order):
            missed = [
                Expansion.of(space, {e: space.series(j, [c.coefficient(j)]) for e, c in profile.items()}, space.terms)
                for profile in self.profiles.values()
            ]
            # A mode on the unit circle keeps what was missed at the start, and shows it at the power at which it was missed.
            if step.applied(stays, missed)[row].terms:
                return j
            feeding = (j + k for k, M in enumerate(fed, 1) if any(x.terms for x in step.applied(M, missed)))
            order = min([order, *feeding])
        return order

    def leading(self, row: int) -> tuple[dict[Element, Any], dict[Element, Any]]:
        """Return the leading term of what a step adds to the error that grows, and the displacement of a register at that order."""
        found = self.kept[row].at(self.power) or next(x.at(self.power) for x in self.kept if x.at(self.power))
        moved_by = {e: c.coefficient(self.order(row)) for e, c in self.profiles[self.step.shape.registers[row]].items()}
        return found, {e: c for e, c in moved_by.items() if c}


def stable(found: StepModes) -> bool | None:
    """Say whether powers of the step at h = 0 stay bounded; None if that depends on symbols."""
    if OUTSIDE in found.groups or not found.semisimple:
        return False
    return None if OPEN in found.groups else True


def conserved(step: SeriesStep) -> dict[str, Any]:
    """Return the weights of the conserved combination, for a simple eigenvalue 1."""
    row = next(row for row in step.modes.principal.to_list() if any(row))
    total = sum(row, step.modes.V.domain.zero)
    weights = {n: c / total if total else c for n, c in zip(step.shape.registers, row, strict=True)}
    return {n: sympy.factor(c.as_expr()) for n, c in weights.items() if c}
