"""Round trips whose model sees registers rounded: the prediction, against runs of a Gaussian's exact noise prediction in float32."""

import numpy as np
import pytest

from bdia_numerics import BDIA, EDICT, OBELM, encode, grids, invert, schedules, solve
from bdia_numerics.analysis.perturbation.repeated import latent_error, repeated
from bdia_numerics.solvers import ALF, McCallumFoster

SCHEDULE = schedules.stable_diffusion()
ELEMENTS = 4096
UNITS = {"registers": 2.0**-53, "asked": 2.0**-24}


def grid_of(n):
    return grids.leading(SCHEDULE, n, steps_offset=1)


def rounded(z, t, nudge=0.0):
    """The noise prediction of Gaussian data of variance 1, asked and answered in float32."""
    return (np.float32(float(SCHEDULE.sigma(t)) * (1 + nudge)) * z.astype(np.float32)).astype(float)


def trip(solver, grid, nudge=0.0):
    noise = np.random.default_rng(0).standard_normal(ELEMENTS).astype(np.float32).astype(float)
    there = solve(solver, rounded, grid, noise)
    back = invert(solver, lambda z, t: rounded(z, t, nudge), grid, there.state).z
    return float(np.sqrt(np.mean((back - noise) ** 2))), int(np.sum(back.astype(np.float32) != noise))


@pytest.mark.parametrize("solver", [BDIA(), BDIA(0.96), BDIA(0.92), EDICT(), OBELM()], ids=repr)
def test_what_is_predicted_to_return_does(solver):
    grid = grid_of(50)
    assert repeated(solver, grid, **UNITS, elements=ELEMENTS).differing < 0.02
    assert trip(solver, grid)[1] == 0


@pytest.mark.parametrize(("gamma", "n"), [(0.5, 50), (0.5, 40), (0.5, 30), (0.6, 50), (0.7, 50), (0.8, 100)])
def test_what_is_predicted_not_to_return_does_not(gamma, n):
    """From 1e-6 to 1, to a factor of 30: chance decides in which slot the first rounding differs, and each slot may double it."""
    grid = grid_of(n)
    found = repeated(BDIA(gamma), grid, **UNITS, elements=ELEMENTS)
    lost, differing = trip(BDIA(gamma), grid)
    assert found.differing > 1 and differing > 0 and found.error / 30 < lost < 30 * found.error


@pytest.mark.parametrize("solver", [BDIA(), BDIA(0.9), EDICT(), OBELM(), ALF(), McCallumFoster()], ids=repr)
def test_another_model_on_the_way_back(solver):
    """One whose outputs are a unit roundoff of float32 away in every element, to the same side: within ten times what is predicted."""
    grid = grid_of(20)
    found = repeated(solver, grid, **UNITS, elements=ELEMENTS, other=True)
    lost, _ = trip(solver, grid, nudge=2.0**-24)
    assert found.error / 10 < lost < 10 * found.error
    assert found.error > 1e5 * repeated(solver, grid, **UNITS, elements=ELEMENTS).error


@pytest.mark.parametrize("solver", [BDIA(), BDIA(0.5), EDICT(), OBELM()], ids=repr)
def test_errors_of_latents(solver):
    """Against `encode` of one distribution at a time, whose exact latents are those of a linear flow."""
    grid, worst = grid_of(20), 0.0
    for spread in (1.0, 0.3, 0.1):
        data, noise = (np.hypot(float(grid.alpha[k]) * spread, float(grid.sigma[k])) for k in (0, -1))

        def eps(z, t, spread=spread):
            return (
                z
                * float(SCHEDULE.sigma(t))
                / np.hypot(float(SCHEDULE.alpha(t)) * spread, float(SCHEDULE.sigma(t))) ** 2
            )

        worst = max(worst, abs(float(encode(solver, eps, grid, np.array([data])).z[0]) / noise - 1))
    assert latent_error(solver, grid) == pytest.approx(worst, rel=1e-6)


def test_what_overflows():
    grid = grids.leading(SCHEDULE, 500, steps_offset=1)
    assert repeated(BDIA(0.1), grid, **UNITS, elements=ELEMENTS).error == np.inf
    with np.errstate(all="ignore"):
        assert latent_error(BDIA(0.1), grid) == np.inf


def test_a_grid_of_values_is_refused():
    with pytest.raises(ValueError, match=r"grid has values only.*use grids\.from_timesteps"):
        latent_error(BDIA(), grids.from_values([0.0, 1.0, 2.0], [1.0, 0.8, 0.5], [0.1, 0.6, 0.8]))
