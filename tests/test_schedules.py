"""Schedules against their definitions, symbolic and numerical derivatives, and published tables."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import schedules, spaces
from bdia_numerics.schedules.base import inside

CONTINUOUS = {
    "vp_linear": schedules.vp_linear(),
    "vp_linear(0.2, 15)": schedules.vp_linear(0.2, 15),
    "vp_cosine": schedules.vp_cosine(),
    "edm": schedules.edm(),
    "ve": schedules.ve(),
    "flow": schedules.flow(),
}
DISCRETE = {"stable_diffusion": schedules.stable_diffusion(), "ddpm_linear": schedules.ddpm_linear()}
ALL = CONTINUOUS | DISCRETE
QUANTITIES = ("alpha", "sigma", "sigma_bar", "log_snr", "half_log_snr", "drift", "diffusion2", "alpha_dot", "sigma_dot")
PARTS = (Fraction(1, 7), Fraction(1, 3), Fraction(4, 5))

continuous = pytest.mark.parametrize("schedule", CONTINUOUS.values(), ids=CONTINUOUS)
every = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


def at(schedule, part: Fraction) -> Fraction:
    return schedule.t_min + (schedule.t_max - schedule.t_min) * part


def relative(a, b):
    return abs(a - b) / abs(b) if b else abs(a)


DEFINITIONS = {
    "vp_linear": lambda t: mpmath.exp(-(t / 10 + t**2 * mpmath.mpf(199) / 20) / 2),
    "vp_linear(0.2, 15)": lambda t: mpmath.exp(-(t / 5 + t**2 * mpmath.mpf(148) / 20) / 2),
    "vp_cosine": lambda t: (
        mpmath.cos((t + mpmath.mpf(1) / 125) / (1 + mpmath.mpf(1) / 125) * mpmath.pi / 2)
        / mpmath.cos(mpmath.pi / 2 / 126)
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("part", [Fraction(1, 10**6), *PARTS, Fraction(999, 1000)])
def test_variance_preserving_formulas(name, part):
    """alpha is the published formula, sigma^2 = 1 - alpha^2 keeps its digits even near t = 0."""
    schedule = ALL[name]
    with mpmath.workdps(80):
        alpha = DEFINITIONS[name](mpmath.mpf(part.numerator) / part.denominator)
        sigma = mpmath.sqrt(1 - alpha**2)
    with mpmath.workdps(50):
        t = mpmath.mpf(part.numerator) / part.denominator
        # 1000 units in the last of 50 digits: 1 - alpha^2 would lose six of them at t = 1e-6.
        assert relative(schedule.alpha(t), alpha) < mpmath.mpf(10) ** -47
        assert relative(schedule.sigma(t), sigma) < mpmath.mpf(10) ** -47


@every
@pytest.mark.parametrize("part", PARTS)
def test_quantities_follow_from_alpha_and_sigma(schedule, part):
    with mpmath.workdps(50):
        t = mpmath.mpf(at(schedule, part).numerator) / at(schedule, part).denominator
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        tolerance = mpmath.mpf(10) ** -46
        assert relative(schedule.sigma_bar(t), sigma / alpha) < tolerance
        assert relative(schedule.log_snr(t), mpmath.log(alpha**2 / sigma**2)) < tolerance
        assert relative(schedule.half_log_snr(t), mpmath.log(alpha / sigma)) < tolerance
        if schedule.variance_preserving:
            assert relative(alpha**2 + sigma**2, 1) < tolerance


@every
@pytest.mark.parametrize("part", PARTS)
def test_eq_3_by_numerical_differentiation(schedule, part):
    """f = d log(alpha)/dt and g^2 = d sigma^2/dt - 2 f sigma^2, differentiated by mpmath at 50 digits."""
    with mpmath.workdps(50):
        t = at(schedule, part)
        # Tables have steps at integers: keep inside an interval.
        t = mpmath.mpf(t.numerator) / t.denominator + (mpmath.mpf("0.11") if schedule.t_max == 999 else 0)
        f = mpmath.diff(lambda x: mpmath.log(schedule.alpha(x)), t)
        g2 = mpmath.diff(lambda x: schedule.sigma(x) ** 2, t) - 2 * f * schedule.sigma(t) ** 2
        alpha_dot, sigma_dot = mpmath.diff(schedule.alpha, t), mpmath.diff(schedule.sigma, t)
        tolerance = mpmath.mpf(10) ** -40
        assert abs(schedule.drift(t) - f) < tolerance
        assert relative(schedule.diffusion2(t), g2) < tolerance
        assert abs(schedule.alpha_dot(t) - alpha_dot) < tolerance
        assert relative(schedule.sigma_dot(t), sigma_dot) < tolerance


@continuous
def test_eq_3_by_symbolic_differentiation(schedule):
    """The differences vanish identically."""
    t = sympy.Symbol("t", positive=True)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    f = sympy.diff(sympy.log(alpha), t)
    g2 = sympy.diff(sigma**2, t) - 2 * f * sigma**2
    differences = {
        "drift": schedule.drift(t) - f,
        "diffusion2": schedule.diffusion2(t) - g2,
        "alpha_dot": schedule.alpha_dot(t) - sympy.diff(alpha, t),
        "sigma_dot": schedule.sigma_dot(t) - sympy.diff(sigma, t),
    }
    for name, difference in differences.items():
        assert sympy.simplify(sympy.expand_trig(difference)) == 0 or sympy.simplify(difference) == 0, name


@every
@pytest.mark.parametrize("variable", ["t", "sigma_bar", "log_snr", "half_log_snr"])
@pytest.mark.parametrize("number", [float, np.longdouble, mpmath.mpf])
def test_time_inverts(schedule, variable, number):
    for part in (Fraction(1, 500), *PARTS, Fraction(99, 100)):
        exact = at(schedule, part)
        t = number(exact.numerator) / number(exact.denominator)
        value = t if variable == "t" else getattr(schedule, variable)(t)
        eps = {float: 2.0**-52, np.longdouble: np.finfo(np.longdouble).eps}.get(number, mpmath.mp.eps)
        # The logarithms are up to 15, so that a rounding of theirs is 15 of t; the rest are a few operations each.
        assert relative(schedule.time(variable, value), t) < 100 * eps
        assert type(schedule.time(variable, value)) is number


@pytest.mark.parametrize("t", [Fraction(0), Fraction(1, 3), Fraction(6, 7)])
def test_rational_schedules_on_fractions(t):
    flow, edm = schedules.flow(), schedules.edm()
    assert (flow.alpha(t), flow.sigma(t)) == (1 - t, t)
    assert flow.drift(t) == -1 / (1 - t)
    assert flow.diffusion2(t) == 2 * t + 2 * t**2 / (1 - t)
    assert (edm.alpha(t), edm.sigma(t), edm.drift(t), edm.diffusion2(t)) == (1, t, 0, 2 * t)
    assert all(
        type(getattr(s, q)(t)) is Fraction for s in (flow, edm) for q in ("alpha", "sigma", "drift", "diffusion2")
    )
    assert flow.time("sigma_bar", flow.sigma_bar(t)) == t
    # Two roundings at most in 1-t and t.
    assert relative(flow.alpha(float(t)), float(1 - t)) <= 2 * 2.0**-52
    assert edm.sigma(float(t)) == float(t)


@pytest.mark.parametrize("name", ["vp_linear", "vp_cosine", "ve", "stable_diffusion", "ddpm_linear"])
def test_irrational_schedules_refuse_fractions(name):
    with pytest.raises(TypeError, match=r"rational|exact"):
        ALL[name].sigma(Fraction(1, 2))


@every
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_float_evaluation_is_the_high_precision_one_rounded(schedule, quantity):
    for part in PARTS:
        t = float(at(schedule, part))
        with mpmath.workdps(50):
            right = getattr(schedule, quantity)(mpmath.mpf(t))
            # 64 units: exponents up to 10 and logarithms near 0 lose that many of the last place.
            allowed = 64 * max(abs(right), mpmath.mpf("0.01"))
            assert abs(mpmath.mpf(getattr(schedule, quantity)(t)) - right) < allowed * 2**-52
            extended = getattr(schedule, quantity)(np.longdouble(t))
            assert type(extended) is np.longdouble
            assert abs(spaces.MPMath(50).number(spaces.LONGDOUBLE.field(extended)) - right) < allowed * 2**-63


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_arrays_keep_shape_and_dtype(schedule, dtype):
    t = np.array([[float(at(schedule, p)) for p in PARTS]] * 2, dtype=dtype)
    for quantity in QUANTITIES:
        values = getattr(schedule, quantity)(t)
        assert values.shape == t.shape
        assert values.dtype == dtype
        np.testing.assert_array_equal(values[1, 2], dtype(getattr(schedule, quantity)(t[1, 2])))
    with mpmath.workdps(30):
        boxed = np.array([mpmath.mpf(float(x)) for x in t[0]], dtype=object)
        assert [type(x) for x in schedule.sigma(boxed)] == [mpmath.mpf] * 3


@every
def test_float64_scalars_are_python_floats(schedule):
    """A NumPy scalar would promote float32 states."""
    t = float(at(schedule, Fraction(1, 3)))
    assert {type(getattr(schedule, q)(t)) for q in QUANTITIES} == {float}
    assert {type(getattr(schedule, q)(np.float32(t))) for q in QUANTITIES} == {float}


def independent_betas(rule: str) -> list[Fraction] | list[mpmath.mpf]:
    if rule == "linear":
        return [Fraction(1, 10_000) + Fraction(k, 999) * Fraction(199, 10_000) for k in range(1000)]
    ends = mpmath.sqrt(mpmath.mpf("0.00085")), mpmath.sqrt(mpmath.mpf("0.012"))
    return [(ends[0] * (999 - k) / 999 + ends[1] * k / 999) ** 2 for k in range(1000)]


@pytest.mark.parametrize("name", DISCRETE)
def test_tables_are_the_products_of_the_published_betas(name):
    rule = "linear" if name == "ddpm_linear" else "scaled_linear"
    with mpmath.workdps(60):
        product, table = 1, []
        for beta in independent_betas(rule):
            product *= 1 - beta
            table.append(mpmath.mpf(product.numerator) / product.denominator if rule == "linear" else product)
        for k in (0, 1, 499, 998, 999):
            expected = mpmath.sqrt(table[k]), mpmath.sqrt(1 - table[k])
            with mpmath.workdps(50):
                for quantity, right in zip(("alpha", "sigma"), expected, strict=True):
                    assert relative(getattr(DISCRETE[name], quantity)(mpmath.mpf(k)), right) < mpmath.mpf(10) ** -49
            # Correctly rounded but for the square root of a rounded number.
            assert relative(DISCRETE[name].alpha(float(k)), expected[0]) < 2 * 2.0**-53
            assert relative(DISCRETE[name].sigma(float(k)), expected[1]) < 2 * 2.0**-53
        np.testing.assert_array_equal(DISCRETE[name].alphas_cumprod, [float(a) for a in table])


def test_published_values():
    stable = schedules.stable_diffusion().alphas_cumprod
    assert stable.shape == (1000,)
    assert stable[0] == pytest.approx(0.99915, abs=1e-15)
    assert stable[999] == pytest.approx(0.0047, abs=5e-5)
    ddpm = schedules.ddpm_linear().alphas_cumprod
    assert ddpm[0] == pytest.approx(0.9999, abs=1e-15)
    assert ddpm[999] == pytest.approx(4.0358e-5, rel=1e-4)
    # diffusers computes the table in float32: a thousand roundings at most.
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float32) ** 2
    np.testing.assert_allclose(stable, np.cumprod(1 - betas, dtype=np.float32), rtol=1000 * 2.0**-24)


def test_discrete_between_integers():
    schedule = schedules.stable_diffusion()
    for k, part in ((-1, 0.25), (0, 0.5), (731, 0.125)):
        low, high = schedule.alpha(float(k)), schedule.alpha(float(k + 1))
        assert schedule.alpha(k + part) == pytest.approx(low ** (1 - part) * high**part, rel=8 * 2.0**-52, abs=0)
    times = np.linspace(-1, 999, 3001)
    assert np.all(np.diff(schedule.sigma(times) / schedule.alpha(times)) > 0)
    assert (schedule.alpha(-1.0), schedule.sigma(-1.0)) == (1, 0)
    assert schedule.alpha(np.array([0, 10])).tolist() == [schedule.alpha(0), schedule.alpha(10)]
    beta = 1 - schedule.alphas_cumprod[500] / schedule.alphas_cumprod[499]
    assert schedule.diffusion2(499.3) == pytest.approx(-math.log1p(-beta), rel=1e-12, abs=0)


@pytest.mark.parametrize("t", [-1.5, 999.01, math.nan, math.inf])
def test_discrete_refuses_times_outside(t):
    with pytest.raises(ValueError, match="outside the table"):
        schedules.stable_diffusion().alpha(t)


def test_discrete_refuses_noise_levels_outside():
    schedule = schedules.stable_diffusion()
    with pytest.raises(ValueError, match="outside the table"):
        schedule.time("sigma_bar", 20.0)
    assert schedule.time("sigma_bar", schedule.sigma_bar(999.0)) == 999
    assert schedule.time("sigma_bar", 0.0) == -1


def test_table_given_as_values():
    table = [Fraction(9, 10), Fraction(1, 2), Fraction(1, 10)]
    schedule = schedules.from_alphas_cumprod(table)
    assert schedule.sigma(1.0) == math.sqrt(0.5)
    assert schedule.alpha(sympy.Integer(1)) == 1 / sympy.sqrt(2)
    floats = schedules.from_alphas_cumprod(np.array([0.9, 0.5, 0.1]))
    with mpmath.workdps(50):
        # The float 0.9 is what was given, not nine tenths.
        assert floats.alpha(mpmath.mpf(0)) == mpmath.sqrt(mpmath.mpf(0.9))
        assert schedule.alpha(mpmath.mpf(0)) == mpmath.sqrt(mpmath.mpf(9) / 10)


def test_table_that_ends_at_zero():
    """Zero terminal signal: alpha is linear on the last interval, sigma stays variance preserving, and t is recovered."""
    schedule = schedules.from_alphas_cumprod([0.9, 0.5, 0.0])
    assert (schedule.alpha(2.0), schedule.sigma(2.0)) == (0, 1)
    assert schedule.alpha(1.25) == pytest.approx(0.75 * math.sqrt(0.5), rel=1e-15, abs=0)
    assert schedule.sigma(1.25) ** 2 + schedule.alpha(1.25) ** 2 == pytest.approx(1, rel=1e-15, abs=0)
    for t in (0.5, 1.0, 1.25, 1.999):
        assert schedule.time("half_log_snr", schedule.half_log_snr(t)) == pytest.approx(t, rel=1e-14, abs=0)
    assert schedule.alpha_dot(1.25) == -math.sqrt(0.5)


@pytest.mark.parametrize(
    "table", [[0.5, 0.9], [0.9, 0.9], [1.1, 0.5], [0.9, -0.1], [0.9], [[0.9, 0.5]], [0.9, math.nan]]
)
def test_bad_tables(table):
    with pytest.raises(ValueError, match=r"alphas_cumprod|not finite"):
        schedules.from_alphas_cumprod(table)


def cosine_arc(derivatives: bool):
    """alpha, sigma = cos, sin of a right angle's part: known in closed form, time included."""

    def system(t):
        space = spaces.of(t)
        return space, t * space.pi / 2

    def alpha(t):
        space, angle = system(t)
        return space.cos(angle)

    def sigma(t):
        space, angle = system(t)
        return space.sin(angle)

    if not derivatives:
        return schedules.from_functions(alpha, sigma)
    return schedules.from_functions(
        alpha,
        sigma,
        alpha_dot=lambda t: -sigma(t) * spaces.of(t).pi / 2,
        sigma_dot=lambda t: alpha(t) * spaces.of(t).pi / 2,
    )


@pytest.mark.parametrize("derivatives", [True, False])
def test_from_functions(derivatives):
    schedule = cosine_arc(derivatives)
    for t in (0.0, 0.01, 0.5, 0.93, 1.0):
        # Differentiated numerically where no derivative is given; its error is documented as about 1e-11.
        tolerance = 1e-14 if derivatives else 1e-11
        assert schedule.alpha_dot(t) == pytest.approx(-math.pi / 2 * math.sin(math.pi * t / 2), abs=tolerance)
        assert schedule.sigma_dot(t) == pytest.approx(math.pi / 2 * math.cos(math.pi * t / 2), abs=tolerance)
    with mpmath.workdps(50):
        t = mpmath.mpf(3) / 7
        assert relative(schedule.drift(t), -mpmath.pi / 2 * mpmath.tan(mpmath.pi * t / 2)) < mpmath.mpf(10) ** -45
        # alpha^2 + sigma^2 = 1, and then g^2 = -2 f.
        assert relative(schedule.diffusion2(t), mpmath.pi * mpmath.tan(mpmath.pi * t / 2)) < mpmath.mpf(10) ** -45
        assert relative(schedule.time("sigma_bar", schedule.sigma_bar(t)), t) < mpmath.mpf(10) ** -48
        assert relative(schedule.time("log_snr", schedule.log_snr(t)), t) < mpmath.mpf(10) ** -47
    x = sympy.Symbol("x", positive=True)
    assert sympy.simplify(schedule.drift(x) + sympy.pi / 2 * sympy.tan(sympy.pi * x / 2)) == 0
    times = np.array([0.2, 0.6])
    np.testing.assert_allclose(schedule.sigma_dot(times), math.pi / 2 * np.cos(math.pi * times / 2), rtol=1e-10)


def test_functions_of_balls_alone_are_not_compared_on_floats():
    schedule = schedules.from_functions(lambda t: (-t).exp(), lambda t: 1 - (-t).exp(), alpha_dot=lambda t: -(-t).exp())
    with pytest.raises(AttributeError):  # a float has no method exp
        schedule.alpha_function(0.5)


def test_from_functions_inverts_on_the_whole_domain():
    schedule = schedules.from_functions(lambda t: 1 - t, lambda t: t)
    for s in (0.0, 1e-300, 1e-9, 0.3, 1.0, 1e6, 1e15):
        assert schedule.time("sigma_bar", s) == pytest.approx(s / (1 + s), rel=8 * 2.0**-52, abs=0)
    with pytest.raises(ValueError, match="does not occur"):
        schedules.from_functions(lambda t: 1.0, lambda t: t, t_max=2).time("sigma_bar", 3.0)


def test_from_functions_refuses_what_it_cannot_know():
    schedule = schedules.from_functions(lambda t: 1 - t, lambda t: t)
    assert schedule.alpha(Fraction(1, 3)) == Fraction(2, 3)
    with pytest.raises(TypeError, match="alpha_dot"):
        schedule.alpha_dot(Fraction(1, 3))
    with pytest.raises(TypeError, match="alpha_dot"):
        schedule.alpha_dot(np.longdouble(0.3))
    with pytest.raises(TypeError, match="inverse"):
        schedule.time("sigma_bar", Fraction(1, 3))
    with pytest.raises(TypeError, match="not callable"):
        schedules.from_functions(1, lambda t: t)
    with pytest.raises(ValueError, match="t_min"):
        schedules.from_functions(lambda t: 1.0, lambda t: t, t_min=1, t_max=1)


def test_divergence():
    """inf for floats, alone and in arrays; a clear ValueError where a system has no infinity."""
    linear, flow = schedules.vp_linear(), schedules.flow()
    assert linear.sigma_dot(0.0) == math.inf
    assert linear.log_snr(0.0) == math.inf
    assert flow.drift(1.0) == -math.inf
    np.testing.assert_array_equal(flow.sigma_bar(np.array([0.5, 1.0])), [1, math.inf])
    with pytest.raises(ValueError, match=r"drift .* diverges at t=1"):
        flow.drift(Fraction(1))
    with pytest.raises(ValueError, match=r"sigma_dot .* diverges at t=0"):
        linear.sigma_dot(mpmath.mpf(0))


def test_ends():
    assert schedules.vp_cosine().alpha(1.0) == 0
    assert schedules.vp_cosine().sigma(1.0) == pytest.approx(1, rel=2 * 2.0**-52, abs=0)
    assert schedules.vp_linear().sigma(0.0) == 0
    assert schedules.ve().sigma(0.0) == 0


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: schedules.vp_linear(0, 20), "beta_min"),
        (lambda: schedules.vp_linear(2, 1), "beta_min"),
        (lambda: schedules.vp_cosine(-1), "s="),
        (lambda: schedules.flow().time("snr", 1.0), "variable"),
        (lambda: schedules.vp_linear(math.nan), "nan"),
    ],
)
def test_bad_parameters(make, name):
    with pytest.raises(ValueError, match=name):
        make()


@continuous
def test_eq_2_conserves_the_standard_score(schedule):
    """For Gaussian data of variance s^2 the ODE (2) scales z as sqrt(alpha^2 s^2 + sigma^2)."""
    s2 = mpmath.mpf(9) / 4

    def variance(t):
        return schedule.alpha(t) ** 2 * s2 + schedule.sigma(t) ** 2

    field = schedules.probability_flow(lambda z, t: -z / variance(t), schedule)
    with mpmath.workdps(50):
        t = mpmath.mpf(3) / 7
        growth = mpmath.diff(lambda x: mpmath.log(variance(x)) / 2, t)
        assert abs(field(mpmath.mpf(2), t) - 2 * growth) < mpmath.mpf(10) ** -40


def test_eq_2_keeps_the_dtype():
    field = schedules.probability_flow(lambda z, t: -z, schedules.vp_linear())
    assert field(np.ones((2, 3), dtype=np.float32), 0.5).dtype == np.float32


@pytest.mark.parametrize("t", [0.25, 0.5, 2.0])
def test_from_functions_asks_inside_the_domain_only(t):
    def sigma(x):
        assert 0.25 <= x <= 2
        return x * x

    schedule = schedules.from_functions(lambda x: 1.0, sigma, t_min=0.25, t_max=2)
    assert schedule.sigma_dot(t) == pytest.approx(2 * t, rel=1e-11, abs=0)
    with mpmath.workdps(30):
        assert abs(schedules.from_functions(lambda x: 1, lambda x: x**2).sigma_dot(mpmath.mpf(1)) - 2) < 1e-20


def test_floats_beyond_either_end_are_refused():
    """One rounding beyond, which a comparison with an end that is rounded to a float must not let pass."""
    vp, low, high = schedules.vp_linear(), 0.0, 1.0
    for t in (low, 0.5, high, np.nextafter(low, 1), np.nextafter(high, 0)):
        assert inside(vp, "t", t) == t
    for t in (np.nextafter(low, -1), np.nextafter(high, 2), -0.5, 1.5, math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="outside the schedule"):
            inside(vp, "t", t)
