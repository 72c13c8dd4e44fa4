"""Appendix B.2 and B.3: CBDIA (0, 1) is BDIA with gamma = 1, Lemmas 1 and 2; (51)-(59) and remark 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bdia_numerics.claims.cbdia import CBDIA_MUTANTS
from bdia_numerics.claims.formal import Formal, equal, increments, vectors
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.propositions import require_identity
from bdia_numerics.run import solve
from bdia_numerics.solvers import BDIA, CBDIA
from bdia_numerics.spaces import Vector


def _relations(solver: Any, i: int) -> dict[str, dict[Any, Any]]:
    return increments(solver, i, {"z": i, "y": i})


_Z, _Y = ("z", "z"), ("z", "y")


def _source(terms: dict[Any, Any]) -> frozenset[Any]:
    return frozenset(terms.items())


def _coupled_run(solver: Any, n: int) -> Iterator[tuple[int, Vector, Vector]]:
    """Expand a CBDIA run from z_N = y_N into abstract increments; yield (i, z_i, y_i) from N down.

    An increment's basis element is named by its two ends and by the state it is taken at, as a combination of the old
    ones that equals a new register: "y_i" or "z_i".
    """
    (start,) = vectors("y_N")
    z = y = start
    yield n, z, y
    for i in range(n, 0, -1):
        relation = _relations(solver, i)
        named = {_source({_Z: 1}): f"z_{i}", _source({_Y: 1}): f"y_{i}"}
        named |= {_source(relation[name]): f"{name}_{i - 1}" for name in ("z", "y")}
        basis = {_Z: z, _Y: y}
        for terms in list(relation.values()):
            for key in terms:
                if key not in basis:
                    require(key[2] in named, f"an increment is taken at {dict(key[2])}, which is no state of the run")
                    basis[key] = Vector.basis(f"Delta({key[0]} -> {key[1]} | {named[key[2]]})")
        z, y = (_combined(relation[name], basis) for name in ("z", "y"))
        yield i - 1, z, y


def _combined(terms: dict[Any, Any], basis: dict[Any, Vector]) -> Vector:
    total = Vector({})
    for key, c in terms.items():
        total = total + c * basis[key]
    return total


def _delta(j: int, k: int, state: str) -> Vector:
    return Vector.basis(f"Delta({j} -> {k} | {state}_{j})")


@check("eq-51", "eq-52", "eq-53", "remark-2", verdict="proved", mutants=CBDIA_MUTANTS)
def cbdia_01_step(solver: Any = CBDIA) -> str:
    """CBDIA (0, 1) is (51)-(53), and its y is BDIA with gamma = 1."""
    got = _relations(solver(0, 1), 1)
    y0 = {_Z: 1, (1, 0, _source({_Y: 1})): 1}
    require(got["y"] == y0, f"(51): y is {got['y']}")
    require(got["z"] == {_Y: 1, (0, 1, _source(y0)): -1}, f"(52): z is {got['z']}")
    for n in (2, 3, 4):
        f, (start,) = Formal(n), vectors("y_N")
        y = start
        path = {n: y}

        def keep(i: int, state: Any, path: dict[int, Vector] = path) -> None:
            path[i] = state.registers["y"]

        run = solve(solver(0, 1), f.model, f.grid, start, callback=keep)
        require(run.nfe == n + 1, f"(0, 1) took {run.nfe} evaluations for N = {n}")
        equal(path[n - 1], start + f.forward(n, start), f"(53), N = {n}")
        for i, state in enumerate(f.run(BDIA(1), start)):
            equal(path[i], state, f"y_{i} of CBDIA (0, 1) and z_{i} of BDIA, N = {n}")
    return (
        "the program at (0, 1), with abstract increments, is (51)-(52), and z_N = y_N gives (53); putting (52) of one "
        "slot into (51) of the next is (28), so "
        "y runs through the states of BDIA with gamma = 1 for every N (checked state by state for N = 2..4 with an "
        "uninterpreted eps). "
        "CBDIA needs two evaluations a step in general, and N + 1 for N steps here, since y_{i-1} is w_{i-1}, whose "
        "evaluation is remembered."
    )


@check("eq-54", "eq-55", verdict="misprint", mutants=CBDIA_MUTANTS)
def cbdia_01_two_step(solver: Any = CBDIA) -> str:
    """(54) and (55) hold on longer ranges than printed."""
    for n in range(2, 9):
        states = {i: (z, y) for i, z, y in _coupled_run(solver(0, 1), n)}
        for i in range(1, n):
            right = states[i + 1][1] - _delta(i, i + 1, "y") + _delta(i, i - 1, "y")
            equal(states[i - 1][1], right, f"(54), N = {n}, i = {i}")
        for i in range(1, n + 1):
            equal(states[i - 1][0], states[i][1] - _delta(i - 1, i, "y"), f"(55), N = {n}, i = {i}")
    return (
        "the right ranges are proved: (54) is (52) of slot i+1 put into (51) of slot i, so it holds for all i <= N-1, "
        "and (55) is (52), for all i <= N; the "
        "program's runs for N = 2..8, expanded into abstract increments, agree at every i. As printed, (54) leaves "
        "out i = N-1, without which y_{N-2} is "
        "not defined, and (55) leaves out i = N, without which z_{N-1} is not."
    )


def _odd(m: Any) -> Any:
    return (1 - (-1) ** m) / 2


@check("lemma-1", verdict="proved", mutants=CBDIA_MUTANTS)
def lemma_1(solver: Any = CBDIA) -> str:
    """Lemma 1 for every N, by induction."""
    _lemma_1_holds(solver)
    return (
        "induction on i, downwards, with F_j = Delta(t_j -> t_{j-1}|y_j), B_j = Delta(t_j -> t_{j+1}|y_j) abstract "
        "and o(m) = mod(m, 2) = (1 - (-1)^m)/2. The "
        "program's step at (0, 1) is y_{i-1} = z_i + F_i, z_{i-1} = y_i - B_{i-1}. Base i = N-1: y = y_N + F_N, z = "
        "y_N - B_{N-1}, as (56), (57) say. Step: "
        "y_{i-1} inherits from z_i the weights o(j-i-1) = o(j-i+1) for j >= i+2 and symbolic j-i, o(N-i-1) = o(N-i+1) "
        "of F_N, none at j = i+1 as "
        "o(2) = 0, and gets -B_i + F_i at j = i as o(1) = 1; z_{i-1} inherits those of y_i unchanged and gets "
        "-B_{i-1}. So both hold for every N and any "
        "increments. Cross-check: the runs for N = 2..8, expanded."
    )


@check("eq-56", "eq-57", verdict="misprint", mutants=CBDIA_MUTANTS)
def lemma_1_formulas(solver: Any = CBDIA) -> str:
    """(56) and (57) with arrows."""
    _lemma_1_holds(solver)
    return (
        "the right forms are proved with Lemma 1 (induction for every N, and runs for N = 2..8 expanded). As printed, "
        "Delta takes the difference of two times "
        "where it takes two times and an arrow."
    )


def _lemma_1_holds(solver: Any) -> None:
    import sympy

    cbdia_01_step(solver)
    m = sympy.Symbol("m", integer=True, positive=True)
    require_identity(_odd(m + 2), _odd(m), "o(m+2) = o(m)")
    require(_odd(sympy.Integer(2)) == 0 and _odd(sympy.Integer(1)) == 1, "o(2) = 0, o(1) = 1")
    for n in range(2, 9):
        for i, z, y in _coupled_run(solver(0, 1), n):
            if i == n:
                continue
            first = _delta(n, n - 1, "y")
            terms = {j: _delta(j, j - 1, "y") - _delta(j, j + 1, "y") for j in range(i + 1, n)}
            (start,) = vectors("y_N")
            right_y = _plus(start + ((n - i) % 2) * first, (((j - i) % 2) * t for j, t in terms.items()))
            equal(y, right_y, f"(56), N = {n}, i = {i}")
            rest = (((j - i - 1) % 2) * t for j, t in terms.items() if j >= i + 2)
            right_z = _plus(start + ((n - i - 1) % 2) * first - _delta(i, i + 1, "y"), rest)
            equal(z, right_z, f"(57), N = {n}, i = {i}")


def _plus(total: Vector, terms: Iterator[Vector]) -> Vector:
    for term in terms:
        total = total + term
    return total


@check("eq-58", "eq-59", "lemma-2", verdict="proved", mutants=CBDIA_MUTANTS)
def lemma_2(solver: Any = CBDIA) -> str:
    """CBDIA (1, 0) is (58)-(59), and Lemma 2 for every N."""
    got = _relations(solver(1, 0), 1)
    z0 = {_Z: 1, (1, 0, _source({_Y: 1})): 1}
    require(got["z"] == z0, f"(58): z is {got['z']}")
    require(got["y"] == {_Y: 1, (0, 1, _source(z0)): -1}, f"(59): y is {got['y']}")
    for n in range(2, 9):
        for i, z, y in _coupled_run(solver(1, 0), n):
            (start,) = vectors("y_N")
            equal(y, _plus(start, (-1 * _delta(j, j + 1, "z") for j in range(i, n))), f"Lemma 2, y, N = {n}, i = {i}")
            equal(
                z, _plus(start, (_delta(j, j - 1, "y") for j in range(i + 1, n + 1))), f"Lemma 2, z, N = {n}, i = {i}"
            )
    return (
        "the program at (1, 0), with abstract increments, is (58)-(59). Induction on i, downwards: for i = N both "
        "sums are empty; (58) adds the term j = i of the "
        "second sum and (59) the term j = i-1 of the first, so the lemma holds for every N and any increments. "
        "Cross-check: the runs for N = 2..8, expanded."
    )
