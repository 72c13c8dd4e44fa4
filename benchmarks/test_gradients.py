"""Gradients in constant memory: processor time and saved bytes against plain back-propagation through a U-Net."""

import gc
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

from timing import in_turn, least  # noqa: E402

from bdia_numerics import BDIA, EDICT, grids, schedules, solve  # noqa: E402
from bdia_numerics.torch import NetworkModel, gradients, load  # noqa: E402

MOST = 1.6


def model_of(batch):
    network = load().network
    labels = torch.zeros(batch, dtype=torch.int64)
    return NetworkModel(network, conditions={"class_labels": labels}, gradients=True)


def back(run, solver, model, grid, z):
    run(solver, model, grid, z).z.square().sum().backward()


@pytest.mark.parametrize("solver", [BDIA(), EDICT()], ids=lambda s: type(s).__name__)
def test_time_against_plain_back_propagation(benchmark, solver):
    torch.set_num_threads(1)
    model = model_of(4)
    grid = grids.uniform(schedules.ddpm_linear(), 10)
    z = torch.randn(4, 1, 28, 28, requires_grad=True)
    runs = {run.__module__: partial(back, run, solver, model, grid, z) for run in (solve, gradients.solve)}
    plain, ours = runs
    ratio = least(in_turn(runs, 5), ours, plain)
    benchmark.extra_info.update(ratio=ratio, at_most=MOST)
    benchmark.pedantic(runs[ours], rounds=1)
    assert ratio <= MOST


def peak(run, n):
    """Return the most bytes that graphs hold at a time: all tensors of a run that are alive, counted at each evaluation."""
    model = model_of(1)
    sizes = {}

    def pack(x):
        held = Kept(x)
        sizes[id(held)] = x.numel() * x.element_size()
        most[0] = max(most[0], sum(sizes.values()))
        return held

    class Kept:
        def __init__(self, x):
            self.x = x

        def __del__(self):
            sizes.pop(id(self), None)

    most = [0]
    z = torch.randn(1, 1, 28, 28, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.x):
        back(run, BDIA(), model, grids.uniform(schedules.ddpm_linear(), n), z)
    gc.collect()
    return most[0]


def test_memory_at_10_and_100_slots(benchmark):
    torch.set_num_threads(1)
    ten, hundred, plain = peak(gradients.solve, 10), peak(gradients.solve, 100), peak(solve, 10)
    benchmark.extra_info.update(mb_10=ten / 1e6, mb_100=hundred / 1e6, mb_plain_10=plain / 1e6)
    benchmark.pedantic(lambda: peak(gradients.solve, 10), rounds=1)
    assert ten == hundred < plain / 4
