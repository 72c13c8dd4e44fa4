"""DDIMPipeline and StableDiffusionPipeline, of random weights, with each scheduler and back through its inverse."""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from diffusers import DDIMPipeline, DDIMScheduler, UNet2DConditionModel, UNet2DModel  # noqa: E402

from bdia_numerics.torch import schedulers  # noqa: E402

torch.set_num_threads(1)
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


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
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
    assert len(sampler.timesteps) == 3 and float(abs(back - x).max()) < MULTIPLE * torch.finfo(x.dtype).eps
    assert float(abs(z - x).max()) > 0.1


def test_the_page_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["error"] < 1e-4 and names["part_of_the_way"] < 1e-4 and len(names["sampler"].timesteps) == 4
