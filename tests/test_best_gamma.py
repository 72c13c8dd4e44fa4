"""The best gamma from the theory, against a search over gamma on exact flows."""

import math
from itertools import pairwise

import numpy as np
import pytest

from bdia_numerics import BDIA, grids, problems, round_trip, schedules, solve, spaces
from bdia_numerics.analysis import best_gamma, global_error, round_trip_error
from bdia_numerics.analysis.measurement.budget import SampleError

WIDE = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
TIGHT = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.02, 0.05])
S = schedules.vp_linear()
MAKERS = {
    "uniform": lambda n: grids.uniform(S, n, t_max=1, t_min=0.01),
    "quadratic": lambda n: grids.quadratic(S, n, t_max=1, t_min=0.01),
    "asinh": lambda n: grids.asinh(S, n, t_max=1, t_min=0.01),
    "alternating": lambda n: grids.alternating(S, n, t_max=0.6, t_min=0.1),
}
SEARCHED = np.linspace(0, 1, 21)


def error(gamma, law, grid):
    return global_error(BDIA(float(gamma)), law, grid, start="own").error


LAWS = {"wide": WIDE, "tight": TIGHT}
FEW = [("wide", "asinh"), ("wide", "alternating"), ("tight", "uniform"), ("tight", "quadratic")]
AGAINST = [
    *(pytest.param(LAWS[law], spacing, 10, id=f"{law}-{spacing}-10") for law, spacing in FEW),
    *(
        pytest.param(law, spacing, 20, id=f"{name}-{spacing}-20", marks=pytest.mark.slow)
        for name, law in LAWS.items()
        for spacing in MAKERS
    ),
]


@pytest.mark.parametrize(("law", "spacing", "n"), AGAINST)
def test_against_a_search(law, spacing, n):
    """Within 2% of the best of 21 gammas, but for tight peaks on 10 quadratic slots, where it is within 45%."""
    grid = MAKERS[spacing](n)
    found = best_gamma(law, grid)
    searched = min(error(g, law, grid) for g in SEARCHED)
    ours = error(found.gamma, law, grid)
    assert ours <= (1.45 if (law, spacing, n) == (TIGHT, "quadratic", 10) else 1.02) * searched
    assert found.predicted_error == pytest.approx(ours, rel=1e-9)  # the chosen gamma was run
    assert 0 <= found.gamma <= 1 and f"gamma = {found.gamma:.3g}" in found.why
    assert ("takes away the one before it" in found.why) == (found.gamma == 1)
    assert ("takes away is worse than what it leaves" in found.why) == (found.gamma == 0)


ATOMS = problems.GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], [1e-4, 1e-4])


@pytest.mark.parametrize("n", [11, pytest.param(10, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.slow)])
def test_the_curve_of_samples_is_what_runs_give(n):
    """Tight atoms on Karras's grid, where the curve bends so that eight runs left it 12 times off between them."""
    grid = grids.karras(schedules.edm(), n)
    found = best_gamma(ATOMS, grid)
    direct = np.array([error(g, ATOMS, grid) for g in found.gammas[1::4]])
    assert np.all(np.abs(found.sample[1::4] / direct - 1) < 0.25)
    assert found.predicted_error <= 1.01 * direct.min()


@pytest.mark.parametrize("spacing", ["uniform", "quadratic", "alternating"])
def test_the_costliest_slot_is_that_whose_step_costs_most(spacing):
    """Runs that begin with the exact states at t_i and t_{i-1}: their ends differ by what slot i does."""
    grid, model = MAKERS[spacing](12), WIDE.model(S)
    found = best_gamma(WIDE, grid, states=64, start="exact")
    noise = WIDE.sample(64, np.random.default_rng(5), grid.t[grid.n], S)
    exact = [WIDE.flow(noise, grid.t[grid.n], t, S) for t in grid.t]
    ends = [exact[0]]
    for i in range(1, grid.n):
        part = grid[0 : i + 1]
        ends.append(solve(BDIA(found.gamma), model, part, exact[i + 1], start=[exact[i]]).z)
    costs = [float(np.sqrt(np.mean((after - before) ** 2))) for before, after in pairwise(ends)]
    # Other states, and an error that is not of first order alone: the slot may be one of near equals.
    assert costs[found.costliest - 1] > 0.9 * max(costs)
    assert f"most of it from slot {found.costliest};" in found.why


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.8, 1.0])
def test_first_order_curve_converges_to_the_errors(gamma):
    """At all gammas from two of them: what is left over falls like a power of 1/N of its own."""
    gaps = []
    for n in (20, 40):
        grid = grids.asinh(S, n, t_max=0.6, t_min=0.1)
        theory = SampleError.of(WIDE, grid, 6, "own", 0)
        actual = global_error(BDIA(gamma), WIDE, grid, states=6, start="own").end
        gaps.append(np.abs(theory.end(gamma) - actual).max() / np.abs(actual).max())
    assert gaps[1] < 0.1 and gaps[1] < 0.7 * gaps[0]


def test_round_trip_wants_gamma_1_and_both_lies_between():
    grid = MAKERS["alternating"](24)
    sample, back, both = (best_gamma(TIGHT, grid, target=t, states=8) for t in ("sample", "round_trip", "both"))
    assert back.gamma == 1
    assert sample.gamma < both.gamma < 1
    finite = sample.round_trip[np.isfinite(sample.round_trip)]
    assert math.isinf(sample.round_trip[0]) and len(finite) > 60 and np.all(np.diff(finite) <= 0)
    k = int(np.argmin(np.abs(both.gammas - both.gamma)))
    assert both.predicted_error == pytest.approx(math.hypot(both.sample[k], both.round_trip[k]), rel=1e-12, abs=0)
    assert both.predicted_error <= math.hypot(sample.sample[-1], sample.round_trip[-1])
    # More digits leave more room.
    assert best_gamma(TIGHT, grid, target="both", dtype="float64", states=8).gamma == sample.gamma


def test_round_trip_curve_is_what_runs_lose():
    grid, gamma = MAKERS["uniform"](20), 0.8
    found = best_gamma(1.0, grid, target="both", states=2)
    at = float(np.exp(np.interp(gamma, found.gammas[1:], np.log(found.round_trip[1:]))))
    # How float32 rounds the coefficients of this very gamma is not smooth in gamma, and the curve is.
    assert at == pytest.approx(round_trip_error(BDIA(gamma), grid).errors["float32"], rel=0.5)
    # The least gamma but 0 is where the curve begins: nothing is interpolated there.
    least = round_trip_error(BDIA(float(found.gammas[1])), grid, data_rms=1.0).errors["float32"]
    assert found.round_trip[1] == pytest.approx(least, rel=1e-6)
    law = problems.Gaussian([0.0], 1)
    z = np.random.default_rng(0).standard_normal((500, 1)).astype(np.float32)
    lost = round_trip(BDIA(gamma), law.model(S), grid, z, reference=law).error
    assert 0.3 < lost / at < 3  # `round_trip_error` is good to a factor of 3


def test_a_prior_is_a_gaussian():
    grid = MAKERS["quadratic"](12)
    assert best_gamma(0.5, grid).gamma == best_gamma(problems.Gaussian([0], 0.25), grid).gamma


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: best_gamma(WIDE, g, target="speed"), "target='speed'"),
        (lambda g: best_gamma(WIDE, g, dtype="int8"), "dtype='int8'"),
        (lambda g: best_gamma(WIDE, g, end="there"), "end='there'"),
        (lambda g: best_gamma(-1.0, g), "problem=-1.0"),
        (lambda g: best_gamma(WIDE, grids.from_values([0, 1, 2], [1, 1, 1], [0, 1, 2])), "no schedule"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(MAKERS["uniform"](8))


def test_needs_floats():
    with pytest.raises(TypeError, match="floats"):
        best_gamma(WIDE, grids.uniform(S, 6, t_min=0.1, space=spaces.MPMath(30)))
