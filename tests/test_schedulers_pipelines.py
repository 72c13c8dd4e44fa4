"""DDIMPipeline and StableDiffusionPipeline, of random weights, with each scheduler and back through its inverse."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from diffusers import DDIMPipeline, DDIMScheduler, UNet2DConditionModel, UNet2DModel  # noqa: E402

from bdia_numerics.torch import schedulers  # noqa: E402

pytestmark = pytest.mark.filterwarnings(r"ignore:OBELM\(.*\) on these 5 slots multiplies errors by")
torch.set_num_threads(1)
EMBEDS = ("prompt_embeds", "negative_prompt_embeds")
NAMES = ("BDIA", "EDICT", "CBDIA", "OBELM")
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
STABLE |= {"set_alpha_to_one": False, "clip_sample": False}
PAGE = Path(__file__).resolve().parent.parent / "docs" / "diffusers.md"
DTYPES = (torch.float64, torch.float32)
# Five slots of a network whose sums are rounded in another order nowhere: what is left is the run's own rounding, times 1/alpha = 10.
MULTIPLE = 1000


def pair(name):
    return tuple(getattr(schedulers, f"{name}{way}Scheduler").from_config(STABLE) for way in ("", "Inverse"))


def unet(dtype):
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    ).to(dtype).eval()  # fmt: skip


@torch.no_grad()
def loop(scheduler, network, z):
    for t in scheduler.timesteps:
        z = scheduler.step(network(scheduler.scale_model_input(z, t), t).sample, t, z).prev_sample
    return z


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_ddim_pipeline(name, dtype):
    sampler, inverse = pair(name)
    pipe = DDIMPipeline(unet(dtype), DDIMScheduler(**STABLE))
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = sampler  # the pipeline's own __init__ makes a DDIMScheduler of whatever it is given
    shown = pipe(batch_size=2, generator=torch.manual_seed(1), num_inference_steps=5, output_type="pt").images
    noise = torch.randn(2, 3, 8, 8, generator=torch.manual_seed(1), dtype=dtype)
    sampler.set_timesteps(5)
    x = loop(sampler, pipe.unet, noise)
    assert torch.equal(shown, (x / 2 + 0.5).clamp(0, 1)) and x.isfinite().all()
    inverse.set_timesteps(5)
    z = loop(inverse, pipe.unet, x)
    sampler.start_from(inverse.state)
    sampler.set_timesteps(5)
    back = loop(sampler, pipe.unet, z)
    assert float(abs(back - x).max()) < MULTIPLE * torch.finfo(dtype).eps * float(abs(x).max())


@pytest.fixture(scope="module")
def stable():
    pytest.importorskip("transformers", reason="StableDiffusionPipeline needs transformers")
    from diffusers import AutoencoderKL, StableDiffusionPipeline

    torch.manual_seed(0)
    network = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8, attention_head_dim=4,
    )  # fmt: skip
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)
    pipe = StableDiffusionPipeline(
        vae, None, None, network, DDIMScheduler(**STABLE), None, None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


# Each two of a solver, a dtype and a guidance meet.
@pytest.mark.parametrize(
    ("name", "dtype", "guidance"),
    [(name, DTYPES[(k + m) % 2], (1.0, 3.0)[m]) for k, name in enumerate(NAMES) for m in (0, 1)],
    ids=str,
)
def test_stable_diffusion_pipeline(stable, name, dtype, guidance):
    """There and back through the pipeline itself, guided too, where the register is handed out for both branches."""
    stable.unet.to(dtype)
    embeds, none = (torch.randn(1, 5, 8, generator=torch.manual_seed(k), dtype=dtype) for k in (2, 3))

    def run(scheduler, latents):
        stable.scheduler = scheduler
        return stable(
            prompt_embeds=embeds, negative_prompt_embeds=none, latents=latents, num_inference_steps=5,
            guidance_scale=guidance, output_type="latent",
        ).images  # fmt: skip

    sampler, inverse = pair(name)
    x = run(sampler, torch.randn(1, 4, 8, 8, generator=torch.manual_seed(1), dtype=dtype))
    z = run(inverse, x)
    sampler.start_from(inverse.state)
    back = run(sampler, z)
    assert x.dtype == dtype and float(abs(back - x).max()) < MULTIPLE * torch.finfo(dtype).eps * float(abs(x).max())


CASES = [("BDIA", {"gamma": 0.92}, "float16"), ("OBELM", {}, "float32")]
KINDS = [*[(n, own) for n, own, _ in CASES], ("BDIA", {}), ("BDIA", {"gamma": 0.96}), ("EDICT", {})]
OTHERS = [(*kind, w) for kind in KINDS for w in ("float32", "bfloat16", "float16") if (*kind, w) not in CASES]


def guided_trip(pipe, schedulers_of_both_ways, latents, steps=50, monkeypatch=None):
    """Go one way and back with guidance 7.5, the network seeing latents of their dtype; its own sums are those of float32, for speed."""
    forward = pipe.unet.forward

    def rounded(sample, *args, **kwargs):
        return (forward(sample.float(), *args, **kwargs)[0].to(sample.dtype),)

    monkeypatch.setattr(pipe.unet, "forward", rounded)
    embeds, none = (torch.randn(1, 5, 8, generator=torch.manual_seed(k)) for k in (2, 3))

    def run(scheduler, z):
        pipe.scheduler = scheduler
        return pipe(
            prompt_embeds=embeds, negative_prompt_embeds=none, latents=z, num_inference_steps=steps, guidance_scale=7.5,
            output_type="latent", num_images_per_prompt=len(z),
        ).images  # fmt: skip

    there, back = schedulers_of_both_ways
    z = run(there, latents)
    back.start_from(there.state)
    return z, run(back, z)


# Of O-BELM in float32 one of some twenty runs is expected to lose a bit, which is said.
@pytest.mark.filterwarnings("ignore:OBELM.* on these 50 slots. expect an error in one of")
@pytest.mark.parametrize(
    ("name", "own", "dtype"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS)]
)
def test_no_element_differs_after_a_guided_round_trip(stable, monkeypatch, name, own, dtype):
    """Registers are float64 unless told otherwise: rounded to the latents they are alike both ways, and nothing is warned of."""
    both = [getattr(schedulers, f"{name}{way}Scheduler").from_config(STABLE, **own) for way in ("", "Inverse")]
    stable.unet.to(torch.float32)
    noise = torch.randn(1, 4, 32, 32, generator=torch.manual_seed(1)).to(getattr(torch, dtype))
    x, back = guided_trip(stable, both, noise, monkeypatch=monkeypatch)
    assert x.dtype == back.dtype == noise.dtype and x.isfinite().all() and not torch.equal(x, noise)
    assert back.numel() == 4096 and int((back != noise).sum()) == 0


def test_a_round_trip_that_does_not_return_is_said_before(stable, monkeypatch):
    """gamma = 0.5 multiplies roundings by 7e15 in 50 steps. A network loses more than what is said: guidance makes its slopes large."""
    both = [getattr(schedulers, f"BDIA{way}Scheduler").from_config(STABLE, gamma=0.5) for way in ("", "Inverse")]
    stable.unet.to(torch.float32)
    noise = torch.randn(1, 4, 32, 32, generator=torch.manual_seed(1))
    with pytest.warns(UserWarning, match="expect an error of .* take gamma nearer to 1, or fewer steps") as said:
        _, back = guided_trip(stable, both, noise, monkeypatch=monkeypatch)
    expected = float(re.search(r"an error of (\S+) or more", str(said[0].message))[1])
    found = float((back - noise).square().mean().sqrt())
    assert len(said) == 1 and expected > 1 and expected / 3 < found < 300 * expected


def test_a_state_of_one_image_serves_more(stable, monkeypatch):
    """Three images from the State of one, each the same; what the other batch costs is said, and is what is lost."""
    sampler, inverse = (getattr(schedulers, f"BDIA{way}Scheduler").from_config(STABLE) for way in ("", "Inverse"))
    stable.unet.to(torch.float32)
    x = torch.randn(1, 4, 8, 8, generator=torch.manual_seed(1))
    z, back = guided_trip(stable, (inverse, sampler), x, steps=5, monkeypatch=monkeypatch)
    assert torch.equal(back, x)
    stable.scheduler = sampler
    embeds, none = (torch.randn(1, 5, 8, generator=torch.manual_seed(k)) for k in (2, 3))
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": none, "guidance_scale": 7.5, "output_type": "latent"}
    with pytest.warns(UserWarning, match="the state has a batch of 1, this run one of 3.*expect an error of .e-0"):
        three = stable(**given, latents=z.repeat(3, 1, 1, 1), num_images_per_prompt=3, num_inference_steps=5).images
    assert three.shape == (3, 4, 8, 8) and float(abs(three - x).max()) < 1e-3


FRESH = """
import sys
import torch
from diffusers import DiffusionPipeline

folder = sys.argv[1]
absent = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
try:
    DiffusionPipeline.from_pretrained(folder, **absent)
    raise SystemExit("loaded without the import")
except ValueError as error:
    assert "import bdia_numerics.torch.schedulers before calling" in str(error), error
import bdia_numerics.torch.schedulers

pipe = DiffusionPipeline.from_pretrained(folder, **absent)
given = torch.load(f"{folder}/given.pt")
torch.save(pipe(**given, num_inference_steps=2, output_type="latent").images, f"{folder}/images.pt")
print(type(pipe.scheduler).__name__, pipe.scheduler.solver)
"""


def test_a_saved_pipeline_is_loaded(stable, tmp_path):
    """diffusers looks for its own base class in the module that model_index.json names."""
    absent = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    stable.unet.to(torch.float32)
    stable.scheduler = schedulers.BDIAScheduler.from_config(STABLE)
    stable.save_pretrained(tmp_path)
    found = diffusers.DiffusionPipeline.from_pretrained(tmp_path, **absent)
    assert type(found.scheduler) is schedulers.BDIAScheduler
    assert found.scheduler.solver == stable.scheduler.solver
    weights = dict(stable.unet.named_parameters())
    assert all(torch.equal(weights[name], value) for name, value in found.unet.named_parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BDIA", "EDICTInverse"])
def test_a_saved_pipeline_is_loaded_in_another_process(stable, tmp_path, name):
    """After one import, which diffusers itself asks for; the same images come out."""
    stable.unet.to(torch.float32)
    stable.scheduler = getattr(schedulers, f"{name}Scheduler").from_config(STABLE)
    stable.save_pretrained(tmp_path)
    given = {key: torch.randn(1, 5, 8, generator=torch.manual_seed(k)) for k, key in enumerate(EMBEDS)}
    given["latents"] = torch.randn(1, 4, 8, 8, generator=torch.manual_seed(2))
    torch.save(given, tmp_path / "given.pt")
    found = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert found.stdout.strip() == f"{name}Scheduler {stable.scheduler.solver!r}", found.stderr
    here = stable(**given, num_inference_steps=2, output_type="latent").images
    assert torch.allclose(torch.load(tmp_path / "images.pt"), here, rtol=0, atol=1e-4)


TRAILING = STABLE | {"timestep_spacing": "trailing"}
# Without what a mixing below 1, or gamma1 - gamma2, magnifies on the way back: p^-2N is 18 for 20 slots.
OWN = {"EDICT": {"p": 1.0}, "CBDIA": {"gamma1": 1.0, "gamma2": 0.0}}


@pytest.fixture(scope="module")
def guided(stable):
    """Return the pipeline, arguments of a call, a sample, and where the network's own ODE leads from it, down and up."""
    from bdia_numerics import RK4, grids, schedules, solve
    from bdia_numerics.torch import NetworkModel

    stable.unet.to(torch.float64)
    embeds, none = (torch.randn(1, 5, 8, generator=torch.manual_seed(k), dtype=torch.float64) for k in (2, 3))
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": none, "guidance_scale": 3.0, "output_type": "latent"}
    words, nothing = ({"encoder_hidden_states": e} for e in (embeds, none))
    model = NetworkModel(stable.unet, conditions=words, unconditional=nothing, guidance=3.0)
    table = schedulers.BDIAScheduler.from_config(TRAILING).alphas_cumprod.double().numpy()
    z = torch.randn(1, 4, 8, 8, generator=torch.manual_seed(1), dtype=torch.float64)

    def ends(slots):
        down = grids.asinh(schedules.from_alphas_cumprod(table), slots, t_max=999.0, t_min=0.0)
        return [solve(RK4(), model, grid, z).z for grid in (down, down.reversed())]

    fine, coarse = ends(24), ends(12)
    return stable, given, z, fine, [float((a - b).square().mean().sqrt()) for a, b in zip(fine, coarse, strict=True)]


@pytest.mark.parametrize(
    "name", ["BDIA", "EDICT", *(pytest.param(n, marks=pytest.mark.slow) for n in ("CBDIA", "OBELM"))]
)
def test_both_ends_come_to_the_ode_of_the_network(guided, name, record_property):
    """A round trip is exact with a wrong start, too: so images and latents are held against the network's own ODE, and come to it.

    Four times as many steps, at order 1 or better: to less than half of the distance. BDIA's latents come nearer, not by half: its start
    over the long first slot excites the oscillation that gamma = 1 does not damp.
    """
    pipe, given, z, truth, uncertainty = guided

    def away(steps):
        found = []
        for way, end in zip(("", "Inverse"), truth, strict=True):
            pipe.scheduler = getattr(schedulers, f"{name}{way}Scheduler").from_config(TRAILING, **OWN.get(name, {}))
            out = pipe(**given, latents=z, num_inference_steps=steps).images
            found.append(float((out - end).square().mean().sqrt()))
        return found

    few, many = away(5), away(20)
    record_property("distance from the network's own ODE", {"images": (few[0], many[0]), "latents": (few[1], many[1])})
    assert many[0] < few[0] / 2 and many[1] < few[1] / (1 if name == "BDIA" else 2)
    assert all(known < distance for known, distance in zip(uncertainty, many, strict=True))


def test_a_part_of_the_way_through_a_pipeline(stable):
    """An inverse that stops after three of five slots, and a StableDiffusionPipeline that goes on from its State to the sample."""
    stable.unet.to(torch.float64)
    embeds = torch.randn(1, 5, 8, generator=torch.manual_seed(2), dtype=torch.float64)
    sampler, inverse = pair("BDIA")
    x = torch.randn(1, 4, 8, 8, generator=torch.manual_seed(1), dtype=torch.float64)
    z = x
    inverse.set_timesteps(5)
    with torch.no_grad():
        for t in inverse.timesteps[:4]:
            z = inverse.step(stable.unet(z, t, encoder_hidden_states=embeds).sample, t, z).prev_sample
    sampler.start_from(inverse.state)
    stable.scheduler = sampler
    given = {"prompt_embeds": embeds, "guidance_scale": 1.0, "output_type": "latent", "num_inference_steps": 5}
    back = stable(**given, latents=inverse.state.registers["z"]).images
    assert len(sampler.timesteps) == 4 and float(abs(back - x).max()) < MULTIPLE * torch.finfo(x.dtype).eps
    assert float(abs(z - x).max()) > 0.1


def test_the_page_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["error"] == names["part_of_the_way"] == 0 and len(names["sampler"].timesteps) == 5
