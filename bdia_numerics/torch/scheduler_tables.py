"""A scheduler made anew on noise levels of which one step is one slot of a smooth grid, with all its other options."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from bdia_numerics.torch.scheduler_runs import Walk, double_precision

SPAN = (0.35, 6.0)
"""sigma/alpha from data to noise end; where a scheduler can only end at 0, the span begins there."""
NEAR = 1e-9
PARTS = 2
"""Entries of the table in a slot: PNDM's Runge-Kutta steps need the middle one."""


def refined(scheduler: Any, n: int, span: tuple[float, float] = SPAN) -> Any:
    """Return a scheduler of the same class and options whose n steps are the slots of a grid that is smooth as n grows.

    Tables are uniform in asinh(sigma/alpha), and rounding of times to whole ones does nothing. EDM's levels keep their own rule and
    go to 0; those of flow matching are uniform, with the shift of the scheduler.

    Raises
    ------
    TypeError
        If the class cannot be made from a configuration.
    ValueError
        If no time spacing of the class gives these n times.
    """
    kind, config = type(scheduler), dict(getattr(scheduler, "config", {}))
    if not hasattr(kind, "from_config"):
        raise TypeError(f"{kind.__name__} has no from_config, so it runs on its own times only: pass family='own'")
    if not hasattr(scheduler, "alphas_cumprod"):
        if "sigma_data" in config:
            own = {"sigma_max": span[1], "sigma_min": span[1] * n ** -float(config["rho"]), "final_sigmas_type": "zero"}
            return _made(kind, config | own)
        return _made(kind, config | {"num_train_timesteps": n})
    for ends_at_zero in (False, True):
        own, wanted = _table(n, span, ends_at_zero)
        for spacing, offset in (("leading", PARTS), ("linspace", 0)):
            made = _made(kind, config | own | {"timestep_spacing": spacing, "steps_offset": offset})
            if _walks(made, n, wanted, own["num_train_timesteps"], 0.0 if ends_at_zero else span[0]):
                return made
    raise ValueError(f"{kind.__name__} has no spacing that takes {n} even steps of its table: pass family='own'")


def _table(n: int, span: tuple[float, float], ends_at_zero: bool) -> tuple[dict[str, Any], set[int]]:
    """Return the entries of a table that is uniform in asinh(sigma/alpha), and the times that n steps should take."""
    length, first = PARTS * (n - 1 if ends_at_zero else n) + 1, PARTS if ends_at_zero else 0
    low = np.arcsinh(0.0 if ends_at_zero else span[0])
    s = np.sinh(low + (np.arcsinh(span[1]) - low) * (np.arange(length) + first) / (PARTS * n))
    squares = 1 / (1 + s**2)
    betas = 1 - squares / np.concatenate([[1.0], squares[:-1]])
    own = {"num_train_timesteps": length, "trained_betas": betas.tolist(), "rescale_betas_zero_snr": False}
    own |= {"final_sigmas_type": "sigma_min", "set_alpha_to_one": False}
    return own, set(range(0 if ends_at_zero else PARTS, length, PARTS))


def _walks(made: Any, n: int, wanted: set[int], length: int, end: float) -> bool:
    """Say whether a scheduler asks at the wanted times and has its data end where it should be."""
    with double_precision(type(made)):
        try:
            made.set_timesteps(n)
        except IndexError:  # times beyond the table
            return False
        times = np.asarray(made.timesteps, dtype=np.float64)
        whole = {round(t) for t in times.tolist() if abs(t - round(t)) < NEAR}
        return wanted <= whole and max(times) < length and abs(min(Walk(made).ends(n)) - end) < NEAR


def _made(kind: Any, config: dict[str, Any]) -> Any:
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    with double_precision(kind):
        return kind.from_config({key: value for key, value in own.items() if key in _names(kind)})


def _names(kind: Any) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters) - {"self"}
