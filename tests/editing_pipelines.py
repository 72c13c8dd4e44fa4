"""Pipelines of each family as small as diffusers allows, with random weights, and a photograph."""

from functools import cache

import numpy as np
import tiny_pipelines
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMPipeline,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
    UNet2DModel,
)

STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
STABLE |= {"set_alpha_to_one": False, "clip_sample": False}
SHIFTED = {"shift_factor": 0.0609, "scaling_factor": 1.5305, "use_quant_conv": False, "use_post_quant_conv": False}
WIDTH, WORDS = 8, 5  # of the text embeddings


@cache
def photograph(side=32):
    """Return the face of the photograph that matplotlib ships, shape (3, side, side), values from 0 to 1."""
    import matplotlib.image
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg") as file:
        image = matplotlib.image.imread(file, format="jpg")[40:360, 100:420] / 255
    step = 320 // side
    return torch.from_numpy(image.reshape(side, step, side, step, 3).mean((1, 3)).transpose(2, 0, 1).copy())


def _vae(**own):
    torch.manual_seed(1)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8), norm_num_groups=4, latent_channels=4, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, **own,
    ).eval()  # fmt: skip


def controlnet(unet, seed=2):
    """Return a ControlNet of a U-Net; the last layers of a new one are zero, and these are not."""
    torch.manual_seed(seed)
    net = ControlNetModel.from_unet(unet, conditioning_channels=3, conditioning_embedding_out_channels=(8, 8, 8)).eval()
    for name, value in net.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(value, std=0.1)
    return net


def embeds(seed, *, pooled=False):
    """Return the embedding of a prompt."""
    found = {"prompt_embeds": torch.randn(1, WORDS, WIDTH, generator=torch.manual_seed(seed))}
    if pooled:
        found["pooled_prompt_embeds"] = torch.randn(1, WIDTH, generator=torch.manual_seed(100 + seed))
    return found


def nothing(*, pooled=False):
    """Return the embedding of no prompt."""
    return {f"negative_{key}": value for key, value in embeds(0, pooled=pooled).items()}


def stable(*, net=False, **scheduler):
    """Return a StableDiffusionPipeline, with a ControlNet if wanted, whose prompts are embeddings."""
    unet = tiny_pipelines.unet().eval()
    parts = _vae(), None, None, unet
    rest = DDIMScheduler(**STABLE | scheduler), None, None
    if net:
        nets = [controlnet(unet, seed) for seed in range(2, 2 + net)]
        return StableDiffusionControlNetPipeline(
            *parts, nets[0] if net == 1 else nets, *rest, requires_safety_checker=False
        )
    return StableDiffusionPipeline(*parts, *rest, requires_safety_checker=False)


def xl(*, net=False, scheduler=None):
    """Return a StableDiffusionXLPipeline, with a ControlNet if wanted."""
    unet = tiny_pipelines.unet(**tiny_pipelines.XL | {"projection_class_embeddings_input_dim": WIDTH + 24}).eval()
    scheduler = scheduler or EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    parts = {"vae": _vae(), "unet": unet, "scheduler": scheduler}
    parts |= dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
    if net:
        return StableDiffusionXLControlNetPipeline(**parts, controlnet=controlnet(unet), add_watermarker=False)
    return StableDiffusionXLPipeline(**parts, add_watermarker=False)


def sd3():
    """Return a StableDiffusion3Pipeline."""
    network = tiny_pipelines.sd3_network(WIDTH).eval()
    names = (f"{part}{k}" for part in ("text_encoder", "tokenizer") for k in ("", "_2", "_3"))
    return StableDiffusion3Pipeline(
        transformer=network, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), vae=_vae(**SHIFTED),
        **dict.fromkeys(names),
    )  # fmt: skip


def flux(*, guidance=True):
    """Return a FluxPipeline, whose latents are packed, with an embedding of the guidance as in Flux-dev."""
    network = tiny_pipelines.flux_network(WIDTH, guidance=guidance).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=4, max_image_seq_len=64
    )
    names = (f"{part}{k}" for part in ("text_encoder", "tokenizer") for k in ("", "_2"))
    return FluxPipeline(transformer=network, scheduler=scheduler, vae=_vae(**SHIFTED), **dict.fromkeys(names))


def unconditional():
    """Return a DDIMPipeline of pixels."""
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=16, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    ).eval()  # fmt: skip
    return DDIMPipeline(network, DDIMScheduler(clip_sample=False))


def transformer():
    """Return a DiTPipeline of ten labels."""
    torch.manual_seed(0)
    network = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1, sample_size=8, patch_size=2,
        num_embeds_ada_norm=10, norm_type="ada_norm_zero", norm_elementwise_affine=False, activation_fn="gelu-approximate",
    ).eval()  # fmt: skip
    for name, value in network.named_parameters():  # a new one has zero as the last layers' weights
        if "proj_out" in name or "norm1.linear" in name:
            torch.nn.init.normal_(value, std=0.2)
    return DiTPipeline(network, _vae(), DDIMScheduler(clip_sample=False))


def array(x):
    """Return an image as an array of bytes, as PIL's are."""
    return (x.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)


def reader(folder):
    """Return a tokenizer of single letters and a text encoder, for pipelines whose prompts are texts."""
    import json

    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(k) for k in range(97, 123)]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(vocabulary)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    torch.manual_seed(3)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return tokenizer, CLIPTextModel(config).eval()
