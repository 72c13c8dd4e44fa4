"""What pipelines of each family ask of a scheduler but its steps: a configuration, a table, times and noise levels, noised samples."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from itertools import pairwise
from os import PathLike
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin

from bdia_numerics import configs
from bdia_numerics.grids import Grid
from bdia_numerics.runs.state import State
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.schedulers.configuration import FOREIGN, TABLES, check, read_of, translated
from bdia_numerics.torch.schedulers.frames import PLAIN, Frame, kind_of, levelled, own_levels
from bdia_numerics.torch.schedulers.pipeline_run import PipelineRun
from bdia_numerics.torch.scheduling import floats, level, listed, of_table, table_grid

Made = TypeVar("Made")


class FamilyScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]  # which diffusers combines itself
    """A scheduler with the configuration of any class that `configs` reads, without steps."""

    _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]  # noqa: RUF012  # as diffusers declares it
    order = 1
    noise_end: ClassVar[bool] = False

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
            For entries that nothing reads, and for a walk that is not made: of consistency and other distilled models, ...
        """
        if not isinstance(config, Mapping | str | PathLike):
            raise TypeError(
                f"config={shown(config)} is not a configuration: pass the .config of a scheduler, or a mapping like scheduler_config.json"
            )
        given: Any = config if isinstance(config, Mapping) else cls.load_config(config)
        found = translated(given, options, cls, ignore)
        taken = set(inspect.signature(cls.__init__).parameters) | (FOREIGN if found.get("counts_as") else set())
        made = cls(**{key: value for key, value in found.items() if key in taken})
        rest = {key: value for key, value in found.items() if key not in taken}
        made.register_to_config(  # type: ignore[no-untyped-call]
            **rest | {"_class_name": cls.__name__}
        )
        return (made, rest) if return_unused_kwargs else made

    def _read(self, *, is_ddim: bool) -> None:
        """Read the configuration; `is_ddim` says whether the steps are DDIM's."""
        self.read = read = read_of(self.config)
        self._levelled = own_levels(read)
        # DDIM on a table's times takes steps in any order, and adds noise and clips as DDIMScheduler does.
        self._free = is_ddim and not self._levelled and read.rule != "points"
        check(self.config, free=self._free)
        self._kind = kind_of(read)
        if read.rule in TABLES:
            self.alphas_cumprod = torch.from_numpy(configs.alphas_cumprod(read, np.float32).astype(np.float32))
            self.alphas = self.alphas_cumprod / torch.cat([torch.ones(1), self.alphas_cumprod[:-1]])
            self.betas = 1 - self.alphas
            self.final_alpha_cumprod = torch.tensor(1.0) if self.config["set_alpha_to_one"] else self.alphas_cumprod[0]
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(self.config["num_train_timesteps"]).flip(0)
        self._cache: dict[Hashable, Any] = {}
        self._ends: dict[float, float] = {}
        self._given: State | None = None
        self._now: PipelineRun | None = None

    def __len__(self) -> int:
        """Return the number of training steps."""
        return int(self.config["num_train_timesteps"])

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
    def levels(self) -> str:
        """The kind of noise levels: "flow" (alpha + sigma = 1), "one" (alpha = 1) or "vp" (alpha^2 + sigma^2 = 1)."""
        return "flow" if self.read.flow else "one" if self.read.preconditioned else "vp"

    def told(self, t: float) -> float:
        """Return what the network is told at a time of the grid."""
        return (PLAIN if self._now is None else self._now.frame).told(t)

    @property
    def init_noise_sigma(self) -> float:
        """What a pipeline multiplies noise of size 1 by to begin a run; 1 where the latents are those that the opposite run returned."""
        read, now = self.read, self._now
        if self.noise_end or self._given is not None or read.rule not in ("points", "edm"):
            return 1.0
        if read.rule == "edm":
            return math.hypot(read["sigma_max"], 1)
        alpha, sigma = level(self.alphas_cumprod, len(self) - 1)[1:3] if now is None else now.levels[0]
        spaced = read["timestep_spacing"] in ("linspace", "trailing")
        return float(sigma / alpha) if spaced else math.hypot(sigma / alpha, 1)

    @property
    def sigmas(self) -> torch.Tensor:
        """The noise levels of `timesteps` and of the end, as classes that hold them.

        They are sigma of flow matching (1 - sigma where it is inverted), else sigma/alpha.
        """
        now, times = self._now, [*self._ends, *list(self._ends.values())[-1:]]
        if not (now or times) or not (self._levelled or self.read.rule in ("points", "intervals")):
            raise AttributeError(f"{type(self).__name__} has sigmas after set_timesteps, of classes that hold them")
        clean = self.final_alpha_cumprod if now is None else None
        told = (
            [level(self.alphas_cumprod, t, clean if t < 0 else None)[1:3] for t in times] if now is None else now.levels
        )
        levels = [s if self.read.flow else s / a for a, s in told]
        return torch.tensor([1 - s for s in levels] if self.read["invert_sigmas"] else levels, dtype=torch.float32)

    def add_noise(self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return samples of the family with noise, alpha x + sigma noise or that over alpha, at times of shape (batch,) or (1,)."""
        shape, count = tuple(original_samples.shape), timesteps.numel()
        refuse(
            (
                tuple(noise.shape) != shape,
                f"noise has shape {tuple(noise.shape)}, the samples {shape}: draw noise of their shape",
            ),
            (
                count not in (1, *shape[:1]),
                f"timesteps has {count} times for {shape[0]} samples: pass one, or one a sample",
            ),
        )
        now, frame = self._now, PLAIN if self._now is None else self._now.frame
        if self._levelled or frame.own:
            if now is None:
                raise ValueError("no times are set: call set_timesteps before noise is added")
            found = [now.levels[now.entry(t)] for t in timesteps.flatten()]
        else:
            found = [level(self.alphas_cumprod, t)[1:3] for t in timesteps.flatten().tolist()]
            frame = Frame(scaled=self.read.rule == "points")
        rows = [(scale * a, scale * s) for a, s in found for scale in [frame.at((a, s), (a, s))[0]]]
        alpha, sigma = (
            original_samples.new_tensor(row).reshape(-1, *[1] * (original_samples.ndim - 1))
            for row in zip(*rows, strict=True)
        )
        return alpha * original_samples + sigma * noise

    def scale_noise(self, sample: torch.Tensor, timestep: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the same as `add_noise`, as pipelines of flow matching call it.

        With `invert_sigmas` the level is that of the run. The class of diffusers mixes data and noise the other way round there.
        """
        return self.add_noise(sample, noise, timestep)

    def _levels(self, number: int | None, times: Any, sigmas: Any, mu: float | None) -> tuple[Grid, Frame]:
        """Return the grid and the frame of noise levels that are not those of a table at the times that are told."""
        if number is None and times is None and sigmas is None:
            raise ValueError("num_inference_steps=None: pass a number of steps, timesteps or sigmas")
        passed: dict[str, Any] = {"mu": mu}
        for name, given in (("timesteps", times), ("sigmas", sigmas)):
            passed[name] = None if given is None else tuple(floats(name, given))
            # Read from either end, levels that rise would be run the other way round.
            rises = any(a < b for a, b in pairwise(passed[name] or ()))
            refuse((rises, f"{name}={shown(given)} rises: sort it, noise end first"))
        make = lambda: levelled(self.read, configs.layout(self.read, number, **passed))  # noqa: E731
        grid, frame = self._cached(("levels", number, *passed.values()), make)
        self.num_inference_steps = grid.n if number is None else number
        return grid, frame

    @property
    def _meet(self) -> bool:
        """Whether each step ends where the next begins, also for gamma = 0."""
        return not self._free or self.config["walk"] == "grid" or self.read.rule != "jump"

    def _times(self, number: Any, given: Sequence[float] | None) -> list[float]:
        # Trailing spacing counts a time -1 for some numbers of steps; and t = 0 may be the data end itself.
        end, length = -1 if self.config["set_alpha_to_one"] else 0, self.config["num_train_timesteps"]
        if given is not None:
            times = listed(given, number, length, end + 1, fractional=self.read.rule == "points")
            self.num_inference_steps = len(times)
            return times if self._free else [t for t in times if t > end]
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 1 <= number <= length:
            raise ValueError(f"num_inference_steps={shown(number)}: pass a number of steps, 1 to {length}")
        self.num_inference_steps = int(number)
        times = self._walked(number)
        found = [t for t in dict.fromkeys(times) if t > end] if self._meet else times
        ended = f"num_inference_steps={number} tells t = {times[0]:g} only, where the run ends: ask for more, or pass set_alpha_to_one=True"
        refuse((not found, ended))
        return found

    def _walked(self, number: int | np.integer[Any]) -> list[float]:
        """Return the times of the class's own steps."""
        make = lambda: [step.t for step in configs.layout(self.read, int(number)).steps]  # noqa: E731
        return self._cached(("times", int(number)), make)

    def _own_levels(self, number: Any, given: Any) -> bool:
        """Say whether the levels are not the table's at the times: so is that of the time -1, the lowest, where sigma/alpha is held."""
        held = given is None and self.read.rule in ("points", "intervals")
        able = held and isinstance(number, int | np.integer) and 1 <= number <= self.config["num_train_timesteps"]
        return self._levelled or (able and min(self._walked(number)) < 0)

    def _grid_of(self, times: list[float]) -> Grid:
        table = self.alphas_cumprod.double().cpu().numpy()
        schedule = self._cached(table.tobytes(), lambda: of_table(self.read, table))
        clean = self.config["set_alpha_to_one"]
        return self._cached(
            (table.tobytes(), *times), lambda: table_grid(schedule, self.alphas_cumprod, times, clean=clean)
        )

    def _cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]
