"""Read a scheduler's configuration: diffusers' scheduler_config.json, a CompVis YAML, or a mapping."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bdia_numerics.configs.families import FAMILIES, KNOWN, SIGMA_ENDS, Family
from bdia_numerics.texts import MOST, bounded

SPACINGS = ("leading", "linspace", "trailing")
KINDS = {
    "use_karras_sigmas": "karras", "use_lu_lambdas": "lu", "use_exponential_sigmas": "exponential", "use_beta_sigmas": "beta",
}  # fmt: skip
PREDICTIONS = {
    "epsilon": "eps", "sample": "x0", "v_prediction": "v", "flow_prediction": "velocity",
}  # fmt: skip


@dataclass(frozen=True)
class SchedulerConfig:
    """What a configuration says.

    Attributes
    ----------
    name
        The scheduler's class in diffusers, or "ldm" for CompVis' configurations.
    values
        The parameters of that class, from the configuration or with the class's own defaults; and `SIGMA_ENDS`, where the
        configuration holds them.
    given
        The names of the entries that the configuration has itself.
    ignored
        Those of them that the class does not take, so that the scheduler does nothing with them.
    """

    name: str
    values: Mapping[str, Any]
    given: frozenset[str]
    ignored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __getitem__(self, key: str) -> Any:
        return self.values.get(key)

    @property
    def family(self) -> Family:
        """How its class walks."""
        return FAMILIES.get(self.name) or Family("", why="its class is not known here")

    @property
    def known(self) -> bool:
        """Whether the walk of its class is read."""
        return bool(self.family.walk)

    @property
    def rule(self) -> str:
        """The rule of its steps; see `Family.walk`."""
        return self.family.walk

    @property
    def stochastic(self) -> bool:
        """Whether the sampler adds fresh noise in each step."""
        return self.family.stochastic or "sde" in str(self["algorithm_type"]) or bool(self["stochastic_sampling"])

    @property
    def flow(self) -> bool:
        """Whether its levels are those of flow matching, alpha = 1 - sigma."""
        return self.rule == "flow" or bool(self["use_flow_sigmas"])

    @property
    def ends_clean(self) -> bool:
        """Whether a run ends at clean data, and not at the lowest level of the table."""
        if self.rule == "listed":
            return True
        if "set_alpha_to_one" in self.values:
            return bool(self["set_alpha_to_one"])
        return bool(self.values.get("final_sigmas_type", self.family.end) == "zero")

    @property
    def kind(self) -> str:
        """The kind of sigmas that takes the place of the table's: "karras", "lu", "exponential", "beta"; empty for none."""
        return next((kind for key, kind in KINDS.items() if self[key]), "")

    @property
    def preconditioned(self) -> tuple[float, int] | None:
        """sigma_data, and the sign of the network's output, where it is read under EDM's preconditioning and told log(sigma)/4.

        A table with continuous times and v-prediction is the case sigma_data = 1, sign -1.
        """
        if self.rule == "edm":
            return float(self["sigma_data"]), -1 if self["prediction_type"] == "v_prediction" else 1
        continuous = self["timestep_type"] == "continuous" and self["prediction_type"] == "v_prediction"
        return (1.0, -1) if continuous else None

    @property
    def prediction(self) -> str:
        """What its network predicts: "eps", "x0", "v" or "velocity"; of EDM's schedulers, before their preconditioning.

        Raises
        ------
        ValueError
            For a prediction_type that is not known.
        """
        if self.rule == "flow":
            return "velocity"
        kind = self["prediction_type"]
        if kind not in PREDICTIONS:
            raise ValueError(f"prediction_type={kind!r} is not known: use {', '.join(PREDICTIONS)}")
        return PREDICTIONS[kind]

    def changed(self, **values: Any) -> SchedulerConfig:
        """Return the configuration with other entries; ValueError as for `from_mapping`."""
        own = {key: value for key, value in self.values.items() if key in self.given}
        return from_mapping({"_class_name": self.name} | own | values)


def from_mapping(entries: Mapping[str, Any], *, ignore: Collection[str] = ()) -> SchedulerConfig:
    """Return the configuration of a mapping.

    Every entry is a parameter of the scheduler's class, or has no effect: it begins with an underscore, it is a parameter of other classes
    only, or it equals the default of the installed class. Any other is refused, since the walk might not be the scheduler's without it.

    Parameters
    ----------
    entries
        As diffusers' scheduler_config.json ("_class_name", "beta_start", ...), or as CompVis' YAML (model: params: linear_start,
        linear_end, timesteps, parameterization). Without "_class_name" it holds all the parameters of one class, as the `config` of an
        object does, or parameters of DDIMScheduler only.
    ignore
        Entries that are known to have no effect.

    Raises
    ------
    ValueError
        For an entry that nothing reads, and entries of which a run could not be made.
    TypeError
        If it is no mapping, or steps_offset no int.
    """
    if not isinstance(entries, Mapping):
        raise TypeError(f"config={type(entries).__name__} is no table: pass a scheduler_config.json or a mapping")
    entries = _from_ldm(entries) if "model" in entries or "linear_start" in entries else dict(entries)
    named = entries.pop("_class_name", None)
    own = {key: value for key, value in entries.items() if not key.startswith("_") and key not in ignore}
    # Flax has the same schedulers under other names.
    name = _class_of(own) if named is None else str(named).removeprefix("Flax")
    family = FAMILIES.get(name)
    if named is None and name == "DDIMScheduler" and (strange := sorted(own.keys() - FAMILIES[name].defaults.keys())):
        raise ValueError(
            f"config has no _class_name, and {strange[0]}={own[strange[0]]!r} is no entry of DDIMScheduler: add _class_name"
            + _near(strange[0], FAMILIES[name].defaults)
        )
    if family is None or not family.walk:
        return SchedulerConfig(name, own, frozenset(own))
    for key in own.keys() - family.defaults.keys() - KNOWN:
        if not _is_default(name, key, own[key]):
            raise ValueError(
                f"{key}={own[key]!r} is an entry that nothing reads, so the walk would not be this scheduler's: remove it, or pass it as "
                f"ignore (--ignore {key}) if it has no effect{_near(key, family.defaults)}"
            )
    ends = {key: own[key] for key in SIGMA_ENDS & own.keys()}
    values = dict(family.defaults) | ends | {key: own[key] for key in family.defaults.keys() & own.keys()}
    _check(name, values)
    return SchedulerConfig(name, values, frozenset(own), frozenset(own.keys() - values.keys()))


def _class_of(own: Mapping[str, Any]) -> str:
    """Return the class whose parameters are all there and no others; DDIMScheduler if there is none, or several that walk differently."""
    names = [name for name, family in FAMILIES.items() if family.walk and family.defaults.keys() == own.keys()]
    return names[0] if names and all(FAMILIES[name] == FAMILIES[names[0]] for name in names) else "DDIMScheduler"


def _near(key: str, names: Collection[str]) -> str:
    close = get_close_matches(key, names, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _is_default(name: str, key: str, value: Any) -> bool:
    """Say whether the class of the diffusers that is loaded here, if any, has that parameter with that default."""
    kind = getattr(sys.modules.get("diffusers"), name, None)
    parameter = inspect.signature(kind).parameters.get(key) if isinstance(kind, type) else None
    return parameter is not None and bool(parameter.default == value)


def read(path: str | Path, *, ignore: Collection[str] = ()) -> SchedulerConfig:
    """Read a file: scheduler_config.json, or a YAML of CompVis; a folder of a pipeline or of a scheduler will do.

    Raises
    ------
    ValueError
        If there is no such file, if it is neither JSON nor YAML, or as `from_mapping`.
    """
    path = Path(path)
    if path.is_dir():
        inside = (path / "scheduler" / "scheduler_config.json", path / "scheduler_config.json")
        path = next((p for p in inside if p.is_file()), inside[-1])
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ValueError(
            f"config={str(path)!r} cannot be read ({why}): give a scheduler_config.json or a YAML"
        ) from None
    if len(text) > LARGEST:
        raise ValueError(f"config={str(path)!r} is larger than a configuration: is it the right file?")
    try:
        return _parsed(path, text, ignore)
    except RecursionError:
        raise ValueError(f"config={str(path)!r} is nested too deep: is it the right file?") from None


LARGEST = 300_000
"""Bytes of a configuration."""


def _parsed(path: Path, text: str, ignore: Collection[str]) -> SchedulerConfig:
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        try:
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
                raise ValueError(f"config={str(path)!r} has aliases (*name), which are not read: write the values out")
            return from_mapping(bounded(str(path), yaml.safe_load(text)), ignore=ignore)
        except yaml.YAMLError as error:
            raise ValueError(f"config={str(path)!r} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return from_mapping(bounded(str(path), json.loads(text)), ignore=ignore)
    except json.JSONDecodeError as error:
        raise ValueError(f"config={str(path)!r} is no JSON: {error}") from None


def _from_ldm(entries: Mapping[str, Any]) -> dict[str, Any]:
    model = entries.get("model", {"params": entries})
    params: Any = getattr(model, "get", lambda _: None)("params")
    if not hasattr(params, "get"):
        raise ValueError("config has model but no model.params: pass the YAML of a latent diffusion model")
    # Their "linear" is linear in sqrt(beta), diffusers' "scaled_linear".
    rules = {"linear": "scaled_linear", "sqrt_linear": "linear", "cosine": "squaredcos_cap_v2"}
    kind = str(params.get("beta_schedule", "linear"))
    if kind not in rules:
        raise ValueError(f"beta_schedule={kind!r} is none of {', '.join(rules)}")
    predictions = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}
    predicted = str(params.get("parameterization", "eps"))
    if predicted not in predictions:
        raise ValueError(f"parameterization={predicted!r} is none of {', '.join(predictions)}")
    for key, harmless in (("given_betas", None), ("cosine_s", 8e-3), ("rescale_betas_zero_snr", False)):
        if params.get(key, harmless) != harmless:
            raise ValueError(f"{key}={params[key]!r} is not read: convert the configuration to diffusers' first")
    return {
        "_class_name": "ldm",
        "num_train_timesteps": params.get("timesteps", 1000),
        "beta_start": params.get("linear_start", 1e-4),
        "beta_end": params.get("linear_end", 2e-2),
        "beta_schedule": rules[kind],
        "prediction_type": predictions[predicted],
        "clip_sample": bool(params.get("clip_denoised", False)),
    }


def _check(name: str, values: Mapping[str, Any]) -> None:
    steps = values["num_train_timesteps"]
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"num_train_timesteps={steps!r} is no number of steps: give an int of 2 or more")
    for key, (least, most) in _BOUNDS.items():
        _bounded(key, values.get(key), least, most)
    if values.get("sigma_min") == 0 and FAMILIES[name].walk in ("edm", "consistency"):
        raise ValueError("sigma_min=0: the levels of this class end above 0, give a small one such as 0.002")
    for key in {"beta_start", "beta_end"} & values.keys():
        beta = values[key]
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 < beta < 1:
            raise ValueError(f"{key}={beta!r} is outside (0, 1): give the noise added in a training step")
    if values.get("timestep_spacing", SPACINGS[0]) not in SPACINGS:
        raise ValueError(f"timestep_spacing={values['timestep_spacing']!r} is none of {', '.join(SPACINGS)}")
    if name.startswith("DDIMInverse") and values["timestep_spacing"] == "linspace":
        raise ValueError("timestep_spacing='linspace' is not taken by DDIMInverseScheduler: use leading or trailing")
    if "steps_offset" in values and (
        isinstance(values["steps_offset"], bool) or not isinstance(values["steps_offset"], int)
    ):
        raise TypeError(f"steps_offset={values['steps_offset']!r} is no int: 0 or 1 is usual")
    kinds = [key for key in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas") if values.get(key)]
    if len(kinds) > 1:
        raise ValueError(f"{kinds[0]} and {kinds[1]} are both set: diffusers takes one kind of sigmas")
    for key, allowed in _CHOICES.items():
        if key in values and values[key] not in allowed:
            raise ValueError(f"{key}={values[key]!r} is none of {', '.join(allowed)}")
    if name in _ALGORITHMS and values["algorithm_type"] not in _ALGORITHMS[name]:
        raise ValueError(
            f"algorithm_type={values['algorithm_type']!r} is none of {name}: use {', '.join(_ALGORITHMS[name])}"
        )
    last = values.get("final_sigmas_type", "sigma_min")
    if last == "zero" and values.get("algorithm_type") in ("dpmsolver", "sde-dpmsolver"):
        raise ValueError(
            f"final_sigmas_type='zero' is not taken with algorithm_type={values['algorithm_type']!r}: use 'sigma_min'"
        )
    if values.get("shift_terminal") is not None and values.get("use_flow_sigmas") is False:
        raise ValueError(f"shift_terminal={values['shift_terminal']} needs use_flow_sigmas: {name} refuses it without")


def _bounded(key: str, value: Any, least: float, most: float) -> None:
    """Raise ValueError for an entry that is no number, or with which the levels overflow or vanish in float32."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and least <= value <= most):
        return
    said = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
    raise ValueError(f"{key}={said}: give a number from {least:g} to {most:g}")


_BOUNDS = {
    "num_train_timesteps": (2, MOST), "steps_offset": (-MOST, MOST), "original_inference_steps": (1, MOST),
    **dict.fromkeys(("rho", "shift", "flow_shift", "snr_shift_scale", "sigma_data", "timestep_scaling"), (1e-3, 1e4)),
    **dict.fromkeys(("sigma_min", "sigma_max"), (0, 1e10)), **dict.fromkeys(("base_shift", "max_shift"), (-100, 100)),
    "shift_terminal": (0, 0.999),
}  # fmt: skip
"""Of entries that are numbers, so wide that no network was trained outside of them."""


# "deis" counts as "dpmsolver++" in the DPM classes, "dpmsolver" and "dpmsolver++" as "deis" in that of DEIS.
_ALGORITHMS = {
    "DPMSolverMultistepScheduler": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver", "deis"),
    "DPMSolverMultistepInverseScheduler": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver", "deis"),
    "DPMSolverSinglestepScheduler": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "deis"),
    "EDMDPMSolverMultistepScheduler": ("dpmsolver++", "sde-dpmsolver++", "deis"),
    "DEISMultistepScheduler": ("deis", "dpmsolver++", "dpmsolver"),
    "SASolverScheduler": ("data_prediction", "noise_prediction"),
}
_CHOICES = {
    "final_sigmas_type": ("zero", "sigma_min"),
    "time_shift_type": ("exponential", "linear"),
    "sigma_schedule": ("karras", "exponential"),
    "interpolation_type": ("linear", "log_linear"),
}
