"""Gradients in constant memory: processor time and saved bytes against plain back-propagation through a U-Net."""

import gc

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")
from timing import in_turn, least  # noqa: E402

from bdia_numerics import BDIA, EDICT, grids, schedules, solve  # noqa: E402
from bdia_numerics.torch import NetworkModel, gradients, load  # noqa: E402

SOLVERS = {"BDIA": BDIA(), "EDICT": EDICT()}


def model_of(batch):
    network = load().network
    labels = torch.zeros(batch, dtype=torch.int64)
    return NetworkModel(network, conditions={"class_labels": labels}, gradients=True)


def back(run, solver, model, grid, z):
    run(solver, model, grid, z).z.square().sum().backward()


def against_plain(name):
    """Return the processor time of gradients with rebuilt states over that of plain back-propagation, 10 slots."""
    torch.set_num_threads(1)
    model, solver = model_of(4), SOLVERS[name]
    grid = grids.uniform(schedules.ddpm_linear(), 10)
    z = torch.randn(4, 1, 28, 28, requires_grad=True)
    times = in_turn(
        {
            kind: lambda run=run: back(run, solver, model, grid, z)
            for kind, run in (("plain", solve), ("ours", gradients.solve))
        },
        5,
    )
    return {f"gradients: {name}": least(times, "ours", "plain")}


def held(work):
    """Return the most bytes that graphs hold at a time while the work runs."""
    sizes, most = {}, [0]

    class Kept:
        def __init__(self, x):
            self.x = x

        def __del__(self):
            sizes.pop(id(self), None)

    def pack(x):
        kept = Kept(x)
        sizes[id(kept)] = x.numel() * x.element_size()
        most[0] = max(most[0], sum(sizes.values()))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.x):
        work()
    gc.collect()
    return most[0]


def memory():
    """Return the bytes that graphs hold at a time, over those of one evaluation's graph, at 10 and at 100 slots, and plainly at 10."""
    torch.set_num_threads(1)
    model = model_of(1)
    z = torch.randn(1, 1, 28, 28, requires_grad=True)

    def whole(run, n):
        return held(lambda: back(run, BDIA(), model, grids.uniform(schedules.ddpm_linear(), n), z))

    one = held(lambda: model(z, grids.uniform(schedules.ddpm_linear(), 10).t[1]).sum().backward())
    ten, hundred, plain = whole(gradients.solve, 10), whole(gradients.solve, 100), whole(solve, 10)
    assert ten == hundred < plain / 4
    return {"gradients: memory": ten / one}


@pytest.mark.parametrize("name", SOLVERS)
def test_time_against_plain_back_propagation(figures, name):
    figures(lambda: against_plain(name))


def test_memory_at_10_and_100_slots(figures):
    figures(memory)
