"""Round trips whose model is evaluated at rounded registers: whether these are the same both ways, and the error if they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.perturbation.amplification import (
    amplification,
    gaussian_jacobian,
)
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.encoding import encode
from bdia_numerics.spaces import Array


@dataclass(frozen=True)
class Repeated:
    """What is expected of the way back.

    Attributes
    ----------
    differing : float
        Elements of the registers that are rounded to another number than on the way there, over all slots. Far below 1 the model is
        evaluated at the same states, and every element comes back.
    error : float
        Root mean square of what comes back wrong, for states of size 1; infinite where it is not known to be finite.
    """

    differing: float
    error: float


def repeated(
    solver: Solver,
    grid: Grid,
    direction: str = "invert",
    *,
    registers: float,
    asked: float,
    elements: int,
    other: bool = False,
) -> Repeated:
    """Predict how a trip returns whose model is evaluated at registers that were rounded to another format.

    A difference d between the registers of the two ways lies across a rounding boundary in one element of asked/d, which the model
    then sees differ by its unit roundoff: by sqrt(asked d) in the root mean square. Each slot multiplies d by its growth and adds what
    that changes.

    Parameters
    ----------
    solver, grid
        An exactly invertible solver, any grid of numbers on which alpha is positive.
    direction : {"invert", "sample"}
        The way back.
    registers, asked
        Unit roundoffs of the registers, and of the format to which they are rounded for the model.
    elements
        Of the state.
    other
        Whether another model answers on the way back, one unit roundoff of `asked` away: another batch, kernel or device.

    Raises
    ------
    ValueError
        As `amplification`.

    Notes
    -----
    The model is that of Gaussian data of variance 1. A network whose slopes are larger loses more: guided ones up to a hundred times.

    Examples
    --------
    >>> from bdia_numerics import BDIA, grids, schedules
    >>> grid = grids.leading(schedules.stable_diffusion(), 50, steps_offset=1)
    >>> repeated(BDIA(), grid, registers=2.0**-53, asked=2.0**-24, elements=4096).differing < 0.01
    True
    """
    law, shape = gaussian_jacobian(1.0), structure(solver)
    found = amplification(solver, grid, direction, J=law)
    shifted = amplification(solver, grid, direction, J=lambda point: law(point) + 1)
    # The matrices are affine in the slope of an evaluation, so their difference is what the states asked take from the registers (right
    # vectors, largest entry 1), times what a change of the model's output there does to the registers (left ones).
    left, sizes, right = np.linalg.svd(shifted.matrices - found.matrices)
    scales = abs(right).max(axis=-1)
    covariance, differing = registers**2 * np.eye(right.shape[-1]), 0.0
    with np.errstate(all="ignore"):
        for matrix, outwards, asking in zip(
            found.matrices, left * (sizes * scales)[:, None, :], right / scales[..., None], strict=True
        ):
            differing += elements * np.fmin(np.sqrt(np.trace(covariance)) / asked, 1.0)
            crossing = np.sqrt(np.einsum("kr,rs,ks->k", asking, covariance, asking))
            # What lies farther apart than a unit differs by the rounding of both, beside the difference that the matrices carry on.
            seen = np.sqrt(asked * np.fmin(crossing, asked)) if differing > 1 else 0 * crossing
            covariance = matrix @ covariance @ matrix.T + registers**2 * np.eye(len(matrix))
            covariance += (outwards * np.fmax(seen, asked * other) ** 2) @ outwards.T
        states = [k for k, name in enumerate(shape.registers) if name not in shape.evaluations]
        difference = float(np.sqrt(np.diag(covariance)[states].max()))
    return Repeated(differing, difference if np.isfinite(difference) else np.inf)


def latent_error(solver: Solver, grid: Grid, spreads: tuple[float, ...] = (1.0, 0.3, 0.1)) -> float:
    """Return how far `encode` ends from the exact latents of Gaussian data, at most over standard deviations of the data.

    Parameters
    ----------
    solver, grid
        An exactly invertible solver, any grid of floats on which alpha is positive.
    spreads
        Standard deviations.

    Returns
    -------
    float
        For data at one standard deviation, relative to the latents' own size. Infinite where the run overflows.

    Raises
    ------
    ValueError
        For a grid without a schedule.
    """
    spread, schedule = np.array(spreads), grid.schedule
    if schedule is None:
        raise ValueError("grid has values only, and the model is evaluated between them: use grids.from_timesteps")

    def eps(z: Array, t: Any) -> Array:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        return z * sigma / ((alpha * spread) ** 2 + sigma**2)

    data, noise = (np.hypot(float(grid.alpha[k]) * spread, float(grid.sigma[k])) for k in (0, -1))
    found = encode(solver, eps, grid, data)
    error = float(np.abs(found.z / noise - 1).max())
    return error if found.status.ok and np.isfinite(error) else float("inf")
