"""Proposition 2: BDIA with gamma = 1 is symmetric in time.

Statement. Exchanging t_{i-1} and t_{i+1} in the step (28), z_{i-1} = z_{i+1} - Delta(t_i -> t_{i+1} | z_i) + Delta(t_i -> t_{i-1} | z_i),
and with them the states that stand there, gives its inverse; exchanging them in the inverse gives the step.

Proof. The program is run on symbols over three free times 2, 1, 0, which stand for i+1, i, i-1, with eps uninterpreted; its inverse is
derived from the program. One is exchanged and compared with the other, coefficient by coefficient. For any gamma the two differ in
the weight of z_{i-1} by gamma - 1/gamma, so that within [0, 1] the symmetry holds at gamma = 1 alone.
"""

from __future__ import annotations

from typing import Any

import sympy

from bdia_numerics.claims.equations import STEP_MUTANTS
from bdia_numerics.claims.formal import Formal, equal, vectors
from bdia_numerics.claims.ledger import check, mutant, require
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces import Vector


@check(
    "prop-2",
    verdict="proved",
    mutants={
        **STEP_MUTANTS,
        "gamma = 1/2": {"solver": lambda: lambda gamma: BDIA(gamma / 2)},
        "eps told the time of the end": {"solver": mutant(BDIA, ("s.eps(z)", "s.eps(z, at=s.i - 1)"))},
    },
)
def proposition_2(solver: Any = BDIA) -> None:
    """Exchanging t_{i-1} and t_{i+1} in (28) gives the inverse, and the other way round; only at gamma = 1."""
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


# A check raises CheckFailed where its statement does not hold; that each can fail, its mutants show (test_claims.py).
def test_proposition_2() -> None:
    proposition_2()
