"""Orders and error constants derived from programs, against classical tables, closed forms and brute force."""

from fractions import Fraction
from functools import cache

import pytest
import sympy

from bdia_numerics import (
    ALF,
    BDIA,
    BDIA2,
    BDIA3,
    BDIADEIS,
    BDIAPLMS,
    BELM,
    CBDIA,
    DDIM,
    DEIS,
    EDICT,
    IIAEDM,
    OBELM,
    PLMS,
    RK4,
    BDIADPMSolverPP,
    BDIAHeun,
    DPMSolver,
    DPMSolverMultistep,
    DPMSolverPP,
    FireFlow,
    Heun,
    Leapfrog,
    McCallumFoster,
    Midpoint,
    ReversibleHeun,
    Rex,
    RFSolver,
    analysis,
    problems,
)
from bdia_numerics.analysis.expansion.layouts import layout
from bdia_numerics.analysis.sheet.proved import orders, proved_order
from bdia_numerics.solvers import belm

g, g1, g2, g3, p, c = sympy.symbols("gamma gamma1 gamma2 gamma3 p c")
h, h1 = sympy.symbols("h_i h_{i+1}")
before, after = sympy.symbols("alpha_{i+1} alpha_{i-1}")
MIXTURE = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
derived = cache(analysis.symbolic_order)


def heavy(*case):
    """A case that takes more than half a second, and whose family has a lighter one."""
    return pytest.param(*case, marks=pytest.mark.slow)


class StepRatio:
    """The two-step method with the ratio of steps for the weight of the older state, where order 2 on every grid asks for its square."""

    registers = ("z_prev", "z")

    def step(self, s):
        now, older = belm.steps(s, "sigma_bar")
        belm.two_steps(s, "sigma_bar", now / older)


# rough, smooth, uniform in s with alpha = 1, with the solver's own start on smooth grids
ORDERS = [
    (DDIM(), (1, 1, 1, 1)),
    (BDIA(g), (1, 1, 1, 1)),
    (BDIA(1), (1, 2, 2, 2)),
    (BELM(g), (1, 1, 1, 1)),
    (OBELM(), (2, 2, 2, 2)),
    pytest.param(StepRatio(), (1, 2, 2, 2), id="StepRatio"),
    (Leapfrog(), (1, 2, 2, 2)),
    (PLMS(1), (1, 1, 1, 1)),
    (PLMS(2), (1, 2, 2, 2)),
    (PLMS(3), (1, 2, 3, 2)),
    heavy(PLMS(4), (1, 2, 4, 2)),
    (DEIS(2), (2, 2, 2, 2)),
    heavy(DEIS(3), (3, 3, 3, 2)),
    (DEIS(3, "sigma_bar"), (3, 3, 3, 2)),
    (DPMSolverPP(2), (2, 2, 2, 2)),
    heavy(DPMSolverPP(3), (2, 2, 2, 2)),
    heavy(DPMSolverPP(3, exact=True), (3, 3, 3, 2)),
    (DPMSolverMultistep(2), (2, 2, 2, 2)),
    heavy(DPMSolverMultistep(3), (2, 2, 2, 2)),
    (BDIA2(g1, g2), (2, 2, 2, 2)),
    heavy(BDIA3(g1, g2, g3), (3, 3, 3, 3)),
    (BDIADEIS(2, g), (1, 1, 1, 1)),
    (BDIADPMSolverPP(g), (1, 1, 1, 1)),
    (BDIAPLMS(g, 3), (1, 1, 1, 1)),
    (EDICT(p), (1, 1, 1, 1)),
    heavy(EDICT(p, shifted=True), (1, 1, 1, 1)),
    (CBDIA(g1, g2), (1, 1, 1, 1)),
    (CBDIA(g1, 1 - g1), (2, 2, 2, 2)),
    (CBDIA(0, 1), (1, 2, 2, 2)),
    (CBDIA(1, 0), (1, 1, 1, 1)),
    (Heun(), (2, 2, 2, 2)),
    (Heun("t"), (2, 2, 2, 2)),
    (BDIAHeun(g), (2, 2, 2, 2)),
    (BDIAHeun(g, "z_hat"), (2, 2, 2, 2)),
    (Midpoint(), (2, 2, 2, 2)),
    (RK4(), (4, 4, 4, 4)),
    (DPMSolver(1), (1, 1, 1, 1)),
    (DPMSolver(2), (2, 2, 2, 2)),
    heavy(DPMSolver(3), (3, 3, 3, 3)),
    (ALF(), (2, 2, 2, 2)),
    (ReversibleHeun(), (2, 2, 2, 2)),
    (McCallumFoster(c), (1, 1, 1, 1)),
    (McCallumFoster(c, base=Midpoint()), (2, 2, 2, 2)),
    (McCallumFoster(1), (1, 1, 1, 1)),
    (Rex(c), (1, 1, 1, 1)),
    (RFSolver(), (2, 2, 2, 2)),
    (FireFlow(), (2, 2, 2, 2)),
]


@pytest.mark.parametrize(("solver", "orders"), ORDERS, ids=lambda x: repr(x)[:60])
def test_orders(solver, orders):
    found = derived(solver)
    assert (found.order_rough, found.order_smooth, found.order_uniform, found.order_with_start) == orders


@pytest.mark.parametrize(
    ("solver", "constant"),
    [
        (DDIM(), "1/2"),
        (DEIS(2, "sigma_bar"), "5/12"),  # Adams and Bashforth
        (DEIS(3, "sigma_bar"), "3/8"),
        heavy(PLMS(4), "251/720"),
        (Leapfrog(), "1/6"),  # 1/3 over rho'(1) = 2
        (Midpoint(), "1/24"),
        (Heun(), "-1/12"),
    ],
    ids=str,
)
def test_error_constants_of_the_tables(solver, constant):
    assert derived(solver).error_constant == sympy.Rational(constant)


@pytest.mark.parametrize(
    ("solver", "ratio"),
    [
        (BDIA(g), (1 - g) / (1 + g)),
        (BELM(g), (1 - g) / (1 + g)),
        (CBDIA(g1, g2), (g1 + g2 - 1) / (1 - g1 + g2)),
        (EDICT(p, shifted=True), -(1 - p) / (1 + p)),
        (BDIADEIS(2, g), -g / (1 + g)),
        (BDIADPMSolverPP(g), -g / (1 + g)),
        heavy(BDIAPLMS(g), -g / (1 + g)),
        (BDIA(1), 0),
        (OBELM(), 0),
        (Heun("t"), 0),
    ],
    ids=str,
)
def test_ratio_to_ddim(solver, ratio):
    assert sympy.simplify(derived(solver).ddim_ratio - ratio) == 0


def test_what_is_no_multiple_of_ddims_error_has_no_ratio():
    assert derived(EDICT(Fraction(1, 2))).order_uniform == 1
    assert derived(EDICT(Fraction(1, 2))).ddim_ratio is None


def test_the_local_error_of_bdia_with_every_alpha():
    found = derived(BDIA(g))
    assert found.alpha_exact
    assert sympy.expand(found.local["z"]["y''"] - (after * h**2 - g * before * h1**2) / 2) == 0
    (equation,) = found.local_condition
    assert sympy.expand(equation.lhs + after * h**2 - g * before * h1**2) == 0
    assert found.condition == (sympy.Eq(g - 1, 0),)


def test_the_leading_term_of_bdia_edm():
    z, z_hat = (derived(BDIAHeun(g, base)).principal for base in ("z", "z_hat"))
    assert z["y'''"] == z_hat["y'''"] == sympy.Rational(-1, 12)
    assert sympy.simplify(z["J y''"] - 1 / (4 * (1 + g))) == 0
    assert sympy.simplify(z_hat["J y''"] - (1 - g) / 4) == 0


def test_what_edict_conserves():
    found = derived(EDICT(p))
    assert sympy.simplify(found.mean["z"] - p / (1 + p)) == 0
    assert sympy.simplify(found.mean["y"] - 1 / (1 + p)) == 0


def two_steps(a0, b0, b1):
    """y_{i-1} = (1-a0) y_i + a0 y_{i+1} + b0 h eps_i + b1 h eps_{i+1}, on uniform steps."""

    class Method:
        registers = ("z_prev", "z")

        def step(self, s):
            z_prev, z = s.registers
            h = s.sigma_bar(s.i - 1) - s.sigma_bar(s.i)
            y = (1 - a0) * z / s.alpha(s.i) + a0 * z_prev / s.alpha(s.i + 1)
            slope = b0 * s.eps(z) + b1 * s.eps(z_prev)
            s.assign(z_prev, s.alpha(s.i - 1) * (y + h * slope), at=s.i - 1)
            s.swap(z_prev, z)

    return Method()


@pytest.mark.parametrize("a0", [Fraction(0), Fraction(1, 3), Fraction(-1, 2), Fraction(1)])
@pytest.mark.parametrize("b1", [Fraction(2, 7), None])
def test_two_step_methods_have_the_constants_of_their_order_conditions(a0, b1):
    # 1 + a0 = b0 + b1 (order 1); 1 - a0 = -2 b1 (order 2), with constants over rho'(1) = 1 + a0.
    second = b1 is None
    b1 = (a0 - 1) / 2 if second else b1
    found = analysis.symbolic_order(two_steps(a0, 1 + a0 - b1, b1))
    assert found.order_uniform == 1 + second
    expected = (1 + a0 - 3 * b1) / 6 if second else (1 - a0 + 2 * b1) / 2
    assert found.error_constant == sympy.Rational(expected / (1 + a0))


class Extrapolated:
    """Euler's method with the slope e + weight (e - what it kept), for what a step keeps of the predictions before t_i.

    It stands at t_{i-1} then, and belongs elsewhere: one step before for the last e, half a step for its mean with the prediction
    after an Euler step, and two steps on average for a mean that forgets by halves. Order 2 if weight times that is 1/2.
    """

    registers = ("z", "kept")

    def __init__(self, keeps, weight):
        self.keeps, self.weight = keeps, weight

    def step(self, s):
        z, kept = s.registers
        e, end = s.eps(z), s.i - 1
        slope = e + self.weight * (e - kept)
        if self.keeps == "last":
            new = e
        elif self.keeps == "between":
            new = (e + s.eps(s.scratch(z + s.delta(s.i, end, z, e), at=end), at=end)) / 2
        else:
            new = (e + kept) / 2
        s.assign(z, z + s.delta(s.i, end, z, slope), at=end)
        s.assign(kept, new, at=end)


HALF = Fraction(1, 2)
DISPLACED = [
    *((Extrapolated("last", w), k) for w, k in ((HALF, 2), (HALF / 2, 1))),
    *((Extrapolated("between", w), k) for w, k in ((2 * HALF, 2), (HALF, 1))),
    *((Extrapolated("mean", w), k) for w, k in ((HALF / 2, 2), (HALF, 1))),
    *((IIAEDM(a1=Fraction(a), b1=Fraction(1, 5)), k) for a, k in (("3/10", 2), ("7/10", 1))),
    (IIAEDM(a0=Fraction(3, 4), a1=Fraction(3, 4), b0=Fraction(1, 4)), 2),
]


@pytest.mark.parametrize(("solver", "order"), DISPLACED, ids=lambda x: str(getattr(x, "__dict__", x)))
def test_what_is_kept_may_belong_to_another_time_than_its_own(solver, order):
    """What a register misses by O(h) may cancel where it is used: on smooth grids the order is the measured one, not a bound."""
    found = analysis.symbolic_order(solver)
    assert (found.order_smooth, found.order_uniform, found.order_with_start) == (order, order, order)
    assert analysis.order_on_pattern(solver, (1,)).order == order
    seen = analysis.observed_order(solver, MIXTURE, analysis.GridFamily("smooth"), start="own", states=4, max_steps=256)
    assert seen.agrees(order) and not seen.agrees(3 - order), seen


class ThreeSteps:
    """Adams-Bashforth with h_{i+2} extrapolated from h_i and h_{i+1}, or equal to the latter; e_2 stands at its own time or not."""

    registers = ("z", "e_1", "e_2")
    evaluations = ("e_1", "e_2")
    starter = RK4()

    def __init__(self, extrapolated, own):
        self.extrapolated, self.own = extrapolated, own

    def step(self, s):
        z, e_1, e_2 = s.registers
        e, i = s.eps(z), s.i
        h, a = s.sigma_bar(i - 1) - s.sigma_bar(i), s.sigma_bar(i) - s.sigma_bar(i + 1)
        b = a + (2 * a - h if self.extrapolated else a)
        w_1, w_2 = (h**2 * (2 * h + 3 * y) / (6 * x * (x - y)) for x, y in ((a, b), (b, a)))
        y = z / s.alpha(i) + (h - w_1 - w_2) * e + w_1 * e_1 + w_2 * e_2
        s.assign(z, s.alpha(i - 1) * y, at=i - 1)
        if self.own:
            s.assign(e_2, e, at=i)
            s.swap(e_1, e_2)
        else:
            s.assign(e_2, 1 * e_1, at=i)  # it stands one step after its own time
            s.assign(e_1, e, at=i)


@pytest.mark.parametrize(("extrapolated", "order"), [(True, 3), (False, 2)])
def test_the_time_at_which_a_register_stands_changes_no_order(extrapolated, order):
    """The step lengths change along a smooth grid, and with them what the register misses."""
    right, moved = (analysis.symbolic_order(ThreeSteps(extrapolated, own)) for own in (True, False))
    assert right.order_smooth == moved.order_smooth == order
    assert right.order_uniform == moved.order_uniform == 3
    assert right.principal == moved.principal
    assert (right.order_with_start, moved.order_with_start) == (order, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("own", "order"), [(True, 3), (False, 2)])
def test_first_values_at_another_time_than_those_that_are_kept_cost_an_order(own, order):
    """However good the first states are: e_2 begins as the prediction where it stands, and is off by O(h) in one step of length h."""
    solver, family = ThreeSteps(True, own), analysis.GridFamily("smooth")
    assert analysis.symbolic_order(solver).order_with_start == order
    seen = analysis.observed_order(solver, MIXTURE, family, start="own", states=4, max_steps=256)
    assert seen.low < order < seen.high and not seen.low < 5 - order < seen.high, seen


class Ratios:
    """Two-step Adams-Bashforth on steps that vary, whose last prediction stands one step after its own time."""

    registers = ("z_prev", "z", "kept")
    evaluations = ("kept",)

    def step(self, s):
        z_prev, z, kept = s.registers
        e, i = s.eps(z), s.i
        h, h_1 = s.sigma_bar(i - 1) - s.sigma_bar(i), s.sigma_bar(i) - s.sigma_bar(i + 1)
        y = z / s.alpha(i) + h * e + h**2 / (2 * h_1) * (e - kept)
        s.assign(z_prev, s.alpha(i - 1) * y, at=i - 1)
        s.swap(z_prev, z)
        s.assign(kept, e, at=i - 1)


def test_what_is_only_bounded_where_steps_jump_is_called_a_bound():
    found, pattern = analysis.symbolic_order(Ratios()), analysis.order_on_pattern(Ratios(), (1, 2))
    family = analysis.GridFamily("alternating")
    seen = analysis.observed_order(Ratios(), MIXTURE, family, start="own", states=4, max_steps=256)
    assert pattern.order == pattern.order_with_start == 2 and seen.agrees(2)
    assert (found.order_smooth, found.order_rough, found.lower_bounds) == (2, 1, ("rough",))
    assert orders(found) == "2 on smooth grids, at least 1 where the step ratios are bounded"
    assert proved_order(found, None, seen, "alternating") == ("at least 1", True)
    sharp = derived(BDIA(1))
    assert (sharp.order_rough, sharp.lower_bounds) == (1, ())
    assert proved_order(sharp, None, seen, "alternating") == ("1", False)


@pytest.mark.parametrize("name", ["log", "sqrt"])
def test_what_depends_on_a_grid_is_carried_along_it(name):
    """On the grid s(u) = 1/(1 - u) with alpha = s^3, whose derivatives are known at each u: at u = 0 they are j! and 3, 6, 6."""
    where = layout([], 6, 1, spacing="smooth", alphas="smooth")
    space, u, x = where.space, sympy.Symbol("u"), sympy.Symbol("x")
    s, k2, k3, a0, a1, a2 = (space.symbol(n) for n in ("s", "k2", "k3", "a0", "a1", "a2"))
    c = space.h**2 * k2 * k3 * s * (a0 + a1 * a2) * getattr(space, name)(s)
    level = 1 / (1 - u)
    exact = (x * level**2) ** 2 * 12 / level**3 * level * (level**3 + 18 / level**3) * getattr(sympy, name)(level)
    at = {"s": 1, **{f"k{j}": sympy.factorial(j) for j in range(2, 6)}}
    at |= {"a0": 1, "a1": 3, "a2": 6, "a3": 6, "a4": 0, "a5": 0, "_0": getattr(sympy, name)(1)}
    values = {sympy.Symbol(f"~{n}"): value for n, value in at.items()}
    moved = where.carried(c, 1)
    assert moved.precision == 5  # the next power asks for k_6
    expected = sympy.series(exact.subs(u, -x), x, 0, 5).removeO()
    for k in range(5):
        assert sympy.simplify(moved.coefficient(k).as_expr().subs(values) - expected.coeff(x, k)) == 0


def test_levels_in_the_angle_are_its_cosine_and_sine():
    where = layout([], 4, 1, spacing="uniform", in_angle=True, in_time=True)
    point, phi, x = where.point(1), sympy.Rational(2, 5), sympy.Symbol("x")
    names = {sympy.Symbol("~u"): sympy.tan(phi / 2)}
    for found, function in zip(point[1:], (sympy.cos, sympy.sin, lambda p: -sympy.sin(p), sympy.cos), strict=True):
        for k in range(4):
            wanted = sympy.diff(function(phi - x), x, k).subs(x, 0) / sympy.factorial(k)
            assert float(found.coefficient(k).as_expr().subs(names) - wanted) == pytest.approx(0, abs=1e-12)


def test_an_inconsistent_step_is_refused():
    with pytest.raises(ValueError, match="inconsistent"):
        analysis.symbolic_order(_scaled())


def _scaled():
    class Shrinking:
        registers = ("z",)

        def step(self, s):
            (z,) = s.registers
            s.assign(z, z / 2 + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)

    return Shrinking()


class HalvesInTime:
    """Two steps of DDIM, the point between them half-way in t."""

    registers = ("z",)

    def step(self, s):
        (z,) = s.registers
        middle = s.between(s.i, s.i - 1, Fraction(1, 2), "t")
        y = s.scratch(z + s.delta(s.i, middle, z, s.eps(z)), at=middle)
        s.assign(z, y + s.delta(middle, s.i - 1, y, s.eps(y)), at=s.i - 1)


def test_the_local_error_in_time_is_written_in_derivatives_of_alpha_and_sigma():
    """Kills: alpha' called alpha'/alpha. DDIM's step is alpha_new/alpha z + (sigma_new - sigma alpha_new/alpha) eps."""
    a, a1, a2, s, s1, s2, h = sympy.symbols("alpha_i alpha' alpha'' sigma_i sigma' sigma'' h_i")
    z, z1, z2 = sympy.symbols("z z' z''")
    eps = (z1 - a1 / a * z) / (s1 - s * a1 / a)
    one_step = h**2 / 2 * (a2 / a * z + (s2 - s * a2 / a) * eps - z2)
    found = analysis.symbolic_order(HalvesInTime())
    shown = sum(c * sympy.Symbol(name) for name, c in found.local["z"].items())
    # The exact step less two halves, each with h/2.
    assert sympy.simplify(shown + one_step / 2) == 0


def test_orders_follow_a_solver_that_is_changed():
    """What is remembered of a solver belongs to its parameters and to the step of its class."""

    class Halves:
        registers = ("z",)
        part = 1

        def step(self, s):
            (z,) = s.registers
            s.assign(z, z + self.part * s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)

    def heun(self, s):
        return Heun().step(s)

    solver = Halves()
    first = [analysis.symbolic_order(solver).order, analysis.order_on_pattern(solver, (1, 2)).order]
    solver.part = Fraction(1, 2)
    second = [analysis.symbolic_order(solver).order, analysis.order_on_pattern(solver, (1, 2)).order]
    Halves.step = heun
    assert (first, second, analysis.symbolic_order(solver).order) == ([1, 1], [0, 0], 2)
