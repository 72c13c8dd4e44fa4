"""Schedulers of diffusers driven on exact scores: which noise levels they walk, and where they come to.

A scheduler tells the model a time. For a table of alphas_cumprod that is an index (between entries log(sigma/alpha) is taken as linear, as
the schedulers themselves do where they look a time up), for EDM and continuous times log(sigma)/4, for flow matching T sigma. Levels are
those of the object itself (`grids.live`), what its network predicts and is told is read by `configs`. The states are in the convention
of `Levels`; a scheduler that keeps z/alpha is given, and asked for, that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from bdia_numerics import configs, grids
from bdia_numerics.configs.walk import Levels

Array = np.ndarray[Any, Any]
TOP = 1e8
"""sigma/alpha that stands for infinity."""


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


@dataclass(frozen=True, eq=False)
class Driven:
    """A run of a scheduler.

    Attributes
    ----------
    start, end : array, shape (*batch, *data)
        States, in the convention of `levels`.
    s_from, s_to : float
        sigma/alpha at which they stand, as the scheduler says.
    told : tuple of float
        sigma/alpha of the times that the model was told, in the order of its evaluations.
    levels : Levels
        alpha and sigma of sigma/alpha.
    """

    start: Array
    end: Array
    s_from: float
    s_to: float
    told: tuple[float, ...]
    levels: Levels


def reading(scheduler: Any) -> configs.SchedulerConfig | None:
    """Return what the configuration of a scheduler, or of the class of diffusers that it is made from, says; None for other classes.

    Raises
    ------
    TypeError, ValueError
        Beginning with "cannot be tested": for a class whose walk is not known, and for walks that solve no ordinary differential equation.
    """
    entries = {key: value for key, value in getattr(scheduler, "config", {}).items() if not key.startswith("_")}
    name = next((kind.__name__ for kind in type(scheduler).__mro__ if kind.__name__ in configs.FAMILIES), None)
    if name is None:
        return None
    # The levels are the object's own, and no entry of a class derived from it needs to be known.
    strange = entries.keys() - configs.FAMILIES[name].defaults.keys()
    read = configs.from_mapping(entries | {"_class_name": name}, ignore=strange)
    if not read.known or read.rule == "consistency":
        raise TypeError(
            f"cannot be tested: the walk of {name} is not read: {read.family.why or 'its levels are its own'}"
        )
    if read.stochastic:
        raise ValueError(
            f"cannot be tested: {name} adds noise in each step, so that it has no exact solution to come to"
        )
    if read["invert_sigmas"]:
        raise ValueError(
            "cannot be tested: invert_sigmas=True: the network is told 1 - sigma, and predicts data less noise"
        )
    if getattr(scheduler, "noise_end", False):
        raise ValueError(f"cannot be tested: {type(scheduler).__name__} goes on from a State: test its solver")
    return read


class Walk:
    """What a scheduler does after set_timesteps: the levels of its times and of its ends, and what it reads the network's output as.

    Raises TypeError or ValueError, beginning with "cannot be tested", where that is not known.
    """

    def __init__(self, scheduler: Any) -> None:
        self.read = reading(scheduler)
        try:
            walk = grids.live(scheduler)
        except (TypeError, ValueError) as error:
            raise type(error)(f"cannot be tested: {error}") from None
        self.scheduler, self.config = scheduler, getattr(scheduler, "config", {})
        self.levels = Levels(walk.kind)
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
        self.output = "velocity" if walk.kind == "flow" else str(self.config.get("prediction_type"))

    def level(self, t: float) -> float:
        """Return sigma/alpha of a time that the model is told."""
        if self.read is not None and self.read.preconditioned is not None:
            return float(np.exp(4 * t))
        if self.levels.kind == "vp":
            return float(np.exp(np.interp(t, range(len(self.table)), np.log(self.table))))
        return _ratio(t / self.config["num_train_timesteps"])

    def prediction(self, eps: Array, z: Array, s: float) -> Array:
        """Return what the network would put out where its noise prediction is eps."""
        alpha, sigma = float(self.levels.alpha(s)), float(self.levels.sigma(s))
        if self.output == "epsilon" and self.levels.kind == "vp":
            return eps
        x0 = (z - sigma * eps) / alpha
        if self.levels.kind == "one":
            data = self.config["sigma_data"]
            skip, out = data**2 / (s**2 + data**2), s * data / np.hypot(s, data)
            return np.asarray((x0 - skip * z) / (-out if self.output == "v_prediction" else out))
        outputs = {"sample": x0, "v_prediction": alpha * eps - sigma * x0, "velocity": eps - x0}
        if self.output not in outputs:
            raise ValueError(
                f"cannot be tested: prediction_type={self.output!r} is not known here: use epsilon, v_prediction or sample"
            )
        return np.asarray(outputs[self.output])

    def scale(self, t: Any) -> float:
        """Return what `scale_model_input` multiplies the state by."""
        scaled = getattr(self.scheduler, "scale_model_input", None)
        return 1.0 if scaled is None else float(scaled(torch.ones(1, dtype=torch.float64), t)[0])


def drive(
    scheduler: Any,
    n: int,
    model_of: Callable[[Levels], Any],
    states_of: Callable[[float, float], Array],
    mu: float | None = None,
    passed: dict[str, Any] | None = None,
) -> Driven:
    """Run a scheduler on an exact noise prediction, in float64.

    Parameters
    ----------
    scheduler
        An object with `set_timesteps`, `timesteps` and `step`.
    n
        What is passed to `set_timesteps`.
    model_of
        From alpha and sigma as functions of s = sigma/alpha to the model eps(z, s).
    states_of
        From alpha and sigma at the start to the states there.
    mu
        What is passed to `set_timesteps`, too, by which a flow's levels are shifted.
    passed
        What is passed to `set_timesteps` in the place of n, as `refined` returns it.

    Raises
    ------
    TypeError, ValueError
        Beginning with "cannot be tested", for a scheduler that takes no such steps or of which the levels are not known.
    """
    with double_precision(type(scheduler)), torch.no_grad(), np.errstate(all="ignore"):
        set_steps(scheduler, n, mu, passed)
        walk = Walk(scheduler)
        s_from, s_to = float(walk.begins[0]), float(walk.ends[-1])
        levels, model = walk.levels, model_of(walk.levels)
        start = states_of(float(levels.alpha(s_from)), float(levels.sigma(s_from)))
        # EDM's factor is its preconditioning, the others' takes z/alpha to z.
        keeps_y = levels.kind == "vp" and abs(walk.scale(scheduler.timesteps[0]) - 1) > 1e-9
        sample = torch.from_numpy(start / float(levels.alpha(s_from)) if keeps_y else start.copy())
        told = []
        for t in scheduler.timesteps:
            s, c = walk.level(float(t)), walk.scale(t)
            told.append(s)
            z = sample.numpy().astype(np.float64) * c
            if levels.kind == "one":
                z = z * np.hypot(s, walk.config["sigma_data"])
            output = walk.prediction(model(z, s), z, s)
            sample = scheduler.step(torch.from_numpy(output), t, sample).prev_sample
        end = sample.numpy().astype(np.float64)
        return Driven(start, end * float(levels.alpha(s_to)) if keeps_y else end, s_from, s_to, tuple(told), levels)


def set_steps(scheduler: Any, n: int, mu: float | None, passed: dict[str, Any] | None = None) -> None:
    """Call set_timesteps; errors as `drive`."""
    reading(scheduler)
    try:
        scheduler.set_timesteps(
            **({"num_inference_steps": n} if passed is None else passed), **({} if mu is None else {"mu": mu})
        )
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(
            f"cannot be tested: {type(scheduler).__name__}.set_timesteps({n}) says: {' '.join(str(error).split())}"
        ) from error


def _ratio(sigma: float) -> float:
    return min(sigma / (1 - sigma), TOP) if sigma < 1 else TOP
