"""Observed orders: the fit on errors of known law, then solvers against exact flows, with sign, on three families of grids."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from bdia_numerics import BDIA, DDIM, EDICT, OBELM, RK4, SOLVERS, Heun, McCallumFoster, problems
from bdia_numerics.analysis import GridFamily, ObservedOrder, OrderLevel, observed_order
from bdia_numerics.analysis.measurement.ladder import CLEAR, Ladder, fit_order, fit_random
from bdia_numerics.analysis.measurement.observed import FIRST, first_steps

LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
STEPS = np.array(FIRST)


@pytest.mark.parametrize("order", [-1.5, 1, 2.5, 4])
@pytest.mark.parametrize("correction", [0.0, -1.5, 3.0])
def test_fit_finds_the_order_of_a_known_law(order, correction):
    fit = fit_order(STEPS, 3 * STEPS ** -float(order) * (1 + correction / STEPS))
    assert fit.asymptotic
    assert fit.order == pytest.approx(order, abs=0.01)
    assert abs(fit.order - order) <= fit.half_width < 0.15


def test_slopes_whose_change_halves_with_each_octave_are_of_one_order():
    n = 6 * 2 ** (np.arange(9) / 2)
    fit = fit_order(n, n**-2.0 * (1 + 6 / n))  # in the finest octave they change by 0.07, by 0.11 in the one before
    assert fit.asymptotic and abs(fit.order - 2) < fit.half_width


def test_a_level_that_overflows_is_not_usable():
    ladder = Ladder(None, range(1), [8, 16, 32], [[np.inf], [1.0], [0.1]], [0.0, 1e-9, 1e-9])
    assert ladder.usable() == [1, 2]


@pytest.mark.parametrize(("correction", "first"), [(3.5, 0), (5.0, 1), (7.0, 2)])
def test_on_random_grids_coarse_levels_are_left_out_until_the_correction_is_small(correction, first):
    """Levels begin with 8, 12, 16: the correction c/n is to be below a half at the first that counts."""
    seeds = 1 + 1e-4 * np.random.default_rng(2).standard_normal((12, len(STEPS)))
    fit = fit_random(STEPS, STEPS**-1.5 * np.exp(correction / STEPS) * seeds)
    assert fit.first == first and fit.order == pytest.approx(1.5, abs=0.01)


def curve(n, e, terms=1):
    """Fit log e = a - p log n + c/n by scipy: p and c, and the standard error of p."""
    guess = np.zeros(2 + terms)
    found, spread = curve_fit(lambda x, a, p, *c: a - p * np.log(x) + sum(c) / x, n, np.log(e), p0=guess)
    return found[1], found[-1], np.sqrt(spread[1, 1])


def test_a_band_is_its_three_parts():
    """Deviations of the fit, its correction at the finest level, and what the finest octave has changed."""
    errors = 3 * STEPS**-1.5 * np.exp(2 / STEPS + 1e-3 * np.sin(STEPS))
    order, correction, deviation = curve(STEPS[-5:], errors[-5:])
    before = curve(STEPS[-7:-2], errors[-7:-2])[0]
    fit = fit_order(STEPS, errors)
    assert fit.asymptotic and fit.first == 4 and fit.order == pytest.approx(order, rel=1e-6)
    band = 2 * deviation + abs(correction) / STEPS[-1] + 2 * abs(order - before)
    assert fit.half_width == pytest.approx(band, rel=1e-4)


def test_seven_levels_show_what_the_finest_octave_has_changed():
    """Of an exact law it has changed nothing, and the band is the correction at the finest level."""
    steps = STEPS[:7]
    fit = fit_order(steps, steps**-2.0 * np.exp(2 / steps))
    assert fit.half_width == pytest.approx(2 / steps[-1], rel=1e-8)


@pytest.mark.parametrize(("correction", "size"), [(0.5, 0.3), (3.5, 1e-4)])
def test_a_band_on_random_grids_is_its_three_parts(correction, size):
    """The correction is not seen below the noise, and enters the order above it."""
    noise = 1 + size * np.random.default_rng(4).standard_normal((6, len(STEPS)))
    errors = STEPS**-1.5 * np.exp(correction / STEPS) * noise

    def fitted(rows, levels=slice(None), terms=0):
        found = curve(STEPS[levels], np.sqrt(np.mean(rows[:, levels] ** 2, axis=0)), terms)
        return np.array(found[:2])

    def deviation(terms):
        found = np.array([fitted(np.delete(errors, k, axis=0), terms=terms)[0] for k in range(6)])
        return np.sqrt(5 / 6 * np.sum((found - found.mean()) ** 2))

    (plain, _), (corrected, c) = fitted(errors), fitted(errors, terms=1)
    seen = size < 0.1
    assert (abs(plain - corrected) > 2 * deviation(1)) == seen
    order, own, rest = (
        (corrected, deviation(1), abs(c) / STEPS[-1]) if seen else (plain, deviation(0), abs(plain - corrected))
    )
    fit = fit_random(STEPS, errors)
    changed = abs(order - fitted(errors, slice(-1))[0])
    assert fit.first == 0 and fit.order == pytest.approx(order, rel=1e-6)
    assert fit.half_width == pytest.approx(2 * own + rest + 2 * changed, rel=1e-4)


def test_three_levels_on_random_grids_are_fitted_without_a_correction():
    n = np.array([16, 32, 64])
    errors = n**-1.5 * np.exp(8 / n) * (1 + 1e-6 * np.random.default_rng(4).standard_normal((6, 3)))
    plain = -np.polyfit(np.log(n), np.log(np.sqrt(np.mean(errors**2, axis=0))), 1)[0]
    assert fit_random(n, errors).order == pytest.approx(plain, rel=1e-9) != pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_band_widens_with_noise_and_covers(noise):
    rng, covered, widths = np.random.default_rng(0), 0, []
    for _ in range(200):
        fit = fit_order(STEPS, STEPS**-2.0 * (1 + 0.5 / STEPS) * np.exp(noise * rng.standard_normal(len(STEPS))))
        covered += abs(fit.order - 2) <= fit.half_width
        widths.append(fit.half_width)
    assert covered >= 190
    assert noise / 5 < np.median(widths) < 20 * noise


FINER = np.array([*FIRST, 192, 256, 384, 512])


@pytest.mark.parametrize(
    ("slopes", "at_rest"),
    [
        ((1.0, 1.2, 1.34), True),  # changes by less than three quarters of the octave before
        ((1.0, 1.2, 1.36), False),
        ((1.2, 1.2, 1.16), True),  # leads to 1
        ((1.2, 1.2, 1.22), False),  # leads away from it
        ((1.2, 1.2, 1.208), True),  # hardly changes
    ],
)
def test_slopes_that_change_as_fast_as_before_are_no_order(slopes, at_rest):
    """Slopes of the last three octaves, and half-way between them; what is between has no say."""
    at = np.interp(np.arange(len(STEPS) - 2), [2, 4, 6], slopes)
    errors = [1.0, (STEPS[1] / STEPS[0]) ** -slopes[0]]
    for k, slope in enumerate(at):
        errors.append(errors[k] * (STEPS[k + 2] / STEPS[k]) ** -slope)
    fit = fit_order(STEPS, errors)
    assert fit.asymptotic == at_rest, fit
    if not at_rest:  # the finest slope, and how far the others of the finest five levels and their fit lie from it
        order = curve(STEPS[-5:], np.array(errors[-5:]))[0]
        assert fit.order == pytest.approx(at[-1]) and str(fit.reason).endswith(f"from {at[-3]:.2f} to {at[-1]:.2f}")
        assert fit.half_width == pytest.approx(max(abs(x - at[-1]) for x in (*at[-3:], order)), rel=1e-5)


@pytest.mark.parametrize(("error", "hidden"), [(0.9, True), (1.1, False), (0, False), (math.inf, False)])
def test_rounding_hides_an_error_that_is_not_clear_of_it(error, hidden):
    ladder = Ladder(None, range(1), [8], [[error * CLEAR * 1e-9]], [1e-9])
    assert ladder.drowned() == hidden and bool(ladder.usable()) == (error == 1.1)


def test_levels_are_two_to_an_octave_from_8_on():
    assert FIRST[:2] == (8, 12) and all(2 * n == m for n, m in zip(FIRST, FIRST[2:], strict=False))


@pytest.mark.parametrize(("repeats", "finest"), [(1, 128), (3, 192), (5, 240), (8, 256)])
def test_first_levels_are_even_whole_repeats_of_the_pattern(repeats, finest):
    steps = first_steps(SimpleNamespace(repeats=(1,) * repeats))
    assert steps[0] >= 8 and steps[-1] == finest and all(n % 2 == n % repeats == 0 for n in steps)
    assert all(2 * n == m for n, m in zip(steps, steps[2:], strict=False))


def test_a_family_spans_what_its_page_says():
    assert [float(GridFamily()(8).t[i]) for i in (0, 8)] == [0.1, 0.6]


def test_the_finest_levels_decide_and_a_transient_is_undecided():
    bent = FINER**-2.0 + 20 * np.exp(-FINER / 3.0)  # a transient that is gone at 64
    assert not fit_order(FINER[:9], bent[:9]).decided
    fit = fit_order(FINER, bent)
    assert fit.decided and fit.first == len(FINER) - 5 and fit.order == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(("high", "low"), [(2, -1), (2, 1), (3, 2), (4, 2), (1, 0)])
@pytest.mark.parametrize("part", [0.03, 0.1, 0.3, 1.0])
def test_a_part_of_lower_order_that_comes_up_is_undecided(high, low, part):
    """At the finest level the error of the lower order is `part` of the other; before, the slopes are those of the higher one."""
    rise = high - low
    fit = fit_order(FINER, FINER ** -float(high) * (1 + part * (FINER / FINER[-1]) ** rise) * (1 + 0.3 / FINER))
    assert not fit.decided, fit
    assert not fit.asymptotic and "drift" in fit.reason


def test_what_the_rule_was_before_is_not_a_choice_among_windows():
    """The coarse levels have no say: the same finest five give the same order, whatever is before the octave beside them."""
    errors = FINER**-2.0
    spoiled = errors * np.where(FINER < 96, 1 + 0.5 * np.sin(FINER), 1)
    assert fit_order(FINER, spoiled).order == pytest.approx(fit_order(FINER, errors).order, abs=1e-12)
    assert fit_order(FINER, spoiled).first == fit_order(FINER, errors).first


def test_no_slope_is_told_beside_a_level_without_an_error_or_without_an_end():
    errors = (0.0, 1 / 12, 1 / 16, math.inf, 1 / 32)
    levels = tuple(OrderLevel(n, e, 0.0, True, "") for n, e in zip(FIRST, errors, strict=False))
    slopes = ObservedOrder("s", "smooth", "own", 1.0, 0.9, 1.1, True, levels, 0, "float64", "").local_slopes
    assert slopes == pytest.approx((math.nan, 1, math.nan, math.nan), nan_ok=True)


def test_bands_that_hold_neighbouring_orders_are_undecided():
    levels = tuple(OrderLevel(n, 1.0 / n, 0.0, True, "") for n in FIRST[-5:])
    wide = ObservedOrder("s", "smooth", "own", 1.545, -1.51, 4.60, True, levels, 0, "float64", "")
    assert not wide.decided and wide.agrees(2) is None and "undecided up to n = 128" in str(wide)
    assert replace(wide, low=1.32, high=1.77).decided and not replace(wide, low=1.29, high=1.80).decided
    edge = replace(wide, low=1.4, high=1.7, order=1.55)
    assert edge.agrees(1.4) and edge.agrees(1.7) and edge.agrees(1.39) is False and edge.agrees(1.71) is False
    narrow = replace(wide, low=1.54, high=1.56, order=1.55)  # within 0.1, but for random grids
    assert narrow.agrees(1.64) and narrow.agrees(1.66) is False and replace(narrow, seeds=8).agrees(1.64) is False


def test_random_fit_covers():
    rng, covered = np.random.default_rng(1), 0
    n = np.array([16, 32, 64, 128, 256])
    for _ in range(200):
        errors = n**-1.5 * np.abs(rng.standard_normal((16, 5)))
        fit = fit_random(n, errors)
        covered += abs(fit.order - 1.5) <= fit.half_width
    assert covered >= 185


QUICK = [
    # solver, order on smooth grids, on alternating ones
    (DDIM(), 1, 1),
    (BDIA(1), 2, 1),
    (BDIA(Fraction(1, 2)), 1, 1),
    (EDICT(Fraction(1, 2)), 1, 1),
    (OBELM(), 2, 2),
    (Heun(), 2, 2),
    (RK4(), 4, 4),
]


@pytest.mark.parametrize(("solver", "on_smooth", "on_alternating"), QUICK, ids=repr)
def test_orders_on_smooth_and_alternating_grids(solver, on_smooth, on_alternating):
    for kind, order in (("smooth", on_smooth), ("alternating", on_alternating)):
        found = observed_order(solver, LAW, GridFamily(kind), states=8, max_steps=128)
        assert found.decided and found.agrees(order), found
        assert abs(found.order - order) <= 0.1
        # Both sides: neither neighbour lies in the band.
        assert order - 0.5 < found.low <= found.high < order + 0.5
        assert found.agrees(order + 1) is False and found.agrees(order - 1) is False
        assert (
            found.steps_used == tuple(n * found.up_to // 8 for n in (2, 3, 4, 6, 8)) and found.arithmetic == "float64"
        )


@pytest.mark.slow
def test_alternating_in_sigma_bar():
    family = GridFamily("alternating", variable="sigma_bar")
    assert observed_order(BDIA(1), LAW, family).agrees(1)
    assert observed_order(OBELM(), LAW, family).agrees(2)
    assert observed_order(OBELM(), LAW, family, start="own").agrees(1)
    assert observed_order(OBELM(), LAW, family, start=Heun()).agrees(2)


def test_bdia_on_random_grids_is_of_order_three_halves():
    """24 seeds: the root mean square over random grids falls like N^-3/2; 1 and 2 lie outside the band."""
    found = observed_order(BDIA(1), LAW, GridFamily("random"), steps=(8, 16, 32, 64, 128), seeds=24, states=8)
    assert found.seeds == 24
    assert found.low <= 1.5 <= found.high, found
    assert found.low > 1 and found.high < 2


@dataclass(frozen=True)
class Unstable:
    """BELM with a < -1: a root of -a, so that errors grow like |a|^N."""

    a: Any = -Fraction(6, 5)
    registers = ("z_prev", "z")

    def step(self, s: Any) -> None:
        z_prev, z = s.registers
        a, e = self.a, s.eps(z)
        h, h_prev = s.sigma_bar(s.i - 1) - s.sigma_bar(s.i), s.sigma_bar(s.i) - s.sigma_bar(s.i + 1)
        y = a * z_prev / s.alpha(s.i + 1) + (1 - a) * z / s.alpha(s.i) + (a * h_prev + h) * e
        s.assign(z_prev, s.alpha(s.i - 1) * y, at=s.i - 1)
        s.swap(z_prev, z)


def test_a_diverging_method_has_a_negative_order():
    found = observed_order(Unstable(), LAW, steps=(8, 12, 16, 24, 32))
    assert found.order < -1 and found.stalled
    assert found.agrees(1) is False
    overflow = observed_order(Unstable(-100), LAW, steps=(160, 164, 168, 172, 176), states=1)
    assert overflow.order == -math.inf and overflow.stalled and overflow.agrees(1) is False


def test_rounding_is_recognised_and_mpmath_takes_over():
    near = GridFamily(t_max=Fraction(3, 10), t_min=Fraction(29, 100))
    floats = observed_order(RK4(), LAW, near, arithmetic="float64")
    assert {level.note for level in floats.levels} >= {"rounding"}
    assert not floats.agrees(4)
    found = observed_order(RK4(), LAW, near, states=1)
    assert found.arithmetic == "mpmath" and found.agrees(4), found
    assert found.levels[-1].error < 1e-13


def test_float_parameters_are_taken_exactly_in_mpmath():
    found = observed_order(BDIA(0.5), LAW, arithmetic="mpmath", steps=(8, 12, 16, 24, 32), states=2)
    floats = observed_order(BDIA(0.5), LAW, arithmetic="float64", steps=(8, 12, 16, 24, 32), states=2)
    assert [x.error for x in found.levels] == pytest.approx([x.error for x in floats.levels], rel=1e-9)


@pytest.mark.slow
def test_a_coupling_close_to_1_shows_no_asymptotic_range():
    """The default 999/1000 needs N far above 1000; what is seen below it is not an order, and it is said."""
    found = observed_order(McCallumFoster(), LAW)
    assert not found.decided and found.agrees(1) is None
    assert "undecided up to n = 512" in str(found)
    assert observed_order(McCallumFoster(Fraction(1, 2)), LAW).agrees(1)


def test_rms_over_states_cannot_cancel():
    """Of two mirrored states the errors of a symmetric law have opposite signs."""
    law = problems.Gaussian([0.0], 0.5)
    found = observed_order(DDIM(), law, states=np.array([[1.0], [-1.0]]))
    alone = observed_order(DDIM(), law, states=np.array([[1.0]]))
    assert [x.error for x in found.levels] == pytest.approx([x.error for x in alone.levels], rel=1e-9)
    assert found.agrees(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": (8, 16)}, "pass at least 5"),
        ({"steps": (16, 8, 32, 64, 128)}, "rising"),
        ({"arithmetic": "float32"}, "arithmetic='float32'"),
        ({"family": GridFamily("random"), "seeds": 2}, "seeds=2"),
        ({"start": "warm"}, "start='warm'"),
        ({"steps": (1, 2, 3, 4, 5)}, "takes 1 slots to start"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        observed_order(SOLVERS["BDIA"](), LAW, **options)
