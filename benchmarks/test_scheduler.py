"""A BDIA step on a small latent against DDIMScheduler.step in the same run: the interpreter alone, and the scheduler class."""

import time

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
from diffusers import DDIMScheduler  # noqa: E402

from bdia_numerics import BDIA, grids, schedules  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAScheduler  # noqa: E402
from bdia_numerics.torch.schedulers.stepwise import Stepwise, sampling  # noqa: E402
from bdia_numerics.torch.tensors import space_of  # noqa: E402

N, MOST = 50, 0.15


def seconds(function):
    """Processor time of a step, since other programs may be running."""
    function()
    times = []
    for _ in range(9):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times) / N


def test_overhead_of_a_step(benchmark):
    torch.set_num_threads(1)
    z, output = torch.randn(1, 4, 32, 32), torch.randn(1, 4, 32, 32)

    def loop(scheduler):
        scheduler.set_timesteps(N)
        times = list(scheduler.timesteps)

        def run():
            scheduler.set_timesteps(N)
            x = z
            for t in times:
                x = scheduler.step(output, t, x, return_dict=False)[0]

        return run

    ours = BDIAScheduler()
    schedule = schedules.from_alphas_cumprod(ours.alphas_cumprod.double().numpy())
    course = sampling(BDIA(), grids.leading(schedule, N), "eps")

    def alone():
        run = Stepwise(course, {"z": z}, space_of(z))
        for _ in range(N):
            run.feed(output)
        assert run.done

    ddim, scheduler, solver = seconds(loop(DDIMScheduler(clip_sample=False))), seconds(loop(ours)), seconds(alone)
    benchmark.extra_info.update(solver=solver / ddim, scheduler=scheduler / ddim, ddim_microseconds=1e6 * ddim)
    benchmark.pedantic(alone, rounds=3)
    assert solver <= MOST * ddim
