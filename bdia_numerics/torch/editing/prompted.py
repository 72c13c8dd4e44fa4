"""Pipelines of a prompt as models of states: their own call, one model output at a time."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, cast

import numpy as np
import torch

from bdia_numerics import configs
from bdia_numerics.grids import Grid
from bdia_numerics.texts import one_of, real, refuse, shown
from bdia_numerics.torch.editing.images import Codec
from bdia_numerics.torch.networks.models import is_out_of_memory
from bdia_numerics.torch.schedulers import BDIAScheduler
from bdia_numerics.torch.schedulers.frames import Frame, kind_of
from bdia_numerics.torch.schedulers.pipeline_run import tensor_of

TAKEN = {
    "num_inference_steps": "steps=", "latents": "the image", "output_type": "what reconstruct() and edit() return", "height": "the image",
    "width": "the image", "num_images_per_prompt": "a list of images", "return_dict": "what reconstruct() and edit() return",
    "guidance_scale": "guidance_scale= of invert() and edit()", "image": "control_image=", "control_image": "control_image=",
}  # fmt: skip
"""Arguments of pipelines that are not passed on, and what decides them."""
WITHOUT = {
    "callback": "a callback may change the latents", "callback_on_step_end": "a callback may change the latents",
    "denoising_end": "a part of a run is inverted by strength=", "denoising_start": "a part of a run is inverted by strength=",
    "skip_guidance_layers": "its slots are counted by the pipeline's own loop",
}  # fmt: skip
"""Arguments of pipelines that have no meaning for one model output at a time, with the reason."""

Ask = Callable[[torch.Tensor, float], torch.Tensor]


class _Times(Exception):
    """What a pipeline asks of its scheduler's `set_timesteps`."""


class OneOutput:
    """A scheduler of one step, which keeps the model output that a pipeline hands it; without a time it raises what it is asked for."""

    order, init_noise_sigma = 1, 1.0

    def __init__(self, config: Any) -> None:
        self.config = config
        self.output: Any = None
        self.timesteps: torch.Tensor | None = None

    def set_timesteps(
        self,
        num_inference_steps: Any = None,
        device: Any = None,
        timesteps: Any = None,
        sigmas: Any = None,
        mu: Any = None,
    ) -> None:
        """Put the one time on a device."""
        if self.timesteps is None:
            asked = {"num_inference_steps": num_inference_steps, "timesteps": timesteps, "sigmas": sigmas, "mu": mu}
            raise _Times({name: value for name, value in asked.items() if value is not None})
        self.timesteps = self.timesteps.to(device)

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Do nothing: there is one step."""

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """Return the sample."""
        return sample

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, return_dict: bool = True
    ) -> tuple[torch.Tensor]:
        """Keep the output."""
        self.output = model_output
        return (sample,)


@dataclass(frozen=True)
class Prompted:
    """A pipeline whose call takes a prompt and latents.

    Attributes
    ----------
    pipe
        The pipeline, which is not changed.
    given : mapping
        Arguments of its call, the same both ways.
    control
        Images that its ControlNets look at, shape (batch, 3, height, width), one or one for each net.
    """

    pipe: Any
    given: Mapping[str, Any] = field(default_factory=dict)
    control: Sequence[torch.Tensor] = ()
    words: ClassVar[str] = "prompt"

    def __post_init__(self) -> None:
        self._check(self.given)
        name, net = type(self.pipe).__name__, getattr(self.pipe, "controlnet", None)
        count = 0 if net is None else len(getattr(net, "nets", (net,)))
        refuse(
            (
                count != len(self.control) and not count,
                f"control_image= needs a ControlNet, and {name} has none: load the pipeline with controlnet=",
            ),
            (
                count != len(self.control),
                f"control_image has {len(self.control)} images, and {name} {count} ControlNets: pass one for each net",
            ),
        )
        for start, end in self._windows:
            refuse(
                (
                    not 0 <= start < end <= 1,
                    f"control_guidance_start={start:g}, control_guidance_end={end:g}: pass parts of the run that rise, from 0 to 1",
                )
            )

    def _check(self, arguments: Mapping[str, Any]) -> None:
        """Raise ValueError for arguments of the pipeline's call that it does not take, that are decided elsewhere or do nothing."""
        name, known = type(self.pipe).__name__, inspect.signature(self.pipe.__call__).parameters
        scale = {**self.given, **arguments}.get("true_cfg_scale", 1)
        unguided = "true_cfg_scale" in known and real("true_cfg_scale", scale) <= 1
        for key, value in arguments.items():
            texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
            refuse(
                (key in TAKEN, f"{key}= is not taken: {TAKEN.get(key)} decides it"),
                (key in WITHOUT, f"{key}= is not taken: {WITHOUT.get(key)}"),
                (key == "eta" and bool(value), f"eta={value} adds noise, which is not invertible: leave it out"),
                (key not in known, f"{key}= is not an argument of {name}: leave it out"),
                (
                    key == "negative_prompt" and not (texts or isinstance(value, str | None)),
                    f"negative_prompt={shown(value)} is not a text: pass one, or a list of them, one for each prompt",
                ),
                (
                    key.startswith("negative_") and value is not None and unguided,
                    f"{key}= does nothing in {name} without guidance by it: pass true_cfg_scale= above 1, too",
                ),
            )

    @property
    def _windows(self) -> list[tuple[float, float]]:
        """Begin and end of each ControlNet's part of a run; ValueError for another number of them."""
        parts = []
        for key, default in (("control_guidance_start", 0.0), ("control_guidance_end", 1.0)):
            given, count = self.given.get(key, default), len(self.control)
            ends = list(given) if isinstance(given, list | tuple) else [given] * count
            refuse(
                (
                    len(ends) != count,
                    f"{key} has {len(ends)} numbers for {count} ControlNets: pass one, or one for each",
                )
            )
            parts.append([real(key, end) for end in ends])
        return list(zip(*parts, strict=True))

    @property
    def network(self) -> Any:
        """The U-Net or the transformer."""
        return getattr(self.pipe, "unet", None) or self.pipe.transformer

    @property
    def codec(self) -> Codec:
        """The autoencoder."""
        return Codec(self.pipe.vae)

    @property
    def channels(self) -> int:
        """Of an image."""
        return int(self.pipe.vae.config.in_channels)

    @property
    def device(self) -> torch.device:
        """Where the pipeline computes, also while it is offloaded."""
        return torch.device(self.pipe._execution_device)

    @property
    def prediction(self) -> str:
        """What a run takes the network's output as."""
        return kind_of(read_config(self.pipe))

    @property
    def default_guidance(self) -> float:
        """That of the pipeline's call; 1 where the network has no embedding of it, as Flux-schnell."""
        if self._unguided:
            return 1.0
        return float(inspect.signature(self.pipe.__call__).parameters["guidance_scale"].default)

    @property
    def _unguided(self) -> bool:
        return (getattr(self.network, "config", None) or {}).get("guidance_embeds") is False

    def check_size(self, x: torch.Tensor) -> None:
        """Raise ValueError for images whose sides the autoencoder cannot halve, and for control images of another size."""
        high, wide, unit = *x.shape[-2:], self._unit
        for one in self.control:
            refuse(
                (
                    one.shape[-2:] != x.shape[-2:],
                    f"control_image is {one.shape[-1]}x{one.shape[-2]}, and the image {wide}x{high}: resize it to that",
                )
            )
        near = [max(unit, round(side / unit) * unit) for side in (wide, high)]
        if (wide, high) != tuple(near):
            raise ValueError(
                f"image is {wide}x{high}, and {type(self.pipe).__name__} takes sides that {unit} divides: resize it to {near[0]}x{near[1]}"
            )

    @property
    def _unit(self) -> int:
        patch = 2 if self._packs else int(getattr(self.pipe, "patch_size", 1))
        return int(self.pipe.vae_scale_factor) * patch

    def condition(self, given: Any) -> dict[str, Any]:
        """Return a prompt as arguments of the call: a text, a list of texts, one a state, or a mapping such as prompt_embeds=."""
        if isinstance(given, Mapping):
            self._check(given)
            return dict(given)
        refuse(
            (
                not isinstance(given, str | list | type(None))
                or (isinstance(given, list) and not all(isinstance(p, str) for p in given)),
                f"prompt={shown(given)} is not a text: pass one, or a mapping such as {{'prompt_embeds': ...}}",
            )
        )
        if "prompt_embeds" in self.given and given is None:
            return {}
        refuse(
            (
                getattr(self.pipe, "tokenizer", None) is None,
                f"{type(self.pipe).__name__} has no tokenizer, which a text needs: pass prompt={{'prompt_embeds': ...}}",
            )
        )
        return {"prompt": given or ""}

    def grid(self, steps: int, spacing: str | None, size: Sequence[int], condition: Any) -> tuple[Grid, Frame]:
        """Return the grid that the pipeline's own call makes for a drop-in scheduler, and how its network is evaluated."""
        changed = {} if spacing is None else {"timestep_spacing": one_of("grid", spacing, configs.SPACINGS)}
        entries = {**self.pipe.scheduler.config, "_class_name": type(self.pipe.scheduler).__name__}
        unclipped = {key: False for key in ("clip_sample", "thresholding") if entries.get(key)}
        sampler = BDIAScheduler.from_config(entries | unclipped | changed)
        z = torch.zeros(1, *size, dtype=self.network.dtype, device=self.device)
        arguments = {**self.condition(condition), **self._controls(0, 1)}
        self._count(arguments)
        try:
            self._run(self._copied(), z, arguments, num_inference_steps=steps)
        except _Times as asked:
            sampler.set_timesteps(**asked.args[0])
        grid: Any = sampler.grid
        return grid, sampler.frame

    def model(self, condition: Any, guidance: float, grid: Grid, frame: Frame) -> Ask:
        """Return the network under a prompt; see `Asked.ask`."""
        pipe, arguments = self._copied(), {**self.condition(condition), "guidance_scale": guidance}
        guides = hasattr(type(pipe), "do_classifier_free_guidance")
        refuse(
            (
                guides and guidance < 1,
                f"guidance_scale={guidance:g} acts as 1 in {type(pipe).__name__}, which guides above 1 only: pass 1 or more",
            ),
            (
                guidance != 1 and self._unguided,
                f"guidance_scale={guidance:g} does nothing here, since the network has no embedding of it: leave it out",
            ),
        )
        count, each = self._count(arguments), cache(lambda n: self._each(arguments, n))

        def ask(z: torch.Tensor, t: float) -> torch.Tensor:
            check_count("prompts", count, len(z))
            pipe.scheduler.timesteps = tensor_of([frame.told(t)], fractions=frame.fractions)
            # Samples that are z/alpha are scaled by alpha before the network is asked, so that it is given z.
            plain, schedule = frame.plain or frame.scaled, cast(Any, grid.schedule)
            level = (1.0, 1.0) if plain else (float(schedule.alpha(t)), float(schedule.sigma(t)))
            _, scaled, form = (1.0, 1.0, None) if plain else frame.at(level, level)
            controls = self._controls(slot_of(grid, t), grid.n)
            output = self._run(pipe, z * scaled, {**each(len(z) // count), **controls}, num_inference_steps=1)
            return output if form is None else form[0] * z + form[1] * output

        return ask

    def _each(self, arguments: Mapping[str, Any], n: int) -> dict[str, Any]:
        """Return arguments for n states of each prompt. Embeddings are repeated here, since StableDiffusion3Pipeline does not."""
        given = {**self.given, **arguments}
        embeds = {key: x for key, x in given.items() if key.endswith("prompt_embeds") and x is not None}
        if n == 1 or self.control or "prompt_embeds" not in embeds:
            return {**arguments, "num_images_per_prompt": n}
        return {**arguments, **{key: x.repeat_interleave(n, 0) for key, x in embeds.items()}}

    @property
    def embeds_alone(self) -> bool:
        """Whether a text is one embedding, `prompt_embeds`, and nothing besides."""
        return type(self.pipe).__name__ in ("StableDiffusionPipeline", "StableDiffusionControlNetPipeline")

    @torch.no_grad()
    def no_text(self, condition: Any) -> torch.Tensor:
        """Return the embedding of the negative prompt, or of no text."""
        given = {**self.given, **self.condition(condition)}
        if given.get("negative_prompt_embeds") is not None:
            return given["negative_prompt_embeds"]
        refuse(
            (
                getattr(self.pipe, "tokenizer", None) is None,
                "null-text needs the embedding of no text: pass negative_prompt_embeds=",
            )
        )
        return self.pipe.encode_prompt(given.get("negative_prompt") or "", self.device, 1, False)[0]

    def _count(self, arguments: Mapping[str, Any]) -> int:
        """Return how many prompts arguments hold; ValueError for other numbers of negative ones, and of control images, but one for all."""
        prompts = arguments.get("prompt_embeds", arguments.get("prompt", self.given.get("prompt_embeds")))
        count = 1 if prompts is None or isinstance(prompts, str) else len(prompts)
        against = arguments.get("negative_prompt", self.given.get("negative_prompt"))
        refuse(
            (
                isinstance(against, list) and len(against) != count,
                f"negative_prompt={shown(against)} are {len(against or ())}, and the prompts are {count}: pass one text, or one for each",
            )
        )
        for one in self.control:
            refuse(
                (
                    len(one) not in (1, count),
                    f"control_image is a batch of {len(one)}, and the prompts are {count}: pass one picture for all, or a prompt for each",
                )
            )
        return count

    def _controls(self, k: int, n: int) -> dict[str, Any]:
        """Return the arguments of the ControlNets in slot k of n, counted from noise; diffusers would count its one output."""
        if not self.control:
            return {}
        many = len(self.control) > 1
        # A window that ends before the one output is over turns a net off.
        on = [0.5 if k / n < start or (k + 1) / n > end else 1.0 for start, end in self._windows]
        image = "control_image" if "control_image" in inspect.signature(self.pipe.__call__).parameters else "image"
        return {
            image: list(self.control) if many else self.control[0],
            "control_guidance_start": [0.0] * len(on) if many else 0.0,
            "control_guidance_end": on if many else on[0],
        }

    def _run(self, pipe: Any, z: torch.Tensor, arguments: Mapping[str, Any], **own: Any) -> torch.Tensor:
        unit = int(self.pipe.vae_scale_factor)
        sizes = {"height": z.shape[-2] * unit, "width": z.shape[-1] * unit}
        # Without no_grad, so that gradients can be taken; the caller decides.
        call = inspect.unwrap(type(pipe).__call__)
        given = {
            key: value
            for key, value in self.given.items()
            if not (key in ("timesteps", "sigmas") and pipe.scheduler.timesteps is not None)
        }
        if "negative_prompt_embeds" in arguments:
            given.pop("negative_prompt", None)
        elif isinstance(arguments.get("prompt"), list) and isinstance(given.get("negative_prompt"), str):
            given["negative_prompt"] = [given["negative_prompt"]] * len(arguments["prompt"])
        elif isinstance(arguments.get("prompt"), str) and isinstance(given.get("negative_prompt"), list):
            (given["negative_prompt"],) = given["negative_prompt"]
        try:
            call(pipe, **{**given, **arguments, **sizes, **own}, latents=self._packed(z), output_type="latent")
        except (RuntimeError, MemoryError, ValueError, TypeError, LookupError, AttributeError) as error:
            if is_out_of_memory(error):
                raise
            name, said = type(pipe).__name__, " ".join((str(error).strip() or type(error).__name__).split())
            raise ValueError(
                f"{name} cannot be called with {', '.join({**given, **arguments}) or 'nothing'} at {tuple(z.shape)} ({said[:200]}): "
                f"pass what its own call takes, and embeddings in {str(z.dtype).removeprefix('torch.')}"
            ) from error
        return self._unpacked(pipe.scheduler.output, z)

    @property
    def _packs(self) -> bool:
        return hasattr(self.pipe, "_pack_latents")

    def _packed(self, z: torch.Tensor) -> torch.Tensor:
        return self.pipe._pack_latents(z, *z.shape) if self._packs else z

    def _unpacked(self, output: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        if not self._packs:
            return output
        unit = int(self.pipe.vae_scale_factor)
        return self.pipe._unpack_latents(output, z.shape[-2] * unit, z.shape[-1] * unit, unit)

    def _copied(self) -> Any:
        """Return a copy of the pipeline with a scheduler of one step, which encodes each prompt and each image once."""
        made = copy.copy(self.pipe)
        own: dict[str, Any] = {"scheduler": OneOutput(self.pipe.scheduler.config)}
        own["_progress_bar_config"] = {**getattr(self.pipe, "_progress_bar_config", {}), "disable": True}
        own |= {name: _once(getattr(made, name)) for name in _REPEATED if hasattr(made, name)}
        made.__dict__.update(own)
        return made


_REPEATED = ("encode_prompt", "prepare_image", "prepare_ip_adapter_image_embeds")
"""Methods of pipelines that make the same of the same arguments at each call."""


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that remembers its results; tensors among its arguments are the same if they are the same object."""
    kept: dict[str, Any] = {}

    def remembered(*arguments: Any, **named: Any) -> Any:
        key = str(_mark((*arguments, *named.items())))
        if key not in kept:
            kept[key] = (
                function(*arguments, **named),
                arguments,
                named,
            )  # held, so that no other object gets the identity
        return kept[key][0]

    return remembered


def _mark(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return [_mark(part) for part in x]
    return id(x) if isinstance(x, torch.Tensor) else repr(x)


def check_count(name: str, count: int, images: int) -> None:
    """Raise ValueError unless there is one prompt or label for all images, or as many for each."""
    refuse((images % count != 0, f"{name} are {count}, and the images {images}: pass one for all, or one for each"))


def slot_of(grid: Grid, t: float) -> int:
    """Return the slot, counted from the noise end, that begins at a time or has it inside; the last one at the data end."""
    times = np.maximum(np.asarray(grid.t, dtype=float), 0.0)
    # A time that was computed twice differs by rounding in float64, and slots are far longer than 1e-9 of a time.
    i = int(np.searchsorted(times, t - 1e-9 * abs(t)))
    return min(grid.n - min(max(i, 0), grid.n), grid.n - 1)


def read_config(pipe: Any) -> configs.SchedulerConfig:
    """Return the configuration of a pipeline's scheduler."""
    return configs.from_mapping({**pipe.scheduler.config, "_class_name": type(pipe.scheduler).__name__})
