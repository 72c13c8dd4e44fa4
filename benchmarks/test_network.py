"""Whole runs on the shipped network: what BDIA and EDICT cost against DDIM, network and all."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")
from diffusers import DDIMScheduler  # noqa: E402
from timing import in_turn, ratio  # noqa: E402

from bdia_numerics import BDIA, DDIM, EDICT, OBELM, solve  # noqa: E402
from bdia_numerics.torch.networks.loading import load  # noqa: E402
from bdia_numerics.torch.networks.sampling import noise  # noqa: E402

N = 10


def whole_runs():
    torch.set_num_threads(1)
    network = load()
    model, grid = network.model([3]), network.grid(N)
    z = noise((1, *network.shape), grid, 0, dtype=torch.float32)
    scheduler = DDIMScheduler(clip_sample=False)

    def theirs():
        scheduler.set_timesteps(N)
        x = z
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t), t, x, return_dict=False)[0]

    def run(solver):
        return lambda: solve(solver, model, grid, z)

    runs = {
        "DDIM": run(DDIM()),
        "BDIA": run(BDIA()),
        "O-BELM": run(OBELM()),
        "EDICT": run(EDICT()),
        "diffusers": theirs,
    }
    times = in_turn(runs, 20)
    return {f"whole run: {name}": ratio(times, name, "DDIM") for name in runs if name != "DDIM"}


def test_whole_runs_against_ddim(figures):
    figures(whole_runs)
