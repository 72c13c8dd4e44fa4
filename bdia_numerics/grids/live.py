"""The walk of a live scheduler object: the times that it tells and the noise levels at which its steps begin and end."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.grids.grid import Grid
from bdia_numerics.spaces import Array
from bdia_numerics.texts import shown


@dataclass(frozen=True)
class Live:
    """What a scheduler does after set_timesteps.

    Attributes
    ----------
    kind : str
        "vp" (alpha^2 + sigma^2 = 1), "one" (alpha = 1) or "flow" (alpha + sigma = 1).
    told : array, shape (evaluations,)
        The times that the model is told.
    times : array, shape (steps,)
        Those of them with which each step begins.
    begins, ends : array, shape (steps,)
        sigma/alpha at which each step begins and ends, in the order of the run.
    table : array or None
        alpha^2 by training step.
    """

    kind: str
    told: Array
    times: Array
    begins: Array
    ends: Array
    table: Array | None


def live(scheduler: Any) -> Live:
    """Return the walk of a scheduler.

    It is read off its `grid`, its `frame` and its `levels`; else off its `timesteps` and its `sigmas`, or else off its table.

    Raises
    ------
    TypeError
        For an object without `timesteps` and noise levels.
    ValueError
        If set_timesteps has not been called, for a time outside the table, and levels that are not numbers.
    """
    config, name = getattr(scheduler, "config", {}), type(scheduler).__name__
    if why := next((UNREAD[c.__name__] for c in type(scheduler).__mro__ if c.__name__ in UNREAD), ""):
        raise TypeError(f"the walk of {name} is not read: {why}")
    if getattr(scheduler, "timesteps", None) is None or not (
        hasattr(scheduler, "sigmas") or hasattr(scheduler, "alphas_cumprod")
    ):
        raise TypeError(
            f"scheduler={shown(scheduler)} has no timesteps with sigmas or alphas_cumprod: pass a scheduler of diffusers, not its name"
        )
    if getattr(scheduler, "num_inference_steps", None) is None and not getattr(scheduler, "custom_timesteps", False):
        raise ValueError(f"{name} has no steps yet: call its set_timesteps first, which sets num_inference_steps")
    told = _numbers(scheduler.timesteps)
    squares = getattr(scheduler, "alphas_cumprod", None)
    table = None if squares is None else _numbers(squares)
    if isinstance(own := getattr(scheduler, "grid", None), Grid):
        with np.errstate(divide="ignore"):
            levels = own.sigma.astype(np.float64) / own.alpha.astype(np.float64)
        way = 1 if getattr(scheduler, "noise_end", False) else -1
        times, levels = np.array([scheduler.frame.told(t) for t in own.t[::way].tolist()]), levels[::way]
        return Live(scheduler.levels, told, times[:-1], levels[:-1], levels[1:], table)
    if hasattr(scheduler, "sigmas"):
        times, sigmas = _points(scheduler, told)
        kind = _kind(scheduler, config, table)
        if kind == "flow":
            if config.get("invert_sigmas") and sigmas[-1] == 1:
                raise ValueError(f"invert_sigmas=True: {INVERTED}")
            if sigmas.max() > 1:
                raise ValueError(f"sigma={sigmas.max():g} exceeds 1, where flow matching begins: {name} cannot run it")
            with np.errstate(divide="ignore"):
                sigmas = sigmas / (1 - sigmas)
        begins, ends = sigmas[:-1], sigmas[1:]
    else:
        assert table is not None
        kind, (times, begins, ends) = "vp", _looked_up(scheduler, told, table)
    if np.isnan(begins).any() or np.isnan(ends).any():
        raise ValueError(f"{name} has levels that are not numbers: ask for another number of steps")
    return Live(kind, told, times, begins, ends, table)


INVERTED = "such a network is told 1 - sigma and predicts data less noise, which is not read here"

UNREAD = {
    "RePaintScheduler": "it goes back and forth between levels",
    "LTXEulerAncestralRFScheduler": "its steps add noise between levels that the pipeline passes",
    "PiflowScheduler": "it runs a policy between its levels",
    "FlowMapEulerDiscreteScheduler": "its network is told two times",
    "MiniMaxH3Scheduler": "its levels depend on the sequence",
}
"""Classes of diffusers whose walk is more than the levels that they hold, and why."""


def _numbers(column: Any) -> Array:
    """Return numbers as an array, also of a tensor on a device: a pipeline that has run leaves times and tables there."""
    return np.asarray(column.cpu() if hasattr(column, "cpu") else column, dtype=np.float64)


def _kind(scheduler: Any, config: Any, table: Array | None) -> str:
    # A configuration may hold entries of another class, which nothing reads.
    own = inspect.signature(type(scheduler)).parameters
    if ("shift" in own and "shift" in config) or ("use_flow_sigmas" in own and config.get("use_flow_sigmas")):
        return "flow"
    return "vp" if table is not None else "one"


def _points(scheduler: Any, told: Array) -> tuple[Array, Array]:
    """Return the time of each step, and one level for each and the last.

    Methods of two stages hold all levels but the ends twice, and some classes more levels than they use.
    """
    sigmas = _numbers(scheduler.sigmas)
    if int(getattr(scheduler, "order", 1)) == 2:
        times = told[::2]
        return times, np.concatenate([sigmas[:1], sigmas[1::2][: len(times) - 1], sigmas[-1:]])
    return told, sigmas[: len(told) + 1]


def _looked_up(scheduler: Any, told: Array, table: Array) -> tuple[Array, Array, Array]:
    """Return the times of the steps of a scheduler without `sigmas`, and the levels that it looks up in its table in each."""
    config, length = getattr(scheduler, "config", {}), len(table)
    with np.errstate(divide="ignore"):
        levels = np.sqrt((1 - table) / table)
    # PNDM tells some times more than once.
    own = getattr(scheduler, "_timesteps", None)
    times = told if own is None else _numbers(own)[::-1]
    if times.max() > length - 1:
        raise ValueError(f"t={times.max():g} is outside the table of {length} training steps: lower steps_offset")
    at = levels[times.astype(int)]
    clean = getattr(scheduler, "initial_alpha_cumprod", getattr(scheduler, "final_alpha_cumprod", None))
    if (
        clean is None or "original_inference_steps" in config
    ):  # each step ends where the next begins, the last at clean data
        # TCD looks up its last level at t = 0, whatever set_alpha_to_one says.
        is_tcd = any(c.__name__ == "TCDScheduler" for c in type(scheduler).__mro__)
        return times, at, np.append(at[1:], levels[0] if is_tcd else 0.0)
    squared = float(clean)
    jump = int(config.get("num_train_timesteps", length)) // int(scheduler.num_inference_steps)
    final = float(np.sqrt((1 - squared) / squared))
    before = np.array([levels[int(t)] if t >= 0 else final for t in times - jump])
    return (times, before, at) if hasattr(scheduler, "initial_alpha_cumprod") else (times, at, before)
