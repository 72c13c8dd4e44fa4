"""Butcher's order conditions, from programs, against tableaus."""

from fractions import Fraction

import pytest

from bdia_numerics import DDIM, EDICT, RK4, Heun, Midpoint, RFSolver, analysis
from bdia_numerics.claims.ledger import mutate

TABLEAUS = {  # c, a, b
    "Euler": (DDIM(), ([0], [[]], [1])),
    "Heun": (Heun(), ([0, 1], [[], [1]], [Fraction(1, 2), Fraction(1, 2)])),
    "midpoint": (Midpoint(), ([0, Fraction(1, 2)], [[], [Fraction(1, 2)]], [0, 1])),
    "midpoint in t": (RFSolver(), ([0, Fraction(1, 2)], [[], [Fraction(1, 2)]], [0, 1])),
    "RK4": (
        RK4(),
        (
            [0, Fraction(1, 2), Fraction(1, 2), 1],
            [[], [Fraction(1, 2)], [0, Fraction(1, 2)], [0, 0, 1]],
            [Fraction(1, 6), Fraction(1, 3), Fraction(1, 3), Fraction(1, 6)],
        ),
    ),
}


def conditions(tableau):
    """The classical sums: b, bc, bcc, bac, bccc, bcac, bacc, baac."""
    c, a, b = tableau
    n = range(len(b))
    ac = [sum(x * c[j] for j, x in enumerate(row)) for row in a]
    acc = [sum(x * c[j] ** 2 for j, x in enumerate(row)) for row in a]
    aac = [sum(x * ac[j] for j, x in enumerate(row)) for row in a]
    return {
        "f": sum(b),
        "f'(f)": sum(b[i] * c[i] for i in n),
        "f''(f, f)": sum(b[i] * c[i] ** 2 for i in n),
        "f'(f'(f))": sum(b[i] * ac[i] for i in n),
        "f'''(f, f, f)": sum(b[i] * c[i] ** 3 for i in n),
        "f''(f, f'(f))": sum(b[i] * c[i] * ac[i] for i in n),
        "f'(f''(f, f))": sum(b[i] * acc[i] for i in n),
        "f'(f'(f'(f)))": sum(b[i] * aac[i] for i in n),
    }


@pytest.mark.parametrize("name", TABLEAUS)
def test_weights_are_the_sums_of_the_tableau(name):
    solver, tableau = TABLEAUS[name]
    assert {x.tree: x.weight for x in analysis.order_conditions(solver)} == conditions(tableau)


@pytest.mark.parametrize("name", TABLEAUS)
def test_the_order_is_that_of_the_conditions(name):
    solver, _ = TABLEAUS[name]
    found = analysis.order_conditions(solver, 5)
    order = analysis.symbolic_order(solver).order
    assert all(x.satisfied for x in found if x.order <= order)
    assert not all(x.satisfied for x in found if x.order == order + 1)


def test_what_the_exact_solution_wants():
    wanted = {x.tree: x.wanted for x in analysis.order_conditions(DDIM())}
    assert [1 / wanted[k] for k in conditions(TABLEAUS["RK4"][1])] == [1, 2, 3, 6, 4, 8, 12, 24]
    assert len(analysis.order_conditions(DDIM(), 6)) == 1 + 1 + 2 + 4 + 9 + 20


@pytest.mark.parametrize("change", [("+ 2 * (d3", "+ (d3"), ("there(j, d3)", "there(j, d2)")])
def test_a_mutant_of_rk4_loses_its_order(change):
    wrong = mutate(RK4, change)()
    assert not all(x.satisfied for x in analysis.order_conditions(wrong))
    assert analysis.symbolic_order(wrong).order < 4


def test_several_registers_are_refused():
    with pytest.raises(ValueError, match="several registers"):
        analysis.order_conditions(EDICT())
