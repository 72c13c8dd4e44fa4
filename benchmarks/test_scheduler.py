"""A BDIA step on a small latent against DDIMScheduler.step in the same run: the interpreter alone, `solve`, and the scheduler class."""

import statistics

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

N, MOST = 50, 0.15


def test_overhead_of_a_step(benchmark):
    torch.set_num_threads(1)
    z, output = torch.randn(1, 4, 32, 32), torch.randn(1, 4, 32, 32)
    theirs, ours = DDIMScheduler(clip_sample=False), BDIAScheduler()
    grid = grids.leading(schedules.from_alphas_cumprod(ours.alphas_cumprod.double().numpy()), N)
    course = sampling(BDIA(), grid, "eps")

    def loop(scheduler):
        scheduler.set_timesteps(N)
        times = list(scheduler.timesteps)

        def run():
            scheduler.set_timesteps(N)
            x = z
            for t in times:
                x = scheduler.step(output, t, x, return_dict=False)[0]

        return run

    def alone():
        run = Stepwise(course, {"z": z}, space_of(z))
        for _ in range(N):
            run.feed(output)
        assert run.done

    runs = {
        "ddim": loop(theirs),
        "interpreter": alone,
        "solve": lambda: solve(BDIA(), lambda x, t: output, grid, z),
        "scheduler": loop(ours),
    }
    times = in_turn(runs, 25)
    found = {name: ratio(times, name, "ddim") for name in runs if name != "ddim"}
    benchmark.extra_info.update(found, ddim_microseconds=1e6 * statistics.median(times["ddim"]) / N)
    benchmark.pedantic(alone, rounds=3)
    assert found["interpreter"] <= MOST
