"""The table of noise levels that a configuration's betas give, in float64, where diffusers computes in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from bdia_numerics.configs.config import SchedulerConfig

Array = np.ndarray[Any, Any]


def alphas_cumprod(config: SchedulerConfig) -> Array:
    """Return alpha^2 at t = 0..T-1, shape (T,).

    Raises
    ------
    ValueError
        For a beta_schedule that is not known, and for trained_betas that are no T numbers in (0, 1).
    """
    steps, first, last = config["num_train_timesteps"], config["beta_start"], config["beta_end"]
    rule, trained = config["beta_schedule"], config["trained_betas"]
    if trained is not None:
        try:
            betas = np.asarray(trained, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"trained_betas={str(trained)[:40]!r} are no numbers: give {steps} in (0, 1)") from None
        if betas.shape != (steps,) or not np.all((betas > 0) & (betas < 1)):
            raise ValueError(f"trained_betas has shape {betas.shape}: give {steps} numbers in (0, 1)")
    elif rule == "linear":
        betas = np.linspace(first, last, steps)
    elif rule == "scaled_linear":
        betas = np.linspace(first**0.5, last**0.5, steps) ** 2
    elif rule == "squaredcos_cap_v2":
        # Nichol and Dhariwal, ICML 2021, eq. (17), with its cap on beta.
        t = np.arange(steps + 1) / steps
        bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    elif rule == "sigmoid":
        betas = 1 / (1 + np.exp(-np.linspace(-6, 6, steps))) * (last - first) + first
    else:
        raise ValueError(f"beta_schedule={rule!r} is not known: linear, scaled_linear, squaredcos_cap_v2 or sigmoid")
    found = np.cumprod(1 - betas)
    return zero_terminal_snr(found) if config["rescale_betas_zero_snr"] else found


def zero_terminal_snr(table: Array) -> Array:
    """Return the table with alpha shifted and scaled so that it is 0 in the end (Lin et al. 2024, alg. 1)."""
    alpha = np.sqrt(table)
    moved: Array = ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2
    return moved
