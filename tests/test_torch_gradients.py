"""Gradients through a whole run, states rebuilt by the derived inverse: against plain back-propagation, and memory over N."""

import weakref

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("bdia_numerics.torch")

from bdia_numerics import (  # noqa: E402
    BDIA,
    DDIM,
    EDICT,
    SOLVERS,
    encode,
    grids,
    invert as plain_invert,
    models,
    schedules,
    solve as plain_solve,
)
from bdia_numerics.program import NotInvertibleError, inverse_run, record_steps  # noqa: E402
from bdia_numerics.torch import NetworkModel, gradients  # noqa: E402

GRID = grids.asinh(schedules.vp_linear(), 8, t_max=1.0, t_min=0.05)
torch.set_num_threads(1)
EPS = torch.finfo(torch.float64).eps


class Small(torch.nn.Module):
    """A network of 2 x 3 parameters, slope at most 1/2 in z, and its time."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.weight = torch.nn.Parameter(torch.randn(3, 3, generator=draw, dtype=torch.float64).to(dtype) / 5)
        self.bias = torch.nn.Parameter(torch.randn(3, generator=draw, dtype=torch.float64).to(dtype))

    def forward(self, z, t):
        return torch.tanh(z @ self.weight + self.bias + float(t)) / 2


def invertible(name):
    try:
        inverse_run(record_steps(SOLVERS[name](), GRID))
    except NotInvertibleError:
        return False
    return True


INVERTIBLE = [name for name in SOLVERS if invertible(name)]


def state(dtype=torch.float64, batch=2):
    z = torch.randn(batch, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return z.to(dtype).requires_grad_()


def loss(z):
    return (z * torch.arange(1, 4, dtype=z.dtype)).sin().sum()


def both(solver, network, z, grid=GRID, **options):
    """Return loss, d/dz and d/d parameters, plain and reversed."""
    found = []
    for run, more in ((plain_solve, {}), (gradients.solve, options)):
        solution = run(solver, network, grid, z, **more)
        value = loss(solution.z)
        found.append((value.detach(), *torch.autograd.grad(value, (z, *network.parameters())), solution.nfe))
    return found


def test_which_solvers_are_covered():
    assert {"BDIA", "EDICT", "CBDIA", "ReversibleHeun", "ALF", "Leapfrog", "BDIA2", "BDIA3"} <= set(INVERTIBLE)


@pytest.mark.parametrize("name", INVERTIBLE)
def test_gradients_are_those_of_plain_back_propagation(name):
    plain, reversed_ = both(SOLVERS[name](), Small(), state())
    # What the start of BDIA2, BDIA3 and the symmetric method has evaluated is not remembered here.
    assert reversed_[-1] - plain[-1] == {"BDIA2": 1, "BDIA3": 2, "SymmetricMultistep": 2}.get(name, 0)
    assert torch.equal(plain[0], reversed_[0]), "the same run"
    for a, b in zip(plain[1:-1], reversed_[1:-1], strict=True):
        # The inverse magnifies a rounding of states of size 10 a hundredfold at most in eight slots.
        assert float((a - b).abs().max()) < 2e4 * EPS * float(a.abs().max())


@pytest.mark.parametrize("name", ["BDIA", "EDICT", "ALF", "BDIA3"])
def test_gradients_are_those_of_differences(name):
    network, z = Small(), state(batch=1)

    def value(x, *_):
        return gradients.solve(SOLVERS[name](), network, GRID, x).z

    assert torch.autograd.gradcheck(value, (z, *network.parameters()), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["BDIA", "CBDIA", "ReversibleHeun"])
def test_gradients_of_the_way_back(name):
    solver, network, z = SOLVERS[name](), Small(), state()
    end = plain_solve(solver, network, GRID, z.detach()).state
    given = {r: x.detach().clone().requires_grad_() for r, x in end.registers.items()}

    def run(function):
        from dataclasses import replace

        value = loss(function(solver, network, GRID, replace(end, registers=given)).z)
        return torch.autograd.grad(value, (*given.values(), *network.parameters()), allow_unused=True)

    for a, b in zip(run(plain_invert), run(gradients.invert), strict=True):
        assert a is not None and float((a - b).abs().max()) < 2e4 * EPS * float(a.abs().max())


@pytest.mark.parametrize("name", ["BDIA", "ALF"])
def test_gradients_where_registers_are_equal(name):
    """At zero all registers of an odd model are zero, and the result is still one of them."""
    from dataclasses import replace

    def odd(z, t):
        return torch.tanh(z) / 2

    solver, z = SOLVERS[name](), torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    end = plain_solve(solver, odd, GRID, z.detach()).state
    given = {r: x.detach().clone().requires_grad_() for r, x in end.registers.items()}
    for runs, leaves, begin in (
        ((plain_solve, gradients.solve), [z], z),
        ((plain_invert, gradients.invert), [*given.values()], replace(end, registers=given)),
    ):
        found = [torch.autograd.grad(loss(run(solver, odd, GRID, begin).z), leaves, allow_unused=True) for run in runs]
        for a, b in zip(*found, strict=True):
            assert torch.allclose(torch.zeros_like(b) if a is None else a, b, rtol=1e-10, atol=1e-10)


def test_every_register_carries_the_gradient():
    solver, network, z = EDICT(), Small(), state()
    out = []
    for run in (plain_solve, gradients.solve):
        registers = run(solver, network, GRID, z).state.registers
        value = loss(registers["z"]) + loss(3 * registers["y"])
        out.append(torch.autograd.grad(value, z)[0])
    assert torch.allclose(*out, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", ["x0", "v", "velocity"])
def test_other_predictions(kind):
    network, z = Small(), state()
    model = getattr(models, kind)(network)
    a, b = (torch.autograd.grad(loss(run(BDIA(), model, GRID, z).z), (z, *network.parameters()))
            for run in (plain_solve, gradients.solve))  # fmt: skip
    assert all(torch.allclose(x, y, rtol=1e-10, atol=1e-13) for x, y in zip(a, b, strict=True))


def test_starts():
    network, z = Small(), state()
    second = state().detach().roll(1, 0).requires_grad_()
    for start, inputs in (([second], (z, second)), ({"z_prev": z, "z": second}, (z, second)), (DDIM(), (z,))):
        a, b = (torch.autograd.grad(loss(run(BDIA(), network, GRID, z, start).z), inputs)
                for run in (plain_solve, gradients.solve))  # fmt: skip
        assert all(torch.allclose(x, y, rtol=1e-10, atol=0) for x, y in zip(a, b, strict=True))


def test_the_gradient_of_a_state():
    network, z = Small(), state()
    with torch.no_grad():
        end = encode(BDIA(), network, GRID, z).state
    a, b = (torch.autograd.grad(loss(run(BDIA(), network, GRID, end).z), tuple(network.parameters()))
            for run in (plain_solve, gradients.solve))  # fmt: skip
    assert all(torch.allclose(x, y, rtol=1e-10, atol=0) for x, y in zip(a, b, strict=True))


class Live:
    """Bytes that autograd holds for later: what is packed is counted until it is let go."""

    def __init__(self):
        self.now = self.peak = 0

    def pack(self, tensor):
        box = [tensor]
        holder = Holder(box)
        size = tensor.numel() * tensor.element_size()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(holder, self._let_go, size)
        return holder

    def _let_go(self, size):
        self.now -= size

    @staticmethod
    def unpack(holder):
        return holder.box[0]


class Holder:
    def __init__(self, box):
        self.box = box


def saved_bytes(run, solver, n):
    grid, z, live = grids.asinh(schedules.vp_linear(), n, t_max=1.0, t_min=0.05), state(), Live()
    network = Small()
    with torch.autograd.graph.saved_tensors_hooks(live.pack, live.unpack):
        loss(run(solver, network, grid, z).z).backward()
    assert live.now == 0
    return live.peak


@pytest.mark.parametrize("name", ["BDIA", "EDICT", "ReversibleHeun", "BDIA3"])
def test_memory_is_flat_in_n(name):
    solver = SOLVERS[name]()
    assert saved_bytes(gradients.solve, solver, 10) == saved_bytes(gradients.solve, solver, 100)
    # The measure sees what it should: plain back-propagation holds every step.
    assert saved_bytes(plain_solve, solver, 100) > 5 * saved_bytes(plain_solve, solver, 10)


class Deep(torch.nn.Module):
    """A network of which the graph of one evaluation holds far more than a state; it counts the activations that live."""

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.weight = torch.nn.Parameter(torch.randn(5, 5, generator=draw, dtype=torch.float64) / 5)
        self.now = self.peak = 0

    def forward(self, z, t):
        for _ in range(50):
            z = torch.tanh(z @ self.weight)
            self.now += 1
            self.peak = max(self.peak, self.now)
            weakref.finalize(z, self._let_go)
        return z + float(t)

    def _let_go(self):
        self.now -= 1


@pytest.mark.parametrize(("name", "most"), [("BDIA", 1), ("EDICT", 1), ("ReversibleHeun", 1), ("BDIA3", 3)])
def test_the_graph_of_one_evaluation_stands_at_a_time(name, most):
    """The activations of two evaluations never live together, in the steps, in their start, or between them; BDIA3 undoes with three."""
    grid, one, whole = grids.asinh(schedules.vp_linear(), 6, t_max=1.0, t_min=0.05), Deep(), Deep()
    z = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    one(z, 0.5).sum().backward()
    gradients.solve(SOLVERS[name](), whole, grid, z).z.square().sum().backward()
    assert whole.peak <= 1.1 * most * one.peak


def test_rebuilding_that_fails_is_said_and_checkpoints_are_the_remedy():
    # gamma = 1/2: each slot of the inverse doubles a rounding; 2^60 is far beyond float64.
    grid = grids.uniform(schedules.vp_linear(), 60, t_max=1.0, t_min=0.05)
    network, z = Small(), state()
    with pytest.warns(RuntimeWarning, match="rebuilt with relative error"):
        both(BDIA(gamma=0.5), network, z, grid)
    plain, found = both(BDIA(gamma=0.5), network, z, grid, checkpoints=5)
    for a, b in zip(plain[1:-1], found[1:-1], strict=True):
        assert float((a - b).abs().max()) < 1e-6 * float(a.abs().max())


def test_a_model_that_changes_is_noticed():
    def moody(z, t):
        moody.calls += 1
        return torch.tanh(z) / 2 * (1 + moody.calls / 10)

    moody.calls = 0
    found = gradients.solve(EDICT(), moody, GRID, state())
    with pytest.warns(RuntimeWarning, match="dropout"):
        loss(found.z).backward()


def test_a_network_that_was_built_without_gradients_records_them_here():
    network, z = Small(), state()
    model = NetworkModel(lambda x, t: network(x, t[0]), time_scale=0.5)
    found = gradients.solve(BDIA(), model, GRID, z, parameters=network.parameters())
    expected = plain_solve(BDIA(), lambda x, t: network(x, t / 2), GRID, z)
    a, b = (torch.autograd.grad(loss(x.z), (z, *network.parameters())) for x in (found, expected))
    assert all(torch.allclose(x, y, rtol=1e-10, atol=0) for x, y in zip(a, b, strict=True))


def test_a_frozen_parameter_may_be_named():
    network, z = Small(), state()
    network.weight.requires_grad_(False)
    loss(gradients.solve(BDIA(), network, GRID, z, parameters=network.parameters()).z).backward()
    assert network.weight.grad is None and network.bias.grad is not None


def test_tensors_that_were_not_named_are_refused():
    scale, z = torch.tensor(0.3, dtype=torch.float64, requires_grad=True), state()
    half = scale * scale

    def model(x, t):
        return half * torch.tanh(x)

    with pytest.raises(ValueError, match=r"shape \(\) that requires gradients"):
        loss(gradients.solve(BDIA(), model, GRID, z).z).backward()
    (found,) = torch.autograd.grad(
        loss(gradients.solve(BDIA(), model, GRID, z, parameters=[half]).z), scale, retain_graph=True
    )
    (expected,) = torch.autograd.grad(loss(plain_solve(BDIA(), model, GRID, z).z), scale)
    assert torch.allclose(found, expected, rtol=1e-10)


def test_what_is_refused():
    z = state()
    with pytest.raises(NotInvertibleError, match="DDIM is not exactly invertible"):
        gradients.solve(DDIM(), Small(), GRID, z)
    with pytest.raises(ValueError, match="gamma != 0"):
        gradients.solve(BDIA(gamma=0), Small(), GRID, z)
    with pytest.raises(ValueError, match="checkpoints=-1"):
        gradients.solve(BDIA(), Small(), GRID, z, checkpoints=-1)

    def closed(x, t):
        with torch.no_grad():
            return torch.tanh(x)

    with pytest.raises(ValueError, match="records no gradient"):
        loss(gradients.solve(BDIA(), closed, GRID, z).z).backward()


def test_a_run_that_is_not_finite_has_no_graph():
    found = gradients.solve(EDICT(), lambda z, t: z * 1e200, GRID, state())
    assert not found.status.ok and not found.z.requires_grad
