"""The table of noise levels that a configuration's betas give."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics.configs.config import SchedulerConfig

Array = np.ndarray[Any, Any]

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
            raise ValueError(f"trained_betas={str(trained)[:40]!r} are not numbers: give {steps} in (0, 1)") from None
        if betas.shape != (steps,) or not np.all((betas > 0) & (betas < 1)):
            raise ValueError(f"trained_betas has shape {betas.shape}: give {steps} numbers in (0, 1)")
        return betas
    if rule not in config.family.betas:
        raise ValueError(f"beta_schedule={rule!r} is none of {config.name}: use {', '.join(config.family.betas)}")
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
    moved: Array = ((alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))) ** 2
    return moved
