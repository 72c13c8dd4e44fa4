"""What a scheduler says as a warning: NaN, a network that predicts something else, and before a run what it will not return."""

from __future__ import annotations

import warnings

import torch

from bdia_numerics.analysis.perturbation.amplification import amplification
from bdia_numerics.analysis.perturbation.repeated import latent_error, repeated
from bdia_numerics.grids import Point
from bdia_numerics.program import Solver
from bdia_numerics.runs.stepwise import USELESS, Course
from bdia_numerics.solvers import BDIA, CBDIA, EDICT
from bdia_numerics.texts import shown
from bdia_numerics.torch.networks.models import contradiction
from bdia_numerics.torch.tensors import has_float64, space_of

TWICE = 3.0
"""Times the size of the noise, above which a first sample was scaled once too often."""
SELDOM = 0.02
"""Expected number of elements that the network sees otherwise: one in fifty runs meets one."""


def warn_not_finite(what: str, timestep: object, output: torch.Tensor, state: torch.dtype | None) -> None:
    """Warn that states are not finite, with the time, whether the model's output already was, and what to change.

    Parameters
    ----------
    what
        The register and the slot.
    timestep
        At which the model was evaluated.
    output
        Of the model.
    state
        Dtype of the registers; None where it is the samples that are not finite.
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
        wider = (
            "pass state_dtype='float64' to from_config" if state == half else "run the pipeline in bfloat16 or float32"
        )
        remedy = wider if narrow else "take more steps, or other timesteps"
    warnings.warn(f"timestep={float(timestep):g}: {what}, {cause}{remedy}", stacklevel=3)  # type: ignore[arg-type]


def warn_of_contradiction(kind: str, point: Point, z: torch.Tensor, output: torch.Tensor) -> None:
    """Warn where a network's output at the noise end is not a prediction of its kind; on a device nothing is looked at."""
    if z.device.type == "cpu" and (said := contradiction(kind, point.alpha, point.t, z, output)):
        warnings.warn(said, stacklevel=4)


def scaled_twice(sample: torch.Tensor, size: float) -> str:
    """Return what is to be said of a first sample that is much larger than its family's first size; on a device nothing is looked at."""
    if size <= 1 or sample.device.type != "cpu" or not (found := space_of(sample).rms(sample)) > TWICE * size:
        return ""
    return (
        f"the first sample has the size {found:.2g}, where noise has {size:.2g}: latents of an inverse have it already, and a pipeline "
        "multiplies by init_noise_sigma: divide them by it, or hand over the state with start_from"
    )


def foreseen(course: Course, sample: torch.Tensor, registers: torch.dtype, given: int | None) -> str:
    """Return what is to be said before a run: useless latents, or a round trip that does not return, with the number and the remedy.

    Parameters
    ----------
    course
        Of the run.
    sample, registers
        Its first sample, and the narrowest dtype in which registers are or were kept.
    given
        The batch of the State that it begins from; None where it begins from the sample.
    """
    solver, grid, noise_end = course.solver, course.grid, course.noise_end
    if float(grid.alpha[-1]) == 0 and grid.n > 1:
        grid = grid[: grid.n - 1]  # the growth is that of z, of which nothing is data at alpha = 0
    if grid.n <= course.shape.depth or float(grid.alpha[-1]) == 0 or not (noise_end or given):
        return ""
    what = f"{shown(solver)} on these {grid.n} slots"
    if noise_end and given is None and (error := latent_error(solver, grid)) > USELESS:
        grown = amplification(solver, grid, "invert").total
        return (
            f"{what} multiplies errors by {grown:.0e} towards the noise: latents of Gaussian data are wrong by {error:.0e} times "
            f"their size: {_calmer(solver)}"
        )
    unit, seen = (torch.finfo(dtype).eps / 2 for dtype in (registers, sample.dtype))
    other = given not in (None, len(sample))
    way = "invert" if noise_end and given else "sample"
    found = repeated(solver, grid, way, registers=unit, asked=seen, elements=sample.numel(), other=other)
    # Relative to the size of the states; to read it would halt a device.
    error = found.error * (space_of(sample).rms(sample) if sample.device.type == "cpu" else 1.0)
    if other:
        return (
            f"the state has a batch of {given}, this run one of {len(sample)}, which a network rounds otherwise: expect an error of "
            f"{error:.0e} or more, where the batch of {given} returns exactly (bdia_numerics.torch.repeatability measures the difference)"
        )
    # Nothing is wider than float64 latents, so of them only a loss that is seen is said.
    if error <= seen**0.5 if sample.dtype == torch.float64 else found.differing <= SELDOM:
        return ""
    expected = (
        f"an error of {error:.0e} or more"
        if found.differing > 1
        else f"an error in one of {1 / found.differing:.0f} runs"
    )
    remedy, word = _calmer(solver), str(registers).removeprefix("torch.")
    if registers != torch.float64:
        able = has_float64(sample.device)
        remedy = "take state_dtype='float64'" if able else f"float64 would do, but {sample.device} has none"
    return (
        f"{what}: expect {expected} from a round trip, as the rounding of {word} registers grows until the network is evaluated at other "
        f"states: {remedy}"
    )


def _calmer(solver: Solver) -> str:
    """Return what lessens the growth of a solver's inverse."""
    kinds = {BDIA: "gamma nearer to 1", EDICT: "p nearer to 1", CBDIA: "gamma1 - gamma2 nearer to 1"}
    near = next((words for kind, words in kinds.items() if isinstance(solver, kind)), "")
    return f"take {near}, or fewer steps" if near else "take other timesteps, or another solver"
