"""Pipelines of diffusers as what editing needs of them: the grid of their scheduler, their network as a model of states, their autoencoder.

A pipeline of a text is evaluated by its own `__call__`, one model output at a time: its scheduler is replaced by one of a single step,
which keeps the output. So guidance and its rescaling, ControlNets, adapters, added conditions and packed latents are those of the pipeline.
A pipeline or a network of labels, or of none, is a `Loaded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar

import torch

from bdia_numerics.grids import Grid
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.editing.codec import Codec, enough_memory
from bdia_numerics.torch.editing.images import pixels
from bdia_numerics.torch.editing.prompted import Ask, Prompted, check_count, read_config
from bdia_numerics.torch.networks.loading import Loaded, described
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
            found: torch.Tensor = models[len(z)](z, t)
            return found

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
