"""Pipelines from files, those of prompts as models of latents, and an image that a network draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bdia_numerics.runs.encoding import solve
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.editing.images import Codec
from bdia_numerics.torch.editing.pipelines import PROMPTED
from bdia_numerics.torch.editing.prompted import read_config
from bdia_numerics.torch.networks.folders import quiet
from bdia_numerics.torch.networks.loading import Loaded, described, load
from bdia_numerics.torch.networks.models import NetworkModel
from bdia_numerics.torch.networks.sampling import noise


def open_pipeline(
    source: str | Path | None = None,
    *,
    controlnet: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Load what `invert` takes.

    Parameters
    ----------
    source
        A folder or a hub name of a diffusers pipeline; of a network alone, which `load` reads; None for the shipped network of digits.
    controlnet
        A ControlNet that the pipeline is to have: its folder or hub name.
    device, dtype
        Where the networks are put, and in which precision.

    Raises
    ------
    ValueError
        In one line, where there is no such pipeline, a part of it is missing or cannot be read.
    """
    folder = None if source is None else Path(source)
    if folder is None or (folder.is_dir() and not (folder / "model_index.json").is_file()):
        if controlnet is not None:
            raise ValueError(
                f"controlnet={shown(str(controlnet))} steers a pipeline of a text: pass one, such as Stable Diffusion"
            )
        return load(source, device=device, dtype=dtype)
    import diffusers

    pipe: Any = _made(diffusers.DiffusionPipeline, source, dtype)
    if controlnet is not None:
        net = _made(diffusers.ControlNetModel, controlnet, dtype)
        name = type(pipe).__name__.replace("Pipeline", "ControlNetPipeline")
        if name not in PROMPTED:
            raise ValueError(
                f"controlnet={shown(str(controlnet))}: {type(pipe).__name__} takes none here, leave it out"
            )
        pipe = getattr(diffusers, name)(**{**pipe.components, "controlnet": net}, **_safety(pipe))
    return pipe.to(device)


def _safety(pipe: Any) -> dict[str, Any]:
    return {"requires_safety_checker": False} if "requires_safety_checker" in pipe.config else {}


def _made(kind: Any, source: Any, dtype: torch.dtype) -> Any:
    try:
        with quiet():
            # A release that does not know the word dtype loads in float32.
            return kind.from_pretrained(str(source), dtype=dtype, use_safetensors=True).to(dtype)
    except Exception as error:  # noqa: BLE001  diffusers, transformers and the hub's client each raise their own
        said = " ".join(str(error).split())[:160]
        raise ValueError(
            f"source={shown(str(source))} cannot be loaded as a pipeline ({type(error).__name__}: {said}): pass a folder that has all of "
            "its parts in safetensors, or a hub name that can be reached"
        ) from None


def drawn(network: Loaded, label: int, seed: int) -> torch.Tensor:
    """Return an image that a network of pixels draws of a label, shape (1, channels, height, width), values from 0 to 1.

    Parameters
    ----------
    network
        As `load` returns it.
    label
        The class.
    seed
        Of the noise.

    Returns
    -------
    torch.Tensor
        Shape (1, channels, height, width), values from 0 to 1.

    Raises
    ------
    ValueError
        For a label that the network does not have.

    Examples
    --------
    >>> from bdia_numerics.torch import load
    >>> from bdia_numerics.torch.editing import drawn
    >>> drawn(load(), 3, seed=0).shape
    torch.Size([1, 1, 28, 28])
    """
    grid = network.grid(40, "log_snr")
    weight = next(network.network.parameters())
    z = noise((1, *(network.shape or ())), grid, seed, dtype=weight.dtype, device=weight.device)
    found: torch.Tensor = solve(DPMSolverPP(), network.model([label], guidance=2.0), grid, z).z
    return (found / 2 + 0.5).clamp(0, 1)


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
