"""Images of prompts by any solver: texts encoded once, latents sampled, and decoded to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.editing.codec import Codec
from bdia_numerics.torch.editing.opening import open_pipeline
from bdia_numerics.torch.editing.prompted import read_config
from bdia_numerics.torch.networks.loading import Loaded, described
from bdia_numerics.torch.networks.models import NetworkModel


@dataclass(frozen=True)
class TextToImage:
    """A StableDiffusionPipeline as a network of prompts.

    Attributes
    ----------
    pipe
        With a tokenizer, a text encoder and an autoencoder.
    loaded : Loaded
        Its U-Net.
    """

    pipe: Any
    loaded: Loaded

    def model(self, prompts: Sequence[str], guidance: float) -> NetworkModel:
        """Return the U-Net under prompts, one a state, with guidance away from no text."""
        with torch.inference_mode():
            texts, none = self.pipe.encode_prompt(list(prompts), self.pipe.device, 1, True)[:2]
        conditions, without = {"encoder_hidden_states": texts}, {"encoder_hidden_states": none}
        return self.loaded.model(conditions=conditions, unconditional=without, guidance=guidance)

    def pixels(self, z: torch.Tensor) -> torch.Tensor:
        """Return the images of latents, shape (batch, 3, height, width), values from -1 to 1, float64 on the CPU."""
        return 2 * Codec(self.pipe.vae).decode(z) - 1


def text_to_image(source: str, *, device: str = "cpu") -> TextToImage:
    """Return the Stable Diffusion of a folder or a hub name, in float32; ValueError as `open_pipeline`, and for another pipeline."""
    pipe = open_pipeline(source, device=device)
    whole = (
        type(pipe).__name__ == "StableDiffusionPipeline"
        and pipe.tokenizer is not None
        and pipe.text_encoder is not None
    )
    refuse(
        (
            not whole,
            f"source={shown(source)} is not a StableDiffusionPipeline with its text encoder: give such a folder",
        )
    )
    return TextToImage(pipe, described(pipe.unet, read_config(pipe)))


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
