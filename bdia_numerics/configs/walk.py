"""The steps of a run: what a configuration, or a live scheduler, comes down to."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.configs.config import SchedulerConfig
from bdia_numerics.configs.tables import (
    RatioLevels,
    alphas_cumprod,
    between,
    clipped,
    distilled,
    inside,
    on_table,
    ratios_of,
    shifted,
    spaced,
    spread,
    times_of,
)
from bdia_numerics.texts import refuse, shown

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class WalkStep:
    """One step: the time told to the model, and sigma/alpha of the state that it takes and of the one that it makes.

    The step takes its state to stand at the time that the model is told.
    """

    t: float
    s: float
    s_end: float


@dataclass(frozen=True)
class Walk:
    """The steps of a run, noise end first (data end first for an inverse scheduler).

    Attributes
    ----------
    steps
        One for each change of the noise level.
    levels
        alpha and sigma of sigma/alpha.
    told
        The times of all evaluations in their order, as the scheduler's `timesteps` list them: a method of two stages has two a step.
    table
        alpha^2 by training step as the scheduler holds it, where it has a table.
    """

    steps: tuple[WalkStep, ...]
    levels: RatioLevels
    told: tuple[float, ...]
    table: Array | None = None

    @property
    def nfe(self) -> int:
        """Model evaluations."""
        return len(self.told)

    @property
    def consistent(self) -> bool:
        """Whether every step begins at the noise level at which the one before it ended."""
        return all(np.isclose(a.s_end, b.s, rtol=1e-9) for a, b in zip(self.steps, self.steps[1:], strict=False))

    def grid(self) -> grids.Grid:
        """Return the grid of the times at which the model is evaluated and the last level; slots without length are left out.

        Its t is sigma for flow matching, as there, and sigma/alpha else: a table has no time for a level between its entries.

        Raises
        ------
        ValueError
            If the levels do not fall (rise, for an inverse scheduler) from step to step, or one is infinite.
        """
        first, last = self.steps[0].s, self.steps[-1].s_end
        rises = len(self.steps) > 1 and self.steps[1].s > first
        levels = {first, *(step.s_end for step in self.steps)} if rises else {*(step.s for step in self.steps), last}
        s = np.array(sorted(levels))
        flow = self.levels.kind == "flow"
        alpha, sigma = self.levels.alpha(s), self.levels.sigma(s)
        return grids.from_values(sigma if flow else s, alpha, sigma, schedule=schedules.flow() if flow else self.levels)


def from_scheduler(scheduler: Any) -> Walk:
    """Return the steps of a live scheduler after its set_timesteps, from what it holds and not from its configuration.

    Raises
    ------
    TypeError, ValueError
        As `grids.live`.
    """
    walk = grids.live(scheduler)
    columns = zip(walk.times, walk.begins, walk.ends, strict=True)
    steps = tuple(WalkStep(float(t), float(s), float(end)) for t, s, end in columns)
    return Walk(steps, RatioLevels(walk.kind), tuple(walk.told.tolist()), walk.table)


@dataclass(frozen=True)
class Passed:
    """What is passed to set_timesteps: a number of steps, or times, or sigmas; and the shift mu of flows whose shift is dynamic."""

    n: int
    mu: float | None
    times: Array | None
    sigmas: Array | None


def layout(
    config: SchedulerConfig,
    n: int | None = None,
    *,
    mu: float | None = None,
    timesteps: Sequence[float] | None = None,
    sigmas: Sequence[float] | None = None,
) -> Walk:
    """Return the steps that a scheduler of this configuration takes, at its own precision: tables and sigmas in float32.

    Parameters
    ----------
    config
        Its class decides how it walks; see `families.Family`.
    n
        What is passed to set_timesteps; not needed with `timesteps` or `sigmas`.
    mu
        The shift in logarithms, for schedulers with use_dynamic_shifting; a pipeline takes it from the size of the image.
    timesteps, sigmas
        Passed to set_timesteps in the place of n, by the schedulers that take them.

    Raises
    ------
    ValueError
        For a class whose walk is not read, for what the scheduler itself would refuse, and for a time outside its table.
    """
    if not isinstance(config, SchedulerConfig):
        raise TypeError(
            f"config={shown(config)} is not a SchedulerConfig: pass configs.from_mapping(config), or configs.read(path)"
        )
    refuse(
        (not config.known, f"the walk of {config.name[:80]} is not read: {config.family.why}"),
        (
            n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer)),
            f"n={shown(n)} is not a number of steps: pass an int",
        ),
    )
    given: dict[str, Any] = {"mu": None if mu is None else [mu], "timesteps": timesteps, "sigmas": sigmas}
    for key, passed in given.items():
        for x in () if passed is None else passed:
            able = isinstance(x, int | float | np.number) and not isinstance(x, bool) and math.isfinite(x)
            refuse((not able, f"{key} has {shown(x)}: pass finite numbers"))
        refuse((passed is not None and len(passed) == 0, f"{key} is empty: pass one number for each step"))
    own = [len(x) for x in (timesteps, sigmas) if x is not None]
    count = n if n is not None else own[0] if own else 0
    refuse(
        (n is None and not own, "n is missing: pass a number of steps, timesteps or sigmas"),
        (count < 1, f"steps={count}: ask for 1 or more"),
        (
            any(length != count for length in own),
            f"n={n} with {own} timesteps or sigmas: pass one number of steps, or lists of that length",
        ),
    )
    asked = Passed(count, mu, *(None if x is None else np.asarray(x, dtype=np.float32) for x in (timesteps, sigmas)))
    _check(config, asked)
    if config.rule == "flow":
        return _flow(config, asked)
    if config.rule in ("edm", "consistency"):
        return _own_levels(config, asked)
    table = alphas_cumprod(config, np.float32)
    # These keep sigma/alpha in float32, the others look alpha^2 up in each step.
    kept = table if config.rule in ("points", "intervals") else table.astype(np.float64)
    with np.errstate(divide="ignore", over="ignore"):  # infinite where alpha is 0 or next to it
        levels = np.sqrt((1 - kept) / kept)
    return _RULES[config.rule](config, asked, levels, table)


_TAKES = {  # by class, what set_timesteps takes beside a number of steps
    "DDPMScheduler": ("timesteps",),
    "DDPMParallelScheduler": ("timesteps",),
    "LCMScheduler": ("timesteps",),
    "TCDScheduler": ("timesteps",),
    "EulerDiscreteScheduler": ("timesteps", "sigmas"),
    "HeunDiscreteScheduler": ("timesteps",),
    "DPMSolverMultistepScheduler": ("timesteps", "mu"),
    "DPMSolverSinglestepScheduler": ("timesteps", "mu"),
    "DEISMultistepScheduler": ("mu",),
    "UniPCMultistepScheduler": ("sigmas", "mu"),
    "FlowMatchEulerDiscreteScheduler": ("timesteps", "sigmas", "mu"),
    "FlowMatchLCMScheduler": ("timesteps", "sigmas", "mu"),
}


def _check(config: SchedulerConfig, asked: Passed) -> None:
    passed = {"timesteps": asked.times, "sigmas": asked.sigmas, "mu": asked.mu}
    untaken = [key for key, value in passed.items() if value is not None and key not in _TAKES.get(config.name, ())]
    is_flow, has_times, has_sigmas = config.rule == "flow", asked.times is not None, asked.sigmas is not None
    dynamic, needs_mu = bool(config["use_dynamic_shifting"]), is_flow or _own_flow(config)
    length = config["num_train_timesteps"]
    refuse(
        (untaken, f"{''.join(untaken[:1])} is not taken by {config.name}: leave it out"),
        (
            has_times and (config.kind or config["use_flow_sigmas"]) and not is_flow,
            f"timesteps cannot be passed with {config.kind or 'flow'} sigmas: {config.name} refuses them",
        ),
        (
            has_sigmas and config.rule == "points" and asked.n < 2,
            "sigmas has one level: pass that at which each step begins, and that at which the last one ends",
        ),
        (
            has_sigmas and config.rule == "intervals" and not config["use_flow_sigmas"],
            f"sigmas is taken with use_flow_sigmas only by {config.name}: leave it out",
        ),
        (
            has_times and has_sigmas and not is_flow,
            f"timesteps and sigmas are both passed: {config.name} takes one of them",
        ),
        (
            dynamic and asked.mu is None and needs_mu,
            f"mu is missing: use_dynamic_shifting=True, and a pipeline takes it from the size of the image: pass mu{_mu_of(config)}",
        ),
        (
            dynamic and asked.mu is not None and not needs_mu and config["time_shift_type"] != "exponential",
            f"mu={asked.mu} is not taken with time_shift_type='linear' by {config.name}: use 'exponential'",
        ),
        (
            not dynamic and asked.mu is not None and not is_flow,
            f"mu={asked.mu} is only taken with use_dynamic_shifting=True",
        ),
        (
            asked.n > length and not has_times and config.rule not in ("edm", "flow"),
            f"steps={asked.n} exceeds num_train_timesteps={length}: ask for fewer",
        ),
    )


def _mu_of(config: SchedulerConfig) -> str:
    """Return between which numbers mu lies, where the configuration says so."""
    if config["base_shift"] is None:
        return ""
    small, large = (f"{config[f'{k}_shift']} for {config[f'{k}_image_seq_len']} tokens" for k in ("base", "max"))
    return f", which is linear from {small} to {large}"


def _jump(config: SchedulerConfig, asked: Passed, levels: Array, table: Array) -> Walk:
    """Schedulers that end a step at t - T//n, wherever the next evaluation is; inverse ones begin it there."""
    n, ratio, inverse = asked.n, config["num_train_timesteps"] // asked.n, config.rule == "inverse"
    final = 0.0 if config["set_alpha_to_one"] else float(levels[0])
    times = inside(spaced(config, n)[:: -1 if inverse else 1], levels)
    ends = [(float(levels[int(t)]), float(levels[int(t) - ratio]) if t >= ratio else final) for t in times]
    steps = (WalkStep(float(t), *(pair[::-1] if inverse else pair)) for t, pair in zip(times, ends, strict=True))
    told = times
    if config.name == "PNDMScheduler" and config["skip_prk_steps"]:
        told = np.concatenate([times[:2], times[1:]])
    elif config.name == "PNDMScheduler":
        if n < 4:
            raise ValueError(f"steps={n}: PNDMScheduler begins with three Runge-Kutta steps and needs 4 or more")
        pairs = np.repeat(times[:4][::-1], 2) + np.tile([0, ratio // 2], 4)
        told = np.concatenate([np.repeat(pairs[:-1], 2)[1:-1][::-1], times[3:]])
    return Walk(tuple(steps), RatioLevels("vp"), tuple(map(float, told)), table)


def _listed(config: SchedulerConfig, asked: Passed, levels: Array, table: Array) -> Walk:
    if asked.times is not None:
        times = np.asarray(asked.times, dtype=np.int64)
        if np.any(np.diff(times) >= 0):
            raise ValueError("timesteps do not fall: pass them from noise to data")
    elif config["original_inference_steps"] is not None:
        times = distilled(config, asked.n)
    elif config.name == "UnCLIPScheduler":
        if asked.n < 2:
            raise ValueError("steps=1: UnCLIPScheduler divides by steps - 1, ask for 2 or more")
        times = (np.arange(asked.n) * ((config["num_train_timesteps"] - 1) / (asked.n - 1))).round()[::-1]
    else:
        times = spaced(config, asked.n)
    times = inside(times, levels)
    last = float(levels[0]) if config.family.end == "table" else 0.0
    return _linked(times, [*(levels[int(t)] for t in times), last], RatioLevels("vp"), table)


def _points(config: SchedulerConfig, asked: Passed, levels: Array, table: Array) -> Walk:
    """Schedulers that take n points of the table, between entries by linear interpolation of sigma/alpha."""
    n, kind, places = asked.n, config.kind, np.arange(len(levels))
    if asked.sigmas is not None:
        found, times = asked.sigmas[:-1], times_of(asked.sigmas[:-1], levels)
        return _told_as(config, times, [*found, asked.sigmas[-1]], table, levels)
    times = on_table(config, spaced(config, n), levels) if asked.times is None else asked.times
    found = np.interp(times, places, levels)
    if config["interpolation_type"] == "log_linear":
        found = np.exp(np.linspace(math.log(levels[-1]), math.log(levels[0]), n + 1))
    if kind:
        found = spread(kind, found, n, config)
        times = times_of(found, levels)
        times = times.round() if config.name.startswith("KDPM2") and kind == "karras" else times
    last = levels[0] if config["final_sigmas_type"] == "sigma_min" else 0.0
    walked = np.asarray([*found, last], dtype=np.float32)
    # Log-linear levels are one more than the times, of which the last is not reached; a continuous time is told for each.
    return _told_as(config, times, walked if config.preconditioned else walked[: len(times) + 1], table, levels)


def _told_as(
    config: SchedulerConfig, times: Array, found: Sequence[float] | Array, table: Array, levels: Array
) -> Walk:
    if config.preconditioned:
        with np.errstate(divide="ignore"):
            times = np.float32(0.25) * np.log(np.asarray(found[:-1], dtype=np.float32))
    begins, told = np.asarray(times, dtype=np.float32), None
    if config.family.orders == 2:
        is_heun = config.name == "HeunDiscreteScheduler"
        told = _twice(begins) if is_heun else between(config, times, np.asarray(found), levels)
    return _linked(begins, found, RatioLevels("vp"), table, told)


def _twice(times: Array) -> Array:
    return np.repeat(times, 2)[1:]


def _intervals(config: SchedulerConfig, asked: Passed, levels: Array, table: Array) -> Walk:
    """Schedulers of the log-SNR: n of n + 1 points, or sigmas of another kind between the ends of the whole table."""
    n, kind, inverse = asked.n, config.kind, config.name.endswith("InverseScheduler")
    top = clipped(config, table)
    last = float(levels[0]) if config["final_sigmas_type"] in ("sigma_min", None) else 0.0
    if config["use_flow_sigmas"]:
        return _flow_sigmas(config, asked, levels, table, kind, last)
    if kind:
        found = spread(kind, levels if inverse else levels[::-1], n, config)
        times = times_of(found, levels)
        smooth = config.name == "DPMSolverMultistepScheduler" and config["beta_schedule"] == "squaredcos_cap_v2"
        times = times.round() if kind in ("karras", "lu") and not smooth else times
        last = _repeated(config, float(np.float32(found[-1])), last)
    elif asked.times is not None:
        times = np.asarray(asked.times, dtype=np.int64)
        found = np.interp(times, np.arange(len(levels)), levels)
    else:
        times = on_table(config, spaced(config, n, extra=1, top=top), levels)
        if inverse:
            # Trailing may make one time more than was asked for, and diffusers runs them all.
            times = np.append(times, 0)[::-1][:n] if config["timestep_spacing"] != "trailing" else times[::-1]
            offset = config["steps_offset"] if config["timestep_spacing"] == "leading" else 0
            times = np.concatenate([[offset], times[1:]]) if config["timestep_spacing"] != "trailing" else times
            last = float(levels[top - 1])
        found = np.interp(times, np.arange(len(levels)), levels)
    told = np.asarray(times).astype(np.int64)
    if inverse and len(np.unique(told)) < len(told):
        raise ValueError(
            f"t={told[0]} and others come twice: {config.name} drops the second and keeps its level, so that its walk breaks; ask for "
            "fewer steps, or leave the kind of sigmas"
        )
    return _linked(told, np.asarray([*found, last], dtype=np.float32), RatioLevels("vp"), table)


def _repeated(config: SchedulerConfig, lowest: float, last: float) -> float:
    """Return the last level with sigmas of another kind: some schedulers repeat the lowest one."""
    unipc = config.name.startswith("UniPC") and config["final_sigmas_type"] == "sigma_min"
    return lowest if config.family.end == "repeat" or unipc else last


def _own_flow(config: SchedulerConfig) -> bool:
    """Say whether its levels of flow matching are made as flow schedulers make them: UniPC's are, unless an older diffusers is loaded."""
    kind: Any = getattr(sys.modules.get("diffusers"), config.name, None)
    return config.name.startswith("UniPC") and (kind is None or "shift_terminal" in inspect.signature(kind).parameters)


def _flow_sigmas(config: SchedulerConfig, asked: Passed, levels: Array, table: Array, kind: str, last: float) -> Walk:
    """Levels of flow matching in schedulers that have a table, too."""
    n, length, shift = asked.n, config["num_train_timesteps"], float(config["flow_shift"])
    unipc = _own_flow(config)
    refuse(
        (
            kind and not (unipc and kind == "karras"),
            f"use_flow_sigmas with {kind} sigmas: {config.name} takes the levels of its table, up to {levels[-1]:.3g}, for those of a flow",
        ),
        (
            config.name.endswith("InverseScheduler"),
            f"use_flow_sigmas: {config.name} then walks from noise to data, which is not an inversion",
        ),
        (
            kind and asked.sigmas is not None,
            f"sigmas with {kind} sigmas of flow matching: {config.name} mixes both, leave out one",
        ),
    )
    if kind:
        found = spread(kind, levels[::-1], n, config)
        found = found / (found + 1)
    elif unipc:
        found = np.linspace(1, 1 / length, n + 1)[:-1] if asked.sigmas is None else asked.sigmas
        found = shifted(found, shift, asked.mu, config)
        if abs(found[0] - 1) < 1e-6:
            found = np.concatenate([[found[0] - 1e-6], found[1:]])
    else:
        shift = shift if asked.mu is None else math.exp(asked.mu)
        found = 1 - np.linspace(1, 1 / length, n + 1)
        found = (shift * found / (1 + (shift - 1) * found))[::-1][:-1]
    last = _repeated(config, float(found[-1]), last)
    told = (found * length).astype(np.int64)
    return _linked(told, ratios_of(np.asarray([*found, last], dtype=np.float32)), RatioLevels("flow"), table)


def _ldm(config: SchedulerConfig, asked: Passed, levels: Array, table: Array) -> Walk:
    length = config["num_train_timesteps"]
    times = inside((np.arange(0, length, length // asked.n) + 1)[::-1], levels)
    return _linked(times, [*(levels[int(t)] for t in times), levels[0]], RatioLevels("vp"), table)


_RULES: dict[str, Callable[..., Walk]] = {
    "jump": _jump,
    "inverse": _jump,
    "listed": _listed,
    "points": _points,
    "intervals": _intervals,
    "ldm": _ldm,
}


def _own_levels(config: SchedulerConfig, asked: Passed) -> Walk:
    """Schedulers of EDM and of consistency models, whose levels follow sigma_min, sigma_max and rho."""
    n, length = asked.n, config["num_train_timesteps"]
    low, high, rho = config["sigma_min"], config["sigma_max"], config["rho"]
    ramp = np.linspace(0, 1, n)
    if config.rule == "consistency":
        ramp = np.arange(n) * (length // n) / (length - 1)
    if config["sigma_schedule"] == "exponential":
        found = np.exp(np.linspace(math.log(low), math.log(high), n))[::-1]
    else:
        found = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    if config.rule == "consistency":
        return _linked(250 * np.log(found + 1e-44), np.asarray([*found, low], dtype=np.float32), RatioLevels("one"))
    found = found.astype(np.float32)
    # EDMEulerScheduler repeats its lowest level, the other takes sigma_min: with one step they differ.
    least = found[-1] if config.name == "EDMEulerScheduler" else np.float32(low)
    last = least if config["final_sigmas_type"] == "sigma_min" else np.float32(0)
    return _linked(np.float32(0.25) * np.log(found), [*found, last], RatioLevels("one"))


def _flow(config: SchedulerConfig, asked: Passed) -> Walk:
    length, shift, n = config["num_train_timesteps"], float(config["shift"]), asked.n
    static = None if config["use_dynamic_shifting"] else shift
    if asked.sigmas is not None:
        found = asked.sigmas
    elif asked.times is not None:
        found = asked.times / length
    else:
        # The ends are shifted once when the scheduler is made, and all times once more when they are set.
        ends = np.asarray([1.0, np.float32(1 / length)], dtype=np.float32)
        first, least = ends if static is None else (shift * ends / (1 + (shift - 1) * ends)).astype(np.float32)
        found = np.linspace(float(first) * length, float(least) * length, n) / length
    found = shifted(found, shift, asked.mu, config)
    kind = config.kind
    if kind:
        found = spread(kind, found, n, config)
    found = np.asarray(found, dtype=np.float32)
    told = found * np.float32(length) if asked.times is None else asked.times
    if config["invert_sigmas"]:  # the scheduler holds and tells 1 - sigma, rounded, where the state has the noise sigma
        data = 1 - found
        told, found = data * np.float32(length), 1 - data
    ratios = ratios_of(np.asarray([*found, 0.0], dtype=np.float32))
    return _linked(told, ratios, RatioLevels("flow"), told=_twice(told) if config.family.orders == 2 else None)


def _linked(times: Any, found: Any, levels: RatioLevels, table: Array | None = None, told: Any = None) -> Walk:
    """Return the walk whose steps end where the next ones begin; all times that are told are those of the steps, if no others are given."""
    numbers = [float(s) for s in found]
    refuse(
        (
            len(found) != len(times) + 1,
            f"{len(times)} times and {len(found) - 1} levels: the scheduler's own steps do not fit, ask for another number",
        ),
        (
            any(map(math.isnan, numbers)),
            "the levels of this walk are not numbers, in the scheduler itself, too: ask for another number of steps",
        ),
    )
    steps = tuple(WalkStep(float(t), a, b) for t, a, b in zip(times, numbers, numbers[1:], strict=False))
    return Walk(steps, levels, tuple(float(t) for t in (times if told is None else told)), table)
