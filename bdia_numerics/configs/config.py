"""Read a scheduler's configuration: diffusers' scheduler_config.json, a CompVis YAML, or a mapping."""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bdia_numerics import models
from bdia_numerics.configs.families import FAMILIES, KNOWN, OURS, SIGMA_ENDS, Family
from bdia_numerics.texts import DEEPEST, MOST, bounded, nearest, one_of, refuse, shown

SPACINGS = ("leading", "linspace", "trailing")
KINDS = {
    "use_karras_sigmas": "karras", "use_lu_lambdas": "lu", "use_exponential_sigmas": "exponential", "use_beta_sigmas": "beta",
}  # fmt: skip
PREDICTIONS = {theirs: ours for ours, theirs in models.PREDICTIONS.items() if theirs}
"""Our words for what diffusers' configurations say that a network predicts."""


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
        return FAMILIES.get(self.name) or Family("", why=f"its class is not known here{_near(self.name, FAMILIES)}")

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
            For a prediction_type that is not known, or that its class does not take on these levels.
        """
        if self.rule == "flow":
            return "velocity"
        # On levels of flow matching the classes read v as if alpha^2 + sigma^2 were 1.
        other = ("x0", "velocity") if self.rule == "edm" else ("v",) if self.flow else ("velocity",)
        taken = [word for word, kind in PREDICTIONS.items() if kind not in other]
        return PREDICTIONS[one_of("prediction_type", self["prediction_type"], taken)]

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
        As diffusers' scheduler_config.json ("_class_name", "beta_start", ...), also of this package's schedulers, or as CompVis' YAML
        (model: params: linear_start, linear_end, timesteps, parameterization). Without "_class_name" it holds all the parameters of one
        class, as the `config` of an object does, or parameters of DDIMScheduler only.
    ignore
        Entries that are known to have no effect.

    Raises
    ------
    ValueError
        For an entry that nothing reads, and entries of which a run could not be made.
    TypeError
        If it is not a mapping.
    """
    if not isinstance(entries, Mapping):
        raise TypeError(f"config={type(entries).__name__} is not a table: pass a scheduler_config.json or a mapping")
    keys: Collection[Any] = entries.keys()
    if (odd := next((key for key in keys if not isinstance(key, str)), None)) is not None:
        raise ValueError(
            f"config has the key {shown(odd)}, which is not a name: pass a scheduler_config.json or a mapping like it"
        )
    if "counts_as" in entries:
        entries = _counting(entries)
    if "_class_name" not in entries and ("model" in entries or entries.keys() & (_LDM.keys() - KNOWN)):
        entries = _from_ldm(entries, ignore)
    entries = dict(entries)
    named = entries.pop("_class_name", None)
    own = {key: value for key, value in entries.items() if not key.startswith("_") and key not in ignore}
    inner = next((key for key, value in own.items() if isinstance(value, Mapping) and "_class_name" in value), None)
    refuse(
        (
            not isinstance(named, str | None) or named == "",
            f"_class_name={shown(named)} is not a name: write that of the scheduler's class, such as DDIMScheduler",
        ),
        (
            isinstance(named, str) and named.endswith("Pipeline"),
            f"_class_name={shown(named)} is that of a pipeline: give the file scheduler/scheduler_config.json next to model_index.json",
        ),
        (inner is not None, f"{inner} holds a configuration of its own: pass that table"),
    )
    # Flax has the same schedulers under other names.
    name = _class_of(own) if named is None else named.removeprefix("Flax")
    family = FAMILIES.get(name)
    if named is None and name == "DDIMScheduler" and (strange := sorted(own.keys() - FAMILIES[name].defaults.keys())):
        raise ValueError(
            f"config has no _class_name, and {strange[0]}={shown(own[strange[0]])} is not an entry of DDIMScheduler: add _class_name"
            + _near(strange[0], FAMILIES[name].defaults)
        )
    if family is None or not family.walk:
        return SchedulerConfig(name, own, frozenset(own))
    for key in own.keys() - family.defaults.keys() - KNOWN:
        if not _is_default(name, key, own[key]):
            raise ValueError(_unread(key, own[key], family.defaults))
    ends = {key: own[key] for key in SIGMA_ENDS & own.keys()}
    values = dict(family.defaults) | ends | {key: own[key] for key in family.defaults.keys() & own.keys()}
    for key in own.keys() & values.keys():
        _check_entry(key, values[key], family.defaults.get(key))
    _check(name, values)
    return SchedulerConfig(name, values, frozenset(own), frozenset(own.keys() - values.keys()))


def _counting(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a scheduler of this package in the words of the class whose times and levels it has."""
    plain = {key: value for key, value in entries.items() if key not in OURS}
    return plain | {"_class_name": entries["counts_as"] or "DDIMScheduler"}


def _class_of(own: Mapping[str, Any]) -> str:
    """Return the class whose parameters are all there and no others; DDIMScheduler if there is none, or several that walk differently."""
    names = [name for name, family in FAMILIES.items() if family.walk and family.defaults.keys() == own.keys()]
    # The parameters of the smallest scheduler of flow matching are those that others have, too, and say nothing.
    flows = [family.defaults.keys() for family in FAMILIES.values() if family.walk == "flow"]
    if any(FAMILIES[name].walk == "flow" for name in names) and any(own.keys() < keys for keys in flows):
        return "DDIMScheduler"
    return names[0] if names and all(FAMILIES[name] == FAMILIES[names[0]] for name in names) else "DDIMScheduler"


def _near(key: str, names: Collection[str]) -> str:
    close = nearest(key, names)
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
    TypeError
        If it holds no table, or as `from_mapping`.
    """
    path = Path(path)
    if path.is_dir():
        inside = (path / "scheduler" / "scheduler_config.json", path / "scheduler_config.json")
        path = next((p for p in inside if p.is_file()), inside[-1])
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(
            f"config={str(path)!r} cannot be read ({why}): give a scheduler_config.json or a YAML"
        ) from None
    if len(text) > LARGEST:
        raise ValueError(f"config={str(path)!r} is larger than a configuration: is it the right file?")
    try:
        entries = bounded(str(path), _parsed(path, text))
    except RecursionError:
        raise ValueError(f"config={str(path)!r} is nested too deep: is it the right file?") from None
    except json.JSONDecodeError as error:
        why = f"not JSON: {error}" if text.strip() else "empty: give a scheduler_config.json"
        raise ValueError(f"config={str(path)!r} is {why}") from None
    if not isinstance(entries, Mapping):
        raise TypeError(
            f"config={str(path)!r} is {shown(entries)} and not a table: give a scheduler_config.json or a YAML"
        )
    return from_mapping(entries, ignore=ignore)


LARGEST = 300_000
"""Bytes of a configuration."""


def _parsed(path: Path, text: str) -> Any:
    if path.suffix.lower() not in (".yaml", ".yml"):
        return json.loads(text)
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"config={str(path)!r} has aliases (*name), which are not read: write the values out")  # noqa: TRY004
            # Each further level costs the parser as much as all before it, so that 5,000 of them take seconds.
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"config={str(path)!r} is nested more than {DEEPEST} deep: is it the right file?")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"config={str(path)!r} is not YAML: {' '.join(str(error).split())}") from None


def _from_ldm(entries: Mapping[str, Any], ignore: Collection[str]) -> dict[str, Any]:
    model = entries.get("model", {"params": entries})
    params: Any = getattr(model, "get", lambda _: None)("params")
    if not hasattr(params, "get"):
        raise ValueError("config has model but no model.params: pass the YAML of a latent diffusion model")
    for key in params:
        network = key in _LDM_NETWORK or key.endswith(("_config", "_key", "_keys"))
        network = network and key not in ("denoiser_config", "sampler_config")  # which hold the levels of sgm's models
        if not (key in _LDM or network or key.startswith("_") or key in ignore):
            raise ValueError(_unread(key, params[key], (*_LDM, *_LDM_NETWORK)))
    values = {key: params.get(key, default) for key, default in _LDM.items()}
    # Their "linear" is linear in sqrt(beta), diffusers' "scaled_linear".
    rules = {"linear": "scaled_linear", "sqrt_linear": "linear", "cosine": "squaredcos_cap_v2"}
    predictions = {word: models.PREDICTIONS[word] for word in ("eps", "x0", "v")}
    for key, names in (("beta_schedule", rules), ("parameterization", predictions)):
        one_of(key, values[key], names)
    for key in ("given_betas", "cosine_s", "rescale_betas_zero_snr"):
        if values[key] != _LDM[key]:
            raise ValueError(f"{key}={shown(values[key])} is not read: convert the configuration to diffusers' first")
    for key in ("linear_start", "linear_end"):
        values[key] = _written(values[key])
        _check_entry(key, values[key], _LDM[key])
    return {
        "_class_name": "ldm",
        "num_train_timesteps": values["timesteps"],
        "beta_start": values["linear_start"],
        "beta_end": values["linear_end"],
        "beta_schedule": rules[values["beta_schedule"]],
        "prediction_type": predictions[values["parameterization"]],
        "clip_sample": bool(values["clip_denoised"]),
    }


_LDM: Mapping[str, Any] = {  # of CompVis' DDPM, with its defaults
    "timesteps": 1000, "beta_schedule": "linear", "linear_start": 1e-4, "linear_end": 2e-2, "cosine_s": 8e-3, "given_betas": None,
    "parameterization": "eps", "clip_denoised": False, "rescale_betas_zero_snr": False,
}  # fmt: skip
# Of its networks, their data and their training; so are all that end in _config, _key and _keys.
_LDM_NETWORK = (
    "channels", "ckpt_path", "concat_mode", "cond_stage_forward", "cond_stage_trainable", "conditioning_key", "embedding_dropout",
    "image_size", "l_simple_weight", "learn_logvar", "load_only_unet", "log_every_t", "logvar_init", "loss_type", "make_it_fit",
    "monitor", "num_timesteps_cond", "only_mid_control", "original_elbo_weight", "reset_ema", "reset_num_ema_updates", "scale_by_std",
    "scale_factor", "sd_locked", "ucg_training", "unet_trainable", "use_ema", "use_positional_encodings", "v_posterior",
)  # fmt: skip


def _written(value: Any) -> Any:
    """Return the number that a YAML means by 1e-4, which is a text to PyYAML and a number to those who run it."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _unread(key: str, value: Any, names: Collection[str]) -> str:
    return (
        f"{key}={repr(value)[:80]} is an entry that nothing reads, so the walk would not be "
        f"this scheduler's: remove it, or pass it as ignore (--ignore {key}) if it has no effect{_near(key, names)}"
    )


def _check_entry(key: str, value: Any, default: Any) -> None:
    """Raise ValueError for an entry that is of another kind than its default, as numbers in quotes are, or outside its range."""
    needed = key in KINDS or key in _RANGES
    if value is None and (default is None or not needed):  # null may stand for what is not used
        return
    if isinstance(default, bool):
        able, what = value in (True, False), "neither true nor false: write one of them, without quotes"
    elif isinstance(default, str):
        able, what = isinstance(value, str), f"not a name: write one, such as {default}"
    elif needed or isinstance(default, int | float):
        inside, words = _RANGES.get(key, (math.isfinite, "a finite number"))
        whole = key in ("num_train_timesteps", "steps_offset", "original_inference_steps")
        number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        able, what = number and inside(value), f"not {words}: write such a number, without quotes"
    else:
        return
    if not able:
        raise ValueError(f"{key}={shown(value)} is {what}")


def _between(least: float, most: float) -> tuple[Callable[[Any], bool], str]:
    return (lambda x: least <= x <= most, f"a number from {least:g} to {most:g}")


# Of the numbers that make a walk, so wide that no network was trained outside of them; beyond, levels overflow or vanish in float32.
_RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("beta_start", "beta_end", "linear_start", "linear_end"), (lambda x: 0 < x < 1, "in (0, 1)")),
    **dict.fromkeys(
        ("shift", "flow_shift", "rho", "snr_shift_scale", "sigma_data", "timestep_scaling"), _between(1e-3, 1e4)
    ),
    **dict.fromkeys(SIGMA_ENDS, _between(0, 1e10)),
    **dict.fromkeys(("base_shift", "max_shift"), _between(-100, 100)),
    "num_train_timesteps": (lambda x: 2 <= x <= 2**20, "a whole number from 2 to 1048576"),
    "steps_offset": (lambda x: -MOST <= x <= MOST, f"a whole number from {-MOST} to {MOST}, usually 0 or 1"),
    "original_inference_steps": (lambda x: 0 < x <= MOST, "a whole number above 0"),
    "shift_terminal": _between(0, 0.999),
    "lambda_min_clipped": (lambda x: x < math.inf, "a number"),
}


def _check(name: str, values: Mapping[str, Any]) -> None:
    get, set_ = values.get, [key for key, kind in KINDS.items() if kind != "lu" and values.get(key)]
    algorithm, algorithms = get("algorithm_type"), _ALGORITHMS.get(name)
    refuse(
        (
            get("sigma_min") == 0 and FAMILIES[name].walk in ("edm", "consistency"),
            "sigma_min=0: the levels of this class end above 0, give a small one such as 0.002",
        ),
        (
            name.startswith("DDIMInverse") and get("timestep_spacing") == "linspace",
            "timestep_spacing='linspace' is not taken by DDIMInverseScheduler: use leading or trailing",
        ),
        (len(set_) > 1, f"{' and '.join(set_[:2])} are both set: diffusers takes one kind of sigmas"),
        *(
            (key in values and get(key) not in allowed, f"{key}={shown(get(key))} is none of {', '.join(allowed)}")
            for key, allowed in _CHOICES.items()
        ),
        (
            algorithms and algorithm not in algorithms,
            f"algorithm_type={shown(algorithm)} is none of {name}: use {', '.join(algorithms or ())}",
        ),
        (
            get("final_sigmas_type") == "zero" and algorithm in ("dpmsolver", "sde-dpmsolver"),
            f"final_sigmas_type='zero' is not taken with algorithm_type={shown(algorithm)}: use 'sigma_min'",
        ),
        (
            get("shift_terminal") is not None and get("use_flow_sigmas") is False,
            f"shift_terminal={get('shift_terminal')} needs use_flow_sigmas: {name} refuses it without",
        ),
    )


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
    "timestep_spacing": SPACINGS,
    "final_sigmas_type": ("zero", "sigma_min"),
    "time_shift_type": ("exponential", "linear"),
    "sigma_schedule": ("karras", "exponential"),
    "interpolation_type": ("linear", "log_linear"),
}
