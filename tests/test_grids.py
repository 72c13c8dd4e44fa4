"""Grids against their definitions and diffusers' published formulas, in every number system; bad input."""

from __future__ import annotations

import itertools
import math
import pickle
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import DDIM, analysis, grids, schedules, spaces

VP, SD, FLOW, EDM = schedules.vp_linear(), schedules.stable_diffusion(), schedules.flow(), schedules.edm()
COSINE, VE, DDPM = schedules.vp_cosine(), schedules.ve(), schedules.ddpm_linear()

RECIPES = {
    "uniform-vp": lambda **k: grids.uniform(VP, 12, **k),
    "uniform-sd": lambda **k: grids.uniform(SD, 7, **k),
    "uniform-flow": lambda **k: grids.uniform(FLOW, 12, t_max=0.9, t_min=0.1, **k),
    "uniform-cosine": lambda **k: grids.uniform(COSINE, 12, t_max=0.9946, **k),
    "quadratic-vp": lambda **k: grids.quadratic(VP, 12, t_min=0.001, **k),
    "quadratic-ve": lambda **k: grids.quadratic(VE, 12, **k),
    "log_snr-vp": lambda **k: grids.log_snr(VP, 12, t_min=0.001, **k),
    "log_snr-sd": lambda **k: grids.log_snr(SD, 12, **k),
    "log_snr-flow": lambda **k: grids.log_snr(FLOW, 12, t_max=0.99, t_min=0.01, **k),
    "asinh-vp": lambda **k: grids.asinh(VP, 20, **k),
    "asinh-cosine": lambda **k: grids.asinh(COSINE, 20, t_max=0.99, **k),
    "asinh-ddpm": lambda **k: grids.asinh(DDPM, 20, **k),
    "karras-edm": lambda **k: grids.karras(EDM, 18, t_min=0.002, **k),
    "karras-zero": lambda **k: grids.karras(EDM, 18, t_min=0.002, append_zero=True, **k),
    "karras-sd": lambda **k: grids.karras(SD, 18, rho=2.5, **k),
    "leading": lambda **k: grids.leading(SD, 10, **k),
    "leading-offset": lambda **k: grids.leading(SD, 10, steps_offset=1, final_alpha=None, **k),
    "linspace": lambda **k: grids.linspace(SD, 30, **k),
    "trailing": lambda **k: grids.trailing(DDPM, 30, **k),
    "from_timesteps": lambda **k: grids.from_timesteps(VP, [1, 0.7, 0.1, 0.001], **k),
    "from_timesteps-final": lambda **k: grids.from_timesteps(SD, [901, 601, 301, 1], 0.9996, **k),
}
every = pytest.mark.parametrize("make", RECIPES.values(), ids=RECIPES)


def high(x) -> mpmath.mpf:
    return spaces.MPMath(60).number(spaces.of(x).field(x))


@every
def test_systems_agree_to_the_rounding_of_the_coarser(make):
    fine = make(space=spaces.MPMath(50))
    finer = make(space=spaces.MPMath(60))
    with mpmath.workdps(60):
        agree(make, fine, finer)


def agree(make, fine, finer):
    for space, eps in ((spaces.FLOAT64, 2.0**-52), (spaces.LONGDOUBLE, np.finfo(np.longdouble).eps)):
        coarse = make(space=space)
        assert coarse.t.dtype == space.dtype
        for name in ("t", "alpha", "sigma"):
            for a, b in zip(getattr(coarse, name), getattr(fine, name), strict=True):
                # 100 units: log_snr runs to 15, and a rounding of it is a relative one of sigma/alpha; alpha = exp(-5).
                assert abs(high(a) - b) <= 100 * high(eps) * max(abs(b), mpmath.mpf("1e-3"))
    for name in ("t", "alpha", "sigma"):
        for a, b in zip(getattr(fine, name), getattr(finer, name), strict=True):
            assert abs(high(a) - b) <= mpmath.mpf(10) ** -47 * max(abs(b), mpmath.mpf("1e-3"))


@every
def test_to_is_the_constructor_in_that_system(make):
    grid, fine = make(), make(space=spaces.MPMath(30))
    assert grid.space == spaces.FLOAT64
    for a, b in ((grid.to(spaces.MPMath(30)), fine), (fine.to(spaces.FLOAT64), grid), (grid.to(float), grid)):
        for name in ("t", "alpha", "sigma"):
            assert list(getattr(a, name)) == list(getattr(b, name))
    part = grid[1:3].reversed().to(spaces.MPMath(30))
    assert list(part.t) == list(fine.t[1:4][::-1])


@every
def test_noise_rises_and_ends_are_exact(make):
    grid = make()
    assert np.all(np.diff(grid.t) > 0)
    assert np.all(grid.sigma[1:] * grid.alpha[:-1] > grid.sigma[:-1] * grid.alpha[1:])
    assert grid.n == len(grid) == len(grid.t) - 1
    np.testing.assert_array_equal(grid.timesteps, grid.t[::-1])
    for i in (0, 1, grid.n):
        point = grid.point(i)
        assert point[:3] == (grid.t[i], grid.alpha[i], grid.sigma[i])
        assert {type(x) for x in point if x is not None} == {float}


def test_rational_grids():
    grid = grids.uniform(FLOW, 4, space=spaces.FRACTION)
    assert list(grid.t) == [0, Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), 1]
    assert list(grid.alpha) == [1 - t for t in grid.t]
    assert list(grids.quadratic(EDM, 2, t_max=0.1, space=Fraction).sigma) == [0, Fraction(1, 40), Fraction(1, 10)]
    assert grid.to(spaces.SYMBOLS).t[1] == sympy.Rational(1, 4)
    with pytest.raises(TypeError, match="rational"):
        grids.log_snr(FLOW, 4, t_max=0.9, t_min=0.1, space=spaces.FRACTION)
    with pytest.raises(TypeError, match="rational"):
        grids.uniform(VP, 4).to(spaces.FRACTION)


def test_spacings_are_what_their_names_say():
    def steps(values):
        return np.diff(np.array(values, dtype=float))

    grid = grids.uniform(VP, 10)
    np.testing.assert_allclose(grid.t, np.arange(11) / 10, rtol=2.0**-52)
    grid = grids.quadratic(VP, 10, t_min=0.1)
    np.testing.assert_allclose(grid.t, 0.1 + 0.9 * (np.arange(11) / 10) ** 2, rtol=4 * 2.0**-52)
    # Steps of 1 from values up to 10, each good to some ten roundings.
    grid = grids.log_snr(VP, 10, t_min=0.001)
    np.testing.assert_allclose(steps(VP.log_snr(grid.t)), steps(VP.log_snr(grid.t))[0], rtol=1e-13)
    grid = grids.asinh(VP, 10)
    np.testing.assert_allclose(
        steps(np.arcsinh(grid.sigma / grid.alpha)), np.arcsinh(VP.sigma_bar(1.0)) / 10, rtol=1e-13
    )


def test_karras_is_the_published_formula():
    n, rho = 18, 7
    j = np.arange(n)
    sigmas = (80 ** (1 / rho) + j / (n - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
    grid = grids.karras(EDM, n, t_min=0.002, append_zero=True)
    # The power 7 of a number good to two roundings.
    np.testing.assert_allclose(grid.timesteps, [*sigmas, 0], rtol=30 * 2.0**-52)
    assert grids.karras(EDM, 5).sigma[0] == 0
    with pytest.raises(ValueError, match="rho"):
        grids.karras(EDM, 5, rho=0.5)


def leading(n, offset):
    return (np.arange(0, n) * (1000 // n)).round()[::-1].astype(np.int64) + offset


@pytest.mark.parametrize("n", [1, 2, 3, 10, 20, 30, 48, 50, 61, 96, 103, 999, 1000])
def test_integer_spacings_are_diffusers(n):
    """The three formulas of its schedulers, for 1000 training steps."""
    np.testing.assert_array_equal(grids.leading(SD, n).timesteps[:-1], leading(n, 0))
    if n > 1:
        at_one = grids.leading(SD, n, steps_offset=1, final_alpha=None) if n < 1000 else None
        if at_one is not None:
            np.testing.assert_array_equal(at_one.timesteps, [*leading(n, 1), 0])
        np.testing.assert_array_equal(grids.linspace(SD, n).timesteps[:-1], np.linspace(0, 999, n).round()[::-1])
    trailing = np.round(np.arange(1000, 0, -1000 / n)).astype(np.int64) - 1
    # For n = 61 and 103 floating point adds a time of -1 there.
    assert len(trailing) == n + (n in (61, 103))
    np.testing.assert_array_equal(grids.trailing(SD, n).timesteps[:-1], trailing[:n])


def test_known_timesteps():
    assert grids.leading(SD, 10).timesteps.tolist() == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0, -1]
    assert grids.trailing(SD, 10).timesteps.tolist() == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99, -1]
    assert grids.linspace(SD, 10).timesteps.tolist() == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0, -1]
    thirty = grids.trailing(SD, 30, final_alpha=None).timesteps.tolist()
    assert thirty[:4] + thirty[-3:] == [999, 966, 932, 899, 66, 32, 0]


def test_integer_grids_read_the_table():
    grid = grids.leading(SD, 10, steps_offset=1, final_alpha=None)
    table = SD.alphas_cumprod
    np.testing.assert_allclose(grid.alpha**2, table[grid.t.astype(int)], rtol=2 * 2.0**-52)
    assert (grids.leading(SD, 10).alpha[0], grids.leading(SD, 10).sigma[0]) == (1, 0)


def test_final_alpha():
    at_table = grids.from_timesteps(SD, [901, 501, 101], SD.alpha(0.0))
    assert at_table.alpha[0] == SD.alpha(0.0)
    assert at_table.sigma[0] == pytest.approx(SD.sigma(0.0), rel=1e-12, abs=0)
    assert at_table.t[0] == pytest.approx(0, abs=1e-12)
    clean = grids.from_timesteps(FLOW, [1, 0.5], 1)
    assert (clean.t[0], clean.alpha[0], clean.sigma[0], clean.n) == (0, 1, 0, 2)
    with pytest.raises(ValueError, match="final_alpha"):
        grids.from_timesteps(FLOW, [1, 0.5], 0.9)
    with pytest.raises(ValueError, match="final_alpha"):
        grids.from_timesteps(SD, [900, 500], 1.5)
    with pytest.raises(ValueError, match=r"rise|turns back"):
        grids.from_timesteps(SD, [900, 500], 0.5)
    fine = grids.from_timesteps(SD, [901, 501], 0.9996, space=spaces.MPMath(40))
    with mpmath.workdps(40):
        assert abs(SD.alpha(fine.t[0]) - mpmath.mpf("0.9996")) < mpmath.mpf(10) ** -38
        assert -1 < fine.t[0] < 0
    with pytest.raises(ValueError, match="no time with sigma = 0"):
        grids.from_timesteps(schedules.from_functions(lambda t: 1.0, lambda t: t, t_min=0.1), [1, 0.5], 1)


T, ALPHA, SIGMA = [0, 0.5, 1], [1.0, 0.8, 0.1], [0.1, 0.6, 1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grids.uniform(VP, 0), "n=0"),
        (lambda: grids.karras(EDM, 1, append_zero=True), "n=1"),
        (lambda: grids.leading(SD, 1001), "n=1001"),
        (lambda: grids.uniform(VP, 10, t_max=1.5), "t_max=1.5"),
        (lambda: grids.uniform(VP, 10, t_min=-0.1), "t_min=-0.1"),
        (lambda: grids.uniform(VP, 10, t_max=0.1, t_min=0.2), "t_min < t_max"),
        (lambda: grids.uniform(VP, 10, t_max=math.nan), "t_max=nan is not finite"),
        (lambda: grids.log_snr(VP, 10), "sigma = 0"),
        (lambda: grids.asinh(FLOW, 10), "alpha = 0"),
        (lambda: grids.karras(FLOW, 10), "alpha = 0"),
        (lambda: grids.leading(SD, 10, final_alpha=None), "final_alpha=None"),
        (lambda: grids.leading(SD, 1000, steps_offset=1), "outside the schedule"),
        (lambda: grids.from_timesteps(VP, []), "0 times"),
        (lambda: grids.from_timesteps(VP, [0.5]), "1 times"),
        (lambda: grids.from_timesteps(VP, [1, 0.5, 0.5]), "0.5 occurs twice"),
        (lambda: grids.from_timesteps(VP, [0.1, 0.5, 1]), "fall strictly"),
        (lambda: grids.from_timesteps(VP, [1, 0.2, 0.5]), "fall strictly"),
        (lambda: grids.from_timesteps(VP, [1, math.nan, 0.5]), "nan is not finite"),
        (lambda: grids.from_timesteps(VP, [math.inf, 0.5]), "inf is not finite"),
        (lambda: grids.from_timesteps(VP, [1.1, 0.5]), "outside the schedule"),
        (lambda: grids.from_timesteps(SD, [1000, 500]), "outside the schedule"),
        (lambda: grids.from_values(T, ALPHA, SIGMA[:2]), "equally many"),
        (lambda: grids.from_values([], [], []), "two at least"),
        (lambda: grids.from_values([0, 0, 1], ALPHA, SIGMA), "occurs twice"),
        (lambda: grids.from_values([0, 1, 0.5], ALPHA, SIGMA), "turns back"),
        (lambda: grids.from_values(T, [1.0, math.nan, 0.1], SIGMA), r"alpha\[1\]=nan is not finite"),
        (lambda: grids.from_values(T, ALPHA, [0.1, math.inf, 1.0]), r"sigma\[1\]=inf is not finite"),
        (lambda: grids.from_values(T, [1.0, -0.5, 0.1], SIGMA), "negative"),
        (lambda: grids.from_values(T, ALPHA, [-0.1, 0.6, 1.0]), "negative"),
        (lambda: grids.from_values(T, ALPHA, [0.1, 0.05, 1.0]), "does not rise"),
        (lambda: grids.from_values(T, [1.0, 0.0, 0.0], SIGMA), "does not rise"),
        (lambda: grids.symbolic(0), "n=0"),
        (lambda: grids.Between(1, 2, 0, variable="half"), "variable"),
        (lambda: grids.uniform(VP, 4)[2:2], "no slot"),
        (lambda: grids.uniform(VP, 4)[0:5], "no slot"),
        (lambda: grids.uniform(VP, 4)[-2:], "no slot"),
    ],
)
def test_bad_values_get_one_clear_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grids.uniform(VP, 2.5), "n=2.5"),
        (lambda: grids.leading(VP, 10), "grids.uniform"),
        (lambda: grids.uniform(VP, 4)[1], r"grid\[a:b\]"),
        (lambda: grids.uniform(VP, 4).to("text"), "number system"),
        (lambda: grids.from_values([0, 1], [1, mpmath.mpf(1) / 2], [0.5, 1.0]), "mix number systems"),
        (lambda: grids.from_values(T, ALPHA, SIGMA).to(spaces.FRACTION), "Fractions"),
        (lambda: grids.from_values(T, ALPHA, SIGMA).to(spaces.SYMBOLS), "Fractions"),
        (lambda: grids.symbolic(2).to(spaces.FLOAT64), "symbols have no value"),
        (lambda: grids.uniform(SD, 4).to(spaces.FRACTION), "exact values"),
    ],
)
def test_bad_types_get_one_clear_line(make, message):
    with pytest.raises(TypeError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_ends_without_noise_and_without_data_are_allowed():
    grid = grids.from_values([0.0, 0.5, 1.0], [1.0, 0.5, 0.0], [0.0, 0.5, 1.0])
    assert (grid.sigma[0], grid.alpha[2]) == (0, 0)
    assert grids.uniform(FLOW, 3).alpha[-1] == 0


def test_from_values_keeps_the_system_and_embeds_exactly():
    grid = grids.from_values(T, ALPHA, SIGMA)
    assert grid.space == spaces.FLOAT64
    for space in (spaces.LONGDOUBLE, spaces.MPMath(50)):
        moved = grid.to(space)
        assert [space.field(x) for x in moved.alpha] == [Fraction(x) for x in ALPHA]
        assert grid.to(space).to(float).alpha.tolist() == ALPHA
    narrow = grids.from_values(*(np.array(x, dtype=np.float32) for x in (T, ALPHA, SIGMA)))
    assert narrow.alpha.dtype == np.float32
    fractions = grids.from_values([0, 1], [Fraction(4, 5), Fraction(3, 5)], [Fraction(3, 5), Fraction(4, 5)])
    assert fractions.space == spaces.FRACTION
    assert fractions.to(spaces.SYMBOLS).alpha[0] == sympy.Rational(4, 5)
    assert fractions.to(np.float64).alpha.tolist() == [0.8, 0.6]
    integers = grids.from_values(np.array([1, 901]), np.array([0.9, 0.2]), np.array([0.3, 0.9]))
    assert integers.t.tolist() == [1, 901]
    with mpmath.workdps(50):
        third = mpmath.mpf(1) / 3
    kept = grids.from_values([0, 1], [1 - 0 * third, third], [third, third], space=spaces.MPMath(50))
    assert kept.alpha[1] == third
    backwards = grids.from_values(T[::-1], ALPHA[::-1], SIGMA[::-1])
    assert (backwards.t.tolist(), backwards.sigma.tolist()) == (T, SIGMA)


def test_parts_reversal_and_fingerprint():
    grid = grids.uniform(VP, 10)
    part = grid[2:7]
    assert (part.n, part.offset, part.root) == (5, 2, grid.root)
    assert part.t.tolist() == grid.t[2:8].tolist()
    assert (part[1:3].offset, part[1:3].t.tolist()) == (3, grid.t[3:6].tolist())
    back = grid.reversed()
    assert back.t.tolist() == grid.t.tolist()[::-1]
    assert back.root == grid.root + "-reversed"
    assert (back.offset, back[3:].offset, part.reversed().offset) == (0, 3, 3)
    assert part.reversed().t.tolist() == back[3:8].t.tolist()
    assert (back.reversed().root, part.reversed().reversed().offset) == (grid.root, 2)
    assert grids.uniform(VP, 10).root == grid.root
    others = [
        grids.uniform(VP, 11),
        grids.uniform(VP, 10, t_max=0.9),
        grids.uniform(COSINE, 10),
        grid.to(np.longdouble),
    ]
    assert len({g.root for g in (grid, *others)}) == 5
    assert grid[:].n == grid[0:].n == 10


def test_arrays_are_read_only_and_grids_survive_pickling():
    grid = grids.karras(SD, 10)
    for array in (grid.t, grid.alpha, grid.sigma, grid.timesteps):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    again = pickle.loads(pickle.dumps(grid[2:5]))
    assert (again.root, again.offset, again.t.tolist()) == (grid.root, 2, grid.t[2:6].tolist())
    assert again._plans == {}
    assert again._plans is not grid._plans


def test_points():
    grid = grids.uniform(FLOW, 4, space=spaces.FRACTION)
    assert grid.point(1) == (Fraction(1, 4), Fraction(3, 4), Fraction(1, 4), -1, 1)
    for i in (-1, 5):
        with pytest.raises(IndexError, match=f"index {i}"):
            grid.point(i)
    assert grids.from_values(T, ALPHA, SIGMA).point(1) == (0.5, 0.8, 0.6, None, None)
    # sigma_dot of the linear schedule is infinite at t = 0.
    assert grids.uniform(VP, 4).point(0).sigma_dot is None
    assert grids.uniform(VP, 4, space=spaces.MPMath(20)).point(0).sigma_dot is None


@pytest.mark.parametrize("variable", ["sigma_bar", "log_snr", "t"])
@pytest.mark.parametrize("space", [spaces.FLOAT64, spaces.LONGDOUBLE, spaces.MPMath(50)])
def test_between(variable, space):
    def value(p):
        ratio = p.sigma / p.alpha
        return {"t": p.t, "sigma_bar": ratio, "log_snr": -2 * space.log(ratio)}[variable]

    grid = grids.uniform(VP, 5, t_min=0.01, space=space)
    for i, j in ((3, 2), (1, 4)):
        # Asked at mpmath's 15 digits: the grid's own precision counts.
        point = grid.point(grids.Between(i, j, Fraction(1, 3), variable=variable))
        first, last = grid.point(i), grid.point(j)
        with space.working():
            expected = value(first) + (value(last) - value(first)) / space.number(3)
            eps = 10.0**-49 if space == spaces.MPMath(50) else np.finfo(space.dtype).eps
            # exp and log of numbers up to 10, three times over.
            assert abs(value(point) - expected) <= 200 * eps * max(abs(expected), 1)
            assert point[1:] == tuple(getattr(VP, q)(point.t) for q in ("alpha", "sigma", "alpha_dot", "sigma_dot"))
            assert first[3:] == (VP.alpha_dot(first.t), VP.sigma_dot(first.t))
        assert {type(x) for x in point} == {type(space.number(1))}
    assert grid.point(grids.Between(3, 2, 1, variable=variable)) == grid.point(2)
    assert grid.point(grids.Between(3, 2, 0, variable=variable)) == grid.point(3)


def test_between_on_fractions_is_exact():
    grid = grids.uniform(FLOW, 4, space=spaces.FRACTION)
    point = grid.point(grids.Between(3, 1, Fraction(1, 2)))
    assert point.sigma / point.alpha == (Fraction(3) + Fraction(1, 3)) / 2
    with pytest.raises(ValueError, match="infinite"):
        grid.point(grids.Between(4, 3, Fraction(1, 2)))
    with pytest.raises(ValueError, match="from_timesteps"):
        grids.from_values(T, ALPHA, SIGMA).point(grids.Between(2, 1, 0.5))
    with pytest.raises(IndexError):
        grid.point(grids.Between(4, 5, Fraction(1, 2)))


def test_symbolic():
    grid = grids.symbolic(3)
    assert grid.alpha[2] == sympy.Symbol("alpha_2", positive=True)
    assert grid.point(2)[:3] == (grid.t[2], grid.alpha[2], grid.sigma[2])
    half = grid.point(grids.Between(2, 1, "1/4"))
    assert half == grid.point(grids.Between(1, 2, Fraction(3, 4)))
    # The same time, seen from a part and from the reversed grid.
    assert half == grid[1:3].point(grids.Between(1, 0, "1/4")) == grid.reversed().point(grids.Between(1, 2, "1/4"))
    others = {half, grid.point(grids.Between(2, 1, "1/3")), grid.point(grids.Between(2, 1, "1/4", variable="t"))}
    assert len(others) == 3
    assert half.alpha.is_positive
    assert grid.reversed().point(0) == grid.point(3)
    a, b = sympy.symbols("a b", positive=True)
    assert grids.from_values([0, 1], [a, b], [b, a]).space == spaces.SYMBOLS


@pytest.mark.parametrize("variable", ["asinh", "sigma_bar", "log_snr", "t"])
def test_alternating_and_random_steps(variable):
    schedule, ends = schedules.vp_linear(), {"t_max": 0.6, "t_min": 0.1}

    def of(grid):
        s = grid.sigma / grid.alpha
        return np.abs(np.diff({"asinh": np.arcsinh(s), "sigma_bar": s, "log_snr": np.log(s), "t": grid.t}[variable]))

    h = of(grids.alternating(schedule, 7, ratio=3, variable=variable, **ends))
    assert h / h[0] == pytest.approx([1, 3, 1, 3, 1, 3, 1], rel=1e-10)
    equal = grids.alternating(schedule, 7, ratio=1, variable="asinh", **ends)
    assert equal.t == pytest.approx(grids.asinh(schedule, 7, **ends).t, rel=1e-13, abs=0)
    irregular = grids.random(schedule, 200, seed=3, ratio=4, variable=variable, **ends)
    h = of(irregular)
    assert 1 < h.max() / h.min() <= 4 and h.max() / h.min() > 3.5
    # Uniform between 1 and 4: mean 2.5, standard deviation 3/sqrt(12), of 200 draws.
    assert h.mean() / h.min() == pytest.approx(2.5, abs=4 * 3 / np.sqrt(12 * 200))
    assert (irregular.t[0], irregular.t[-1]) == pytest.approx((0.1, 0.6), abs=0)
    again = grids.random(schedule, 200, seed=3, ratio=4, variable=variable, **ends)
    assert np.array_equal(again.t, irregular.t)
    assert not np.array_equal(grids.random(schedule, 200, seed=4, ratio=4, variable=variable, **ends).t, irregular.t)
    precise = grids.random(schedule, 9, seed=3, variable=variable, space=spaces.MPMath(30), **ends)
    assert [float(t) for t in precise.t] == pytest.approx(
        grids.random(schedule, 9, seed=3, variable=variable, **ends).t
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: grids.alternating(s, 4, ratio=0), "ratio=0"),
        (lambda s: grids.alternating(s, 4, variable="rho"), "variable='rho'"),
        (lambda s: grids.random(s, 4, seed=1, ratio=0.5), "ratio=0.5"),
        (lambda s: grids.random(s, 4, seed=-1), "seed=-1"),
        (lambda s: grids.random(s, 0, seed=1), "n=0"),
        (lambda s: grids.alternating(s, 4, ratio=True), "ratio=True is not a relative step"),
        (lambda s: grids.random(s, 4, seed=1, ratio="2"), "ratio='2' is not a relative step"),
    ],
)
def test_irregular_grids_name_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make(schedules.vp_linear())


BAD_PATTERNS = [
    ("12", "pattern='12' is not a sequence"), ("", "pattern='' is not a sequence"), (b"12", "pattern=b'12' is not a sequence"),
    ({1, 2}, "is not a sequence"), (3, "pattern=3 is not a sequence"), (None, "pattern=None is not a sequence"),
    ([], r"pattern=\(\): pass positive"), (np.zeros(0), r"pattern=\(\): pass positive"),
    ((1, 0), r"pattern=\(1, 0\): pass positive"), ((1, -2), r"pattern=\(1, -2\): pass positive"), ((1, np.nan), "pattern=nan"),
    ((1, np.inf), "pattern=inf"), ((True, 2), "pattern=True is not a relative step"), ((1, "2"), "pattern='2' is not a relative step"),
    (range(1, 10**9), "pattern has more than 1000 steps"), (itertools.repeat(1), "pattern has more than 1000 steps"),
    ((1, 1j), "pattern=1j is not a relative step"), ((1, None), "pattern=None is not a relative step"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "message"), BAD_PATTERNS)
@pytest.mark.parametrize("make", [
    lambda p: grids.periodic(schedules.vp_linear(), 4, pattern=p), lambda p: analysis.GridFamily(pattern=p),
    lambda p: analysis.order_on_pattern(DDIM(), p),
])  # fmt: skip
def test_what_is_no_pattern_is_refused(make, pattern, message):
    with pytest.raises(ValueError, match=message):
        make(pattern)


def test_patterns_of_any_sequence_of_numbers():
    for pattern in ([1, 2], np.array([1.0, 2.0]), (Fraction(1), 2), iter((1, 2)), (k for k in (1, 2))):
        assert analysis.GridFamily(pattern=pattern).pattern == (1, 2)


@pytest.mark.parametrize(
    "values", [([0.0, 0.5], [1.0, 0.9], [0.0, 0.4]), (sympy.symbols("t:2"), (1, 1), sympy.symbols("s:2"))]
)
def test_levels_between_points_need_a_schedule(values):
    with pytest.raises(ValueError, match=r"between t=\S+ and \S+, and this grid has values only.*schedule="):
        grids.from_values(*values).point(grids.Between(1, 0, Fraction(1, 2)))
