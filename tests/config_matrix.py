"""Configurations drawn at random over what each class of diffusers accepts, and the walks of diffusers and of `configs` side by side."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import configs
from bdia_numerics.configs.config import KINDS
from bdia_numerics.configs.families import FAMILIES
from bdia_numerics.configs.tables import times_of

CLASSES = tuple(name for name, family in FAMILIES.items() if family.walk and name != "ldm")

OPTIONS: dict[str, tuple[Any, ...]] = {
    "num_train_timesteps": (1000, 1000, 1000, 1100, 400),
    "beta_start": (0.0001, 0.00085),
    "beta_end": (0.02, 0.012, 0.014),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid", "exp"),
    "trained_betas": (None, None, None, "drawn"),
    "prediction_type": ("epsilon", "v_prediction", "sample", "flow_prediction"),
    "timestep_spacing": ("leading", "linspace", "trailing"),
    "steps_offset": (0, 1, 2),
    "set_alpha_to_one": (True, False),
    "rescale_betas_zero_snr": (False, False, True),
    "final_sigmas_type": ("zero", "sigma_min"),
    "use_karras_sigmas": (False, False, True),
    "use_exponential_sigmas": (False, False, True),
    "use_beta_sigmas": (False, False, True),
    "use_lu_lambdas": (False, False, True),
    "use_flow_sigmas": (False, False, True),
    "flow_shift": (1.0, 3.0, 5.0),
    "use_dynamic_shifting": (False, True),
    "time_shift_type": ("exponential", "linear"),
    "interpolation_type": ("linear", "linear", "log_linear"),
    "timestep_type": ("discrete", "continuous"),
    "sigma_min": (None, 0.002, 0.03),
    "sigma_max": (None, 80.0, 20.0),
    "sigma_data": (0.5, 1.0),
    "sigma_schedule": ("karras", "exponential"),
    "rho": (7.0, 5.0),
    "shift": (1.0, 1.73, 3.0, 7.0),
    "shift_terminal": (None, None, 0.02, 0.1),
    "invert_sigmas": (False, False, True),
    "stochastic_sampling": (False, True),
    "lambda_min_clipped": (-float("inf"), -5.1),
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver"),
    "solver_order": (1, 2, 3),
    "lower_order_final": (True, False),
    "euler_at_final": (False, True),
    "skip_prk_steps": (True, False),
    "snr_shift_scale": (3.0, 1.0),
    "original_inference_steps": (50, 100),
    "clip_sample": (True, False),
    "thresholding": (False, True),
}
NO_NUMBERS = "levels that are no numbers"
OWN_ALGORITHM = ("SASolverScheduler", "DEISMultistepScheduler")


@dataclass(frozen=True)
class Case:
    """One configuration and what is passed to set_timesteps."""

    name: str
    entries: dict[str, Any]
    n: int
    mu: float | None


@dataclass(frozen=True)
class Outcome:
    """What came of a case; and why.

    "same", "different", "both refuse", "refused" or "not refused" (by us alone), or "undecided": diffusers' levels are no numbers where
    it is a matter of rounding whether they are.
    """

    kind: str
    said: str = ""


def drawn(seed: int, count: int, classes: Sequence[str] = CLASSES) -> Iterator[Case]:
    """Yield cases, classes in turn, with about half of a class's options away from their defaults."""
    import diffusers

    chance = random.Random(seed)
    for k in range(count):
        name = classes[k % len(classes)]
        accepted = inspect.signature(getattr(diffusers, name).__init__).parameters
        entries = {}
        for key in sorted(accepted.keys() & OPTIONS.keys()):
            if (key == "algorithm_type" and name in OWN_ALGORITHM) or chance.random() < 0.5:
                continue
            if key in ("sigma_min", "sigma_max") and FAMILIES[name].walk in ("edm", "consistency"):
                entries[key] = chance.choice(OPTIONS[key][1:])
            elif key != "num_train_timesteps" or FAMILIES[name].walk != "consistency":
                entries[key] = chance.choice(OPTIONS[key])
        if entries.get("trained_betas") is not None:
            length = entries.get("num_train_timesteps", 1000)
            entries["trained_betas"] = np.linspace(2e-4, 0.015, length).tolist()
        n = chance.choice((1, 2, 5, 7, 10, 20, 25, 30, 33, 40, 50))
        yield Case(name, entries, n, 0.8 if entries.get("use_dynamic_shifting") else None)


def outcome(case: Case) -> Outcome:
    """Return how the walk that is read compares with that of diffusers: times exactly, levels to float32's rounding."""
    import diffusers

    try:
        config = configs.from_mapping({"_class_name": case.name} | case.entries)
        read, refused = configs.layout(config, case.n, mu=case.mu), ""
    except (ValueError, TypeError) as error:
        read, refused = None, str(error)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            scheduler = getattr(diffusers, case.name)(**case.entries)
            takes = inspect.signature(scheduler.set_timesteps).parameters
            scheduler.set_timesteps(case.n, **({"mu": case.mu} if case.mu is not None and "mu" in takes else {}))
            theirs = walked(scheduler, case.n)
    except Exception as error:  # noqa: BLE001  each scheduler refuses in its own way
        said = f"{type(error).__name__}: {error}"
        if read is not None:
            undecided = NO_NUMBERS in said and any(lost(case, read, k) >= 1 for k in range(len(read.told)))
            return Outcome("undecided" if undecided else "not refused", said)
        return Outcome("both refuse", refused)
    if read is None:
        return Outcome("refused", refused)
    times, levels = theirs
    ours = [*(step.s for step in read.steps), read.steps[-1].s_end]
    if len(times) != len(read.told):
        return Outcome("different", f"{len(read.told)} times for {len(times)}")
    for k, (t, other) in enumerate(zip(read.told, times, strict=True)):
        if lost(case, read, k) < 1 and not _same_time(t, other, case, read, k):
            return Outcome("different", f"time {k}: {t} for {other}")
    for k, (s, other) in enumerate(zip(ours, levels, strict=True)):
        if not _same_level(s, other, case, min(level for level in levels if level > 0)):
            return Outcome("different", f"level {k}: {s} for {other}")
    return Outcome("same")


def lost(case: Case, read: configs.Walk, k: int) -> float:
    """Return the relative error that roundings may leave of the square of the level to which a time between two levels leads.

    KDPM2AncestralDiscreteScheduler goes from s to d = e^2/s, computed as d^2 = e^2 - u^2 with u^2 = e^2 (s^2 - e^2)/s^2 < e^2. Each of
    some ten roundings of float32 moves one of both terms by at most 2^-24 e^2, here as there: 20 of them, relative to e^4/s^2.
    """
    if "KDPM2Ancestral" not in case.name or k % 2 == 0:
        return 0.0
    step = read.steps[k // 2]
    return 20 * 2.0**-24 * (step.s / step.s_end) ** 2


def _same_time(t: float, other: float, case: Case, read: configs.Walk, k: int) -> bool:
    """Say whether two times are one: whole ones exactly, fractions to float32's rounding of the levels that they stand for.

    torch's square roots of float32 round otherwise on other processors. So a fraction that is cut off within that of a whole number
    may end on either side.
    """
    if t == round(t) and other == round(other):
        # Of Karras and lu sigmas times are rounded, but for cosine betas in the multistep class, where they are cut off, too.
        cut = any(case.entries.get(kind) for kind in KINDS)
        levels = np.sqrt((1 - read.table) / read.table) if cut and read.table is not None else None
        near = (
            levels is not None
            and abs(t - other) == 1
            and any(
                abs(exact - max(t, other)) < 1e-3
                for exact in times_of(np.array([step.s for step in read.steps]), levels)
            )
        )
        return t == other or near
    # Near the data a rescaled table's 1 - alpha^2 cancels to three digits of sigma, which are thousandths of a training step.
    # That lowest level is an end of the other kinds of sigmas, all of which move with it.
    rescaled = bool(case.entries.get("rescale_betas_zero_snr"))
    spread = any(case.entries.get(kind) for kind in KINDS)
    moved = 0.0
    if part := lost(case, read, k):
        # The level between is sqrt(s d), of which a relative error of d^2 is a fourth; log(sigma) is linear between training steps.
        assert read.table is not None
        logs = np.log(np.sqrt((1 - read.table) / read.table))
        middle = np.exp(np.interp(t, np.arange(len(logs)), logs) + part / 4 * np.array([-1, 1]))
        moved = float(np.ptp(times_of(middle, np.exp(logs))))
    return abs(t - other) <= moved + (
        5e-3 if rescaled and other < 10 else 2e-3 if rescaled and spread else 3e-4 if rescaled else 3e-5
    ) * max(1, abs(other))


def _same_level(s: float, other: float, case: Case, least: float) -> bool:
    if s == other or abs(s - other) <= 6e-6 * abs(other):
        return True
    # Rescaled tables go through square roots in float32: alpha^2 is theirs to a few roundings, and 1 - alpha^2 cancels near the data.
    rescaled = bool(case.entries.get("rescale_betas_zero_snr"))
    if rescaled and any(case.entries.get(key) for key in KINDS):
        # All levels lie between the ends of the table, and move no more, relatively, than the lowest: s^2 is (1 - alpha^2)/alpha^2.
        return abs(s / other - 1) <= 16 * 2**-24 / (2 * least**2)
    return rescaled and (
        abs(1 / (1 + s**2) - 1 / (1 + other**2)) <= 16 * 2**-24 or (other > 100 and abs(s / other - 1) < 1e-4)
    )


def walked(scheduler: Any, n: int) -> tuple[list[float], list[float]]:
    """Return the times that a live scheduler tells, and sigma/alpha of the states before each step and after the last.

    Of schedulers without `sigmas`, levels are those that their `step` looks up.
    """
    times = [float(t) for t in scheduler.timesteps]
    name = type(scheduler).__name__
    if hasattr(scheduler, "sigmas"):
        sigmas = np.asarray(scheduler.sigmas, dtype=np.float64)
        if name.startswith(("Heun", "KDPM2", "FlowMatchHeun")):
            sigmas = np.concatenate([sigmas[:1], sigmas[1:-1:2], sigmas[-1:]])[: n + 1]
        sigmas = sigmas[: len(times) + 1]
        if "FlowMatch" in name or scheduler.config.get("use_flow_sigmas"):
            if scheduler.config.get("invert_sigmas"):  # of data, where the state has the rest of noise
                sigmas = 1 - sigmas
            if sigmas.max() > 1:
                raise ValueError("levels of flow matching above 1")
            with np.errstate(divide="ignore"):
                sigmas = sigmas / (1 - sigmas)
        if not np.isfinite(times).all() or np.isnan(sigmas).any():
            raise ValueError(NO_NUMBERS)
        return times, sigmas.tolist()
    table = np.asarray(scheduler.alphas_cumprod)
    with np.errstate(divide="ignore"):
        levels = np.sqrt((1 - table) / table).astype(np.float64)
    length = len(table)
    clean = getattr(scheduler, "final_alpha_cumprod", getattr(scheduler, "initial_alpha_cumprod", 1.0))
    squared = np.asarray(clean, dtype=table.dtype)
    final = float(np.sqrt((1 - squared) / squared))
    slots = sorted(set(times)) if "Inverse" in name else sorted(set(times), reverse=True)
    if name == "PNDMScheduler":
        slots = [float(t) for t in np.asarray(scheduler._timesteps)[::-1]]
    if max(slots) >= length:
        raise ValueError("a time outside the table")
    if "DDPM" in name or name in ("LCMScheduler", "TCDScheduler", "UnCLIPScheduler"):
        # The last step of TCD looks up alpha_t at t = 0.
        return times, [*(levels[int(t)] for t in slots), levels[0] if name == "TCDScheduler" else 0.0]
    jump = length // n

    def at(t: float) -> float:
        return float(levels[int(t)]) if t >= 0 else final

    if "Inverse" in name:
        return times, [*(at(min(t - jump, length - 1)) for t in slots), at(slots[-1])]
    # The level of a step is looked up as in any array, in which -1 is the last entry; only its end is asked whether it is negative.
    return times, [*(float(levels[int(t)]) for t in slots), at(slots[-1] - jump)]
