"""What a scheduler sees in the outputs that it is fed, and says as a warning: NaN, and a network that predicts something else."""

from __future__ import annotations

import warnings

import torch

from bdia_numerics.grids import Point
from bdia_numerics.torch.checking import contradiction
from bdia_numerics.torch.tensors import space_of


def warn_not_finite(what: str, timestep: object, output: torch.Tensor, state: torch.dtype | None) -> None:
    """Warn that states are not finite, with the time, whether the model's output already was, and what to change.

    Parameters
    ----------
    what
        The register and the slot.
    timestep
        At which the model was asked.
    output
        Of the model.
    state
        Dtype of the registers; None where there are none, and the samples are all.
    """
    half = torch.float16
    if not bool(space_of(output).finite(output)):
        cause = "the model's output is not: "
        remedy = (
            "run it in bfloat16 or float32"
            if output.dtype == half
            else "check its weights, its dtype, and that prediction_type is what it predicts"
        )
    else:
        narrow = half in (state, output.dtype)
        cause = "float16 ends at 65504: " if narrow else "the steps are unstable: "
        wider = "pass state_dtype='float32' to from_config" if state else "run the pipeline in bfloat16 or float32"
        remedy = wider if narrow else "take more steps, or other timesteps"
    warnings.warn(f"timestep={float(timestep):g}: {what}, {cause}{remedy}", stacklevel=3)  # type: ignore[arg-type]


def warn_of_contradiction(kind: str, point: Point, z: torch.Tensor, output: torch.Tensor) -> None:
    """Warn where a network's output at the noise end is no prediction of its kind; on a device nothing is looked at."""
    if z.device.type == "cpu" and (said := contradiction(kind, point.alpha, point.t, z, output)):
        warnings.warn(said, stacklevel=4)
