"""Read a scheduler's configuration: diffusers' scheduler_config.json, a CompVis YAML, or a mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

SPACINGS = ("leading", "linspace", "trailing")


@dataclass(frozen=True)
class Family:
    """How a class of schedulers walks: its rule, and the defaults of what its configuration leaves out.

    The rules: "jump" ends a slot at t - T//S, wherever the next evaluation is; "inverse" likewise, towards the noise; "listed" ends
    it at the next evaluation; "sigmas" and "lambdas" do so by noise level, and count S or S+1 points; "edm" and "flow" have noise levels
    of their own; "ldm" is CompVis' DDIM.
    """

    rule: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    stochastic: bool = False


_LEADING = {"timestep_spacing": "leading"}
_LINSPACE = {"timestep_spacing": "linspace"}
_EDM = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "rho": 7.0, "final_sigmas_type": "zero"}
FAMILIES: Mapping[str, Family] = {
    "DDIMScheduler": Family("jump", _LEADING | {"set_alpha_to_one": True, "clip_sample": True}),
    "DDIMParallelScheduler": Family("jump", _LEADING | {"set_alpha_to_one": True, "clip_sample": True}),
    "PNDMScheduler": Family("jump", _LEADING | {"set_alpha_to_one": False}),
    "DDIMInverseScheduler": Family("inverse", _LEADING | {"set_alpha_to_one": True, "clip_sample": True}),
    "DDPMScheduler": Family("listed", _LEADING | {"clip_sample": True}, stochastic=True),
    "DDPMParallelScheduler": Family("listed", _LEADING | {"clip_sample": True}, stochastic=True),
    "EulerDiscreteScheduler": Family("sigmas", _LINSPACE),
    "EulerAncestralDiscreteScheduler": Family("sigmas", _LINSPACE, stochastic=True),
    "HeunDiscreteScheduler": Family("sigmas", _LINSPACE),
    "LMSDiscreteScheduler": Family("sigmas", _LINSPACE),
    "KDPM2DiscreteScheduler": Family("sigmas", _LINSPACE),
    "KDPM2AncestralDiscreteScheduler": Family("sigmas", _LINSPACE, stochastic=True),
    "DPMSolverMultistepScheduler": Family("lambdas", _LINSPACE),
    "DPMSolverSinglestepScheduler": Family("lambdas", _LINSPACE),
    "DEISMultistepScheduler": Family("lambdas", _LINSPACE | {"final_sigmas_type": "sigma_min"}),
    "UniPCMultistepScheduler": Family("lambdas", _LINSPACE),
    "SASolverScheduler": Family("lambdas", _LINSPACE, stochastic=True),
    "EDMEulerScheduler": Family("edm", _EDM),
    "EDMDPMSolverMultistepScheduler": Family("edm", _EDM),
    "FlowMatchEulerDiscreteScheduler": Family("flow", {"shift": 1.0, "prediction_type": "flow_prediction"}),
    "FlowMatchHeunDiscreteScheduler": Family("flow", {"shift": 1.0, "prediction_type": "flow_prediction"}),
    "ldm": Family("ldm", {"set_alpha_to_one": False, "steps_offset": 1}),
}

_COMMON = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "steps_offset": 0,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "thresholding": False,
    "rescale_betas_zero_snr": False,
    "set_alpha_to_one": True,
    "timestep_spacing": "leading",
    "final_sigmas_type": "zero",
    "algorithm_type": "",
}

KEYS = (
    frozenset(_COMMON)
    | {key for family in FAMILIES.values() for key in family.defaults}
    | {"_class_name", "clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value", "sigma_schedule"}
    | {"use_clipped_model_output", "use_karras_sigmas"}
)
"""The entries that have a meaning here."""
UNREAD = frozenset(
    [
        "base_image_seq_len",
        "base_shift",
        "corrector_order",
        "disable_corrector",
        "eta",
        "euler_at_final",
        "final_step_size_scale",
        "flow_shift",
        "interpolation_type",
        "invert_sigmas",
        "lambda_min_clipped",
        "lower_order_final",
        "max_image_seq_len",
        "max_shift",
        "original_inference_steps",
        "predict_x0",
        "predictor_order",
        "s_churn",
        "s_max",
        "s_min",
        "s_noise",
        "sampling_eps",
        "scale_factors",
        "scaler",
        "shift_terminal",
        "skip_prk_steps",
        "snr",
        "solver_order",
        "solver_p",
        "solver_type",
        "stage_range",
        "stages",
        "stochastic_sampling",
        "t_max",
        "t_min",
        "tau_func",
        "time_shift_type",
        "timestep_scaling",
        "timestep_type",
        "upscale_mode",
        "use_beta_sigmas",
        "use_dynamic_shifting",
        "use_exponential_sigmas",
        "use_flow_sigmas",
        "use_lu_lambdas",
        "variance_type",
    ]
)
"""Further entries of diffusers' schedulers, to which no rule looks."""


@dataclass(frozen=True)
class SchedulerConfig:
    """What a configuration says.

    Attributes
    ----------
    name
        The scheduler's class in diffusers, or "ldm" for CompVis' configurations.
    values
        Its entries, with that class's defaults where it has none.
    given
        The names of the entries that it has itself.
    known
        Whether the class is one whose walk is known; another one is taken to walk like DDIMScheduler.
    """

    name: str
    values: Mapping[str, Any]
    given: frozenset[str]
    known: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __getitem__(self, key: str) -> Any:
        return self.values.get(key)

    @property
    def rule(self) -> str:
        """How the scheduler walks; see `Family`."""
        return FAMILIES[self.name].rule if self.known else "jump"

    @property
    def stochastic(self) -> bool:
        """Whether the sampler adds fresh noise in each step."""
        return (self.known and FAMILIES[self.name].stochastic) or "sde" in str(self["algorithm_type"])

    def changed(self, **values: Any) -> SchedulerConfig:
        """Return the configuration with other entries; ValueError for those that nothing reads."""
        for key in values.keys() - self.given - KEYS:
            raise ValueError(
                f"{key}={values[key]!r} is an entry that nothing reads: use one of {', '.join(sorted(KEYS))}"
            )
        return from_mapping({"_class_name": self.name} | dict(self.values) | values)


def from_mapping(entries: Mapping[str, Any]) -> SchedulerConfig:
    """Return the configuration of a mapping.

    Parameters
    ----------
    entries
        As diffusers' scheduler_config.json ("_class_name", "beta_start", ...; DDIMScheduler if no class is named), or as
        CompVis' YAML (model: params: linear_start, linear_end, timesteps, parameterization).

    Raises
    ------
    ValueError
        For entries that nothing reads, such as a misspelt one, unless diffusers wrote them (`_diffusers_version`) or the class is
        none of its own; and for those of which a run could not be made: no number of training steps, betas outside (0, 1), an
        unknown spacing.
    TypeError
        If it is no mapping, or steps_offset no int.
    """
    if not isinstance(entries, Mapping):
        raise TypeError(f"config={type(entries).__name__} is no table: pass a scheduler_config.json or a mapping")
    entries = _from_ldm(entries) if "model" in entries or "linear_start" in entries else dict(entries)
    name = str(entries.pop("_class_name", "DDIMScheduler"))
    defaults = FAMILIES[name].defaults if name in FAMILIES else {}
    if "_diffusers_version" not in entries and name in FAMILIES:  # what diffusers writes may be newer than this list
        _check_names(entries)
    values = _COMMON | dict(defaults) | entries
    _check(values)
    return SchedulerConfig(name, values, frozenset(entries), name in FAMILIES)


def read(path: str | Path) -> SchedulerConfig:
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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ValueError(
            f"config={str(path)!r} cannot be read ({why}): give a scheduler_config.json or a YAML"
        ) from None
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        try:
            return from_mapping(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise ValueError(f"config={str(path)!r} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return from_mapping(json.loads(text))
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
    return {
        "_class_name": "ldm",
        "num_train_timesteps": params.get("timesteps", 1000),
        "beta_start": params.get("linear_start", 1e-4),
        "beta_end": params.get("linear_end", 2e-2),
        "beta_schedule": rules[kind],
        "prediction_type": predictions.get(str(params.get("parameterization", "eps")), "epsilon"),
        "clip_sample": bool(params.get("clip_denoised", False)),
    }


def _check_names(entries: Mapping[str, Any]) -> None:
    for key in entries:
        if key not in KEYS | UNREAD and not str(key).startswith("_"):
            near = get_close_matches(str(key), sorted(KEYS | UNREAD))
            remedy = f"write {' or '.join(near)}" if near else f"use one of {', '.join(sorted(KEYS))}"
            raise ValueError(f"{key}={entries[key]!r} is an entry that nothing reads: {remedy}")


def _check(values: Mapping[str, Any]) -> None:
    steps = values["num_train_timesteps"]
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"num_train_timesteps={steps!r} is no number of steps: give an int of 2 or more")
    for key in ("beta_start", "beta_end"):
        beta = values[key]
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 < beta < 1:
            raise ValueError(f"{key}={beta!r} is outside (0, 1): give the noise added in a training step")
    if values["timestep_spacing"] not in SPACINGS:
        raise ValueError(f"timestep_spacing={values['timestep_spacing']!r} is none of {', '.join(SPACINGS)}")
    if isinstance(values["steps_offset"], bool) or not isinstance(values["steps_offset"], int):
        raise TypeError(f"steps_offset={values['steps_offset']!r} is no int: 0 or 1 is usual")
