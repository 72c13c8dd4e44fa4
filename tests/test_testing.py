"""Each assertion passes on a right method and fails on a planted wrong one."""

import re
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from plain_samplers import (
    FOUR,
    adams,
    both,
    corrected_in_place,
    ddim as any_ddim,
    edict,
    leap as leap_of_two,
    leap_in_place,
    o_belm,
)

from bdia_numerics import ALF, BDIA, BDIA2, DDIM, EDICT, OBELM, RK4, McCallumFoster, Rex, grids, problems, schedules
from bdia_numerics.analysis import GridFamily
from bdia_numerics.claims.ledger import mutate
from bdia_numerics.testing import (
    UndecidedOrder,
    assert_exactly_invertible,
    assert_latent_valid,
    assert_nfe,
    assert_order,
    assert_round_trip,
    returned,
)
from bdia_numerics.testing.latents import judged

ALTERNATING = GridFamily("alternating")


def leap(eps, grid, pair, i, j, back):
    """One slot of BDIA with gamma = 1 from t_i to t_j, where the state before stands at t_back."""
    before, z = pair
    e = eps(z, grid.t[i])
    x0 = (z - grid.sigma[i] * e) / grid.alpha[i]
    return z, before + grid.alpha[j] * x0 + grid.sigma[j] * e - grid.alpha[back] * x0 - grid.sigma[back] * e


def step(eps, grid, z, i, j, told=None):
    e = eps(z, grid.t[i if told is None else told])
    return grid.alpha[j] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[j] * e


def sample(eps, grid, z):
    n = grid.n
    pair = z if isinstance(z, tuple) else (z, step(eps, grid, z, n, n - 1))
    for i in range(n - 1, 0, -1):
        pair = leap(eps, grid, pair, i, i - 1, i + 1)
    return pair[::-1]


def inverse(first):
    def invert(eps, grid, x):
        pair = x if isinstance(x, tuple) else (x, first(eps, grid, x))
        for i in range(1, grid.n):
            pair = leap(eps, grid, pair, i, i + 1, i - 1)
        return pair[::-1]

    return invert


invert = inverse(lambda eps, grid, x: step(eps, grid, x, 0, 1))
without_eps = inverse(lambda eps, grid, x: grid.alpha[1] / grid.alpha[0] * x)


def ddim(eps, grid, z):
    for i in range(grid.n, 0, -1):
        z = step(eps, grid, z, i, i - 1)
    return z


def ddim_inversion(eps, grid, z):
    for i in range(grid.n):
        z = step(eps, grid, z, i, i + 1)
    return z


def told_the_index(eps, grid, z):
    for i in range(grid.n, 0, -1):
        z = step(eps, grid, z, i, i - 1, told=i - 1)
    return z


def test_a_right_function_passes_all():
    assert_order(sample, 2)
    assert_order(sample, 2, invert=invert, direction="invert")
    data, noise = assert_exactly_invertible(sample, invert=invert)
    assert data.end == "data"
    assert noise.error <= noise.rounding < 1e-11
    assert assert_round_trip(sample, invert=invert, end="noise").latent > 1e-6
    assert 0 < assert_latent_valid(sample, invert=invert) < 0.05
    assert assert_nfe(sample, 1) == (12, 25)


def test_an_order_is_held_from_both_sides():
    assert_order(ddim, 1)
    for claimed in (0, 2):
        with pytest.raises(AssertionError, match=f"claimed {claimed}, observed 1.0"):
            assert_order(ddim, claimed, steps=(16, 24, 32, 48, 64))
    assert_order(BDIA(1), 1, family=ALTERNATING)
    with pytest.raises(AssertionError, match="steps that are taken as equal"):
        assert_order(BDIA(1), 2, family=ALTERNATING)
    assert_order(OBELM(), 2, family=ALTERNATING)


def euler_started(eps, grid, z):
    """Three-step Adams-Bashforth on variable steps; its first two steps are Euler's, whose error, once, is O(h^2)."""
    s, y, slopes = grid.sigma / grid.alpha, z / grid.alpha[grid.n], []
    for i in range(grid.n, 0, -1):
        slopes.append(eps(grid.alpha[i] * y, grid.t[i]))
        h, known = s[i - 1] - s[i], s[i : i + 3] - s[i]
        weights = [h]
        if len(slopes) > 2:
            weights = np.linalg.solve(np.vander(known, increasing=True).T, [h, h**2 / 2, h**3 / 3])
        y = y + sum(w * e for w, e in zip(weights, reversed(slopes), strict=False))
    return grid.alpha[0] * y


def multistep(extrapolation=0.5, equal=False):
    """DPM-Solver++(2M) of data predictions, with its coefficient 1/2 and its ratio of steps to be spoiled."""

    def sample(eps, grid, z):
        lam, old = np.log(grid.alpha / grid.sigma), None
        for i in range(grid.n, 0, -1):
            h = lam[i - 1] - lam[i]
            x0 = (z - grid.sigma[i] * eps(z, grid.t[i])) / grid.alpha[i]
            ratio = 1 if equal or old is None else (lam[i] - lam[i + 1]) / h
            data = x0 if old is None else x0 + extrapolation / ratio * (x0 - old)
            z, old = grid.sigma[i - 1] / grid.sigma[i] * z - grid.alpha[i - 1] * np.expm1(-h) * data, x0
        return z

    return sample


def nearly(gamma):
    """BDIA with a gamma: of order 1 with (1-gamma)/(1+gamma) of DDIM's error, and up to there like 2."""

    def sample(eps, grid, z):
        before, z = z, step(eps, grid, z, grid.n, grid.n - 1)
        for i in range(grid.n - 1, 0, -1):
            e = eps(z, grid.t[i])
            ahead, back = (step(lambda *_, e=e: e, grid, z, i, j) - z for j in (i - 1, i + 1))
            before, z = z, before - (1 - gamma) * (before - z) - gamma * back + ahead
        return z

    return sample


@pytest.mark.parametrize(
    ("make", "claims"),
    [(lambda: multistep(0.501), (1, 2)), (lambda: nearly(0.999), (1, 2))],
    ids=["2M with .501", "BDIA .999"],
)
def test_an_order_that_a_lower_one_will_replace_is_undecided(make, claims):
    for claimed in claims:
        with pytest.raises(UndecidedOrder, match=r"undecided up to n = 1024 .*the slopes drift on"):
            assert_order(make(), claimed, max_steps=1024, states=8)


def test_a_start_of_lower_order_is_never_certified():
    """The slopes fall from 2.8 at 64 steps to 2.0 at 4096: undecided, and the finest levels decide for 2."""
    for claimed in (2, 3):
        with pytest.raises(UndecidedOrder, match="undecided up to n = 512"):
            assert_order(euler_started, claimed, max_steps=512, states=8)
    assert assert_order(euler_started, 2, states=4).up_to in (2048, 4096)


def test_of_a_solver_the_program_decides_what_its_runs_do_not():
    slow = McCallumFoster(Fraction(95, 100))
    found = assert_order(slow, 1, states=2, max_steps=128)
    assert found.proved == 1 and not found.decided
    for claimed in (1.5, 2):
        with pytest.raises(AssertionError, match=r"undecided up to n = 128.*Its program proves order 1") as raised:
            assert_order(slow, claimed, states=2, max_steps=128)
        assert "look for a stage" not in str(raised.value).lower()
    # What is measured as 2, and proved to be 1, holds for neither.
    with pytest.raises(AssertionError, match="Its program proves order 1"):
        assert_order(BDIA(0.9999), 2, states=2, max_steps=256)
    with pytest.raises(UndecidedOrder, match=r"observed 1\.\d\d .*Undecided up to n = 256: its program proves order 1"):
        assert_order(BDIA(0.9999), 1, states=2, max_steps=256)


def test_advice_is_not_what_was_passed():
    """Of order 2 on smooth grids and 1 on alternating ones: no claim holds on both, and each message says where which one does."""
    with pytest.raises(AssertionError, match=r"Claim 2, or 1 with family=GridFamily\('alternating'\)\.") as low:
        assert_order(BDIA(), 1, family="any", max_steps=128)
    assert "take family='any'" not in str(low.value)
    with pytest.raises(AssertionError, match=r"on smooth grids the claim holds, without family='any'"):
        assert_order(BDIA(), 2, family="any", max_steps=128)


def test_steps_taken_as_equal_show_on_alternating_grids():
    found = assert_order(multistep(equal=True), 2, states=8)
    assert found.alternating.agrees(1) and re.search(r"on alternating grids (0\.9|1\.0)", str(found))
    with pytest.raises(AssertionError, match=r"claimed 2, observed [01]\.\d\d .*steps that are taken as equal"):
        assert_order(multistep(equal=True), 2, family="any", states=8)
    both = assert_order(multistep(), 2, family="any", states=8)
    assert both.agrees(2) and both.alternating.agrees(2) and both.alternating.up_to == 512
    with pytest.raises(AssertionError, match=r"claimed 2, observed [01]"):
        assert_order(sample, 2, family="any", states=4, max_steps=256)


def test_errors_that_do_not_fall_are_refuted_however_irregular():
    def irregular(eps, grid, z):
        return ddim(eps, grid, z) + 0.5 + 0.02 * np.sin(grid.n)

    with pytest.raises(AssertionError, match="does not converge") as raised:
        assert_order(irregular, 2, states=4, max_steps=256)
    assert not isinstance(raised.value, UndecidedOrder)


def test_starts_and_directions_are_told_apart():
    assert_order(BDIA2(), 2, start="own")
    with pytest.raises(ValueError, match="use 'own'"):
        assert_order(sample, 2, start="exact")
    with pytest.raises(ValueError, match="use one of sample, invert"):
        assert_order(sample, 2, direction="back")
    with pytest.raises(TypeError, match="pass invert="):
        assert_order(sample, 2, direction="invert")


def test_a_start_without_eps_passes_the_round_trip_alone():
    wrong = {"invert": without_eps}
    assert assert_round_trip(sample, **wrong).error < 1e-12
    assert_exactly_invertible(sample, **wrong)
    with pytest.raises(AssertionError, match="a start of lower order"):
        assert_order(sample, 2, direction="invert", **wrong)
    with pytest.raises(AssertionError, match="a round trip does not see it"):
        assert_latent_valid(sample, **wrong)


def test_a_wrong_time_does_not_converge():
    # One index beside is one order less; for DDIM that would hide in order 1, but not in the error.
    def table_entry(eps, grid, z):
        for i in range(grid.n, 0, -1):
            e = eps(z, grid.t[0])
            z = grid.alpha[i - 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i - 1] * e
        return z

    with pytest.raises(AssertionError, match="does not converge to the ODE"):
        assert_order(table_entry, 1)


def test_a_stage_that_reads_the_wrong_predecessor():
    wrong = mutate(RK4, ("there(j, d3)", "there(j, d1)"))()
    assert_order(RK4(), 4)
    with pytest.raises(AssertionError, match=r"claimed 4, observed [12]\.\d"):
        assert_order(wrong, 4, steps=(16, 24, 32, 48, 64))


def test_evaluations_are_counted():
    assert_nfe(EDICT(), 2)
    assert_nfe(RK4(), 4)

    def twice(eps, grid, z):
        eps(z, grid.t[grid.n])
        return sample(eps, grid, z)

    with pytest.raises(AssertionError, match="1 a step and 1 more"):
        assert_nfe(twice, 1)
    with pytest.raises(AssertionError, match=r"2 a step and 0 more.*has not changed"):
        assert_nfe(EDICT(), 1)
    with pytest.raises(AssertionError, match="Correct the claim"):
        assert_nfe(sample, 2)
    assert assert_nfe(twice, 1, extra=1) == (13, 26)


@pytest.mark.parametrize(
    ("ask", "evaluations"),
    [
        (lambda eps, z, t: eps(np.concatenate([z, z]), t)[: len(z)], 2),
        (lambda eps, z, t: eps(np.stack([z, z, z]), t)[0], 3),
        (lambda eps, z, t: eps(z[None], t)[0], 1),
        (lambda eps, z, t: np.concatenate([eps(row[None], t) for row in z]), 1),
        (lambda eps, z, t: np.concatenate([eps(z, t), eps(z[:1], t)])[: len(z)], 1.5),
    ],
)
def test_evaluations_are_counted_by_rows(ask, evaluations):
    def asking(eps, grid, z):
        return ddim(lambda x, t: ask(eps, x, t), grid, z)

    if evaluations == int(evaluations):
        assert assert_nfe(asking, int(evaluations)) == (12 * evaluations, 25 * evaluations)
    else:  # one row more is half an evaluation for two states and a third for three
        with pytest.raises(AssertionError, match=r"counted 18 and 37.5 .* second run 16 and 33.3"):
            assert_nfe(asking, 1)


def test_rows_of_tensors_are_counted():
    torch = pytest.importorskip("torch")
    law = problems.Gaussian([0.0], [1.0])
    linear = SimpleNamespace(model=lambda schedule: lambda z, t: 0.5 * z, sample=law.sample, flow=law.flow)

    def stacked(eps, grid, z):
        x = torch.from_numpy(z)
        for i in range(grid.n, 0, -1):
            x = x + 0.1 * eps(torch.cat([x, x]), grid.t[i])[: len(x)]
        return x

    assert assert_nfe(stacked, 2, problem=linear) == (24, 50)


def test_evaluations_that_are_kept_over_runs():
    kept = {}

    def sampler(eps, grid, z):
        for i in range(grid.n, 0, -1):
            if (grid.n, i) not in kept:
                kept[grid.n, i] = float(np.mean(eps(z, grid.t[i])))
            z = z + kept[grid.n, i]
        return z

    with pytest.raises(AssertionError, match="12 and 25 in 12 and 25 slots, and in a second run 0 and 0"):
        assert_nfe(sampler, 1)


def test_an_approximate_inverse_is_told_from_an_exact_one():
    with pytest.raises(AssertionError, match="The inverse is an approximation"):
        assert_exactly_invertible(ddim, invert=ddim_inversion)
    with pytest.raises(AssertionError, match="has overwritten"):
        assert_exactly_invertible(DDIM())
    with pytest.raises(AssertionError, match=r"claimed within 1e-06.*same steps"):
        assert_round_trip(ddim, invert=ddim_inversion)
    assert_round_trip(ddim, invert=ddim_inversion, tolerance=0.1)
    with pytest.raises(
        AssertionError, match="Rounding alone loses this, since the inverse amplifies it: take fewer slots"
    ):
        assert_round_trip(BDIA(0.01))
    with pytest.raises(ValueError, match="tolerance=1e\\+60: a loss as large as the states is not a return"):
        assert_round_trip(BDIA(0.01), tolerance=1e60)
    # What is exact but amplifies rounding beyond reading is neither passed nor called an approximation.
    with pytest.raises(AssertionError, match="too much to tell"):
        assert_exactly_invertible(BDIA(0.5), grid=40)
    assert_exactly_invertible(BDIA(0.5), grid=8)


def test_a_latent_is_held_to_a_number_where_one_is_claimed():
    assert_latent_valid(BDIA(1), tolerance=0.01)
    with pytest.raises(AssertionError, match=r"claimed within 0\.001"):
        assert_latent_valid(BDIA(1), tolerance=0.001)
    with pytest.raises(AssertionError, match="claimed within 1"):
        assert_latent_valid(EDICT(), tolerance=1, grid=100)


def test_latents_fall_at_the_order_of_the_samples():
    assert_latent_valid(ddim, invert=ddim_inversion)
    down, up = both(adams, weights=FOUR, order=4)
    assert_latent_valid(down, invert=up, grid=grids.asinh(schedules.vp_cosine(), 16, t_max=0.9, t_min=0.1))

    def larger(eps, grid, x):
        return 1.05 * ddim_inversion(eps, grid, x)

    with pytest.raises(AssertionError, match=r"the distance does not vanish, it tends to about 0\.05"):
        assert_latent_valid(ddim, invert=larger)
    with pytest.raises(
        AssertionError, match=r"falls at order 0\.99, and the samples' error at order 1\.99\. Check the first step"
    ):
        assert_latent_valid(sample, invert=without_eps)


ONSETS = [(both(edict), 30, 48), (both(leap_of_two, g=0.5), 5, 6)]


@pytest.mark.parametrize(("functions", "least", "most"), ONSETS, ids=["EDICT", "BDIA"])
def test_the_number_of_slots_from_which_an_inverse_is_unstable(functions, least, most):
    """EDICT's distance is .035 in 24 slots and 75 in 100; an inverse that halves each slot is of no use in any number."""
    down, up = functions
    with pytest.raises(AssertionError, match="the inverse is unstable from") as caught:
        assert_latent_valid(down, invert=up)
    assert least <= int(re.search(r"from (\d+) slots on", str(caught.value))[1]) <= most
    grid = grids.uniform(schedules.vp_linear(), 24, t_max=0.6, t_min=0.1)
    with pytest.raises(AssertionError, match="the inverse is unstable from"):
        assert_latent_valid(down, invert=up, grid=grid)


def test_latents_on_grids_in_use():
    """O-BELM multiplies by the ratios of the squared steps: of use on smooth grids, of none on those in use."""
    down, up = both(o_belm)
    number = r"10 slots of Stable Diffusion's leading grid .* amplifies .* 2\.7e\+03 times"
    with pytest.warns(UserWarning, match=number):
        assert_latent_valid(down, invert=up)
    with pytest.raises(AssertionError, match=number):
        assert_latent_valid(down, invert=up, family="any")
    assert_latent_valid(sample, invert=invert, family="any")
    leading = grids.leading(schedules.stable_diffusion(), 10, steps_offset=1, final_alpha=None)
    with pytest.raises(AssertionError, match=r"in 10 slots of the given grids the noise end is 0\.72 .* amplifies"):
        assert_latent_valid(down, invert=up, grid=leading)
    assert_latent_valid(sample, invert=invert, grid=leading)

    def on_few_slots(eps, grid, x):
        if grid.t[-1] > 1:
            raise ValueError("times in [0, 1]")
        return invert(eps, grid, x)

    with pytest.warns(UserWarning, match=r"it raises ValueError: times in \[0, 1\]"):
        assert_latent_valid(sample, invert=on_few_slots)
    with pytest.raises(ValueError, match="pass one of them"):
        assert_latent_valid(sample, invert=invert, grid=GridFamily()(12), family=GridFamily())


@pytest.mark.slow
def test_latents_of_solvers():
    for solver in (DDIM(), ALF(), BDIA(1), BDIA(0.999), Rex()):
        assert_latent_valid(solver)
    with pytest.warns(UserWarning, match="leading grid"):
        assert_latent_valid(OBELM())
    for solver in (EDICT(), BDIA(0.96)):
        with pytest.raises(AssertionError, match="the inverse is unstable from"):
            assert_latent_valid(solver)
    slowly = r"slowly unstable: it amplifies a disturbance 1\.3 times in 193 slots and 1\.6 in 385"
    with pytest.raises(AssertionError, match=slowly):
        assert_latent_valid(McCallumFoster())


# Errors of latents 4^-k, of samples 4^-k but where said.
@pytest.mark.parametrize(
    ("far", "own", "kind", "at_last"),
    [
        ([1, 1 / 4, 1 / 16, 1 / 64], None, "holds", "holds"),
        ([1, 1 / 2, 1 / 4, 1 / 8], None, "behind", "behind"),
        ([1, 1 / 2, 1 / 4, 1 / 8], [1, 1 / 2, 1 / 4, 1 / 8], "holds", "holds"),
        ([1, 1 / 2, 1 / 4, 1 / 12], None, "climb", "undecided"),
        ([1, 1 / 4, 1 / 16, 1 / 57], None, "climb", "holds"),
        ([1, 1, 1, 1], [1, 1, 1, 1], "flat", "flat"),
        ([1, 1 / 4, 1, 4], None, "unstable", "unstable"),
        ([1, 1 / 4, float("inf"), float("inf")], None, "unstable", "unstable"),
        ([330, 34, 1.03, 1.81], [29, 45, 14, 3.5], "climb", "unstable"),
        ([34, 1.03, 1.81, 0.67], [45, 14, 3.5, 0.9], "holds", "holds"),
        ([1e-13, 1e-13, 2e-13, 3e-13], None, "holds", "holds"),
        ([0.008, 0.006, 0.0045, 0.0034], [1, 1 / 2, 1 / 4, 1 / 8], "holds", "holds"),
        ([0.008, 0.006, 0.0045, 0.0034], [1, 1, 1, 1], "behind", "behind"),
    ],
)
def test_verdicts_on_distances(far, own, kind, at_last):
    own = own or [4.0**-k for k in range(4)]
    assert judged(far, own, last=False) == kind
    assert judged(far, own, last=True) == at_last


def test_rounding_is_measured_by_what_the_way_back_amplifies():
    assert returned(BDIA(1)).growth < 10
    assert returned(BDIA(0.5), end="noise").growth > 1e4


def test_other_laws_and_grids():
    law = problems.Gaussian([0.3, -0.2], [0.5, 0.1])
    grid = grids.quadratic(schedules.vp_linear(), 20, t_max=1.0, t_min=0.01)
    states = np.random.default_rng(3).standard_normal((5, 2))
    assert_exactly_invertible(sample, invert=invert, problem=law, grid=grid)
    trip = assert_round_trip(sample, invert=invert, problem=law, grid=grid, states=states)
    assert re.search(r"the round trip from the noise has an error of \S+ \(rounding alone: at most", str(trip))


@pytest.mark.parametrize("subject", [3, "DDIM", DDIM, object()])
def test_what_is_no_sampler_is_refused(subject):
    with pytest.raises(TypeError, match="is not a sampler"):
        assert_nfe(subject, 1)


def test_arguments_that_fit_nothing():
    with pytest.raises(TypeError, match="derived from its step"):
        assert_nfe(DDIM(), 1, invert=ddim)
    with pytest.raises(TypeError, match="pass a grid with a schedule"):
        assert_round_trip(DDIM(), grid="leading")
    with pytest.raises(ValueError, match="is neither 'noise' nor 'data'"):
        assert_round_trip(BDIA(1), end="middle")
    with pytest.raises(TypeError, match="return the state at the other end, or a tuple with it in front"):
        assert_nfe(lambda eps, grid, z: z[:1], 1)


def test_what_works_in_place_gets_copies():
    """A right method in the very arrays that it is given is accepted, an approximation there is refused."""
    down, up = both(leap_in_place)
    data, _ = assert_exactly_invertible(down, invert=up, grid=256)
    assert data.growth < 10
    assert data.rounding < 1e-10
    with pytest.raises(AssertionError, match=r"an error of 6\.6e-07 .*The inverse is an approximation"):
        assert_exactly_invertible(ddim, invert=corrected_in_place)
    states = np.linspace(-1, 1, 6)[:, None]
    before = states.copy()
    assert_exactly_invertible(down, invert=up, states=states)
    assert np.array_equal(states, before)


def test_a_way_back_that_recognises_its_input():
    """What is found in a table comes back exactly, and says nothing of what is not in it."""
    table = {}

    def known(direction):
        def run(eps, grid, z):
            if z.tobytes() not in table:
                end = any_ddim(eps, grid, z, up=direction == "invert")
                table[end.tobytes()], table[z.tobytes()] = z.copy(), end
            return table[z.tobytes()].copy()

        return run

    wrong = {"invert": known("invert")}
    with pytest.raises(AssertionError, match="The way back jumps"):
        assert_exactly_invertible(known("sample"), **wrong)
    with pytest.raises(AssertionError, match="The way back jumps"):
        assert_round_trip(known("sample"), **wrong)


def test_a_run_that_ignores_its_input():
    def hiding(eps, grid, x):
        return np.ones_like(x), x

    with pytest.raises(AssertionError, match="The way from the data gives the same end for other states"):
        assert_exactly_invertible(lambda eps, grid, z: z[1] if isinstance(z, tuple) else z, invert=hiding)


@pytest.mark.parametrize("hand", [lambda z: z, lambda z: {"begun": [z]}, lambda z: SimpleNamespace(z=z)])
def test_a_start_that_is_handed_on_is_no_inverse(hand):
    """An approximation that carries its own start returns it exactly, from both ends."""

    def run(direction):
        def go(eps, grid, z):
            if isinstance(z, tuple):
                rest = z[1]["begun"][0] if isinstance(z[1], dict) else getattr(z[1], "z", z[1])
                return rest, z[0]
            return any_ddim(eps, grid, z, up=direction == "up"), hand(z)

        return go

    with pytest.raises(AssertionError, match="handed on together with the state"):
        assert_exactly_invertible(run("down"), invert=run("up"))


def test_a_lattice_is_exact_though_its_floats_are_for_show():
    """Integers with the remainders of a rounded increment: what comes back is bit for bit what was sent."""
    unit = 2.0**-40

    def lattice(up):
        def go(eps, grid, z):
            pairs = [(i, i + 1) for i in range(grid.n)] if up else [(i, i - 1) for i in range(grid.n, 0, -1)]
            if isinstance(z, tuple):
                old, now = z[1]
                pairs = pairs[1:]
            else:
                old = np.rint(z / unit).astype(np.int64)
                now = np.rint(step(eps, grid, old * unit, *pairs[0]) / unit).astype(np.int64)
                pairs = pairs[1:]
            for i, j in pairs:
                e, back = eps(now * unit, grid.t[i]), 2 * i - j
                x0 = (now * unit - grid.sigma[i] * e) / grid.alpha[i]
                ends = [np.rint((grid.alpha[k] * x0 + grid.sigma[k] * e) / unit).astype(np.int64) for k in (j, back)]
                old, now = now, old + ends[0] - ends[1]
            return now * unit, (now, old)

        return go

    data, noise = assert_exactly_invertible(lattice(False), invert=lattice(True))
    assert max(data.error, noise.error) < 1e-12
