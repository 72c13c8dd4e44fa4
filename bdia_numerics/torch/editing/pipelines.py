"""Pipelines of diffusers as what editing needs of them: the grid of their scheduler, their network as a model of states, their autoencoder.

A pipeline of a text is evaluated by its own `__call__`, one model output at a time: its scheduler is replaced by one of a single step,
which keeps the output. So guidance and its rescaling, ControlNets, adapters, added conditions and packed latents are those of the pipeline.
A pipeline or a network of labels, or of none, is a `Loaded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, ClassVar

import torch

from bdia_numerics.grids import Grid
from bdia_numerics.runs.encoding import solve
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.editing.images import Codec, enough_memory, pixels
from bdia_numerics.torch.editing.prompted import Ask, Prompted, check_count, read_config
from bdia_numerics.torch.networks.folders import quiet
from bdia_numerics.torch.networks.loading import Loaded, described, load
from bdia_numerics.torch.networks.models import NetworkModel
from bdia_numerics.torch.networks.sampling import noise
from bdia_numerics.torch.schedulers.frames import PLAIN, Frame

PROMPTED = (
    "StableDiffusionPipeline", "StableDiffusionControlNetPipeline", "StableDiffusionXLPipeline", "StableDiffusionXLControlNetPipeline",
    "StableDiffusion3Pipeline", "FluxPipeline",
)  # fmt: skip
LABELLED = ("DDPMPipeline", "DDIMPipeline", "DiTPipeline")
"""Pipelines that can be inverted, by class: those of a prompt, and those of a label or of nothing."""


@dataclass(frozen=True)
class Asked:
    """A pipeline's network under one prompt or label as a model of states, for `solve` and its like.

    Attributes
    ----------
    ask
        Evaluates the network at states of its own dtype and a time.
    prediction : str
        What it predicts.
    dtype
        Of the network; states may be wider, and are rounded to it.
    watch
        Called before each evaluation.
    """

    ask: Ask
    prediction: str
    dtype: torch.dtype
    watch: Callable[[], None] = lambda: None

    def __call__(self, z: torch.Tensor, t: Any) -> torch.Tensor:
        """Return the network's output. The data end, t = -1, was not among the times of training: it is told the nearest."""
        self.watch()
        with enough_memory(z):
            return self.ask(z.to(self.dtype), max(float(t), 0.0)).to(z.dtype)


@dataclass(frozen=True)
class Labelled:
    """A network of labels or of nothing, of pixels or with an autoencoder.

    Attributes
    ----------
    loaded : Loaded
        The network.
    vae
        The autoencoder; None for a network of pixels.
    """

    loaded: Loaded
    vae: Any = None
    words: ClassVar[str] = "labels"

    @property
    def default_guidance(self) -> float:
        """2 where a label for none is known, as for `bdia unet`."""
        return 1.0 if self.loaded.null_label is None else 2.0

    @property
    def network(self) -> Any:
        """The network."""
        return self.loaded.network

    @property
    def codec(self) -> Codec:
        """The autoencoder, if there is one."""
        return Codec(self.vae)

    @property
    def channels(self) -> int:
        """Of an image."""
        shape = self.loaded.shape
        return int(self.vae.config.in_channels) if self.vae is not None else 3 if shape is None else shape[0]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def prediction(self) -> str:
        """What the network predicts."""
        return self.loaded.prediction

    def check_size(self, x: torch.Tensor) -> None:
        """Raise ValueError for images of another size than the network's."""
        if self.loaded.shape is None:
            return
        blocks = 1 if self.vae is None else 2 ** (len(self.vae.config.block_out_channels) - 1)
        high, wide = (side * blocks for side in self.loaded.shape[1:])
        if tuple(x.shape[-2:]) != (high, wide):
            raise ValueError(f"image is {x.shape[-1]}x{x.shape[-2]}, and the network takes {wide}x{high}: resize it")

    def condition(self, given: Any) -> Any:
        """Return the labels of the states as a list; None for a network without."""
        try:
            return None if given is None else [index(one) for one in (given if hasattr(given, "__len__") else [given])]
        except TypeError:
            raise TypeError(f"labels={shown(given)} are not whole numbers: pass one, or a list, one an image") from None

    def grid(self, steps: int, spacing: str | None, size: Sequence[int], condition: Any) -> tuple[Grid, Frame]:
        """Return a grid of the scheduler's schedule: with the spacing that suits gamma = 1, or another one."""
        return self.loaded.grid(steps, spacing or self.loaded.best_spacing), PLAIN

    def model(self, condition: Any, guidance: float, grid: Grid, frame: Frame = PLAIN) -> Ask:
        """Return the network under labels; one label serves any number of states."""
        labels = self.condition(condition)

        def of_batch(count: int) -> Any:
            check_count("labels", len(labels or [0]), count)
            return self.loaded.model(labels * (count // len(labels)) if labels else None, guidance=guidance)

        of_batch(len(labels or [0]))  # refuses labels that the network does not have
        models: dict[int, Any] = {}

        def ask(z: torch.Tensor, t: float) -> torch.Tensor:
            if len(z) not in models:
                models[len(z)] = of_batch(len(z))
            return models[len(z)](z, t)

        return ask


def adapted(pipe: Any, given: Mapping[str, Any], control: Any) -> Prompted | Labelled:
    """Return what editing needs of a pipeline, or of a network that `load` returned.

    Raises
    ------
    ValueError
        For a pipeline that is not known here, or whose part is missing, in one line.
    """
    name = type(pipe).__name__
    classes = {kind.__name__ for kind in type(pipe).__mro__}
    if isinstance(pipe, Loaded) or classes & set(LABELLED):
        refuse(
            (bool(given), f"{next(iter(given), '')}= is not taken: {name} has no call that takes it"),
            (control is not None, f"control_image= needs a ControlNet, and {name} has none"),
        )
        if isinstance(pipe, Loaded):
            return Labelled(pipe)
        network = getattr(pipe, "unet", None) or pipe.transformer
        return Labelled(described(network, read_config(pipe)), getattr(pipe, "vae", None))
    if not classes & set(PROMPTED):
        known = ", ".join(word.removesuffix("Pipeline") for word in (*PROMPTED, *LABELLED))
        near = max((word for word in PROMPTED if word.removesuffix("Pipeline") in name), key=len, default=None)
        remedy = f"pass {near}.from_pipe(pipe)" if near else f"pass one of {known}"
        raise ValueError(
            f"pipe is a {name}, whose encoding of images and order of conditions are not known here: {remedy}"
        )
    missing = [part for part in ("vae", "scheduler") if getattr(pipe, part, None) is None]
    if missing or (getattr(pipe, "unet", None) is None and getattr(pipe, "transformer", None) is None):
        raise ValueError(
            f"{name} has no {(missing or ['unet or transformer'])[0]}: load the pipeline with all of its parts"
        )
    images = () if control is None else control if isinstance(control, list | tuple) else (control,)
    return Prompted(pipe, dict(given), tuple(pixels("control_image", one, 3).to(torch.float32) for one in images))


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
        # Neither a mark at the beginning, as Windows writes it, nor a separator within a line is a part of a prompt or its end.
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        why = "is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ValueError(f"prompts={str(path)!r} cannot be read ({why}): give a file with one prompt a line") from None
    found = [line for line in lines if line]
    refuse((not found, f"prompts={str(path)!r} is empty: give a file with one prompt a line"))
    return found
