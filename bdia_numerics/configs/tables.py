"""Noise levels of a configuration: the table of its betas, the kinds in its place, their times, and a walk's levels as a schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics import grids
from bdia_numerics.configs.config import SchedulerConfig
from bdia_numerics.schedules.base import Derived, sigma_bar_of
from bdia_numerics.spaces import Scalar, Space
from bdia_numerics.spaces.later import scipy
from bdia_numerics.texts import shown

Array = np.ndarray[Any, Any]
RHO = 7.0

NEAR_ZERO = 2.0**-24
"""What schedulers that work with sigma/alpha put in the place of alpha^2 = 0, so that it is finite."""


def alphas_cumprod(config: SchedulerConfig, dtype: Any = np.float64) -> Array:
    """Return alpha^2 at t = 0..T-1, shape (T,).

    Parameters
    ----------
    config
        Of a class with betas.
    dtype
        In which betas are made and multiplied: the schedulers themselves do so in float32, which moves the lowest levels by some 1e-4.

    Raises
    ------
    ValueError
        For a beta_schedule that the class does not take, and for trained_betas that are not T numbers in (0, 1).
    """
    betas = _betas(config, np.dtype(dtype).type)
    found = np.cumprod(1 - betas, dtype=np.float64).astype(betas.dtype)
    shift = config["snr_shift_scale"]
    if shift is not None:  # Hoogeboom et al. 2023: the signal-to-noise ratio over a factor
        found = found / (shift + (1 - shift) * found)
    if config["rescale_betas_zero_snr"]:
        found = zero_terminal_snr(found)
        if shift is None and dtype is np.float32:  # these go back to betas, and round once more
            if not found[:-1].all():
                t, names = int(np.argmin(found)), ("beta_schedule", "beta_start", "beta_end")
                given = ", ".join(f"{name}={config[name]}" for name in names)
                raise ValueError(
                    f"{given}: alphas_cumprod is 0 in float32 from t={t} on, and the scheduler divides by it: "
                    "give smaller betas"
                )
            ratios = np.concatenate([found[:1], found[1:] / found[:-1]])
            found = np.cumprod(1 - (1 - ratios), dtype=np.float64).astype(dtype)
        if config.family.walk in ("points", "intervals"):
            found[-1] = NEAR_ZERO
    return found


def _betas(config: SchedulerConfig, kind: Any) -> Array:
    steps, first, last = config["num_train_timesteps"], config["beta_start"], config["beta_end"]
    rule, trained = config["beta_schedule"], config["trained_betas"]
    if trained is not None:
        try:
            betas = np.asarray(trained, dtype=kind)
        except (TypeError, ValueError):
            raise ValueError(f"trained_betas={shown(trained)} are not numbers: give {steps} in (0, 1)") from None
        if betas.shape != (steps,) or not np.all((betas > 0) & (betas < 1)):
            raise ValueError(f"trained_betas has shape {betas.shape}: give {steps} numbers in (0, 1)")
        return betas
    if rule not in config.family.betas:
        raise ValueError(f"beta_schedule={shown(rule)} is none of {config.name}: use {', '.join(config.family.betas)}")
    if rule == "linear":
        return _linspace(first, last, steps, kind)
    if rule == "scaled_linear":
        # CogVideoX makes these in float64, the others in float32.
        wide = np.float64 if config["snr_shift_scale"] is not None else kind
        betas = _linspace(first**0.5, last**0.5, steps, wide)
        return np.asarray(betas * betas)
    if rule == "sigmoid":
        rise = 1 / (1 + np.exp(-_linspace(-6, 6, steps, kind)))
        return np.asarray(rise * kind(last - first) + kind(first), dtype=kind)
    bar = [_BARS[rule](k / steps) for k in range(steps + 1)]
    return np.array([min(1 - after / before, 0.999) for before, after in pairwise(bar)], dtype=kind)


def _laplace(t: float) -> float:
    half_log_snr = -0.5 * math.copysign(1, 0.5 - t) * math.log(1 - 2 * abs(0.5 - t) + 1e-6)
    return math.sqrt(1 / (1 + math.exp(-half_log_snr)))


_BARS = {
    # Nichol and Dhariwal, ICML 2021, eq. (17), with its cap on beta.
    "squaredcos_cap_v2": lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2,
    "exp": lambda t: math.exp(-12 * t),
    "laplace": _laplace,
}


def _linspace(first: float, last: float, count: int, kind: Any) -> Array:
    """Return equal steps in a dtype as torch makes them: each half from its own end, a product and a sum with one rounding."""
    low, high, k = kind(first), kind(last), np.arange(count)
    step, wide = np.float64((high - low) / kind(count - 1)), np.float64
    return np.where(k < count // 2, wide(low) + step * k, wide(high) - step * (count - 1 - k)).astype(kind)


def zero_terminal_snr(table: Array) -> Array:
    """Return the table with alpha shifted and scaled so that it is 0 in the end (Lin et al. 2024, alg. 1)."""
    alpha = np.sqrt(table)
    return ((alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))) ** 2


def spread(kind: str, levels: Array, n: int, config: SchedulerConfig) -> Array:
    """Return n levels of a kind from the first of others to the last of them, shape (n,), float64.

    `sigma_max` and `sigma_min` replace the ends where the configuration holds them: also for classes that have no such parameter.

    "karras" has equal steps of sigma^(1/7) (Karras et al. 2022, eq. 5); "exponential" and "lu" of log(sigma); "beta" has quantiles of
    the beta distribution with both parameters 0.6 (Lee et al. 2024).
    """
    of_table = kind == "lu" or (kind == "karras" and config.name == "LMSDiscreteScheduler")
    ends = (None, None) if of_table else (config["sigma_max"], config["sigma_min"])
    first, last = (float(levels[k]) if end is None else float(end) for k, end in zip((0, -1), ends, strict=True))
    if kind == "karras":
        ramp = np.linspace(0, 1, n)
        powers = first ** (1 / RHO), last ** (1 / RHO)
        return np.asarray((powers[0] + ramp * (powers[1] - powers[0])) ** RHO)
    if kind in ("exponential", "lu"):
        # "lu" keeps the table's own float32, in which its first level is found again at the table's last entry.
        logs = np.log(levels[[0, -1]]) if kind == "lu" else np.log([first, last])
        return np.asarray(np.exp(np.linspace(logs[0], logs[1], n, dtype=logs.dtype)))
    return np.asarray(last + scipy.stats.beta.ppf(1 - np.linspace(0, 1, n), 0.6, 0.6) * (first - last))


def times_of(found: Array, levels: Array) -> Array:
    """Return the times, fractions of training steps, at which a table has these levels, by linear interpolation of log(sigma)."""
    logs = np.log(levels)
    wanted = np.log(np.maximum(found, 1e-10))
    # The last entry that is not above: where the rescaled table's floor makes it fall at its end, there are several.
    below = np.clip(np.cumsum(wanted[..., None] >= logs, axis=-1).argmax(axis=-1), 0, len(logs) - 2)
    low, high = logs[below], logs[below + 1]
    weight = np.clip((low - wanted) / (low - high), 0, 1)
    return np.asarray((1 - weight) * below + weight * (below + 1))


def clipped(config: SchedulerConfig, table: Array) -> int:
    """Return how many training steps are used: those whose half log-SNR is at least lambda_min_clipped."""
    least = config["lambda_min_clipped"]
    if least is None:
        return len(table)
    with np.errstate(divide="ignore"):
        half = np.log(np.sqrt(table)) - np.log(np.sqrt(1 - table))
    return len(table) - int(np.searchsorted(half[::-1], float(least)))


def shifted(found: Any, shift: float, mu: float | None, config: SchedulerConfig) -> Array:
    """Return levels of flow matching moved to the noise end, by a shift or by mu, and stretched to end at shift_terminal."""
    sigma = np.asarray(found)
    if config["use_dynamic_shifting"]:
        assert mu is not None
        weight = math.exp(mu) if config["time_shift_type"] == "exponential" else mu
        with np.errstate(divide="ignore"):
            sigma = weight / (weight + (1 / sigma - 1))
    else:
        sigma = shift * sigma / (1 + (shift - 1) * sigma)
    if config["shift_terminal"]:
        rest = 1 - sigma
        sigma = 1 - rest / (rest[-1] / (1 - config["shift_terminal"]))
    return np.asarray(sigma)


def between(config: SchedulerConfig, times: Array, found: Array, levels: Array) -> tuple[float, ...]:
    """Return the times that a method of two stages tells: those of its levels, and between two levels that of their geometric mean."""
    sigma = np.asarray(found, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        target = sigma[1:]
        if config.stochastic:  # the middle lies on the way to the level to which noise is added
            up = np.sqrt(sigma[1:] ** 2 * (sigma[:-1] ** 2 - sigma[1:] ** 2) / sigma[:-1] ** 2)
            target = np.sqrt(sigma[1:] ** 2 - up**2)
        middle = np.exp((np.log(sigma[:-1]) + np.log(target)) / 2)[:-1]
    if np.isnan(middle).any():
        raise ValueError(
            "the levels between the stages of this walk are not numbers, in the scheduler itself, too: ask for fewer steps"
        )
    told: Sequence[float] = times_of(np.asarray(middle), levels).tolist()
    pairs = ((a, float(b)) for a, b in zip(told, times[1:], strict=False))
    return (float(times[0]), *(t for pair in pairs for t in pair))


def spaced(config: SchedulerConfig, n: int, *, extra: int = 0, top: int | None = None) -> Array:
    """Return the times that a spacing gives in sampling order, as the schedulers count them; some may be outside the table.

    `extra` is 1 where they are n of n + 1 points, and `top` is the number of training steps that are used.
    """
    length, spacing, offset = (
        config["num_train_timesteps"],
        config["timestep_spacing"] or "linspace",
        config["steps_offset"] or 0,
    )
    used = length if top is None else top
    if spacing == "linspace":
        found = np.linspace(0, used - 1, n + extra)
        found = found.astype(np.float32) if config.rule == "points" else found.round()
    elif spacing == "leading":
        found = np.arange(n + extra) * (used // (n + extra))
    else:
        return np.asarray(np.arange(used, 0, -length / n).round() - 1)
    backwards = found[::-1][:n]
    return np.asarray(backwards + offset if spacing == "leading" else backwards)


class OutOfTableError(ValueError):
    """A time that the table does not have, at which the scheduler itself stops with an index error."""


def inside(times: Array, levels: Array) -> Array:
    """Return times that index the table, as arrays do: t = -1 is its last entry."""
    if (top := float(np.max(times))) > len(levels) - 1:
        raise OutOfTableError(
            f"t={top:g} is outside the table of {len(levels)} training steps, where the scheduler stops: lower steps_offset, or pass times "
            f"up to {len(levels) - 1}"
        )
    return times


def on_table(config: SchedulerConfig, times: Array, levels: Array) -> Array:
    """Return the times, of which these schedulers hold one beyond the table at its end; ValueError for several, which have one level."""
    beyond = int(np.sum(np.asarray(times) > len(levels) - 1))
    if beyond > 1:
        raise ValueError(
            f"steps_offset={config['steps_offset']}: {beyond} of the times lie beyond the table of {len(levels)} training steps, where "
            "the scheduler repeats its last level: lower steps_offset"
        )
    return times


def distilled(config: SchedulerConfig, n: int) -> Array:
    """Return the times of a model that was distilled on a number of original steps."""
    original, length = int(config["original_inference_steps"]), config["num_train_timesteps"]
    if not n <= original <= length:
        raise ValueError(
            f"steps={n}: {config.name} takes at most original_inference_steps={original}, itself at most {length}"
        )
    origin = np.arange(1, original + 1)[::-1] * (length // original) - 1
    return np.asarray(origin[np.floor(np.linspace(0, original, n, endpoint=False)).astype(int)])


def ratios_of(sigma: Array) -> Array:
    """Return sigma/alpha of the sigma of flow matching."""
    wide = sigma.astype(np.float64)
    if wide.max() > 1:
        raise ValueError(f"sigma={wide.max():g} exceeds 1, where flow matching begins: pass sigmas up to 1")
    with np.errstate(divide="ignore"):
        return np.asarray(wide / (1 - wide))


@dataclass(frozen=True)
class RatioLevels(Derived):
    """alpha and sigma as functions of s = sigma/alpha: the schedule on which runs of a layout are compared.

    `kind` is "vp" (alpha^2 + sigma^2 = 1), "one" (alpha = 1) or "flow" (alpha + sigma = 1).
    """

    kind: str
    t_min = Fraction(0)
    t_max = Fraction(10**8)
    domain = (t_min, None)

    @property
    def variance_preserving(self) -> bool:  # type: ignore[override]
        """Whether alpha^2 + sigma^2 = 1."""
        return self.kind == "vp"

    def alpha(self, s: Any) -> Any:
        """Return alpha; s may be infinite, except for "one"."""
        return grids.levels_of(self.kind, s)[0]

    def sigma(self, s: Any) -> Any:
        """Return sigma; s may be infinite."""
        return grids.levels_of(self.kind, s)[1]

    def alpha_dot(self, s: Any) -> Any:
        """Return d alpha/ds."""
        alpha, sigma = grids.levels_of(self.kind, s)
        return {"one": 0 * alpha, "flow": -(alpha**2), "vp": -sigma * alpha**2}[self.kind]

    def sigma_dot(self, s: Any) -> Any:
        """Return d sigma/ds."""
        return grids.levels_of(self.kind, s)[0] ** {"one": 0, "flow": 2, "vp": 3}[self.kind]

    def _time(self, space: Space, variable: str, value: Scalar) -> Scalar:
        return sigma_bar_of(space, variable, value)
