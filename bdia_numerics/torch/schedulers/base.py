"""What all schedulers for diffusers share: a run of a step program, fed by a pipeline one model output at a time; and DDIM's own step."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor

from bdia_numerics import grids
from bdia_numerics.grids import Grid, Point
from bdia_numerics.models import eps_form, x0_form
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.solving import encoding, inverting, resumed, sampling
from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Course, Status, Stepwise
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.torch.schedulers.configuration import initialiser
from bdia_numerics.torch.schedulers.family import FamilyScheduler
from bdia_numerics.torch.schedulers.frames import PLAIN, Frame
from bdia_numerics.torch.schedulers.pipeline_run import PipelineRun, first_register, part_of, predicted, tensor_of
from bdia_numerics.torch.schedulers.warning import foreseen, scaled_twice, warn_not_finite, warn_of_contradiction
from bdia_numerics.torch.scheduling import level, whole_number
from bdia_numerics.torch.tensors import require_tensor, space_of

Times = list[float]


class ProgramScheduler(FamilyScheduler):
    """A scheduler that runs a step program; its subclasses say which, and in which direction.

    The configuration is that of DDIMScheduler, or with `counts_as` that of another class, the solver's own parameters, and:

    clip_sample : bool or None
        None, the default, clips as DDIMScheduler does where the solver is DDIM (gamma = 0), and not elsewhere.
    walk : {None, "grid", "ddim"}
        "grid": each step ends where the next begins. "ddim": a step ends at t - T//S, as DDIMScheduler's does, for gamma = 0 only. None:
        the latter for gamma = 0, else the former.
    state_dtype : {"float64", "float32", "bfloat16", "float16", None}
        In which the registers are kept between steps; "float64" is float32 on a device that has none, None the dtype of the latents.
        The model is evaluated at registers rounded to the dtype of the latents: float64 ones are rounded alike both ways.
    counts_as : str or None
        Class of diffusers whose times, noise levels and samples these are, with its entries; None is DDIMScheduler. `from_config` takes
        the class that the configuration is of. Each step then ends where the next begins. Samples are those of the pipelines of that
        class: z/alpha for EulerDiscreteScheduler and others that work with sigma/alpha, else z.
    """

    own: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the class its __init__."""
        super().__init_subclass__(**options)
        cls.__init__ = initialiser(cls.own, cls._prepare)  # type: ignore[method-assign]

    def make_solver(self) -> Solver:
        """Return the solver of the configuration."""
        raise NotImplementedError

    def _prepare(self) -> None:
        self.solver = self.make_solver()
        ddim = isinstance(self.solver, DDIM) or (isinstance(self.solver, BDIA) and self.solver.gamma == 0)
        self._is_ddim = ddim and not self.noise_end
        self._runs: Solver = DDIM() if self._is_ddim else self.solver
        self._shape = structure(self._runs)
        # Pipelines count by it: model outputs per slot, and no order of accuracy.
        self.order = self._shape.nfe
        self._read(is_ddim=self._is_ddim)
        self._cut = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle takes along: all but the run under way."""
        return self.__dict__ | {"_now": None, "_cache": {}} | ({} if self._free else {"num_inference_steps": None})

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a scheduler of its own, in which a run on the same times begins anew."""
        made = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        if self._now is not None:
            made._now, made.num_inference_steps = self._now.anew(made._course), self.num_inference_steps
        return made

    @property
    def state(self) -> State:
        """Registers after a whole slot or at the end of the run, from which the opposite scheduler starts exactly.

        A run may stop early, as one of less strength does: the opposite one then begins there, with a part of its timesteps.
        """
        run = None if self._now is None else self._now.run
        whole = run is not None and run.between and (run.completed or run.done) and not self._is_ddim
        state = run.state if run is not None and whole else None
        if state is None:
            raise ValueError(
                "state is known after whole slots: make all their steps first (`order` outputs a slot; gamma = 0 has none)"
            )
        return state

    @property
    def grid(self) -> Grid | None:
        """The times and noise levels of the run; None before set_timesteps, and where steps do not end at the next time."""
        if self._now is not None or not self._free:
            return None if self._now is None else self._now.grid
        end = -1 if self.config["set_alpha_to_one"] else 0  # a step from there has no length
        times = [t for t in self._ends if t > end]
        return self._grid_of(times) if times else None

    @property
    def frame(self) -> Frame:
        """What a pipeline of this configuration knows of the run; `frame.told(t)` is what the network is told at a time of the grid."""
        return PLAIN if self._now is None else self._now.frame

    @property
    def status(self) -> Status:
        """Whether the registers of this run are finite; on a device it is known after its last step."""
        run = None if self._now is None else self._now.run
        return Status() if run is None else run.status

    def start_from(self, state: State | None, *, cut: bool = False) -> torch.Tensor | None:
        """Let every run from now on begin from a State instead of from latents alone, until another is given.

        Parameters
        ----------
        state
            The `.state` of the opposite scheduler, or of `solve`, `invert` or `encode` on the same grid; None takes it back. The pipeline
            is given the latents that the opposite run returned, repeated for a larger batch, and called after this.
        cut
            Whether `timesteps` also has the entries before a State that stands within the run, for a pipeline that cuts them off itself:
            by a strength, such as DiffEdit's.

        Returns
        -------
        Tensor or None
            z at which the model is evaluated first: the latents for pipelines that do not call `scale_model_input` (SD3, Flux, ...).
        """
        if state is not None and not isinstance(state, State):
            raise TypeError(f"state is a {type(state).__name__}: pass the .state of the opposite scheduler")
        if state is not None and self._is_ddim:
            raise ValueError("gamma = 0 is DDIM, which starts from latents alone: leave start_from out")
        self._given, self._cut, self.num_inference_steps, self._now = state, cut, None, None
        return None if state is None else first_register(self.solver, state, noise_end=self.noise_end)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """Set the times of the run, one for each model output, and forget the run before.

        A run from a State has as many as the opposite run without one, of which the outputs at the last may not be needed.

        Parameters
        ----------
        num_inference_steps
            Number of slots. A slot without length is left out; gamma = 0 keeps it at times of a table, as DDIMScheduler does.
        device
            Of `timesteps`.
        timesteps
            Falling times instead of the configuration's spacing; the data end is added to them. Training steps, and fractions of them for
            the classes that tell such.
        sigmas
            Falling levels instead, for the classes that take them, as these take them.
        mu
            The shift of flow matching in logarithms, for use_dynamic_shifting.

        Raises
        ------
        ValueError
            For no or too many steps, times that do not fall or are not training steps, another number of times than num_inference_steps,
            what the class does not take, a State of another grid or prediction, a solver that cannot run on these noise levels
            (NotInvertibleError where it has no exact inverse).
        """
        left = None if self._now is None or self._now.done else self._now.handed
        self._now = None
        if self._own_levels(num_inference_steps, timesteps) or sigmas is not None or mu is not None:
            grid, frame = self._levels(num_inference_steps, timesteps, sigmas, mu)
        else:
            times = self._times(num_inference_steps, timesteps)
            if self._free:
                self._ratio = self.config["num_train_timesteps"] // (self.num_inference_steps or 1)
                meet = self._meet or (timesteps is not None and self.config["walk"] is None)
                self._ends = dict(zip(times, [*times[1:], -1], strict=True)) if meet else {}
                self.timesteps = tensor_of(times).to(device)
                return
            grid, frame = self._grid_of(times), Frame(scaled=self.read.rule == "points")
        part, idle, ahead = grid, Times(), Times()
        if self._given is not None:
            beside = part_of(self._given, self.solver, grid, self._kind, noise_end=self.noise_end, cut=self._cut)
            part, idle, ahead = beside
        self._now = PipelineRun(
            part, self._course, self._given, self.config["state_dtype"], device, frame, idle, ahead, left
        )
        self.timesteps = self._now.timesteps
        # Fewer than the step names where it asks again at a state that stands, as CBDIA does for gamma2 = 1; the last slot may take fewer.
        per_slot = (len(self.timesteps) - len(ahead)) / part.n
        self.order = max(math.ceil(per_slot - 0.5), 1)

    def _course(self, grid: Grid) -> Course:
        given = self._given is not None
        make = (inverting if given else encoding) if self.noise_end else (resumed if given else sampling)
        return self._cached((make, grid.root, grid.offset, grid.n), lambda: make(self._runs, grid, self._kind))

    def scale_model_input(self, sample: torch.Tensor, timestep: float | torch.Tensor) -> torch.Tensor:
        """Return what the model is given: the sample, or at the beginning of a run from a State the register at which it is to be asked.

        It is scaled as the class has it, and repeated where the pipeline repeats its batch, as for classifier-free guidance.
        """
        self._check_ready()
        return sample if self._now is None else self._now.input(sample, timestep)

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int | torch.Tensor,
        sample: torch.Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: torch.Generator | None = None,
        variance_noise: torch.Tensor | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[torch.Tensor, torch.Tensor | None]:
        """Take the model's output and return the states at which it is to be asked next, in the end the solution.

        Parameters
        ----------
        model_output
            Of the sample's shape; where `variance_type` is "learned" or "learned_range", also with the variance as further channels, which
            are left out.
        timestep
            The entry of `timesteps` at which the model was evaluated; for gamma = 0 any training step, in any order.
        sample
            What the last step returned. Other states, such as those of an inpainting pipeline that blends them, take its place; what is
            written into the returned tensor itself counts where torch counts it, not through `.data` or a NumPy view.
        eta, use_clipped_model_output, generator, variance_noise
            As for DDIMScheduler; eta > 0 for gamma = 0 only, and without clipping the second changes nothing.
        return_dict
            Whether to return an object instead of a tuple. Pipelines take the tuple for its first entry, so the second is not computed.

        Returns
        -------
        prev_sample, pred_original_sample
            The second, the data prediction, is None where it is not determined (alpha = 0), and with return_dict=False where no clipping
            needs it.

        Raises
        ------
        ValueError
            Before set_timesteps, after the last step, for another timestep than the next, another shape, or eta > 0.
        """
        now = self._now
        if now is None:
            self._check_ready()
        require_tensor("model_output", model_output)
        require_tensor("sample", sample)
        learned = str(self.config.get("variance_type")).startswith("learned")
        if learned and model_output.shape[1:2] == (2 * sample.shape[1],):
            model_output = model_output[:, : sample.shape[1]]
        if model_output.shape != sample.shape:
            raise ValueError(
                f"model_output has shape {tuple(model_output.shape)}, sample {tuple(sample.shape)}: pass the output of its shape"
            )
        if model_output.device != sample.device:
            raise ValueError(f"model_output is on {model_output.device}, sample on {sample.device}: move one")
        x0: torch.Tensor | None
        if self._free and now is None:
            noise = generator, variance_noise
            prev, x0, finite = self._ddim(
                model_output,
                timestep,
                sample,
                eta,
                noise,
                clipped_output=bool(use_clipped_model_output),
                preview=return_dict,
            )
            if not finite:
                warn_not_finite("prev_sample is not finite", timestep, model_output, None)
        elif eta:
            raise ValueError(
                f"eta={eta} adds noise, which is not invertible: eta > 0 is allowed for gamma = 0 on a table's times only"
            )
        else:
            assert now is not None
            if (
                now.run is None
            ):  # so that a copy of what stood before it, such as Panorama's pipelines keep, has not begun
                now = self._now = copy.copy(now)
            was_ok = now.run is None or now.run.status.ok
            prev, x0 = now.take(model_output, timestep, sample, preview=return_dict)
            run = now.run
            if run is not None and run.place == 1:
                self._warn_first(now, run.course, sample, model_output)
            if run is not None and was_ok and not run.status.ok:
                what = str(replace(run.status, remedy=""))
                warn_not_finite(what, timestep, model_output, now.dtype(sample))
            elif now.overflows(prev):
                warn_not_finite("prev_sample is not finite", timestep, model_output, None)
        return DDIMSchedulerOutput(prev_sample=prev, pred_original_sample=x0) if return_dict else (prev, x0)

    def _warn_first(self, now: PipelineRun, course: Course, sample: torch.Tensor, output: torch.Tensor) -> None:
        """Say at the first step of a run what is known of it before the others."""
        if now.given is None and course is now.whole and (said := scaled_twice(sample, self.init_noise_sigma)):
            warnings.warn(said, stacklevel=3)
        sample = sample / now.frame_at(now.begin or 0)[0]
        kept, batch = now.kept(sample), None if now.given is None else len(next(iter(now.given.registers.values())))
        if said := foreseen(course, sample, kept, batch):
            warnings.warn(said, stacklevel=3)
        if not self.noise_end and course is now.whole:
            warn_of_contradiction(self._kind, now.start, sample, output)

    def _check_ready(self) -> None:
        if (self._now is None and not self._free) or self.num_inference_steps is None:
            raise ValueError("no times are set: call set_timesteps before the first step, and after start_from")

    def _ddim(
        self,
        output: torch.Tensor,
        timestep: float | torch.Tensor,
        z: torch.Tensor,
        eta: float,
        noise: tuple[Any, Any],
        **options: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None, bool]:
        t = float(timestep)
        t = t if t in self._ends else whole_number(t)
        end = self._ends.get(t, t - self._ratio)
        table, last = self.alphas_cumprod, self.final_alpha_cumprod if end < 0 else None

        def make() -> DDIMStep:
            clip = clip_of(self.config, lambda x0: DDIMScheduler._threshold_sample(self, x0))
            return ddim_step(self._kind, level(table, t), level(table, end, last), eta, clip)

        return self._cached((t, end, eta, self.config["clip_sample"]), make).noised(
            output.to(z.dtype), z, noise, **options
        )


Clip = Callable[[torch.Tensor], torch.Tensor]


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
