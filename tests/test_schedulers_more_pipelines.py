"""Further pipelines of diffusers with random weights: image-to-image, inpainting, a refiner, video, transformers, views, DiffEdit."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")
pytest.importorskip("transformers", reason="pipelines need transformers")

import tiny_pipelines  # noqa: E402
from tiny_pipelines import both, embeds, entries_of, noise, ran, unet, vae  # noqa: E402

from bdia_numerics.torch import schedulers  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of pipelines that diffusers calls deprecated
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
    pytest.mark.filterwarnings("ignore:Default grid_sample"),
    pytest.mark.filterwarnings("ignore:.* on these .* slots"),
]
torch.set_num_threads(1)
SOLVERS = ["BDIA", "EDICT", "CBDIA", "OBELM"]


def ddim_and_bdia():
    """Return DDIMScheduler, ours with gamma = 0 and ours, of the configuration of Stable Diffusion 1.5."""
    entries = entries_of("sd15")
    ours = (schedulers.BDIAScheduler.from_config(entries, **own) for own in ({"gamma": 0.0}, {}))
    return diffusers.DDIMScheduler.from_config(entries), *ours


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["sd15", "euler_karras"])
@pytest.mark.parametrize("inpaint", [False, True])
def test_strength_cuts_the_run_where_the_noise_is_added(name, solver, inpaint):
    """gamma = 0 is the family's own scheduler in image-to-image and inpainting; every solver runs."""
    kind = diffusers.StableDiffusionInpaintPipeline if inpaint else diffusers.StableDiffusionImg2ImgPipeline
    pipe = kind(vae(), None, None, unet(), diffusers.DDIMScheduler(), None, None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    given = embeds(8) | {"image": noise(1, 3, 8, 8).sigmoid(), "strength": 0.5, "num_inference_steps": 8}
    given |= {"mask_image": (noise(1, 1, 8, 8) > 0).float(), "height": 8, "width": 8} if inpaint else {}

    def run(scheduler):
        pipe.scheduler = scheduler
        return pipe(**given, output_type="latent", generator=torch.manual_seed(1), guidance_scale=3.0)[0]

    ours = run(schedulers.BDIAScheduler.from_config(entries_of(name), gamma=0.0))
    kind = diffusers.DDIMScheduler if name == "sd15" else diffusers.EulerDiscreteScheduler
    theirs = run(kind.from_config(entries_of(name)))
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5
    scheduler = both(name, solver)[0]
    found = run(scheduler)
    assert found.isfinite().all() and scheduler.begin_index == 4 * scheduler.order
    assert float((found - ours).abs().max()) > 0


@pytest.mark.parametrize("solver", ["EDICT", "BDIA"])
def test_the_refiner_of_sdxl_begins_where_the_base_ended(solver):
    """At the entry after its last. Where order is 2, it adds one in the middle of a slot, which hands on the sample."""
    base, given, shape = tiny_pipelines.sdxl()
    refiner = diffusers.StableDiffusionXLImg2ImgPipeline(
        base.vae, None, None, None, None, base.unet, base.scheduler, add_watermarker=False
    )
    refiner.set_progress_bar_config(disable=True)
    given = given | {"guidance_scale": 3.0}
    scheduler = both("sdxl", solver)[0]
    first = ran(base, given, scheduler, noise(*shape), denoising_end=0.5)
    stopped = scheduler.step_index
    refiner.scheduler = both("sdxl", solver)[0]
    own = {k: v for k, v in given.items() if k not in ("height", "width")}
    last = refiner(**own, image=first, denoising_start=0.5, num_inference_steps=8, output_type="latent")[0]
    assert refiner.scheduler.begin_index == stopped and last.isfinite().all()
    assert refiner.scheduler.step_index == len(refiner.scheduler.timesteps) == len(scheduler.timesteps)


def transformer(name):
    torch.manual_seed(0)
    if name == "sana":
        network = diffusers.SanaTransformer2DModel(
            patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
            num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8, sample_size=8,
        )  # fmt: skip
        autoencoder = diffusers.AutoencoderDC(
            in_channels=3, latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1), downsample_block_type="conv",
            upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.4,
        )  # fmt: skip
        pipe = diffusers.SanaPipeline(None, None, autoencoder, network, diffusers.FlowMatchEulerDiscreteScheduler())
        mask = {"prompt_attention_mask": torch.ones(1, 5), "negative_prompt_attention_mask": torch.ones(1, 5)}
        given = (
            embeds(8)
            | mask
            | {"negative_prompt": None, "height": 32, "width": 32, "guidance_scale": 3.0}
            | {"use_resolution_binning": False}
        )
        return pipe, given, (1, 4, 16, 16)
    if name == "pixart":
        network = diffusers.PixArtTransformer2DModel(
            num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1, norm_num_groups=1,
            cross_attention_dim=8, sample_size=8, patch_size=2, caption_channels=8, use_additional_conditions=False,
        )  # fmt: skip
        pipe = diffusers.PixArtAlphaPipeline(None, None, vae(), network, diffusers.DDIMScheduler())
        mask = {"prompt_attention_mask": torch.ones(1, 5), "negative_prompt_attention_mask": torch.ones(1, 5)}
        given = embeds(8) | mask | {"negative_prompt": None, "height": 8, "width": 8, "use_resolution_binning": False}
        return pipe, given, (1, 4, 8, 8)
    network = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=8, freq_dim=16,
        ffn_dim=16, num_layers=1, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
    )  # fmt: skip
    autoencoder = diffusers.AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    pipe = diffusers.WanPipeline(None, None, autoencoder, diffusers.UniPCMultistepScheduler(), network)
    return pipe, embeds(8) | {"height": 32, "width": 32, "num_frames": 5, "guidance_scale": 3.0}, (1, 4, 2, 4, 4)


@pytest.mark.parametrize("name", ["sana", "wan", "pixart"])
def test_transformers_return_every_element(name):
    """Sana and Wan do not call scale_model_input; their first sigma is below 1."""
    pipe, given, shape = transformer(name)
    config = {"pixart": "pixart_sigma"}.get(name, name)
    x = noise(*shape, seed=7)
    for solver in ("BDIA", "CBDIA"):
        sampler, inverse = both(config, solver)
        z = ran(pipe, given, inverse, x)
        first = sampler.start_from(inverse.state)
        assert torch.equal(ran(pipe, given, sampler, z if name == "pixart" else first.to(x.dtype)), x)


def test_dit(tmp_path):
    torch.manual_seed(0)
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1, sample_size=8, patch_size=2,
        num_embeds_ada_norm=10,
    )  # fmt: skip
    pipe = diffusers.DiTPipeline(network, vae(), diffusers.DDIMScheduler())
    pipe.set_progress_bar_config(disable=True)
    ends = []
    for scheduler in (
        diffusers.DDIMScheduler(clip_sample=False),
        schedulers.BDIAScheduler(gamma=0.0, clip_sample=False),
        schedulers.BDIAScheduler(),
    ):
        pipe.scheduler = scheduler
        ends.append(
            torch.from_numpy(
                pipe(
                    [1], guidance_scale=1.0, generator=torch.manual_seed(0), num_inference_steps=5, output_type="np"
                ).images
            )
        )
    assert torch.allclose(*ends[:2], rtol=0, atol=1e-5) and ends[2].isfinite().all()
    pipe.save_pretrained(tmp_path)
    assert diffusers.DiTPipeline.from_pretrained(tmp_path).scheduler.solver == pipe.scheduler.solver


def test_svd():
    """Continuous times and EDM's preconditioning, on a video: gamma = 0 is Euler's method, and a round trip returns."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    network = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32), layers_per_block=1, sample_size=8, in_channels=8, out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=8, num_attention_heads=2,
        projection_class_embeddings_input_dim=12, addition_time_embed_dim=4,
    )  # fmt: skip
    autoencoder = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32), latent_channels=4, down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D")
    )
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=8,
            projection_dim=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=32,
            intermediate_size=8,
            patch_size=8,
        )
    )
    processor = CLIPImageProcessor(crop_size=32, size=32)
    pipe = diffusers.StableVideoDiffusionPipeline(
        autoencoder, encoder, network, diffusers.EulerDiscreteScheduler(), processor
    )
    given = {"image": noise(1, 3, 32, 32).sigmoid(), "num_frames": 2, "height": 32, "width": 32}

    def run(scheduler, latents):
        return ran(pipe, given, scheduler, latents, generator=torch.manual_seed(0))

    x = noise(1, 2, 4, 16, 16, seed=7)
    theirs = run(diffusers.EulerDiscreteScheduler.from_config(entries_of("svd")), x)
    ours = run(schedulers.BDIAScheduler.from_config(entries_of("svd"), gamma=0.0), x)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5
    sampler, inverse = both("svd", "BDIA")
    z = run(inverse, x)
    sampler.start_from(inverse.state)
    assert torch.equal(run(sampler, z), x)


def test_animatediff():
    torch.manual_seed(0)
    adapter = diffusers.MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=2
    )
    pipe = diffusers.AnimateDiffPipeline(vae(), None, None, unet(), adapter, diffusers.DDIMScheduler())
    given = embeds(8) | {"num_frames": 2, "height": 8, "width": 8, "guidance_scale": 3.0}
    x = noise(1, 4, 2, 8, 8, seed=7)
    sampler, inverse = both("sd15", "BDIA")
    z = ran(pipe, given, inverse, x)
    sampler.start_from(inverse.state)
    assert torch.equal(ran(pipe, given, sampler, z), x)


@pytest.mark.parametrize("batch", [1, 4])
def test_panorama(batch):
    """Views that are denoised one after the other have a run each; gamma = 0 is DDIM's panorama."""
    kind = diffusers.StableDiffusionPanoramaPipeline
    pipe = kind(vae(), None, None, unet(), diffusers.DDIMScheduler(), None, None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    ends = []
    for scheduler in ddim_and_bdia():
        pipe.scheduler = scheduler
        options = {
            "height": 512,
            "width": 576,
            "num_inference_steps": 3,
            "view_batch_size": batch,
            "guidance_scale": 1.0,
        }
        pipe.vae_scale_factor = 8
        latents = noise(1, 4, 64, 72)
        ends.append(pipe(prompt_embeds=embeds(8)["prompt_embeds"], latents=latents, output_type="latent", **options)[0])
    assert torch.allclose(*ends[:2], rtol=0, atol=1e-4) and ends[2].isfinite().all()


def test_text_to_video_zero():
    pipe = diffusers.TextToVideoZeroPipeline(
        vae(), None, None, unet(), diffusers.DDIMScheduler(), None, None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = schedulers.BDIAScheduler.from_config(entries_of("sd15"))
    shape = {"height": 8, "width": 8, "video_length": 2, "num_inference_steps": 8, "t0": 4, "t1": 6}
    pipe._encode_prompt = lambda *_, **__: torch.cat([noise(1, 5, 8)] * 2)
    pipe.encode_prompt = lambda *_, **__: (noise(1, 5, 8), noise(1, 5, 8, seed=1))
    found = pipe(prompt="a", output_type="latent", guidance_scale=3.0, generator=torch.manual_seed(0), **shape)
    assert torch.as_tensor(found.images).isfinite().all()


class Encoder(torch.nn.Module):
    """Stand in for a text encoder, and for its tokenizer."""

    model_max_length, device, dtype = 5, torch.device("cpu"), torch.float32

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(noise(1))

    def forward(self, text, **_):
        if isinstance(text, torch.Tensor):
            return (noise(len(text), 5, 8, seed=int(text.sum())) * self.weight,)
        ids = torch.full((len(text) if isinstance(text, list) else 1, 5), len(str(text)))
        return type("Tokens", (), {"input_ids": ids})


def test_semantic_guidance():
    """It has room for one edit a step, so that order 2 does not fit, with diffusers' own schedulers, too."""
    pipe = diffusers.pipelines.SemanticStableDiffusionPipeline(
        vae(), Encoder(), Encoder(), unet(), diffusers.DDIMScheduler(), None, None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    given = {
        "prompt": "a",
        "editing_prompt": ["bc"],
        "edit_warmup_steps": 1,
        "height": 8,
        "width": 8,
        "num_inference_steps": 6,
    }
    ends = []
    for scheduler in ddim_and_bdia():
        pipe.scheduler = scheduler
        ends.append(pipe(**given, output_type="latent", generator=torch.manual_seed(0))[0])
    assert torch.allclose(*ends[:2], rtol=0, atol=1e-4) and ends[2].isfinite().all()
    for scheduler in (schedulers.EDICTScheduler.from_config(entries_of("sd15")), diffusers.HeunDiscreteScheduler()):
        pipe.scheduler = scheduler
        with pytest.raises(IndexError):
            pipe(**given, output_type="latent", generator=torch.manual_seed(0))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_diffedit(strength):
    """Inverted with the strength with which it is sampled: with nothing to change it returns; `cut` fits the pipeline's own cut."""
    kind = diffusers.StableDiffusionDiffEditPipeline
    sampler, inverse = both("sd15", "BDIA")
    pipe = kind(
        vae(), None, None, unet(), sampler, None, None, inverse_scheduler=inverse, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    x = noise(1, 4, 8, 8, seed=7)
    given = {"num_inference_steps": 8, "inpaint_strength": strength, "guidance_scale": 1.0}
    prompt = embeds(8)
    pipe.scheduler, pipe.inverse_scheduler = sampler, inverse
    kept = pipe.invert(image=x, decode_latents=False, **prompt, **given).latents
    state = inverse.state
    sampler.start_from(state, cut=True)
    mask = torch.ones(1, 8, 8)
    back = pipe(mask_image=mask, image_latents=kept, **prompt, **given, output_type="latent")[0]
    assert len(sampler.timesteps) == 8 and float((back - x).abs().max()) < 1e-5
