"""Pictures of the shipped network: samples and returned images as studies."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("xarray", reason="needs the extra sweep")

from bdia_numerics import grids, solve
from bdia_numerics.solvers import DDIM
from bdia_numerics.studies import run
from bdia_numerics.studies.network_studies import RETURNS, SAMPLES, SOURCE, TRUTH, ImagesConfig, ReturnsConfig, grey
from bdia_numerics.torch.networks.loading import load
from bdia_numerics.torch.networks.sampling import noise


def test_grey_levels():
    images = np.array([-1.0, 1.0, 0.0, 5.0, -2.0, np.nan]).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(grey(images), [[[0, 255, 128], [255, 0, np.nan]]])


@pytest.mark.slow
def test_samples_are_what_solve_gives():
    found = run(SAMPLES, ImagesConfig(solvers=("DDIM",), grids=("trailing",), steps=(4,), images=2, fine=4))
    network = load()
    grid = grids.trailing(network.schedule, 4)
    z = noise((2, 1, 28, 28), grid, 0, dtype=next(network.network.parameters()).dtype)
    images = solve(DDIM(), network.model(np.arange(2)), grid, z).z.double().numpy()
    cell = found.sel(solver="DDIM", grid="trailing", steps=4)
    # float32, and rounded to whole levels: one of them may fall to the other side.
    assert np.abs(cell["images"] - grey(images)).max() <= 1 and cell["nfe"] == 4
    truth = found.sel(solver=TRUTH, grid="trailing", steps=4)
    assert truth["nfe"] == 16 and 0 < truth["distance"] < np.inf


@pytest.mark.slow
def test_bdia_returns_and_ddim_does_not():
    found = run(RETURNS, ReturnsConfig(solvers=("DDIM", "BDIA(gamma=1)"), steps=(5,), images=2)).isel(grid=0, steps=0)
    ddim, bdia = (float(found["distance"].sel(solver=name)) for name in ("DDIM", "BDIA(gamma=1)"))
    assert bdia < 1e-4 < ddim  # float32
    levels = np.abs(found["images"] - found["images"].sel(solver=SOURCE)).max(("image", "y", "x"))
    assert levels.sel(solver="BDIA(gamma=1)") <= 1 < levels.sel(solver="DDIM")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"grids": ("odd",)}, "grid='odd'"),
        ({"images": 0}, "images=0"),
        ({"solvers": ("bdai",)}, "BDIA"),
        ({"steps": (1,)}, "steps="),
    ],
)
def test_bad_configurations_are_named(values, says):
    with pytest.raises(ValueError, match=says):
        ImagesConfig(**values)
