"""Growth of perturbations on networks: products with Jacobians, singular values, bits."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("bdia_numerics.torch")

from bdia_numerics import BDIA, BDIA2, DDIM, EDICT, OBELM, analysis, grids, schedules, solve  # noqa: E402
from bdia_numerics.program import NotInvertibleError  # noqa: E402
from bdia_numerics.torch.networks.growth import growth, probed_defect  # noqa: E402
from bdia_numerics.torch.networks.jacobians import array_jvp, array_model, linearised  # noqa: E402
from bdia_numerics.torch.networks.models import NetworkModel  # noqa: E402
from bdia_numerics.torch.networks.steadiness import SOLVERS, bits, markdown, repeatability, trips  # noqa: E402  # noqa: E402

torch.set_num_threads(1)
SCHEDULE = schedules.vp_linear()
GRID = grids.asinh(SCHEDULE, 6, t_max=1.0, t_min=0.05)
WEIGHT = torch.tensor([[0.3, 0.5, 0.0], [-0.2, 0.4, 0.1], [0.0, 0.3, 0.6]], dtype=torch.float64)
Z = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def curved(z, t):
    return torch.tanh(z @ WEIGHT.T.to(z)) * (1 + float(t)) / 2


def test_products_with_the_jacobian():
    at = linearised(curved, Z, 0.5)
    v, u = torch.randn(2, *Z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    # tanh' = 1 - tanh^2, by hand.
    slope = 0.75 * (1 - torch.tanh(Z @ WEIGHT.T) ** 2)
    assert torch.allclose(at.push(v), slope * (v @ WEIGHT.T), rtol=1e-13, atol=0)
    assert torch.allclose(at.pull(u), (slope * u) @ WEIGHT, rtol=1e-13, atol=0)
    assert torch.equal(at.output, curved(Z, 0.5))


def test_the_asymmetry_of_a_network_by_exact_derivatives():
    found = analysis.asymmetry(array_model(curved), Z.numpy(), 0.5, jvp=array_jvp(curved))
    expected = analysis.asymmetry(array_model(curved), Z.numpy(), 0.5)
    assert found.relative > 0.2 and abs(found.relative - expected.relative) < 1e-11
    defect = analysis.symplectic_defect(BDIA(), array_model(curved), GRID, Z.numpy(), jvp=array_jvp(curved))
    plain = analysis.symplectic_defect(BDIA(), array_model(curved), GRID, Z.numpy())
    assert np.allclose(defect.defects, plain.defects, rtol=1e-9, atol=1e-11) and defect.worst > 0.2


@pytest.mark.parametrize("direction", ["sample", "invert"])
@pytest.mark.parametrize("solver", [BDIA(), BDIA(gamma=Fraction(1, 2)), EDICT()], ids=repr)
def test_singular_values_of_a_linear_model_are_those_of_the_whole_matrix(solver, direction):
    J = 0.7
    found = growth(solver, lambda z, t: J * z, GRID, Z, direction=direction, iterations=60)
    theory = analysis.amplification(solver, GRID, direction, J=J)
    assert np.allclose(found.total, theory.total, rtol=1e-8)
    assert np.allclose(found.predicted, theory.total, rtol=1e-12)
    assert np.allclose(found.slopes, J, rtol=1e-13)
    assert found.bare == analysis.amplification(solver, GRID, direction).total != found.total[0]
    sizes = [np.linalg.norm(m, 2) for m in theory.matrices]
    # Of a single step the two largest may lie close together: the iteration comes from below.
    sizes = np.array(sizes)[:, None]
    assert np.all(found.steps <= sizes * (1 + 1e-12)) and np.all(found.steps > 0.99 * sizes)


def test_singular_values_of_a_curved_model_are_those_of_differences():
    found = growth(BDIA(), curved, GRID, Z[:1], iterations=60)
    begin = {}
    solve(BDIA(), curved, GRID, Z[:1], callback=begin.setdefault)
    first = begin[GRID.n - 1].registers
    flat = torch.cat([first["z_prev"], first["z"]], 1)

    def run(x):
        given = {"z_prev": x[:, :3].contiguous(), "z": x[:, 3:].contiguous()}
        end = solve(BDIA(), curved, GRID, Z[:1], given).state.registers
        return torch.cat([end["z_prev"], end["z"]], 1)

    h = 1e-6
    columns = [(run(flat + h * e) - run(flat - h * e)) / (2 * h) for e in torch.eye(6, dtype=torch.float64)]
    largest = float(torch.linalg.matrix_norm(torch.cat(columns), 2))
    assert abs(found.total[0] / largest - 1) < 1e-6


def mean_square(values):
    """Root of the mean square over the states of the batch, which here are one state with its own probes each."""
    return np.sqrt(np.mean(np.square(values), -1))


@pytest.mark.parametrize("solver", [BDIA(), BDIA(gamma=Fraction(1, 2)), OBELM(), EDICT()], ids=repr)
def test_probes_estimate_the_symplectic_defect(solver):
    """The steps against whole Jacobians, made of products with the Jacobian alone; the run against differences of the run."""
    one = Z[:1]
    whole = analysis.symplectic_defect(solver, array_model(curved), GRID, one.numpy(), jvp=array_jvp(curved))
    found = probed_defect(solver, curved, GRID, one.expand(400, 3).contiguous(), probes=4)
    size = np.sqrt(6) * np.abs(found.factors)  # of c Omega
    assert found.factors == pytest.approx(whole.factors) and list(found.slots) == list(whole.slots)
    # |A v|^2 has at most the relative variance 2, its root a quarter of that: 1600 probes spread by 0.018.
    assert np.all(np.abs(mean_square(found.steps) * size / whole.defects[:, 0] - 1) < 4 * 0.018)
    # The standard error is that of 4 probes, underestimated on average where they are few and skew.
    spread = np.std(found.steps[0])
    assert 0.6 < mean_square(found.step_errors[0]) / spread < 1.5

    begin, names, h = {}, solver.registers, 1e-6
    solve(solver, curved, GRID, one, callback=begin.setdefault)
    first = begin[found.slots[0]].registers
    flat = torch.cat([first[name] for name in names], 1)

    def run(x):
        given = {name: part.contiguous() for name, part in zip(names, x.split(3, 1), strict=True)}
        end = solve(solver, curved, GRID, one, given).state.registers
        return torch.cat([end[name] for name in names], 1)

    columns = [(run(flat + h * e) - run(flat - h * e)) / (2 * h) for e in torch.eye(6, dtype=torch.float64)]
    M, form = torch.cat(columns).numpy().T, np.kron([[0, 1], [-1, 0]], np.eye(3))
    c = np.prod(found.factors)
    defect = np.linalg.norm(M.T @ form @ M - c * form)
    assert abs(mean_square(found.run) * abs(c) * np.sqrt(6) / defect - 1) < 4 * 0.018


@pytest.mark.parametrize("solver", [BDIA(), OBELM()], ids=repr)
def test_probes_of_a_gradient_field_find_rounding_and_a_planted_curl_its_closed_form(solver):
    curl = torch.zeros(3, 3, dtype=torch.float64)
    curl[0, 1], curl[1, 0] = 0.1, -0.1
    mixing = (WEIGHT + WEIGHT.T) / 2
    grid = grids.uniform(SCHEDULE, 6, t_max=1.0, t_min=0.05)

    def gradient(z, t):  # that of sum(log cosh(W z)), W symmetric
        return torch.tanh(z @ mixing) @ mixing

    flat = probed_defect(solver, gradient, grid, Z)
    # Products of 2 x 3 numbers of size 1 a step; the run's are as large as what it amplifies, squared.
    amplified = growth(solver, gradient, grid, Z, iterations=20).total.max() ** 2
    eps = np.finfo(float).eps
    assert flat.steps.max() < 30 * eps and flat.run.max() < 30 * eps * amplified
    probes = Z[:1].expand(400, 3).contiguous()
    bent = probed_defect(solver, lambda z, t: gradient(z, t) + z @ curl.T, grid, probes, probes=4)
    a = grid.alpha[:-1] / grid.alpha[1:]
    b = grid.sigma[:-1] - grid.sigma[1:] * a  # slot i is entry i - 1
    i = bent.slots
    closed = np.abs(b[i - 1] / bent.factors - b[i] / a[i]) * np.linalg.norm(2 * curl) / np.sqrt(6)  # c = -gamma
    assert np.all(np.abs(mean_square(bent.steps) / closed - 1) < 4 * 0.018)


def test_what_probed_defects_refuse():
    with pytest.raises(ValueError, match="probes=1"):
        probed_defect(BDIA(), curved, GRID, Z, probes=1)
    with pytest.raises(ValueError, match="3 registers"):
        probed_defect(BDIA2(), curved, GRID, Z)
    with pytest.raises(NotInvertibleError):
        probed_defect(BDIA(0), curved, GRID, Z)


def test_what_growth_refuses():
    assert growth(DDIM(), curved, GRID, Z, iterations=2).total.shape == (2,)
    with pytest.raises(NotInvertibleError):
        growth(DDIM(), curved, GRID, Z, direction="invert")
    with pytest.raises(ValueError, match="iterations=1"):
        growth(BDIA(), curved, GRID, Z, iterations=1)
    with pytest.raises(ValueError, match="not finite"):
        growth(BDIA(), lambda z, t: z * 1e200, GRID, Z)


def differing(found):
    return {name: probe.differing for name, probe in found.probes.items() if probe.differing}


def test_a_model_that_looks_at_its_batch_is_found():
    six = torch.cat([Z, Z, Z])
    steady = repeatability(curved, six, 0.5)
    assert steady.exact and steady.largest == 0 and "differs" not in str(steady)
    assert {"the same call", "a batch of 1", "a batch of 2", "a batch of 4"} <= steady.probes.keys()

    def blocked(z, t):
        """A product in as many blocks as there are states, as BLAS has blocks of its own for every size."""
        return sum((z[:, k :: len(z)] * 0.3).sum(1, keepdim=True) for k in range(len(z))) * z

    found = repeatability(blocked, torch.randn(6, 200, generator=torch.Generator().manual_seed(0)))
    assert {"a batch of 1", "a batch of 2", "a batch of 4"} == differing(found).keys() and 0 < found.largest < 1e-5
    assert f"differs: a batch of 1 ({found.probes['a batch of 1'].differing} elements, by " in str(found)
    alone = repeatability(curved, Z[:1])
    assert alone.not_tried["a batch of 1"] == "z has a batch of 1: pass 2 states or more"


def test_a_model_that_draws_or_remembers_is_found():
    network = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.Dropout(0.5), torch.nn.Linear(64, 3)).double()
    model = lambda z, t: network(z)  # noqa: E731
    assert "the same call" in differing(repeatability(model, Z))
    network.eval()
    assert "the same call" not in differing(repeatability(model, Z))
    calls = []

    def moody(z, t):
        calls.append(1)
        return z + len(calls)

    assert repeatability(moody, Z).probes["the same call"].differing == Z.numel()
    kept = torch.empty_like(Z)
    found = repeatability(lambda z, t: kept[: len(z)].copy_(moody(z, t)), Z)
    assert found.probes["the same call"].differing == Z.numel()


def test_a_model_that_looks_at_its_kernels_is_found():
    def bent(z, t):
        return z + 1e-9 * z.is_contiguous() + 1e-8 * torch.backends.mkldnn.enabled + 1e-7 * torch.get_num_threads()

    z = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    found = repeatability(bent, z, others={"another": lambda z, t: bent(z, t) + (z == z[0, 0, 0, 0])})
    assert differing(found) == {"channels_last": 96, "2 threads": 96, "without oneDNN": 96, "another": 1}
    size = float(z.square().mean().sqrt())
    assert abs(found.probes["2 threads"].largest * size / 1e-7 - 1) < 1e-6
    assert torch.backends.mkldnn.enabled and torch.get_num_threads() == 1
    assert found.not_tried["with TF32"] == "the states are on cpu"
    assert "pass the network's module" in found.not_tried["on another device"]


def test_kernels_of_attention_are_switched():
    found = repeatability(
        lambda z, t: torch.nn.functional.scaled_dot_product_attention(z, z, z), torch.randn(2, 2, 32, 16)
    )
    both = {"attention by MATH", "attention by FLASH_ATTENTION"}
    assert both <= found.probes.keys() and both & differing(found).keys()  # of these the usual one is one
    assert "No viable backend" in found.not_tried["attention by CUDNN_ATTENTION"]


def test_a_network_that_is_moved_comes_back():
    class Travelled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.places = torch.nn.Parameter(torch.ones(1)), []

        def to(self, device):
            self.places.append(str(device))
            return super().to("cpu")

        def forward(self, z, t):
            return z * self.weight + 1e-3 * (self.places[-1:] == ["cpu:0"])

    network = Travelled()
    found = repeatability(network, Z, device="cpu:0")
    assert differing(found) == {"on cpu:0": Z.numel()} and network.places == ["cpu:0", "cpu"]
    assert found.not_tried["offloaded to the CPU and back"] == "the states are on cpu"
    assert "none was named" in repeatability(network, Z).not_tried["on another device"]
    model = NetworkModel(Labelled(), conditions={"class_labels": torch.ones(2)})
    assert repeatability(model, Z, device="xla").not_tried["on xla"].startswith("it raises ")


class Labelled(torch.nn.Module):
    def forward(self, z, t, class_labels, added=None):
        assert len(z) == len(class_labels) and (added is None or added["shared"].shape == (7,))
        return torch.tanh(z) * class_labels[:, None] + (0 if added is None else added["ids"])


def test_conditions_are_divided_with_the_batch():
    """Of a network with one label a state, some of them by name, in both branches of guidance; and of a bare module."""
    z, labels = torch.randn(4, 3), {"class_labels": torch.arange(4.0)}
    model = NetworkModel(Labelled(), conditions=labels | {"added": {"ids": torch.ones(4, 3), "shared": torch.ones(7)}})
    for one in (model, NetworkModel(Labelled(), conditions=labels, unconditional=labels, guidance=2.0)):
        found = repeatability(one, z)
        assert found.exact and {"a batch of 1", "a batch of 2"} <= found.probes.keys()

    class Looking(torch.nn.Module):
        def forward(self, z, t):
            return z + z.mean()

    assert differing(repeatability(Looking(), z)) == {"a batch of 1": 3, "a batch of 2": 6}


def test_round_trips_in_four_dtypes():
    solvers = {"BDIA": BDIA(), "EDICT": EDICT()}
    rows = trips(lambda dtype, g: lambda z, t: curved(z, t) * g, solvers, [GRID], Z, guidances=(1.0, 2.0))
    assert len(rows) == 2 * 2 * 4 and all(row["status"] == "ok" for row in rows)
    errors = {(row["dtype"], row["guidance"]): row["error"] for row in rows if row["solver"] == "BDIA"}
    for g in (1.0, 2.0):
        assert errors["bfloat16", g] > errors["float16", g] > errors["float32", g] > errors["float64", g] > 0
        assert errors["float64", g] < 1e-6 * errors["float32", g]  # their unit roundoffs are 2^29 = 5e8 apart
    bad = trips(lambda dtype, g: lambda z, t: z * 1e30, {"BDIA": BDIA()}, [GRID], Z, dtypes=[torch.float32])
    assert bad[0]["status"] != "ok" and np.isnan(bad[0]["error"])


def test_expected_round_trips_of_tensors():
    """On the law that the expectation assumes; independent roundings are its model, and at gamma = 1 they undo each other in part."""
    grid = grids.uniform(SCHEDULE, 20, t_min=0.01)
    z = torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    solvers = {"1": BDIA(), "0.9": BDIA(Fraction(9, 10)), "0.7": BDIA(Fraction(7, 10)), "EDICT": EDICT()}
    # The exact eps of a unit Gaussian, asked in float64 as a network of a wider dtype is.
    rows = trips(lambda dtype, g: lambda z, t: (z.double() * float(SCHEDULE.sigma(t))).to(z.dtype), solvers, [grid], z)
    for row in rows:
        undone = row["solver"] == "1" and row["dtype"] in ("float16", "bfloat16")
        assert (0 if undone else 1 / 3) <= row["error"] / row["predicted"] < (0.2 if undone else 2), row
    # Rounding of coefficients to 16 bits, as NumPy's arithmetic has it, is not a part of it: with it EDICT would lose twice as much.
    both = analysis.round_trip_error(EDICT(), grid)
    assert both.tensors["float16"] < both.errors["float16"] / 2
    assert both.tensors["float32"] == both.errors["float32"]
    assert 7.9 < both.tensors["bfloat16"] / both.tensors["float16"] <= 8


def test_the_page_shows_what_was_kept():
    folder = Path(__file__).resolve().parent.parent / "docs" / "findings"
    rows = json.loads((folder / "network-round-trips.json").read_text(encoding="utf-8"))["round_trips"]
    assert len(rows) == 3 * 2 * 4 * len(SOLVERS)
    page = (folder / "network-growth.md").read_text(encoding="utf-8")
    assert f"\n{markdown(rows)}\n" in page, "run bdia pages network-growth"


@pytest.mark.parametrize("solver", [BDIA(), BDIA(gamma=Fraction(9, 10)), EDICT(p=Fraction(93, 100))], ids=repr)
def test_not_a_bit_differs_both_ways(solver):
    found = bits(solver, curved, GRID, Z)
    assert found["from_noise"] == found["from_data"] == 0 and not found["unsteady"] and found["distance"] < 1e-9


@pytest.mark.slow
def test_a_real_u_net():
    pytest.importorskip("diffusers")
    from bdia_numerics.torch import load

    z = torch.randn(1, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = load(dtype=torch.float64).model([3])
    v, h = torch.randn_like(z), 1e-4
    at = linearised(model, z, 500)
    with torch.no_grad():
        one, two = (model(z + k * h * v, 500) - model(z - k * h * v, 500) for k in (1, 2))
    assert torch.allclose(at.push(v), (8 * one - two) / (12 * h), rtol=0, atol=1e-8)
    grid = grids.uniform(schedules.ddpm_linear(), 4)
    found = bits(BDIA(), model, grid, z)
    assert found["from_noise"] == found["from_data"] == 0
    defect, (t, at) = probed_defect(BDIA(), model, grid, z, probes=4), (grid.t[grid.n - 1], [])
    solve(BDIA(), model, grid, z, callback=lambda i, state: at.append((i, state.registers["z"].clone())))
    (place,) = [x for i, x in at if i == grid.n - 1]
    curl = analysis.asymmetry(array_model(model), place.numpy(), t, axes=3, jvp=array_jvp(model), probes=32)
    a, b = (grid.alpha[:-1] / grid.alpha[1:], grid.sigma[:-1] - grid.sigma[1:] * grid.alpha[:-1] / grid.alpha[1:])
    factor = abs(b[grid.n - 2] + b[grid.n - 1] / a[grid.n - 1]) * 2 / np.sqrt(2 * z.numel())
    errors = np.hypot(defect.step_errors[0, 0], curl.standard_error * factor)
    assert abs(defect.steps[0, 0] - curl.norm * factor) < 4 * errors < defect.steps[0, 0]
    grown = growth(BDIA(), model, grid, z, iterations=3)
    assert np.all(np.isfinite(grown.total)) and np.all(grown.total > 0)


def test_the_command(tmp_path, capsys):
    diffusers = pytest.importorskip("diffusers")
    from typer.testing import CliRunner

    from bdia_numerics.cli import app
    from bdia_numerics.cli.unet import lines_of_growth, print_trips

    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8,), norm_num_groups=4,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), attention_head_dim=8,
    )  # fmt: skip
    network.save_pretrained(tmp_path)
    diffusers.DDIMScheduler(clip_sample=False).save_pretrained(tmp_path / "scheduler")
    arguments = ["unet", "growth", str(tmp_path), "--steps", "3", "--iterations", "2"]
    figure = tmp_path / "growth.svg"
    printed = CliRunner().invoke(app, [*arguments, "--round-trips", "2", "--figure", str(figure), "--json"]).stdout
    found = json.loads(printed)
    assert found["bits"]["from_noise"] == found["bits"]["from_data"] == 0
    assert len(found["trips"]) == 4 and found["sample"]["total"][0] > 1 and found["asymmetry"][0]["relative"] > 0
    assert len(found["symplectic"]["steps"]) == 2 and found["symplectic"]["run"][0] > 0
    assert len(found["round_trips"]) == 4 * len(SOLVERS) and figure.read_text(encoding="utf-8").startswith("<?xml")
    print_trips(found["round_trips"])  # below the lines, what is printed without --json
    text = "\n".join([*lines_of_growth(found), capsys.readouterr().out])
    assert "bits that differ on the lattice: 0 from noise and back, 0 from data and back" in text
    assert "float32 outputs of one input: " in text and "the same: the same call" in text
    assert (
        "symplectic defect, relative to" in text
        and "invert: a per" in text
        and "EDICT(p=93/100)" in text
        and "bfloat16" in text
    )
    for given in ("ten", "10,1"):
        wrong = CliRunner().invoke(app, [*arguments, "--round-trips", given])
        assert wrong.exit_code == 2 and f"--round-trips={given}" in wrong.output
    wrong = CliRunner().invoke(app, [*arguments, "--count", "1"])
    assert wrong.exit_code == 2 and "--count=1" in wrong.output
