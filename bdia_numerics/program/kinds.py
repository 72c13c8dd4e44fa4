"""What each register holds, a state or a prediction, read off the step as its length falls to 0.

There all noise levels meet, so that every value of a step is a multiple of the state plus a multiple of eps: 1 and 0 for a
state, 0 and 1 for an evaluation. A coefficient that has no limit that is known, as a ratio of two steps, leaves the kinds of
what is added to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from bdia_numerics import models
from bdia_numerics.grids import Point
from bdia_numerics.program.meaning import rows
from bdia_numerics.program.ops import Op
from bdia_numerics.program.record import Linear
from bdia_numerics.spaces.base import GenericArithmetic, decimal


class Limit:
    """A scalar of a step whose length falls to 0: its limit, or None where that is not known."""

    def __init__(self, value: Fraction | None = None, name: object = None) -> None:
        self.value, self.name = value, name

    def __eq__(self, other: object) -> bool:
        known = isinstance(other, Limit) and (self.value, self.name) == (other.value, other.name)
        return self is other or (known and not self.value is self.name is None)

    def __hash__(self) -> int:
        return hash(self.value)

    def _with(self, other: object, operation: str) -> Any:
        # The form multiplies itself by the scalar then.
        if isinstance(other, Linear):
            return NotImplemented
        x, y = self.value, limit(other).value
        if x is None or y is None or (operation == "__truediv__" and not y):
            return Limit()
        return Limit(getattr(x, operation)(y))

    def __add__(self, other: object) -> Any:
        return self._with(other, "__add__")

    def __mul__(self, other: object) -> Any:
        return self._with(other, "__mul__")

    def __truediv__(self, other: object) -> Any:
        return self._with(other, "__truediv__")

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: object) -> Any:
        return self._with(other, "__sub__")

    def __rsub__(self, other: object) -> Any:
        return limit(other) - self

    def __rtruediv__(self, other: object) -> Any:
        return limit(other) / self

    def __pow__(self, k: object) -> Limit:
        # 0 to a negative power diverges, and a root need not be rational.
        whole = isinstance(k, int) and self.value is not None and (self.value or k >= 0)
        return Limit(self.value**k if whole else None)  # type: ignore[operator]

    __radd__, __rmul__ = __add__, __mul__


def limit(x: object) -> Limit:
    """Return a number as its own limit; a symbol, a function or another system's number is not known."""
    if isinstance(x, Limit):
        return x
    if isinstance(x, int | Fraction) or (isinstance(x, float) and abs(x) < float("inf")):
        return Limit(decimal(x))
    return Limit(None, x)


class Limits(GenericArithmetic):
    """The number system of a step whose length falls to 0."""

    name = "limits"
    exact = True

    def number(self, x: object) -> Limit:
        """Return a number as its own limit."""
        return limit(x)

    def is_zero(self, x: object) -> bool:
        """Return False: a limit that vanishes says nothing of the number itself, so that every term is kept."""
        return False


LIMITS = Limits()
LEVEL = Point(*(Limit(Fraction(p, q)) for p, q in ((2, 29), (3, 7), (5, 11), (-13, 17), (19, 23))))
"""The one level that a step sees: any numbers will do between which no relation holds."""

Weights = dict[str, Limit]
"""A value as a combination of the registers before the step, by name, and of eps, under the name ""."""

STATE, EPS, OTHER = "state", "eps", "other"
_FORMS = {"x0": models.x0_form, "velocity": models.velocity_form}
VALUES: dict[str, tuple[Fraction, Fraction]] = {STATE: (Fraction(1), Fraction(0)), EPS: (Fraction(0), Fraction(1))} | {
    kind: tuple(c.value for c in form("eps", LEVEL)) for kind, form in _FORMS.items()
}
"""What a register of each kind holds: multiples of the state and of eps."""


def weights(ops: Sequence[Op], before: Mapping[str, int]) -> dict[int, Weights]:
    """Return the values of a step, by number; a number that is not there is an evaluation."""
    found: dict[int, Weights] = {number: {name: Limit(Fraction(1))} for name, number in before.items()}
    for op in ops:
        for target, _, terms in rows(op):
            found[target] = combined(terms, found)
    return found


def combined(terms: Sequence[tuple[Any, int]], known: Mapping[int, Weights]) -> Weights:
    """Return a combination of values."""
    total: Weights = {}
    for c, number in terms:
        for name, w in known.get(number, {"": Limit(Fraction(1))}).items():
            total[name] = total.get(name, Limit(Fraction(0))) + limit(c) * w
    return total


def held(value: Weights, kinds: Mapping[str, str]) -> tuple[Fraction, Fraction] | set[str]:
    """Return the multiples of the state and of eps in a value; the kinds of what it is made of, where a limit is not known."""
    parts = {name: EPS if not name else kinds[name] for name in value}
    if any(w.value is None for w in value.values()) or OTHER in parts.values():
        return set(parts.values())
    # Each part is itself a multiple of the state plus a multiple of eps, and so is their sum.
    total = [sum((w.value * VALUES[parts[n]][k] for n, w in value.items()), Fraction(0)) for k in (0, 1)]  # type: ignore[operator]
    return total[0], total[1]


def fits(value: Weights, kinds: Mapping[str, str], kind: str) -> bool:
    """Say whether a value may be what a register of a kind holds."""
    found = held(value, kinds)
    if isinstance(found, tuple):
        return found == VALUES[kind]
    return STATE in found if kind == STATE else found == {kind}


def inferred(after: Mapping[str, Weights], fixed: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of all registers, from what a step assigns to them; those of `fixed` are given.

    All others are first taken for states, then for evaluations, and each is given the first kind that fits what it is assigned
    until none changes. The first of the two that contradicts nothing is returned, or the one that contradicts less.
    """
    results = []
    for first in (STATE, EPS):
        kinds = {name: fixed.get(name, first) for name in after}
        # What one register holds may depend on another one, which was settled a round before: as many rounds as registers suffice.
        for name in [name for name in after if name not in fixed] * len(after):
            fitting = (k for k in VALUES if fits(after[name], {**kinds, name: k}, k))
            kinds[name] = next(fitting, kinds[name])
        wrong = sum(not fits(value, kinds, kinds[name]) for name, value in after.items() if name not in fixed)
        results.append((wrong, kinds))
    return min(results, key=lambda pair: pair[0])[1]
