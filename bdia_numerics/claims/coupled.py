"""EDICT and CBDIA against (11)-(18) and appendix B: (43)-(63), Lemmas 1 and 2, remark 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.claims.formal import Formal, equal, increments, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.claims.propositions import require_identity
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.program import NotInvertibleError, Recorder, inverse_latex
from bdia_numerics.run import solve
from bdia_numerics.solvers import BDIA, CBDIA, EDICT
from bdia_numerics.spaces import Vector

_EDICT_MUTANTS = {
    "second evaluation at the old state": {
        "solver": mutant(EDICT, ("s.eps(z, at=end if self.shifted else s.i)", "s.eps(y)"))
    },
    "p and 1 - p exchanged in one mixing": {"solver": mutant(EDICT, ("p * y + (1 - p) * z", "(1 - p) * y + p * z"))},
    "second evaluation at t_{i-1}": {"solver": mutant(EDICT, ("end if self.shifted else s.i", "end"))},
}
_CBDIA_MUTANTS = {
    "backward increment added": {"solver": mutant(CBDIA, ("y - s.delta(end", "y + s.delta(end"))},
    "ends of the backward increment exchanged": {
        "solver": mutant(CBDIA, ("s.delta(end, s.i, z", "s.delta(s.i, end, z"))
    },
    "weights of the mixing exchanged": {
        "solver": mutant(CBDIA, ("z: g1 * z + (1 - g1) * y", "z: (1 - g1) * z + g1 * y"))
    },
}


def _symbols(*names: str) -> tuple[Any, ...]:
    import sympy

    return tuple(sympy.Symbol(name) for name in names)


@check("eq-11", "eq-12", "eq-13", "eq-14", verdict="definition", mutants=_EDICT_MUTANTS)
def edict_step(solver: Any = EDICT) -> str:
    """The EDICT program is (11)-(14)."""
    f, (z1, y1), (p,) = Formal(1), vectors("z_1", "y_1"), _symbols("p")
    got = f.step(solver(p), {"z": z1, "y": y1})
    z_inter = f.a(1) * z1 + f.b(1) * f.eps(y1, 1)
    y_inter = f.a(1) * y1 + f.b(1) * f.eps(z_inter, 1)
    z0 = p * z_inter + (1 - p) * y_inter
    equal(got["z"], z0, "(11)-(13)")
    equal(got["y"], p * y_inter + (1 - p) * z0, "(14)")
    return "defines EDICT; the program, run on symbols over one slot, equals (11)-(14), for any eps."


def _edict_inverse(solver: Any) -> tuple[Formal, Any, dict[str, Vector], dict[str, Vector]]:
    """Return what the derived inverse gives from (z_{i-1}, y_{i-1}), and those states."""
    f, (z0, y0), (p,) = Formal(1), vectors("z_0", "y_0"), _symbols("p")
    after = {"z": z0, "y": y0}
    found = f.undo(solver(p), after)
    for name, value in f.step(solver(p), found).items():
        equal(value, after[name], f"step after undo, {name}")
    try:
        f.undo(solver(0), after)
    except NotInvertibleError:
        return f, p, found, after
    raise CheckFailed("p = 0 was not refused")


def _printed_edict_inverse(f: Formal, p: Any, after: dict[str, Vector]) -> dict[str, Vector]:
    """(15)-(18), with (16) and (18) as they should read."""
    y_inter = (after["y"] - (1 - p) * after["z"]) / p
    z_inter = (after["z"] - (1 - p) * y_inter) / p
    y1 = (y_inter - f.b(1) * f.eps(z_inter, 1)) / f.a(1)
    return {"y": y1, "z": (z_inter - f.b(1) * f.eps(y1, 1)) / f.a(1)}


@check("eq-15", "eq-17", verdict="proved", mutants=_EDICT_MUTANTS)
def edict_inverse(solver: Any = EDICT) -> str:
    """(15) and (17) are the derived inverse."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["y"], _printed_edict_inverse(f, p, after)["y"], "(15)-(17)")
    return (
        "the inverse derived from the EDICT program gives y_i by (15), (16) (right form) and (17), coefficient by "
        "coefficient, for any eps, and the step undoes "
        f"it; the condition is p != 0: p = 0, which the paper's [0, 1] includes, is refused. Derived: "
        f"${inverse_latex(EDICT())}$"
    )


@check("eq-16", "eq-18", verdict="misprint", mutants=_EDICT_MUTANTS)
def edict_inverse_misprints(solver: Any = EDICT) -> str:
    """(16) and (18), with the right subscripts, are the derived inverse."""
    f, p, found, after = _edict_inverse(solver)
    equal(found["z"], _printed_edict_inverse(f, p, after)["z"], "(16) and (18)")
    return (
        "the right forms are proved: the inverse derived from the program gives z_i by (15)-(18) with y_i^inter in "
        "(16) and z_i in (18), for any eps. As "
        "printed they cannot be run: y_{i-1}^inter belongs to the next slot and x_i to nothing."
    )


@check("eq-43", "eq-44", "eq-61", verdict="misprint", mutants=_CBDIA_MUTANTS)
def cbdia_misprints(solver: Any = CBDIA) -> str:
    """(43), (44) and (61) in their right form are the CBDIA program; (61) as printed does not converge."""
    f, z1, y1, w, v = _cbdia_parts()
    g1, g2 = _symbols("gamma_1", "gamma_2")
    got = f.step(solver(g1, g2), {"z": z1, "y": y1})
    equal(got["z"], g1 * w + (1 - g1) * v, "z with the right (61)")
    equal(got["y"], g2 * w + (1 - g2) * v, "y with the right (61)")
    right, printed = (misprint_errors(program, STEPS) for program in (solver(0, 1), MisprintedCBDIA(0, 1)))
    require(right[-1] < right[0] / 50, f"the right form should converge, errors {right}")
    require(printed[-1] > printed[-2] / 1.5, f"the printed form should stop converging, errors {printed}")
    return (
        "the right forms are proved: the program equals (43)-(46) with the increments Delta(t_i -> t_{i-1}|y_i) and "
        "Delta(t_{i-1} -> t_i|w_{i-1}), for any eps. "
        "As printed (perhaps a fault of extraction), (43) and (44) integrate the same unknown path forwards both "
        "times. (61) as printed, with alpha_{i-1} for "
        f"alpha_i, run with (0, 1) on a Gaussian mixture at N = {', '.join(map(str, STEPS))}: errors "
        f"{_show(printed)}; with alpha_i: {_show(right)}."
    )


STEPS = (10, 20, 40, 80, 160, 320)


def _show(errors: list[float]) -> str:
    return ", ".join(f"{e:.2g}" for e in errors)


class MisprintedCBDIA(CBDIA):
    """CBDIA with (61) as printed: alpha_{i-1} stands where alpha_i belongs, in front of the bracket."""

    def step(self, s: Recorder) -> None:
        """Record (60), (61) as printed, (62) and (63)."""
        z, y = s.registers
        g1, g2, end = s.value(self.gamma1), s.value(self.gamma2), s.i - 1
        s.assign(z, z + s.delta(s.i, end, y, s.eps(y)), at=end)
        e = s.eps(z)
        bracket = (z - s.sigma(end) * e) / s.alpha(end)
        s.assign(y, y - (s.alpha(end) * bracket + s.sigma(s.i) * e - z), at=end)
        s.mix({z: g1 * z + (1 - g1) * y, y: g2 * z + (1 - g2) * y})


def misprint_errors(solver: Any, steps: tuple[int, ...]) -> list[float]:
    """Return the root-mean-square error of x_0 against the exact flow, for each number of steps.

    Linear VP schedule, 200 states, a mixture of two Gaussians on the line, grid uniform in asinh(sigma/alpha).
    """
    schedule = schedules.vp_linear()
    law = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
    z = np.random.default_rng(0).standard_normal((200, 1))
    truth = law.flow(z, 1.0, 0.001, schedule)
    errors = []
    for n in steps:
        grid = grids.asinh(schedule, n, t_min=0.001)
        got = solve(solver, law.model(schedule), grid, z).z
        errors.append(float(np.sqrt(np.mean((got - truth) ** 2))))
    return errors


def _cbdia_parts() -> tuple[Formal, Vector, Vector, Vector, Vector]:
    f, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    w = z1 + f.forward(1, y1)
    return f, z1, y1, w, y1 - f.backward(1, w)


@check("eq-45", "eq-46", "eq-62", "eq-63", verdict="definition", mutants=_CBDIA_MUTANTS)
def cbdia_mixing(solver: Any = CBDIA) -> str:
    """The mixing of the CBDIA program."""
    f, z1, y1, w, v = _cbdia_parts()
    g1, g2 = _symbols("gamma_1", "gamma_2")
    got = f.step(solver(g1, g2), {"z": z1, "y": y1})
    equal(got["z"], g1 * w + (1 - g1) * v, "(45)")
    equal(got["y"], g2 * w + (1 - g2) * v, "(46)")
    return "defines the mixing; the program, run on symbols over one slot, equals it, for any eps."


@check(
    "eq-60",
    verdict="proved",
    mutants={"eps of the other state": {"solver": mutant(CBDIA, ("y, s.eps(y)", "y, s.eps(z)"))}},
)
def cbdia_forward_part(solver: Any = CBDIA) -> str:
    """(60): with g1 = 1 the step's z is w."""
    f, z1, y1, _, _ = _cbdia_parts()
    e = f.eps(y1, 1)
    got = f.step(solver(1, 0), {"z": z1, "y": y1})["z"]
    equal(got, z1 + f.alpha(0) * ((y1 - f.sigma(1) * e) / f.alpha(1)) + f.sigma(0) * e - y1, "(60)")
    return "the program at (1, 0), whose z is w, equals (60) on symbols, for any eps."


@check("eq-47", "eq-48", "eq-49", "eq-50", verdict="proved", mutants=_CBDIA_MUTANTS)
def cbdia_inverse(solver: Any = CBDIA) -> str:
    """(47)-(50) are the derived inverse."""
    f, (z0, y0) = Formal(1), vectors("z_0", "y_0")
    g1, g2 = _symbols("gamma_1", "gamma_2")
    after = {"z": z0, "y": y0}
    found = f.undo(solver(g1, g2), after)
    v = (g1 * y0 - g2 * z0) / (g1 - g2)
    w = ((1 - g1) * y0 - (1 - g2) * z0) / (g2 - g1)
    y1 = v + f.backward(1, w)
    equal(found["y"], y1, "(47)-(49)")
    equal(found["z"], w - f.forward(1, y1), "(50)")
    for name, value in f.step(solver(g1, g2), found).items():
        equal(value, after[name], f"step after undo, {name}")
    try:
        f.undo(solver(g1, g1), after)
    except NotInvertibleError:
        return (
            "the inverse derived from the CBDIA program equals (47)-(50) coefficient by coefficient, for any eps, and "
            "the step undoes it; the condition, the "
            "mixing's determinant, is gamma_1 != gamma_2, and equal ones are refused."
        )
    raise CheckFailed("gamma_1 = gamma_2 was not refused")


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


@check("eq-51", "eq-52", "eq-53", "remark-2", verdict="proved", mutants=_CBDIA_MUTANTS)
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


@check("eq-54", "eq-55", verdict="misprint", mutants=_CBDIA_MUTANTS)
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


@check("lemma-1", verdict="proved", mutants=_CBDIA_MUTANTS)
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


@check("eq-56", "eq-57", verdict="misprint", mutants=_CBDIA_MUTANTS)
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


@check("eq-58", "eq-59", "lemma-2", verdict="proved", mutants=_CBDIA_MUTANTS)
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
