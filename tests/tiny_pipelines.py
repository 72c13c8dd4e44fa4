"""Pipelines of diffusers with random weights, as small as their classes allow, and schedulers of committed configurations."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from bdia_numerics.torch import schedulers

CONFIGS = Path(__file__).parent / "configs"
UNET = {
    "sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (8, 8), "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 8, "attention_head_dim": 4,
}  # fmt: skip
XL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 40}


def entries_of(file):
    """Return the entries of a configuration in tests/configs, without the clipping that no inverse undoes."""
    entries = json.loads((CONFIGS / f"{file}.json").read_text(encoding="utf-8"))
    return entries | {"clip_sample": False} if "clip_sample" in entries else entries


def both(file, solver, **own):
    """Return a solver's scheduler of a configuration, and the inverse one."""
    kinds = (getattr(schedulers, f"{solver}{way}Scheduler") for way in ("", "Inverse"))
    return tuple(kind.from_config(entries_of(file), **own) for kind in kinds)


def noise(*shape, seed=0):
    """Return a tensor of normal numbers."""
    return torch.randn(*shape, generator=torch.manual_seed(seed))


def vae():
    """Return an autoencoder that does not change the size."""
    torch.manual_seed(0)
    return AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)


def unet(**options):
    """Return a network of Stable Diffusion."""
    torch.manual_seed(0)
    return UNet2DConditionModel(**UNET, **options)


def embeds(width, *, pooled=0, unconditional=True):
    """Return the arguments that stand for prompts, of a width and, where they are taken, of pooled ones."""
    found = {"prompt_embeds": noise(1, 5, width, seed=1)}
    found |= {"pooled_prompt_embeds": noise(1, pooled, seed=2)} if pooled else {}
    if unconditional:
        found |= {f"negative_{key}": noise(*value.shape, seed=3) for key, value in found.items()}
    return found


def controlnet():
    """Return a StableDiffusionControlNetPipeline, its arguments and the shape of its latents."""
    network = unet()
    control = ControlNetModel.from_unet(network, conditioning_channels=3, conditioning_embedding_out_channels=(8, 8))
    for name, weight in control.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid")):  # which a training begins with as zeros
            torch.nn.init.normal_(weight)
    pipe = StableDiffusionControlNetPipeline(
        vae(), None, None, network, control, DDIMScheduler(), None, None, requires_safety_checker=False
    )
    return pipe, embeds(8) | {"guidance_scale": 4.0, "image": noise(1, 3, 16, 16).sigmoid()}, (1, 4, 8, 8)


def sd3_network(width, **options):
    """Return a transformer of Stable Diffusion 3 whose texts have a width."""
    torch.manual_seed(0)
    return SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=width,
        caption_projection_dim=16, pooled_projection_dim=width, out_channels=4, **options,
    )  # fmt: skip


def flux_network(width, *, guidance=False):
    """Return a transformer of Flux whose texts have a width, with an embedding of the guidance if wanted."""
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=width, pooled_projection_dim=width, guidance_embeds=guidance, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip


def sd3():
    """Return a StableDiffusion3Pipeline, its arguments and the shape of its latents."""
    network = sd3_network(16, pos_embed_max_size=8)
    pipe = StableDiffusion3Pipeline(network, FlowMatchEulerDiscreteScheduler(), vae(), *[None] * 6)
    return pipe, embeds(16, pooled=16) | {"guidance_scale": 4.0, "height": 64, "width": 64}, (1, 4, 8, 8)


def flux():
    """Return a FluxPipeline, its arguments and the shape of its latents."""
    pipe = FluxPipeline(FlowMatchEulerDiscreteScheduler(), vae(), None, None, None, None, flux_network(16))
    given = embeds(16, pooled=16, unconditional=False) | {"guidance_scale": 1.0, "height": 16, "width": 16}
    return pipe, given, (1, 64, 16)


def sdxl():
    """Return a StableDiffusionXLPipeline, its arguments and the shape of its latents."""
    pipe = StableDiffusionXLPipeline(vae(), None, None, None, None, unet(**XL), DDIMScheduler(), add_watermarker=False)
    return pipe, embeds(8, pooled=16) | {"guidance_scale": 3.0, "height": 64, "width": 64}, (1, 4, 8, 8)


def ran(pipe, given, scheduler, latents, steps=8, **options):
    """Return the latents that a pipeline comes to with a scheduler."""
    pipe.scheduler = scheduler
    pipe.set_progress_bar_config(disable=True)
    return pipe(**given, **options, latents=latents, num_inference_steps=steps, output_type="latent")[0]
