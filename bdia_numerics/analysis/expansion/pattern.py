"""Order of a solver on grids whose steps repeat a pattern, derived from its program by Taylor expansion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from bdia_numerics.analysis.expansion.modes import ONE, StepModes, error_orders
from bdia_numerics.analysis.expansion.order import resolved, settled, start_error
from bdia_numerics.analysis.expansion.propagation import Displaced, known_order, stable, varies
from bdia_numerics.analysis.expansion.series import TooShort
from bdia_numerics.analysis.expansion.step import SeriesStep
from bdia_numerics.grids import pattern_of
from bdia_numerics.program import Solver, remembered


@dataclass(frozen=True)
class PatternOrder:
    """The order of a solver's output on grids whose steps repeat a pattern.

    Attributes
    ----------
    pattern : tuple of Fraction
        Relative steps, from the data end.
    order, order_with_start : int
        From exact first states, and with the solver's own start.
    zero_stable : bool or None
        Whether the products of the step's matrices at h = 0 stay bounded over many repeats; None if it depends on symbols. If not,
        the orders are those that the growth of the errors at h = 0 leaves, which is not a proof of convergence.
    """

    pattern: tuple[Fraction, ...]
    order: int
    order_with_start: int
    zero_stable: bool | None


def order_on_pattern(solver: Solver, pattern: Iterable[Any]) -> PatternOrder:
    """Derive the order of a solver on grids whose steps repeat a pattern, in any variable that is smooth in sigma/alpha.

    The steps of one repeat are one step of a smooth grid: its residual has the pattern's own ratios in it, and what cancels over a
    repeat is gone. `SymbolicOrder.order_rough` is the worst case over all bounded ratios.

    Parameters
    ----------
    solver
        As for `symbolic_order`.
    pattern
        Relative steps, positive: (1, 2) for alternating grids, (1,) for smooth ones.

    Raises
    ------
    ValueError, TypeError
        As `symbolic_order`; and for a pattern that is empty or not positive.

    Notes
    -----
    Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, sec. III.5 (variable steps) and III.8.

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.analysis import order_on_pattern
    >>> [order_on_pattern(BDIA(1), steps).order for steps in ((1,), (1, 2), (1, 2, 3))]
    [2, 1, 2]
    """
    return _on_pattern(solver, pattern_of(pattern))


@remembered
def _on_pattern(solver: Solver, pattern: tuple[Fraction, ...]) -> PatternOrder:
    start = start_error(solver)
    return resolved(solver, lambda terms: _repeated(solver, terms, pattern, start))


def _repeated(solver: Solver, terms: int, pattern: tuple[Fraction, ...], start: int | None) -> PatternOrder:
    step = SeriesStep.of(solver, terms, "smooth", pattern=pattern)
    found, row, whole = Displaced.of(step), step.row, step.layout.space.terms
    residual = found.residual
    parted = _parted(step)
    adding, sources = {name for name in parted.groups if name.startswith(ONE)}, {}
    for name, P in parted.groups.items():
        k = min(map(known_order, step.applied(P, residual)))
        if k >= whole and name == min(adding):
            raise TooShort
        # What a mode of eigenvalue 1 receives adds up over 1/h repeats, which costs one power.
        sources[name] = k - (name in adding)
    grows = 0
    if not parted.semisimple:  # powers of the step grow at h = 0, by what V - 1 makes of the mode of eigenvalue 1
        growing = parted.V * step.modes.principal - step.modes.principal
        grows = int(not growing.is_zero_matrix)
        k = min(map(known_order, step.applied(growing, residual)), default=whole)
        sources |= {name: min(sources[name], k - 2) for name in adding if grows}
    orders = error_orders(sources, parted, step.coefficient, adding)
    order = min(orders[name] for name in parted.seen(row))
    order = min(order, found.shift(row))
    begun = found.from_exact(row, order)
    return PatternOrder(pattern, order, begun if start is None else min(begun, start - grows), stable(step.modes))


def _parted(repeat: SeriesStep) -> StepModes:
    """Return the modes of a repeat, parted by those of the step where that is one matrix V, so that the repeat has its powers.

    The root -1 of a step is a root 1 of two of them: what it carries adds up on alternating grids, and still is another mode.
    """
    found, terms = repeat.modes, repeat.layout.space.terms
    if len(repeat.layout.pattern) == 1 or varies(settled(repeat.solver, "rough")):
        return replace(found, groups={f"{name} all": P for name, P in found.groups.items()})
    once = SeriesStep.of(repeat.solver, terms, "smooth").modes
    both = {
        f"{name} {own}": P * Q.convert_to(found.V.domain)
        for name, P in found.groups.items()
        for own, Q in once.groups.items()
    }
    return replace(found, groups={name: P for name, P in both.items() if not P.is_zero_matrix})
