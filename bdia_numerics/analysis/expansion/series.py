"""Truncated power series in the step h, a number system for step programs, and vectors expanded along an exact solution.

Series are over a field of rational functions. With dy/ds = f(y, s) and total derivatives d/ds along the solution, a basis of
all elementary differentials is

    y^(k)                               the k-th derivative of the solution, k >= 0
    f_m^(a)(F_1, ..., F_m)              the a-th total derivative of the m-th partial derivative in y, at basis elements

so that J = f_1^(0), J' = f_1^(1), and so on. They are independent for a general f, since each has a term that no other
has: the one with d^a/ds^a taken of the explicit s alone. In this basis the exact solution is a plain Taylor series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field as made
from fractions import Fraction
from functools import cached_property, reduce
from itertools import accumulate, combinations_with_replacement
from math import factorial, prod
from operator import mul
from typing import Any, TypeVar

import numpy as np

from bdia_numerics.spaces.base import GenericArithmetic, Scalar, UndecidedError, decimal, is_float
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import shown

EXACT = 1 << 30
"""The precision of a series that is not truncated."""


class TooShort(ValueError):
    """The series end before what is asked of them shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """sum_k coefficients[k] h^(valuation + k) + O(h^precision); the first coefficient is not zero."""

    space: SeriesSpace
    valuation: int
    coefficients: tuple[Any, ...]
    precision: int

    def coefficient(self, k: int) -> Any:
        """Return the coefficient of h^k; `TooShort` beyond the precision."""
        if k >= self.precision:
            raise TooShort(f"a series known to O(h^{self.precision}) has no known coefficient of h^{k}")
        place = k - self.valuation
        return self.coefficients[place] if 0 <= place < len(self.coefficients) else self.space.base.zero

    def truncated(self, precision: int) -> Series:
        """Return the series to O(h^precision)."""
        return self if precision >= self.precision else self.space.series(self.valuation, self.coefficients, precision)

    def __bool__(self) -> bool:
        return bool(self.coefficients)

    def __eq__(self, other: object) -> bool:
        try:
            return not self - self.space.field(other)
        except TypeError:
            return NotImplemented

    def __hash__(self) -> int:
        """Return one number for all: series of other precision may be equal, as far as both are known."""
        return hash(Series)

    def __repr__(self) -> str:
        terms = [str(c) if not k else f"({c})*h^{k}" for k, c in enumerate(self.coefficients, self.valuation) if c]
        return " + ".join(terms) or "0"

    def __add__(self, other: object) -> Series:
        right = self.space.lifted(other)
        if right is None:
            return NotImplemented
        precision = min(self.precision, right.precision)
        low = min(self.valuation, right.valuation)
        high = max((s.valuation + len(s.coefficients) for s in (self, right) if s), default=low)
        total = [self.coefficient(k) + right.coefficient(k) for k in range(low, min(high, precision))]
        return self.space.series(low, total, precision)

    __radd__ = __add__

    def __neg__(self) -> Series:
        return Series(self.space, self.valuation, tuple(-c for c in self.coefficients), self.precision)

    def __sub__(self, other: object) -> Series:
        right = self.space.lifted(other)
        return NotImplemented if right is None else self + -right

    def __rsub__(self, other: object) -> Series:
        return -self + other

    def __mul__(self, other: object) -> Series:
        right = self.space.lifted(other)
        if right is None:
            return NotImplemented
        low = self.valuation + right.valuation
        # The error of each factor is multiplied by the lowest power of the other one.
        precision = min(self.precision + right.valuation, right.precision + self.valuation, EXACT)
        if self.precision < EXACT or right.precision < EXACT:
            precision = min(precision, low + self.space.terms)
        a, b, zero = self.coefficients, right.coefficients, self.space.base.zero
        total = [
            sum((a[i] * b[k - i] for i in range(max(k + 1 - len(b), 0), min(k + 1, len(a)))), zero)
            for k in range(min(precision - low, len(a) + len(b) - 1))
        ]
        return self.space.series(low, total, precision)

    __rmul__ = __mul__

    def inverse(self) -> Series:
        """Return 1/self; ZeroDivisionError for 0."""
        if not self.coefficients:
            raise ZeroDivisionError("division by a series that is 0 as far as it is known")
        # The product of a series and its inverse is 1, which gives one coefficient of the inverse after the other.
        first = 1 / self.coefficients[0]
        exact = self.precision == EXACT and len(self.coefficients) == 1
        n = 1 if exact else min(self.precision - self.valuation, self.space.terms)
        result = [first]
        for k in range(1, n):
            known = self.coefficients[1 : k + 1]
            rest = sum((c * result[k - j] for j, c in enumerate(known, 1)), self.space.base.zero)
            result.append(-first * rest)
        return self.space.series(-self.valuation, result, EXACT if exact else n - self.valuation)

    def __truediv__(self, other: object) -> Series:
        right = self.space.lifted(other)
        return NotImplemented if right is None else self * right.inverse()

    def __rtruediv__(self, other: object) -> Series:
        return self.inverse() * other

    def __pow__(self, k: int) -> Series:
        if not isinstance(k, int):
            return NotImplemented
        return self.inverse() ** -k if k < 0 else reduce(mul, [self] * k, self.space.one)


@dataclass(frozen=True, eq=False)
class SeriesSpace(GenericArithmetic):
    """Power series in h over sympy's field of rational functions in `names`.

    Constants that are not rational, such as the logarithm of a symbol, become symbols of their own: `constants` says
    which, and `arguments` of which argument each is a function; only as many as there are symbols ``~_0``, ``~_1``, ... of the field.
    Where `root` is (x, n), the symbol ``~r`` is the n-th root of x: its powers are reduced in every coefficient.
    """

    base: Any
    terms: int
    root: tuple[int, int] | None = None
    constants: dict[str, Any] = made(default_factory=dict)
    arguments: dict[str, tuple[str, Any]] = made(default_factory=dict)
    _taylor: dict[int, tuple[Series, list[Series]]] = made(default_factory=dict, init=False, repr=False)
    name = "series"
    exact = True

    def series(self, valuation: int, coefficients: Iterable[Any], precision: int = EXACT) -> Series:
        """Return a series without leading and trailing zeros."""
        known = tuple(coefficients)[: max(precision - valuation, 0)]
        if self.root:
            known = tuple(map(self._reduced, known))
        places = [k for k, c in enumerate(known) if c]
        if not places:
            return Series(self, min(precision, EXACT), (), precision)
        return Series(self, valuation + places[0], known[places[0] : places[-1] + 1], precision)

    @cached_property
    def _relation(self) -> Any:
        x, n = self.root  # type: ignore[misc]  # asked only where there is one
        return (self.symbols["~r"] ** n - x).numer

    def _reduced(self, c: Any) -> Any:
        place, (_, n) = list(self.symbols).index("~r"), self.root  # type: ignore[misc]
        if all(monomial[place] < n for part in (c.numer, c.denom) for monomial in part):
            return c
        return self.base(c.numer.rem(self._relation)) / self.base(c.denom.rem(self._relation))

    @cached_property
    def symbols(self) -> dict[str, Any]:
        """The symbols of the field, by name; those of the analysis begin with ~."""
        return dict(zip(map(str, self.base.symbols), self.base.gens, strict=True))

    @cached_property
    def ratios(self) -> dict[int, int]:
        """Where the step ratios w_1, w_2, ... stand among the symbols, by their index."""
        return {int(name[2:]): place for place, name in enumerate(self.symbols) if name.startswith("~w")}

    @property
    def one(self) -> Series:
        """The number 1."""
        return self.field(1)

    @property
    def h(self) -> Series:
        """The step h."""
        return Series(self, 1, (self.base.one,), EXACT)

    def taylor(self, x: Series) -> list[Series]:
        """Return 1, x, x^2/2, x^3/6, ... as far as they do not vanish to O(h^terms)."""
        if id(x) in self._taylor:  # all elements of an expansion are moved by one and the same series
            return self._taylor[id(x)][1]
        powers = [self.one]
        while len(powers) < self.terms and (power := (powers[-1] * x * Fraction(1, len(powers))).truncated(self.terms)):
            powers.append(power)
        self._taylor[id(x)] = x, powers
        return powers

    def symbol(self, name: str) -> Series:
        """Return a symbol of the analysis, as a constant."""
        return self.series(0, [self.symbols[f"~{name}"]])

    def lifted(self, x: object) -> Series | None:
        """Return a number as a series, None for what is none."""
        if isinstance(x, Series):
            return x
        try:
            return self.field(x)
        except TypeError:
            return None

    def number(self, x: object) -> Series:
        """Return a number, an expression in the symbols, or an element of the field, as a series; TypeError for others."""
        if isinstance(x, Series):
            return x
        if isinstance(x, bool) or x is None:
            raise TypeError(f"{shown(x)} is not a number: pass an int, a Fraction or an expression")
        if is_float(x) or isinstance(x, int | Fraction | np.integer):
            x = decimal(x)
            top, bottom = map(self.base.ring.ground_new, (x.numerator, x.denominator))
            return self.series(0, [self.base.raw_new(top, bottom)])  # of a Fraction, which is in lowest terms
        if hasattr(x, "free_symbols"):
            return self.series(0, [element(self.base, x)])
        if getattr(type(x), "__name__", "") == "FracElement":
            return self.series(0, [x])
        raise TypeError(
            f"{shown(x)} is in another number system than the series of the analysis: pass an int or a Fraction"
        )

    field = number

    def is_zero(self, x: Scalar) -> bool:
        """Decide whether a series vanishes to O(h^terms); undecided where it is known to a lower power, and vanishes so far."""
        x = self.field(x)
        if not x and x.precision < self.terms:
            raise UndecidedError(f"a series known to O(h^{x.precision}) vanishes as far as it is known")
        return not x

    def _constant(self, function: str, x: Any) -> Any:
        """Return a symbol for a function of a constant: log(1/x) is -log(x), exp(-x) is 1/exp(x)."""
        keys = ((x, 1), (1 / x if function == "log" else -x, -1))
        for key, sign in keys:
            if (known := self.constants.get(f"{function}({key.as_expr()})")) is not None:
                return known if sign == 1 else (-known if function == "log" else 1 / known)
        name = f"~_{len(self.constants)}"
        if name not in self.symbols:
            raise TypeError(
                f"{function} of {x.as_expr()}: the step mentions more constants than the analysis has room for"
            )
        self.arguments[name] = function, x
        self.constants[f"{function}({x.as_expr()})"] = self.symbols[name]
        return self.symbols[name]

    def _split(self, x: Any, function: str) -> tuple[Any, Series]:
        """Return the constant term of a series, and the series; TypeError where a function of it has no expansion."""
        x = self.field(x)
        if x.valuation < 0:
            raise TypeError("a function of a series that grows without bound as h falls has no expansion")
        constant = x.coefficient(0)
        if not constant and function != "exp":
            raise TypeError(f"{function} of a series that vanishes with h has no expansion")
        return constant, x

    def log(self, x: Scalar) -> Series:
        """Return log(x)."""
        constant, x = self._split(x, "log")
        start = self.field(0) if constant == 1 else self.series(0, [self._constant("log", constant)])
        return start + self._sum_of(
            x / constant - 1, [Fraction(0), *(Fraction((-1) ** (k + 1), k) for k in range(1, self.terms + 1))]
        )

    def exp(self, x: Scalar) -> Series:
        """Return exp(x)."""
        constant, x = self._split(x, "exp")
        total = self._sum_of(x - self.series(0, [constant]), [Fraction(1, factorial(k)) for k in range(self.terms + 1)])
        return total * self.series(0, [self._constant("exp", constant)]) if constant else total

    def sqrt(self, x: Scalar) -> Series:
        """Return the square root of a series that is a square of a rational function at h = 0, or else of a new symbol."""
        constant, x = self._split(x, "sqrt")
        # Newton's binomial series: each coefficient is (1/2 - k)/(k + 1) times the one before it.
        binomials = accumulate(range(self.terms), lambda c, k: c * (Fraction(1, 2) - k) / (k + 1), initial=Fraction(1))
        start = constant if constant == 1 else self._constant("sqrt", constant)
        return self._sum_of(x / constant - 1, list(binomials)) * self.series(0, [start])

    def _sum_of(self, u: Series, weights: Sequence[Fraction]) -> Series:
        """Return sum_k weights[k] u^k of a u that vanishes with h."""
        if not u:
            return self.field(weights[0]).truncated(u.precision)
        # By Horner's rule there is one product a term.
        total = self.field(0)
        for weight in reversed(weights):
            total = (total * u).truncated(self.terms) + weight
        return total.truncated(self.terms)


def element(base: Any, x: Any) -> Any:
    """Return an expression as an element of a field of rational functions; TypeError if it is none."""
    x = x.xreplace({number: sympy.Rational(str(number)) for number in x.atoms(sympy.Float)})
    try:
        top, bottom = sympy.fraction(sympy.together(x))
        return base.from_expr(sympy.expand(top)) / base.from_expr(sympy.expand(bottom))
    except (ValueError, sympy.CoercionFailed):
        raise TypeError(f"{x} is not a rational function of {', '.join(map(str, base.symbols))}") from None


def rational_functions(names: Sequence[Any]) -> Any:
    """Return sympy's field of rational functions in symbols; over the integers, which it computes with fastest."""
    return sympy.polys.fields.FracField(list(names), sympy.ZZ)


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
        return self.of(self.space, added(self.terms, other.terms), min(self.precision, other.precision))

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
        """Return the coefficients of h^k that are not zero; `TooShort` beyond the precision."""
        if k >= self.precision:
            raise TooShort(f"an expansion to O(h^{self.precision}) has no known terms in h^{k}")
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
