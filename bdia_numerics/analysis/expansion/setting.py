"""What is analysed: a solver's symbols, the variable in which it is natural, its residuals and its modes on one layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from bdia_numerics.analysis.expansion.differentials import Element, Expansion
from bdia_numerics.analysis.expansion.layouts import Layout, NeedsTime, layout
from bdia_numerics.analysis.expansion.local import Matrix, Profile, recorded, residual, step_matrix
from bdia_numerics.analysis.expansion.modes import Modes, coefficient_of, modes
from bdia_numerics.program import Run, Solver, structure
from bdia_numerics.program.identity import attributes

T = TypeVar("T")


def symbols_of(solver: object) -> list[Any]:
    """Return the sympy symbols among the attributes of a solver, and of what it is made of."""
    found: dict[str, Any] = {}
    for symbol in _symbols(solver, 0):
        if found.setdefault(str(symbol), symbol) != symbol:
            raise ValueError(f"two symbols of {type(solver).__name__} are called {symbol}: rename one")
    return [found[name] for name in sorted(found)]


def _symbols(value: object, depth: int) -> Iterator[Any]:
    if hasattr(value, "free_symbols"):
        yield from value.free_symbols
    elif depth < 4 and not isinstance(value, type | str | int | float) and not callable(value):
        items = value if isinstance(value, tuple | list) else attributes(value).values()
        for item in items:
            yield from _symbols(item, depth + 1)


def in_its_variable(make: Callable[..., T]) -> T:
    """Return what `make(in_time=...)` gives in s = sigma/alpha, or in t where the step asks for t."""
    try:
        return make(in_time=False)
    except NeedsTime:
        pass
    try:
        return make(in_time=True)
    except NeedsTime as error:
        raise TypeError(f"the step mixes t and {error}: its order has no expansion in one variable") from None


@dataclass(frozen=True, eq=False)
class Setting:
    """A solver on one layout, with its step there."""

    solver: Solver
    layout: Layout
    run: Run

    @classmethod
    def of(
        cls, solver: Solver, terms: int, spacing: str, alphas: str = "smooth", pattern: Sequence[Any] = (1,)
    ) -> Setting:
        """Take a solver on series to O(h^terms); with a pattern, as many of its steps at once."""

        def make(*, in_time: bool) -> Setting:
            where = layout(
                symbols_of(solver),
                terms,
                structure(solver).depth,
                extra=("J",),
                spacing=spacing,
                alphas=alphas,
                in_time=in_time,
                pattern=tuple(pattern),
            )
            return cls(solver, where, recorded(solver, where))

        return in_its_variable(make)

    @cached_property
    def modes(self) -> Modes:
        """Spectral groups of the step at h = 0."""
        return modes(self.coefficient(0))

    def coefficient(self, k: int) -> Any:
        """Return the coefficient of h^k in the step for eps = J y, states divided by alpha."""
        return coefficient_of(self._matrix, k)

    @cached_property
    def _matrix(self) -> Matrix:
        return step_matrix(self.solver, self.layout, self.layout.space.symbol("J"), self.run)

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of the registers."""
        return structure(self.solver).registers

    def residual(self, profiles: Mapping[str, Profile] | None = None) -> list[Expansion]:
        """Return the residual of the exact solution, register by register."""
        found = residual(self.solver, self.layout, profiles, self.run)
        return [found[name] for name in self.registers]

    def applied(self, P: Any, values: Sequence[Expansion]) -> list[Expansion]:
        """Return a matrix over the field, whose J is an operator, applied to expansions."""
        rows = P.to_Matrix().tolist() if not hasattr(P, "to_list") else P.to_list()
        return [self._row(row, values) for row in rows]

    def _row(self, row: Sequence[Any], values: Sequence[Expansion]) -> Expansion:
        space = self.layout.space
        total = Expansion.of(space, {}, space.terms)
        for c, expansion in zip(row, values, strict=True):
            for power, part in _by_power(c, space.base):
                terms = {nested(e, power): x for e, x in expansion.terms.items()}
                total = total + Expansion.of(space, terms, expansion.precision).times(space.field(part))
        return total


def nested(element: Element, power: int) -> Element:
    """Return J^power applied to a basis element."""
    for _ in range(power):
        element = (1, 0, (element,))
    return element


def _by_power(c: Any, base: Any) -> Iterator[tuple[int, Any]]:
    """Yield the coefficients of an element of the field as a polynomial in J."""
    if not c:
        return
    place = [str(s) for s in base.symbols].index("~J")
    numerators: dict[int, Any] = {}
    for monomial, number in c.numer.terms():
        bare = tuple(0 if k == place else power for k, power in enumerate(monomial))
        term = base(base.ring({bare: number}))
        numerators[monomial[place]] = numerators.get(monomial[place], base.zero) + term
    for power, numerator in sorted(numerators.items()):
        yield power, numerator / base(c.denom)
