"""Tensors as a number system: every solver against its NumPy run, dtype, device and layout kept, no value read on the host."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("bdia_numerics.torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from bdia_numerics import BDIA, DDIM, EDICT, SOLVERS, State, encode, grids, invert, round_trip, schedules, solve  # noqa: E402
from bdia_numerics.analysis.perturbation.precision import HALVES  # noqa: E402
from bdia_numerics.program import NotInvertibleError  # noqa: E402
from bdia_numerics.torch import Tensors  # noqa: E402
from bdia_numerics.torch.tensors import space_of  # noqa: E402

GRID = grids.asinh(schedules.vp_linear(), 8, t_max=1.0, t_min=0.05)
Z = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
torch.set_num_threads(1)  # the tensors are small: on a busy machine a second thread costs more than it saves
UNIT = {t: torch.finfo(t).eps for t in (torch.float64, torch.float32, torch.bfloat16, torch.float16)}


def model(z, t):
    """A noise prediction of slope at most 1/2, so that a run magnifies roundings little."""
    return np.tanh(z) / 2 if isinstance(z, np.ndarray) else torch.tanh(z) / 2


def size(x):
    return float(abs(x).max())


@pytest.mark.parametrize("dtype", UNIT, ids=str)
@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_on_tensors_is_the_run_on_arrays(name, dtype):
    solver = SOLVERS[name]()
    z = torch.from_numpy(Z).to(dtype)
    exact = solve(solver, model, GRID, z.double().numpy())
    found = solve(solver, model, GRID, z)
    assert found.z.dtype == dtype and found.status.ok and found.nfe == exact.nfe
    # The states shrink from 12 times to once their size in units of z/alpha; histories subtract what they hold, so that a few dozen
    # roundings of a step are magnified tenfold at most.
    assert size(found.z.double().numpy() - exact.z) < 1000 * UNIT[dtype] * size(exact.z)
    try:
        back = invert(solver, model, GRID, found.state)
    except NotInvertibleError:
        return
    assert back.z.dtype == dtype and back.nfe == invert(solver, model, GRID, exact.state).nfe
    if dtype in (torch.float32, torch.float64):
        assert size((back.z - z).double()) < 1e5 * UNIT[dtype] * size(Z)


def test_tensors_share_the_plan_of_arrays():
    grid = grids.uniform(schedules.vp_linear(), 4, t_min=0.1)
    solve(BDIA(), model, grid, Z)
    known = dict(grid._plans)
    for dtype in (torch.float64, torch.float16):
        solve(BDIA(), model, grid, torch.from_numpy(Z).to(dtype))
    assert grid._plans == known and known


def test_half_precision_sums_are_rounded_once():
    space = Tensors(torch.float16, torch.device("cpu"))
    values = [torch.tensor([1.0], dtype=torch.float16), torch.tensor([2048.0], dtype=torch.float16)]
    # In float16 itself 2048 + 1 is 2048, and the difference would be 0.
    assert space.combine([1.0, 1.0, -1.0], [values[0], values[1], values[1]]).item() == 1.0


@pytest.mark.parametrize("dtype", UNIT, ids=str)
def test_the_bits_of_a_sum_do_not_depend_on_the_buffer(dtype):
    space, c = Tensors(dtype, torch.device("cpu")), (0.3, -1.7, 2.9)
    values = [torch.randn(1000, generator=torch.Generator().manual_seed(k)).to(dtype) for k in range(3)]
    expected = space.combine(c, values)
    for k in (1, 0):  # a buffer that is not the first of the values is left alone
        kept = [v.clone() for v in values]
        found = space.combine(c, kept, kept[k])
        assert torch.equal(found, expected)
    assert found is kept[0]


LARGE = (3, 8, 160, 192)  # 737,280 elements: two chunks and a part of one
LAYOUTS = {
    "contiguous": lambda z: z,
    "channels last": lambda z: z.contiguous(memory_format=torch.channels_last),
    "a part": lambda z: torch.cat([z, z])[3:],
    "every second": lambda z: torch.stack([z, z], -1)[..., 0],
}


class Largest(TorchDispatchMode):
    """The most elements of a float32 tensor that is made, and how many single numbers are read."""

    most = read = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.read += func is torch.ops.aten._local_scalar_dense.default
        if isinstance(made, torch.Tensor) and made.dtype == torch.float32:
            self.most = max(self.most, made.numel())
        return made


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("c", [(1.0, -0.3, 1 / 3), (0.7, 2.0), (-1.5,)], ids=len)
def test_half_precision_is_summed_in_chunks_with_the_same_bits(dtype, layout, c):
    draw = torch.Generator().manual_seed(0)
    values = [LAYOUTS[layout](torch.randn(LARGE, generator=draw).to(dtype)) for _ in c]
    expected = c[0] * values[0].float()
    for factor, value in zip(c[1:], values[1:], strict=True):
        expected.add_(value.float(), alpha=factor)
    for out in (None, values[0]):
        with Largest() as made:
            found = space_of(values[0]).combine(c, values, out)
        assert torch.equal(found, expected.to(dtype))
        assert out is None or found is out
        if layout != "every second":  # which is no row that could be cut into chunks
            assert made.most < found.numel() / 2 and found.stride() == values[0].stride()


def test_the_sum_of_float16_says_nothing():
    """A sum of float16 ends at 65504, which the sum of a latent of mean 3/10 exceeds: one look at the ends is enough."""
    z = torch.full(LARGE, 0.3).half()
    with Largest() as looks:
        assert space_of(z).finite(z) is True
    assert looks.read == 2 and looks.most == 0
    for bad in (float("nan"), float("inf"), -float("inf")):
        z[1, 2, 3, 4] = bad
        assert space_of(z).finite(z) is False
    assert space_of(z).finite(z[:0]) is True


def test_layout_is_kept():
    z = torch.from_numpy(Z).float().to(memory_format=torch.channels_last)
    found = solve(BDIA(), model, GRID, z)
    for value in (found.z, *found.state.registers.values(), invert(BDIA(), model, GRID, found.state).z):
        assert value.is_contiguous(memory_format=torch.channels_last)


class Reads(TorchDispatchMode):
    """Counts what brings values to the host, and buffers that are made."""

    def __init__(self):
        super().__init__()
        self.reads = self.copies = self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.calls += 1
        self.reads += name in ("_local_scalar_dense", "is_nonzero", "equal")
        self.copies += name in ("_to_copy", "clone")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("solver", [DDIM(), BDIA(), EDICT()], ids=lambda s: type(s).__name__)
def test_a_step_reads_nothing(monkeypatch, solver):
    """As on a device: the start is checked, the end is read, and nothing in between, however many steps there are."""
    monkeypatch.setattr(Tensors, "deferred", True)
    z, counts = torch.from_numpy(Z), []
    for n in (4, 12):
        grid = grids.uniform(schedules.vp_linear(), n, t_min=0.01)
        with Reads() as seen:
            assert solve(solver, model, grid, z).status.ok
        counts.append((seen.reads, seen.copies))
        assert seen.calls > 4 * n
    assert counts[0] == counts[1]


def test_a_run_without_data():
    """A meta tensor has no values: whatever asked for one would raise."""
    z = torch.empty(Z.shape, device="meta")
    found = solve(BDIA(), model, GRID, z)
    back = invert(BDIA(), model, GRID, found.state)
    assert back.z.is_meta and back.z.shape == z.shape and back.status.ok


@pytest.mark.parametrize("deferred", [False, True])
def test_status_names_the_first_bad_slot(monkeypatch, deferred):
    monkeypatch.setattr(Tensors, "deferred", deferred)

    def overflowing(z, t):
        return torch.full_like(z, float("inf")) if t < GRID.t[3] else model(z, t)

    found = solve(DDIM(), overflowing, GRID, torch.from_numpy(Z).half())
    assert (found.status.ok, found.status.slot, found.status.register) == (False, 2, "z")
    assert (found.nfe == 8) == deferred


@pytest.mark.parametrize("dtype", UNIT, ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last, torch.channels_last_3d], ids=str)
def test_a_state_comes_back_from_its_file(tmp_path, dtype, layout):
    frames = Z.reshape(*Z.shape[:2], 2, -1, Z.shape[-1]) if layout is torch.channels_last_3d else Z
    z = torch.from_numpy(frames).to(dtype).to(memory_format=layout)
    state = solve(BDIA(), model, GRID, z).state
    state.save(tmp_path / "state.npz")
    loaded = State.load(tmp_path / "state.npz")
    for name, value in state.registers.items():
        found = loaded.registers[name]
        assert found.dtype == dtype and torch.equal(found, value) and found.is_contiguous(memory_format=layout)
    assert torch.equal(invert(BDIA(), model, GRID, loaded).z, invert(BDIA(), model, GRID, state).z)


def test_a_state_is_a_copy():
    z = torch.from_numpy(Z).clone()
    found = solve(BDIA(), model, GRID, z)
    kept = {name: value.clone() for name, value in found.state.registers.items()}
    found.z.zero_()
    assert all(torch.equal(kept[name], value) for name, value in found.state.registers.items())
    assert np.array_equal(z.numpy(), Z)


def test_trajectories_and_callbacks():
    seen = []
    z = torch.from_numpy(Z)
    found = solve(BDIA(), model, GRID, z, return_trajectory=True, callback=lambda i, s: seen.append(s.registers["z"]))
    assert found.trajectory.shape == (9, *Z.shape) and torch.equal(found.trajectory[8], z)
    assert (
        torch.equal(found.trajectory[0], found.z)
        and torch.equal(seen[-1], found.z)
        and not torch.equal(seen[0], seen[-1])
    )
    expected = encode(DDIM(), model, GRID, Z, return_trajectory=True)
    naive = encode(DDIM(), model, GRID, z, return_trajectory=True)
    assert size(naive.trajectory.numpy() - expected.trajectory) < 100 * UNIT[torch.float64] * size(expected.trajectory)


@pytest.mark.parametrize("start", ["noise", "data"])
def test_round_trip(start):
    z = torch.from_numpy(Z)
    found, expected = round_trip(BDIA(), model, GRID, z, start), round_trip(BDIA(), model, GRID, Z, start)
    assert found.nfe == expected.nfe and found.error < 1e5 * UNIT[torch.float64]
    assert found.reference_error < 1e-4
    assert abs(found.latent - expected.latent) < 1e-4 * expected.latent
    assert isinstance(found.returned, torch.Tensor)


def test_a_part_of_a_run_and_the_whole_have_the_same_bits():
    z = torch.from_numpy(Z).float()
    whole = solve(EDICT(), model, GRID, z)
    middle = solve(EDICT(), model, GRID[4:8], z)
    assert torch.equal(solve(EDICT(), model, GRID[0:4], middle.state).z, whole.z)


def test_plain_back_propagation_runs_through():
    z = torch.from_numpy(Z).requires_grad_()
    solve(BDIA(), model, GRID, z).z.square().sum().backward()
    shift, h = torch.from_numpy(np.random.default_rng(1).standard_normal(Z.shape)), 1e-5
    ends = [float(solve(BDIA(), model, GRID, (z + s * h * shift).detach()).z.square().sum()) for s in (1, -1)]
    # A central difference: h^2 of truncation, eps/h of rounding.
    assert float((z.grad * shift).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-7)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_contexts_do_not_change_a_run(context):
    z = torch.from_numpy(Z).float()
    with context():
        inside = solve(BDIA(), model, GRID, z)
        inside = invert(BDIA(), model, GRID, inside.state).z
    assert torch.equal(inside, invert(BDIA(), model, GRID, solve(BDIA(), model, GRID, z).state).z)


@pytest.mark.parametrize("aliased", [lambda z, t: z, lambda z, t: z.view_as(z), lambda z, t: z[:]])
def test_a_model_that_returns_its_argument(aliased):
    found = solve(BDIA(), aliased, GRID, torch.from_numpy(Z))
    assert size(found.z.numpy() - solve(BDIA(), lambda z, t: z.copy(), GRID, Z).z) < 100 * UNIT[torch.float64] * size(Z)


def test_a_model_that_reuses_its_buffer():
    buffer = torch.empty(Z.shape, dtype=torch.float64)

    def reusing(z, t):
        return torch.div(torch.tanh(z), 2, out=buffer)

    for solver in (BDIA(), SOLVERS["PLMS"](), SOLVERS["RK4"]()):
        assert torch.equal(
            solve(solver, reusing, GRID, torch.from_numpy(Z)).z, solve(solver, model, GRID, torch.from_numpy(Z)).z
        )


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (lambda z, t: z[:1], ValueError, "shape"),
        (lambda z, t: z.double(), TypeError, "float64 tensors on cpu"),
        (lambda z, t: z.to("meta"), TypeError, "float32 tensors on meta"),
        (lambda z, t: z.numpy(), TypeError, "float32"),
        (lambda z, t: z.long(), TypeError, "not a real float"),
        (lambda z, t: z.mul_(2), ValueError, "wrote into z"),
    ],
)
def test_bad_models_are_refused(output, kind, words):
    with pytest.raises(kind) as error:
        solve(DDIM(), output, GRID, torch.from_numpy(Z).float())
    assert words in one_line(error)


@pytest.mark.parametrize(
    ("z", "kind", "words"),
    [
        (torch.full((2, 2), float("nan"), dtype=torch.float16), ValueError, "NaN"),
        (torch.zeros(2, 2, dtype=torch.int64), TypeError, "z.float()"),
        (torch.zeros(2, 2, dtype=torch.complex64), TypeError, "not a real float"),
    ],
)
def test_bad_states_are_refused(z, kind, words):
    with pytest.raises(kind) as error:
        solve(DDIM(), model, GRID, z)
    assert words in one_line(error)


def test_states_of_two_dtypes_are_refused():
    z = torch.from_numpy(Z)
    with pytest.raises(TypeError, match="float64 tensors on cpu, the other states in float32 tensors on cpu"):
        solve(BDIA(), model, GRID, z, start=[z.float()])


def test_formats_of_sixteen_bits_are_those_of_torch():
    for name, (eps, most) in HALVES.items():
        info = torch.finfo(getattr(torch, name))
        assert eps == info.eps and most == pytest.approx(info.max, rel=1e-3)
