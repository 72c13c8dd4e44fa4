"""Steps of DDIMScheduler: from any timestep, in any order, with its clipping, thresholding and eta. The step itself is our DDIM program."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor

from bdia_numerics import grids
from bdia_numerics.grids import Point
from bdia_numerics.models import eps_form, x0_form
from bdia_numerics.runs.solving import resumed
from bdia_numerics.runs.stepwise import Course, Stepwise
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces import Memory, Scalar
from bdia_numerics.torch.tensors import space_of

Clip = Callable[[torch.Tensor], torch.Tensor]


def predicted(form: tuple[Scalar, Scalar], z: torch.Tensor, output: torch.Tensor, space: Memory) -> torch.Tensor:
    """Return a z + b output for a form (a, b) of `models`."""
    a, b = float(form[0]), float(form[1])
    terms = [(c, x) for c, x in ((a, z), (b, output)) if c != 0] or [(b, output)]
    return space.combine(*zip(*terms, strict=True))


@dataclass(frozen=True)
class DDIMStep:
    """One step between two noise levels.

    Attributes
    ----------
    kind : str
        What the model predicts.
    start, end : Point
        The levels; of equal ones there is nothing to do.
    noise : float
        Standard deviation of the fresh noise that the caller adds afterwards (eta > 0); the step then ends at sigma^2 - noise^2.
    clip
        Applied to the data prediction. The program is then given v = alpha eps - sigma x0, whose conversions divide by nothing small.
    """

    kind: str
    start: Point
    end: Point
    noise: float = 0.0
    clip: Clip | None = None

    @cached_property
    def course(self) -> Course | None:
        """The run of one slot."""
        if self.noise == 0 and self.start[1:3] == self.end[1:3]:
            return None
        sigma = math.sqrt(max(self.end.sigma**2 - self.noise**2, 0.0))
        grid = grids.from_values((0.0, 1.0), (self.end.alpha, self.start.alpha), (sigma, self.start.sigma))
        return resumed(DDIM(), grid, self.kind if self.clip is None else "v")

    def __call__(
        self, output: torch.Tensor, z: torch.Tensor, *, clipped_output: bool = False, preview: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor | None, bool]:
        """Return the state at the end of the step, the data prediction, and whether the state is finite.

        Parameters
        ----------
        output
            Of the model at z.
        z
            State at the start, of shape (batch, *data).
        clipped_output
            Whether eps is computed anew from the clipped prediction; as the model gave it otherwise.
        preview
            Whether the data prediction is wanted; None where it is not, nor clipped.
        """
        alpha, sigma = self.start.alpha, self.start.sigma
        space = space_of(z)
        x0 = None
        if preview or self.clip is not None:
            x0 = predicted(x0_form(self.kind, self.start), z, output, space)
        if self.clip is not None and x0 is not None:
            eps = predicted(eps_form(self.kind, self.start), z, output, space)
            x0 = self.clip(x0)
            if clipped_output:
                eps = (z - alpha * x0) / sigma
            # The step is taken from the state that belongs to the clipped prediction.
            z, output = alpha * x0 + sigma * eps, alpha * eps - sigma * x0
        if self.course is None:
            return z, x0, bool(space.finite(z))
        run = Stepwise(self.course, {"z": z}, space)
        run.feed(output)
        return run.value, x0, run.status.ok

    def noised(
        self, output: torch.Tensor, z: torch.Tensor, noise: tuple[Any, Any], **options: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, bool]:
        """Return the same with the fresh noise added, of a generator or as it is given: `noise` has both."""
        prev, x0, finite = self(output, z, **options)
        if self.noise:
            prev = added_noise(prev, self.noise, *noise)
            finite = bool(space_of(prev).finite(prev))
        return prev, x0, finite


def ddim_step(kind: str, start: Point, end: Point, eta: float, clip: Clip | None) -> DDIMStep:
    """Return the step between two levels with DDIMScheduler's eta."""
    return DDIMStep(kind, start, end, eta * fresh(start, end) if eta else 0.0, clip)


def clip_of(config: Mapping[str, Any], threshold: Clip) -> Clip | None:
    """Return what a configuration does to the data prediction; None where it leaves it alone."""
    if config["thresholding"]:
        return threshold
    if config["clip_sample"] or config["clip_sample"] is None:
        return lambda x0: x0.clamp(-config["clip_sample_range"], config["clip_sample_range"])
    return None


def added_noise(
    z: torch.Tensor, deviation: float, generator: torch.Generator | None, given: torch.Tensor | None
) -> torch.Tensor:
    """Return the state with fresh noise of a standard deviation; ValueError if both a generator and the noise are given."""
    if given is not None and generator is not None:
        raise ValueError("generator and variance_noise are both given: pass one of them")
    noise = randn_tensor(z.shape, generator=generator, device=z.device, dtype=z.dtype) if given is None else given
    return z + deviation * noise


def fresh(start: Point, end: Point) -> float:
    """Return the standard deviation of the noise that a step adds for eta = 1 (Song et al. 2021, eq. 16)."""
    return float(end.sigma / start.sigma) * math.sqrt(max(1 - (start.alpha / end.alpha) ** 2, 0.0))
