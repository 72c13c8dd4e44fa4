"""One image inverted, to be reconstructed and edited: the call, what it returns, and its file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.inversion import Method
from bdia_numerics.runs.solving import DERIVED, encoding, has_inverse, resumed
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Status
from bdia_numerics.solvers import BDIA
from bdia_numerics.texts import one_of, real, refuse, shown, whole
from bdia_numerics.torch.editing import report as reports
from bdia_numerics.torch.editing.files import read_file, write_file
from bdia_numerics.torch.editing.images import pictures, pixels
from bdia_numerics.torch.editing.methods import BySolver, Encoded, Setting, Way, shortened, way_of
from bdia_numerics.torch.editing.pipelines import Labelled, adapted
from bdia_numerics.torch.editing.prompted import Prompted, check_count
from bdia_numerics.torch.schedulers.warning import foreseen
from bdia_numerics.torch.tensors import has_float64, space_of

GAMMA_1 = BDIA()


@dataclass(frozen=True)
class Edited:
    """What a run from the latents of an inversion leads to.

    Attributes
    ----------
    prompt
        Or labels, or what took their place.
    latents : tensor
        Of the images, shape (batch, *data), in the dtype of the inversion.
    images : tensor
        Shape (batch, channels, height, width), values from 0 to 1, float64 on the CPU; NaN where the run was not finite.
    nfe : int
        Evaluations of the network.
    seconds : float
        Wall-clock time of the run.
    status : Status
        Whether all states were finite.
    """

    prompt: Any
    latents: torch.Tensor
    images: torch.Tensor
    nfe: int
    seconds: float
    status: Status

    def pil(self) -> list[Any]:
        """Return the images as PIL images; ValueError where the run was not finite."""
        refuse((not self.status.ok, f"no image came back, {self.status}: take a smaller guidance_scale, or float32"))
        return pictures(self.images)


@dataclass(frozen=True)
class Inversion:
    """An image at the noise end of a pipeline's grid, with all that the way back needs.

    Attributes
    ----------
    setting : Setting
        The pipeline, its grid, and its evaluations so far.
    way : Way
        The solver or the baseline.
    kept : Encoded
        What the way back begins from.
    source : tensor
        The image, shape (batch, channels, height, width), values from 0 to 1; with the noise of `dequantise="level"`, cut to these.
    data : tensor
        Its latents at the data end, from which the run began.
    condition
        Prompt, labels, or what took their place.
    guidance : float
        Scale of the inversion.
    record : mapping
        Arguments of the call that a file holds.
    nfe : int
        Evaluations of the inversion.
    seconds : float
        Its wall-clock time.
    """

    setting: Setting
    way: Way
    kept: Encoded
    source: torch.Tensor
    data: torch.Tensor
    condition: Any
    guidance: float
    record: Mapping[str, Any]
    nfe: int
    seconds: float

    @property
    def latents(self) -> torch.Tensor:
        """The latents z_N, shape (batch, *data)."""
        return self.kept.z

    @property
    def state(self) -> State | None:
        """Registers of the solver at the noise end; None where the inversion is not exact."""
        return self.kept.state if self.exact else None

    @property
    def exact(self) -> bool:
        """Whether the way to noise was the derived inverse of the way back."""
        return self.kept.inversion == DERIVED

    def reconstruct(self) -> Edited:
        """Return to the image under the prompt or label that it was inverted under."""
        return self._run(self.kept, self.condition, self.guidance)

    def edit(
        self, prompt: Any = None, *, guidance_scale: float | None = None, labels: Any = None, batched: bool = False
    ) -> Any:
        """Return to data under another prompt or label.

        Parameters
        ----------
        prompt
            A text; a mapping of the pipeline's own arguments in its place, such as prompt_embeds; or a list of either.
        guidance_scale
            That of the inversion by default.
        labels
            In place of a prompt for networks of labels: one, or a list.
        batched
            Run a list at once. The network then rounds otherwise than in the inversion, which a warning estimates.

        Returns
        -------
        Edited or list of Edited
            A list for a list.

        Raises
        ------
        ValueError
            For a prompt where labels are wanted and the other way round, and for a baseline that is to run a list at once.
        """
        wanted = self._one_of(prompt, labels)
        guidance = self.guidance if guidance_scale is None else real("guidance_scale", guidance_scale)
        if not isinstance(wanted, list):
            return self._run(self.kept, wanted, guidance)
        if not batched or not wanted:
            return [self._run(self.kept, one, guidance) for one in wanted]
        return self._at_once(wanted, guidance)

    def report(
        self,
        *,
        fine: int = 0,
        edits: Sequence[Edited] | Edited = (),
        mask: Any = None,
        repeats: bool = True,
        reconstruction: Edited | None = None,
    ) -> reports.Report:
        """Return how well that and the edits went; see `Report`.

        Parameters
        ----------
        fine
            Slots of RK4 for the network's own ODE, 4 or more, each of seven evaluations in all; 0 leaves the distance of the latents out.
        edits
            One result of `edit`, or several, whose distance from the source is measured.
        mask
            An image that is white where an edit may change the source; without one all of the image counts.
        repeats
            Whether to measure how repeatable the network is, by some ten evaluations.
        reconstruction
            What `reconstruct` returned; it is run if that is not given.
        """
        back = self.reconstruct() if reconstruction is None else reconstruction
        every = [edits] if isinstance(edits, Edited) else edits
        given: Sequence[Any] = every
        if strange := [one for one in given if not isinstance(one, Edited)]:
            raise TypeError(f"edits has {shown(strange[0])}, which is no result of edit(): pass these")
        return reports.report_of(self, back, fine=whole("fine", fine), edits=every, mask=mask, repeats=repeats)

    def save(self, path: str | Path) -> None:
        """Write the inversion to a file of safetensors, whose header has the rest as JSON; what stood there stays until all is written.

        Raises
        ------
        ValueError
            For a method, a solver of one's own or an argument of the pipeline that has no text.
        """
        write_file(path, self)

    @classmethod
    def load(cls, path: str | Path, pipe: Any, *, watch: Callable[[], None] | None = None) -> Inversion:
        """Read an inversion that `save` wrote, to go on with the same pipeline.

        Raises
        ------
        ValueError
            For a file that is none, of a later version, or of another pipeline, scheduler or weights.
        """
        return cls(**read_file(path, pipe, watch or (lambda: None)))

    def _one_of(self, prompt: Any, labels: Any) -> Any:
        words = self.setting.pipe.words
        given = {"prompt": prompt, "labels": labels}
        other = given.pop("labels" if words == "prompt" else "prompt")
        refuse(
            (
                other is not None,
                f"{'labels' if words == 'prompt' else 'prompt'}={shown(other)}: this network takes {words}= instead",
            ),
        )
        return given[words]

    def _run(self, kept: Encoded, condition: Any, guidance: float) -> Edited:
        setting = self.setting
        before, begun = setting.evaluations, time.perf_counter()
        found = self.way.back(setting, kept, condition, guidance)
        images = setting.pipe.codec.decode(found.z)
        if not found.status.ok:  # it stopped on its way, with infinite values that are cut to black and white
            images = torch.full_like(images, torch.nan)
        seconds, nfe = time.perf_counter() - begun, setting.evaluations - before
        if not nfe:
            said = (
                "the way back evaluates nothing, since the registers at the noise end have all that its one step takes"
            )
            warnings.warn(f"{said}: no prompt changes the image, take more steps or strength", stacklevel=3)
        return Edited(condition, found.z, images, nfe, seconds, found.status)

    def _at_once(self, wanted: list[Any], guidance: float) -> list[Edited]:
        state, count, images = self.kept.state, len(wanted), len(self.data)
        if not isinstance(self.way, BySolver) or state is None:
            raise ValueError(
                "batched=True repeats the registers of a solver, and this baseline keeps more: pass batched=False"
            )
        joined = _joined(wanted, images, self.setting.pipe)
        registers = {name: z.repeat(count, *[1] * (z.ndim - 1)) for name, z in state.registers.items()}
        kept = replace(
            self.kept,
            z=self.kept.z.repeat(count, *[1] * (self.kept.z.ndim - 1)),
            state=replace(state, registers=registers),
        )
        course = resumed(self.way.solver, self.setting.grid, self.setting.pipe.prediction)
        sample = kept.z.to(self.setting.pipe.network.dtype)
        if said := foreseen(course, sample, kept.z.dtype, images):
            warnings.warn(said, stacklevel=4)
        found = self._run(kept, joined, guidance)
        return [
            replace(found, prompt=one, latents=z, images=x)
            for one, z, x in zip(
                wanted, torch.split(found.latents, images), torch.split(found.images, images), strict=True
            )
        ]


def _joined(wanted: list[Any], images: int, pipe: Prompted | Labelled) -> Any:
    """Return several prompts, labels or mappings as those of one batch, each for as many states as there are images."""
    if isinstance(pipe, Labelled):
        each = [pipe.condition(one) or [one] for one in wanted]
        for labels in each:
            check_count("labels", len(labels), images)
        return [label for labels in each for label in labels * (images // len(labels))]
    mappings = [one for one in wanted if isinstance(one, Mapping)]
    shapes = [{key: tuple(getattr(x, "shape", ())[1:]) for key, x in one.items()} for one in mappings]
    tensors = all(isinstance(x, torch.Tensor) for one in mappings for x in one.values())
    alike = len(mappings) in (0, len(wanted)) and all(one == shapes[0] for one in shapes)
    refuse(
        (
            not (tensors and alike),
            "batched=True joins texts, or mappings of the same keys to tensors of one shape: pass batched=False",
        )
    )
    return {key: torch.cat([one[key] for one in mappings]) for key in mappings[0]} if mappings else wanted


def invert(
    pipe: Any,
    image: Any,
    prompt: Any = None,
    *,
    solver: Solver | str = GAMMA_1,
    steps: int = 40,
    guidance_scale: float | None = None,
    strength: float = 1.0,
    negative_prompt: str | None = None,
    control_image: Any = None,
    labels: Any = None,
    generator: torch.Generator | int = 0,
    method: Method | None = None,
    grid: str | None = None,
    dequantise: bool | str = False,
    watch: Callable[[], None] | None = None,
    **pipeline_arguments: Any,
) -> Inversion:
    """Take an image to the noise end of a pipeline's grid.

    Parameters
    ----------
    pipe
        A StableDiffusionPipeline (1 and 2) or StableDiffusionXLPipeline, also with ControlNets; a StableDiffusion3Pipeline or FluxPipeline;
        a DDPMPipeline, DDIMPipeline or DiTPipeline; or a network that `load` returned. It is not changed.
    image
        A PIL image, its path, an array, a tensor with values from 0 to 1, or a list of images of one size.
    prompt
        What the image shows, in words: the closer, the better do edits keep its layout. A mapping of the pipeline's own arguments, such as
        prompt_embeds, may take its place.
    solver
        Exactly invertible, such as BDIA(0.96); or a name of `BASELINES`; or a text as the command line takes it.
    steps
        Slots of the pipeline's grid.
    guidance_scale
        Both ways; by default that of the pipeline's call, and for networks of labels 2 where a label for none is known.
    strength
        Part of the grid from the data end that is used, in (0, 1], as in image-to-image pipelines: less keeps more of the image.
    negative_prompt
        Both ways.
    control_image
        What the ControlNets look at, both ways; one image for each.
    labels
        Of the images, for networks of labels.
    generator
        Draws the noise of dequantisation and of edit-friendly DDPM inversion; or a seed.
    method
        An inversion in place of the derived inverse, or of that which `encode` takes.
    grid
        A spacing of times in place of that of the scheduler's configuration, such as "trailing". For networks of labels it is any name of
        a grid, and "trailing" by default, which suits gamma = 1.
    dequantise
        Noise that hides the steps between grey levels, which a latent would show. "level" (or True) adds to each value what rounding to
        8 bits removes, at most half a grey level, 1/510: the picture that comes back is the given one once it is rounded. "noise" adds
        to the latents at the data end the least noise of the network's training, as all that it was trained on has it: the latents are
        then most like noise, and the picture that comes back has it.
    watch
        Called at each evaluation of the network.
    pipeline_arguments
        More arguments of the pipeline's call, the same both ways, such as guidance_rescale or control_guidance_end.

    Returns
    -------
    Inversion

    Raises
    ------
    ValueError
        In one line, for a pipeline that is not known or lacks a part, an image of another size, arguments that do not fit the pipeline,
        and a run whose states are not finite.

    Warns
    -----
    UserWarning
        Where the solver's inverse makes latents useless on this grid, or rounding is expected to be seen in what comes back.

    Examples
    --------
    >>> import torch
    >>> from bdia_numerics.torch import load
    >>> from bdia_numerics.torch.editing import invert
    >>> inv = invert(load(), torch.zeros(1, 28, 28), labels=1, steps=4)
    >>> bool((inv.reconstruct().latents.float() == inv.data.float()).all())
    True
    """
    if negative_prompt is not None:
        pipeline_arguments["negative_prompt"] = negative_prompt
    taken = adapted(pipe, pipeline_arguments, control_image)
    steps, strength = whole("steps", steps, 1), real("strength", strength)
    refuse(
        (
            not 0 < strength <= 1,
            f"strength={strength:g} is not in (0, 1]: pass the part of the run that is to be inverted",
        ),
        (int(steps * strength) < 1, f"strength={strength:g} of {steps} steps is not one step: pass more of either"),
    )
    way = way_of(solver, method)
    condition = _condition(taken, prompt, labels)
    x = pixels("image", image, taken.channels)
    taken.check_size(x)
    if not isinstance(generator, torch.Generator):
        generator = torch.Generator().manual_seed(whole("generator's seed", generator))
    if dequantise is True or dequantise == "level":
        noise = torch.rand(x.shape, generator=generator, dtype=x.dtype) - 0.5
        x = x + noise / 255  # beyond [0, 1], too: what is black in all of a picture would stay so in half of it
    elif dequantise is not False:
        one_of("dequantise", dequantise, ("level", "noise"))
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    wide = torch.float64 if has_float64(taken.device) else torch.float32
    data = taken.codec.encode(x.to(taken.device, wide))
    full, frame = taken.grid(steps, grid, data.shape[1:], condition)
    if dequantise == "noise":
        alpha, sigma = _least(full)
        data = alpha * data + sigma * torch.randn(data.shape, generator=generator, dtype=data.dtype).to(data)
    # What the network sees first, and what comes back, are numbers of its own dtype.
    # They lie in memory as a file gives them back, since a network rounds otherwise in another layout.
    data = data.to(taken.network.dtype).to(wide).contiguous()
    setting = Setting(taken, shortened(full, strength), frame, watch or (lambda: None))
    guidance = taken.default_guidance if guidance_scale is None else real("guidance_scale", guidance_scale)
    _warn(way, setting, data)
    begun = time.perf_counter()
    kept = way.there(setting, data, condition, guidance, seed)
    if not bool(kept.z.isfinite().all()):
        raise ValueError(
            f"image does not go to noise, {kept.status}: take a gamma or p nearer to 1, fewer steps, a smaller guidance_scale, "
            "or a network in float32"
        )
    record = {
        "solver": solver, "method": method, "steps": steps, "strength": strength, "grid": grid, "control": getattr(taken, "control", ()),
        "given": dict(getattr(taken, "given", {})),
    }  # fmt: skip
    seconds = time.perf_counter() - begun
    source = x.clamp(0, 1)
    return Inversion(setting, way, kept, source, data, condition, guidance, record, setting.evaluations, seconds)


def _least(grid: Grid) -> tuple[float, float]:
    """Return alpha and sigma of the least noise of the training, or of the grid's data end if that has more."""
    alpha, sigma = (float(level[0]) for level in (grid.alpha, grid.sigma))
    if not sigma and grid.schedule is not None:
        alpha, sigma = (
            float(level(float(grid.schedule.t_min))) for level in (grid.schedule.alpha, grid.schedule.sigma)
        )
    refuse((not sigma, "dequantise='noise': the training of this network went down to clean data, use 'level'"))
    return alpha, sigma


def _condition(taken: Prompted | Labelled, prompt: Any, labels: Any) -> Any:
    prompts = taken.words == "prompt"
    refuse(
        (prompts and labels is not None, f"labels={shown(labels)}: this pipeline takes prompt= instead"),
        (not prompts and prompt is not None, f"prompt={shown(prompt)}: this network takes labels= instead"),
    )
    taken.condition(prompt if prompts else labels)  # refuses what is neither
    return prompt if prompts else labels


def _warn(way: Way, setting: Setting, x: torch.Tensor) -> None:
    """Say before the run what is known of it."""
    solver, grid, kind = way.solver, setting.grid, setting.pipe.prediction
    space: Any = space_of(x)
    if not isinstance(way, BySolver) or way.method is not None or not has_inverse(solver, grid, kind, space):
        return
    if grid.n <= structure(solver).depth:
        return
    if said := foreseen(encoding(solver, grid, kind), x.to(setting.pipe.network.dtype), x.dtype, None):
        warnings.warn(said, stacklevel=3)
