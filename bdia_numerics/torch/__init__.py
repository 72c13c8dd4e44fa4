"""Tensors as a number system, adapters for networks, loaders, a trained network. Importing it lets `solve` and its like take tensors.

>>> import torch
>>> from bdia_numerics import BDIA, invert, solve
>>> from bdia_numerics.torch import load, noise
>>> network = load("path/to/a/diffusers/folder")
>>> grid = network.grid(20, "trailing")
>>> z = noise((4, *network.shape), grid, 0, dtype=torch.float32)
>>> found = solve(BDIA(), network.model(), grid, z)
>>> back = invert(BDIA(), network.model(), grid, found.state)
"""

from __future__ import annotations

try:
    import torch
except ModuleNotFoundError as error:
    raise ImportError(
        f"bdia_numerics.torch needs {error.name}: pip install 'bdia_numerics[torch]'", name=error.name
    ) from None

from bdia_numerics.runs.state import State
from bdia_numerics.runs.stepwise import Solution, Status
from bdia_numerics.spaces.values import made, share
from bdia_numerics.torch import gradients, kdiffusion
from bdia_numerics.torch.networks.loading import Loaded, load
from bdia_numerics.torch.networks.models import NetworkModel, Preconditioned, controlled, denoiser
from bdia_numerics.torch.networks.sampling import Sampled, noise, sample
from bdia_numerics.torch.networks.steadiness import Repeatability, repeatability
from bdia_numerics.torch.scheduling import make_grid, schedule_of
from bdia_numerics.torch.tensors import Tensors, fused

__all__ = [
    "Loaded",
    "NetworkModel",
    "Preconditioned",
    "Repeatability",
    "Sampled",
    "Tensors",
    "controlled",
    "denoiser",
    "fused",
    "gradients",
    "kdiffusion",
    "load",
    "make_grid",
    "noise",
    "repeatability",
    "sample",
    "schedule_of",
]

share(*map(globals().get, __all__))
torch.serialization.add_safe_globals(
    [made, State, Solution, Status]
)  # what torch.load makes without weights_only=False
