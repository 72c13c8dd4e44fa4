"""Where the roundings of a trip arise, and what each of them is at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np

from bdia_numerics.analysis.perturbation.linearised import Rounded, rounded_rows
from bdia_numerics.program import Run
from bdia_numerics.spaces import Numpy

Slopes = Mapping[int, float]

# Root mean square of one rounding, in units of the unit roundoff: the error is uniform within half a unit in the last
# place, the mantissa m of the number log-uniform on [1, 2), so that E[1/m^2]/3 = 1/(8 log 2).
ROUNDING_RMS = math.sqrt(1 / (8 * math.log(2)))


@dataclass
class Trip:
    """Roundings of a trip by what each is at its end, found by adjoints.

    Attributes
    ----------
    values
        Size of every value of the trip, with its sign in the linear run that gave it.
    random
        Root of the sum of squares of the random roundings, in units of one of them.
    results
        The same where the result of a combination is rounded, and its products and partial sums are not.
    coefficients
        For each coefficient, what an error of 1 in it is at the end, and the exact coefficient.
    """

    values: Mapping[int, float]
    random: float = 0.0
    results: float = 0.0
    coefficients: list[tuple[float, Any]] = field(default_factory=list)

    def go(self, there: Run, back: Run, sent: str, slopes_there: Slopes, slopes_back: Slopes) -> None:
        """Count the roundings of both ways in what the register `sent` holds at the end of the way back.

        A perturbation anywhere on the way there is undone by the exact way back up to where it arose, so it travels to the end as one
        of the same registers on the way back does.
        """
        adjoint = {back.final[sent].number: 1.0}
        at_boundary: dict[int, dict[int, float]] = {}
        for segment in reversed(back.segments):
            for row in reversed([*rounded_rows(segment.ops, slopes_back)]):
                self.add(row, _pull_back(row, adjoint))
            at_boundary[segment.slot] = {h.number: adjoint.get(h.number, 0.0) for h in segment.before.values()}
        remembered: dict[int, float] = {}
        for segment in reversed(there.segments):
            local = dict(at_boundary[segment.slot])
            made = [*rounded_rows(segment.ops, slopes_there)]
            for row in reversed(made):
                # What a later slot does with a value that it remembers counts for the rounding of that value alone:
                # the boundary between the slots has the rest.
                self.add(row, _pull_back(row, local) + remembered.pop(row.target, 0.0))
            own = {row.target for row in made} | {h.number for h in segment.before.values()}
            for number in local.keys() - own - at_boundary[segment.slot].keys():
                remembered[number] = remembered.get(number, 0.0) + local[number]

    def add(self, row: Rounded, weight: float) -> None:
        """Count a row's own roundings."""
        result = weight * self.values[row.target]
        self.results = math.hypot(self.results, result)
        if not row.exact:
            self.random = math.hypot(self.random, result)
            return
        terms = [c * self.values[number] for c, number in row.terms]
        rounded = [term for term, (c, _) in zip(terms, row.terms, strict=True) if abs(math.frexp(c)[0]) != 0.5]
        errors = [weight * x for x in [*rounded, *[*accumulate(terms)][1:]]]
        self.random = math.hypot(self.random, *errors)
        self.coefficients += [(weight * self.values[n], c) for c, (_, n) in zip(row.exact, row.terms, strict=True)]

    def error(self, dtype: str, largest: float) -> float:
        """Return the root-mean-square error at the end in a format; infinite where values, or errors, overflow."""
        info = np.finfo(dtype)
        return _in_range(self._within(dtype), largest, float(info.max))

    def rounded_once(self, eps: float, most: float, largest: float) -> float:
        """Return the error of a narrow format, of a given spacing at 1 and largest number, whose sums are taken in float32."""
        return _in_range(math.hypot(ROUNDING_RMS * self.results * eps / 2, self._within("float32")), largest, most)

    def _within(self, dtype: str) -> float:
        info = np.finfo(dtype)
        systematic = sum(weight * _deviation(c, info.dtype) for weight, c in self.coefficients)
        return math.hypot(ROUNDING_RMS * self.random * float(info.eps) / 2, systematic)


def _in_range(error: float, largest: float, most: float) -> float:
    # A normal variable exceeds six times its root mean square once in 10^9.
    return error if 6 * largest < most > 6 * error else math.inf


def _deviation(c: Any, dtype: np.dtype[Any]) -> float:
    """Return by how much the coefficient that a run in this dtype takes differs from the exact one."""
    with np.errstate(over="ignore"):
        rounded = dtype.type(Numpy(dtype).coefficient(c))
    return float(Fraction(*rounded.as_integer_ratio()) - c) if np.isfinite(rounded) else math.inf


def _pull_back(row: Rounded, adjoint: dict[int, float]) -> float:
    """Add a row's share to the sensitivities to its terms; return the sensitivity to its own value."""
    weight = adjoint.get(row.target, 0.0)
    for c, number in row.terms:
        adjoint[number] = adjoint.get(number, 0.0) + c * weight
    return weight
