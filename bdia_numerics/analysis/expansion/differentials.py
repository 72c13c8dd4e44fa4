"""Elementary differentials along an exact solution, and vectors expanded in them.

With dy/ds = f(y, s) and total derivatives d/ds along the solution, a basis of all elementary differentials is

    y^(k)                               the k-th derivative of the solution, k >= 0
    f_m^(a)(F_1, ..., F_m)              the a-th total derivative of the m-th partial derivative in y, at basis elements

so that J = f_1^(0), J' = f_1^(1), and so on. They are independent for a general f, since each has a term that no other
has: the one with d^a/ds^a taken of the explicit s alone. In this basis the exact solution is a plain Taylor series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import Any, TypeVar

from bdia_numerics.analysis.expansion.series import Series, SeriesSpace

T = TypeVar("T")
Element = tuple[Any, ...]
"""(0, k) for y^(k); (1, a, (F_1, ..., F_m)) with sorted arguments for f_m^(a)(F_1, ..., F_m)."""

SOLUTION: Element = (0, 0)


def added(*parts: Mapping[T, Any]) -> dict[T, Any]:
    """Return the sum of sparse vectors: coefficients by what they belong to."""
    total: dict[T, Any] = {}
    for part in parts:
        for key, c in part.items():
            total[key] = total[key] + c if key in total else c
    return total


def derivative(element: Element) -> Iterator[tuple[int, Element]]:
    """Yield the total derivative d/ds of a basis element, as (multiplicity, element)."""
    if element[0] == 0:
        yield 1, (0, element[1] + 1)
        return
    _, a, arguments = element
    yield 1, (1, a + 1, arguments)
    for k, argument in enumerate(arguments):
        rest = arguments[:k] + arguments[k + 1 :]
        for count, inner in derivative(argument):
            yield count, (1, a, tuple(sorted((*rest, inner))))


def weight(element: Element) -> int:
    """Return the number of derivatives in an element: that of y in y^(k), where each f counts as one."""
    return int(element[1]) if element[0] == 0 else 1 + element[1] + sum(map(weight, element[2]))


def text(element: Element, variable: str = "y") -> str:
    """Return how an element is written: y'', J y'', f_yy'(y'', y'')."""
    if element[0] == 0:
        k = element[1]
        return variable + ("'" * k if k < 4 else f"^({k})")
    _, a, arguments = element
    primes = "'" * a if a < 4 else f"^({a})"
    inner = [text(x, variable) for x in arguments]
    return f"J{primes} {inner[0]}" if len(inner) == 1 else f"f_{'y' * len(inner)}{primes}({', '.join(inner)})"


@dataclass(frozen=True)
class Expansion:
    """A vector near the solution, to O(h^precision): coefficients, series in h, by basis element at the base point."""

    space: SeriesSpace
    terms: Mapping[Element, Series]
    precision: int

    @classmethod
    def of(cls, space: SeriesSpace, terms: Mapping[Element, Series], precision: int) -> Expansion:
        """Return an expansion without zeros, known as far as all its coefficients are."""
        precision = min([precision, space.terms, *(c.precision for c in terms.values())])
        cut = {element: c.truncated(precision) for element, c in terms.items()}
        return cls(space, {element: c for element, c in cut.items() if c}, precision)

    @classmethod
    def zero(cls, space: SeriesSpace) -> Expansion:
        """Return the zero vector, known as far as the series go."""
        return cls(space, {}, space.terms)

    def __add__(self, other: Expansion) -> Expansion:
        terms = added(self.terms, other.terms)
        return self.of(self.space, terms, min(self.precision, other.precision))

    def __sub__(self, other: Expansion) -> Expansion:
        return self + other.times(self.space.field(-1))

    def times(self, scalar: Series) -> Expansion:
        """Return the multiple by a series."""
        terms = {element: scalar * c for element, c in self.terms.items()}
        return self.of(self.space, terms, self.precision + scalar.valuation)

    @property
    def order(self) -> int:
        """The lowest power of h with a non-zero coefficient; the precision, if none is known."""
        return min((c.valuation for c in self.terms.values()), default=self.precision)

    def at(self, k: int) -> dict[Element, Any]:
        """Return the coefficients of h^k that are not zero; ValueError beyond the precision."""
        if k >= self.precision:
            raise ValueError(f"an expansion to O(h^{self.precision}) has no known terms in h^{k}")
        found = {element: c.coefficient(k) for element, c in self.terms.items()}
        return {element: c for element, c in found.items() if c}


def moved(space: SeriesSpace, element: Element, x: Series) -> Expansion:
    """Return a basis element at s + x, expanded at s: its Taylor series."""
    total, level = dict[Element, Series](), {element: 1}
    for power in space.taylor(x):
        total = added(total, {one: power * count for one, count in level.items()})
        level = added(*({inner: count * more} for one, count in level.items() for more, inner in derivative(one)))
    return Expansion.of(space, total, space.terms)


def evaluated(value: Expansion, x: Series) -> Expansion:
    """Return f(value, s + x): the exact slope at s + x, and the Taylor series of f in the distance from the solution.

    Raises
    ------
    ValueError
        If the value does not tend to the solution with h.
    """
    space = value.space
    distance = value - moved(space, SOLUTION, x)
    if distance.order < 1:
        raise ValueError("the model is evaluated at a value that does not tend to the solution as the step falls")
    total = moved(space, (0, 1), x)
    # The m-th term of the Taylor series has m arguments, each of which is at least of the order of the distance, so that
    # only finitely many products of elements lie below O(h^terms).
    elements = sorted(distance.terms)
    for m in range(1, space.terms // max(distance.order, 1) + 1):
        for chosen in combinations_with_replacement(elements, m):
            if sum(distance.terms[e].valuation for e in chosen) >= space.terms:
                continue
            c = product((distance.terms[e] for e in chosen), space.one)
            total = total + _frozen(space, chosen, x).times(c * Fraction(1, repeats(chosen)))
    return Expansion.of(space, total.terms, min(total.precision, distance.precision))


def product(factors: Iterable[Series], one: Series) -> Series:
    """Return a product of series, to as many terms as the analysis takes."""
    return reduce(lambda c, x: (c * x).truncated(one.space.terms), factors, one)


def repeats(chosen: Sequence[Any]) -> int:
    """Return in how many ways the equal ones among some things can be exchanged."""
    return prod(map(factorial, Counter(chosen).values()))


def _frozen(space: SeriesSpace, arguments: tuple[Element, ...], x: Series) -> Expansion:
    """Return f_m at s + x, applied to arguments that stay at s."""
    return Expansion.of(space, {(1, a, arguments): power for a, power in enumerate(space.taylor(x))}, space.terms)
