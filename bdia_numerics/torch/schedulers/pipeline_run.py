"""A run as a pipeline sees it: timesteps, where it begins, samples handed out and taken back."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from bdia_numerics import grids, schedules
from bdia_numerics.grids import Grid, Point
from bdia_numerics.program import NotInvertibleError, Solver, structure
from bdia_numerics.program.plan import Call
from bdia_numerics.runs.solving import encoding, inverting, resumed, sampling
from bdia_numerics.runs.state import State, check_state
from bdia_numerics.runs.stepwise import Course, Stepwise
from bdia_numerics.spaces import Memory, Scalar
from bdia_numerics.texts import refuse
from bdia_numerics.torch.schedulers.frames import PLAIN, SAMPLE, At, Frame, Level
from bdia_numerics.torch.tensors import dtype_named, has_float64, space_of

Mark = tuple[weakref.ref[torch.Tensor], int]
"""A tensor, and its counter of writes."""


@dataclass
class PipelineRun:
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
        Name of the dtype of the registers; None is that of the samples.
    device
        Of `timesteps`.
    frame
        What the pipeline's sample, the network's input and its output are to the run.
    idle, ahead
        Times told after the run's own, of outputs that are not needed, so that a run from a State has as many as the opposite run without
        one; and times before it, for a pipeline that cuts them off.
    left
        What a run handed out last that ended before its last step, if it lives.
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
    frame: Frame = PLAIN
    idle: Sequence[float] = ()
    ahead: Sequence[float] = ()
    left: Mark | None = None
    begin: int | None = None
    run: Stepwise | None = field(init=False, default=None)
    timesteps: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.whole = self.course_of(self.grid)
        told = [self.frame.told(t) for t in (*self.ahead, *self.whole.times, *self.idle)]
        self.timesteps = tensor_of(told, fractions=self.frame.fractions).to(self.device)
        self._expected: list[float] = self.timesteps.tolist()
        self._made = _version(self.timesteps)
        self._asked = self._overflowed = False
        self._last: Mark | None = None  # the sample of the step before
        self._dtype: torch.dtype | None = None  # of all samples
        self.handed: Mark | None = None
        if self.given is not None:
            self.begin = len(self.ahead)

    def anew(self, course_of: Callable[[Grid], Course]) -> PipelineRun:
        """Return the same run before its beginning, with the same times."""
        made = replace(self, course_of=course_of, left=self.handed, begin=None)
        made.timesteps = self.timesteps
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> PipelineRun:
        """Return a copy that goes on by itself."""
        made = copy.copy(self)
        made.run = copy.deepcopy(self.run, memo)
        return made

    @cached_property
    def levels(self) -> list[Level]:
        """Alpha and sigma that are told at each entry of `timesteps`, and those of the end of the run."""
        return self._levels_at([*self.ahead, *self.whole.times, *self.idle, float(self.grid.t[self.end])])

    def _levels_at(self, times: Sequence[float]) -> list[Level]:
        grid, schedule = self.grid.entire, self.grid.schedule
        known = {float(t): (float(a), float(s)) for t, a, s in zip(grid.t, grid.alpha, grid.sigma, strict=True)}
        if schedule is not None:  # between the grid's times
            known |= {t: (float(schedule.alpha(t)), float(schedule.sigma(t))) for t in times if t not in known}
        return [known[t] for t in times]

    @property
    def end(self) -> int:
        """Index at which the run ends."""
        return self.grid.n if self.whole.noise_end else 0

    @cached_property
    def _frames(self) -> list[At]:
        """What the frame is at each entry of `timesteps`, and where the run ends."""
        # At idle entries the sample is the result already.
        end = float(self.grid.t[self.end])
        stands = [*self.ahead, *(float(call.at) for call in self.whole.calls), *[end] * (len(self.idle) + 1)]
        return [self.frame.at(*pair) for pair in zip(self.levels, self._levels_at(stands), strict=True)]

    def frame_at(self, entry: int) -> At:
        """Return what the sample, the network's input and its output are to the run at an entry of `timesteps`, or at the end."""
        return SAMPLE if self.frame.plain else self._frames[entry]

    @property
    def index(self) -> int | None:
        """Index in `timesteps` of the output that is awaited; None before the first."""
        return None if self.run is None else (self.begin or 0) + self.run.place

    @property
    def start(self) -> Point:
        """The level of the noise end."""
        return Point(*self.grid.level(self.grid.n))

    @property
    def done(self) -> bool:
        """Whether the last step is made."""
        return self.run is not None and (self.begin or 0) + self.run.place >= len(self._expected)

    def begin_at(self, entry: int) -> None:
        """Let the run begin at an entry of `timesteps`; ValueError once it has begun, or where there is none."""
        said, last = f"begin_index={entry}", len(self._expected) - 1
        remedy = "for a pipeline of a strength, stop the opposite run there, and pass start_from(state, cut=True)"
        refuse(
            (self.run is not None, f"{said}: the run has begun: call set_timesteps, then set_begin_index"),
            (
                self.given is not None and entry != self.begin,
                f"{said}: a run from a State has its own beginning, entry {self.begin} of timesteps: {remedy}",
            ),
            (entry not in range(last + 1), f"{said} is not an entry of timesteps to begin at: pass 0 to {last}"),
        )
        self.begin = int(entry)

    def entry(self, timestep: float | torch.Tensor) -> int:
        """Return the entry of `timesteps` that a time is: the one that is awaited, or the first with that time."""
        if self.run is not None or self.begin is not None:
            return min((self.begin or 0) + (0 if self.run is None else self.run.place), len(self._expected) - 1)
        t = self._number(timestep)
        if t not in self._expected:
            raise ValueError(f"timestep={t:g} is none of timesteps: step through those that set_timesteps made")
        return self._expected.index(t)

    def input(self, sample: torch.Tensor, timestep: float | torch.Tensor) -> torch.Tensor:
        """Return what the model is given: the sample, or at the beginning from a State the register, repeated to the batch; scaled."""
        if self.given is not None and self.run is None:
            run = self._resumed(sample)
            sample = _shown(run.value, self.frame_at(len(self.ahead))[0], sample.dtype)
            self._asked = True
        if self.frame.plain:
            return sample
        return sample * self.frame_at(self.entry(timestep))[1]

    def take(
        self, output: torch.Tensor, timestep: int | torch.Tensor, sample: torch.Tensor, *, preview: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Take a model output; return where the model is to be asked next, in the end the result, and the data prediction if asked."""
        run, begin = self.run, self.begin or 0
        if run is None:
            if self._between():
                # The refiner of SDXL adds an entry where order is 2, as Heun's method needs it: in the middle of a slot, of which the
                # sample stands at the end.
                assert self.begin is not None
                self.begin += 1
                return sample.clone(), None
            begin, run = self._started(timestep, sample)
        place = begin + run.place
        if place >= len(self._expected):
            raise ValueError(f"all {run.place} steps are made: call set_timesteps to begin another run")
        version, handed = _version(sample), self.handed
        # Where the sample is the tensor that was handed out, as it was, the register itself stands.
        own = handed is not None and handed[0]() is sample and handed[1] == version >= 0
        if not own:
            self._check(sample, version, run)
        expected = self._expected[place]
        if (t := self._number(timestep)) != expected:
            raise ValueError(
                f"timestep={t:g} is out of order, {expected:g} comes next: step through timesteps from the first to the last"
            )
        self.begin, self.run, self._last = begin, run, handed if own else (weakref.ref(sample), version)
        scale, _, form = self.frame_at(place)
        x0 = None
        if (call := run.call) is None:
            run.place += 1
            z = run.value
            if not own and place > begin:  # of a run that has ended, a changed sample is the result
                shown = _shown(z, scale, sample.dtype)
                copy = torch.where(sample == shown, shown, sample)
                self.handed = weakref.ref(copy), _version(copy)
                return copy, None
        else:
            z = run.store[call.argument]
            if run.place and not own:
                # Elements that are what was handed out, rounded, stand for the register's; what was changed takes their place.
                same, changed = sample == _shown(z, scale, sample.dtype), sample.to(z.dtype)
                z = torch.where(same, z, changed if scale == 1 else changed / scale)
            if output.dtype != z.dtype:
                output = output.to(z.dtype)
            if form is not None:
                output = predicted(form, z, output, run.space)
            if preview and (x0_form := run.course.previews[run.place]) is not None:
                x0 = predicted(x0_form, z, output, run.space).to(sample.dtype)
            run.feed(output, z)
        z = run.value
        scale = self.frame_at(place + 1)[0]
        # A copy, since the caller may write over it.
        copy = z.clone() if scale == 1 and z.dtype == sample.dtype else _shown(z, scale, sample.dtype)
        self.handed = weakref.ref(copy), _version(copy)
        return copy, x0

    def _check(self, sample: torch.Tensor, version: int, run: Stepwise) -> None:
        """Raise ValueError for a sample that this step cannot begin with."""
        if sample.shape != run.value.shape:
            raise ValueError(
                f"sample has shape {tuple(sample.shape)}, the run {tuple(run.value.shape)}: call set_timesteps to begin another run"
            )
        if self._dtype not in (None, sample.dtype):
            raise ValueError(
                f"sample has become {sample.dtype} from {self._dtype}: hand on what step returned as it is"
            )
        last = self._last
        if last is not None and last[0]() is sample and last[1] == version >= 0:
            raise ValueError("sample is the one of the step before: pass what that step returned")
        self._dtype = sample.dtype

    def _started(self, timestep: int | torch.Tensor, sample: torch.Tensor) -> tuple[int, Stepwise]:
        if self.given is not None:
            run = self._resumed(sample)
            if not any(torch.equal(sample, shown) for shown in self._registers(run, sample.dtype)):
                raise ValueError(
                    "sample is not a register of the state: pass the latents that the opposite run returned, or, where it stopped early, "
                    "state.registers['z'] in their dtype; for a run from latents alone call start_from(None) and set_timesteps"
                )
            begin = len(self.ahead)
            asked = _shown(run.value, self.frame_at(begin)[0], sample.dtype)
            if not (self._asked or run.done or torch.equal(sample, asked)):
                raise ValueError(
                    "the model was evaluated at the sample, but a run from a State begins at another register: evaluate it at "
                    "scheduler.scale_model_input(sample, t), or begin with the latents that start_from returned"
                )
            return begin, run
        if self.left is not None and self.left[0]() is sample:
            warnings.warn(
                "sample was handed out by a run that has not made its last step, and another begins from it alone, after set_timesteps or "
                "in a copy: make all steps of a run before the next, and give each pipeline a scheduler of its own",
                stacklevel=4,
            )
        first = self.entry(timestep)
        told = self._expected[first]
        entries = [k for k, t in enumerate(self._expected) if t == told] if self.begin is None else [first]
        begin, course = self._part(entries)
        z = sample.to(self.dtype(sample), copy=True)  # which the caller may write over
        if (scale := self.frame_at(begin)[0]) != 1:
            z /= scale
        return begin, Stepwise(course, {"z": z}, space_of(z))

    def _part(self, entries: list[int]) -> tuple[int, Course]:
        """Return the first of some entries of `timesteps` at which a run over a part of the grid begins, and that run."""
        if found := self._parts(entries):
            return found
        t = self._expected[entries[0]]
        raise ValueError(f"timestep={t:g} begins no run, which is at entry {entries[0]}: begin at another")

    def _between(self) -> bool:
        """Say whether a run is to begin at an entry within a slot, after which the next one begins."""
        entry = self.begin or 0
        if self.given is not None or not 0 < entry < len(self._expected) - 1:
            return False
        return self._parts([entry]) is None and self._parts([entry + 1]) is not None

    def _parts(self, entries: list[int]) -> tuple[int, Course] | None:
        t, noise_end = self._expected[entries[0]], self.whole.noise_end
        at = [i for i, told in enumerate(self._told(self.grid.t.tolist())) if told == t]
        for entry in entries:
            if entry == 0:
                return 0, self.whole
            # An inverse that asks at the noisier end of its slots, as EDICT's does, begins one index before that time.
            for i in [i for k in at for i in (k, k - noise_end) if 0 < i < self.grid.n + (not noise_end)]:
                course = self.course_of(self.grid[i:] if noise_end else self.grid[:i])
                if self._told(course.times) == self._expected[entry:]:
                    return entry, course
        return None

    def _told(self, times: Sequence[float]) -> list[float]:
        """Return what is told of times of the grid, rounded as `timesteps` are."""
        return tensor_of([self.frame.told(t) for t in times], fractions=self.frame.fractions).tolist()

    def _registers(self, run: Stepwise, dtype: torch.dtype) -> Iterator[torch.Tensor]:
        """Give the registers of a run as the opposite one may have handed them out, and as they are."""
        for name, z in run.registers.items():
            alpha, sigma = (float(x) for x in self.grid.level(run.held[name].time)[1:])
            level = alpha, sigma
            yield from (_shown(z, scale, dtype) for scale in (self.frame.at(level, level)[0], 1.0))

    def _resumed(self, sample: torch.Tensor) -> Stepwise:
        """Return a run from the State, of the sample's batch."""
        assert self.given is not None
        registers = {}
        for name, z in self.given.registers.items():
            if sample.shape[1:] != z.shape[1:] or len(sample) % len(z):
                raise ValueError(
                    f"sample has shape {tuple(sample.shape)}, the state {tuple(z.shape)}: pass its latents"
                )
            # In the layout that they have, in which the opposite run evaluated the network: another one rounds otherwise.
            repeated = z if len(sample) == len(z) else torch.cat([z] * (len(sample) // len(z)))
            registers[name] = repeated.to(sample.device, self.dtype(sample), copy=True)
        return Stepwise(self.whole, registers, space_of(next(iter(registers.values()))))

    def dtype(self, sample: torch.Tensor) -> torch.dtype:
        """Return the dtype of the registers of a run from a sample: float32 for float64 where the device has none."""
        if self.state_dtype is None:
            return sample.dtype
        if self.state_dtype == "float64" and not has_float64(sample.device):
            return torch.float32
        return dtype_named(self.state_dtype)

    def kept(self, sample: torch.Tensor) -> torch.dtype:
        """Return the narrowest dtype in which registers are or were kept, those of the State included."""
        given = () if self.given is None else self.given.registers.values()
        dtypes: list[torch.dtype] = [self.dtype(sample), *(z.dtype for z in given)]
        return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)

    def overflows(self, handed: torch.Tensor) -> bool:
        """Say, once a run and on a CPU, whether only the rounding of a register to the latents' dtype is not finite."""
        if self._overflowed or self.run is None or handed.dtype == self.run.value.dtype or not handed.is_cpu:
            return False
        self._overflowed = not bool(space_of(handed).finite(handed)) and bool(self.run.space.finite(self.run.value))
        return self._overflowed

    @cached_property
    def _place(self) -> int:
        return self.timesteps.untyped_storage().data_ptr()

    def _number(self, timestep: float | torch.Tensor) -> float:
        if isinstance(timestep, torch.Tensor) and not timestep.is_cpu:
            # A view of our own times is known by its place in them: to read it would halt the device.
            own = timestep.untyped_storage().data_ptr() == self._place and _version(timestep) == self._made
            return self._expected[timestep.storage_offset()] if own else float(timestep)
        return float(timestep)


def predicted(form: tuple[Scalar, Scalar], z: torch.Tensor, output: torch.Tensor, space: Memory) -> torch.Tensor:
    """Return a z + b output for a form (a, b) of `models`."""
    a, b = float(form[0]), float(form[1])
    terms = [(c, x) for c, x in ((a, z), (b, output)) if c != 0] or [(b, output)]
    return space.combine(*zip(*terms, strict=True))


def part_of(
    state: State, solver: Solver, grid: Grid, kind: str, *, noise_end: bool, cut: bool
) -> tuple[Grid, list[float], list[float]]:
    """Return the part of a grid that a run from a State has before it, and the times that are told after and before those of that run.

    They make it as many as the opposite run without a State has, and with `cut` as many as on the whole grid. ValueError for a State of
    another run.
    """
    if state.grid != grid.root:
        raise ValueError(
            f"state belongs to another grid than these {grid.n} slots: an exact run goes back over the levels of the run that made it: "
            "pass the same number of steps and the same configuration, or start_from(None) to run from latents alone"
        )
    times, depth, part = state.times.values(), structure(solver).depth, grid
    if noise_end and 0 < min(times) < grid.n - depth:
        part = grid[min(times) :]
    elif not noise_end and depth < max(times) < grid.n:
        part = grid[: max(times)]
    check_state(state, solver, part, 0 if noise_end else part.n - depth, kind)
    own = (inverting if noise_end else resumed)(solver, part, kind).times
    there, back = (encoding, sampling) if noise_end else (sampling, encoding)
    try:
        opposite = back(solver, part, kind).times
    except NotInvertibleError:  # the State of an inversion that is an approximation
        opposite = own
    idle = opposite[: max(len(opposite) - len(own), 0)][::-1]
    before = there(solver, grid, kind).times if cut else []
    return part, idle, before[: max(len(before) - len(own) - len(idle), 0)]


def first_register(solver: Solver, state: State, *, noise_end: bool) -> torch.Tensor | None:
    """Return the register of a State at which a run asks first; None where it has no inverse, or asks elsewhere."""
    grid = grids.uniform(schedules.vp_linear(), structure(solver).depth + 2)  # the same on every grid
    try:
        plan = (inverting if noise_end else resumed)(solver, grid, "eps").plans[0]
    except NotInvertibleError:
        return None
    first = next((x.argument for x in plan.tape if isinstance(x, Call)), None)
    return next((state.registers.get(name) for name, held in plan.inputs.items() if held.number == first), None)


def tensor_of(times: list[float], *, fractions: bool = False) -> torch.Tensor:
    """Return times as integers, or as float32 if one lies between training steps or `fractions` are told."""
    whole = not fractions and all(float(t).is_integer() for t in times)
    return torch.tensor(times, dtype=torch.int64 if whole else torch.float32)


def _shown(z: torch.Tensor, scale: float, dtype: torch.dtype) -> torch.Tensor:
    """Return a state as a sample of a dtype."""
    return z.to(dtype) if scale == 1 else (z * scale).to(dtype)


def _version(x: torch.Tensor) -> int:
    """Return torch's counter of writes; -1 for inference tensors, which have none."""
    return -1 if x.is_inference() else x._version
