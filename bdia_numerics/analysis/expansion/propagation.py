"""How residuals add up to global errors: mode by mode, on rough, smooth and uniform grids."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bdia_numerics.analysis.expansion.differentials import Element, Expansion
from bdia_numerics.analysis.expansion.modes import ONE, Modes, error_orders
from bdia_numerics.analysis.expansion.setting import Setting
from bdia_numerics.analysis.stability.roots import CIRCLE, OPEN, OUTSIDE


class TooShort(Exception):
    """The series end before the residual shows."""


ROUGH = frozenset({ONE, CIRCLE, OUTSIDE})
"""Modes in which residuals add up over a run, on rough grids."""
SMOOTH = ROUGH - {CIRCLE}
"""The same on smooth grids, where what oscillates cancels."""


def known_order(x: Expansion) -> int:
    """Return the order of an expansion; `TooShort` if it vanishes as far as it is known, and that is not to the end."""
    if not x.terms and x.precision < x.space.terms:
        raise TooShort
    return x.order if x.terms else x.space.terms


def mode_orders(
    setting: Setting, d: Sequence[Expansion], adding: Collection[str], telescoping: bool = False
) -> dict[str, int]:
    """Return the order of the error in each mode."""
    if min(map(known_order, d)) >= setting.layout.space.terms:
        raise TooShort
    sources = {}
    for name, P in setting.modes.groups.items():
        parts = setting.applied(P, d)
        k = min(map(known_order, parts))
        if name == ONE and k >= setting.layout.space.terms:
            raise TooShort
        adds = name in adding and not (name == ONE and telescoping and telescopes(setting, parts, k))
        sources[name] = k - 1 if adds else k
    return error_orders(sources, setting.modes, setting.coefficient, adding)


def order_seen(setting: Setting, orders: Mapping[str, int], row: int) -> int:
    """Return the order of a register's error: that of the worst mode that it sees."""
    seen = [name for name, P in setting.modes.groups.items() if any(P.to_list()[row])]
    return min(orders[name] for name in seen)


def varies(setting: Setting) -> bool:
    """Say whether the step at h = 0 depends on the step ratios."""
    ratios = {k for k, s in enumerate(setting.layout.space.base.symbols) if str(s).startswith("~w")}
    entries = [x for row in setting.modes.V.to_list() for x in row]
    monomials = [m for x in entries for part in (x.numer, x.denom) for m in part]
    return any(m[k] for m in monomials for k in ratios)


def telescopes(setting: Setting, parts: Sequence[Expansion], k: int) -> bool:
    """Say whether terms in h^k add up to nothing over a run, shifted from slot to slot: h_{i+1}^k against h_i^k."""
    base = setting.layout.space.base
    ratios = {int(str(s)[2:]): place for place, s in enumerate(base.symbols) if str(s).startswith("~w")}
    for part in parts:
        for c in part.at(k).values():
            if any(m[place] for m in c.denom for place in ratios.values()):
                return False
            shifted: dict[Any, Any] = {}
            for monomial, number in c.numer.terms():
                powers = {j: monomial[place] for j, place in ratios.items() if monomial[place]}
                rest = tuple(0 if place in ratios.values() else p for place, p in enumerate(monomial))
                left = k - sum(powers.values())
                if left < 0:
                    return False
                powers |= {0: left} if left else {}
                first = min(powers)
                key = (rest, tuple(sorted((j - first, p) for j, p in powers.items())))
                shifted[key] = shifted.get(key, 0) + number
            if any(shifted.values()):
                return False
    return True


def principal_term(setting: Setting, row: int) -> tuple[int, dict[Element, Any], dict[Element, Any]]:
    """Return order, leading term of what a step adds to the error in the mode that stays, and displacement of a register.

    All on a uniform grid.

    What a residual of lower order does to the other modes is a smooth displacement of the registers, which is taken into
    the values that they stand for, until only the mode of eigenvalue 1 has a residual.
    """
    P, V = setting.modes.principal, setting.modes.V
    unit = type(P).eye(P.shape[0], P.domain).to_dense()
    inverse = (unit - V + P).inv() * (unit - P)
    profiles: dict[str, dict[Element, Any]] = {name: {} for name in setting.registers}
    for _ in range(2 * setting.layout.space.terms):
        d = setting.residual(profiles)
        kept, rest = setting.applied(P, d), setting.applied(unit - P, d)
        k, other = min(map(known_order, kept)), min(map(known_order, rest))
        if k <= other:
            if k >= setting.layout.space.terms:
                raise TooShort
            found = kept[row].at(k) or next(x.at(k) for x in kept if x.at(k))
            moved_by = {e: c.coefficient(k - 1) for e, c in profiles[setting.registers[row]].items()}
            return k - 1, found, {e: c for e, c in moved_by.items() if c}
        if other >= setting.layout.space.terms:
            raise TooShort
        moved = setting.applied(inverse, rest)
        for name, x in zip(setting.registers, moved, strict=True):
            for element, c in x.at(other).items():
                term = setting.layout.space.series(other, [-c])
                old = profiles[name].get(element)
                profiles[name][element] = term if old is None else old + term
    raise TooShort


def stable(found: Modes) -> bool | None:
    """Say whether powers of the step at h = 0 stay bounded; None if that depends on symbols."""
    if OUTSIDE in found.groups or not found.semisimple:
        return False
    return None if OPEN in found.groups else True


def conserved(setting: Setting) -> dict[str, Any]:
    """Return the weights of the conserved combination, for a simple eigenvalue 1."""
    import sympy

    row = next(row for row in setting.modes.principal.to_list() if any(row))
    total = sum(row, setting.modes.V.domain.zero)
    weights = {n: c / total if total else c for n, c in zip(setting.registers, row, strict=True)}
    return {n: sympy.factor(c.as_expr()) for n, c in weights.items() if c}
