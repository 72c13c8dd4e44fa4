"""The script that takes BDIA's error on a network apart, on a law whose flow is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("xarray", reason="needs the extra sweep")
pytest.importorskip("matplotlib", reason="needs the extra report")

from network_deviation import deviation, figure  # noqa: E402

from bdia_numerics import BDIA, grids, problems, schedules, solve  # noqa: E402
from bdia_numerics.plots import image  # noqa: E402

SCHEDULE = schedules.vp_linear()
Z = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def tight(z, t):
    """Exact eps of a law of which one coordinate hardly varies."""
    a, s = float(SCHEDULE.alpha(t)), float(SCHEDULE.sigma(t))
    spread = torch.tensor([1.0, 0.5, 0.01], dtype=z.dtype)
    return z * s / (a**2 * spread**2 + s**2)


def test_the_error_is_the_sum_of_its_shares():
    grid = grids.uniform(SCHEDULE, 40, t_max=1.0, t_min=0.05)
    found = deviation(tight, grid, Z)
    exact = problems.Gaussian(np.zeros(3), np.array([1.0, 0.25, 1e-4])).flow(Z.numpy(), 1.0, 0.05, SCHEDULE)
    plain = float(np.sqrt(np.mean((solve(BDIA(), tight, grid, Z).z.numpy() - exact) ** 2)))
    actual = float(found["error"].sel(gamma=1, index=0))
    assert abs(actual - plain) < 20 * float(found["reference"]) + 1e-9
    # The model is linear with a symmetric Jacobian: carried defects are the whole error, and curl there is none.
    assert float(found["linear"]) == pytest.approx(actual, rel=1e-9)
    assert float(found["symmetric"]) == pytest.approx(float(found["linear"]), rel=1e-9)
    assert found["asymmetry"].max() < 1e-12
    before = problems.Gaussian(np.zeros(3), np.array([1.0, 0.25, 1e-4])).flow(Z.numpy(), 1.0, grid.t[1], SCHEDULE)
    e = solve(BDIA(), tight, grid, Z, return_trajectory=True).trajectory[1].numpy() - before
    slope = tight(torch.ones(3, dtype=torch.float64), grid.t[1]).numpy()
    tightness = float(found["tightness"].sel(index=1))
    assert tightness == pytest.approx(grid.sigma[1] * np.sum(e * e * slope) / np.sum(e * e), rel=1e-3)
    assert found["error"].shape == (4, 41) and (found["error"].sel(index=40) == 0).all()


def test_shares_and_the_figure():
    """Shares are carried apart: in one coordinate with signs, they add up to the whole."""
    grid = grids.uniform(SCHEDULE, 12, t_max=1.0, t_min=0.05)
    found = deviation(lambda z, t: z * float(SCHEDULE.sigma(t)), grid, Z[:1, :1])
    shares = found["share"].values
    signs = np.array(np.meshgrid(*[[1, -1]] * 4)).reshape(4, -1)
    assert np.abs(np.abs(signs.T @ shares) - float(found["linear"])).min() < 1e-9 * shares.max()
    assert image(figure(found.expand_dims(grid=["uniform"])), format="png").startswith(b"\x89PNG")
