"""Truncated power series: their coefficients are those of the functions, and they say how far they are known."""

from types import SimpleNamespace

import pytest
import sympy

from bdia_numerics.analysis.expansion.layouts import layout
from bdia_numerics.analysis.expansion.propagation import telescopes
from bdia_numerics.analysis.expansion.series import (
    EXACT,
    SOLUTION,
    Expansion,
    SeriesSpace,
    TooShort,
    derivative,
    rational_functions,
)
from bdia_numerics.spaces.base import UndecidedError

TERMS, A, H = 5, sympy.Symbol("~a"), sympy.Symbol("h")
SPACE = SeriesSpace(rational_functions([A]), TERMS)
a, h = SPACE.symbol("a"), SPACE.h
SUMS = {
    "(2 + a*h + 3*h**2)*(1 - h**2 + a*h**3)": (2 + a * h + 3 * h**2) * (1 - h**2 + a * h**3),
    "1/(2 + a*h - h**3)": 1 / (2 + a * h - h**3),
    "(h + a*h**2)/(h**2 - 3*h**3)": (h + a * h**2) / (h**2 - 3 * h**3),
    "(1 + a*h)**-2": (1 + a * h) ** -2,
    "exp(a*h + h**2)": SPACE.exp(a * h + h**2),
    "log(1 + a*h - h**2)": SPACE.log(1 + a * h - h**2),
    "sqrt(1 + a*h - h**2)": SPACE.sqrt(1 + a * h - h**2),
}


@pytest.mark.parametrize("text", SUMS)
def test_a_series_is_that_of_its_function(text):
    """As far as it says that it is known: TERMS coefficients from the lowest one on."""
    found = SUMS[text]
    low = found.valuation
    wanted = sympy.sympify(text, {"a": A, "h": H}).series(H, 0, low + TERMS).removeO()
    known = range(min(low, 0), min(found.precision, low + TERMS))
    assert len(known) >= TERMS
    assert [found.coefficient(k).as_expr() - wanted.coeff(H, k) for k in known] == [0] * len(known)
    if found.precision < EXACT:
        with pytest.raises(TooShort):
            found.coefficient(found.precision)


def test_the_exponential_of_a_constant_is_a_factor():
    space = SeriesSpace(rational_functions([A, sympy.Symbol("~_0")]), TERMS)
    found = space.exp(2 + space.h)
    assert list(space.constants) == ["exp(2)"]
    assert [found.coefficient(k) for k in (0, 1)] == [space.constants["exp(2)"]] * 2


@pytest.mark.parametrize("in_time", [False, True])
def test_alpha_has_the_derivatives_that_its_symbols_are_called(in_time):
    """a0 is alpha, and a1, a2 are its derivatives in t, or in sigma/alpha over alpha."""
    where = layout([], TERMS, 1, spacing="uniform", in_time=in_time)
    alpha, step = where.point(-1).alpha, where.place(-1).coefficient(1)
    a0, a1, a2 = (where.space.symbols[f"~a{k}"] for k in range(3))
    size = 1 if in_time else a0
    assert [alpha.coefficient(k) for k in range(3)] == [a0, size * a1 * step, size * a2 * step**2 / 2]


def test_powers_of_a_root_are_reduced():
    space = SeriesSpace(rational_functions([sympy.Symbol("~r")]), TERMS, root=(2, 3))
    r = space.symbol("r")
    assert [(r * r * r).coefficient(0), (r * r * r * r).coefficient(0)] == [2, 2 * r.coefficient(0)]


def test_a_series_is_known_as_far_as_its_factors_are():
    short, long = (h + h**2).truncated(3), (h**2 + a * h**4).truncated(7)
    assert (short + long).precision == 3 and short.truncated(5) is short
    assert (short * long).precision == (long * short).precision == 5  # O(h^3) h^2
    assert (long / short).precision == 3  # 1/h of h^3 loses as much as it gains: 1/short is known to O(h^1)
    assert len(SPACE.series(-1, [0, 1, 2, 0, 0]).coefficients) == 2  # without zeros at either end
    assert not Expansion.zero(SPACE).at(TERMS - 1)
    with pytest.raises(TooShort):
        Expansion.zero(SPACE).at(TERMS)
    with pytest.raises(UndecidedError):
        SPACE.is_zero((h**3).truncated(3))


@pytest.mark.parametrize(
    ("of", "power", "nothing"),
    [
        (lambda v, w: v**2 - 1, 2, True),  # h_{i+1}^2 - h_i^2
        (lambda v, w: v**2 * w - v, 3, True),  # h_{i+1}^2 h_{i+2} - h_i^2 h_{i+1}
        (lambda v, w: v**2 * w - v**2, 3, False),  # h_{i+1}^2 h_{i+2} - h_i h_{i+1}^2
        (lambda v, w: v - 1, 2, False),  # h_i h_{i+1} - h_i^2
        (lambda v, w: v**3 - 1, 2, False),  # h_{i+1}^3/h_i - h_i^2
        (lambda v, w: 1 / v, 2, False),
    ],
)
def test_what_adds_up_to_nothing_over_the_slots(of, power, nothing):
    where = layout([], 5, 2)
    w1, w2 = (where.space.symbols[f"~{name}"] for name in ("w1", "w2"))
    parts = [Expansion.of(where.space, {SOLUTION: where.space.series(power, [of(w1, w2)])}, 5)]
    assert telescopes(SimpleNamespace(layout=where), parts, power) == nothing


def test_the_derivative_of_an_elementary_differential_takes_each_argument_in_turn():
    first, second, third, fourth = ((0, k) for k in range(1, 5))
    assert list(derivative((1, 0, (first, second, third)))) == [
        (1, (1, 1, (first, second, third))),
        (1, (1, 0, (second, second, third))),
        (1, (1, 0, (first, third, third))),
        (1, (1, 0, (first, second, fourth))),
    ]
