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
from bdia_numerics.claims.cbdia import CBDIA_MUTANTS
from bdia_numerics.claims.coupling import Y, Z, coupled_run, coupled_steps, delta, plus, relations, source
from bdia_numerics.claims.formal import Formal, equal, require_identity, symbols, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, require
from bdia_numerics.claims.mutants import mutant
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
def cbdia_01_step(solver: Any = CBDIA) -> str:
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
    return (
        "the program at (0, 1), with abstract increments and an index of which nothing is known, is (51)-(52), and "
        "z_N = y_N gives (53); putting (52) of one "
        "slot into (51) of the next is (28), so "
        "y runs through the states of BDIA with gamma = 1 for every N (checked state by state for N = 2..4 with an "
        "uninterpreted eps). "
        "CBDIA needs two evaluations a step in general, and N + 1 for N steps here, since y_{i-1} is w_{i-1}, whose "
        "evaluation is remembered."
    )


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
def cbdia_01_two_step(solver: Any = CBDIA, reading: AsPrinted = AS_PRINTED["eq-54"]) -> str:
    """(54) and (55) hold on longer ranges than printed."""
    _is_51_52(solver)
    for n in range(2, 9):
        states = {i: (z, y) for i, z, y in coupled_run(solver(0, 1), n)}
        for i in range(1, n):
            right = states[i + 1][1] - delta(i, i + 1, "y") + delta(i, i - 1, "y")
            equal(states[i - 1][1], right, f"(54), N = {n}, i = {i}")
        for i in range(1, n + 1):
            equal(states[i - 1][0], states[i][1] - delta(i - 1, i, "y"), f"(55), N = {n}, i = {i}")
    return (
        "the right ranges are proved: (54) is (52) of slot i+1 put into (51) of slot i, so it holds for all i <= N-1, "
        "and (55) is (52), for all i <= N; the "
        "program's runs for N = 2..8, expanded into abstract increments, agree at every i. As printed, (54) leaves "
        "out i = N-1, without which y_{N-2} is "
        f"not defined, and (55) leaves out i = N, without which z_{{N-1}} is not. {reading.seen()}"
    )


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
def lemma_1(solver: Any = CBDIA, weight: Callable[[Any], Any] = odd) -> str:
    """Lemma 1 for every N, by induction."""
    _lemma_1_holds(solver, weight)
    return (
        "induction on i, downwards, with F_j = Delta(t_j -> t_{j-1}|y_j), B_j = Delta(t_j -> t_{j+1}|y_j) abstract and "
        "o(m) = mod(m, 2) = (1 - (-1)^m)/2. The program's step at (0, 1), recorded with an index of which nothing is "
        "known, is "
        "y_{i-1} = z_i + F_i, z_{i-1} = y_i - B_{i-1}. Base, from z_N = y_N: the weights of F_N and B_{N-1} in (56), "
        "(57) at N-1. "
        "Step: the weights of y_N, F_N, F_j and B_j with j > i (m = j-i symbolic), F_i, B_i and B_{i-1} in the two "
        "new states, formed "
        "from the program's coefficients, equal those of (56) and (57) at i-1. In each slot the forward weight of z_i "
        "is the "
        "backward one of y_i, o(m-1) and o(m), whose sum is 1: opposite directions. So it holds for every N and any "
        "increments. "
        "Cross-check: the runs for N = 2..8, expanded."
    )


@check("eq-56", "eq-57", verdict="proved", mutants=_LEMMA_1_MUTANTS)
def lemma_1_formulas(solver: Any = CBDIA, weight: Callable[[Any], Any] = odd) -> str:
    """(56) and (57) with arrows."""
    _lemma_1_holds(solver, weight)
    return (
        "proved with Lemma 1 (induction for every N, and runs for N = 2..8 expanded). In our copy "
        "Delta takes the difference of two times where it takes two times and an arrow (what that does, run: (32))."
    )


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
            right_y = plus(start + w[n - i] * first, (w[j - i] * t for j, t in terms.items()))
            equal(y, right_y, f"(56), N = {n}, i = {i}")
            rest = (w[j - i - 1] * t for j, t in terms.items() if j >= i + 2)
            right_z = plus(start + w[n - i - 1] * first - delta(i, i + 1, "y"), rest)
            equal(z, right_z, f"(57), N = {n}, i = {i}")


_LEMMA_2_MUTANTS = {
    **CBDIA_MUTANTS,
    "another method from i = 9 on": _REMARK_MUTANTS["another method from i = 9 on"],
    "mixing weights that do not sum to 1 inside": {
        "solver": mutant(CBDIA, ("z: g1 * z + (1 - g1) * y", "z: g1 * z + (1 - g1) * (1 - g2) * y"))
    },
}


@check("eq-58", "eq-59", "lemma-2", verdict="proved", mutants=_LEMMA_2_MUTANTS)
def lemma_2(solver: Any = CBDIA) -> str:
    """CBDIA (1, 0) is (58)-(59), and Lemma 2 for every N."""
    got = relations(solver(1, 0), 1)
    z0 = {Z: 1, (1, 0, source({Y: 1})): 1}
    require(got["z"] == z0, f"(58): z is {got['z']}")
    require(got["y"] == {Y: 1, (0, 1, source(z0)): -1}, f"(59): y is {got['y']}")
    for n in range(2, 9):
        for i, z, y in coupled_run(solver(1, 0), n):
            (start,) = vectors("y_N")
            equal(y, plus(start, (-1 * delta(j, j + 1, "z") for j in range(i, n))), f"Lemma 2, y, N = {n}, i = {i}")
            equal(z, plus(start, (delta(j, j - 1, "y") for j in range(i + 1, n + 1))), f"Lemma 2, z, N = {n}, i = {i}")
    _slot_sums(solver)
    return (
        "the program at (1, 0), with abstract increments and an index of which nothing is known, is (58)-(59). "
        "Induction on i, downwards: for i = N both "
        "sums are empty; (58) adds the term j = i of the "
        "second sum and (59) the term j = i-1 of the first, so the lemma holds for every N and any increments. "
        "Cross-check: the runs for N = 2..8, expanded. "
        "For symbolic (gamma_1, gamma_2) each new state has weights of z_i and y_i that add to 1, and of the new "
        "slot's two "
        "increments that differ by 1; so in every past slot, by induction, the forward weight less the backward "
        "weight is 1, and for "
        "gammas in [0, 1] both are averages of numbers in [0, 1]: (phi, 1 - phi) averages each past slot, if phi != "
        "1/2."
    )


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


def test_remark_2() -> None:
    assert cbdia_01_step() and cbdia_01_two_step()


def test_lemma_1() -> None:
    assert lemma_1() and lemma_1_formulas()


def test_lemma_2() -> None:
    assert lemma_2()
