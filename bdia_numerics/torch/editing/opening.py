"""Pipelines from files, and an image that a network draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bdia_numerics.runs.encoding import solve
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.texts import shown
from bdia_numerics.torch.editing.pipelines import PROMPTED
from bdia_numerics.torch.networks.folders import quiet
from bdia_numerics.torch.networks.loading import Loaded, load
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
