"""Volume: the determinant of a step is the product of its own coefficients, for every model and every step size (fact 20).

Statement  A step is a sequence of lines x <- c x + g(what the other registers hold), of mixes and of exchanges. Its Jacobian, on states of
           d coordinates, has the determinant (product of the c and of the determinants of the mixes, with the sign of the exchanges)^d.
Proof      The Jacobian of a line is [[c I, G], [0, I]] in blocks, whatever g is: triangular, of determinant c^d. Determinants multiply.
Programs   That a line is of this kind is read off the recorded program: whatever enters it besides x must be made of versions that other
           registers hold at that moment. For eps = J y, with a symbol for h J, the determinant of the whole step is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import sympy

from bdia_numerics.analysis import stability_polynomial
from bdia_numerics.analysis.designing.templates import Multistep
from bdia_numerics.analysis.expansion.step import SeriesStep
from bdia_numerics.claims.formal import require_same
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.program import Segment, invertibility, symbolised
from bdia_numerics.program.inverse import own_coefficients
from bdia_numerics.program.ops import Combine, Evaluate, Mix
from bdia_numerics.solvers import ALF, RK4, SOLVERS, Midpoint


def shears(segment: Segment) -> list[Any]:
    """Return the own coefficient of each line of a step, having required that it uses nothing that depends on what it overwrites.

    Every other value of a line must be made of versions that other registers hold when it runs: then its Jacobian is triangular.
    """
    held = {h.number for h in segment.before.values()}
    made: dict[int, tuple[int, ...]] = {}
    found = []

    def sources(number: int) -> set[int]:
        if number in held or number not in made:
            return {number}
        return set().union(*map(sources, made[number]))

    for op in segment.ops:
        if isinstance(op, Evaluate):
            made[op.target] = (op.argument,)
        elif isinstance(op, Mix):
            held = held - set(op.olds) | set(op.targets)
            found.append(sympy.Matrix([[as_number(c) for c in row] for row in op.matrix]).det())
        elif isinstance(op, Combine) and op.register:
            others = set().union(*(sources(n) for _, n in op.terms if n != op.old))
            require(others <= held - {op.old}, f"the line of {op.register} is not a shear: it uses what it overwrites")
            held = held - {op.old} | {op.target}
            found.append(sum(as_number(c) for c, n in op.terms if n == op.old))
        else:
            made[op.target] = tuple(n for _, n in op.terms)
    return found


class Overwriting:
    """A program that is no product of shears: the evaluation at the old state enters after that state was overwritten."""

    registers = ("y", "z")

    def step(self, s: Any) -> None:
        """Record the step from t_i to t_{i-1}."""
        y, z = s.registers
        e = s.eps(z)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(y)), at=s.i - 1)
        s.assign(y, y + s.delta(s.i, s.i - 1, y, e), at=s.i - 1)


OPTIONS: tuple[dict[str, Any], ...] = (
    *({"variable": name} for name in ("log_snr", "t", "angle")), {"k": 3}, {"k": 5}, {"scheme": "suzuki"}, {"shifted": True},
    {"prediction": "x0"}, {"base": Midpoint()}, {"base": RK4()}, {"base": ALF("angle")},
)  # fmt: skip
"""Options that make another program; numbers are symbols in any case. EDICT's `exchange` is none: its step depends on the slot."""


def with_options(names: Iterable[str]) -> dict[str, Any]:
    """Return solvers of these names with each of the options that they take."""
    found = {}
    for name in names:
        for option in OPTIONS:
            with suppress(TypeError, ValueError):  # it has no such option
                found[f"{name}, {option}"] = SOLVERS[name](**option)
    return found


@check(
    "fact-20",
    verdict="proved",
    mutants={
        "an evaluation at what was overwritten": {"solvers": lambda: {"planted": Overwriting()}},
        "a step that forgets": {"solvers": lambda: {"planted": Multistep((0, -1), (1,))}},
        "exchanges of registers not counted": {"own": lambda: lambda segment, space: sympy.prod(shears(segment))},
        "the new state as the own one": {"known": lambda: {"BDIA": sympy.Symbol("gamma")}},
    },
)
def volume(
    solvers: Mapping[str, Any] | None = None,
    own: Callable[..., Any] = own_coefficients,
    known: Mapping[str, Any] = {"Leapfrog": -1, "ALF": -1, "ReversibleHeun": -1},
) -> dict[str, Any]:
    """Every line of every invertible solver is a shear; the product of own coefficients is the determinant for every x."""
    every, others = solvers or {}, dict[str, Any]()
    if solvers is None:
        every = {name: make() for name, make in SOLVERS.items() if invertibility(make()).invertible}
        others = with_options(every)
    steps = {f"{k} steps": Multistep(sympy.symbols(f"a_0:{k}"), sympy.symbols(f"b_1:{k}")) for k in range(2, 7)}
    found, (zeta, x) = {}, sympy.symbols("zeta x")
    for name, solver in (*every.items(), *others.items(), *steps.items()):
        some = symbolised(solver)
        run = SeriesStep.of(some, 5, "uniform", "one").run
        (segment,) = run.segments
        product = sympy.prod(shears(segment))
        found[name] = as_number(own(segment, run.trace.grid.space))
        require(found[name] != 0, f"{name}: the determinant is 0")
        require(sympy.cancel(found[name] ** 2 - product**2) == 0, f"{name}: {found[name]} is not +-{product}")
        polynomial = sympy.Poly(stability_polynomial(some, zeta=zeta, x=x), zeta)
        determinant = (-1) ** polynomial.degree() * polynomial.TC() / polynomial.LC()
        require_same(determinant, found[name], f"{name}: the determinant for eps = J y")
        require_same(known.get(name, found[name]), found[name], f"the determinant of {name} on z/alpha")
    require(set(known) <= set(found) or solvers is not None, f"not exactly invertible: {set(known) - set(found)}")
    lines = [f"{name} {text}" for name, text in found.items() if name in every]
    return {"lines": lines, "count": len(found), "options": len(others)}


def as_number(x: Any) -> Any:
    """Return a coefficient of a step on series, whose value does not depend on h, as an expression."""
    return x.coefficient(0).as_expr() if hasattr(x, "coefficient") else x
