"""What is wrong with states, networks, files and schedulers is said in one line: the argument, its value, the remedy."""

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from typer.testing import CliRunner  # noqa: E402

from bdia_numerics import BDIA, grids, schedules, solve  # noqa: E402
from bdia_numerics.cli import app  # noqa: E402
from bdia_numerics.torch import load, schedulers  # noqa: E402
from bdia_numerics.torch.networks import folders  # noqa: E402
from bdia_numerics.torch.networks.loading import Loaded  # noqa: E402
from bdia_numerics.torch.networks.models import NetworkModel, doubt  # noqa: E402

torch.set_num_threads(1)
GRID = grids.from_timesteps(schedules.ddpm_linear(), [999, 700, 400, 100, 1])


def tiny(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, attention_head_dim=8, **options,
    ).eval()  # fmt: skip


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


PLAIN, LABELLED, Z = tiny(), tiny(num_class_embeds=3), draw(2, 1, 8, 8)


def refused(kind, words, call):
    with pytest.raises(kind, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def of_labels(*labels, device="cpu"):
    return NetworkModel(LABELLED, conditions={"class_labels": torch.tensor(labels, device=device)})


@pytest.mark.parametrize(
    ("model", "z", "kind", "words"),
    [
        (NetworkModel(PLAIN), Z[0], ValueError, r"z has shape \(1, 8, 8\), the network takes \(batch, 1, height, width\)"),
        (NetworkModel(PLAIN), draw(2, 3, 8, 8), ValueError, r"z has shape \(2, 3, 8, 8\), the network takes"),
        (NetworkModel(PLAIN), draw(2, 1, 7, 7), ValueError, r"z of shape \(2, 1, 7, 7\), float32 on cpu.*of size 8"),
        (NetworkModel(PLAIN), Z.numpy(), TypeError, "z is a numpy.ndarray: pass a tensor"),
        (NetworkModel(PLAIN), Z.int(), TypeError, "int32 is not a real float"),
        (NetworkModel(PLAIN), Z.to("meta"), ValueError, r"z is on meta, the network on cpu: move one, such as z.to\(device\)"),
        (NetworkModel(tiny().to("meta")), Z, ValueError, "z is on cpu, the network on meta"),
        (of_labels(0, 1, device="meta"), Z, ValueError, "class_labels is on meta, z on cpu: move one"),
        (of_labels(0, 1, 2), Z, ValueError, r"class_labels has shape \(3,\).*one entry of class_labels a state, 2 of them"),
        (of_labels(0, 7), Z, ValueError, "with class_labels .*: pass labels that it has"),
        (NetworkModel(LABELLED), Z, ValueError, "class_labels should be provided.*: pass it in conditions="),
        (NetworkModel(PLAIN, conditions={"class_labels": torch.tensor([0, 1])}), Z, ValueError, "leave out of conditions"),
        (NetworkModel(PLAIN, conditions={"colour": 1}), Z, ValueError, "with colour .*unexpected keyword.*leave out of conditions"),
        (NetworkModel(PLAIN.forward), Z.double(), ValueError, "float64 on cpu.*: pass network_dtype="),
        (PLAIN, Z, TypeError, r"model\(z, t=999.0\) is a UNet2DOutput: wrap the network in .*NetworkModel"),
        (lambda z, t: z.double(), Z, TypeError, "float64 tensors on cpu, the run in float32"),
    ],
)  # fmt: skip
def test_states_that_a_network_cannot_take(model, z, kind, words):
    refused(kind, words, lambda: solve(BDIA(), model, GRID, z))


def test_tensors_without_memory_of_their_own():
    def run(z):
        return solve(BDIA(), lambda z, t: z / 3, GRID, z).z

    refused(TypeError, "z is a sparse or nested tensor: pass z.to_dense", lambda: run(torch.eye(3).to_sparse()))
    refused(
        TypeError, "z is a sparse or nested", lambda: run(torch.nested.nested_tensor([Z, Z[:1]], layout=torch.jagged))
    )
    for transform in (torch.func.vmap(run), torch.func.grad(lambda z: run(z).sum())):
        refused(TypeError, "z stands in a transform of torch.func: use torch.autograd", lambda f=transform: f(Z))


@pytest.mark.parametrize("weights", [torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("states", [torch.float16, torch.float32, torch.float64], ids=str)
def test_dtypes_of_states_and_weights_may_differ(states, weights):
    """The network is asked in its own dtype and the run is in that of its states, which a user may rely on."""
    network, z = Loaded(tiny(), GRID.schedule, "eps").to(weights).network, Z.to(states)
    found = solve(BDIA(), NetworkModel(network), GRID, z)
    by_hand = solve(BDIA(), lambda z, t: network(z.to(weights), int(t)).sample.detach().to(z.dtype), GRID, z)
    assert found.status.ok and found.z.dtype == states and torch.equal(found.z, by_hand.z)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"guidance": float("nan"), "unconditional": {}}, ValueError, "guidance=nan is not finite"),
        ({"guidance": "2", "unconditional": {}}, TypeError, "guidance='2' is not a number"),
        ({"autocast": "float16"}, TypeError, "autocast='float16' is not a float dtype of torch"),
        ({"state_dtype": torch.int32}, TypeError, "state_dtype=torch.int32 is not a float dtype"),
    ],
)
def test_options_of_a_model(options, kind, words):
    refused(kind, words, lambda: NetworkModel(PLAIN, **options))


@pytest.mark.parametrize(
    ("network", "null", "call", "kind", "words"),
    [
        (PLAIN, None, lambda n: n.model(guidance=3.0), ValueError, "guidance=3.0 .*takes no labels: leave guidance at 1, or pass"),
        (LABELLED, None, lambda n: n.model([0], guidance=3.0), ValueError, "no null label is known.*record null_label in model_card.json"),
        (LABELLED, None, lambda n: n.model(), ValueError, "labels=None: this network is conditional, pass one label an image$"),
        (LABELLED, 2, lambda n: n.model([0.5]), TypeError, r"labels=\[0.5\] are not a list of ints"),
        (LABELLED, 2, lambda n: n.model(["a"]), TypeError, r"labels=\['a'\] are not ints"),
        (LABELLED, 2, lambda n: n.model([3]), ValueError, r"labels=\[3\]: this network has the labels 0 to 2"),
        (PLAIN, None, lambda n: n.model([3]), ValueError, r"labels=\[3\]: this network takes no labels, leave them out"),
        (PLAIN, None, lambda n: n.to("cuda:77"), ValueError, "device='cuda:77': the network cannot be put there .*such as 'cpu'"),
    ],
)  # fmt: skip
def test_what_a_loaded_network_refuses(network, null, call, kind, words):
    refused(kind, words, lambda: call(Loaded(network, schedules.ddpm_linear(), "eps", null_label=null)))


@pytest.mark.parametrize("dtype", ["float16", torch.int32])
def test_dtypes_that_are_none(dtype):
    refused(TypeError, "is not a float dtype of torch", lambda: load(dtype=dtype))


CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("2.00 GiB.\nmore"), RuntimeError(CPU), MemoryError()], ids=repr
)
def test_out_of_memory_advises(error):
    def hungry(z, t):
        raise error

    refused(torch.OutOfMemoryError, "batch of 2: pass fewer states at a time", lambda: NetworkModel(hungry)(Z, 1))


def test_not_a_number_in_half_precision_names_slot_register_and_remedy():
    found = solve(BDIA(), NetworkModel(lambda z, t: z * 1e4), GRID, Z.half())
    assert (found.status.slot, found.status.register) == (4, "z")
    assert str(found.status).endswith("after slot i=4: float16 ends at 65504, use bfloat16 or float32 states")
    wide = solve(BDIA(), NetworkModel(lambda z, t: z * 1e38), GRID, Z)
    assert str(wide.status) == "register z is not finite after slot i=4"


def looped(scheduler, predict, z, steps=5):
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        z = scheduler.step(predict(z, t), t, z).prev_sample
    return z


def empty(z, t):
    return z * float("nan") if t < 500 else 0 * z


@pytest.mark.parametrize("name", ["BDIA", "EDICT", "OBELM", "BDIAInverse"])
def test_schedulers_say_where_a_run_is_not_finite(name):
    """Whether the model's output was NaN or the registers overflowed decides what helps; either is said once."""
    scheduler = getattr(schedulers, f"{name}Scheduler")()
    words = r"timestep=\d+: register [xyz]\w* is not finite after slot i=\d, the model's output is not: "
    with pytest.warns(UserWarning, match=words + "check its weights") as said:
        looped(scheduler, empty, Z)
    assert len(said) == 1 and not scheduler.status.ok
    with pytest.warns(UserWarning, match=words + "run it in bfloat16 or float32"):
        looped(scheduler, empty, Z.half())
    if name == "BDIA":

        def large(z, t):
            return torch.full_like(z, 2e4 if t > 700 else -2e4)

        # Registers in float64 hold it; rounded to the latents it is too large.
        words = (
            "timestep=600: prev_sample is not finite, float16 ends at 65504: run the pipeline in bfloat16 or float32"
        )
        with pytest.warns(UserWarning, match=words) as said:
            looped(scheduler, large, Z.half())
        assert len(said) == 1
        narrow = schedulers.BDIAScheduler(state_dtype="float16")
        words = r"timestep=600: .* i=4, float16 ends at 65504: pass state_dtype='float64'"
        with pytest.warns(UserWarning, match=words) as said:
            looped(narrow, large, Z.half())
        assert len(said) == 1 and not narrow.status.ok
    looped(scheduler, lambda z, t: 0 * z, Z)  # it is forgotten with the run
    assert scheduler.status.ok


def test_gamma_0_says_it_of_every_step():
    scheduler = schedulers.BDIAScheduler(gamma=0.0)
    with pytest.warns(
        UserWarning, match="timestep=0: prev_sample is not finite, the model's output is not: run it in bfloat16"
    ):
        looped(scheduler, lambda z, t: z * (float("nan") if t == 0 else 0), Z.half())


def test_configurations_of_distilled_models_are_refused():
    other = diffusers.CMStochasticIterativeScheduler()
    refused(ValueError, "CMStochasticIterativeScheduler", lambda: schedulers.BDIAScheduler.from_config(other.config))


def test_outputs_on_another_device():
    scheduler = schedulers.BDIAScheduler()
    scheduler.set_timesteps(5)
    refused(ValueError, "model_output is on meta, sample on cpu", lambda: scheduler.step(Z.to("meta"), 800, Z))


@pytest.fixture
def folder(tmp_path):
    """Return what makes a copy of the shipped network with another configuration of its scheduler."""

    def make(name="network", **config):
        shutil.copytree(folders.UNET, tmp_path / name)
        path = tmp_path / name / "scheduler" / "scheduler_config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | config), encoding="utf-8")
        return tmp_path / name

    return make


def test_the_null_label_is_read_from_a_folder(folder):
    by_path, shipped = load(folder()), load()
    assert by_path.null_label == shipped.null_label == 10 and by_path.labels == 10 and by_path.data == "mnist"
    z, y = draw(2, 1, 28, 28), [3, 1]
    guided = by_path.model(y, guidance=2.0)(z, 500)
    one, two = (by_path.network(z, 500, class_labels=torch.tensor(labels)).sample for labels in (y, [10, 10]))
    assert torch.equal(guided, shipped.model(y, guidance=2.0)(z, 500))
    # One batch of four and two of two are rounded in another order.
    assert torch.allclose(guided, two + 2 * (one - two), atol=1e-4)
    in_config = folder("other")
    (in_config / "model_card.json").unlink()
    assert load(in_config).null_label is None
    written = json.loads((in_config / "config.json").read_text(encoding="utf-8"))
    (in_config / "config.json").write_text(json.dumps(written | {"null_label": 4}), encoding="utf-8")
    again = load(in_config)
    assert again.null_label == 4 and again.labels == 11 and again.recognised(z, y) is None


def test_a_prediction_that_the_output_contradicts(folder):
    """A trained network of eps returns its input where alpha is near 0; one of v or x0 does not."""
    grid, z = load().grid(4, "trailing"), draw(2, 1, 28, 28)
    right = load().model([3, 1])
    assert doubt(right, grid, z) is None
    for kind, config in (("v", "v_prediction"), ("x0", "sample")):
        wrong = load(folder(kind, prediction_type=config)).model([3, 1])
        words = f"prediction_type='{config}', but at t=999.*set prediction_type to 'epsilon'"
        refused(ValueError, words, lambda m=wrong: doubt(m, grid, z))
    # What has v = -x0 there, and what is not trained.
    honest = NetworkModel(lambda z, t: 0 * z - 1, prediction="v")
    assert doubt(honest, grid, z) is None
    assert "is not trained, or predicts something else" in doubt(NetworkModel(PLAIN), grid, z)
    assert doubt(right, GRID[:1], z) is None  # which begins where alpha is near 1
    scheduler = schedulers.BDIAScheduler(prediction_type="v_prediction", timestep_spacing="trailing")
    with pytest.warns(UserWarning, match="prediction_type='v_prediction', but at t=999") as said:
        looped(scheduler, right, z, steps=3)
    assert len(said) == 1
    looped(schedulers.BDIAScheduler(timestep_spacing="trailing"), right, z, steps=3)


def invoked(*words):
    return CliRunner().invoke(app, ["unet", *map(str, words), "--count", "2", "--steps", "4", "--fine", "0"])


def test_the_command_warns_of_clipping(folder, tmp_path):
    found = invoked(folder(clip_sample=True), "--figure", tmp_path / "x.png", "--json")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert len(said["warnings"]) == 1 and "clip_sample=True" in said["warnings"][0] and said["spacing"] == "trailing"
    assert found.stderr.startswith("bdia: warning: clip_sample=True in scheduler_config.json is not applied")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        ({"prediction_type": "v_prediction"}, (), "set prediction_type to 'epsilon'"),
        (None, ("--device", "cuda:77"), "device='cuda:77': the network cannot be put there"),
        (None, ("--figure", "none/x.png"), "--figure=none/x.png: there is not a folder"),
        (None, ("--labels", "11"), "this network has the labels 0 to 10"),
        (None, ("--guidance", "nan"), "guidance=nan is not a number"),
        ("cut", (), "safetensors is truncated or corrupt"),
        ("no card", ("--guidance", "2"), "no null label is known"),
        ("edm.pkl", (), "opening it runs the code in it: pass --trust-pickle if you trust its author"),
        ("edm.pkl", ("--trust-pickle",), "is not a readable pickle"),
    ],
)
def test_the_command_refuses_in_one_line(folder, tmp_path, make, options, words):
    path = [] if make is None else [folder(**make) if isinstance(make, dict) else folder(make)]
    if make == "cut":
        weights = path[0] / "diffusion_pytorch_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100_000])
    elif make == "no card":
        (path[0] / "model_card.json").unlink()
    elif make == "edm.pkl":
        path = [tmp_path / "other.pkl"]
        path[0].write_bytes(b"junk")
    output = () if "--figure" in options else ("--figure", tmp_path / "x.png")
    found = invoked(*path, *options, *output)
    lines = [line for line in found.stderr.splitlines() if "warning: other.pkl is a pickle" not in line]
    assert found.exit_code == 2 and found.stdout == "", found.output
    assert len(lines) == 1 and words in lines[0] and not (tmp_path / "x.png").exists()


def test_the_command_out_of_memory(monkeypatch, tmp_path):
    def hungry(*arguments, **options):
        raise RuntimeError(CPU)

    monkeypatch.setattr(diffusers.UNet2DModel, "forward", hungry)
    found = invoked("--figure", tmp_path / "x.png")
    # Guidance, the default, asks for both images twice: under their labels and under none.
    assert (
        found.exit_code == 2 and "batch of 4: pass a smaller --count" in found.stderr and found.stderr.count("\n") == 1
    )


def test_a_name_of_the_hub(monkeypatch, tmp_path):
    """A cache as the hub's client lays it out, without a network: what is asked of it, and what an absent one says."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0" * 40
    kept = tmp_path / "models--someone--digits"
    shutil.copytree(folders.UNET, kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit, encoding="utf-8")
    found = load("someone/digits")
    assert found.null_label == 10 and found.shape == (1, 28, 28)
    z = draw(1, 1, 28, 28)
    assert torch.equal(found.model([3])(z, 10), load().model([3])(z, 10))
    refused(
        ValueError,
        "source='someone/else' is not a folder here, and the hub cannot be reached",
        lambda: load("someone/else"),
    )
    refused(ValueError, "source='a/b/c' is neither a folder here nor a repository", lambda: load("a/b/c"))


def test_what_is_downloaded_of_a_pipeline(monkeypatch, tmp_path):
    """The weights of the part that is wanted, in safetensors, and JSON: no text encoder, no pickle, no second precision."""
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    asked = []

    def download(name, *, allow_patterns):
        asked.append((name, allow_patterns))
        return str(folders.UNET)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    load("someone/pipeline")
    ((name, patterns),) = asked
    there = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"]
    there += ["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model-00001-of-00002.safetensors"]
    other = [
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model.safetensors",
    ]
    other += ["vae/diffusion_pytorch_model.safetensors", "model.ckpt"]
    assert name == "someone/pipeline" and list(filter_repo_objects(there + other, allow_patterns=patterns)) == there


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors")
def test_masked_tensors_are_refused():
    masked = torch.masked.masked_tensor(torch.ones(2, 2), torch.tensor([[True, False], [True, True]]))
    grid = grids.uniform(schedules.vp_linear(), 4)
    with pytest.raises(TypeError, match="z is a MaskedTensor, whose mask a run would lose"):
        solve(BDIA(), lambda z, t: z, grid, masked)
    with pytest.raises(TypeError, match="MaskedTensor"):
        solve(BDIA(), lambda z, t: masked, grid, torch.ones(2, 2))
