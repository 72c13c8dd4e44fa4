"""Classes of schedulers of diffusers: how each walks, and every parameter that it takes, with its default.

These are facts of diffusers (0.36 to 0.42), which a test compares with the installed release. A default counts only for its own class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics.grids.live import UNREAD


@dataclass(frozen=True)
class Family:
    """What a class of schedulers does with its configuration.

    Attributes
    ----------
    walk
        The rule of its steps. "jump" ends a step at t - T//S, wherever the next evaluation is, and "inverse" does so towards the noise;
        "listed" ends it at the next evaluation; "points" takes S times of the table, "intervals" the first S of S+1; "edm", "flow" and
        "consistency" have noise levels of their own; "ldm" is CompVis' DDIM. Empty where the walk is not read.
    defaults
        Every parameter of the class, with its default.
    betas
        The rules of betas that it takes.
    orders
        Evaluations in each step but the last, which has one: 2 for the methods of Heun and of two stages.
    stochastic
        Whether a step adds fresh noise.
    end
        Where a run ends if no parameter says: at sigma "zero", at the first entry of the "table", or by a step of no length ("repeat")
        with sigmas of another kind than the table's.
    why
        Why the walk is not read.
    """

    walk: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    betas: tuple[str, ...] = ("linear", "scaled_linear", "squaredcos_cap_v2")
    orders: int = 1
    stochastic: bool = False
    end: str = "zero"
    why: str = ""


_TABLE = {
    "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "trained_betas": None,
    "prediction_type": "epsilon",
}  # fmt: skip
_LATENT = _TABLE | {"beta_start": 0.00085, "beta_end": 0.012}
_LEADING = {"timestep_spacing": "leading", "steps_offset": 0}
_LINSPACE = {"timestep_spacing": "linspace", "steps_offset": 0}
_ZERO_SNR = {"rescale_betas_zero_snr": False}
_KINDS = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_FLOW_SIGMAS = {"use_flow_sigmas": False, "flow_shift": 1.0}
_DYNAMIC = {"use_dynamic_shifting": False, "time_shift_type": "exponential"}
_THRESHOLD = {"thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0}
_CLIPPED = {"clip_sample": True, "clip_sample_range": 1.0}
_UNCLIPPED = {"clip_sample": False, "clip_sample_range": 1.0}
_ALPHA_ONE = {"set_alpha_to_one": True}
_DPM = {"solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True}
_CLIP_LAMBDA = {"lambda_min_clipped": -math.inf, "variance_type": None}
_LAST = {"final_sigmas_type": "zero"}
_EDM = {
    "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "sigma_schedule": "karras", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "rho": 7.0,
}  # fmt: skip
_FLOW = {
    "num_train_timesteps": 1000, "shift": 1.0, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096,
    "invert_sigmas": False, "shift_terminal": None,
} | _DYNAMIC | _KINDS  # fmt: skip

_DDIM = _TABLE | _CLIPPED | _ALPHA_ONE | _THRESHOLD | _LEADING | _ZERO_SNR
_DDPM = _TABLE | _CLIPPED | _THRESHOLD | _LEADING | _ZERO_SNR | {"variance_type": "fixed_small"}
_DDPM_BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid")
_COGVIDEOX = (
    _LATENT | {"beta_schedule": "scaled_linear"} | _CLIPPED | _ALPHA_ONE | _LEADING | _ZERO_SNR
    | {"sample_max_value": 1.0, "snr_shift_scale": 3.0}
)  # fmt: skip
_CONSISTENT = (
    _LATENT | {"beta_schedule": "scaled_linear"} | _UNCLIPPED | _ALPHA_ONE | _THRESHOLD | _LEADING | _ZERO_SNR
    | {"original_inference_steps": 50, "timestep_scaling": 10.0}
)  # fmt: skip

FAMILIES: Mapping[str, Family] = {
    "DDIMScheduler": Family("jump", _DDIM),
    "DDIMParallelScheduler": Family("jump", _DDIM),
    "CogVideoXDDIMScheduler": Family("jump", _COGVIDEOX),
    "CogVideoXDPMScheduler": Family("jump", _COGVIDEOX, stochastic=True),
    "PNDMScheduler": Family("jump", _TABLE | {"skip_prk_steps": False, "set_alpha_to_one": False} | _LEADING),
    "DDIMInverseScheduler": Family("inverse", _TABLE | _CLIPPED | _ALPHA_ONE | _LEADING | _ZERO_SNR),
    "DDPMScheduler": Family("listed", _DDPM, _DDPM_BETAS, stochastic=True),
    "DDPMParallelScheduler": Family("listed", _DDPM, _DDPM_BETAS, stochastic=True),
    "UnCLIPScheduler": Family(
        "listed",
        {"num_train_timesteps": 1000, "variance_type": "fixed_small_log", "prediction_type": "epsilon"}
        | {"beta_schedule": "squaredcos_cap_v2"}
        | _CLIPPED,
        ("squaredcos_cap_v2",),
        stochastic=True,
    ),
    "LCMScheduler": Family("listed", _CONSISTENT, stochastic=True),
    "TCDScheduler": Family("listed", _CONSISTENT, stochastic=True, end="table"),
    "EulerDiscreteScheduler": Family(
        "points",
        _TABLE | _KINDS | _LINSPACE | _ZERO_SNR | _LAST
        | {"interpolation_type": "linear", "sigma_min": None, "sigma_max": None, "timestep_type": "discrete"},
    ),
    "EulerAncestralDiscreteScheduler": Family("points", _TABLE | _LINSPACE | _ZERO_SNR, stochastic=True),
    "HeunDiscreteScheduler": Family(
        "points", _LATENT | _KINDS | _UNCLIPPED | _LINSPACE, ("linear", "scaled_linear", "squaredcos_cap_v2", "exp"), 2
    ),
    "KDPM2DiscreteScheduler": Family("points", _LATENT | _KINDS | _LINSPACE, orders=2),
    "KDPM2AncestralDiscreteScheduler": Family("points", _LATENT | _KINDS | _LINSPACE, orders=2, stochastic=True),
    "LMSDiscreteScheduler": Family("points", _TABLE | _KINDS | _LINSPACE),
    "DPMSolverMultistepScheduler": Family(
        "intervals",
        _TABLE | _DPM | _THRESHOLD | _KINDS | _FLOW_SIGMAS | _DYNAMIC | _LAST | _CLIP_LAMBDA | _LINSPACE | _ZERO_SNR
        | {"euler_at_final": False, "use_lu_lambdas": False},
    ),
    "DPMSolverSinglestepScheduler": Family(
        "intervals",
        _TABLE | _DPM | {"lower_order_final": False} | _THRESHOLD | _KINDS | _FLOW_SIGMAS | _DYNAMIC | _LAST | _CLIP_LAMBDA,
    ),
    "DPMSolverMultistepInverseScheduler": Family(
        "intervals",
        _TABLE | _DPM | _THRESHOLD | _KINDS | _FLOW_SIGMAS | _CLIP_LAMBDA | _LINSPACE | {"euler_at_final": False},
        end="repeat",
    ),
    "DEISMultistepScheduler": Family(
        "intervals",
        _TABLE | _DPM | {"algorithm_type": "deis", "solver_type": "logrho"} | _THRESHOLD | _KINDS | _FLOW_SIGMAS | _DYNAMIC | _LINSPACE,
        end="repeat",
    ),
    "SASolverScheduler": Family(
        "intervals",
        _TABLE | _THRESHOLD | _KINDS | _FLOW_SIGMAS | _CLIP_LAMBDA | _LINSPACE
        | {"predictor_order": 2, "corrector_order": 2, "tau_func": None, "algorithm_type": "data_prediction", "lower_order_final": True},
        stochastic=True,
        end="repeat",
    ),
    "UniPCMultistepScheduler": Family(
        "intervals",
        _TABLE | _THRESHOLD | _KINDS | _FLOW_SIGMAS | _DYNAMIC | _LAST | _LINSPACE | _ZERO_SNR
        | {"solver_order": 2, "predict_x0": True, "solver_type": "bh2", "lower_order_final": True, "disable_corrector": [],
           "solver_p": None,
           "sigma_min": None, "sigma_max": None, "shift_terminal": None},
    ),
    "EDMEulerScheduler": Family("edm", _EDM | _LAST),
    "EDMDPMSolverMultistepScheduler": Family("edm", _EDM | _LAST | _DPM | _THRESHOLD | {"euler_at_final": False}),
    "FlowMatchEulerDiscreteScheduler": Family("flow", _FLOW | {"stochastic_sampling": False}),
    "FlowMatchLCMScheduler": Family("flow", _FLOW | {"scale_factors": None, "upscale_mode": "bicubic"}, stochastic=True),
    "FlowMatchHeunDiscreteScheduler": Family("flow", {"num_train_timesteps": 1000, "shift": 1.0}, orders=2),
    "CMStochasticIterativeScheduler": Family(
        "consistency",
        {"num_train_timesteps": 40, "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "s_noise": 1.0, "rho": 7.0,
         "clip_denoised": True},
        stochastic=True,
    ),
    "ldm": Family("ldm", _TABLE | {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    **{name: Family("", stochastic=noisy, why=why) for name, noisy, why in (
        ("DPMSolverSDEScheduler", True, "it draws its noise from a Brownian tree and evaluates the network between its levels"),
        ("CosineDPMSolverMultistepScheduler", True, "it has its own cosine levels of sigma"),
        ("DDPMWuerstchenScheduler", True, "its levels are a cosine of a continuous time, and no table"),
        ("RePaintScheduler", True, UNREAD["RePaintScheduler"]),
        ("ScoreSdeVeScheduler", True, "it is a predictor and corrector of the variance-exploding SDE"),
        ("KarrasVeScheduler", True, "it adds and removes noise at every level"),
        ("SCMScheduler", True, "its times are angles"),
        ("IPNDMScheduler", False, "its levels are a sine of a continuous time"),
        ("VQDiffusionScheduler", True, "its states are discrete"),
        ("AmusedScheduler", True, "its states are discrete"),
        ("HeliosScheduler", False, "it runs in stages of different resolution"),
        ("HeliosDMDScheduler", True, "it runs in stages of different resolution"),
        ("LTXEulerAncestralRFScheduler", True, UNREAD["LTXEulerAncestralRFScheduler"]),
        ("PiflowScheduler", False, UNREAD["PiflowScheduler"]),
        ("FlowMapEulerDiscreteScheduler", False, UNREAD["FlowMapEulerDiscreteScheduler"]),
        ("MiniMaxH3Scheduler", False, UNREAD["MiniMaxH3Scheduler"]),
    )},
}  # fmt: skip
"""By class name; "ldm" stands for CompVis' configurations."""

KNOWN = frozenset(key for family in FAMILIES.values() for key in family.defaults)
"""Parameters of any class here. Of those that a class does not take, diffusers ignores all but `SIGMA_ENDS`."""

OURS = frozenset(
    ("counts_as", "walk", "state_dtype", "gamma", "p", "shifted", "exchange", "gamma1", "gamma2", "solver_spec")
)
"""Parameters of this package's schedulers that no class of diffusers has."""

SIGMA_ENDS = frozenset({"sigma_min", "sigma_max"})
"""Read by the conversions of sigmas even where the class has no such parameter, if the configuration holds them."""
