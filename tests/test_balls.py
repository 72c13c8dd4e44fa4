"""Runs on balls: they hold what 60 digits give, nothing is decided by chance, and no precision leaks."""

import time
from fractions import Fraction
from itertools import cycle, pairwise

import mpmath
import numpy as np
import pytest

flint = pytest.importorskip("flint")

from bdia_numerics import (  # noqa: E402
    BDIA,
    CBDIA,
    DDIM,
    OBELM,
    SOLVERS,
    NotInvertibleError,
    analysis,
    grids,
    invert,
    models,
    problems,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.analysis.certified.enclosures import halves  # noqa: E402
from bdia_numerics.problems import certified_ode  # noqa: E402
from bdia_numerics.spaces.ball import ball as ball_of  # noqa: E402

arb = flint.arb
BALLS, DIGITS = spaces.Balls(160), spaces.MPMath(70)
SCHEDULES = {
    "vp_linear": (schedules.vp_linear(), {"t_max": Fraction(9, 10), "t_min": Fraction(1, 50)}),
    "vp_cosine": (schedules.vp_cosine(), {"t_max": Fraction(9, 10), "t_min": Fraction(1, 50)}),
    "edm": (schedules.edm(), {"t_max": 5, "t_min": Fraction(1, 10)}),
    "ve": (schedules.ve(), {"t_max": 9, "t_min": Fraction(1, 10)}),
    "flow": (schedules.flow(), {"t_max": Fraction(4, 5), "t_min": Fraction(1, 10)}),
    "stable_diffusion": (schedules.stable_diffusion(), {"t_max": 900, "t_min": 20}),
    "ddpm_linear": (schedules.ddpm_linear(), {"t_max": 900, "t_min": 20}),
}
LAW = problems.GaussianMixture([0.25, 0.5, 0.25], [[-1.5], [0.5], [2.0]], [0.25, 0.125, 0.5])


def holds(ball, number, digits=60):
    """Say whether a ball and a number of so many right digits agree: the ball meets the number's own uncertainty."""
    with flint.ctx.workprec(600), mpmath.workdps(digits + 10):
        width = mpmath.mpf(10) ** -digits * max(1, abs(number))
        around = arb(mpmath.nstr(number, digits + 10, strip_zeros=False), mpmath.nstr(width, 5))
        return arb(ball).overlaps(around)


def state(space, *values):
    z = np.empty(len(values), dtype=object)
    z[:] = [space.number(v) for v in values]
    return z


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", ["uniform", "quadratic", "asinh", "log_snr", "karras"])
def test_grids_hold_those_of_sixty_digits(name, kind):
    schedule, ends = SCHEDULES[name]
    make = getattr(grids, kind)
    balls, digits = make(schedule, 5, space=BALLS, **ends), make(schedule, 5, space=DIGITS, **ends)
    for column in ("t", "alpha", "sigma"):
        for ball, number in zip(getattr(balls, column), getattr(digits, column), strict=True):
            assert holds(ball, number)
            # A few roundings of 160 bits; powers and logarithms of the named grids cost up to 30 bits.
            assert ball.rad() <= abs(ball) * arb(2) ** -125


def test_other_grids_and_conversions():
    schedule = schedules.stable_diffusion()
    for make in (grids.trailing, grids.leading, grids.linspace):
        grid = make(schedule, 10)
        for ball, number in zip(grid.to(BALLS).alpha, grid.to(DIGITS).alpha, strict=True):
            assert holds(ball, number)
    given = grids.from_values([0.0, 0.5], [1.0, 0.75], [0.1, 0.5]).to(BALLS)
    assert given.sigma[0].rational == Fraction(0.1)  # a float means its binary value
    assert grids.uniform(schedules.edm(), 3, t_max=0.3, space=BALLS).t[1].rational == Fraction(1, 10)
    functions = schedules.from_functions(lambda t: 1 - t, lambda t: t)
    assert grids.uniform(functions, 4, t_max=0.9, space=BALLS).alpha[0].rational == 1
    with pytest.raises(TypeError, match="inverse of a schedule from functions is not known in balls"):
        grids.log_snr(functions, 4, t_max=0.9, t_min=0.1, space=BALLS)


# Each solver on one of two schedules.
@pytest.mark.parametrize(("name", "schedule"), [*zip(SOLVERS, cycle(["vp_linear", "flow"]), strict=False)])
def test_every_solver_holds_the_run_of_sixty_digits(name, schedule):
    solver = SOLVERS[name]()
    kind, ends = SCHEDULES[schedule]
    grid = grids.uniform(kind, 6, space=BALLS, **ends)
    values = Fraction(2, 3), Fraction(-3, 5)
    runs = {}
    for space in (BALLS, DIGITS):
        z = state(space, *values).reshape(2, 1)
        with space.working():
            runs[space] = solve(solver, LAW.model(kind), grid.to(space), z, return_trajectory=True)
    for ball, number in zip(runs[BALLS].trajectory.flat, runs[DIGITS].trajectory.flat, strict=True):
        if number is not None:
            assert holds(ball, number)
            assert ball.rad() < 1e-25
    try:
        back = invert(solver, LAW.model(kind), grid, runs[BALLS].state)
    except NotInvertibleError:
        return
    for ball, number in zip(back.z.flat, values, strict=True):
        assert ball.contains(BALLS.number(number))
        assert ball.rad() < 1e-15


def test_radii_answer_to_the_precision_and_precision_does_not_leak():
    radii = []
    before = flint.ctx.prec
    for bits in (60, 120, 180):
        space = spaces.Balls(bits)
        grid = grids.uniform(schedules.vp_linear(), 8, t_min=Fraction(1, 100), space=space)
        z = solve(BDIA(), LAW.model(schedules.vp_linear()), grid, state(space, Fraction(1, 3))).z
        radii.append(float(z[0].rad()))
        assert flint.ctx.prec == before
    # 60 bits more make the radius smaller by 2^60, up to the few bits by which single roundings differ.
    for wide, narrow in pairwise(radii):
        assert 2.0**55 < wide / narrow < 2.0**65
    with pytest.raises(ZeroDivisionError), spaces.Balls(200).working():
        1 / spaces.Balls(200).number(0)
    assert flint.ctx.prec == before


def test_a_ball_of_states_holds_the_images_of_its_points():
    schedule, ends = SCHEDULES["vp_linear"]
    grid = grids.uniform(schedule, 5, space=BALLS, **ends)
    wide = np.array([arb(1, "0.01")], dtype=object)
    carried = np.array([spaces.MeanValue(arb(1), (arb(1),), (arb(0, "0.01"),))], dtype=object)
    points = np.linspace(0.9901, 1.0099, 33)[:, None]
    for solver in (DDIM(), BDIA(), CBDIA()):
        images = solve(solver, LAW.model(schedule), grid.to(np.float64), points).z
        plain = solve(solver, LAW.model(schedule), grid, wide).z[0]
        mean_value = solve(solver, LAW.model(schedule), grid, carried).z[0]
        for ball in (plain, mean_value.value):
            assert float(ball.lower()) < images.min() and images.max() < float(ball.upper())
        slopes = np.diff(images[:, 0]) / np.diff(points[:, 0])
        assert float(mean_value.slopes[0].lower()) < slopes.min() and slopes.max() < float(mean_value.slopes[0].upper())
        # The derivative keeps the excess of second order: at this width a few percent, where balls alone lose more.
        true = (images.max() - images.min()) / 2
        assert float(mean_value.value.rad()) < 1.2 * true < float(plain.rad())


def test_a_box_is_cut_across_its_longest_side():
    assert list(halves(((0, 1), (0, 4)))) == [((0, 1), (0, 2)), ((0, 1), (2, 4))]
    assert list(halves(((0, 4), (3, 4)))) == [((0, 2), (3, 4)), ((2, 4), (3, 4))]


def test_powers_of_a_ball_hold_those_of_its_points():
    x = ball_of(arb(3, "0.1"))
    for n in (-2, -1, 0, 1, 3):
        for point in (Fraction(29, 10), 3, Fraction(31, 10)):
            value = Fraction(point) ** n
            assert (x**n).contains(arb(value.numerator) / value.denominator)
        assert float((x**n).rad()) <= 0.12 * abs(n) * 3.0**n + 1e-12
    with pytest.raises(ValueError, match="may be zero"):
        ball_of(arb(0, 1)) ** -1


def test_values_with_derivatives_follow_the_rules_of_differentiation():
    x = spaces.MeanValue(arb(2), (arb(1),), (arb(0, "0.01"),))
    at_2 = {(-x): (-2, -1), (x - x * x): (-2, -3), (3 - x): (1, -1), (x + 1 - 2 * x): (-1, -1), (x * x * x): (8, 12)}
    for found, (value, slope) in at_2.items():
        assert found.centre == value and found.slopes[0].contains(slope) and found.value.contains(value)
        assert float(found.slopes[0].rad()) < 0.2
    with pytest.raises(ValueError, match="two values over different boxes"):
        x + spaces.MeanValue(arb(2), (arb(1),), (arb(0, "0.01"),))


def test_the_flows_derivative_on_balls_holds_that_of_points():
    schedule, t_from, t_to = schedules.vp_linear(), Fraction(3, 5), Fraction(1, 10)
    points = np.array([[0.299], [0.3], [0.301], [-1.2]])
    slopes = LAW.flow_jacobian(points, 0.6, 0.1, schedule)[:, 0, 0]
    balls = np.array([[arb("0.3", "0.001")], [arb("0.3")], [arb("-1.2")]], dtype=object)
    wide, *narrow = LAW.flow_jacobian(balls, t_from, t_to, schedule)[:, 0, 0]
    assert float(wide.lower()) < slopes[:3].min() and slopes[:3].max() < float(wide.upper()) and wide.rad() < 1e-3
    for ball, slope in zip(narrow, slopes[[1, 3]], strict=True):
        assert abs(float(ball.mid()) - slope) < 1e-12 and ball.rad() < 1e-12


LAWS = {
    "one": problems.Gaussian([0.5], 0.25),
    "three": LAW,
    "plane, isotropic": problems.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.25, 0.5]),
    "plane, diagonal": problems.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [[0.25, 0.5], [0.125, 1.0]]),
    "plane, full": problems.GaussianMixture(
        [0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [[[0.5, 0.25], [0.25, 1.0]], [[0.75, -0.25], [-0.25, 0.5]]]
    ),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("radius", [0, 1e-3, 0.1, 2.0])
def test_scores_on_balls_hold_scores_of_points(name, radius):
    law, schedule, t = LAWS[name], schedules.vp_linear(), Fraction(3, 10)
    size = law.dimension
    rng = np.random.default_rng(0)
    for centre in (0.0, 1.25, -7.0, 300.0):
        z = np.array([arb(centre, radius) for _ in range(size)], dtype=object)
        with BALLS.working():
            balls = law.score(z, BALLS.number(t), schedule)
        inside = np.concatenate([rng.uniform(-1, 1, (12, size)), [[1.0] * size], [[-1.0] * size]])
        with DIGITS.working():
            for offset in inside if radius else inside[:1] * 0:
                point = state(DIGITS, *(Fraction(centre) + Fraction(radius) * Fraction(x) for x in offset))
                for ball, number in zip(balls, law.score(point, DIGITS.number(t), schedule), strict=True):
                    assert holds(ball, number, 50)
        if not radius:
            assert all(ball.rad() < 1e-40 for ball in balls)


@pytest.mark.parametrize("times", [(Fraction(9, 10), Fraction(1, 100)), (Fraction(1, 100), Fraction(9, 10))])
@pytest.mark.parametrize("name", ["one", "three"])
def test_the_flow_on_balls_has_a_proved_radius(name, times):
    law, schedule = LAWS[name], schedules.vp_linear()
    # The last is 200 deviations out, where the distribution function is below 1e-8000.
    for z in (0, Fraction(1, 3), -3, 12, -200):
        with BALLS.working():
            found = law.flow_certified(state(BALLS, z), *map(BALLS.number, times), schedule)
        with DIGITS.working():
            exact = law.flow(state(DIGITS, z), *map(DIGITS.number, times), schedule)[0]
        assert holds(found.z[0], exact)
        assert found.certificate.kind == "enclosure" and "160 bits" in found.certificate.detail
        assert float(found.z[0].rad()) <= found.certificate.error < 1e-44 * max(1.0, abs(float(exact)))


def test_the_flow_of_a_wide_ball_is_that_of_its_ends():
    times = [BALLS.number(t) for t in (Fraction(9, 10), Fraction(1, 100))]
    with BALLS.working():
        wide = LAW.flow(np.array([arb(1, "0.25")], dtype=object), *times, schedules.vp_linear())[0]
        ends = LAW.flow(state(BALLS, Fraction(3, 4), Fraction(5, 4)).reshape(2, 1), *times, schedules.vp_linear())[:, 0]
    assert wide.contains(ends[0]) and wide.contains(ends[1])
    assert wide.rad() < 1.0001 * arb((ends[1] - ends[0]) / 2)


SHORT = Fraction(1, 2), Fraction(2, 5)


def test_a_certified_flow_meets_the_exact_one():
    schedule = schedules.vp_linear()
    # Means on a line along an axis, common variance across it: the flow is exact.
    law = problems.GaussianMixture([0.25, 0.75], [[-1.0, 0.5], [1.0, 0.5]], [[0.25, 0.5], [0.125, 0.5]])
    found = problems.certified_flow(law, schedule, [arb(0.25, 1e-6), arb(-0.75, 1e-6)], *SHORT, prec=53)
    with BALLS.working():
        for corner in ((1, 1), (1, -1), (0, 0)):
            ends = (Fraction(c) + Fraction(k, 10**6) for c, k in zip(("1/4", "-3/4"), corner, strict=True))
            exact = law.flow(state(BALLS, *ends), *map(BALLS.number, SHORT), schedule)
            assert all(ball.contains(x) for ball, x in zip(found.z, exact, strict=True))
    assert found.certificate.kind == "enclosure" and "Taylor steps of order 13" in found.certificate.detail
    assert all(float(ball.rad()) <= found.certificate.error for ball in found.z)
    # 1e-6 sqrt(2), carried along by at most the growth of the flow, which here is a contraction.
    assert 1e-7 < found.certificate.error < 1.5e-6


def test_the_slopes_over_a_box_are_those_of_the_series():
    """Of unit variance dy/ds is s y/(1 + s^2): 1/2 and -1/2 here, with the derivative 1/2."""
    field = certified_ode._Field(problems.Gaussian([0, 0], 1)._in(BALLS), BALLS, 8)
    with BALLS.working():
        slopes, jacobian = field.over([arb(1), arb(-1)], arb(1))
        series = field.coefficients([arb(1), arb(-1)], arb(1), 2)
    for k, slope in enumerate((0.5, -0.5)):
        assert slopes[k].contains(slope) and series[k][1].contains(slope) and jacobian[k][k].contains(0.5)


def test_a_ball_as_large_as_what_the_steps_leave_open_is_carried_along_beside_it():
    """Of unit variance each state is scaled, so that the ends of the ball have images in closed form."""
    law, places = problems.Gaussian([0, 0], 1), (0.3, -0.7)
    alone = problems.certified_flow(law, schedules.edm(), places, *SHORT, prec=53)
    radius = float(alone.z[0].rad())
    found = problems.certified_flow(law, schedules.edm(), [arb(x, radius) for x in places], *SHORT, prec=53)
    with BALLS.working():
        scale = BALLS.sqrt(BALLS.number((1 + SHORT[1] ** 2) / (1 + SHORT[0] ** 2)))
        for x, ball in zip(places, found.z, strict=True):
            assert all(ball.contains((arb(x) + s * arb(radius)) * scale) for s in (1, -1))


def test_a_certified_flow_where_the_noise_is_smaller_than_the_data():
    law, times = LAWS["plane, full"], (Fraction(1, 4), Fraction(6, 25))
    found = problems.certified_flow(law, schedules.edm(), [0.3, -0.7], *times, prec=53)
    fine = problems.reference_flow(
        law.model(schedules.edm()), schedules.edm(), np.array([0.3, -0.7]), *map(float, times)
    )
    assert all(ball.overlaps(arb(number, fine.error)) for ball, number in zip(found.z, fine.z, strict=True))


@pytest.mark.parametrize(
    "times", [SHORT, pytest.param((Fraction(1, 10), Fraction(1, 2)), marks=pytest.mark.slow)], ids=["down", "up"]
)
def test_a_certified_flow_without_a_closed_form(times):
    schedule, law = schedules.vp_linear(), LAWS["plane, full"]
    found = problems.certified_flow(law, schedule, [0.3, -0.7], *times, prec=53)
    fine = problems.reference_flow(law.model(schedule), schedule, np.array([0.3, -0.7]), *map(float, times))
    for ball, number in zip(found.z, fine.z, strict=True):
        assert ball.overlaps(arb(number, fine.error))
    assert found.certificate.error < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": None}, "problem=None is not a distribution"),
        ({"z": [1, 2, 3]}, "last axis must be D = 2"),
        ({"z": [1, float("inf")]}, "not finite"),
        ({"z": [1, 1j]}, "not a ball"),
        ({"max_steps": 1}, "max_steps=1 are used up"),
        ({"schedule": schedules.flow(), "t_from": 1}, "alpha = 0 at t=1"),
    ],
)
def test_bad_input_of_a_certified_flow(change, message):
    arguments = {
        "problem": LAWS["plane, full"], "z": [0, 1], "t_from": Fraction(1, 2), "t_to": Fraction(1, 10), "schedule": schedules.vp_linear(),
    } | change  # fmt: skip
    with pytest.raises((ValueError, TypeError), match=message):
        problems.certified_flow(**arguments, prec=53)


def test_a_state_of_balls_is_saved_with_every_bit(tmp_path):
    schedule, ends = SCHEDULES["vp_linear"]
    grid = grids.uniform(schedule, 4, space=BALLS, **ends)
    left = solve(BDIA(), LAW.model(schedule), grid, state(BALLS, Fraction(1, 3))).state
    left.save(tmp_path / "state.npz")
    read = type(left).load(tmp_path / "state.npz")
    for name, balls in left.registers.items():
        for old, new in zip(balls, read.registers[name], strict=True):
            assert old.mid().man_exp() == new.mid().man_exp() and old.rad().man_exp() == new.rad().man_exp()
    assert invert(BDIA(), LAW.model(schedule), grid, read).z[0].contains(BALLS.number(Fraction(1, 3)))
    # A radius of one bit, where those of a run have thirty.
    type(left)("BDIA", "", {"z": np.array([[arb(1, (1, -2))]], dtype=object)}, {"z": 0}).save(tmp_path / "short.npz")
    assert type(left).load(tmp_path / "short.npz").registers["z"][0, 0].rad() == 0.25


def test_what_the_radii_leave_open_is_an_error():
    third = spaces.Balls(64).number(Fraction(1, 3))
    assert third * 3 == 1 and third - third == 0  # rational values are kept, so these are certain
    root = spaces.Balls(64).sqrt(spaces.Balls(64).number(2))
    for open_question in (
        lambda: root * root == 2,
        lambda: root - root == 0,
        lambda: bool(root - root),
        lambda: root < root + 0 * root,
    ):
        with pytest.raises(spaces.UndecidedError, match="more bits"):
            open_question()
    with pytest.raises(spaces.UndecidedError, match="may be zero"):
        1 / (root - root)
    assert root != 1 and root > 1 and not root < 1 and int(root) == 1
    assert spaces.Balls(64).is_zero(Fraction(0)) and not spaces.Balls(64).is_zero(root)
    with pytest.raises(TypeError, match="would lose its radius"):
        float(root)
    for nonsense in (None, 1j, True, "x", mpmath.mpf(1), np.ones(1, dtype=complex)[0]):
        with pytest.raises((TypeError, ValueError)):
            spaces.Balls(64).number(nonsense)
    with pytest.raises(ValueError, match="not defined on all of"):
        spaces.Balls(64).log(root - 2 * root)
    with pytest.raises(ValueError, match="not a number of bits"):
        spaces.Balls(1.5)


def test_a_ratio_of_steps_that_is_one_is_decided_on_rational_grids():
    grid = grids.uniform(schedules.edm(), 6, t_max=3, t_min=Fraction(1, 10), space=BALLS)
    run = solve(OBELM(), LAW.model(schedules.edm()), grid, state(BALLS, 1))
    same = solve(BDIA(1), LAW.model(schedules.edm()), grid, state(BALLS, 1))
    assert run.z[0].overlaps(same.z[0]) and run.z[0].rad() < 1e-40  # (h_i/h_{i+1})^2 = 1 is BDIA with gamma = 1


def test_models_of_another_prediction_and_other_systems():
    schedule, ends = SCHEDULES["flow"]
    grid = grids.uniform(schedule, 4, space=BALLS, **ends)
    eps = solve(BDIA(), LAW.model(schedule), grid, state(BALLS, 1)).z[0]
    for kind in ("x0", "v", "velocity"):
        model = models.as_prediction(LAW.model(schedule), schedule, kind)
        assert solve(BDIA(), model, grid, state(BALLS, 1)).z[0].overlaps(eps)
    with pytest.raises(TypeError, match="balls"):
        solve(BDIA(), LAW.model(schedule), grid.to(np.float64), state(BALLS, 1))
    with pytest.raises(TypeError, match=r"no exact flow on balls: use problems\.certified_flow"):
        LAWS["plane, full"].flow(state(BALLS, 1, 1), *grid.t[[4, 0]], schedule)
    full, radial = (
        problems.Gaussian([1.0, 0.0], [[0.5, 0.25], [0.25, 1.0]]),
        problems.GaussianMixture([0.5, 0.5], [[0, 0], [0, 0]], [0.5, 1.0]),
    )
    for law, what in ((full, "no root"), (radial, "no distribution function of the radius")):
        with pytest.raises(TypeError, match=rf"{what}.*use problems\.certified_flow"):
            law.flow(state(BALLS, 1, 1), *grid.t[[4, 0]], schedule)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(ImportError, match=r"pip install 'bdia_numerics\[balls\]'"):
        spaces.Balls(64)


# Boxes

GRID = grids.uniform(schedules.vp_linear(), 10, t_max=1, t_min=Fraction(1, 100))
TWO = problems.GaussianMixture([0.25, 0.75], [[-1.0], [1.0]], [0.25, 0.25])


def test_an_enclosed_error_holds_errors_of_points():
    whole = analysis.enclose_error(BDIA(1), TWO, GRID, (0.5, 1))
    fine = analysis.enclose_error(BDIA(1), TWO, GRID, (0.5, 1), radius=0.01)
    z = np.linspace(0.5, 1, 41)[:, None]
    errors = solve(BDIA(1), TWO.model(GRID.schedule), GRID, z).z - TWO.flow(z, 1.0, 0.01, GRID.schedule)
    for found in (whole, fine):
        assert float(found.error[0].lower()) < errors.min() and errors.max() < float(found.error[0].upper())
    assert fine.complete and fine.radius <= 0.01 and len(fine.pieces) > 1 == len(whole.pieces)
    assert fine.error[0].rad() < whole.error[0].rad()
    assert sum(high - low for ((low, high),), _ in fine.pieces) == Fraction(1, 2)
    short = analysis.enclose_error(BDIA(1), TWO, GRID, (0.5, 1), radius=1e-9, budget=5)
    assert not short.complete and short.evaluated <= 5
    assert float(short.error[0].lower()) < errors.min() and errors.max() < float(short.error[0].upper())


def test_a_comparison_is_proved_refuted_or_left_open():
    told = []
    proof = analysis.certify_better(
        BDIA(1), DDIM(), TWO, GRID, (0.5, 1), progress=lambda part, count: told.append((part, count))
    )
    assert proof.verdict == "proved" and proof.witness is None and not proof.open and proof.ratio < 1
    assert sum(high - low for ((low, high),) in proof.pieces) == Fraction(1, 2)
    assert told[-1] == (1.0, proof.evaluated) and proof.nfe == proof.evaluated * 20
    z = np.linspace(0.5, 1, 41)[:, None]
    truth = TWO.flow(z, 1.0, 0.01, GRID.schedule)
    a, b = (np.abs(solve(s, TWO.model(GRID.schedule), GRID, z).z - truth) for s in (BDIA(1), DDIM()))
    assert (a / b).max() < proof.ratio
    swapped = analysis.certify_better(DDIM(), BDIA(1), TWO, GRID, (0.5, 1))
    assert swapped.verdict == "refuted" and swapped.witness.error_a > swapped.witness.error_b
    same = analysis.certify_better(DDIM(), DDIM(), TWO, GRID, (0.5, 1), budget=9)
    assert (same.verdict in ("undecided", "refuted") and "undecided" in str(same)) or same.witness is not None
    neither = analysis.certify_better(BDIA(1), DDIM(), problems.Gaussian([0], 1), GRID, (-1, 1), budget=2)
    assert neither.verdict == "refuted" and neither.witness.error_a == neither.witness.error_b == 0  # at the mean
    half = analysis.certify_better(BDIA(1), DDIM(), TWO, GRID, (0.5, 0.6), factor=Fraction(1, 2))
    assert half.verdict == "proved" and half.ratio < 0.5
    poor = analysis.certify_better(BDIA(1), DDIM(), TWO, GRID, (0.5, 1), form="natural", budget=7)
    assert poor.verdict == "undecided" and poor.open and poor.evaluated == 7


def test_a_comparison_in_the_plane():
    law = problems.Gaussian([0.5, -0.5], [0.25, 1.0])
    box = ((1, Fraction(5, 4)), (-1, Fraction(-3, 4)))
    proof = analysis.certify_better(BDIA(1), DDIM(), law, GRID, box)
    assert proof.verdict == "proved" and 0 <= proof.seconds <= time.process_time()
    corners = np.array([[a, b] for a in (1, 1.25) for b in (-1, -0.75)])
    truth = law.flow(corners, 1.0, 0.01, GRID.schedule)
    a, b = (
        np.linalg.norm(solve(s, law.model(GRID.schedule), GRID, corners).z - truth, axis=1) for s in (BDIA(1), DDIM())
    )
    assert (a / b).max() <= proof.ratio < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": (1, 0)}, "wrong order"),
        ({"box": (1, 2, 3)}, "is not a box"),
        ({"box": 5}, "is not a box"),
        ({"box": (0, None)}, "not an exact number"),
        ({"box": (0, float("nan"))}, "not an exact number"),
        ({"budget": 0}, "not a number of boxes"),
        ({"form": "affine"}, "form='affine' is unknown"),
        ({"prec": 0}, "not a number of bits"),
        ({"factor": 0}, "factor=0 is not positive"),
        ({"problem": None}, "problem=None is not a distribution"),
        ({"grid": 3}, "is not a Grid"),
        ({"grid": grids.from_values([0.0, 1.0], [1.0, 0.5], [0.1, 0.5])}, "needs its schedule"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"problem": TWO, "grid": GRID, "box": (0, 1)} | change
    front = [arguments.pop(name) for name in ("problem", "grid", "box")]
    with pytest.raises((ValueError, TypeError), match=message):
        analysis.certify_better(BDIA(1), DDIM(), *front, **arguments)
