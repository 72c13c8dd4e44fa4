"""Exact quotients whose terms are not brought to lowest terms: they are the Fractions that they stand for."""

import copy
import operator
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics import BDIA, BDIA2, EDICT, grids, schedules
from bdia_numerics.program import record_steps
from bdia_numerics.spaces.rationals import Quotient, exact

OPERATORS = (operator.add, operator.sub, operator.mul, operator.truediv)


def draw(rng):
    """Return a number as both kinds, or an int as it is."""
    kind = rng.randrange(4)
    if kind == 0:
        return (n := rng.randrange(-3, 4)), n
    x = rng.uniform(-2, 2) if kind == 1 else Fraction(rng.randrange(-9, 9), rng.randrange(1, 9))
    return Fraction(x), Fraction(x) if kind == 2 else exact(x)


@pytest.mark.parametrize("seed", range(20))
def test_arithmetic_is_that_of_fractions(seed):
    rng = random.Random(seed)
    plain, own = draw(rng)
    own = exact(own)
    plain = Fraction(plain)
    for _ in range(40):
        right, other = draw(rng)
        apply = rng.choice(OPERATORS)
        a, b = ((plain, right), (own, other)) if rng.random() < 0.5 else ((right, plain), (other, own))
        if apply is operator.truediv and a[1] == 0:
            with pytest.raises(ZeroDivisionError):
                apply(*b)
            continue
        plain, own = apply(*a), apply(*b)
        assert type(own) is Quotient
        assert own == plain and plain == own and hash(own) == hash(plain) and float(own) == float(plain)
        assert (own < right) == (plain < right) and (own >= right) == (plain >= right)
        if abs(plain) > 2**30:
            plain, own = 1 / plain, 1 / own


VALUES = [exact(0.75) / exact(0.5), exact(-3.5) * exact(2), exact(0.1) - exact(0.1), exact(4) / exact(-6), exact("2/6")]


@pytest.mark.parametrize("value", VALUES)
def test_all_else_is_that_of_fractions(value):
    plain = Fraction(value.numerator, value.denominator)
    assert (value.numerator, value.denominator) == (plain.numerator, plain.denominator) == value.as_integer_ratio()
    assert (str(value), repr(value), bool(value)) == (str(plain), repr(plain), bool(plain))
    for function in (
        abs,
        operator.neg,
        operator.pos,
        round,
        int,
        lambda x: x**3,
        lambda x: (x - 5) ** -2,
        lambda x: x % 2,
    ):
        assert function(value) == function(plain) and hash(function(value)) == hash(function(plain))
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == copy.copy(value) == plain
    assert value.is_integer() == (plain.denominator == 1) and isinstance(value, Fraction)
    assert value * 0.5 == plain * 0.5 and type(value * 0.5) is float
    assert np.float64(0.5) + value == 0.5 + float(plain)


@pytest.mark.parametrize("x", [float("nan"), float("inf"), np.float32("-inf")])
def test_what_is_not_finite_is_refused(x):
    with pytest.raises((ValueError, OverflowError)):
        exact(x)


def test_long_chains_stay_short():
    """A sum of many fractions has the bits of its lowest terms, and not those of all denominators together."""
    total, step = exact(0), exact(Fraction(1, 3))
    for _ in range(20_000):
        total = total + step
    assert total == Fraction(20_000, 3) and total._denominator.bit_length() < 5000


@pytest.mark.parametrize("solver", [BDIA(Fraction(9, 10)), EDICT(), BDIA2()], ids=["BDIA", "EDICT", "BDIA2"])
def test_recording_on_floats_reduces_nothing(solver, monkeypatch):
    """A slot takes dozens of operations; none of them looks for common factors, which `Fraction`'s do."""
    made = []
    ordinary = Fraction.__new__

    def counted(kind, *arguments, **options):
        made.append(arguments)
        return ordinary(kind, *arguments, **options)

    made_of = grids.uniform(schedules.vp_cosine(), 64, t_max=0.9, t_min=0.1)
    grid = grids.from_values(
        made_of.t, made_of.alpha, made_of.sigma
    )  # without a schedule, whose formulas have Fractions
    record_steps(solver, grid)
    monkeypatch.setattr(Fraction, "__new__", counted)
    record_steps(solver, grid)
    assert len(made) <= 4 * grid.n
