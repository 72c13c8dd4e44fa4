"""Lemmas 1 and 2, appendix B.2 and B.3: the states of CBDIA (0, 1) and (1, 0) as sums of increments, for every N.

The program   at (0, 1), recorded with an index of which nothing is known: y_{i-1} = z_i + F_i, (51), and z_{i-1} = y_i - B_{i-1}, (52),
              with F_j = Delta(t_j -> t_{j-1} | y_j) and B_j = Delta(t_j -> t_{j+1} | y_j), of which nothing is used but their names.
              (52) of one slot, put into (51) of the next, is (28): y is BDIA with gamma = 1 (remark 2).

Lemma 1       With o(k) = mod(k, 2) = (1 - (-1)^k)/2, (56) and (57): y_i has the weights o(j-i) of F_j and -o(j-i) of B_j, z_i has o(j-i-1)
              and -o(j-i-1), and -1 of its own B_i.
Induction     on i, downwards, from z_N = y_N: the weights of the two states at i give those at i-1, for j - i = m a symbol. So in each
              slot y and z have opposite directions.

Lemma 2       At (1, 0) the program is (58)-(59): z_{i-1} adds the forward increment at y_i, and y_{i-1} takes off the backward one at
              z_{i-1}. By induction z sums forward increments alone, y backward ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted
from bdia_numerics.claims.equations import CBDIA_MUTANTS
from bdia_numerics.claims.formal import (
    Formal,
    Y,
    Z,
    coupled_run,
    coupled_steps,
    delta,
    equal,
    relations,
    require_identity,
    source,
    symbols,
    vectors,
)
from bdia_numerics.claims.ledger import CheckFailed, check, mutant, require
from bdia_numerics.program import NotInvertibleError, structure
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, CBDIA


def _is_51_52(solver: Any) -> None:
    """Require the step at (0, 1), for any i, to be (51) and (52)."""
    got = relations(solver(0, 1), 1)
    y0 = {Z: 1, (1, 0, source({Y: 1})): 1}
    require(got["y"] == y0, f"(51): y is {got['y']}")
    require(got["z"] == {Y: 1, (0, 1, source(y0)): -1}, f"(52): z is {got['z']}")


_REMARK_MUTANTS = {
    **CBDIA_MUTANTS,
    "another method from i = 9 on": {"solver": mutant(CBDIA, ("s.eps(y)", "s.eps(y if s.i < 9 else z)"))},
    "a mixing that can be undone for equal gammas": {
        "solver": mutant(CBDIA, ("g2 * z + (1 - g2) * y", "(g1 + g2) * z + (1 - g1 - g2) * y"))
    },
}


@check("eq-51", "eq-52", "eq-53", "remark-2", verdict="proved", mutants=_REMARK_MUTANTS)
def cbdia_01_step(solver: Any = CBDIA) -> None:
    """CBDIA (0, 1) is (51)-(53), and its y is BDIA with gamma = 1; remark 2."""
    _is_51_52(solver)
    g1, g2 = symbols("gamma_1", "gamma_2")
    require(structure(solver(g1, g2)).nfe == 2, "CBDIA does not take two evaluations a step in general")
    try:
        Formal(1).undo(solver(g1, g1), dict(zip(("z", "y"), vectors("z_0", "y_0"), strict=True)))
    except NotInvertibleError:
        pass
    else:
        raise CheckFailed("gamma_1 = gamma_2 was not refused")
    for n in range(2, 5):
        _is_bdia(solver(0, 1), n)


def _is_bdia(solver: Any, n: int) -> None:
    """Require y to run through the states of BDIA with gamma = 1, at n + 1 evaluations."""
    f, (start,) = Formal(n), vectors("y_N")
    path = {n: start}
    run = solve(solver, f.model, f.grid, start, callback=lambda i, state: path.update({i: state.registers["y"]}))
    require(run.nfe == n + 1, f"(0, 1) took {run.nfe} evaluations for N = {n}")
    equal(path[n - 1], start + f.forward(n, start), f"(53), N = {n}")
    for i, state in enumerate(f.run(BDIA(1), start)):
        equal(path[i], state, f"y_{i} of CBDIA (0, 1) and z_{i} of BDIA, N = {n}")


@check(
    "eq-54",
    "eq-55",
    verdict="misprint",
    mutants={**CBDIA_MUTANTS, "the published text corrected": {"reading": AS_PRINTED["eq-54"].corrected}},
)
def cbdia_01_two_step(solver: Any = CBDIA, reading: AsPrinted = AS_PRINTED["eq-54"]) -> dict[str, Any]:
    """(54) and (55) hold on longer ranges than printed."""
    _is_51_52(solver)
    for n in range(2, 9):
        states = {i: (z, y) for i, z, y in coupled_run(solver(0, 1), n)}
        for i in range(1, n):
            right = states[i + 1][1] - delta(i, i + 1, "y") + delta(i, i - 1, "y")
            equal(states[i - 1][1], right, f"(54), N = {n}, i = {i}")
        for i in range(1, n + 1):
            equal(states[i - 1][0], states[i][1] - delta(i - 1, i, "y"), f"(55), N = {n}, i = {i}")
    return {"seen": reading.seen()}


def odd(m: Any) -> Any:
    """Return mod(m, 2) as an expression."""
    return (1 - (-1) ** m) / 2


_LEMMA_1_MUTANTS = {
    **CBDIA_MUTANTS,
    "another method from i = 9 on": _REMARK_MUTANTS["another method from i = 9 on"],
    "parity exchanged": {"weight": mutant(odd, ("(1 - (-1) ** m)", "(1 + (-1) ** m)"))},
    "period of three": {"weight": mutant(odd, ("(-1) ** m", "(-1) ** (m * (m + 1) / 2)"))},
}


@check("lemma-1", verdict="proved", mutants=_LEMMA_1_MUTANTS)
def lemma_1(solver: Any = CBDIA, weight: Callable[[Any], Any] = odd) -> None:
    """Lemma 1 for every N, by induction."""
    _lemma_1_holds(solver, weight)


@check("eq-56", "eq-57", verdict="proved", mutants=_LEMMA_1_MUTANTS)
def lemma_1_formulas(solver: Any = CBDIA, weight: Callable[[Any], Any] = odd) -> None:
    """(56) and (57) with arrows."""
    _lemma_1_holds(solver, weight)


def _lemma_1_holds(solver: Any, weight: Callable[[Any], Any]) -> None:
    _is_51_52(solver)
    m, M = (sympy.Symbol(name, integer=True, positive=True) for name in ("m", "M"))  # j - i, and N - i
    zero, one = sympy.Integer(0), sympy.Integer(1)

    def same(left: Any, right: Any, what: str) -> None:
        require_identity(sympy.sympify(left), sympy.sympify(right), what)

    def in_z(k: Any) -> Any:
        return weight(k - 1)

    # Weights of F_j, j = i + k, in y_i and in z_i; those of B_j are the negatives, but for -1 at k = 0 in z_i.
    in_y = weight
    same(in_y(zero), 0, "y_i holds no increment from t_i")
    same(in_z(one), 0, "z_i holds no increment of slot i+1 forwards")
    for name, step in coupled_steps(solver(0, 1)).items():
        new = in_y if name == "y" else in_z
        same(step.z + step.y, 1, f"y_N in {name}")
        same(step.forward, new(one), f"F_N in {name} at i = N-1")
        same(step.backward, 0 if name == "y" else -1, f"B_{{N-1}} in {name} at i = N-1")
        same(step.z * in_z(M) + step.y * in_y(M), new(M + 1), f"F_N in {name}")
        same(step.z * in_z(m) + step.y * in_y(m), new(m + 1), f"F_j and B_j, j > i, in {name}")
        same(step.forward, new(one), f"F_i in {name}")
        same(-step.z, -new(one), f"B_i in {name}")
        same(step.backward, 0 if name == "y" else -1, f"B_{{i-1}} in {name}")
    same(in_y(m) + in_z(m), 1, "forward weights of y_i and z_i in a slot")
    _lemma_1_expanded(solver, weight)


def _lemma_1_expanded(solver: Any, weight: Callable[[Any], Any]) -> None:
    for n in range(2, 9):
        for i, z, y in coupled_run(solver(0, 1), n):
            if i == n:
                continue
            first = delta(n, n - 1, "y")
            terms = {j: delta(j, j - 1, "y") - delta(j, j + 1, "y") for j in range(i + 1, n)}
            (start,) = vectors("y_N")
            w = [weight(sympy.Integer(k)) for k in range(n + 1)]
            right_y = sum((w[j - i] * t for j, t in terms.items()), start + w[n - i] * first)
            equal(y, right_y, f"(56), N = {n}, i = {i}")
            rest = (w[j - i - 1] * t for j, t in terms.items() if j >= i + 2)
            right_z = sum(rest, start + w[n - i - 1] * first - delta(i, i + 1, "y"))
            equal(z, right_z, f"(57), N = {n}, i = {i}")


_LEMMA_2_MUTANTS = {
    **CBDIA_MUTANTS,
    "another method from i = 9 on": _REMARK_MUTANTS["another method from i = 9 on"],
    "mixing weights that do not sum to 1 inside": {
        "solver": mutant(CBDIA, ("z: g1 * z + (1 - g1) * y", "z: g1 * z + (1 - g1) * (1 - g2) * y"))
    },
}


@check("eq-58", "eq-59", "lemma-2", verdict="proved", mutants=_LEMMA_2_MUTANTS)
def lemma_2(solver: Any = CBDIA) -> None:
    """CBDIA (1, 0) is (58)-(59), and Lemma 2 for every N."""
    got = relations(solver(1, 0), 1)
    z0 = {Z: 1, (1, 0, source({Y: 1})): 1}
    require(got["z"] == z0, f"(58): z is {got['z']}")
    require(got["y"] == {Y: 1, (0, 1, source(z0)): -1}, f"(59): y is {got['y']}")
    for n in range(2, 9):
        for i, z, y in coupled_run(solver(1, 0), n):
            (start,) = vectors("y_N")
            equal(y, sum((-1 * delta(j, j + 1, "z") for j in range(i, n)), start), f"Lemma 2, y, N = {n}, i = {i}")
            equal(z, sum((delta(j, j - 1, "y") for j in range(i + 1, n + 1)), start), f"Lemma 2, z, N = {n}, i = {i}")
    _slot_sums(solver)


def _slot_sums(solver: Any) -> None:
    """Require, for any gammas, what makes the two weights of every past slot differ by 1 and stay in [0, 1]."""
    g1, g2 = symbols("gamma_1", "gamma_2")
    for (name, step), g in zip(coupled_steps(solver(g1, g2)).items(), (g1, g2), strict=True):
        require(sympy.cancel(step.z + step.y - 1) == 0, f"{name}: the weights of z_i and y_i do not add to 1")
        require(
            sympy.cancel(step.forward - step.backward - 1) == 0, f"{name}: the new slot's weights do not differ by 1"
        )
        for weight, wanted in ((step.z, g), (step.y, 1 - g), (step.forward, g), (-step.backward, 1 - g)):
            require(sympy.cancel(weight - wanted) == 0, f"{name}: {weight} is not in [0, 1] with its gamma")


# A check raises CheckFailed where its statement does not hold; that each can fail, its mutants show (test_claims.py).
def test_remark_2() -> None:
    cbdia_01_step()
    cbdia_01_two_step()


def test_lemma_1() -> None:
    lemma_1()
    lemma_1_formulas()


def test_lemma_2() -> None:
    lemma_2()
