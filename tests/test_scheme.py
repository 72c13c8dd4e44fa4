"""The pictures of a step: what feeds what, and which update stands for which slot, read off the recorded program."""

from fractions import Fraction

import pytest

from bdia_numerics import BDIA, CBDIA, DDIM, EDICT, SOLVERS
from bdia_numerics.analysis.scheme import interlacing, scheme
from bdia_numerics.claims.ledger import mutate
from bdia_numerics.program import structure


def weights(solver, slots=6):
    return {(s.state, s.slot, s.taken_at): s.weight for s in interlacing(solver, slots=slots)}


@pytest.mark.parametrize("gamma", [Fraction(1), Fraction(1, 2), Fraction(9, 10)])
def test_shares_are_those_of_proposition_1(gamma):
    """(31): forward and backward updates of each slot, for every state."""
    n, found = 6, weights(BDIA(gamma))
    right = {}
    for i in range(n):
        right[i, i + 1, i + 1] = Fraction(1)
        for j in range(i + 2, n + 1):
            right[i, j, j] = (1 - (-gamma) ** (j - i)) / (1 + gamma)
            right[i, j, j - 1] = (gamma + (-gamma) ** (j - i)) / (1 + gamma)
    assert found == {place: weight for place, weight in right.items() if weight}


def test_neighbouring_slots_have_opposite_updates():
    """Fig. 3: at gamma = 1 one update a slot, forwards and backwards in turn."""
    taken = {(s.state, s.slot): s.taken_at for s in interlacing(BDIA(1), slots=6)}
    assert len(taken) == 21
    for (state, slot), at in taken.items():
        assert at == (slot if (slot - state) % 2 else slot - 1)


def test_ddim_takes_forward_updates_alone():
    assert weights(DDIM()) == {(i, j, j): 1 for i in range(6) for j in range(i + 1, 7)}


@pytest.mark.parametrize("solver", [CBDIA(), EDICT(), SOLVERS["PLMS"](2), SOLVERS["PLMS"](4)])
def test_shares_of_a_slot_add_up_to_one(solver):
    sums = {}
    for (state, slot, _), weight in weights(solver).items():
        sums[state, slot] = sums.get((state, slot), 0) + weight
    assert set(sums.values()) == {1} and len(sums) == 21


def test_what_is_not_linear_in_sigma_has_no_shares():
    with pytest.raises(ValueError, match="not linear in sigma"):
        interlacing(SOLVERS["OBELM"]())


@pytest.mark.parametrize("name", SOLVERS)
def test_arrows_of_a_step_are_those_of_its_program(name):
    solver = SOLVERS[name]()
    found = scheme(solver, slots=6)
    step = [a for a in found.arrows if a.slot == 2]
    by_number = {v.number: v for v in found.values}
    assert all({a.source, a.target} <= set(by_number) for a in step)
    # An evaluation that an earlier step took is used again, and not taken anew.
    earlier = {(a.source, a.told) for a in found.arrows if a.slot > 2}
    taken = {(a.source, a.told) for a in step if a.told is not None} - earlier
    assert len(taken) == structure(solver).nfe
    assert any(a.target == v.number for a in step for v in found.values if (v.lane, v.time) == (found.output, 1))


def test_states_that_feed_a_bdia_step():
    """(27): z_{i-1} from z_{i+1} and z_i with gamma and 1 - gamma, and from eps at z_i with both steps."""
    found = scheme(BDIA(Fraction(1, 4)))
    values = {v.number: v for v in found.values}
    step = [(values[a.source].time, values[a.target].time, a.told, a.weight) for a in found.arrows if a.slot == 2]
    # sigma is 5, 11, 19 at t_1, t_2, t_3.
    assert set(step) == {(3, 1, None, 0.25), (2, 1, None, 0.75), (2, 1, 2.0, (5 - 11) - (19 - 11) / 4)}


def test_stages_lie_between_the_ends_of_their_slot():
    assert {a.told for a in scheme(SOLVERS["RK4"]()).arrows if a.slot == 2} == {None, 2, 1.5, 1}


@pytest.mark.parametrize(
    ("solver", "change"),
    [
        (BDIA, ("- g * backward", "+ g * backward")),
        (BDIA, ("s.i + 1, z, e", "s.i - 1, z, e")),
        (BDIA, ("s.eps(z)", "s.eps(z_prev)")),
        (CBDIA, ("s.delta(end, s.i, z, s.eps(z))", "s.delta(s.i, end, y, s.eps(y))")),
        (EDICT, ("first, first + s.delta(s.i, end, first, s.eps(second))", "first, first + s.delta(s.i, end, first, s.eps(first))")),
    ],
)  # fmt: skip
def test_another_program_gives_another_picture(solver, change):
    right, wrong = solver(), mutate(solver, change)()
    assert scheme(wrong) != scheme(right)
    assert solver is EDICT or weights(wrong) != weights(right)  # of EDICT the times are the same, the states are not


def test_the_pictures_are_clear():
    pytest.importorskip("matplotlib", reason="needs the extra report")
    from figure_checks import faults

    from bdia_numerics.plots.scheme import interlaced, programs

    drawn = (
        programs([(name, scheme(SOLVERS[name]())) for name in ("BDIA", "EDICT", "CBDIA")]),
        interlaced([(f"BDIA {g}", interlacing(BDIA(g), slots=5)) for g in (Fraction(1), Fraction(1, 2))]),
    )
    for figure in drawn:
        assert faults(figure) == []
