"""Number systems: what each takes, refuses and keeps, and the one array kernel."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings, strategies as st

from bdia_numerics import spaces
from bdia_numerics.spaces.base import decimal
from bdia_numerics.spaces.kernel import BLOCK, linear_combination

MP = spaces.MPMath(30)
ALL = [spaces.FLOAT32, spaces.FLOAT64, spaces.LONGDOUBLE, MP, spaces.FRACTION, spaces.SYMBOLS]
ROUNDED = [spaces.FLOAT64, spaces.LONGDOUBLE, MP]
FUNCTIONS = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "acos", "sinh", "asinh")
FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=100)
named = pytest.mark.parametrize("space", ALL, ids=lambda s: s.name)
rationals = st.fractions(max_denominator=10**12).filter(lambda x: x == 0 or 1e-200 < abs(x) < 1e200)


def unit(space):
    return {"longdouble": float(np.finfo(np.longdouble).eps), MP.name: 1e-30}.get(space.name, 2.0**-52)


@named
def test_a_value_says_its_system(space):
    x = space.number(Fraction(1, 3))
    # Scalars of all shorter floats are Python floats, and an mpf does not know its precision.
    expected = {spaces.FLOAT32: spaces.FLOAT64, MP: spaces.MPMath(mpmath.mp.dps)}.get(space, space)
    assert spaces.of(x) == expected
    array = space.array([1, Fraction(1, 3), "0.25"])
    assert array.shape == (3,)
    assert spaces.of(array) == (expected if space is MP else space)
    assert spaces.named(space) is space


@FIXED
@given(rationals)
def test_field_undoes_number_and_coefficient_is_the_nearest(x):
    assert spaces.FRACTION.number(x) == x
    assert spaces.SYMBOLS.number(x) == sympy.Rational(x.numerator, x.denominator)
    for space in ROUNDED:
        rounded = space.coefficient(x)
        exact = space.field(rounded)
        assert space.number(exact) == rounded
        assert abs(exact - x) <= Fraction(unit(space)) / 2 * abs(x) * (1 if space is not MP else 2)
    # Rounded once, to nearest: no neighbour is closer.
    nearest = spaces.LONGDOUBLE.coefficient(x)
    error = abs(spaces.LONGDOUBLE.field(nearest) - x)
    for side in (-np.longdouble(np.inf), np.longdouble(np.inf)):
        assert error <= abs(spaces.LONGDOUBLE.field(np.nextafter(nearest, side)) - x)


def test_mpmath_rounds_a_quotient_once():
    # A numerator of 40 digits: rounding it before the division would err by another unit in the last place.
    with MP.working():
        bits = mpmath.mp.prec
    for k in range(200):
        x = Fraction(10**40 + 7919 * k, 3**25 + 2 * k)
        error = abs(MP.field(MP.coefficient(x)) - x) / x
        assert error <= Fraction(1, 2**bits)


@pytest.mark.parametrize("x", [0.5, np.float32(0.5), np.float64(0.5), np.longdouble(0.5), True, 1j, None])
@pytest.mark.parametrize("space", [MP, spaces.FRACTION, spaces.SYMBOLS], ids=lambda s: s.name)
def test_floats_are_refused_where_every_digit_counts(space, x):
    with pytest.raises(TypeError) as caught:
        space.number(x)
    assert "\n" not in str(caught.value)
    if isinstance(x, float):
        assert "write Fraction('0.5')" in str(caught.value)


@pytest.mark.parametrize(
    "x", [1j, np.array([1, 2]), np.array([1j]), [1.0], "1", None, object(), np.array([], dtype=object), True]
)
def test_what_is_in_no_system(x):
    with pytest.raises(TypeError, match="number system"):
        spaces.of(x)


def test_a_tensor_names_the_module_that_registers_tensors():
    tensor = type("Tensor", (), {"__module__": "torch.nn"})()
    with pytest.raises(TypeError, match=r"a Tensor is in no number system yet: import bdia_numerics\.torch"):
        spaces.of(tensor)


def test_an_array_that_mixes_systems_is_refused():
    for mixed in ([Fraction(1, 2), 0.5], [mpmath.mpf(1), Fraction(1)], [sympy.Symbol("x"), 0.5]):
        with pytest.raises(TypeError, match=r"mixes .* with .*: give all its elements in one system"):
            spaces.of(np.array(mixed, dtype=object))
    assert spaces.of(np.array([1, Fraction(1, 2)], dtype=object)) is spaces.FRACTION
    assert spaces.of(np.array([sympy.Symbol("x"), sympy.Symbol("x") + 1], dtype=object)) is spaces.SYMBOLS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions(name):
    reference = {"acos": "acos", "asinh": "asinh"}.get(name, name)
    with mpmath.workdps(40):
        expected = getattr(mpmath, reference)(mpmath.mpf(3) / 8)
        for space in ROUNDED:
            value = getattr(space, name)(space.number(Fraction(3, 8)))
            with mpmath.workdps(40):
                exact = space.field(value)
                # A few units in the last place of a library function.
                assert abs(mpmath.mpf(exact.numerator) / exact.denominator - expected) <= 4 * unit(space) * abs(
                    expected
                )
    with pytest.raises(TypeError, match=f"{name} of a Fraction is not rational"):
        getattr(spaces.FRACTION, name)(Fraction(3, 8))
    x = sympy.Symbol("x")
    symbolic = getattr(spaces.SYMBOLS, name)(x)
    assert float(symbolic.subs(x, sympy.Rational(3, 8))) == pytest.approx(float(expected), rel=1e-14, abs=0)


def test_the_circle_constant():
    for space in ROUNDED:
        with mpmath.workdps(45):
            exact = space.field(space.pi)
            assert abs(mpmath.mpf(exact.numerator) / exact.denominator - mpmath.pi) <= unit(space) * 4
    assert spaces.SYMBOLS.pi is sympy.pi
    with pytest.raises(TypeError, match="pi is not rational"):
        _ = spaces.FRACTION.pi


def test_precision_belongs_to_the_run_and_is_given_back():
    before = mpmath.mp.dps
    with spaces.MPMath(80).working():
        assert mpmath.mp.dps == 80
    assert mpmath.mp.dps == before
    assert spaces.MPMath(1).dps == 1
    for bad in (0, -3, 2.5, "50"):
        with pytest.raises(ValueError, match="is not a number of digits: use a positive integer"):
            spaces.MPMath(bad)


def test_names_of_systems():
    assert spaces.named(np.float32) == spaces.FLOAT32
    assert spaces.named(float) == spaces.FLOAT64
    assert spaces.named(Fraction) is spaces.FRACTION
    for bad in ("quaternions", int, complex, 7):
        with pytest.raises(TypeError, match=r"space=.* names no number system|is not a real float"):
            spaces.named(bad)


def test_written_decimals_are_kept():
    assert decimal(0.1) == Fraction(1, 10) != Fraction(0.1)
    assert decimal("0.00085") == decimal(0.00085) == Fraction(17, 20000)
    assert decimal(3) == 3


def test_zero_of_symbols_is_decided_and_not_guessed():
    a, b = sympy.symbols("a b")
    assert spaces.SYMBOLS.is_zero((a + b) ** 2 - a**2 - 2 * a * b - b**2)
    assert spaces.SYMBOLS.is_zero(1 / a - b / (a * b))
    assert not spaces.SYMBOLS.is_zero(a - b)
    assert spaces.SYMBOLS.coefficient((a**2 - b**2) / (a - b)) == a + b


def test_a_normal_form_of_symbols_is_one_and_that_of_sympy():
    a, b, c = sympy.symbols("a b c", positive=True)
    forms = [
        (1 / (a - b) + 1 / (b - a) + c, c),
        ((a / b - c / b) / (a / c - 1), c / b),
        ((a + b) / 6 + (a - b) / 3, (3 * a - b) / 6),
        (1 / (1 / (a - b) - 1 / (a + b)), (a**2 - b**2) / (2 * b)),
        (1 / (b - a), -1 / (a - b)),
        ((sympy.log(a) / b - c / b) / (sympy.log(a) / c - 1), c / b),
        (1 / (1 / (sympy.log(a / b) - a) - 1 / (a + sympy.log(a / b))), (sympy.log(a / b) ** 2 - a**2) / (2 * a)),
    ]
    for x, y in forms:
        assert spaces.SYMBOLS.coefficient(x) == spaces.SYMBOLS.coefficient(y)
        assert sympy.cancel(spaces.SYMBOLS.coefficient(x) - sympy.cancel(y)) == 0
        assert spaces.SYMBOLS.is_zero(x - y) and not spaces.SYMBOLS.is_zero(x - y + 1)
        assert spaces.SYMBOLS.combine([x, -1], [a, a * y]) == 0
    # The sign goes to the numerator's side whichever way the quotient is written, also where a variable drops out.
    assert spaces.SYMBOLS.coefficient((c - c + a) / (b - a)) == spaces.SYMBOLS.coefficient(c * a / (c * b - c * a))
    # What is not rational in its symbols is brought to a quotient as well.
    assert spaces.SYMBOLS.is_zero((sympy.log(a) ** 2 - 1) / (sympy.log(a) - 1) - sympy.log(a) - 1)
    assert spaces.SYMBOLS.coefficient(sympy.pi * a / (sympy.pi * b)) == a / b


def test_nested_divided_differences_have_a_short_normal_form():
    """Sums over many denominators, as interpolants give: one greatest common divisor for all of it takes minutes."""
    a, s = sympy.symbols("a:4", positive=True), sympy.symbols("s:4", positive=True)
    x = [q / p for p, q in zip(a, s, strict=True)]
    first = [1 / (x[k] - x[k + 1]) for k in range(3)]
    second = [(first[k] - first[k + 1]) / (x[k] - x[k + 2]) for k in range(2)]
    found = spaces.SYMBOLS.coefficient((second[0] - second[1]) / (x[0] - x[3]) * x[1] ** 3)
    values = dict(zip((*a, *s), (3, 5, 7, 2, 11, 13, 4, 9), strict=True))
    x = [Fraction(q, p) for p, q in zip((3, 5, 7, 2), (11, 13, 4, 9), strict=True)]
    f = [1 / (x[k] - x[k + 1]) for k in range(3)]
    g = [(f[k] - f[k + 1]) / (x[k] - x[k + 2]) for k in range(2)]
    expected = (g[0] - g[1]) / (x[0] - x[3]) * x[1] ** 3
    assert found.subs(values) == sympy.Rational(expected.numerator, expected.denominator)
    top, bottom = sympy.fraction(found)
    assert sympy.gcd(top, bottom) in (1, -1)


def test_formal_vectors_are_equal_exactly_when_their_coefficients_are():
    a, b = sympy.symbols("a b")
    x, y = spaces.Vector.basis("x"), spaces.Vector.basis("y")
    model = spaces.formal_model()
    assert (x + y) * (a**2 - b**2) / (a - b) == x * (a + b) + (a + b) * y
    assert x - x == spaces.Vector({})
    assert hash(a * x - x * a) == hash(spaces.Vector({}))
    assert model(x * a / b, 1) == model((a / b) * x, 1)
    assert model(x, 1) != model(x, 2) and model(x, 1) != model(y, 1)
    # Nothing is assumed of eps: it is neither linear nor additive.
    assert model(2 * x, 1) != 2 * model(x, 1)
    with pytest.raises(TypeError, match="float"):
        x * 0.5
    with pytest.raises(TypeError):
        x + 1


# The kernel


DTYPES = (np.float16, np.float32, np.float64, np.longdouble)
SIZES = (1, 7, BLOCK, 8 * BLOCK - 1, 8 * BLOCK, 8 * BLOCK + 1, 11 * BLOCK + 13)
# Each two of a dtype, a size and a number of terms meet.
PATHS = [
    (dtype, size, terms)
    for (i, dtype), (j, size), (k, terms) in product(*map(enumerate, (DTYPES, SIZES, (1, 2, 5))))
    if (i + j + k) % 2
]


@pytest.mark.parametrize(("dtype", "size", "terms"), PATHS)
def test_the_kernel_does_not_depend_on_its_path(dtype, size, terms):
    rng = np.random.default_rng(size + terms)
    values = [rng.standard_normal(size).astype(dtype) for _ in range(terms)]
    coefficients = [dtype(c) if dtype is np.longdouble else float(c) for c in rng.standard_normal(terms)]
    plain = coefficients[0] * values[0]
    for c, v in zip(coefficients[1:], values[1:], strict=True):
        plain = plain + c * v
    result = linear_combination(coefficients, values)
    assert result.dtype == dtype and np.array_equal(result, plain)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_result_may_be_written_over_any_of_the_values(place):
    values = list(np.random.default_rng(0).standard_normal((3, 9 * BLOCK + 5)))
    expected = linear_combination([2.0, -0.5, 3.0], [v.copy() for v in values])
    result = linear_combination([2.0, -0.5, 3.0], values, values[place])
    assert result is values[place]
    assert np.array_equal(result, expected)


def test_shapes_strides_and_threads():
    wide = np.random.default_rng(1).standard_normal((3, 600, 500))
    expected = 2.0 * wide[0] + 0.5 * wide[1]
    assert np.array_equal(linear_combination([2.0, 0.5], [wide[0], wide[1]]), expected)
    assert np.array_equal(linear_combination([2.0, 0.5], [wide[0].T, wide[1].T]), expected.T)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: linear_combination([2.0, 0.5], [wide[0], wide[1]]), range(8)))
    assert all(np.array_equal(r, expected) for r in results)


def test_overflow_in_the_kernel_is_a_value_and_no_warning():
    for size in (4, 9 * BLOCK):
        big = np.full(size, 1e308)
        assert np.all(np.isinf(linear_combination([10.0, 1.0], [big, big])))
    assert not spaces.FLOAT64.finite(np.array([1.0, np.inf])) and not spaces.FLOAT64.finite(np.array([np.nan]))
    # The sum of finite values may overflow: that is not a value that is infinite.
    assert spaces.FLOAT64.finite(np.full(4, 1e308)) and spaces.FLOAT32.finite(np.full(4, np.float32(3e38)))


@pytest.mark.posix
def test_a_forked_child_has_its_own_threads():
    code = (
        "import numpy as np, os, sys\n"
        "from bdia_numerics.spaces.kernel import linear_combination as f\n"
        "z = np.ones(600_000); f([1.0, 1.0], [z, z])\n"
        "pid = os.fork()\n"
        "if pid == 0: os._exit(0 if f([1.0, 1.0], [z, z])[-1] == 2.0 else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False).returncode == 0


def test_the_root_mean_square_of_what_overflows_warns_of_nothing():
    rms = spaces.FLOAT64.rms
    assert rms(np.array([np.inf, 1e200])) == np.inf and np.isnan(rms(np.array([np.nan, 1e200, np.inf])))
    assert rms(np.array([3e200, -4e200])) == pytest.approx(5e200 / np.sqrt(2))
