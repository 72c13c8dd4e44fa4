"""Kinds of noise levels that schedulers put in the place of their table's, and the times that stand for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bdia_numerics.configs.config import SchedulerConfig

Array = np.ndarray[Any, Any]
RHO = 7.0


def spread(kind: str, levels: Array, n: int, config: SchedulerConfig) -> Array:
    """Return n levels of a kind from the first of others to the last of them, shape (n,), float64.

    `sigma_max` and `sigma_min` replace the ends where the configuration holds them: also for classes that have no such parameter.

    "karras" has equal steps of sigma^(1/7) (Karras et al. 2022, eq. 5); "exponential" and "lu" of log(sigma); "beta" has quantiles of
    the beta distribution with both parameters 0.6 (Lee et al. 2024).
    """
    ends = (config["sigma_max"], config["sigma_min"]) if _takes_ends(kind, config) else (None, None)
    first, last = (float(levels[k]) if end is None else float(end) for k, end in zip((0, -1), ends, strict=True))
    if kind == "karras":
        ramp = np.linspace(0, 1, n)
        powers = first ** (1 / RHO), last ** (1 / RHO)
        return np.asarray((powers[0] + ramp * (powers[1] - powers[0])) ** RHO)
    if kind in ("exponential", "lu"):
        # "lu" keeps the table's own float32, in which its first level is found again at the table's last entry.
        logs = np.log(levels[[0, -1]]) if kind == "lu" else np.log([first, last])
        return np.asarray(np.exp(np.linspace(logs[0], logs[1], n, dtype=logs.dtype)))
    from scipy.stats import beta

    return np.asarray(last + beta.ppf(1 - np.linspace(0, 1, n), 0.6, 0.6) * (first - last))


def _takes_ends(kind: str, config: SchedulerConfig) -> bool:
    return kind != "lu" and not (kind == "karras" and config.name == "LMSDiscreteScheduler")


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
