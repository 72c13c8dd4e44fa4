"""What all schedulers for diffusers share: a run of a step program, fed by a pipeline's `step` one model output at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput

from bdia_numerics import configs, grids, schedules
from bdia_numerics.grids import Grid, Point
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.solving import encoding, inverting, resumed, sampling
from bdia_numerics.runs.state import State, check_state
from bdia_numerics.runs.stepwise import Course, Status
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.texts import shown
from bdia_numerics.torch.schedulers.configuration import (
    KINDS,
    check,
    counted,
    initialiser,
    listed,
    translated,
    whole_number,
)
from bdia_numerics.torch.schedulers.ddim_step import DDIMStep, added_noise, clip_of, fresh, level
from bdia_numerics.torch.schedulers.pipeline_run import PipelineRun, before, tensor_of
from bdia_numerics.torch.schedulers.warning import foreseen, warn_not_finite, warn_of_contradiction
from bdia_numerics.torch.tensors import space_of

Made = TypeVar("Made")


class ProgramScheduler(DDIMScheduler):
    """A scheduler that runs a step program; its subclasses say which, and in which direction.

    The configuration is that of DDIMScheduler, whose tables, time spacings and `add_noise` are used, the solver's own parameters, and:

    clip_sample : bool or None
        None, the default, clips as DDIMScheduler does where the solver is DDIM (gamma = 0), and not elsewhere.
    walk : {None, "grid", "ddim"}
        "grid": each step ends where the next begins. "ddim": a step ends at t - T//S, as DDIMScheduler's does, for gamma = 0 only. None:
        the latter for gamma = 0, else the former.
    state_dtype : {"float64", "float32", "bfloat16", "float16", None}
        In which the registers are kept between steps; "float64" is float32 on a device that has none, None the dtype of the latents.
        The model is evaluated at registers rounded to the dtype of the latents: float64 ones are rounded alike both ways.
    counts_as : str or None
        Class of diffusers whose `timesteps` the spacing counts, which may be fractions of training steps; None is DDIMScheduler.
        `from_config` takes the class that the configuration is of. Each step then ends where the next begins.
    """

    own: ClassVar[dict[str, Any]] = {}
    noise_end: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the class its __init__."""
        super().__init_subclass__(**options)
        cls.__init__ = initialiser(cls.own, cls._prepare)  # type: ignore[method-assign]

    @classmethod
    def from_config(
        cls, config: Any = None, return_unused_kwargs: bool = False, *, ignore: Collection[str] = (), **options: Any
    ) -> Any:
        """Make a scheduler from another one's configuration, with the defaults of that one's class.

        Parameters
        ----------
        config
            As saved by diffusers, or the `config` of an object. An object that was made in Python may not hold its class: add
            ``_class_name="EulerDiscreteScheduler"`` or whichever it is.
        return_unused_kwargs
            As in diffusers.
        ignore
            Entries that are known to have no effect.
        **options
            Entries that take the place of the configuration's, and parameters of the solver.

        Raises
        ------
        ValueError
            For entries that nothing reads, and for a walk that is none of the times of a table: flow matching, EDM, Karras sigmas, ...
        """
        if config is not None:
            given: Any = config if isinstance(config, Mapping) else cls.load_config(config)
            config, options = translated(given, options, cls, ignore), {}
        return super().from_config(config, return_unused_kwargs, **options)

    def make_solver(self) -> Solver:
        """Return the solver of the configuration."""
        raise NotImplementedError

    def _prepare(self) -> None:
        self.solver = self.make_solver()
        ddim = isinstance(self.solver, DDIM) or (isinstance(self.solver, BDIA) and self.solver.gamma == 0)
        self._is_ddim = ddim and not self.noise_end
        self._shape = structure(self.solver)
        # Pipelines count by it: model outputs per slot, and no order of accuracy.
        self.order = 1 if self._is_ddim else self._shape.nfe
        check(self.config, is_ddim=self._is_ddim)
        self._counted = counted(self.config)
        if self._counted is not None and self._counted["rescale_betas_zero_snr"]:
            # Classes with sigma/alpha have a number there that keeps it finite.
            self.alphas_cumprod[-1] = float(configs.alphas_cumprod(self._counted, np.float32)[-1])
        self._kind = KINDS[self.config["prediction_type"]]
        self._cache: dict[Hashable, Any] = {}
        self._ends: dict[float, float] = {}
        self._given: State | None = None
        self._now: PipelineRun | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes along: all but the run under way."""
        return self.__dict__ | {"_now": None, "_cache": {}} | ({} if self._is_ddim else {"num_inference_steps": None})

    @property
    def step_index(self) -> int | None:
        """Index in `timesteps` of the output that is awaited; None before the first step."""
        return None if self._now is None else self._now.index

    @property
    def begin_index(self) -> int | None:
        """Index in `timesteps` at which the run begins, once it is known."""
        return None if self._now is None else self._now.begin

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Let the run begin at an entry of `timesteps`, as image-to-image pipelines do."""
        if self._now is not None:
            self._now.begin_at(begin_index)

    @property
    def state(self) -> State:
        """Registers after a whole slot or at the end of the run, from which the opposite scheduler starts exactly.

        A run may stop early, as one of less strength does: the opposite one then begins there, with a part of its timesteps.
        """
        run = None if self._now is None else self._now.run
        whole = run is not None and run.between and (run.completed or run.done)
        state = run.state if run is not None and whole else None
        if state is None:
            raise ValueError(
                "state is known after whole slots: make all their steps first (`order` outputs a slot; gamma = 0 has none)"
            )
        return state

    @property
    def grid(self) -> Grid | None:
        """The times and noise levels of the run; None before set_timesteps, and where steps do not end at the next time."""
        if self._now is not None:
            return self._now.grid
        end = -1 if self.config["set_alpha_to_one"] else 0  # a step from there has no length
        times = [t for t in self._ends if t > end]
        return self._grid_of(times) if times else None

    @property
    def status(self) -> Status:
        """Whether the registers of this run are finite; on a device it is known after its last step."""
        run = None if self._now is None else self._now.run
        return Status() if run is None else run.status

    def start_from(self, state: State | None) -> None:
        """Let every run from now on begin from a State instead of from latents alone, until another is given.

        Parameters
        ----------
        state
            The `.state` of the opposite scheduler, or of `solve`, `invert` or `encode` on the same grid; None takes it back. The pipeline
            is given the latents that the opposite run returned, repeated for a larger batch, and called after this.
        """
        if state is not None and not isinstance(state, State):
            raise TypeError(f"state is a {type(state).__name__}: pass the .state of the opposite scheduler")
        if state is not None and self._is_ddim:
            raise ValueError("gamma = 0 is DDIM, which starts from latents alone: leave start_from out")
        self._given, self.num_inference_steps, self._now = state, None, None

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        """Set the times of the run, one for each model output, and forget the run before.

        Parameters
        ----------
        num_inference_steps
            Number of slots. A slot without length is left out; gamma = 0 keeps it, as DDIMScheduler does.
        device
            Of `timesteps`.
        timesteps
            Falling training steps instead of the configuration's spacing; the data end is added to them.

        Raises
        ------
        ValueError
            For no or too many steps, times that do not fall or are not training steps, another number of times than num_inference_steps,
            a State of another grid or prediction, a solver that cannot run on these noise levels (NotInvertibleError where it has no
            exact inverse).
        """
        left = None if self._now is None or self._now.done else self._now.handed
        self._now = None
        times = self._times(num_inference_steps, timesteps)
        self._ratio = self.config["num_train_timesteps"] // self.num_inference_steps
        if self._is_ddim:
            meet = self._meet or (timesteps is not None and self.config["walk"] is None)
            self._ends = dict(zip(times, [*times[1:], -1], strict=True)) if meet else {}
            self.timesteps = tensor_of(times).to(device)
            return
        grid = self._grid_of(times)
        if self._given is not None:
            grid = before(self._given, self._shape.depth, grid, noise_end=self.noise_end)
            first = 0 if self.noise_end else grid.n - self._shape.depth
            check_state(self._given, self.solver, grid, first, self._kind)
        self._now = PipelineRun(grid, self._course, self._given, self.config["state_dtype"], device, left)
        self.timesteps = self._now.timesteps
        # Fewer than the step names where it asks again at a state that stands, as CBDIA does for gamma2 = 1.
        self.order = max(len(self.timesteps) // grid.n, 1)

    @property
    def _meet(self) -> bool:
        """Whether each step ends where the next begins, also for gamma = 0."""
        return not self._is_ddim or self.config["walk"] == "grid" or self._counted is not None

    def _times(self, number: Any, given: Sequence[int] | None) -> list[float]:
        # Trailing spacing counts a time -1 for some numbers of steps; and t = 0 may be the data end itself.
        end = -1 if self.config["set_alpha_to_one"] else 0
        if given is not None:
            times: list[float] = [*listed(given, number, self.config["num_train_timesteps"], end + 1)]
            super().set_timesteps(len(times))
            return times if self._is_ddim else [t for t in times if t > end]
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"num_inference_steps={shown(number)}: pass a number of steps, 1 or more")
        super().set_timesteps(int(number))
        times = self.timesteps.tolist()
        if self._counted is not None:
            times = list(dict.fromkeys(step.t for step in configs.layout(self._counted, int(number)).steps))
        return [t for t in times if t > end] if self._meet else times

    def _grid_of(self, times: list[float]) -> Grid:
        table = self.alphas_cumprod.double().cpu().numpy()
        schedule = self._cached(table.tobytes(), lambda: schedules.from_alphas_cumprod(table))
        ends: Any = (times, 1) if self.config["set_alpha_to_one"] else ([*times, 0], None)

        def between() -> Grid:
            last = Point(-1.0, 1.0, 0.0) if ends[1] else level(self.alphas_cumprod, 0)
            points = [*(level(self.alphas_cumprod, t) for t in times), last]
            return grids.from_values(*zip(*(p[:3] for p in points), strict=True), schedule=schedule)

        whole = all(float(t).is_integer() for t in times)
        make = (lambda: grids.from_timesteps(schedule, *ends)) if whole else between
        return self._cached((table.tobytes(), *times), make)

    def _course(self, grid: Grid) -> Course:
        given = self._given is not None
        make = (inverting if given else encoding) if self.noise_end else (resumed if given else sampling)
        return self._cached((make, grid.root, grid.offset, grid.n), lambda: make(self.solver, grid, self._kind))

    def _cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        if key not in self._cache:
            self._cache[key] = make()
        found: Made = self._cache[key]
        return found

    def add_noise(self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return alpha x + sigma noise as DDIMScheduler does, and also at times between training steps, of shape (batch,)."""
        if not timesteps.is_floating_point():
            noised: torch.Tensor = super().add_noise(original_samples, noise, timesteps)  # type: ignore[arg-type]
            return noised
        points = [level(self.alphas_cumprod, t) for t in timesteps.flatten().tolist()]
        alpha, sigma = (
            original_samples.new_tensor(values).reshape(-1, *[1] * (original_samples.ndim - 1))
            for values in ([p.alpha for p in points], [p.sigma for p in points])
        )
        return alpha * original_samples + sigma * noise

    def scale_model_input(self, sample: torch.Tensor, timestep: float | torch.Tensor | None = None) -> torch.Tensor:
        """Return the sample; at the beginning of a run from a State the register at which the model is to be asked.

        It is repeated where the pipeline repeats its batch, as for classifier-free guidance.
        """
        self._check_ready()
        return sample if self._now is None else self._now.input(sample)

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
            Of the sample's shape.
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
        if model_output.shape != sample.shape:
            raise ValueError(
                f"model_output has shape {tuple(model_output.shape)}, sample {tuple(sample.shape)}: pass the output of its shape"
            )
        if model_output.device != sample.device:
            raise ValueError(f"model_output is on {model_output.device}, sample on {sample.device}: move one")
        x0: torch.Tensor | None
        if self._is_ddim:
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
            raise ValueError(f"eta={eta} adds noise, which is not invertible: eta > 0 is allowed for gamma = 0 only")
        else:
            assert now is not None
            was_ok = now.run is None or now.run.status.ok
            prev, x0 = now.take(model_output, timestep, sample, preview=return_dict)
            run = now.run
            assert run is not None
            if run.place == 1:
                self._warn_first(now, run.course, sample, model_output)
            if was_ok and not run.status.ok:
                what = str(replace(run.status, remedy=""))
                warn_not_finite(what, timestep, model_output, now.dtype(sample))
            elif now.overflows(prev):
                warn_not_finite("prev_sample is not finite", timestep, model_output, None)
        return DDIMSchedulerOutput(prev_sample=prev, pred_original_sample=x0) if return_dict else (prev, x0)

    def _warn_first(self, now: PipelineRun, course: Course, sample: torch.Tensor, output: torch.Tensor) -> None:
        """Say at the first step of a run what is known of it before the others."""
        kept, batch = now.kept(sample), None if now.given is None else len(next(iter(now.given.registers.values())))
        if said := foreseen(course, sample, kept, batch):
            warnings.warn(said, stacklevel=3)
        if not self.noise_end and course is now.whole:
            warn_of_contradiction(self._kind, now.start, sample, output)

    def _check_ready(self) -> None:
        if (self._now is None and not self._is_ddim) or self.num_inference_steps is None:
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
        start, goal = level(table, t), level(table, end, last)
        deviation = eta * fresh(start, goal) if eta else 0.0
        make = lambda: DDIMStep(self._kind, start, goal, deviation, clip_of(self.config, self._threshold_sample))  # noqa: E731
        step = self._cached((t, end, deviation, self.config["clip_sample"]), make)
        prev, x0, finite = step(output.to(z.dtype), z, **options)
        if deviation:
            prev = added_noise(prev, deviation, *noise)
            finite = bool(space_of(prev).finite(prev))
        return prev, x0, finite
