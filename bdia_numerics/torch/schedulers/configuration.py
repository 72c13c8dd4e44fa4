"""Configurations of the schedulers: that of DDIMScheduler, and what each solver adds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from bdia_numerics.torch.tensors import dtype_named

KINDS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
WALKS = (None, "grid", "ddim")
SHARED = {"walk": None, "state_dtype": "float64"}


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
    if config["prediction_type"] not in KINDS:
        raise ValueError(f"prediction_type={config['prediction_type']!r} is unknown: use one of {', '.join(KINDS)}")
    for name in ("clip_sample", "thresholding"):
        if config[name] and not is_ddim:
            raise ValueError(
                f"{name}=True is not invertible, and allowed for gamma = 0 (DDIM) only: pass {name}=False to from_config"
            )
    if config["walk"] not in WALKS:
        raise ValueError(f"walk={config['walk']!r} is none of {', '.join(map(repr, WALKS))}")
    if config["walk"] == "ddim" and not is_ddim:
        raise ValueError(
            "walk='ddim' ends steps where the next does not begin, which only gamma = 0 can: leave walk out, or pass 'grid'"
        )
    if config["state_dtype"] is not None:
        dtype_named(config["state_dtype"])


def check_family(config: Any) -> None:
    """Raise ValueError for a configuration of a scheduler that has no table of noise levels, and so no beta to begin with."""
    marks = {"shift": "flow matching", "sigma_data": "EDM", "sigma_min": "continuous noise levels"}
    found = [key for key in marks if isinstance(config, Mapping) and key in config and "beta_start" not in config]
    if found:
        raise ValueError(
            f"config has {found[0]}={config[found[0]]!r} and no beta_start, it is one of {marks[found[0]]}: use `solve` with the grid that "
            "bdia_numerics.torch.load(...).grid gives"
        )


def whole_number(timestep: Any) -> int:
    """Return the training step that a timestep is; ValueError for one between two."""
    t = float(timestep)
    if not t.is_integer():
        raise ValueError(f"timestep={t:g} is no training step: pass a whole number, such as round(t)")
    return int(t)


def listed(given: Sequence[Any], number: int | None, length: int, end: int) -> list[int]:
    """Return a user's list of times as training steps; ValueError unless they fall from below `length`, and one is not before `end`."""
    fractions = [float(t) for t in given if not float(t).is_integer()]
    if fractions:
        raise ValueError(
            f"timesteps has {fractions[0]:g}, which is no training step: pass whole numbers, such as round(t)"
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
