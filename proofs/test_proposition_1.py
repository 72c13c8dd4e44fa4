"""Proposition 1: a state of BDIA is z_N plus averaged increments, for every N.

Write F_j = Delta(t_j -> t_{j-1} | z_j) for the forward increment of the slot from t_j to t_{j-1}, and G_j = Delta(t_{j-1} -> t_j | z_{j-1})
for its backward one. Nothing is used of them but their names, so the theorem holds for any approximation of the integrals.

Statement, (30) and (31). With A(m) = (1 - (-g)^m)/(1 + g) and B(m) = (g + (-g)^m)/(1 + g), for every i,

    P(i):  z_i = z_N + sum over j = i+1..N of [A(j-i) F_j - B(j-i) G_j].

Proof, by induction on i, downwards.

    The program   z_{k-1} = g z_{k+1} + (1-g) z_k - g G_{k+1} + F_k, which is (41): recorded from BDIA itself, with an index k of which
                  nothing is known, so that it is one step for every slot.
    Base          P(N) is z_N = z_N. P(N-1) is the program's start, (25): z_{N-1} = z_N + F_N, since A(1) = 1 and B(1) = 0.
    Step          P(k) and P(k+1), which are (39) and (40), are put into the program. Each weight of the result must be that of
                  P(k-1), (42): of z_N, of F_j and G_j in the slots j >= k+2 (m = j-k-1 is a symbol), of the slots k+1 and k.

The functions below follow these lines; the ledger's check is `proposition_1`, which calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sympy

from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted
from bdia_numerics.claims.equations import STEP_MUTANTS
from bdia_numerics.claims.formal import (
    Formal,
    Increment,
    abstract_run,
    backward_weight,
    bdia_relation,
    equal,
    forward_weight,
    increments,
    require_identity,
    vectors,
)
from bdia_numerics.claims.ledger import check, mutant, require
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.spaces import Vector

g = sympy.Symbol("gamma", positive=True)
m = sympy.Symbol("m", integer=True, positive=True)
ONE = sympy.Integer(1)


def A(m: Any) -> Any:  # noqa: N802 - a weight, as the statement writes it
    """Weight of F_j in z_i, m = j - i."""
    return forward_weight(m, g)


def B(m: Any) -> Any:  # noqa: N802
    """Weight of -G_j in z_i, m = j - i."""
    return backward_weight(m, g)


def base(starter: Any) -> None:
    """P(N-1): the start is z_N + F_N, and the newest slot has the weights A(1) = 1 and B(1) = 0."""
    z_n, f_n = ("z", "z"), (1, 0, frozenset({("z", "z"): 1}.items()))
    require(increments(starter(), 1, {"z": 1})["z"] == {z_n: 1, f_n: 1}, "the start does not add the first increment")
    require_identity(A(ONE), 1, "weight of the newest forward increment")
    require_identity(B(ONE), 0, "weight of the newest backward increment")


def step(solver: Any) -> None:
    """P(k) and P(k+1), put into the program's step, give P(k-1)."""
    # z_{k-1} = older z_{k+1} + newer z_k + back G_{k+1} + forth F_k, from the program: g, 1-g, -g and 1.
    older, newer, back, forth = (sympy.sympify(weight) for weight in bdia_relation(solver, g))
    require_identity(older + newer, 1, "z_N")
    # Slots j >= k+2, with m = j - (k+1): z_{k+1} holds A(m), z_k holds A(m+1), z_{k-1} must hold A(m+2).
    require_identity(older * A(m) + newer * A(m + 1), A(m + 2), "forward increments of the slots j >= k+2")
    require_identity(older * B(m) + newer * B(m + 1), B(m + 2), "backward increments of the slots j >= k+2")
    # Slot k+1: z_{k+1} holds nothing of it, z_k holds A(1) F and -B(1) G, and the step adds its own G.
    require_identity(newer * A(ONE), A(2 * ONE), "forward increment of slot k+1")
    require_identity(-newer * B(ONE) + back, -B(2 * ONE), "backward increment of slot k+1")
    # Slot k is new.
    require_identity(forth, A(ONE), "forward increment of slot k")


_PROP_1_MUTANTS = {
    **STEP_MUTANTS,
    "another gamma from i = 9 on": {
        "solver": mutant(BDIA, ("s.value(self.gamma)", "s.value(self.gamma) / (1 + (s.i > 8))"))
    },
    "start with half a step": {"starter": mutant(DDIM, ("z + s.delta", "z + s.value(s.one / 2) * s.delta"))},
}


@check("prop-1", "eq-30", "eq-31", "eq-39", "eq-40", "eq-41", verdict="proved", mutants=_PROP_1_MUTANTS)
def proposition_1(solver: Any = BDIA, starter: Any = DDIM) -> None:
    """z_i as a sum of averaged increments, for every N."""
    step(solver)
    base(starter)
    _expanded(solver, starter)


def _concrete_run(solver: Any, g: Any, n: int) -> tuple[list[Vector], Increment]:
    """Run the solver over n slots with DDIM increments and an uninterpreted eps."""
    p, (zn,) = Formal(n), vectors("z_N")
    z = p.run(solver(g), zn)
    return z, lambda j, k: p.forward(j, z[j]) if k < j else p.backward(k, z[j])


def _runs(solver: Any, starter: Any, g: Any) -> Iterator[tuple[int, list[Vector], Increment]]:
    # With eps uninterpreted the expressions grow exponentially with N, so these runs end at 4.
    yield from ((n, *abstract_run(solver(g), starter(), n)) for n in range(2, 9))
    yield from ((n, *_concrete_run(solver, g, n)) for n in range(2, 5))


def _expanded(solver: Any, starter: Any) -> None:
    for n, z, increment in _runs(solver, starter, g):
        for i in range(n - 1):
            total = z[n] + increment(i + 1, i)
            for j in range(i + 2, n + 1):
                total = total + A(j - i) * increment(j, j - 1) - B(j - i) * increment(j - 1, j)
            equal(z[i], total, f"(30)-(31) expanded, N = {n}, i = {i}")


_WEIGHT_MUTANTS = {
    "weight without gamma": {"weight": lambda: lambda m, g: (1 + (-g) ** m) / (1 + g)},
    "weight of the other increment": {"weight": lambda: forward_weight},
}


@check(
    "eq-22",
    verdict="proved",
    mutants=_WEIGHT_MUTANTS,
)
def slot_averages(weight: Callable[[Any, Any], Any] = backward_weight) -> None:
    """The two weights of a slot add to 1 and lie in [0, 1]."""
    require_identity(forward_weight(m, g) + weight(m, g), 1, "the two weights of a slot")
    power = sympy.Symbol("p", nonnegative=True)  # g^m, which lies in [0, g] for m >= 1 and g in [0, 1]
    for sign in (1, -1):
        phi = sympy.expand_power_base(weight(m, g)).subs({(-1) ** m: sign, g**m: power})
        require(not phi.has(m) and sympy.diff(phi, power, 2) == 0, f"{phi} is not affine in gamma^m")
        # Affine in g^m: extreme at the ends 0 and g, where it is a quotient that is monotone on [0, 1].
        for end in (sympy.Integer(0), g):
            value = sympy.cancel(phi.subs(power, end))
            slope = sympy.numer(sympy.cancel(sympy.together(sympy.diff(value, g))))
            require(slope >= 0, f"{value} is not monotone in gamma")
            require(value.subs(g, 0) >= 0 and value.subs(g, 1) <= 1, f"{value} leaves [0, 1]")


@check(
    "eq-32",
    verdict="proved",
    mutants={**STEP_MUTANTS, "the published text corrected": {"reading": AS_PRINTED["eq-32"].corrected}},
)
def proposition_1_at_one(solver: Any = BDIA, reading: AsPrinted = AS_PRINTED["eq-32"]) -> dict[str, Any]:
    """(32) is Proposition 1 at gamma = 1."""
    one = ONE
    odd = (1 - (-1) ** m) / 2
    require_identity(forward_weight(m, one), odd, "forward weight = mod(m, 2)")
    require_identity(backward_weight(m, one), 1 - odd, "backward weight = 1 - mod(m, 2)")
    for n, z, increment in _runs(solver, DDIM, one):
        for i in range(n + 1):
            total = z[n] + ((n - i) % 2) * increment(n, n - 1)
            for j in range(i + 1, n):
                total = total + ((j - i) % 2) * (increment(j, j - 1) - increment(j, j + 1))
            equal(z[i], total, f"(32), N = {n}, i = {i}")
    return {"seen": reading.seen()}


# A check raises CheckFailed where its statement does not hold; that each can fail, its mutants show (test_claims.py).
def test_proposition_1() -> None:
    proposition_1()


def test_the_weights_of_a_slot() -> None:
    slot_averages()


def test_at_gamma_1() -> None:
    proposition_1_at_one()
