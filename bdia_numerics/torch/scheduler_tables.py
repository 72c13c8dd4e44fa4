"""A scheduler made anew on noise levels of which one step is one slot of a smooth grid, with all its other options."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

from bdia_numerics.configs.config import KINDS
from bdia_numerics.torch.scheduler_runs import Array, Walk, double_precision, reading

SPAN = (0.35, 6.0)
"""sigma/alpha from data to noise end; where a scheduler can only end at 0, the span begins there."""
NEAR = 1e-9
FINE = 2**20
PARTS = 2
"""Entries of the table in a slot: PNDM's Runge-Kutta steps need the middle one."""


EQUAL = (1,)


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
    own = {"num_train_timesteps": length, "trained_betas": betas.tolist(), "rescale_betas_zero_snr": False}
    own |= {"final_sigmas_type": "sigma_min", "set_alpha_to_one": False}
    return own, set(range(0 if ends_at_zero else PARTS, length, PARTS))


def _walks(made: Any, n: int, wanted: set[int] | None, length: int, end: float) -> bool:
    """Say whether a scheduler asks at the wanted times, or without them at times of its levels, and has its data end at `end`."""
    with double_precision(type(made)), np.errstate(all="ignore"):
        try:
            made.set_timesteps(n)
            walk = Walk(made)
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
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    with double_precision(kind):
        return kind.from_config({key: value for key, value in own.items() if key in _names(kind)})


def _names(kind: Any) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters) - {"self"}
