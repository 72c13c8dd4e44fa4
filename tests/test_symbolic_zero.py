"""Whether an expression vanishes: one value proves that it does not, and the normal form alone that it does."""

import pytest
import sympy

from bdia_numerics.program import invertibility
from bdia_numerics.solvers import SOLVERS
from bdia_numerics.spaces import SYMBOLS, symbolic

A, B, C = sympy.symbols("a b c")
CASES = [
    ((A + B) ** 2 - A**2 - 2 * A * B - B**2, True),
    ((A**2 - B**2) / (A - B) - A - B, True),
    (A / B - A * C / (B * C), True),
    ((A**2 - B**2) / (A - B) - A - 2 * B, False),
    (A * symbolic._PRIME, False),
    (A / symbolic._PRIME, False),
    (sympy.exp(A) * sympy.exp(-A) - 1, True),
    (sympy.exp(A) - 1, False),
    (sympy.sqrt(2) * A, False),
    (sympy.Integer(0), True),
    (sympy.Rational(1, 3), False),
]


@pytest.mark.parametrize(("x", "zero"), CASES)
def test_zero_is_decided_exactly(x, zero):
    assert SYMBOLS.is_zero(x) is zero


def test_a_point_at_which_it_happens_to_vanish_proves_nothing():
    """The expression vanishes at the very number at which a is tried, and is not zero."""
    assert not SYMBOLS.is_zero(A - symbolic._drawn("a"))
    assert not SYMBOLS.is_zero(1 / (A - symbolic._drawn("a")))


def test_few_normal_forms_are_made(monkeypatch):
    """The verdicts of all solvers ask a thousand times whether a coefficient vanishes, and it hardly ever does."""
    asked, made = [], []
    normal, is_zero = symbolic._normal, symbolic.Symbols.is_zero
    monkeypatch.setattr(symbolic, "_normal", lambda x: made.append(x) or normal(x))
    monkeypatch.setattr(symbolic.Symbols, "is_zero", lambda self, x: asked.append(x) or is_zero(self, x))
    for make in (SOLVERS["BDIA3"], SOLVERS["EDICT"], SOLVERS["PLMS"]):
        invertibility.__wrapped__(make())
    assert 0 < len(made) <= len(asked) / 5
