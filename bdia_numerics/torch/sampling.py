"""One sampling run of a network, with everything that says how good it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bdia_numerics import grids
from bdia_numerics.grids import Grid
from bdia_numerics.integrate import encode, invert, solve
from bdia_numerics.inversion import Method
from bdia_numerics.models import Model
from bdia_numerics.program import NotInvertibleError, Solver
from bdia_numerics.solvers import DDIM, RK4

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Sampled:
    """A run from noise to data, back, and against the network's own ODE.

    Attributes
    ----------
    images : array
        The data end, shape (batch, channels, height, width), float64.
    status : str
        "ok", or the slot and the register where the run first was not finite.
    back_status : str
        The same of the way back; empty where the way there failed.
    nfe, back_nfe : int
        Model evaluations of the way there and of the way back.
    inversion : str
        What ran on the way back, and to the latent of the reference's data end.
    round_trip : float
        Root mean square of the noise that came back less the noise that was sent.
    distance : float
        Root mean square of the data end less that of the reference.
    latent_distance : float
        Root mean square of the noise that `encode` finds for the reference's data end, less the noise that it came from.
    reference_error : float
        Estimated root-mean-square error of the reference: its difference from one with half as many slots.
    seconds : float
        Wall-clock time of the way there.
    """

    images: np.ndarray[Any, Any]
    status: str
    back_status: str
    nfe: int
    back_nfe: int
    inversion: str
    round_trip: float
    distance: float
    latent_distance: float
    reference_error: float
    seconds: float


def noise(shape: tuple[int, ...], grid: Grid, seed: int, *, dtype: torch.dtype, device: Any = "cpu") -> torch.Tensor:
    """Return normal noise of standard deviation sqrt(alpha_N^2 + sigma_N^2), the same on every device and in every dtype.

    Raises
    ------
    ValueError
        For a seed that torch cannot take.
    """
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed={seed} has more than 64 bits: pass a smaller one")
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn * math.hypot(grid.alpha[grid.n], grid.sigma[grid.n])).to(device=device, dtype=dtype)


def reference(model: Model, grid: Grid, z: torch.Tensor, slots: int) -> tuple[torch.Tensor, float]:
    """Return the data end of the network's ODE from z, and an estimate of its error.

    RK4 on slots equal in asinh(sigma/alpha) between the ends of the grid, against itself with half as many slots. To clean data it takes
    a DDIM step from the least noise of the network's training, since beyond that the network cannot be asked.

    Raises
    ------
    ValueError
        For a grid without a schedule.
    """
    if grid.schedule is None:
        raise ValueError("the reference needs the schedule, and this grid was made from values")
    fine, half = (solve(RK4(), model, refined(grid, n), z).z for n in (slots, max(slots // 2, 1)))
    least, last = refined(grid, 1).t[0], grid.t[0]
    if last < least:
        final = grids.from_timesteps(grid.schedule, [float(least), float(last)])
        fine, half = (solve(DDIM(), model, final, end).z for end in (fine, half))
    return fine, rms(fine - half)


def refined(grid: Grid, slots: int) -> Grid:
    """Return a grid between the same ends whose slots are equal in asinh(sigma/alpha); it ends where the network's training did."""
    schedule: Any = grid.schedule
    last = max(float(grid.t[0]), float(schedule.t_min))
    return grids.asinh(schedule, slots, t_max=float(grid.t[grid.n]), t_min=last)


def sample(
    solver: Solver,
    model: Model,
    grid: Grid,
    z: torch.Tensor,
    *,
    fine: int = 60,
    method: Method | None = None,
    watch: Watch | None = None,
) -> Sampled:
    """Run a solver from noise to data and back, and compare both ends with a fine solution of the same network's ODE.

    Parameters
    ----------
    solver, model, grid
        As for `bdia_numerics.solve`.
    z
        z_N, shape (batch, channels, height, width).
    fine
        Slots of the reference, each of four evaluations; 0 leaves it out.
    method
        An inversion in place of the derived inverse, or of the default of `encode`.
    watch
        Called with the name of what is done next.
    """
    tell = watch or (lambda _: None)
    tell("sampling")
    begun = time.perf_counter()
    there = solve(solver, model, grid, z)
    seconds = time.perf_counter() - begun
    nan = float("nan")
    found = {
        "images": there.z.detach().double().cpu().numpy(),
        "nfe": there.nfe,
        "seconds": seconds,
        "status": str(there.status),
    }
    if not there.status.ok:
        ends: dict[str, Any] = dict.fromkeys(("round_trip", "distance", "latent_distance", "reference_error"), nan)
        return Sampled(**found, **ends, back_status="", back_nfe=0, inversion="")
    tell("going back")
    try:
        assert there.state is not None
        back = encode(solver, model, grid, there.z, method) if method else invert(solver, model, grid, there.state)
    except NotInvertibleError:
        back = encode(solver, model, grid, there.z)
    error = rms(back.z - z) if back.status.ok else nan
    found |= {"back_status": str(back.status), "back_nfe": back.nfe, "inversion": back.inversion}
    found["round_trip"] = error
    if not fine:
        return Sampled(**found, distance=nan, latent_distance=nan, reference_error=nan)
    tell("reference")
    truth, uncertainty = reference(model, grid, z, fine)
    tell("encoding")
    latent = encode(solver, model, grid, truth, method)
    apart = rms(latent.z - z) if latent.status.ok else nan
    return Sampled(**found, distance=rms(there.z - truth), latent_distance=apart, reference_error=uncertainty)


def rms(difference: torch.Tensor) -> float:
    """Return the root mean square over all elements, in float64."""
    return float(difference.detach().double().square().mean().sqrt())
