"""Characteristic polynomials, root conditions and intervals, against brute force and classical tables."""

import contextlib
import inspect
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
import sympy

from bdia_numerics import (
    ALF,
    BDIA,
    BDIA2,
    BDIA3,
    BELM,
    CBDIA,
    DDIM,
    DEIS,
    EDICT,
    IIAEDM,
    OBELM,
    PLMS,
    RK4,
    SOLVERS,
    DPMSolver,
    Heun,
    Leapfrog,
    McCallumFoster,
    NotInvertibleError,
    ReversibleHeun,
    Rex,
    SymmetricMultistep,
    analysis,
    datasheet,
    grids,
    program,
    schedules,
)
from bdia_numerics.analysis.designing.templates import Multistep
from bdia_numerics.analysis.expansion.modes import factors, keeps_sign, schur
from bdia_numerics.analysis.expansion.order import consistent, equations_of, start_error
from bdia_numerics.analysis.stability.characteristic import between, nowhere_stable
from bdia_numerics.claims.ledger import mutate
from bdia_numerics.solvers.history import renew
from bdia_numerics.solvers.interpolation import increment

g, g1, g2, p = sympy.symbols("gamma gamma1 gamma2 p")
zeta = sympy.Symbol("zeta")
before, after, here = sympy.symbols("alpha_{i+1} alpha_{i-1} alpha_i")


@pytest.mark.parametrize("coefficients", [(2, 1), (1, 2), (1, 1), (1, 2, 3, 1, 2, 1), (3, -1, 1, 1), (4, 1, 1, -1, 1)])
def test_the_recursion_of_schur_and_cohn(coefficients):
    """Also where the product of the roots has modulus 1, and the recursion meets zeros."""
    assert schur([Fraction(c) for c in coefficients]) == bool(np.all(abs(np.roots(coefficients)) < 1))


def test_a_number_between_two_that_agree_in_fifteen_digits_is_neither():
    low, high = sympy.Integer(1), 1 + sympy.Rational(1, 10**20)
    assert low < between(low, high) < high


@pytest.mark.parametrize("symbol", [zeta, sympy.Symbol("x")], ids=str)
def test_a_symbol_of_the_results_is_none_of_a_solver(symbol):
    """BDIA(gamma=zeta) had (zeta - 1) 2 zeta, and was zero-stable for every gamma."""
    names = "zero_stability", "stability_interval", "growth_parameters", "characteristic_polynomial"
    for ask in (getattr(analysis, name) for name in names):
        with pytest.raises(ValueError, match=f"BDIA.* has the symbol {symbol}, which stands for something else"):
            ask(BDIA(symbol))


def test_what_does_not_depend_on_zeta_is_no_factor():
    found = factors(g * (zeta - 1) ** 2 * (zeta + g), zeta)
    assert {(f.as_expr(), m) for f, m in found} == {(zeta + g, 1), (zeta - 1, 2)} and len(found) == 2


x, y = sympy.symbols("x y")


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ((x - 1) / (1 + x), True),
        (x - sympy.Rational(1, 2), False),
        ((2 * x - 1) ** 2 + y / 4 + sympy.Rational(1, 50) - x**4 / 5, True),  # only after halving; negative beyond 2
        ((2 * x - 1) ** 2 - sympy.Rational(1, 50), False),  # negative for few x
        ((2 * x - 1) ** 2 + (2 * y - 1) ** 2, False),  # 0 at one point
        (1 - x**2 * y**3 + x * y, True),
    ],
)
def test_a_strict_sign_on_the_unit_square(expression, kept):
    assert keeps_sign(expression, (x, y)) == kept


@pytest.mark.parametrize(
    ("solver", "options", "expected"),
    [
        (DDIM(), {}, zeta - 1),
        (BDIA(g), {}, (zeta - 1) * (zeta + g)),
        (BDIA(g), {"alphas": True}, (zeta - 1) * (zeta + g * before / after)),
        (BDIA(g), {"direction": "invert"}, (zeta - 1) * (zeta + 1 / g)),
        (BDIA2(g1, g2), {}, (zeta - 1) * (zeta**2 + g1 * zeta + g2)),
        (EDICT(p), {}, (zeta - 1) * (zeta - p**2)),
        (EDICT(p), {"direction": "invert"}, (zeta - 1) * (zeta - 1 / p**2)),
        (CBDIA(g1, g2), {}, (zeta - 1) * (zeta - g1 + g2)),
        (CBDIA(g1, g2), {"alphas": True}, (zeta - 1) * (zeta - (g1 - g2) * here**2 / after**2)),
        (OBELM(), {"ratios": True}, (zeta - 1) * (zeta + 1 / sympy.Symbol("w_1") ** 2)),
        (PLMS(3), {}, zeta**2 * (zeta - 1)),
        (ALF(), {}, (zeta - 1) * (zeta + 1)),
        (ReversibleHeun(), {}, (zeta - 1) * (zeta + 1)),
    ],
    ids=str,
)
def test_characteristic_polynomials(solver, options, expected):
    assert sympy.simplify(analysis.characteristic_polynomial(solver, **options) - expected) == 0


@pytest.mark.parametrize("name", SOLVERS)
def test_directions_have_reciprocal_roots(name):
    solver = SOLVERS[name]()
    if not program.invertibility(solver).invertible:
        with pytest.raises(NotInvertibleError, match="no derived inverse"):
            analysis.characteristic_polynomial(solver, direction="invert")
        return
    there, back = (analysis.characteristic_polynomial(solver, direction=d) for d in ("sample", "invert"))
    n = sympy.degree(there, zeta)
    reciprocal = sympy.expand(zeta**n * there.subs(zeta, 1 / zeta))
    assert sympy.expand(reciprocal - back * reciprocal.coeff(zeta, n)) == 0


def named(value):
    """Return the id of a parameter; a function has none, since its address changes from process to process."""
    return "" if inspect.isfunction(value) else str(value)


CONDITIONS = [
    (BDIA(g), "sample", lambda x: -1 < x <= 1),
    (BDIA(g), "invert", lambda x: x >= 1 or x < -1),
    (BELM(g), "sample", lambda x: -1 < x <= 1),
    (EDICT(g), "sample", lambda x: -1 < x <= 1),
    (CBDIA(g, 0), "sample", lambda x: -1 <= x <= 1),
    (McCallumFoster(g), "sample", lambda x: -1 <= x <= 1),
    (Rex(g), "invert", lambda x: abs(x) >= 1),
    (BDIA2(g, 1), "sample", lambda x: -2 < x < 2),
    (BDIA3(g, g, 1), "sample", lambda x: -1 < x < 3),
]


@pytest.mark.parametrize(("solver", "direction", "holds"), CONDITIONS, ids=named)
def test_the_region_in_one_parameter(solver, direction, holds):
    found = analysis.zero_stability(solver, direction)
    assert found.stable is None
    for x in [Fraction(k, 4) for k in range(-14, 15)]:
        assert bool(found.condition.subs(g, sympy.Rational(x.numerator, x.denominator))) == holds(x), x


def bounded(V, powers=4000):
    """Say by brute force whether powers of a matrix stay bounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.linalg.matrix_power(V, powers)
    return bool(np.isfinite(total).all() and np.abs(total).max() < 1e3)


@pytest.mark.parametrize("seed", range(12))
def test_random_three_step_methods_against_powers_of_their_companion_matrix(seed):
    rng = np.random.default_rng(seed)
    a = [Fraction(int(k), 8) for k in rng.integers(-10, 11, size=2)]
    a = [1 - sum(a), *a]

    class Method:
        registers = ("z_2", "z_1", "z")

        def step(self, s):
            z_2, z_1, z = s.registers
            value = a[0] * z + a[1] * z_1 + a[2] * z_2 + s.delta(s.i, s.i - 1, z, s.eps(z))
            s.assign(z_2, value, at=s.i - 1)
            s.swap(z_2, z_1)
            s.swap(z_1, z)

    companion = np.array([[0, 1, 0], [0, 0, 1], [a[2], a[1], a[0]]], dtype=float)
    found = analysis.zero_stability(Method())
    assert found.stable == bounded(companion)
    coefficients = [float(c) for c in sympy.Poly(found.polynomial, zeta).all_coeffs()]
    np.testing.assert_allclose(coefficients, np.poly(companion), atol=1e-12)  # a few roundings of numbers below 5


def test_a_double_root_with_two_eigenvectors_is_stable_and_one_with_one_is_not():
    assert analysis.zero_stability(CBDIA(1, 0)).stable
    assert not analysis.zero_stability(BELM(-1)).stable


def test_patterns_of_steps():
    assert analysis.zero_stability(BDIA(1), pattern=(1, 2)).stable
    for direction in ("sample", "invert"):
        assert analysis.zero_stability(OBELM(), direction).stable
        assert not analysis.zero_stability(OBELM(), direction, pattern=(1, 2)).stable
    with pytest.raises(ValueError, match="positive"):
        analysis.zero_stability(OBELM(), pattern=(1, 0))


class Leaning:
    """For alpha = 1; its root beside 1 is (5/16)(1 + 2 w), with w the step before over the present one."""

    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        w = (s.sigma(s.i + 1) - s.sigma(s.i)) / (s.sigma(s.i) - s.sigma(s.i - 1))
        root = Fraction(5, 16) * (1 + 2 * w)
        s.assign(z_prev, z + root * (z - z_prev) + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
        s.swap(z_prev, z)


def test_a_pattern_begins_at_the_data_end():
    """Sampling meets 3, 2, 1, whose product of roots is (5/16)^3 * 4 * 5 * 5/3 > 1; the other way round it is below 1."""
    assert not analysis.zero_stability(Leaning(), pattern=(1, 2, 3)).stable
    assert analysis.zero_stability(Leaning(), pattern=(3, 2, 1)).stable


def multistep(polynomial):
    """Return a method whose characteristic polynomial, monic in zeta, is the given one."""
    weights = [-c for c in sympy.Poly(sympy.expand(polynomial), zeta).all_coeffs()[1:]]

    class Method:
        registers = tuple(f"z_{k}" for k in reversed(range(len(weights))))

        def __init__(self):
            self.weights = weights  # where the analysis finds the symbols

        def step(self, s):
            newest, *older = reversed(s.registers)
            slope = 1 + sum(k * s.value(c) for k, c in enumerate(weights))
            value = slope * s.delta(s.i, s.i - 1, newest, s.eps(newest))
            for k, c in enumerate(weights):
                value = value + s.value(c) * (newest, *older)[k]
            oldest = (newest, *older)[-1]
            s.assign(oldest, value, at=s.i - 1)
            for a, b in zip(s.registers, s.registers[1:], strict=False):
                s.swap(a, b)

    return Method()


@pytest.mark.parametrize(
    ("parasitic", "holds"),
    [
        (zeta**2 - g * zeta + 1, lambda x: abs(x) < 2),
        ((zeta**2 - g * zeta + 1) ** 2, lambda x: False),  # double roots on the circle, wherever they are
        ((zeta**2 - g * zeta + 1) * (zeta**2 + 1), lambda x: 0 < abs(x) < 2),
        ((zeta**2 - g * zeta + 1) * (zeta**2 + g * zeta + 1), lambda x: 0 < abs(x) < 2),
        ((zeta - g) ** 2, lambda x: abs(x) < 1),
    ],
    ids=named,
)
def test_roots_that_stay_on_the_circle_must_be_apart(parasitic, holds):
    found = analysis.zero_stability(multistep((zeta - 1) * parasitic))
    for x in [Fraction(k, 4) for k in range(-10, 11)]:
        here = sympy.Rational(x.numerator, x.denominator)
        assert bool(sympy.sympify(found.condition).subs(g, here)) == holds(x), x
        given = analysis.zero_stability(multistep((zeta - 1) * parasitic.subs(g, here))) if x in (0, 1, 2) else None
        assert given is None or given.stable == holds(x), x


def test_a_symmetric_method_of_five_steps_has_the_pairs_of_roots_that_it_is_given():
    c, c2 = sympy.Rational(1, 4), sympy.Rational(-1, 2)
    found = analysis.characteristic_polynomial(SymmetricMultistep(k=5, c=Fraction(1, 4), c2=Fraction(-1, 2)), zeta=zeta)
    assert sympy.expand(found - (zeta - 1) * (zeta**2 + 2 * c * zeta + 1) * (zeta**2 + 2 * c2 * zeta + 1)) == 0


def test_two_pairs_of_roots_that_stay_on_the_circle():
    """2 zeta^4 + g_1 zeta^3 + g_2 zeta^2 + g_1 zeta + 2 for both coefficients, against its roots."""
    quartic = (1, g1 / 2, g2 / 2, g1 / 2, 1)
    found = analysis.zero_stability(multistep((zeta - 1) * sum(c * zeta**k for k, c in enumerate(quartic))))
    for x in (-6.6, -2.2, 0.6, 3.4):
        for y in (-6.2, -1.4, 0.2, 3.8, 4.6, 10.6):
            roots = np.roots([2, x, y, x, 2])
            inside = bool(np.all(abs(abs(roots) - 1) < 1e-9))
            at = {g1: sympy.Rational(str(x)), g2: sympy.Rational(str(y))}
            assert bool(found.condition.subs(at)) == inside, (x, y)


def test_two_pairs_on_the_circle_in_two_parameters():
    found = analysis.zero_stability(multistep((zeta - 1) * (zeta**2 - g1 * zeta + 1) * (zeta**2 - g2 * zeta + 1)))
    half = sympy.Rational(1, 2)
    for x, y, holds in [(half, 1, True), (1, 1, False), (half, 3, False), (-half, half, True)]:
        assert bool(found.condition.subs({g1: x, g2: y})) == holds
    assert "gamma1 - gamma2 != 0" in str(found)


def test_the_pattern_of_o_belm_grows_linearly_by_brute_force():
    V = [np.array([[0, 1], [r, 1 - r]]) for r in (1 / 4, 4.0)]
    growth = [np.abs(np.linalg.matrix_power(V[1] @ V[0], n)).max() for n in (100, 200, 400)]
    np.testing.assert_allclose(growth[1:], [2 * growth[0], 4 * growth[0]], rtol=0.05)  # affine in n: not quite doubled


def test_a_region_in_two_parameters():
    found = analysis.zero_stability(BDIA2(g1, g2))
    for x, y in [(0.5, 0.5), (1, 0.3), (0.2, 0.9), (1.5, 0.2), (0.5, -0.9), (-1, 0.2), (0.3, 1.2)]:
        inside = np.abs(np.roots([1, x, y])).max() < 1
        assert bool(found.condition.subs({g1: sympy.Rational(str(x)), g2: sympy.Rational(str(y))})) == inside
    assert "gamma2 = 1 with -2 < gamma1 and gamma1 < 2" in str(found)


@pytest.mark.parametrize(
    ("solver", "axis", "length"),
    [
        (DDIM(), "real", 2),
        (DDIM(), "imaginary", 0),
        (BDIA(Fraction(1, 2)), "real", sympy.Rational(2, 3)),
        (BDIA(1), "real", 0),
        (Leapfrog(), "imaginary", 1),
        (Heun(), "real", 2),
        (RK4(), "imaginary", 2 * sympy.sqrt(2)),
        (DEIS(2), "real", 1),
        (PLMS(3), "real", sympy.Rational(6, 11)),
        (PLMS(4), "real", sympy.Rational(3, 10)),
        (PLMS(3), "imaginary", 12 * sympy.sqrt(11) / 55),
    ],
    ids=str,
)
def test_intervals_of_the_tables(solver, axis, length):
    assert sympy.simplify(analysis.stability_interval(solver, axis).length - length) == 0


def test_rk4_on_the_real_axis():
    assert abs(float(analysis.stability_interval(RK4()).length) - 2.785293563405282) < 1e-14  # Hairer, Wanner, IV.2


def test_bdia_for_every_gamma():
    found = analysis.stability_interval(BDIA(g))
    assert sympy.simplify(found.length - 2 * (1 - g) / (1 + g)) == 0
    assert found.valid == sympy.And(g > 0, g < 1)


def test_the_region_agrees_with_the_interval():
    region = analysis.stability_region(BDIA(Fraction(1, 2)), real=(-1.0, 0.5), imaginary=(0.0, 1.0), resolution=31)
    stable = region.real[region.radius[0] <= 1 + 1e-12]  # rounding of one 2x2 eigenvalue
    assert stable.min() > -2 / 3 > stable.min() - 0.05
    assert stable.max() < 1e-12


@pytest.mark.parametrize(
    ("solver", "direction", "empty"),
    [
        (EDICT(), "invert", True),  # the product is 1/p^2
        (CBDIA(), "invert", True),  # 1/(gamma_1 - gamma_2)
        (BDIA(Fraction(1, 2)), "invert", True),
        (BDIA(1), "invert", False),  # a line is left
        (BDIA(1), "sample", False),
        (EDICT(), "sample", False),
        (DDIM(), "sample", False),
    ],
)
def test_where_the_product_of_roots_leaves_no_region(solver, direction, empty):
    assert nowhere_stable(solver, direction=direction) is empty
    region = analysis.stability_region(
        solver, direction=direction, real=(-1.0, 1.0), imaginary=(-1.0, 1.0), resolution=21
    )
    assert bool(region.radius.min() > 1 + 1e-9) is empty


@dataclass(frozen=True)
class Beside:
    """DDIM with a weight, beside a register that changes its sign and sees no evaluation."""

    gamma: object
    registers = ("z", "w")

    def step(self, s):
        z, w = s.registers
        s.assign(z, z + (1 + self.gamma) * s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
        s.assign(w, -w, at=s.i - 1)


def test_a_root_that_stays_on_the_circle_leaves_an_interval():
    with pytest.raises(ValueError, match=r"the roots lie on the circle up to 2/\(gamma \+ 1\)"):
        analysis.stability_interval(Beside(g))


MUTANTS = {
    "sign of the backward increment": ("- g * backward", "+ g * backward"),
    "older state kept": ("- (1 - g) * (z_prev - z)", "- (1 + g) * (z_prev - z)"),
    "forward from the older time": ("s.delta(s.i, s.i - 1, z, e)", "s.delta(s.i + 1, s.i - 1, z, e)"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_bdia_is_told_apart(name):
    wrong = mutate(BDIA, MUTANTS[name])(g)
    right = analysis.symbolic_order(BDIA(g))
    with contextlib.suppress(ValueError):  # a mutant that is not consistent
        found = analysis.symbolic_order(wrong)
        assert (found.order_smooth, found.local) != (right.order_smooth, right.local)


class Doubled:
    """DDIM with twice its increment: bounded, and wrong."""

    registers = ("z",)

    def step(self, s):
        (z,) = s.registers
        s.assign(z, z + 2 * s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)


class HalfLeapfrog:
    """Leapfrog with one of its two increments: invertible bit by bit, zero-stable both ways, and wrong."""

    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        s.assign(z_prev, z_prev + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)
        s.swap(z_prev, z)


class Shrunk:
    """A step that does not keep a constant solution."""

    registers = ("z",)

    def step(self, s):
        (z,) = s.registers
        s.assign(z, 9 * z / 10 + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)


@pytest.mark.parametrize("make", [Doubled, HalfLeapfrog, Shrunk])
def test_an_inconsistent_method_is_called_so(make):
    verdict = analysis.zero_stability(make())
    assert verdict.stable and verdict.consistent is False
    assert str(verdict) == "zero-stable; inconsistent, so that it does not converge"
    rows = dict(datasheet(make(), measured=False).given.rows())
    assert "inconsistent" in rows.get("order", rows.get("no order"))
    assert "inconsistent" in rows["stability, sampling"]
    if make is HalfLeapfrog:
        assert "inconsistent" in rows["stability, inverting"]


@pytest.mark.parametrize("solver", [BDIA(0), BDIA(1), EDICT(0.5), ALF(), IIAEDM(), IIAEDM(a0=2, b0=-1)])
def test_a_consistent_method_is_not(solver):
    assert analysis.zero_stability(solver).consistent and analysis.symbolic_order(solver).consistent


class HalfDEIS(DEIS):
    """DEIS with half of its increment."""

    def step(self, s):
        z, *older = s.registers
        e, times = s.eps(z), tuple(s.i + j for j in range(self.order))
        s.assign(z, z + increment(s, self.variable, s.i, s.i - 1, z, times, (e, *older)) / 2, at=s.i - 1)
        renew(s, older, e, at=s.i)


def members():
    """Yield every solver, and one for each value that its `order` and its `corrector` take."""
    for make in SOLVERS.values():
        for options in [{}, *({name: k} for name in ("order", "corrector") for k in (1, 2, 3, 4))]:
            with contextlib.suppress(TypeError, ValueError):  # it has no such parameter, or no such value of it
                yield make(**options)


@pytest.mark.parametrize("solver", dict.fromkeys(members()), ids=str)
def test_every_solver_is_consistent_at_every_order(solver):
    assert consistent(solver) is True


def test_weights_that_short_series_do_not_show_decide_nothing():
    """The weights of DEIS are differences divided by up to the cube of a step, so that series lose as many terms."""
    assert [consistent(make(k)) for make in (DEIS, HalfDEIS) for k in (3, 4)] == [True, True, False, False]
    assert start_error(DEIS(4)) == 2  # its first step is DDIM


def test_consistency_that_depends_on_symbols():
    """a0 + b0 = 1 is the condition of IIA-EDM, as its docstring has it."""
    rows = dict(datasheet(IIAEDM(), measured=False).general.rows())
    assert rows["order"] == "0, inconsistent: the error does not fall with the steps, unless a0 + b0 - 1 = 0"
    assert analysis.zero_stability(program.symbolised(IIAEDM())).consistent is None
    assert analysis.zero_stability(IIAEDM(a0=2)).consistent is False


def test_equations_without_a_common_solution_are_never_satisfied():
    """Two stages with the second at c: error terms c - 1, 3 c - 2 and c; no c is a zero of two of them."""
    c = sympy.Symbol("c")
    assert equations_of([c - 1, 3 * c - 2, c]) == ()
    assert equations_of([c**2 + 1]) == ()  # no real one
    assert [str(e.lhs) for e in equations_of([c - 1, (c - 1) * (c + 2)])] == ["c - 1", "(c - 1)*(c + 2)"]
    a, b, h, alpha = sympy.symbols("a b h_i alpha_i")
    assert equations_of([a + b - 1, a + b - 2]) == ()
    assert equations_of([a - h, a - 2 * h]) == ()  # it would take a step of length 0
    assert len(equations_of([a - h, b - alpha])) == 2


def test_an_algebraic_end_of_an_interval_is_a_number():
    """That of the classical method of order 4: -2.785293563405282 (Hairer and Wanner, Solving ODEs II, sec. IV.2)."""
    proved = datasheet(RK4(), measured=False).given
    rows = dict(proved.rows())
    assert rows["stable, real"] == "0 < -h J < 2.78529 (a root of x^3 - 4 x^2 + 12 x - 24)"
    for solver in (RK4(), DPMSolver(3), PLMS(4), DEIS(4)):
        ends = {f"{axis}_interval": analysis.stability_interval(solver, axis) for axis in ("real", "imaginary")}
        shown = replace(proved, **ends)
        assert "CRootOf" not in str([*shown.rows()]) + str(shown.as_dict())


@pytest.mark.slow
@pytest.mark.parametrize("solver", [DPMSolver(3), PLMS(4), DEIS(4)], ids=repr)
def test_no_row_of_a_datasheet_is_an_unnamed_root(solver):
    sheet = datasheet(solver, measured=False)
    assert "CRootOf" not in str([*sheet.given.rows()]) + str(sheet.as_dict())


def test_what_a_refusal_of_an_interval_asks_for_is_possible():
    for axis, wanted in (("real", "numbers to all but one"), ("imaginary", "numbers to all")):
        with pytest.raises(ValueError, match=f"on the {axis} axis .* give {wanted}$"):
            analysis.stability_interval(program.symbolised(CBDIA()), axis)


@pytest.mark.parametrize(
    ("solver", "found"),
    [
        (BDIA(1), [("zeta + 1", -1, 1)]),
        (BDIA2(1, 1), [("zeta**2 + zeta + 1", -Fraction(1, 2), 1 / 2)]),
        (BDIA3(1, 1, 1), [("zeta + 1", -Fraction(5, 3), 5 / 3), ("zeta**2 + 1", Fraction(1, 3), -1 / 3)]),
        (BDIA(Fraction(1, 2)), []),
    ],
    ids=["two steps", "three steps", "four steps", "damped"],
)
def test_growth_parameters(solver, found):
    """Kills: the sign exchanged, the growth of the principal root, a growth that is not relative."""
    got = analysis.growth_parameters(solver)
    assert [(str(g.roots), g.rate, pytest.approx(g.exponent)) for g in got] == found
    assert all(("grow over a run" in str(g)) == (g.exponent > 0) for g in got)
    # The run itself, dy/ds = J y with J = 1: a flow that contracts e^2 times more enlarges errors e^(2 exponent) times more.
    grown = []
    for length in (2, 4):
        grid = grids.uniform(schedules.edm(), 200, t_max=length, t_min=0)
        grown.append(analysis.amplification(solver, grid, J=1.0).total)
    exponent = max([rate for *_, rate in found], default=-1)
    assert np.log(grown[1] / grown[0]) / 2 == pytest.approx(exponent, rel=0.03)


c = sympy.Symbol("c")
CHANGED = ": errors there change over a run by (contraction of the flow)^"


@pytest.mark.parametrize(
    ("solver", "rates", "said"),
    [
        (
            SymmetricMultistep(4, c),
            [(5 - c) / (3 * (c - 1)), -(c + 1) / (3 * (c - 1))],
            f"(5 - c)/(3 (c - 1)) at zeta = -1{CHANGED}((c - 5)/(3 (c - 1)))",
        ),
        (SymmetricMultistep(3, c), [-sympy.Rational(1, 2)], f"the roots of zeta^2 + 2 c zeta + 1{CHANGED}(1/2)"),
        (BDIA(g), [-1], f"zeta = -gamma, for values that put it on the unit circle{CHANGED}1"),
        (program.symbolised(BDIA2()), [], ""),
    ],
    ids=["four steps", "three steps", "two steps", "circle for single values"],
)  # fmt: skip
def test_growth_parameters_with_symbols(solver, rates, said):
    """Those of numbers are their values, and no real interval is left for all between -1 and 1 where one grows."""
    found = analysis.growth_parameters(solver)
    assert [sympy.simplify(g.rate - rate) for g, rate in zip(found, rates, strict=True)] == [0] * len(rates)
    assert said in "; ".join(map(str, found)) and all(math.isnan(g.exponent) for g in found)
    if isinstance(solver, SymmetricMultistep):
        interval = analysis.stability_interval(solver)
        assert interval.length == 0 and interval.valid == sympy.And(c > -1, c < 1)
        value = -sympy.Rational(2, 3)
        rates = {g.rate for g in analysis.growth_parameters(replace(solver, c=Fraction(-2, 3)))}
        assert {g.rate.subs(c, value) for g in found} == rates


def test_growths_of_a_pair_that_differ():
    """Weights that are not symmetric: the growths of a pair are conjugate numbers, given by a polynomial in zeta."""
    (pair,) = analysis.growth_parameters(Multistep((-1, 0, 0), (1, 2)))
    assert str(pair.rate) == "-(zeta + 2)/3"
    assert pair.exponent == pytest.approx(1 / 2)  # two growths add up to -1
    assert str(pair).endswith("grow over a run by (contraction of the flow)^0.5")
