"""The leading local error with exact alpha at each point, in the paper's symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bdia_numerics.analysis.expansion.differentials import Expansion, text
from bdia_numerics.analysis.expansion.layouts import Layout, alpha_name, layout
from bdia_numerics.analysis.expansion.local import kinds, residual
from bdia_numerics.analysis.expansion.setting import Setting, symbols_of
from bdia_numerics.grids import Between
from bdia_numerics.program import Solver, refusal, structure

Local = dict[str, dict[str, Any]]


def exact_local_error(solver: Solver, rough: Setting, raw: Sequence[Expansion]) -> tuple[bool, Local]:
    """Return whether the terms before the leading one vanish for every alpha, and the leading terms.

    With every alpha they are those of z, with a symbol for alpha at each point; else those of y, with alpha smooth in s.
    """
    lowest = min(x.order for x in raw)
    variable = "z" if rough.layout.in_time else "y"
    if not rough.layout.in_time:
        free = _with_free_alphas(solver, rough.layout)
        try:
            found = residual(solver, free)
        except ValueError as error:  # a state that is told another time than its own
            refusal(error)
            found = {}
        if found and all(x.order >= lowest for x in found.values()):
            kind, shape = kinds(solver), structure(solver)
            times = {name: lag - 1 for name, lag in zip(shape.registers, shape.lags, strict=True)}
            scales = {
                n: free.scale(times[n]).coefficient(0) if kind[n] == "state" else free.space.base.one for n in times
            }
            return True, _written(free, {n: x.at(lowest) for n, x in found.items()}, scales, lowest, variable)
    terms = {n: x.at(lowest) for n, x in zip(rough.registers, raw, strict=True)}
    return False, _written(rough.layout, terms, dict.fromkeys(terms, rough.layout.space.base.one), lowest, variable)


def _with_free_alphas(solver: Solver, seen: Layout) -> Layout:
    times = [time for time in seen.places if isinstance(time, Between) or time in range(-1, seen.depth + 1)]
    whole = dict.fromkeys([*times, *range(-1, seen.depth + 1)])
    return layout(symbols_of(solver), seen.space.terms, seen.depth, times=list(whole), spacing="rough", alphas="free")


def _written(where: Layout, terms: Mapping[str, Any], scales: Mapping[str, Any], k: int, variable: str) -> Local:
    import sympy

    names = readable(where)
    h = [names[sympy.Symbol("~h")], *(sympy.Symbol(f"h_{{i+{j}}}") for j in range(1, where.depth + 1))]
    ratios = {sympy.Symbol(f"~w{j}"): h[j] / h[0] for j in range(1, where.depth + 1)}
    result: Local = {}
    for register, some in terms.items():
        found = {}
        for element, c in some.items():
            expression = (c * scales[register]).as_expr().subs(ratios) * h[0] ** k
            found[text(element, variable)] = sympy.factor(expression.subs(names))
        if found:
            result[register] = found
    return result


def readable(where: Layout) -> dict[Any, Any]:
    """Return the symbols in which results are written, by those of a layout."""
    import sympy

    table = {"h": "h_i", "s": "s_i", "t": "t_i", "a0": "alpha_i"}
    # In (z, t) the series of alpha and sigma have their own derivatives, in (y, s) those of alpha are relative to it.
    relative = "" if where.in_time else "/alpha"
    table |= {f"a{k}": "alpha" + "'" * k + relative for k in range(1, 12)}
    table |= {"b0": "sigma_i"} | {f"b{k}": "sigma" + "'" * k for k in range(1, 12)}
    for time in where.places:
        sub = _subscript(time) if not isinstance(time, Between) else f"{{{_bare(time.i)},{_bare(time.j)},{time.theta}}}"
        table[alpha_name(time)] = f"alpha_{sub}"
    names = {sympy.Symbol(f"~{old}"): sympy.Symbol(new) for old, new in table.items()}
    for key, constant in where.space.constants.items():
        names[constant.as_expr()] = sympy.Symbol(key.replace("~", ""))
    return names


def _bare(index: int) -> str:
    return f"i{index:+d}" if index else "i"


def _subscript(index: int) -> str:
    return f"{{{_bare(index)}}}" if index else "i"
