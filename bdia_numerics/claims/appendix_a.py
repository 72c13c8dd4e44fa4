"""Appendix A: every line of the two chains of equations in the proof of Proposition 1, numbered or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bdia_numerics.claims.formal import (
    abstract_run,
    backward_weight,
    bdia_relation,
    equal,
    forward_weight,
    require_identity,
)
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.spaces.later import sympy

_MUTANTS = {
    "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
    "gamma and 1 - gamma exchanged": {"solver": mutant(BDIA, ("(1 - g) *", "g *"))},
    "forward increment dropped": {"solver": mutant(BDIA, (" + forward", ""))},
    "gamma squared": {"solver": mutant(BDIA, ("s.value(self.gamma)", "s.value(self.gamma) ** 2"))},
}


@check("eq-38", verdict="proved", mutants=_MUTANTS)
def first_states(solver: Any = BDIA) -> None:
    """The lines of the chain from z_{N-1} down to z_{N-3}, with (38), for abstract increments."""
    g = sympy.Symbol("gamma", positive=True)
    z, d = abstract_run(solver(g), DDIM(), 3)  # here N = 3
    start, forward, backward = z[3], {j: d(j, j - 1) for j in (3, 2, 1)}, {j: d(j - 1, j) for j in (3, 2)}
    equal(z[2], start + forward[3], "z_(N-1)")
    for right in (
        start - (1 - g) * (start - z[2]) - g * backward[3] + forward[2],
        start + (1 - g) * forward[3] - g * backward[3] + forward[2],
    ):
        equal(z[1], right, "a line of z_(N-2)")
    difference = g * forward[3] + g * backward[3] - forward[2]
    equal(z[2] - z[1], difference, "(38)")
    newest = (1 - g) * forward[2] - g * backward[2] + forward[1]
    cubed = (1 - (-g) ** 3) / (1 + g)
    averaged = [forward_weight(m, g) * forward[j] - backward_weight(m, g) * backward[j] for j, m in ((3, 3), (2, 2))]
    for right in (
        z[2] - (1 - g) * (z[2] - z[1]) - g * backward[2] + forward[1],
        z[2] - (1 - g) * difference - g * backward[2] + forward[1],
        start + (1 - (1 - g) * g) * forward[3] - (1 - g) * g * backward[3] + newest,
        start + cubed * forward[3] - g * (1 - g**2) / (1 + g) * backward[3] + newest,
        start + averaged[0] + averaged[1] + forward[1],
    ):
        equal(z[0], right, "a line of z_(N-3)")


@check("eq-42", verdict="proved", mutants=_MUTANTS)
def conclusion(solver: Any = BDIA) -> dict[str, Any]:
    """Each line of the chain that ends in (42), slot by slot, with symbolic exponents."""
    g, m = sympy.Symbol("gamma", positive=True), sympy.Symbol("m", integer=True, positive=True)
    older, newer, back, forth = (sympy.sympify(w) for w in bdia_relation(solver, g))
    require_identity(older + newer, sympy.Integer(1), "z_N")
    require(forth == 1, f"slot k enters with {forth}")
    F, B = forward_weight, backward_weight
    one, two = sympy.Integer(1), sympy.Integer(2)
    # (40) at i = k+1 and (39) at i = k, put into the program's step: weights of slot j by m = j - k.
    plugged = {
        "forward": older * F(m - 1, g) + newer * F(m, g),
        "backward": older * B(m - 1, g) + newer * B(m, g),
        "forward, k+2": older * F(one, g) + newer * F(two, g),
        "backward, k+2": older * B(one, g) + newer * B(two, g),
        "forward, k+1": newer * F(one, g),
        "backward, k+1": newer * B(one, g) - back,
    }
    lines = 0
    for name, right in _printed(g, m):
        require_identity(plugged[name], right, f"{name} of slot j in line {lines + 2} of the chain to (42)")
        lines += name == "forward"
    return {"lines": lines}


def _printed(g: Any, m: Any) -> Iterator[tuple[str, Any]]:
    """Yield the weights in the printed lines after the first, without the signs in front of backward increments."""
    x, n = (-g) ** m, 1 + g
    yield "forward", ((g + x) + (1 - g) * (1 - x)) / n
    yield "backward", (g**2 - x + (1 - g) * (g + x)) / n
    yield "forward, k+2", (g + g**2 + (1 - g) * (1 - g**2)) / n
    yield "backward, k+2", (1 - g) * (g + g**2) / n
    yield from (("forward, k+1", 1 - g), ("backward, k+1", g))
    yield "forward", (1 - (-g) ** (m + 1)) / n
    yield "backward", (g + (-g) ** (m + 1)) / n
    yield "forward, k+2", (1 - (-g) ** 3) / n
    yield "backward, k+2", (g + (-g) ** 3) / n
    yield from (("forward, k+1", 1 - g), ("backward, k+1", g))
    yield "forward", forward_weight(m + 1, g)
    yield "backward", backward_weight(m + 1, g)
    for slot, k in (("k+2", 3), ("k+1", 2)):
        yield f"forward, {slot}", forward_weight(k, g)
        yield f"backward, {slot}", backward_weight(k, g)
