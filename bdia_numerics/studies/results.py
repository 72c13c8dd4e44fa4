"""What the study of handwritten digits is told, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bdia_numerics.program import Solver
from bdia_numerics.runs.inversion import INVERSIONS, Method
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT

Array = np.ndarray[Any, Any]
Spacing = Literal["leading", "trailing"]


@dataclass(frozen=True)
class Contender:
    """A solver with the name it has in tables and figures, and its inversion, the default of `encode` if None."""

    label: str
    solver: Solver
    method: Method | None = None


def contenders(
    bdia: Callable[[float], Solver] = BDIA,
    edict: Callable[..., Solver] = EDICT,
    cbdia: Callable[[], Solver] = CBDIA,
) -> tuple[Contender, ...]:
    """Return the solvers compared, from what makes them."""
    return (
        Contender("DDIM", DDIM()),
        Contender("DDIM by (23)", DDIM(), INVERSIONS["(23)"]),
        Contender("BDIA, gamma 0.5", bdia(0.5)),
        Contender("BDIA, gamma 0.9", bdia(0.9)),
        Contender("BDIA, gamma 1", bdia(1)),
        Contender("EDICT, p 0.93", edict()),
        Contender("EDICT, exchanging", edict(exchange=True)),
        Contender("CBDIA, 0.95, 0.05", cbdia()),
    )


@dataclass(frozen=True)
class Config:
    """What the study runs.

    Attributes
    ----------
    contenders
        The solvers.
    spacings
        Of the grid: "leading" with one step of offset, "trailing".
    steps
        Numbers of steps. A solver with k evaluations a step also takes steps // k, to meet the others at equal NFE.
    dtypes
        Floats of the states; all but the last run only with the smallest and the largest number of steps.
    images
        Size of the batch.
    bandwidth
        Standard deviation around each image of the data set.
    seed
        Of the noise and of the images encoded.
    rtol
        Tolerance of the reference.
    """

    contenders: tuple[Contender, ...] = contenders()
    spacings: tuple[Spacing, ...] = ("leading", "trailing")
    steps: tuple[int, ...] = (10, 20, 40, 50)
    dtypes: tuple[str, ...] = ("float32", "float64")
    images: int = 16
    bandwidth: float = 0.25
    seed: int = 0
    rtol: float = 1e-9


@dataclass(frozen=True)
class Row:
    """One solver on one grid in one dtype. Errors and distances are root mean squares over all pixels of all images.

    Attributes
    ----------
    solver, spacing, dtype, steps
        What ran.
    nfe
        Model evaluations from noise to data.
    error
        x_0 less the reference x_0.
    noise_round_trip
        Noise to data and back, by `inversion`.
    encode_nfe
        Model evaluations from data to noise.
    latent_distance
        Latent of the images less their reference latent.
    latent_std
        Standard deviation of the latent; that of the noise is 1.
    data_round_trip
        Data to noise and back.
    reference_error, latent_reference_error
        Estimated errors of the two references.
    inversion
        What ran from data to noise.
    status
        "ok", or where a state first was not finite.
    """

    solver: str
    spacing: str
    dtype: str
    steps: int
    nfe: int
    error: float
    noise_round_trip: float
    encode_nfe: int
    latent_distance: float
    latent_std: float
    data_round_trip: float
    reference_error: float
    latent_reference_error: float
    inversion: str
    status: str


@dataclass(frozen=True)
class Choice:
    """Standard deviation of reference latents for another choice of distribution and images."""

    law: str
    images: str
    latent_std: float


@dataclass(frozen=True, eq=False)
class Portrait:
    """One image through one solver; arrays of shape (8, 8). Errors are root mean squares over its pixels."""

    solver: str
    steps: int
    original: Array
    latent: Array
    true_latent: Array
    returned: Array

    @property
    def latent_distance(self) -> float:
        """Latent less the reference latent."""
        return rms(self.latent - self.true_latent)

    @property
    def round_trip(self) -> float:
        """What came back less the original."""
        return rms(self.returned - self.original)


@dataclass(frozen=True, eq=False)
class Reference:
    """One trajectory of the ODE from noise, and one from the images; states of shape (images, 64) by time.

    `noise_error` and `latent_error` estimate the root-mean-square error of x_0 and of the latents: summed over the
    pieces of the trajectory, the difference between two tolerances.
    """

    noise: dict[float, Array]
    noise_error: float
    latents: dict[float, Array]
    latent_error: float


@dataclass(frozen=True, eq=False)
class Digits:
    """Results of the study."""

    config: Config
    rows: tuple[Row, ...]

    def row(self, solver: str, spacing: str, dtype: str, steps: int) -> Row:
        """Return one row; StopIteration if it was not run."""
        return next(r for r in self.rows if (r.solver, r.spacing, r.dtype, r.steps) == (solver, spacing, dtype, steps))


def rms(difference: Array) -> float:
    """Return the root mean square over all elements, in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
