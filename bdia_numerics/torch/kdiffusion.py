"""Any solver as a sampler that k-diffusion and ComfyUI call, and its exact inverse.

Such a sampler is given a denoiser, whose ``model(x, sigma, **extra_args)`` returns the clean data, states x = z/alpha and falling sigmas of
x = x0 + sigma noise. It solves dx/dsigma = (x - denoised)/sigma, which flow matching also is where sigma is its time and x its state.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from tqdm import tqdm

from bdia_numerics import grids, schedules
from bdia_numerics.analysis.perturbation.repeated import latent_error
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.solving import encoding, inverting, resumed, sampling
from bdia_numerics.runs.state import State, check_state
from bdia_numerics.runs.stepwise import USELESS, Course, Stepwise
from bdia_numerics.spaces.values import of_kind
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.tensors import Tensors, has_float64, space_of

KIND = "eps"
"""What a run takes (x - denoised)/sigma as: at sigma = 0 the data prediction would leave the noise open."""
CLOSE = 8
"""Roundings that a host may make between two runs: ComfyUI multiplies latents by a factor, adds a shift, and undoes both."""


@dataclass(eq=False)
class KDiffusionSampler:
    """A solver in the calling convention of k-diffusion: what `sampler` and `unsampler` return.

    Attributes
    ----------
    solver : Solver
        What is run.
    noise_end : bool
        Whether it goes from data to noise.
    state : State or None
        All registers at the end of the last run, from which the opposite sampler starts exactly.
    """

    solver: Solver
    noise_end: bool = False
    state: State | None = field(init=False, default=None)
    _source: State | KDiffusionSampler | None = field(init=False, default=None, repr=False)

    def start_from(self, source: State | KDiffusionSampler | None) -> None:
        """Let every run from now on begin from a State instead of from x alone, until another is given.

        Parameters
        ----------
        source
            The State of an opposite run on the same sigmas; or the opposite sampler itself, whose `state` is read when the run begins, so
            that both can be made before either runs; None takes it back.

        Raises
        ------
        TypeError
            For anything else.
        ValueError
            For a sampler of the same direction.
        """
        if not isinstance(source, State | KDiffusionSampler | None):
            raise TypeError(f"source={shown(source)}: pass the opposite sampler, or its .state")
        if isinstance(source, KDiffusionSampler) and source.noise_end == self.noise_end:
            raise ValueError("source goes the same way: pass the opposite sampler, an unsampler to a sampler")
        self._source = source

    def __call__(
        self,
        model: Callable[..., torch.Tensor],
        x: torch.Tensor,
        sigmas: Any,
        extra_args: Mapping[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], object] | None = None,
        disable: bool | None = None,
    ) -> torch.Tensor:
        """Run from x to the other end of the sigmas.

        Parameters
        ----------
        model
            ``model(x, sigma, **extra_args)`` returns the denoised states; sigma has shape (batch,). It is evaluated at registers rounded to
            the dtype of x.
        x
            z/alpha at the end where the run begins, shape (batch, *data). From a State, the register that the opposite run returned.
        sigmas
            N+1 levels, falling, the last one may be 0; an unsampler takes them in either order. At sigma = 0, where a denoiser says nothing
            on the noise, the model is told the least positive one: the runs that ask there are those of an unsampler from x alone, and of
            solvers that evaluate at the end of a slot.
        extra_args
            More arguments of the model.
        callback
            Called in each slot after its first evaluation with a dict of x, i (slots before this one), sigma, sigma_hat (the same) and
            denoised; what it writes into them has no effect.
        disable
            True hides the progress bar, which is shown on terminals only.

        Returns
        -------
        tensor
            z/alpha at the other end, of the shape and dtype of x.

        Raises
        ------
        TypeError
            For a model that cannot be called or returns no tensor, and for states that are not a tensor of floats.
        ValueError
            For sigmas that do not fall, states that are not finite, and a State of other sigmas, of another solver or of other states.
        """
        of_kind("model", "model", model)
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"x={shown(x)} is not a tensor: pass states of shape (batch, *data)")
        refuse((not space_of(x).finite(x), "x holds NaN or infinite values: pass finite states"))
        grid = _grid(self._levels(sigmas))
        space: Any = Tensors(torch.float64 if has_float64(x.device) else torch.float32, x.device)
        course, registers = self._begun(grid, x, space)
        run, slot = Stepwise(course, registers, space, stops=True), -1
        least = next(t for t in grid.t.tolist() if t > 0)
        # x + s (x - denoised)/s, the first state of an unsampler, may lie half-way between two numbers of the dtype of x, where the last
        # digit of a register would decide how it is rounded: a seventh of a unit on top moves the boundaries away from there.
        tilt = 1.0 if x.dtype == space.dtype else 1 + torch.finfo(x.dtype).eps / 7
        with torch.no_grad(), tqdm(total=len(course.calls), disable=disable or not sys.stderr.isatty()) as bar:
            while run.call is not None:
                z, t = run.asks  # type: ignore[misc]  # which it has while it waits for an output
                asked, sigma = (z * tilt).to(x.dtype), max(float(t), least)
                denoised = model(asked.clone(), asked.new_full((len(asked),), sigma), **(extra_args or {}))
                if not isinstance(denoised, torch.Tensor):
                    raise TypeError(f"model returned a {type(denoised).__name__}: return the denoised states, a tensor")
                if denoised.shape != x.shape:
                    raise ValueError(
                        f"model returned shape {tuple(denoised.shape)} for x of shape {tuple(x.shape)}: return the denoised states"
                    )
                reached = [held.time for held in run.plan.stages[run.completed].held.values()]
                now = max(reached) - 1 if self.noise_end else grid.n - 1 - min(reached)
                run.feed((asked.to(z.dtype) - denoised.to(z.dtype)) / sigma)
                bar.update()
                if callback is not None and now > slot:
                    level = (sigmas if isinstance(sigmas, torch.Tensor) else x).new_tensor(sigma)
                    callback({"x": asked, "i": now, "sigma": level, "sigma_hat": level, "denoised": denoised})
                slot = max(slot, now)
        if not run.status.ok:
            warnings.warn(f"{shown(self.solver)}: {run.status}: take other sigmas, or another solver", stacklevel=2)
        self.state = run.state
        found: torch.Tensor = run.value
        return found.to(x.dtype)

    def _levels(self, sigmas: Any) -> tuple[float, ...]:
        """Return the sigmas as floats, falling."""
        given = [float(s) for s in (sigmas.tolist() if hasattr(sigmas, "tolist") else sigmas)]
        rise = len(given) > 1 and given[0] < given[-1]
        falling = given[::-1] if rise and self.noise_end else given
        refuse(
            (len(given) < 2, f"sigmas has {len(given)} levels: pass two or more"),
            (
                not all(math.isfinite(s) and s >= 0 for s in given),
                f"sigmas={shown(given)}: pass finite levels, none below 0",
            ),
            (
                rise and not self.noise_end,
                f"sigmas={shown(given)} rise: pass them falling, or use unsampler to go to the noise",
            ),
            (
                any(a <= b for a, b in pairwise(falling)),
                f"sigmas={shown(given)} do not fall strictly: leave out those that repeat",
            ),
        )
        return tuple(falling)

    def _begun(self, grid: Grid, x: torch.Tensor, space: Any) -> tuple[Course, dict[str, torch.Tensor]]:
        """Return the run and the registers with which it begins."""
        solver, source = self.solver, self._source
        if source is None:
            course = (encoding if self.noise_end else sampling)(solver, grid, KIND, space)
            if self.noise_end and (error := latent_error(solver, grid) / float(grid.sigma[-1])) > USELESS:
                warnings.warn(
                    f"{shown(solver)} on these {grid.n} slots: latents of Gaussian data are wrong by {error:.0e} times their size: take a "
                    "gamma or p nearer to 1, fewer steps, or another solver",
                    stacklevel=3,
                )
            return course, {"z": x.to(space.dtype)}
        state = source.state if isinstance(source, KDiffusionSampler) else source
        if state is None:
            raise ValueError("the sampler to start from has not run: run it first, or call start_from(None)")
        other = "state is of other sigmas: pass those of the run that made it (FlipSigmas of ComfyUI writes 0.0001 in place of 0)"
        refuse((state.grid != grid.root, other))
        check_state(state, solver, grid, 0 if self.noise_end else grid.n - structure(solver).depth, KIND)
        slack = CLOSE * torch.finfo(x.dtype).eps
        registers = {name: z.to(x.device, space.dtype) for name, z in state.registers.items()}
        near = (z.shape == x.shape and (z - x).abs().max() <= slack * z.abs().max() for z in registers.values())
        refuse((not any(near), "x is not what the opposite run returned: pass that, or call start_from(None)"))
        return (inverting if self.noise_end else resumed)(solver, grid, KIND, space), registers


@lru_cache(maxsize=8)
def _grid(levels: tuple[float, ...]) -> Grid:
    """Return the grid of falling sigmas at alpha = 1, whose times they are; it keeps the plans of the runs before."""
    return grids.from_timesteps(schedules.edm(), levels)


def sampler(solver: Solver) -> KDiffusionSampler:
    """Return a solver as a function ``sample(model, x, sigmas, extra_args=None, callback=None, disable=None)`` of k-diffusion.

    `DDIM()` is sample_euler, `Heun()` sample_heun, `DPMSolverPP()` sample_dpmpp_2m and `DEIS(4, "sigma_bar")` sample_lms, whose
    namesakes add no noise; `BDIA(0)` is sample_euler, too.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.

    Returns
    -------
    KDiffusionSampler
        The function, with `start_from` for a State or an `unsampler`.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> import torch
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.torch.kdiffusion import sampler, unsampler
    >>> there, back = unsampler(BDIA()), sampler(BDIA())
    >>> back.start_from(there)
    >>> image, sigmas = torch.ones(1, 3), [14.6, 3.0, 0.5, 0.0]
    >>> denoiser = lambda x, sigma: x / (1 + sigma[:, None] ** 2)
    >>> back(denoiser, there(denoiser, image, sigmas), sigmas)
    tensor([[1., 1., 1.]])
    """
    structure(solver)
    return KDiffusionSampler(solver)


def unsampler(solver: Solver) -> KDiffusionSampler:
    """Return the exact inverse of `sampler`, which takes data to noise in the same calling convention.

    From x alone the first registers are made by DDIM steps towards the noise; from a State (`start_from`) it is the exact inverse of the
    run that left it. A sampler that starts from this one returns to x but for rounding.

    Parameters
    ----------
    solver
        An exactly invertible one.

    Returns
    -------
    KDiffusionSampler
        A function of ``(model, x, sigmas)``, with `start_from` for a State.

    Raises
    ------
    NotInvertibleError
        (a ValueError) for others, with the reason.
    TypeError
        For what is not a solver.

    Examples
    --------
    >>> import torch
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.torch.kdiffusion import sampler, unsampler
    >>> there, back = unsampler(BDIA()), sampler(BDIA())
    >>> back.start_from(there)
    >>> image, sigmas = torch.ones(1, 3), [14.6, 3.0, 0.5, 0.0]
    >>> denoiser = lambda x, sigma: x / (1 + sigma[:, None] ** 2)
    >>> back(denoiser, there(denoiser, image, sigmas), sigmas)
    tensor([[1., 1., 1.]])
    """
    inverting(solver, grids.karras(schedules.edm(), structure(solver).depth + 3), KIND)
    return KDiffusionSampler(solver, noise_end=True)
