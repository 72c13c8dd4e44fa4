"""A BDIA step on a small latent against DDIMScheduler.step in the same run: the interpreter alone, `solve`, and the scheduler classes."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")
from diffusers import DDIMScheduler  # noqa: E402
from timing import in_turn, ratio  # noqa: E402

from bdia_numerics import BDIA, grids, schedules, solve  # noqa: E402
from bdia_numerics.runs.solving import sampling  # noqa: E402
from bdia_numerics.runs.stepwise import Stepwise  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAScheduler  # noqa: E402
from bdia_numerics.torch.tensors import space_of  # noqa: E402

N = 50


def loop(scheduler, z, output):
    """Return a whole run of a scheduler without a network."""

    def run():
        scheduler.set_timesteps(N)
        x = z
        for t in scheduler.timesteps:
            x = scheduler.step(output, t, x, return_dict=False)[0]

    return run


def steps():
    """Return the times of our steps over that of DDIMScheduler.step, float32 on 1 x 4 x 32 x 32."""
    torch.set_num_threads(1)
    z, output = torch.randn(1, 4, 32, 32), torch.randn(1, 4, 32, 32)
    kept = BDIAScheduler(clip_sample=False, state_dtype=None)
    grid = grids.leading(schedules.from_alphas_cumprod(kept.alphas_cumprod.double().numpy()), N)
    course = sampling(BDIA(), grid, "eps")

    def alone():
        run = Stepwise(course, {"z": z}, space_of(z))
        for _ in range(N):
            run.feed(output)
        assert run.done

    runs = {
        "ddim": loop(DDIMScheduler(clip_sample=False), z, output),
        "interpreter": alone,
        "solve": lambda: solve(BDIA(), lambda x, t: output, grid, z),
        "BDIAScheduler": loop(kept, z, output),
        "gamma 0": loop(BDIAScheduler(clip_sample=False, gamma=0, state_dtype=None), z, output),
        "BDIAScheduler float64": loop(BDIAScheduler(clip_sample=False), z, output),
        "gamma 0 float64": loop(BDIAScheduler(clip_sample=False, gamma=0), z, output),
    }
    times = in_turn(runs, 25)
    return {f"scheduler step: {name}": ratio(times, name, "ddim") for name in runs if name != "ddim"}


def halves():
    """Return the same for float16 latents of 8 x 16 x 128 x 128 on a CPU."""
    torch.set_num_threads(1)
    z, output = torch.randn(2, 8, 16, 128, 128).half()
    runs = {
        "ddim": loop(DDIMScheduler(clip_sample=False), z, output),
        "BDIAScheduler": loop(BDIAScheduler(clip_sample=False, state_dtype=None), z, output),
        "gamma 0": loop(BDIAScheduler(clip_sample=False, gamma=0, state_dtype=None), z, output),
    }
    times = in_turn(runs, 3)
    return {f"scheduler step, float16: {name}": ratio(times, name, "ddim") for name in runs if name != "ddim"}


def test_steps(figures):
    figures(steps)


def test_steps_in_half_precision(figures):
    figures(halves)
