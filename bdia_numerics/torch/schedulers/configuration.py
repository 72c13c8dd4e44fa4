"""Configurations of the schedulers: that of DDIMScheduler, and what each solver adds."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from bdia_numerics import configs
from bdia_numerics.texts import one_of, shown
from bdia_numerics.torch.tensors import dtype_named

INVERSE = "DPMSolverMultistepInverseScheduler"
KINDS = {word: kind for word, kind in configs.PREDICTIONS.items() if kind != "velocity"}
"""What a network of a table of noise levels may predict."""
DDIM_BETAS = configs.FAMILIES["DDIMScheduler"].betas
WALKS = (None, "grid", "ddim")
SHARED = {"walk": None, "state_dtype": "float64", "counts_as": None}
TAKEN_OVER = inspect.signature(DDIMScheduler.__init__).parameters.keys()


def initialiser(own: Mapping[str, Any], prepare: Callable[[Any], None]) -> Callable[..., None]:
    """Return an ``__init__`` with DDIMScheduler's parameters and others, since diffusers reads a configuration off its signature.

    Parameters
    ----------
    own
        Defaults of the other parameters, by name.
    prepare
        Called with the scheduler when its configuration is known.
    """
    added = {**SHARED, **own}
    inherited = inspect.signature(DDIMScheduler.__init__).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [p.replace(default=None) if p.name == "clip_sample" else p for p in inherited]
    signature = inspect.Signature(
        [*parameters, *(inspect.Parameter(name, kind, default=value) for name, value in added.items())]
    )

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        # An underscore marks what only configurations hold.
        bound = signature.bind(self, *args, **{k: v for k, v in kwargs.items() if not k.startswith("_")})
        given = set(bound.arguments)
        bound.apply_defaults()
        values = {name: value for name, value in bound.arguments.items() if name != "self"}
        mine = {name: values.pop(name) for name in added}
        DDIMScheduler.__init__(self, **values)
        unsaid = [name for name in (*values, *mine) if name not in given]
        # As diffusers has it: absent where all was given, such as in a configuration that was saved.
        self.register_to_config(**mine, **({"_use_default_values": unsaid} if unsaid else {}))
        prepare(self)

    initialise.__signature__ = signature  # type: ignore[attr-defined]
    return initialise


def check(config: Mapping[str, Any], *, is_ddim: bool) -> None:
    """Raise ValueError for a configuration that cannot be run, or not be undone."""
    one_of("prediction_type", config["prediction_type"], KINDS)
    for name in ("clip_sample", "thresholding"):
        if config[name] and not is_ddim:
            raise ValueError(
                f"{name}=True is not invertible, and allowed for gamma = 0 (DDIM) only: pass {name}=False to from_config"
            )
    one_of("walk", config["walk"], WALKS)
    if config["walk"] == "ddim" and not is_ddim:
        raise ValueError(
            "walk='ddim' ends steps where the next does not begin, which only gamma = 0 can: leave walk out, or pass 'grid'"
        )
    if config["state_dtype"] is not None:
        dtype_named(config["state_dtype"])


def counts(read: configs.SchedulerConfig) -> bool:
    """Say whether a class counts the times of its table, or ends its steps, otherwise than DDIMScheduler."""
    return read.rule in ("listed", "points", "intervals", "ldm")


def own_spacing(read: configs.SchedulerConfig) -> str:
    """Return the spacing of a class that has no choice."""
    return "leading" if read.rule == "ldm" else "linspace"


def counted(config: Mapping[str, Any]) -> configs.SchedulerConfig | None:
    """Return what `configs.layout` counts the times of; None where DDIMScheduler does.

    Raises
    ------
    ValueError
        For a `counts_as` that counts no times of a table from noise to data, and for what its class does not take.
    """
    name, family = config["counts_as"], configs.FAMILIES.get(str(config["counts_as"]), configs.Family(""))
    if name in (None, "DDIMScheduler"):
        return None
    own = {key: config[key] for key in family.defaults.keys() & TAKEN_OVER & config.keys()}
    read = configs.from_mapping({"_class_name": name} | own)
    if not counts(read) or name == INVERSE:
        able = (
            key for key in configs.FAMILIES if key != INVERSE and counts(configs.SchedulerConfig(key, {}, frozenset()))
        )
        raise ValueError(f"counts_as={shown(name)} is none of {', '.join(('DDIMScheduler', *able))}")
    if "timestep_spacing" not in own and config["timestep_spacing"] != own_spacing(read):
        raise ValueError(
            f"timestep_spacing={shown(config['timestep_spacing'])} is not taken by {name}, which counts {own_spacing(read)} times: leave "
            "it out, or pass counts_as=None to count as DDIMScheduler does"
        )
    if config["walk"] == "ddim":
        raise ValueError(
            f"walk='ddim' ends steps where DDIMScheduler does, but the times are counted as {name} does: leave walk out, or pass "
            "counts_as=None"
        )
    return read


def translated(
    config: Mapping[str, Any], options: Mapping[str, Any], cls: Any, ignore: Collection[str]
) -> dict[str, Any]:
    """Return a configuration for one of these schedulers, from that of any scheduler, as `configs` reads it.

    What an entry that is absent means is decided by the class that the configuration is of.

    Parameters
    ----------
    config
        Of a scheduler of diffusers or of this package.
    options
        Entries that take the place of its own.
    cls
        The class that is made.
    ignore
        Entries that are known to have no effect.

    Raises
    ------
    ValueError
        For an entry that nothing reads, and for a walk that these schedulers do not make.
    """
    base = next(kind for kind in cls.__mro__ if "own" in vars(kind) and kind.__base__ is DDIMScheduler)
    ours = {kind.__name__: kind for kind in _family_of(base)}
    own = set(SHARED).union(*(kind.own for kind in ours.values()))
    entries = {**config, **options}
    named = entries.get("_class_name")
    named = named[-1] if isinstance(named, list | tuple) and named else named
    read = configs.from_mapping(
        {key: value for key, value in entries.items() if key not in own | {"_class_name"}}
        | ({} if named is None else {"_class_name": "DDIMScheduler" if named in ours else named}),
        ignore=ignore,
    )
    _refuse(read)
    said = entries.keys() - set(config.get("_use_default_values", ())) | options.keys()
    defaults = {key: p.default for key, p in inspect.signature(cls.__init__).parameters.items()}
    values = {key: read.values[key] for key in defaults.keys() & read.values.keys()}
    # Other classes neither rescale nor clip unless they say so.
    absent: dict[str, Any] = {"timestep_spacing": own_spacing(read), "counts_as": read.name if counts(read) else None}
    if named in ours:
        absent["counts_as"] = entries.get("counts_as")
    absent |= dict.fromkeys(("rescale_betas_zero_snr", "clip_sample", "thresholding"), False)
    values = absent | values | {"set_alpha_to_one": read.ends_clean}
    if values["clip_sample"] and "clip_sample" not in said:
        values["clip_sample"] = None
    values |= {key: value for key, value in options.items() if key in defaults}
    found = {key: value for key, value in entries.items() if key != "_use_default_values"} | values
    # What is a default there and here counts as not said, as diffusers has it.
    return {k: v for k, v in found.items() if k in said or k not in defaults or (v is not None and v != defaults[k])}


def _family_of(kind: Any) -> list[Any]:
    below: list[Any] = kind.__subclasses__()
    return [kind, *(found for child in below for found in _family_of(child))]


def _refuse(config: configs.SchedulerConfig) -> None:
    """Raise ValueError for a configuration whose walk is none of the times of a table, which these schedulers take."""
    own_levels = {"flow": "flow matching", "edm": "EDM's noise levels", "consistency": "a consistency model's levels"}
    beyond = {
        "use_flow_sigmas": (bool(config["use_flow_sigmas"]), "noise levels of flow matching"),
        "timestep_type": (config.preconditioned is not None, "times that are logarithms of noise levels"),
        **{key: (bool(config[key]), f"{kind} sigmas") for key, kind in configs.config.KINDS.items()},
        "snr_shift_scale": (config["snr_shift_scale"] not in (None, 1), "a table with another signal-to-noise ratio"),
        "interpolation_type": (config["interpolation_type"] == "log_linear", "levels between those of the table"),
        "lambda_min_clipped": ((config["lambda_min_clipped"] or -math.inf) > -math.inf, "a part of the table"),
        "original_inference_steps": (config["original_inference_steps"] is not None, "the times of a distilled model"),
        "beta_schedule": (config["beta_schedule"] not in (None, *DDIM_BETAS), "betas that DDIMScheduler does not make"),
    }
    if not config.known:
        key, value, what = "_class_name", config.name, config.family.why
    elif config.rule in own_levels:
        key, value, what = "_class_name", config.name, own_levels[config.rule]
    elif config.name == INVERSE:
        key, value, what = "_class_name", config.name, "a walk from data to noise; its sampler's configuration is read"
    elif found := next((key for key, (is_so, _) in beyond.items() if is_so), None):
        key, value, what = found, config[found], f"{beyond[found][1]} of {config.name}"
    else:
        return
    raise ValueError(
        f"{key}={shown(value)} is not run by these schedulers ({what}): use `solve` with the grid of bdia_numerics.torch.load(...).grid or "
        "grids.from_scheduler gives"
    )


def whole_number(timestep: float) -> int:
    """Return the training step that a timestep is; ValueError for one between two."""
    t = float(timestep)
    if not t.is_integer():
        raise ValueError(f"timestep={t:g} is not a training step: pass a whole number, such as round(t)")
    return int(t)


def listed(given: Sequence[float], number: int | None, length: int, end: int) -> list[int]:
    """Return a user's list of times as training steps; ValueError unless they fall from below `length`, and one is not before `end`."""
    fractions = [float(t) for t in given if not float(t).is_integer()]
    if fractions:
        raise ValueError(
            f"timesteps has {fractions[0]:g}, which is not a training step: pass whole numbers, such as round(t)"
        )
    times = [int(t) for t in given]
    if not times or times[-1] < 0 or any(a <= b for a, b in pairwise(times)):
        raise ValueError(f"timesteps={times} must fall strictly, to 0 at the least: sort them, noise end first")
    if times[0] >= length:
        raise ValueError(f"timesteps begins with {times[0]}, after the last training step: leave it out")
    if times[0] < end:
        raise ValueError(
            f"timesteps={times} has no slot, since set_alpha_to_one=False ends at t = 0: add a time before it"
        )
    if number not in (None, len(times)):
        raise ValueError(f"num_inference_steps={number}, but timesteps has {len(times)}: leave num_inference_steps out")
    return times
