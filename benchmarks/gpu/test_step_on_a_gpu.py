"""A BDIA step on a GPU: one kernel against its memory floor, kernels a step, and what waits for the device. Skipped without one."""

import statistics
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from bdia_numerics import BDIA, grids, schedules, solve  # noqa: E402
from bdia_numerics.program import make_plan, record_steps  # noqa: E402
from bdia_numerics.spaces import FLOAT64  # noqa: E402
from bdia_numerics.torch import fused  # noqa: E402
from bdia_numerics.torch.tensors import space_of  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings(
        "ignore:`torch.jit.script_method:DeprecationWarning"
    ),  # what torch.compile itself imports
]

SHAPE = (32, 4, 512, 512)  # 33.6M elements: more than a cache holds
MOST = 1.3


def seconds(function, rounds=20):
    """Return the device's own time of a call, the median over rounds."""
    for _ in range(3):
        function()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)


def kernels(function):
    """Return how many kernels a call launches; copies and fills of memory, and marks of regions, are none."""
    function()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        function()
        torch.cuda.synchronize()
    events = [e for e in found.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return sum(
        not e.name.startswith(("Memcpy", "Memset", "Torch-Compiled", "##"))
        and not getattr(e, "is_user_annotation", False)
        for e in events
    )


def states(shape=SHAPE, dtype=torch.float32):
    draw = torch.Generator("cuda").manual_seed(0)
    return [torch.randn(shape, generator=draw, device="cuda").to(dtype) for _ in range(3)]


def run_of(n, shape=(1, 4, 64, 64)):
    """Return a run of n slots whose model gives what is already there."""
    z, output, _ = states(shape)
    grid = grids.leading(schedules.stable_diffusion(), n)
    return lambda: solve(BDIA(0.9), lambda x, t: output, grid, z)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_arithmetic_of_a_step_against_its_memory_floor(benchmark, dtype):
    grid = grids.leading(schedules.stable_diffusion(), 3)
    stage = make_plan(record_steps(BDIA(0.9), grid), FLOAT64).stages[0]
    total = stage.instructions[-1]
    assert len(total.sources) == 3
    values = states(dtype=dtype)
    space = space_of(values[0])
    targets = [torch.empty_like(v) for v in values[:2]]

    def step():
        with fused():
            return space.combine(total.coefficients, values)

    def floor():
        # Two arrays read and two written: as many passes as a step's three reads and one write.
        for target, value in zip(targets, values, strict=False):
            target.copy_(value)

    def plain():
        return space.combine(total.coefficients, values)

    launched, least, taken = kernels(step), seconds(floor), seconds(step)
    benchmark.extra_info.update(
        ratio=taken / least, kernels=launched, unfused=seconds(plain) / least, floor_ms=1e3 * least
    )
    benchmark.pedantic(step, rounds=5)
    # Three products and two sums, in the dtype or, for 16 bits, in float32.
    eps = torch.finfo(torch.float32 if dtype.itemsize == 2 else dtype).eps
    last = torch.finfo(dtype).eps if dtype.itemsize == 2 else 0.0
    scale = float(sum(v.double().abs() for v in values).max())
    assert float((step().double() - plain().double()).abs().max()) <= (8 * eps + last) * scale
    assert launched == 1 and taken <= MOST * least


def test_kernels_a_step_with_the_watch_on_the_states(benchmark):
    """The state is looked at for NaN and infinity besides: that is counted, and reported, apart."""
    short, long = run_of(10), run_of(30)
    with fused():
        compiled = (kernels(long) - kernels(short)) / 20
    plain = (kernels(long) - kernels(short)) / 20
    benchmark.extra_info.update(kernels_a_step=compiled, unfused=plain)
    benchmark.pedantic(short, rounds=3)
    assert compiled < plain


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "fused"])
def test_nothing_waits_for_the_device_within_a_run(benchmark, compiled):
    def waits(run):
        def go():
            if not compiled:
                return run()
            with fused():
                return run()

        go()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                assert go().status.ok
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(w.message) for w in seen)

    short, long = waits(run_of(10)), waits(run_of(30))
    benchmark.extra_info.update(synchronisations_of_a_run=short)
    benchmark.pedantic(run_of(10), rounds=3)
    assert short == long > 0  # the start is checked and the end is read, whatever lies between
