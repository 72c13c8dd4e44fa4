"""Faults that a few even numbers of slots, float64 or finite states do not show; each was certified, or ended in a misleading sentence."""

import warnings
from functools import partial

import numpy as np
import pytest
from plain_samplers import both, ddim, heun, leap, leap_in_place, levels, moved, ways

from bdia_numerics import BDIA, problems
from bdia_numerics.testing import (
    UndecidedOrder,
    assert_exactly_invertible,
    assert_latent_valid,
    assert_nfe,
    assert_order,
    assert_round_trip as assert_returns,
    order_of,
)
from bdia_numerics.testing.carry import cut, replaced
from bdia_numerics.testing.latents import distance
from bdia_numerics.testing.samplers import as_sampler

down, up = both(ddim)
leap_down = both(leap)[0]


def alternating_edict(eps, grid, z, up, p=0.93):
    """EDICT whose registers exchange their roles from slot to slot; the inverse counts slots from its own end."""
    z, y = z if isinstance(z, tuple) else (z, z)
    for i, j in ways(grid, up):
        z, y = (y, z) if (grid.n - j if up else i) % 2 else (z, y)
        if up:
            y = (y - (1 - p) * z) / p
            z = (z - (1 - p) * y) / p
            y = moved(grid, y, i, j, eps(z, grid.t[j]))
            z = moved(grid, z, i, j, eps(y, grid.t[j]))
        else:
            z = moved(grid, z, i, j, eps(y, grid.t[i]))
            y = moved(grid, y, i, j, eps(z, grid.t[i]))
            z = p * z + (1 - p) * y
            y = p * y + (1 - p) * z
        z, y = (y, z) if (grid.n - j if up else i) % 2 else (z, y)
    return z, y


def test_an_inverse_that_is_exact_in_even_numbers_alone():
    sample, invert = both(alternating_edict)
    assert_exactly_invertible(sample, invert=invert, grid=24)
    with pytest.raises(AssertionError, match="It is exact in 24 slots, and not in 25"):
        assert_exactly_invertible(sample, invert=invert)


def test_evaluations_that_depend_on_parity():
    def asked_twice(eps, grid, z):
        for i, j in ways(grid, up=False):
            e = eps(z, grid.t[i])
            z = moved(grid, z, i, j, eps(z, grid.t[i]) if grid.n % 2 else e)
        return z

    with pytest.raises(AssertionError, match=r"counted 12 in 12 slots and 50 in 25: .* not a whole number a step"):
        assert_nfe(asked_twice, 1)


@pytest.mark.parametrize(("wrong", "words"), [(1, "even"), (0, "odd")])
def test_latents_of_every_second_number_alone(wrong, words):
    """The latents of BDIA are right in even (or odd) numbers of slots, and a twentieth too large in the others."""
    sample, invert = both(leap)

    def uneven(eps, grid, z):
        z, old = invert(eps, grid, z)
        return z * (1.05 if grid.n % 2 == wrong else 1), old

    with pytest.raises(AssertionError, match=rf"in 9[67] slots and \S+ in 9[67]\. It holds for {words} numbers alone"):
        assert_latent_valid(sample, invert=uneven)


@pytest.mark.parametrize("variance", [0.05, 0.25])
def test_an_error_that_swings_with_the_parity_and_falls_is_no_fault(variance):
    """Of a Gaussian the root -1 of BDIA takes most of the latents' error away in even numbers of slots."""
    law, sampler = problems.Gaussian([0.0], variance), as_sampler(BDIA())
    far = [distance(sampler.run(law, sampler.place(n), "invert", 8)) for n in (96, 97)]
    assert far[1] > 2 * far[0]
    assert assert_latent_valid(BDIA(), problem=law, states=8, family="smooth") < 0.002


def test_an_order_whose_error_swings_with_the_parity_is_one():
    law, (there, back) = problems.Gaussian([0.0], 0.25), both(leap)
    given = {"problem": law, "direction": "invert", "invert": back, "states": 4}
    found = assert_order(there, 2, **given)
    sampler, n = as_sampler(there, back), found.steps_used[0]
    even, odd = (distance(sampler.run(law, sampler.place(k), "invert", 4)) for k in (n, n + 1))
    assert odd > 2 * even


def test_an_order_of_even_numbers_alone():
    def mixed(eps, grid, z):
        return (ddim if grid.n % 2 else heun)(eps, grid, z, up=False)

    with pytest.raises(AssertionError, match=r"the error is .* in 129 steps and .* in 128. It holds for even numbers"):
        assert_order(mixed, 2)


def test_what_takes_two_slots_at_once_may_refuse_an_odd_number():
    def by_pairs(function, eps, grid, z):
        if grid.n % 2:
            raise ValueError(f"{grid.n} slots: an even number is needed")
        return function(eps, grid, z)

    sample, invert = (partial(by_pairs, f) for f in both(leap))
    assert assert_nfe(sample, 1) == (12, 24)
    assert_exactly_invertible(sample, invert=invert)
    assert_order(sample, 2)
    assert_latent_valid(sample, invert=invert)


def test_what_refuses_unequal_steps_keeps_its_order_on_equal_ones():
    def equal(eps, grid, z):
        steps = np.diff(np.arcsinh(levels(grid)))
        assert np.ptp(steps) < 1e-6 * steps.mean(), "steps are unequal"
        return heun(eps, grid, z, up=False)

    found = assert_order(equal, 2)
    assert found.alternating is None
    assert "on alternating grids it raises AssertionError: steps are unequal" in str(found)
    with pytest.raises(AssertionError, match="holds on smooth in asinh grids; on alternating grids it raises"):
        assert_order(equal, 2, family="any")


@pytest.mark.parametrize("bad", [48, 512])
def test_a_state_that_is_not_finite_in_one_number_of_steps(bad):
    def sometimes(function, eps, grid, z):
        return function(eps, grid, z) * (np.nan if grid.n in (bad, 2 * bad + 1) else 1)

    with pytest.raises(AssertionError, match=f"The state is not finite in {bad} steps"):
        assert_order(partial(sometimes, down), 1, max_steps=512)
    if bad == 48:
        with pytest.raises(AssertionError, match="the noise end is not finite, in 97 slots"):
            assert_latent_valid(down, invert=partial(sometimes, up))


def test_what_is_not_finite_is_not_called_amplification():
    def lost(eps, grid, z):
        return z * np.nan

    for check in (assert_exactly_invertible, partial(assert_returns, end="data")):
        with pytest.raises(AssertionError, match="The run from the data gives a state that is not finite"):
            check(down, invert=lost)
        with pytest.raises(AssertionError, match="The way back to the data gives a state that is not finite"):
            check(lost, invert=up)
    with pytest.raises(AssertionError, match="the noise end is not finite, in 24 slots"):
        assert_latent_valid(down, invert=lost)


def test_errors_that_fall_and_then_stay():
    """A constant factor of 1 + 1e-5 leaves an error of about 1e-5, whatever the order of the rest."""
    with pytest.raises(AssertionError, match=r"The errors fall to 1\.\de-05 and stay there: look for single precision"):
        assert_order(lambda eps, grid, z: (1 + 1e-5) * heun(eps, grid, z, up=False), 2)


def test_advice_on_a_claim_that_holds_on_alternating_grids():
    """The claim of order 1 fails with family="any" as well, since BDIA is of order 2 on smooth grids."""
    sample, _ = both(leap)
    with pytest.raises(AssertionError, match=r"Claim 2, or 1 with family=GridFamily\('alternating'\)") as caught:
        assert_order(sample, 1)
    assert "any" not in str(caught.value)
    with pytest.raises(AssertionError, match=r"Claim 1$"):
        assert_order(down, 0)


@pytest.mark.parametrize(
    ("order", "error", "says"),
    [
        ("1", TypeError, "is not a number: pass a float"),
        (float("nan"), TypeError, "is not a number: pass a float"),
        (None, ValueError, "is not an order: pass a finite number"),
    ],
)
def test_what_is_no_order(order, error, says):
    with pytest.raises(error, match=f"order={order!r} {says}"):
        assert_order(down, order)
    assert issubclass(UndecidedOrder, AssertionError)


class Kept:
    __slots__ = ("old",)

    def __init__(self, old):
        self.old = old


def test_what_is_handed_on_in_slots_is_copied():
    """The method overwrites the older state, which an object without a __dict__ hands on."""

    def packed(eps, grid, z, up):
        z, old = leap_in_place(eps, grid, (z[0], z[1].old) if isinstance(z, tuple) else z, up)
        return z, Kept(old)

    sample, invert = both(packed)
    assert all(trip.growth < 10 for trip in assert_exactly_invertible(sample, invert=invert))


def test_an_object_is_called_by_its_class():
    class Mine:
        def __call__(self, eps, grid, z):
            return ddim(eps, grid, z, up=False)

    with pytest.raises(AssertionError, match=r"assert_nfe: Mine: claimed 2"):
        assert_nfe(Mine(), 2)


MOVED = {
    "difference": lambda start, end, z, approximate: start + (z - end),
    "ratio": lambda start, end, z, approximate: start * (z / end),
    "difference, the model asked in vain": lambda start, end, z, approximate: start + (z - end) + 0 * approximate(z),
    "difference of approximations": lambda start, end, z, approximate: start + (approximate(z) - approximate(end)),
}


def remembering(move):
    """DDIM that moves the start (or the end) of whichever earlier run is near what it is given, in either direction."""
    runs = []

    def go(up, eps, grid, z):
        found = None
        for pair in runs[::-1]:
            for end, start in (pair, pair[::-1]):
                if found is None and end.shape == z.shape and np.max(np.abs(z - end)) < 0.01:
                    found = move(start, end, z, lambda w: ddim(eps, grid, w, up))
        runs.append((z, ddim(eps, grid, z, up) if found is None else found))
        return runs[-1][1]

    return partial(go, False), partial(go, True)


def handing_on(move):
    """DDIM that hands on the start and the end, and moves the one as the other has moved."""

    def go(up, eps, grid, z):
        z, end, start = z if isinstance(z, tuple) else (z, None, None)
        new = ddim(eps, grid, z, up) if end is None else move(start, end, z, lambda w: ddim(eps, grid, w, up))
        return new, new, z

    return partial(go, False), partial(go, True)


@pytest.mark.parametrize("made", [remembering, handing_on])
@pytest.mark.parametrize("move", MOVED)
def test_a_start_that_is_moved_as_the_end_has_moved_is_no_inverse(made, move):
    """It returns exactly from both ends, and it reacts to a disturbance in proportion."""
    sample, invert = made(MOVED[move])
    with pytest.raises(AssertionError, match=r"The way back (does not react to another model|jumps: a model scaled)"):
        assert_exactly_invertible(sample, invert=invert, grid=8)
    sample, invert = made(MOVED[move])
    with pytest.raises(AssertionError, match=r"The way back (does not react to another model|jumps: a model scaled)"):
        assert_returns(sample, invert=invert, grid=8)


def test_what_an_approximation_has_missed_is_returned_to_the_same_batch_alone():
    """DDIM that adds what it missed on the way back from the nearest earlier end: that is known of whole batches."""
    missed = []

    def go(up, eps, grid, z):
        new = ddim(eps, grid, z, up)
        known = [(np.max(np.abs(z - end)), rest) for end, rest in missed if end.shape == z.shape]
        least, rest = min(known, key=lambda pair: pair[0], default=(np.inf, 0.0))
        if least < 0.01:
            return new + rest
        missed.append((new, z - ddim(eps, grid, new, not up)))
        return new

    with pytest.raises(
        AssertionError, match="It returns the batch of 32 states, and the first 16 of them with an error of"
    ):
        assert_exactly_invertible(partial(go, False), invert=partial(go, True), grid=8)


def test_several_states_in_one_array_are_cut_by_rows():
    """BDIA that hands both its states on in one array; a method for one size of the batch is accepted as it is."""

    def packed(function, eps, grid, z, size=None, whole=False):
        if size and len(z[0] if isinstance(z, tuple) else z) != size:
            raise ValueError(f"batches of {size} alone")
        found = function(eps, grid, (z[1][0] if whole else z[0], z[1][1]) if isinstance(z, tuple) else z)
        return found[0], np.stack(found)

    for options in {"size": None}, {"size": 32}, {"whole": True}:
        sample, invert = (partial(packed, f, **options) for f in both(leap))
        assert all(trip.error <= trip.rounding for trip in assert_exactly_invertible(sample, invert=invert, grid=8))
    assert cut((np.zeros((2, 6, 3)), [np.zeros((6, 3)), np.zeros(5)]), (6, 3), 2)[0].shape == (2, 2, 3)
    pair, kept = replaced(
        (np.arange(4.0).reshape(2, 2, 1), {"t": np.ones(3)}), np.array([[2.0], [3.0]]), np.zeros((2, 1))
    )
    assert pair.ravel().tolist() == [0, 1, 0, 0] and kept["t"].tolist() == [1, 1, 1]
    with pytest.raises(LookupError, match=r"shape \(36,\)"):
        cut(np.zeros(36), (6, 3), 2)


def test_families_have_names():
    assert assert_order(leap_down, 1, family="alternating", states=4).family == "alternating in asinh"
    assert assert_order(down, 1, family="alternating:ratio=3", states=4)
    leading = assert_order(down, 1, family="leading", states=8)
    assert leading.family == "Stable Diffusion's leading" and leading.up_to == 500
    assert order_of(down, family="flow", states=8).agrees(1)
    assert 0 < assert_latent_valid(down, invert=up, family="leading") < 0.3


def test_arguments_and_returns_that_fit_nothing():
    for family, error, says in (
        ("alternate", ValueError, "unknown: use alternating"),
        (3, TypeError, "3 is not a family of grids"),
    ):
        with pytest.raises(error, match=says):
            assert_order(down, 1, family=family)
        with pytest.raises(error, match=says):
            assert_latent_valid(down, invert=up, family=family)
    for order in (None, float("inf")):
        with pytest.raises(ValueError, match="is not an order: pass a finite number, such as 2"):
            assert_order(down, order)
    for states in (0, -1):
        with pytest.raises(ValueError, match=f"states={states}: pass a number of 1 or more"):
            assert_returns(down, invert=up, states=states)
    with pytest.raises(TypeError, match="returned a state of complex128: return real numbers"):
        assert_order(lambda eps, grid, z: down(eps, grid, z) + 0j, 1)


def test_a_run_that_draws_noise():
    rng = np.random.default_rng(0)

    def noisy(eps, grid, z):
        return down(eps, grid, z) + 1e-3 * rng.standard_normal(z.shape)

    with pytest.raises(AssertionError, match="Two runs from the same states end apart: it draws random numbers"):
        assert_exactly_invertible(noisy, invert=up)


def test_tensors_with_a_graph():
    torch = pytest.importorskip("torch")

    def tracked(eps, grid, z):
        return torch.as_tensor(down(eps, grid, z)).requires_grad_()

    assert assert_nfe(tracked, 1) == (12, 25)


@pytest.mark.parametrize(("how", "part"), [("factor", 0.003), ("share of the data", 0.005)])
def test_a_part_that_stays_is_seen_where_it_cancels_the_methods_error(part, how):
    """Latents a little too large: in the slots looked at DDIM's own error hides it, and it is the distance falls faster than that."""

    def step(grid, z, i, j, eps):
        return grid.alpha[j] * (z - grid.sigma[i] * eps) / grid.alpha[i] + grid.sigma[j] * eps

    def sample(model, grid, z):
        for i in range(grid.n, 0, -1):
            z = step(grid, z, i, i - 1, model(z, grid.t[i]))
        return z

    def inverse(model, grid, x):
        z = x
        for i in range(1, grid.n + 1):
            z = step(grid, z, i - 1, i, model(z, grid.t[i - 1]))
        return z

    def spoilt(model, grid, x):
        return (1 + part) * inverse(model, grid, x) if how == "factor" else inverse(model, grid, x) + part * x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert assert_latent_valid(sample, invert=inverse) < 0.05
        with pytest.raises(AssertionError, match="does not vanish"):
            assert_latent_valid(sample, invert=spoilt)
