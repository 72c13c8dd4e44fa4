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
from bdia_numerics.models import Model
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import back_to_noise, encode, solve
from bdia_numerics.runs.inversion import DDIMInversion, Method
from bdia_numerics.runs.solving import DERIVED
from bdia_numerics.runs.stepwise import come_back
from bdia_numerics.solvers import DDIM, RK4
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import refuse
from bdia_numerics.torch.tensors import require_float, require_tensor

Watch = Callable[[str], None]
_AGAINST = ("distance", "latent_distance", "reference_error", "reference_latent_error")


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
    reference_error, reference_latent_error : float
        Estimated root-mean-square errors of the reference at the data end and at the noise end (`NetworkReference`).
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
    reference_latent_error: float
    seconds: float


@ordered
def noise(shape: tuple[int, ...], grid: Grid, seed: int, *, dtype: torch.dtype, device: Any = "cpu") -> torch.Tensor:
    """Return normal noise of standard deviation sqrt(alpha_N^2 + sigma_N^2), the same on every device and in every dtype.

    Parameters
    ----------
    shape
        (batch, *data).
    grid
        At whose noise end the states stand.
    seed
        Of the draw.
    dtype, device
        Of the states.

    Returns
    -------
    torch.Tensor
        Of that shape.

    Raises
    ------
    ValueError
        For a seed that torch cannot take.

    Examples
    --------
    >>> import torch
    >>> from bdia_numerics import grids, schedules
    >>> from bdia_numerics.torch import noise
    >>> noise((2, 1), grids.uniform(schedules.vp_linear(), 20), 0, dtype=torch.float32).shape
    torch.Size([2, 1])
    """
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed={seed} has more than 64 bits: pass a smaller one")
    require_float("dtype", dtype)
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn * math.hypot(grid.alpha[grid.n], grid.sigma[grid.n])).to(device=device, dtype=dtype)


@dataclass(frozen=True)
class NetworkReference:
    """The data end of a network's own ODE from given noise.

    Let d be its difference from a run with half as many slots, and r the ratio of d to the difference between a half and a quarter as many.
    An error is then d r/(1 - r): what all further halvings change if each changes r times as much as the one before. r counts as
    1/4 at least, and the error is infinite for r of 1 or more, where the runs do not settle.

    Attributes
    ----------
    z : tensor
        The data end, shape (batch, *data).
    error : float
        Estimated root-mean-square error of `z`.
    latent_error : float
        Estimated root-mean-square error at the noise end, where d is by how much the fine integrator, sent back from the end that half as
        many slots reach, misses the noise. (From its own end it would miss by far less than its error, since the leading errors of
        the two ways cancel.) NaN where it was not asked for.
    """

    z: torch.Tensor
    error: float
    latent_error: float


def reference(model: Model, grid: Grid, z: torch.Tensor, slots: int, *, back: bool = False) -> NetworkReference:
    """Return the data end of the network's ODE from z, and estimates of its error.

    RK4 runs between the ends of the grid on slots equal in log-SNR, and again on a half and a quarter as many. Near the data end a
    network's output changes on the scale of sigma itself, which such slots follow all the way down. Where the log-SNR is infinite
    at an end, slots are equal in t. The way to clean data ends with a DDIM step from the least noise of the network's training,
    since beyond that the network cannot be asked.

    Parameters
    ----------
    model, grid
        As for `bdia_numerics.solve`; the grid's own slots play no part.
    z
        z_N, shape (batch, *data).
    slots
        Slots of the integrator, each of four evaluations.
    back
        Whether to estimate the error at the noise end, which takes `4 slots` more evaluations.

    Raises
    ------
    ValueError
        For a grid without a schedule, or fewer than four slots.
    """
    _check_reference(grid, slots)
    levels = refined(grid, slots)
    ends = [solve(_fine(grid), model, refined(grid, slots // k), z).z for k in (1, 2, 4)]
    missed = rms(solve(_fine(grid), model, levels.reversed(), ends[1]).z - z) if back else math.nan
    if (final := _last_slot(grid, slots)) is not None:
        ends = [solve(DDIM(), model, final, end).z for end in ends]
    error, growth = _error(*ends)
    return NetworkReference(ends[0], error, missed * growth)


def latent_reference(model: Model, grid: Grid, x: torch.Tensor, slots: int) -> NetworkReference:
    """Return the noise end of the network's ODE from data, as `z`, and the estimate of its error; `latent_error` is NaN.

    It is `reference` the other way: a step of DDIM inversion, eq. (10), from clean data to the least noise of the network's training, and
    then RK4.

    Parameters
    ----------
    model, grid, slots
        As for `reference`.
    x
        x_0, shape (batch, *data).

    Raises
    ------
    ValueError
        As `reference`.
    """
    _check_reference(grid, slots)
    if (final := _last_slot(grid, slots)) is not None:
        x = solve(DDIMInversion(), model, final.reversed(), x).z
    ends = [solve(_fine(grid), model, refined(grid, slots // k).reversed(), x).z for k in (1, 2, 4)]
    return NetworkReference(ends[0], _error(*ends)[0], math.nan)


def _last_slot(grid: Grid, slots: int) -> Grid | None:
    """Return the slot from the least time of the schedule to the grid's end below it, if there is one."""
    schedule: Any = grid.schedule
    least, last = float(refined(grid, slots).t[0]), float(grid.t[0])
    return grids.from_timesteps(schedule, [least, last]) if last < least else None


def _fine(grid: Grid) -> Solver:
    """Return RK4, with its middle in t, at order 2, where sigma/alpha is infinite at the noise end."""
    return RK4("sigma_bar" if float(grid.alpha[-1]) else "t")


def _check_reference(grid: Grid, slots: int) -> None:
    refuse(
        (grid.schedule is None, "the reference needs the schedule, and this grid was made from values"),
        (slots < 4, f"slots={slots}: pass 4 or more, since the error is estimated from a half and a quarter as many"),
    )


def _error(fine: torch.Tensor, half: torch.Tensor, quarter: torch.Tensor) -> tuple[float, float]:
    """Return the estimated error of the finest of three runs, and what the change by the last halving is multiplied by for that."""
    apart, before = rms(fine - half), rms(half - quarter)
    ratio = max(apart / before, 0.25) if before else 0.25
    further = ratio / (1 - ratio) if ratio < 1 else math.inf
    return apart * further, further


def refined(grid: Grid, slots: int) -> Grid:
    """Return a grid between the same ends whose slots are equal in log-SNR, or in t where that is infinite at an end.

    It ends where the network's training did.
    """
    schedule: Any = grid.schedule
    first, last = float(grid.t[grid.n]), max(float(grid.t[0]), float(schedule.t_min))
    finite = float(schedule.sigma(last)) > 0 and float(schedule.alpha(first)) > 0
    make = grids.log_snr if finite else grids.uniform
    return make(schedule, slots, t_max=first, t_min=last)


@ordered
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
        Slots of the reference, 4 or more, each of four evaluations; it runs there with n, n/2 and n/4, and back; 0 leaves it out.
    method
        An inversion in place of the derived inverse, or of the default of `encode`.
    watch
        Called with the name of what is done next.
    """
    require_tensor("z", z)
    tell = watch or (lambda _: None)
    tell("sampling")
    begun = time.perf_counter()
    there = solve(solver, model, grid, z)
    found: dict[str, Any] = dict.fromkeys(("round_trip", *_AGAINST), math.nan) | {
        "images": there.z.detach().double().cpu().numpy(),
        "nfe": there.nfe,
        "seconds": time.perf_counter() - begun,
        "status": str(there.status),
        "back_status": "",
        "back_nfe": 0,
        "inversion": "",
    }
    if not there.status.ok:
        return Sampled(**found)
    tell("going back")
    back = back_to_noise(solver, model, grid, there, method)
    found["round_trip"] = rms(back.z - z) if back.status.ok else math.nan
    status = come_back(back.status, found["round_trip"], rms(z), exact=back.inversion == DERIVED)
    found |= {"back_status": str(status), "back_nfe": back.nfe, "inversion": back.inversion}
    if fine:
        tell("reference")
        truth = reference(model, grid, z, fine, back=True)
        tell("encoding")
        latent = encode(solver, model, grid, truth.z, method)
        apart = rms(latent.z - z) if latent.status.ok else math.nan
        found |= zip(_AGAINST, (rms(there.z - truth.z), apart, truth.error, truth.latent_error), strict=True)
    return Sampled(**found)


def rms(difference: torch.Tensor) -> float:
    """Return the root mean square over all elements, in float64."""
    return float(difference.detach().double().square().mean().sqrt())


def seeded(
    images: range,
    shape: tuple[int, ...],
    *,
    scale: float = 1.0,
    classes: int = 0,
    dtype: torch.dtype,
    device: Any = "cpu",
) -> tuple[torch.Tensor, list[int] | None]:
    """Return the noise of numbered images, each from a generator of its own, so that it depends on no batch; and a label of each.

    Parameters
    ----------
    images
        Their numbers, which are the seeds.
    shape
        Of a state.
    scale
        Standard deviation.
    classes
        From how many a label is drawn, after the noise, as the scripts of EDM do; 0 draws none.
    dtype, device
        Of the noise, which is drawn in float32 on the CPU.
    """
    drawn, labels = [], []
    for number in images:
        generator = torch.Generator().manual_seed(number % 2**32)
        drawn.append(torch.randn(shape, generator=generator))
        labels += [int(torch.randint(classes, (), generator=generator))] if classes else []
    return torch.stack(drawn).to(device=device, dtype=dtype) * scale, labels or None


def clipped_ddim(model: Model, n: int, z: torch.Tensor) -> torch.Tensor:
    """Return what diffusers' DDIM pipeline makes of noise with the scheduler of google/ddpm-cifar10-32, which clips x_0 to [-1, 1].

    Parameters
    ----------
    model
        Of noise predictions, with the betas of DDPM.
    n
        Steps: times 0, 1000//n, ... in falling order, and clean data.
    z
        Shape (batch, channels, height, width).
    """
    import diffusers

    make: Any = diffusers.DDIMScheduler
    scheduler = make(beta_start=1e-4, beta_end=0.02, clip_sample=True)
    scheduler.set_timesteps(n)
    for t in scheduler.timesteps:
        z = scheduler.step(model(z, int(t)), t, z).prev_sample
    return z
