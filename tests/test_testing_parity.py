"""Faults that a few even numbers of slots, float64 or finite states do not show; each was certified, or ended in a misleading sentence."""

from functools import partial

import numpy as np
import pytest
from plain_samplers import both, ddim, heun, leap, leap_in_place, levels, moved, ways

from bdia_numerics.testing import Undecided, assert_exactly_invertible, assert_latent_valid, assert_nfe, assert_order
from bdia_numerics.testing import assert_round_trip as assert_returns

down, up = both(ddim)


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

    with pytest.raises(AssertionError, match=r"counted 12 in 12 slots and 50 in 25: .* no whole number a step"):
        assert_nfe(asked_twice, 1)


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
        return function(eps, grid, z) * (np.nan if grid.n == bad else 1)

    with pytest.raises(AssertionError, match=f"The state is not finite in {bad} steps"):
        assert_order(partial(sometimes, down), 1, max_steps=512)
    if bad == 48:
        with pytest.raises(AssertionError, match="the noise end is not finite, in 48 slots"):
            assert_latent_valid(down, invert=partial(sometimes, up))


def test_what_is_not_finite_is_not_called_amplification():
    def lost(eps, grid, z):
        return z * np.nan

    for check in (assert_exactly_invertible, assert_returns):
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


@pytest.mark.parametrize("order", ["1", float("nan"), None])
def test_what_is_no_order(order):
    with pytest.raises(ValueError, match=f"order={order!r} is not an order"):
        assert_order(down, order)
    assert issubclass(Undecided, AssertionError)


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


def test_arguments_and_returns_that_fit_nothing():
    for family in ("alternating", "leading"):
        with pytest.raises(TypeError, match=f"family='{family}' is not a family of grids"):
            assert_order(down, 1, family=family)
        with pytest.raises(TypeError, match=f"family='{family}' is not a family of grids"):
            assert_latent_valid(down, invert=up, family=family)
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
