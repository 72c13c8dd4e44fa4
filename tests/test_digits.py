"""The study of handwritten digits: its reference, its choices, and what its two sides tell apart."""

from dataclasses import replace

import numpy as np
import pytest

from bdia_numerics import problems, schedules
from bdia_numerics.claims.measured import encode_with_one_for_eps
from bdia_numerics.problems import reference_flow
from bdia_numerics.studies import digits, run
from bdia_numerics.studies.digits import DIGITS, Config, contenders, study, study_of
from bdia_numerics.studies.records import records

SMALL = Config(steps=(10, 20), images=4, dtypes=("float64",), spacings=("trailing",))
EPS = float(np.finfo(np.float64).eps)


def test_the_reference_error_covers_a_tighter_solution():
    truth = digits.reference(SMALL, (901.0, 999.0))
    schedule = schedules.stable_diffusion()
    model = digits.law(SMALL.bandwidth).model(schedule)
    tight = reference_flow(model, schedule, truth.noise[999.0], 999, 0, rtol=1e-12)
    assert 0 < digits.rms(tight.z - truth.noise[0.0]) < truth.noise_error < 1e-5
    tight = reference_flow(model, schedule, truth.latents[0.0], 0, 999, rtol=1e-12)
    assert 0 < digits.rms(tight.z - truth.latents[999.0]) < truth.latent_error < 1e-5


def test_the_bandwidth_has_the_highest_leave_one_out_likelihood():
    data = problems.digits()
    squares = np.einsum("kd,kd->k", data, data)
    distances = squares[:, None] + squares - 2 * data @ data.T
    np.fill_diagonal(distances, np.inf)

    def likelihood(h):
        exponents = -distances / (2 * h * h)
        top = exponents.max(axis=1)
        densities = np.log(np.exp(exponents - top[:, None]).sum(axis=1)) + top
        return float(np.mean(densities)) - data.shape[1] * np.log(h)

    best = max((0.05 * k for k in range(1, 11)), key=likelihood)
    assert best == pytest.approx(Config().bandwidth)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("steps", [10, 20, 40, 50])
def test_the_grids_are_those_of_stable_diffusion(spacing, steps):
    times = digits.make_grid(spacing, steps).timesteps
    stride = 1000 // steps
    # diffusers: arange(n) * stride reversed, plus the offset; or arange(1000, 0, -stride) - 1; both end at t = 0
    expected = np.arange(steps)[::-1] * stride + 1 if spacing == "leading" else np.arange(1000, 0, -stride) - 1
    assert [*map(int, times)] == [*map(int, expected), 0]


def test_solvers_meet_at_equal_steps_and_at_equal_nfe():
    rows = records(DIGITS, study(SMALL))
    for r in rows:
        cost = 2 if r["solver"].startswith(("EDICT", "CBDIA")) else 1
        assert r["nfe"] == r["encode_nfe"] == cost * r["steps"]
        assert r["status"] == "ok"
    assert tuple(contenders()) == SMALL.solvers
    for solver in SMALL.solvers:
        own = [r for r in rows if r["solver"] == solver]
        assert set(SMALL.steps) <= {r["steps"] for r in own}
        assert set(SMALL.steps) <= {r["nfe"] for r in own}


def test_a_missing_eps_in_the_start_shows_in_the_latent_and_not_in_the_round_trip():
    config = replace(SMALL, steps=(50,), solvers=("BDIA, gamma 1",))
    kinds = DIGITS, study_of(contenders(), encode_with_one_for_eps())
    (good,), (bad,) = (records(kind, run(kind, config)) for kind in kinds)
    # 50 slots, each a few roundings of states of size 1
    assert good["data_round_trip"] < 8 * 50 * EPS
    assert bad["data_round_trip"] < 8 * 50 * EPS
    assert good["latent_distance"] < 0.05
    assert 4 < bad["latent_distance"] / good["latent_distance"] < 40


def test_a_run_that_overflows_is_reported():
    class Exploding:
        registers = ("z",)

        def step(self, s):
            (z,) = s.registers
            s.assign(z, s.value(10**40) * (z + s.delta(s.i, s.i - 1, z, s.eps(z))), at=s.i - 1)

    kind = study_of({"exploding": (Exploding(), None)})
    found = run(kind, replace(SMALL, solvers=("exploding",), steps=(10,), dtypes=("float32",)))
    (row,) = records(kind, found)
    assert "not finite" in row["status"]
    assert not np.isfinite(row["error"])


def test_only_draws_of_the_law_have_latents_like_the_noise():
    found = {(c.law, c.images): c.latent_std for c in digits.choices(replace(SMALL, images=8))}
    # 8 x 64 normal numbers: their standard deviation is 1 up to 0.03, four times that is allowed
    assert found.pop(("bandwidth 0.25", "draws of the distribution")) == pytest.approx(1, abs=0.125)
    assert len(found) == 4
    assert not [s for s in found.values() if 0.8 < s < 1.25]


def test_portraits_show_both_sides():
    ddim, bdia = digits.portraits(SMALL)
    assert ddim.original.shape == bdia.latent.shape == (8, 8)
    assert np.array_equal(ddim.true_latent, bdia.true_latent)
    assert ddim.round_trip > 1e-2
    assert bdia.round_trip < 8 * 10 * EPS
    assert 1e-2 < bdia.latent_distance < ddim.latent_distance
