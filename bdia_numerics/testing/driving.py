"""Schedulers of diffusers driven on exact scores: which noise levels they walk, where they come to, and how one is made on smooth levels.

A scheduler tells the model a time. For a table of alphas_cumprod that is an index (between entries log(sigma/alpha) is taken as linear, as
the schedulers themselves do where they look a time up), for EDM and continuous times log(sigma)/4, for flow matching T sigma. Levels are
those of the object itself (`grids.live`), what its network predicts and is told is read by `configs`. The states are in the convention
of `RatioLevels`; a scheduler that keeps z/alpha is given, and asked for, that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from bdia_numerics import configs, grids
from bdia_numerics.configs.config import KINDS
from bdia_numerics.configs.tables import RatioLevels
from bdia_numerics.grids import Point
from bdia_numerics.models import PREDICTIONS, form
from bdia_numerics.texts import refuse, shown

Array = np.ndarray[Any, Any]
TOP = 1e8
"""sigma/alpha that stands for infinity."""
SPAN = (0.35, 6.0)
"""sigma/alpha from data to noise end; where a scheduler can only end at 0, the span begins there."""
NEAR = 1e-9
FINE = 2**20
PARTS = 2
"""Entries of the table in a slot: PNDM's Runge-Kutta steps need the middle one."""
EQUAL = (1,)


class _Double:
    """A library whose float32 is float64."""

    def __init__(self, library: Any, double: Any) -> None:
        self._library, self.float32 = library, double

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


@contextmanager
def double_precision(kind: type) -> Iterator[None]:
    """Let float32 stand for float64 in the modules of a scheduler's class and of its bases.

    Schedulers write float32 into their tables and upcast states to it, which hides the order of methods above the first. Not for threads.
    """
    modules = {sys.modules[c.__module__] for c in kind.__mro__ if c.__module__.split(".")[0] not in ("builtins", "abc")}
    before = torch.get_default_dtype()
    with ExitStack() as stack:
        for module in modules:
            for name, library, double in (("torch", torch, torch.float64), ("np", np, np.float64)):
                if getattr(module, name, None) is library:
                    stack.enter_context(patch.object(module, name, _Double(library, double)))
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def scheduler_class(name: str) -> Any:
    """Return a class of diffusers by its name, None if the installed version has none."""
    import diffusers

    return getattr(diffusers, name, None)


def reading(scheduler: Any) -> configs.SchedulerConfig | None:
    """Return what the configuration of a scheduler, or of the class of diffusers that it is made from, says; None for other classes.

    Raises
    ------
    TypeError, ValueError
        Beginning with "cannot be tested": for a class whose walk is not known, and for walks that solve no ordinary differential equation.
    """
    entries = {key: value for key, value in getattr(scheduler, "config", {}).items() if not key.startswith("_")}
    own = getattr(scheduler, "read", None)  # of one of this package's
    name = (
        own.name
        if isinstance(own, configs.SchedulerConfig)
        else next((kind.__name__ for kind in type(scheduler).__mro__ if kind.__name__ in configs.FAMILIES), None)
    )
    if name is None:
        return None
    # The levels are the object's own, and no entry of a class derived from it needs to be known.
    strange = entries.keys() - configs.FAMILIES[name].defaults.keys()
    read = configs.from_mapping(entries | {"_class_name": name}, ignore=strange)
    if not read.known or read.rule == "consistency":
        raise TypeError(
            f"cannot be tested: the walk of {name} is not read: {read.family.why or 'its levels are its own'}"
        )
    refuse(
        (
            read.stochastic,
            f"cannot be tested: {name} adds noise in each step and so has no exact solution: take one that adds none, as DDIMScheduler",
        ),
        (
            read["invert_sigmas"],
            "cannot be tested: invert_sigmas=True: the network is told 1 - sigma, and predicts data less noise",
        ),
        (
            getattr(scheduler, "noise_end", False),
            f"cannot be tested: {type(scheduler).__name__} goes on from a State: test its solver",
        ),
    )
    return read


class DrivenWalk:
    """What a scheduler does after set_timesteps, and what it reads the network's output as.

    `begins` and `ends` are sigma/alpha of its steps, `told` that of the times that the model is told, in the order of its evaluations, and
    `levels` gives alpha and sigma of them. Raises TypeError or ValueError, beginning with "cannot be tested", where that is not known.
    """

    def __init__(self, scheduler: Any) -> None:
        self.read = reading(scheduler)
        try:
            walk = grids.live(scheduler)
        except (TypeError, ValueError) as error:
            raise type(error)(f"cannot be tested: {error}") from None
        self.scheduler, self.config = scheduler, getattr(scheduler, "config", {})
        self.levels = RatioLevels(walk.kind)
        if walk.kind == "one" and (self.read is None or self.read.rule != "edm"):
            raise TypeError(
                f"cannot be tested: {type(scheduler).__name__} has neither alphas_cumprod nor the configuration of EDM or flow matching: "
                "its noise levels are not known, wrap it in a function sample(eps, grid, z)"
            )
        if walk.table is not None:
            with np.errstate(divide="ignore"):
                self.table = np.minimum(np.sqrt((1 - walk.table) / walk.table), TOP)
        self.times = walk.times
        self.begins, self.ends = (np.minimum(s, TOP) for s in (walk.begins, walk.ends))
        kind = str(self.config.get("prediction_type"))
        flow = walk.kind == "flow" and (self.read is None or self.read.rule == "flow")  # which have no prediction_type
        self.output = "velocity" if flow else configs.PREDICTIONS.get(kind, kind)
        self.told = tuple(self.level(float(t)) for t in scheduler.timesteps)

    def level(self, t: float) -> float:
        """Return sigma/alpha of a time that the model is told."""
        if self.read is not None and self.read.preconditioned is not None:
            return float(np.exp(4 * t))
        if self.levels.kind == "vp":
            return float(np.exp(np.interp(t, range(len(self.table)), np.log(self.table))))
        sigma = t / self.config["num_train_timesteps"]
        return min(sigma / (1 - sigma), TOP) if sigma < 1 else TOP

    def prediction(self, eps: Array, z: Array, s: float) -> Array:
        """Return what the network would put out where its noise prediction is eps."""
        point = Point(s, float(self.levels.alpha(s)), float(self.levels.sigma(s)), -1.0, 1.0)
        if self.levels.kind == "one":
            data = self.config["sigma_data"]
            skip, out = data**2 / (s**2 + data**2), s * data / np.hypot(s, data)
            x0 = z - point.sigma * eps
            return np.asarray((x0 - skip * z) / (-out if self.output == "v" else out))
        if self.output not in PREDICTIONS:
            raise ValueError(
                f"cannot be tested: prediction_type={shown(self.output)} is not known here: use epsilon, v_prediction or sample"
            )
        of_state, of_eps = map(float, form("eps", self.output, point))
        return eps if self.output == "eps" else np.asarray(of_state * z + of_eps * eps)

    def scale(self, t: Any) -> float:
        """Return what `scale_model_input` multiplies the state by."""
        scaled = getattr(self.scheduler, "scale_model_input", None)
        return 1.0 if scaled is None else float(scaled(torch.ones(1, dtype=torch.float64), t)[0])

    def run(self, model: Any, start: Array) -> Array:
        """Return where the scheduler comes to from states at its first level, on an exact noise prediction eps(z, sigma/alpha), in float64.

        States, of shape (*batch, *data), are in the convention of `levels`.
        """
        levels, scheduler = self.levels, self.scheduler
        with double_precision(type(scheduler)), torch.no_grad(), np.errstate(all="ignore"):
            first, last = (float(levels.alpha(s)) for s in (self.begins[0], self.ends[-1]))
            # EDM's factor is its preconditioning, the others' takes z/alpha to z.
            keeps_y = levels.kind == "vp" and abs(self.scale(scheduler.timesteps[0]) - 1) > 1e-9
            sample: Any = torch.from_numpy(start / first if keeps_y else start.copy())
            for t, s in zip(scheduler.timesteps, self.told, strict=True):
                z = sample.numpy().astype(np.float64) * self.scale(t)
                if levels.kind == "one":
                    z = z * np.hypot(s, self.config["sigma_data"])
                found = scheduler.step(torch.from_numpy(self.prediction(model(z, s), z, s)), t, sample)
                sample = found[0] if isinstance(found, tuple) else getattr(found, "prev_sample", None)
                if not isinstance(sample, torch.Tensor):
                    raise TypeError(
                        f"cannot be tested: {type(scheduler).__name__}.step returned a {type(found).__name__}: return an object with "
                        "the tensor prev_sample, or a tuple with it in front"
                    )
            return np.asarray(sample.numpy().astype(np.float64) * (last if keeps_y else 1.0))


def walked(scheduler: Any, n: int, mu: float | None = None, passed: dict[str, Any] | None = None) -> DrivenWalk:
    """Return the walk of a scheduler after its set_timesteps, in float64.

    Parameters
    ----------
    scheduler
        An object with `set_timesteps`, `timesteps` and `step`.
    n
        What is passed to `set_timesteps`.
    mu
        What is passed to `set_timesteps`, too, by which a flow's levels are shifted.
    passed
        What is passed to `set_timesteps` in the place of n, as `refined` returns it.

    Raises
    ------
    TypeError, ValueError
        Beginning with "cannot be tested", for a scheduler that takes no such steps or of which the levels are not known.
    """
    reading(scheduler)
    with double_precision(type(scheduler)), np.errstate(all="ignore"):
        try:
            # By place: classes of one's own may call it otherwise.
            steps, named = ((n,), {}) if passed is None else ((), passed)
            scheduler.set_timesteps(*steps, **named, **({} if mu is None else {"mu": mu}))
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise ValueError(
                f"cannot be tested: {type(scheduler).__name__}.set_timesteps({n}) says: {' '.join(str(error).split())}"
            ) from error
        return DrivenWalk(scheduler)


def refined(
    scheduler: Any, n: int, span: tuple[float, float] = SPAN, pattern: tuple[int, ...] = EQUAL
) -> tuple[Any, dict[str, Any]]:
    """Return a scheduler of the same class and options whose n steps are the slots of a grid that is smooth as n grows.

    Tables are uniform in asinh(sigma/alpha), and rounding of times to whole ones does nothing. Sigmas of another kind are kept, between the
    ends of that table, where the times that are told stand for them, and left out elsewhere. EDM's levels and continuous times have
    Karras' rule and go to 0; those of flow matching are uniform, with the shift of the scheduler.

    Parameters
    ----------
    scheduler, n
        A scheduler of diffusers, or of a class derived from one; the number of steps.
    span
        sigma/alpha at the data end and at the noise end.
    pattern
        Relative steps that repeat from the data end, (1, 2) for h, 2h, h, ... Tables are then made so, and sigmas of another kind are left
        out; levels that stand in no table are passed as `sigmas`.

    Returns
    -------
    scheduler
        It.
    passed : dict
        What its set_timesteps takes.

    Raises
    ------
    TypeError, ValueError
        Beginning with "cannot be tested": if the class cannot be made from a configuration, if no time spacing of the class gives these n
        times, if a pattern asks for sigmas and its set_timesteps takes none, and as `reading`.
    """
    passed: dict[str, Any] = {"num_inference_steps": n}
    read, kind, config = reading(scheduler), type(scheduler), dict(getattr(scheduler, "config", {}))
    if not hasattr(kind, "from_config"):
        raise TypeError(
            f"cannot be tested: {kind.__name__} has no from_config, so it runs on its own times only: pass family='own'"
        )
    no_kind = {key: False for key in KINDS if config.get(key)}
    continuous = read is not None and read.preconditioned is not None
    if "sigma_data" in config or continuous:
        rho = float(config.get("rho", 7))
        own = {"sigma_max": span[1], "sigma_min": span[1] * n**-rho, "final_sigmas_type": "zero"}
        made = _made(kind, config | own | no_kind | ({"use_karras_sigmas": True} if continuous else {}))
        return made, passed if pattern == EQUAL else _of_karras(made, n, pattern, span[1], rho)
    if read is not None and read.flow:
        # With a table, times are cut to whole ones: there are enough of them.
        length = n if read.rule == "flow" else FINE
        own = {"num_train_timesteps": length, "shift_terminal": None, "trained_betas": None, "beta_schedule": "linear"}
        made = _made(kind, config | own | no_kind)
        if pattern == EQUAL:
            return made, passed
        _takes_sigmas(kind)
        return made, passed | {"sigmas": _parts(n, pattern)[:0:-1]}
    if not hasattr(scheduler, "alphas_cumprod"):
        if pattern != EQUAL:
            raise ValueError(
                f"cannot be tested: {kind.__name__} has no table that could be made uneven: pass family=None"
            )
        return _made(kind, config | {"num_train_timesteps": n}), passed
    kept = {"sigma_max": span[1], "sigma_min": span[0]}
    for ends_at_zero in (False, True):
        own, wanted = _table(n, span, ends_at_zero, pattern)
        end = 0.0 if ends_at_zero else span[0]
        if no_kind and not ends_at_zero and pattern == EQUAL:
            made = _made(kind, config | own | kept)
            if _walks(made, n, None, own["num_train_timesteps"], end):
                return made, passed
        for spacing, offset in (("leading", PARTS), ("linspace", 0)):
            made = _made(kind, config | own | no_kind | {"timestep_spacing": spacing, "steps_offset": offset})
            if _walks(made, n, wanted, own["num_train_timesteps"], end):
                return made, passed
    raise ValueError(
        f"cannot be tested: {kind.__name__} has no spacing that takes {n} even steps of its table: pass family='own'"
    )


def _parts(n: int, pattern: tuple[int, ...]) -> Array:
    """Return where the slots of steps in a pattern end, as parts of the whole, from 0 at the data end to 1; shape (n+1,)."""
    ends = np.concatenate([[0.0], np.cumsum(np.resize(pattern, n))])
    return np.asarray(ends / ends[-1])


def _takes_sigmas(kind: Any) -> None:
    if "sigmas" not in inspect.signature(kind.set_timesteps).parameters:
        raise ValueError(
            f"cannot be tested: the set_timesteps of {kind.__name__} takes no sigmas, and its levels stand in no table, so that its steps "
            "cannot be made uneven: pass family=None"
        )


def _of_karras(made: Any, n: int, pattern: tuple[int, ...], sigma_max: float, rho: float) -> dict[str, Any]:
    """Return what set_timesteps takes for uneven steps of sigma^(1/rho), of which the last one ends at 0."""
    _takes_sigmas(type(made))
    parts = _parts(n, pattern)[::-1]
    if "sigma_schedule" in made.config:  # its sigmas are places between sigma_max and sigma_min
        low = n**-1.0
        return {"num_inference_steps": n, "sigmas": torch.from_numpy((1 - parts[:-1]) / (1 - low))}
    return {"sigmas": sigma_max * parts**rho}


def _table(
    n: int, span: tuple[float, float], ends_at_zero: bool, pattern: tuple[int, ...]
) -> tuple[dict[str, Any], set[int]]:
    """Return the entries of a table whose slots are in a pattern in asinh(sigma/alpha), and the times that n steps should take."""
    length, first = PARTS * (n - 1 if ends_at_zero else n) + 1, PARTS if ends_at_zero else 0
    low = np.arcsinh(0.0 if ends_at_zero else span[0])
    places = np.interp((np.arange(length) + first) / PARTS, np.arange(n + 1), _parts(n, pattern))
    s = np.sinh(low + (np.arcsinh(span[1]) - low) * places)
    squares = 1 / (1 + s**2)
    betas = 1 - squares / np.concatenate([[1.0], squares[:-1]])
    own = {
        "num_train_timesteps": length, "trained_betas": betas.tolist(), "rescale_betas_zero_snr": False,
        "final_sigmas_type": "sigma_min", "set_alpha_to_one": False,
    }  # fmt: skip
    return own, set(range(0 if ends_at_zero else PARTS, length, PARTS))


def _walks(made: Any, n: int, wanted: set[int] | None, length: int, end: float) -> bool:
    """Say whether a scheduler asks at the wanted times, or without them at times of its levels, and has its data end at `end`."""
    with double_precision(type(made)), np.errstate(all="ignore"):
        try:
            made.set_timesteps(n)
            walk = DrivenWalk(made)
        except (IndexError, ValueError):  # times beyond the table
            return False
        times = np.asarray(made.timesteps, dtype=np.float64)
        if wanted is None:
            told = np.array([walk.level(float(t)) for t in walk.times])
            if not np.allclose(told, walk.begins, rtol=1e-6):
                return False
        elif not wanted <= {round(t) for t in times.tolist() if abs(t - round(t)) < NEAR}:
            return False
        return bool(max(times) < length and abs(min(walk.begins[0], walk.ends[-1]) - end) < NEAR)


def _made(kind: Any, config: dict[str, Any]) -> Any:
    known = inspect.signature(kind.__init__).parameters
    with double_precision(kind):
        return kind.from_config({key: value for key, value in config.items() if key in known})
