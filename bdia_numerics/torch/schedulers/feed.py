"""A run as a pipeline sees it: timesteps, where it begins, samples handed out and taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from bdia_numerics.grids import Grid, Point
from bdia_numerics.program import Solver, structure
from bdia_numerics.state import State
from bdia_numerics.torch.schedulers.ddim_step import predicted
from bdia_numerics.torch.schedulers.stepwise import Course, Stepwise
from bdia_numerics.torch.tensors import dtype_named, space_of


@dataclass
class Feed:
    """One run, from its first model output to the last.

    Attributes
    ----------
    grid
        The whole grid.
    course_of
        Gives the run over a part of the grid.
    given
        The State that the run begins from, if it does not begin from a sample.
    state_dtype
        Name of the dtype of the registers; that of the samples by default.
    device
        Of `timesteps`.
    begin
        Index in `timesteps` at which the run begins, once it is known.
    run
        The run, once it has begun.
    """

    grid: Grid
    course_of: Callable[[Grid], Course]
    given: State | None
    state_dtype: str | None
    device: str | torch.device | None
    begin: int | None = None
    run: Stepwise | None = field(init=False, default=None)
    timesteps: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._whole = self.course_of(self.grid)
        self.timesteps = _told(self._whole).to(self.device)
        self._expected: list[float] = self.timesteps.tolist()
        self._handed: torch.Tensor | None = None
        self._written = 0

    @property
    def index(self) -> int | None:
        """Index in `timesteps` of the output that is awaited; None before the first."""
        return None if self.run is None else (self.begin or 0) + self.run.place

    @property
    def start(self) -> Point:
        """The level of the noise end."""
        return Point(*self.grid.level(self.grid.n))

    def input(self, sample: torch.Tensor) -> torch.Tensor:
        """Return where the model is to be asked: the sample, or at the beginning from a State the register, repeated to the batch."""
        if self.given is None or self.index:
            return sample
        value: torch.Tensor = (self.run or self._resume(sample)).value.to(sample.dtype)
        if sample.shape[1:] != value.shape[1:] or len(sample) % len(value):
            raise ValueError(
                f"sample has shape {tuple(sample.shape)}, the state {tuple(value.shape)}: pass its latents"
            )
        return value.repeat(len(sample) // len(value), *[1] * (value.ndim - 1))

    def take(
        self, output: torch.Tensor, timestep: int | torch.Tensor, sample: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Take a model output; return where the model is to be asked next, in the end the result, and the data prediction."""
        run = self.run if self.index else self._started(timestep, sample)
        assert run is not None
        if run.done:
            raise ValueError(f"all {run.place} steps are made: call set_timesteps to begin another run")
        if sample.shape != run.value.shape:
            raise ValueError(
                f"sample has shape {tuple(sample.shape)}, the run {tuple(run.value.shape)}: call set_timesteps to begin another run"
            )
        expected = self._expected[(self.begin or 0) + run.place]
        if (t := self._number(timestep)) != expected:
            raise ValueError(
                f"timestep={t:g} is out of order, {expected:g} comes next: step through timesteps from the first to the last"
            )
        z, form = run.value, run.course.previews[run.place]
        replaced = None if self._is_handed(sample) else sample.to(z.dtype)
        output = output.to(z.dtype)
        x0 = None if form is None else predicted(form, z if replaced is None else replaced, output, run.space)
        handed: torch.Tensor = run.feed(output, replaced).to(sample.dtype)
        self._handed, self._written = handed, run.space.version(handed)
        return handed, x0

    def _is_handed(self, sample: torch.Tensor) -> bool:
        """Say whether a sample is what was handed out, unchanged."""
        if self._handed is None or self.run is None:
            return True
        if sample is self._handed:
            return bool(self.run.space.version(sample) == self._written)
        # A rounded copy stands for the register itself.
        return self.run.value.dtype != sample.dtype and torch.equal(sample, self._handed)

    def _started(self, timestep: int | torch.Tensor, sample: torch.Tensor) -> Stepwise:
        if self.given is not None:
            if not any(torch.equal(sample, z.to(sample)) for z in self.given.registers.values()):
                raise ValueError(
                    "sample is no register of the state: pass the latents that the opposite run returned, or, where it stopped early, "
                    "one of state.registers"
                )
            return self.run or self._resume(sample)
        t = self._number(timestep) if self.begin is None else self._expected[self.begin]
        entries = [k for k, told in enumerate(self._expected) if told == t] if self.begin is None else [self.begin]
        if not entries:
            raise ValueError(f"timestep={t:g} is none of timesteps: step through those that set_timesteps made")
        self.begin, course = self._part(entries)
        z = sample.to(self.dtype(sample))
        self.run = Stepwise(course, {course.entry or "z": z}, space_of(z))
        return self.run

    def _part(self, entries: list[int]) -> tuple[int, Course]:
        """Return the first of some entries of `timesteps` at which a run over a part of the grid begins, and that run."""
        t, noise_end = self._expected[entries[0]], self._whole.noise_end
        at = [int(i) for i in np.flatnonzero(np.maximum(self.grid.t, 0) == t)]
        for entry in entries:
            if entry == 0:
                return 0, self._whole
            # An inverse that asks at the noisier end of its slots, as EDICT's does, begins one index before that time.
            for i in [i for k in at for i in (k, k - noise_end) if 0 < i < self.grid.n + (not noise_end)]:
                course = self.course_of(self.grid[i:] if noise_end else self.grid[:i])
                if _told(course).tolist() == self._expected[entry:]:
                    return entry, course
        raise ValueError(f"timestep={t:g} begins no run, which is at entry {entries[0]}: begin at another")

    def _resume(self, sample: torch.Tensor) -> Stepwise:
        assert self.given is not None
        registers = {r: z.to(sample.device, self.dtype(sample)) for r, z in self.given.registers.items()}
        self.run = Stepwise(self._whole, registers, space_of(next(iter(registers.values()))))
        return self.run

    def dtype(self, sample: torch.Tensor) -> torch.dtype:
        """Return the dtype of the registers of a run from a sample."""
        return sample.dtype if self.state_dtype is None else dtype_named(self.state_dtype)

    @cached_property
    def _place(self) -> int:
        return self.timesteps.untyped_storage().data_ptr()

    def _number(self, timestep: int | torch.Tensor) -> float:
        if isinstance(timestep, torch.Tensor) and timestep.device.type != "cpu":
            # A view of our own times is known by its place in them: to read it would halt the device.
            own = timestep.untyped_storage().data_ptr() == self._place
            return self._expected[timestep.storage_offset()] if own else float(timestep)
        return float(timestep)


def before(state: State, solver: Solver, grid: Grid, *, noise_end: bool) -> Grid:
    """Return the part of a grid that a run from a State has before it; the whole one, in which it is refused, where nothing is."""
    depth, times = structure(solver).depth, state.times.values()
    if noise_end:
        return grid[min(times) :] if 0 < min(times) < grid.n - depth else grid
    return grid[: max(times)] if depth < max(times) < grid.n else grid


def _told(course: Course) -> torch.Tensor:
    """Return the times that the model is told: t = -1, clean data, was not among those of its training, so it is told the nearest."""
    times = [max(t, 0.0) for t in course.times]
    return torch.tensor(times, dtype=torch.int64 if all(t.is_integer() for t in times) else torch.float32)
