"""Propositions 1 and 2, with the equations of their proofs.

Proposition 1 is proved for every N by induction on the program's own step: the increments are left abstract, so the
theorem holds for any approximation of the integrals, and the exponents are symbols, so it holds for every index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted
from bdia_numerics.claims.formal import Formal, Increment, abstract_run, equal, increments, vectors
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.spaces import Vector

_MUTANTS = {
    "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
    "gamma and 1 - gamma exchanged": {"solver": mutant(BDIA, ("(1 - g) *", "g *"))},
    "forward increment dropped": {"solver": mutant(BDIA, (" + forward", ""))},
    "eps of the state before": {"solver": mutant(BDIA, ("s.eps(z)", "s.eps(z_prev)"))},
}


_PROP_1_MUTANTS = {
    **_MUTANTS,
    "another gamma from i = 9 on": {
        "solver": mutant(BDIA, ("s.value(self.gamma)", "s.value(self.gamma) / (1 + (s.i > 8))"))
    },
    "start with half a step": {"starter": mutant(DDIM, ("z + s.delta", "z + s.value(s.one / 2) * s.delta"))},
}


def _symbols() -> tuple[Any, Any, Any]:
    import sympy

    return sympy.Symbol("gamma", positive=True), sympy.Symbol("m", integer=True, positive=True), sympy.simplify


def forward_weight(m: Any, g: Any) -> Any:
    """Weight of Delta(t_j -> t_{j-1} | z_j) in z_i, with m = j - i, eq. (30)."""
    return (1 - (-g) ** m) / (1 + g)


def backward_weight(m: Any, g: Any) -> Any:
    """Weight of -Delta(t_{j-1} -> t_j | z_{j-1}) in z_i, with m = j - i, eq. (30)."""
    return (g + (-g) ** m) / (1 + g)


def bdia_relation(solver: Any, g: Any, k: int = 1) -> tuple[Any, Any, Any, Any]:
    """Return the weights (z_{k+1}, z_k, Delta(t_k -> t_{k+1} | z_k), Delta(t_k -> t_{k-1} | z_k)) in its z_{k-1}."""
    got = increments(solver(g), k, {"z_prev": k + 1, "z": k})
    current = frozenset({("z", "z"): 1}.items())
    keys = (("z", "z_prev"), ("z", "z"), (k, k + 1, current), (k, k - 1, current))
    require(
        set(got["z"]) <= set(keys),
        f"the step is not a combination of z_(i+1), z_i and their two increments: {got['z']}",
    )
    require(got["z_prev"] == {("z", "z"): 1}, "the step does not hand z_i on")
    weights = [got["z"].get(key, 0) for key in keys]
    return weights[0], weights[1], weights[2], weights[3]


def require_identity(left: Any, right: Any, what: str) -> None:
    """Require two expressions in gamma and (-gamma)^m to be equal, for symbolic m."""
    _, _, simplify = _symbols()
    difference = simplify((left - right).expand(power_exp=True))
    require(difference == 0, f"{what}: the sides differ by {difference}")


@check("prop-1", "eq-30", "eq-31", "eq-39", "eq-40", "eq-41", verdict="proved", mutants=_PROP_1_MUTANTS)
def proposition_1(solver: Any = BDIA, starter: Any = DDIM) -> None:
    """z_i as a sum of averaged increments, for every N."""
    import sympy

    g, m, _ = _symbols()
    older, newer, back, forth = (sympy.sympify(w) for w in bdia_relation(solver, g))
    F, B = forward_weight, backward_weight
    _start_adds_first_increment(starter)
    # The sum of (30) with the last term (31) is the sum over all j > i, since the weights at m = 1 are 1 and 0.
    require_identity(F(sympy.Integer(1), g), sympy.Integer(1), "weight of the newest forward increment")
    require_identity(B(sympy.Integer(1), g), sympy.Integer(0), "weight of the newest backward increment")
    require_identity(older + newer, sympy.Integer(1), "z_N")
    require_identity(older * F(m, g) + newer * F(m + 1, g), F(m + 2, g), "forward increments of the slots j >= k+2")
    require_identity(older * B(m, g) + newer * B(m + 1, g), B(m + 2, g), "backward increments of the slots j >= k+2")
    require_identity(newer * F(sympy.Integer(1), g), F(sympy.Integer(2), g), "forward increment of slot k+1")
    require_identity(-newer * B(sympy.Integer(1), g) + back, -B(sympy.Integer(2), g), "backward increment of slot k+1")
    require_identity(forth, F(sympy.Integer(1), g), "forward increment of slot k")
    _expanded(solver, starter, g)


def _start_adds_first_increment(starter: Any) -> None:
    source = frozenset({("z", "z"): 1}.items())
    got = increments(starter(), 1, {"z": 1})["z"]
    require(got == {("z", "z"): 1, (1, 0, source): 1}, "the start does not add the first increment")


def _concrete_run(solver: Any, g: Any, n: int) -> tuple[list[Vector], Increment]:
    """Run the solver over n slots with DDIM increments and an uninterpreted eps."""
    p, (zn,) = Formal(n), vectors("z_N")
    z = p.run(solver(g), zn)
    return z, lambda j, k: p.forward(j, z[j]) if k < j else p.backward(k, z[j])


def _runs(solver: Any, starter: Any, g: Any) -> Iterator[tuple[int, list[Vector], Increment]]:
    # With eps uninterpreted the expressions grow exponentially with N, so these runs end at 4.
    yield from ((n, *abstract_run(solver(g), starter(), n)) for n in range(2, 9))
    yield from ((n, *_concrete_run(solver, g, n)) for n in range(2, 5))


def _expanded(solver: Any, starter: Any, g: Any) -> None:
    for n, z, increment in _runs(solver, starter, g):
        for i in range(n - 1):
            total = z[n] + increment(i + 1, i)
            for j in range(i + 2, n + 1):
                forward, backward = forward_weight(j - i, g), backward_weight(j - i, g)
                total = total + forward * increment(j, j - 1) - backward * increment(j - 1, j)
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
    import sympy

    g, m, _ = _symbols()
    require_identity(forward_weight(m, g) + weight(m, g), sympy.Integer(1), "the two weights of a slot")
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
    mutants={**_MUTANTS, "the published text corrected": {"reading": AS_PRINTED["eq-32"].corrected}},
)
def proposition_1_at_one(solver: Any = BDIA, reading: AsPrinted = AS_PRINTED["eq-32"]) -> dict[str, Any]:
    """(32) is Proposition 1 at gamma = 1."""
    import sympy

    _, m, _ = _symbols()
    one = sympy.Integer(1)
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


@check(
    "prop-2",
    verdict="proved",
    mutants={
        **_MUTANTS,
        "gamma = 1/2": {"solver": lambda: lambda gamma: BDIA(gamma / 2)},
        "eps told the time of the end": {"solver": mutant(BDIA, ("s.eps(z)", "s.eps(z, at=s.i - 1)"))},
    },
)
def proposition_2(solver: Any = BDIA) -> None:
    """Exchanging t_{i-1} and t_{i+1} in (28) gives the inverse, and the other way round; only at gamma = 1."""
    import sympy

    p, (older, middle, newer) = Formal(2), vectors("z_2", "z_1", "z_0")
    one = sympy.Integer(1)
    step = p.step(solver(one), {"z_prev": older, "z": middle})["z"]
    undo = p.undo(solver(one), {"z_prev": middle, "z": newer})["z_prev"]
    equal(_exchanged(step, p), undo, "(28) with t_(i-1) and t_(i+1) exchanged = its inverse")
    equal(_exchanged(undo, p), step, "the inverse with t_(i-1) and t_(i+1) exchanged = (28)")
    g = sympy.Symbol("gamma", positive=True)
    general = _exchanged(p.step(solver(g), {"z_prev": older, "z": middle})["z"], p)
    defect = general - p.undo(solver(g), {"z_prev": middle, "z": newer})["z_prev"]
    require(
        sympy.cancel(defect.coefficient("z_0") - (g - 1 / g)) == 0,
        f"for any gamma the two should differ by gamma - 1/gamma in z_(i-1), not by {defect.coefficient('z_0')}",
    )


def _exchanged(vector: Vector, p: Formal) -> Vector:
    """Exchange the two outer times and the states that stand at them; eps stands still, at the state and time between."""
    middle = p.eps(Vector.basis("z_1"), 1).terms
    outside = {name for name in vector.terms if not isinstance(name, str)} - set(middle)
    require(not outside, f"the step uses {outside}, not eps(z_i, t_i) alone, which the exchange leaves alone")
    pairs = [(p.alpha(0), p.alpha(2)), (p.sigma(0), p.sigma(2))]
    swap = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    names = {"z_0": "z_2", "z_2": "z_0"}
    return Vector({names.get(name, name): c.subs(swap, simultaneous=True) for name, c in vector.terms.items()})
