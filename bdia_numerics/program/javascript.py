"""Step programs in JavaScript: the operations of a slot as they were recorded, with coefficients that are expressions of its noise levels.

A browser combines the terms of a sum in the order in which NumPy does. The coefficients, which are exact until NumPy is given them,
each rounded once, are rounded there as often as their expression has operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from bdia_numerics.grids import Between, Grid, Point, Pointwise, symbolic
from bdia_numerics.program.inverse import NotInvertibleError, inverse_run, parameters, symbolised
from bdia_numerics.program.ops import Evaluate, rows
from bdia_numerics.program.structure import Solver, structure
from bdia_numerics.program.trace import Run, record_start, record_steps
from bdia_numerics.spaces.later import sympy

INSIDE = 3
"""The place of the time inside a slot among its noise levels; those at indices come before it, from the lowest."""
_MIDDLE = Between(1, 0, Fraction(1, 2), "sigma_bar")


def expression(c: Any, names: Mapping[Any, str]) -> str:
    """Return a sympy expression in JavaScript, its symbols under other names.

    >>> from sympy.abc import x
    >>> expression(x**2 / 2, {x: "a[0]"})
    '(1/2)*Math.pow(a[0], 2)'
    """
    renamed = {symbol: sympy.Symbol(name) for symbol, name in names.items()}
    return str(sympy.jscode(c.subs(renamed, simultaneous=True)))


def programs(solver: Solver, starter: Solver) -> dict[str, str | None]:
    """Return what a solver's runs consist of, each as an object {from, to, of} of JavaScript.

    Parameters
    ----------
    solver
        With at most one number as parameter.
    starter
        Makes its first states.

    Returns
    -------
    dict
        "step", "last" (the step to sigma = 0), "start" (the first registers from z_N), "inverse" (derived) and "data" (the registers
        at the data end from x_0). The last two are None where no inverse exists.

    ``of(a, s, g)`` takes the noise levels alpha and sigma from the lowest index on, with that inside the slot at `INSIDE`, and the
    parameter. It returns operations: [target, argument, level] evaluates the model, [target, coefficients, values] is a sum. `from`
    and `to` are the values that the registers hold before and after.
    """
    free, depth = symbolised(solver), structure(solver).depth
    grid, short = symbolic(depth + 1), symbolic(max(depth, 1))
    names = {sympy.Symbol(name): "g" for name in parameters(solver)}
    for time in (*range(grid.n + 1), _MIDDLE):
        _, alpha, sigma = grid.level(time)
        names |= {alpha: f"a[{_place(time)}]", sigma: f"s[{_place(time)}]"}
    run = record_steps(free, grid)
    found: dict[str, str | None] = dict.fromkeys(("inverse", "data"))
    found |= {
        "step": _function(run, names),
        "last": _function(record_steps(free, _to_clean_data(grid)), names),
        "start": _function(record_start(free, starter, short), names),
    }
    try:
        found["inverse"] = _function(inverse_run(run)[0], names)
    except NotInvertibleError:
        return found
    return found | {"data": _function(record_start(free, starter, short, data_end=True), names)}


def _to_clean_data(grid: Grid) -> Pointwise:
    clean = Point(grid.point(0).t, sympy.Integer(1), sympy.Integer(0))
    return Pointwise(grid.space, lambda time: clean if time == 0 else grid.point(time), grid.n)


def _function(run: Run, names: Mapping[Any, str]) -> str:
    lines = []
    for op in (op for segment in run.segments for op in segment.ops):
        if isinstance(op, Evaluate):
            lines.append(f"[{op.target},{op.argument},{_place(op.time)}]")
        for target, _, terms in rows(op):
            coefficients = ",".join(expression(c, names) for c, _ in terms)
            lines.append(f"[{target},[{coefficients}],{_listed(n for _, n in terms)}]")
    before, after = (_listed(held.number for held in ends.values()) for ends in (run.inputs, run.final))
    return f"{{from:{before},to:{after},of:(a,s,g)=>[{','.join(lines)}]}}"


def _place(time: Any) -> int:
    return time if isinstance(time, int) else INSIDE


def _listed(numbers: Iterable[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"
