"""Predictions against their definitions: z = alpha x0 + sigma eps, solved exactly."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import Heun, grids, models, problems, schedules, solve, spaces

POINT = grids.Point(*(Fraction(x) for x in ("2/5", "3/7", "5/11", "-3/2", "7/3")))
X0, EPS = Fraction(13, 3), Fraction(-17, 19)


def target(prediction: str, p, x0, eps):
    return {
        "eps": eps,
        "x0": x0,
        "v": p.alpha * eps - p.sigma * x0,
        "velocity": p.alpha_dot * x0 + p.sigma_dot * eps,
        "score": -eps / p.sigma,
    }[prediction]


@pytest.mark.parametrize("prediction", models.PREDICTIONS)
def test_forms_recover_data_and_noise_exactly(prediction):
    z = POINT.alpha * X0 + POINT.sigma * EPS
    m = target(prediction, POINT, X0, EPS)
    (a, b), (c, d) = models.x0_form(prediction, POINT), models.eps_form(prediction, POINT)
    assert a * z + b * m == X0
    assert c * z + d * m == EPS
    assert {type(x) for x in (a, b, c, d)} == {Fraction}


@pytest.mark.parametrize("prediction", models.PREDICTIONS)
def test_forms_on_symbols(prediction):
    p = grids.symbolic(1).point(1)
    x0, eps = sympy.symbols("x0 eps")
    z, m = p.alpha * x0 + p.sigma * eps, target(prediction, p, x0, eps)
    (a, b), (c, d) = models.x0_form(prediction, p), models.eps_form(prediction, p)
    assert sympy.simplify(a * z + b * m - x0) == 0
    assert sympy.simplify(c * z + d * m - eps) == 0


def test_forms_of_ints_are_exact():
    """1/c of Python ints would be a float."""
    p = grids.Point(0, -1, 3)
    assert models.x0_form("eps", p) == (Fraction(-1), Fraction(3))
    assert models.eps_form("x0", p) == (Fraction(1, 3), Fraction(1, 3))
    assert {type(c) for c in models.x0_form("eps", p) + models.eps_form("x0", p)} == {Fraction}


@pytest.mark.parametrize(
    ("form", "prediction", "alpha", "sigma", "name"),
    [
        (models.x0_form, "eps", 0, 1, "alpha = 0"),
        (models.x0_form, "score", 0, 1, "alpha = 0"),
        (models.eps_form, "x0", 1, 0, "sigma = 0"),
    ],
)
def test_divisions_by_zero_name_the_culprit(form, prediction, alpha, sigma, name):
    for number in (Fraction, float, sympy.Integer, mpmath.mpf):
        with pytest.raises(ValueError, match=name):
            form(prediction, grids.Point(number(1), number(alpha), number(sigma)))


def test_what_stays_finite_at_the_ends():
    noise, data = grids.Point(Fraction(1), Fraction(0), Fraction(1)), grids.Point(Fraction(0), Fraction(1), Fraction(0))
    assert models.x0_form("v", noise) == (0, -1)
    assert models.eps_form("v", noise) == (1, 0)
    assert models.eps_form("v", data) == (0, 1)
    assert models.eps_form("score", data) == (0, 0)
    flow = grids.Point(Fraction(1), Fraction(0), Fraction(1), Fraction(-1), Fraction(1))
    assert models.x0_form("velocity", flow) == (1, -1)
    with pytest.raises(ValueError, match="alpha_dot"):
        models.x0_form("velocity", noise)


@pytest.mark.parametrize("source", models.PREDICTIONS)
@pytest.mark.parametrize("prediction", models.PREDICTIONS)
def test_every_prediction_converts_to_every_other(source, prediction):
    schedule = schedules.vp_linear()
    rng = np.random.default_rng(0)
    x0, eps = rng.normal(size=(2, 3, 4))
    t = 0.4
    p = grids.Point(t, *(getattr(schedule, q)(t) for q in ("alpha", "sigma", "alpha_dot", "sigma_dot")))
    model = models.Predicting(lambda z, t: target(source, p, x0, eps), source)
    converted = models.as_prediction(model, schedule, prediction)
    assert models.prediction_of(converted) == prediction
    expected = target(prediction, p, x0, eps)
    # Two solved linear systems whose entries are of size 1 to 10.
    np.testing.assert_allclose(converted(p.alpha * x0 + p.sigma * eps, t), expected, rtol=0, atol=500 * 2.0**-52)


def test_eq_5_and_dtype():
    """The score is -eps/sigma; a float32 prediction stays float32, and every number system keeps its own."""
    schedule = schedules.stable_diffusion()
    model = models.as_prediction(lambda z, t: z + 1, schedule, "score")
    z = np.ones(3, dtype=np.float32)
    assert model(z, 500.0).dtype == np.float32
    np.testing.assert_allclose(model(z, 500.0), -2 / schedule.sigma(500.0), rtol=2.0**-22)
    back = models.as_eps(model, schedule)
    np.testing.assert_allclose(back(z, 500.0), 2, rtol=2.0**-22)
    with mpmath.workdps(50):
        z = np.array([mpmath.mpf(1)], dtype=object)
        t = mpmath.mpf(500)
        assert abs(model(z, t)[0] + 2 / schedule.sigma(t)) < mpmath.mpf(10) ** -48
    for kind in ("v", "x0", "velocity"):
        wide = models.as_prediction(lambda z, t: z + 1, schedule, kind)(
            np.ones(2, dtype=np.longdouble), np.longdouble(9)
        )
        assert wide.dtype == np.longdouble
        mp = models.as_eps(models.Predicting(lambda z, t: z + 1, kind), schedule)(z, t)
        assert type(mp[0]) is mpmath.mpf
    exact = models.as_eps(models.velocity(lambda z, t: z / 2), schedules.flow())
    # eps = (alpha m - alpha_dot z)/(alpha sigma_dot - sigma alpha_dot) = (1-t) z/2 + z
    assert exact(Fraction(3), Fraction(1, 3)) == Fraction(4)


def test_as_eps_of_a_noise_prediction_is_itself_at_alpha_zero():
    assert models.as_eps(lambda z, t: z, schedules.flow())(2.0, 1.0) == 2.0
    with pytest.raises(ValueError, match="alpha = 0"):
        models.as_prediction(lambda z, t: z, schedules.flow(), "x0")(2.0, 1.0)


def test_wrappers_return_the_native_output():
    for wrap, name in ((models.x0, "x0"), (models.v, "v"), (models.velocity, "velocity"), (models.score, "score")):
        model = wrap(lambda z, t: z * t)
        assert models.prediction_of(model) == name
        assert model(3.0, 2.0) == 6.0
    assert models.prediction_of(lambda z, t: z) == "eps"
    with pytest.raises(TypeError, match="not callable"):
        models.v(3)
    with pytest.raises(ValueError, match="prediction"):
        models.Predicting(lambda z, t: z, "noise")
    with pytest.raises(ValueError, match="prediction"):
        models.as_prediction(lambda z, t: z, schedules.flow(), "noise")


def test_guidance_of_two_models_that_write_into_one_array():
    """As one network does whose output stays where it is: the second prediction overwrites the first."""
    shared = np.empty(3)

    def writing(factor):
        return lambda z, t: np.multiply(factor, z, out=shared)

    z = np.array([1.0, -2.0, 0.5])
    assert np.array_equal(models.guided(writing(3.0), writing(1.0), 7.5)(z, 0.0), z + 7.5 * (3 * z - z))


def test_guided():
    model = models.guided(models.v(lambda z, t: 3 * z), models.v(lambda z, t: z), Fraction(5, 2))
    assert models.prediction_of(model) == "v"
    assert model(Fraction(2), 0) == 2 + Fraction(5, 2) * (6 - 2)
    with pytest.raises(ValueError, match="cond predicts v and uncond eps"):
        models.guided(models.v(lambda z, t: z), lambda z, t: z, 2)
    narrow = models.guided(lambda z, t: z, lambda z, t: -z, 7.5)(np.ones(2, dtype=np.float32), 0.0)
    assert narrow.dtype == np.float32


def test_counted():
    model = models.counted(models.x0(lambda z, t: z))
    for _ in range(3):
        model(1.0, 0.5)
    assert (model.nfe, models.prediction_of(model)) == (3, "x0")
    assert models.counted(lambda z, t: z).prediction == "eps"
    assert spaces.of(model(np.float32(1), 0)).name == "float32"


def test_a_prediction_that_says_nothing_is_zero():
    """Eps of a score is 0 times it where sigma = 0, at which the last stage of Heun's method asks."""
    grid = grids.asinh(schedules.vp_linear(), 6, t_max=1, t_min=0)
    law = problems.Gaussian([0.0], 0.5)
    eps = law.model(grid.schedule)

    def score(z, t):
        return np.full_like(z, 7.0) if t == 0 else -eps(z, t) / grid.schedule.sigma(t)

    z = np.array([[1.0]])
    found = solve(Heun(), models.score(score), grid, z).z
    assert np.allclose(found, solve(Heun(), eps, grid, z).z, rtol=1e-13, atol=0)
