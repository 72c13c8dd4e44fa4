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
)

g, g1, g2, g3, p, c = sympy.symbols("gamma gamma1 gamma2 gamma3 p c")
h, h1 = sympy.symbols("h_i h_{i+1}")
before, after = sympy.symbols("alpha_{i+1} alpha_{i-1}")
derived = cache(analysis.symbolic_order)


def heavy(*case):
    """A case that takes more than half a second, and whose family has a lighter one."""
    return pytest.param(*case, marks=pytest.mark.slow)


# rough, smooth, uniform in s with alpha = 1, with the solver's own start on smooth grids
ORDERS = [
    (DDIM(), (1, 1, 1, 1)),
    (BDIA(g), (1, 1, 1, 1)),
    (BDIA(1), (1, 2, 2, 2)),
    (BELM(g), (1, 1, 1, 1)),
    (OBELM(), (2, 2, 2, 2)),
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
