"""A pipeline of Stable Diffusion as a network of prompts: texts encoded, latents sampled by any solver, and decoded to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bdia_numerics.schedules import Schedule
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.networks.folders import quiet
from bdia_numerics.torch.networks.loading import Loaded, load
from bdia_numerics.torch.networks.models import NetworkModel


@dataclass(frozen=True)
class PromptedNetwork:
    """A text-to-image pipeline.

    Attributes
    ----------
    pipe
        Of diffusers, with a tokenizer, a text encoder and an autoencoder.
    loaded : Loaded
        Its U-Net.
    """

    pipe: Any
    loaded: Loaded

    @property
    def schedule(self) -> Schedule:
        """Of the training of the U-Net."""
        return self.loaded.schedule

    def model(self, prompts: Sequence[str], guidance: float) -> NetworkModel:
        """Return the U-Net under prompts, one a state, with guidance away from no text."""
        with torch.inference_mode():
            texts, none = self.pipe.encode_prompt(list(prompts), self.pipe.device, 1, True)[:2]
        return self.loaded.model(
            conditions={"encoder_hidden_states": texts},
            unconditional={"encoder_hidden_states": none},
            guidance=guidance,
        )

    @torch.inference_mode()
    def pixels(self, z: torch.Tensor) -> torch.Tensor:
        """Return the images of latents, shape (batch, 3, height, width), values from -1 to 1."""
        codec = self.pipe.vae
        found: torch.Tensor = codec.decode(z.to(codec.dtype) / codec.config.scaling_factor).sample
        return found


def prompted(folder: str, *, device: str = "cpu") -> PromptedNetwork:
    """Return the pipeline of a folder or a hub name, in float32.

    Raises
    ------
    ValueError
        As `load`, and where the rest of the pipeline is missing or has no text encoder.
    """
    import diffusers

    loaded = load(folder, part="unet", device=device)
    make: Any = diffusers.StableDiffusionPipeline
    try:
        with quiet():
            pipe = make.from_pretrained(folder, unet=loaded.network, use_safetensors=True, safety_checker=None).to(
                device
            )
    except Exception as error:  # noqa: BLE001  diffusers, transformers and the hub's client each raise their own
        said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise ValueError(
            f"source={shown(folder)} cannot be loaded as Stable Diffusion ({said}): give a folder with all of its parts"
        ) from None
    refuse(
        (
            pipe.tokenizer is None or pipe.text_encoder is None,
            f"source={shown(folder)} has no text encoder: give the whole pipeline",
        )
    )
    return PromptedNetwork(pipe, loaded)


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a file, one a line; ValueError where there are none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        why = "is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ValueError(f"prompts={str(path)!r} cannot be read ({why}): give a file with one prompt a line") from None
    found = [line for line in lines if line]
    refuse((not found, f"prompts={str(path)!r} is empty: give a file with one prompt a line"))
    return found
