"""DDIM and BDIA on handwritten digits with the Stable Diffusion schedule, against a reference solution of the same ODE.

The distribution is the digits of scikit-learn, each a Gaussian of standard deviation 0.25 around its image. Atoms would not do.
The flow takes an atom to the middle of the cell of noise that belongs to it, and an image beside the atoms far out: a
latent of either is not a draw of the noise (`choices` measures that). 0.25 is the bandwidth with the highest leave-one-out
likelihood among multiples of 0.05. The images that are encoded are draws of the same distribution, digits with that much blur.

The grids are those of Stable Diffusion: spacing "leading" with one step of offset, and "trailing", both ending at t = 0.
They begin at different times; the runs begin at the states of one reference trajectory, so that all have one x_0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics import grids, names, problems, schedules
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.grids import Grid
from bdia_numerics.problems import reference_flow
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.encoding import Solution, back_to_data, back_to_noise, encode, solve
from bdia_numerics.runs.inversion import INVERSIONS, Method, split
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT
from bdia_numerics.spaces import Array
from bdia_numerics.studies.engine.local import one_blas_thread
from bdia_numerics.studies.engine.running import run
from bdia_numerics.studies.study import Cell, Dataset, Study, Variable, among, solver_of

Encode = Callable[..., Solution]
Contenders = Mapping[str, tuple[Solver, Method | None]]
"""By the name that it has in tables and figures: a solver, and its inversion, the default of `encode` if None."""
SPACINGS = ("leading", "trailing")
SCHEDULE = schedules.stable_diffusion()


def contenders(
    bdia: Callable[[float], Solver] = BDIA,
    edict: Callable[..., Solver] = EDICT,
    cbdia: Callable[[], Solver] = CBDIA,
) -> Contenders:
    """Return the solvers compared, from what makes them."""
    return {
        "DDIM": (DDIM(), None),
        "DDIM by (23)": (DDIM(), INVERSIONS["(23)"]),
        "BDIA, gamma 0.5": (bdia(0.5), None),
        "BDIA, gamma 0.9": (bdia(0.9), None),
        "BDIA, gamma 1": (bdia(1), None),
        "EDICT, p 0.93": (edict(), None),
        "EDICT, exchanging": (edict(exchange=True), None),
        "CBDIA, 0.95, 0.05": (cbdia(), None),
    }


def _contender(known: Contenders, name: Any) -> tuple[Solver, Method | None]:
    return known[name] if name in known else (solver_of(name), split(name)[1])


@dataclass(frozen=True)
class Config:
    """What the study runs.

    Attributes
    ----------
    solvers
        Names in `contenders()`, or others as `bdia_numerics.names` reads them.
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

    solvers: tuple[str, ...] = (
        "DDIM", "DDIM by (23)", "BDIA, gamma 0.5", "BDIA, gamma 0.9", "BDIA, gamma 1", "EDICT, p 0.93", "EDICT, exchanging",
        "CBDIA, 0.95, 0.05",
    )  # fmt: skip
    spacings: tuple[str, ...] = ("leading", "trailing")
    steps: tuple[int, ...] = (10, 20, 40, 50)
    dtypes: tuple[str, ...] = ("float32", "float64")
    images: int = 16
    bandwidth: float = 0.25
    seed: int = 0
    rtol: float = 1e-9

    def __post_init__(self) -> None:
        among(self, spacings=SPACINGS, dtypes=names.NUMPY_DTYPES)
        if (
            not (self.solvers and self.steps and self.spacings and self.dtypes)
            or min(self.steps) < 3
            or self.images < 1
        ):
            raise ValueError(
                f"solvers={self.solvers}, steps={self.steps}, images={self.images}: give a solver, three steps and an image, or more"
            )


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
class Trajectories:
    """One trajectory of the ODE from noise, and one from the images; states of shape (images, 64) by time.

    `noise_error` and `latent_error` estimate the root-mean-square error of x_0 and of the latents: summed over the
    pieces of the trajectory, the difference between two tolerances.
    """

    noise: dict[float, Array]
    noise_error: float
    latents: dict[float, Array]
    latent_error: float


@cache
def make_grid(spacing: str, steps: int) -> Grid:
    """Return Stable Diffusion's grid: its schedule, ending at t = 0, not at clean data. It is one, and keeps its plans."""
    if spacing == "leading":
        return grids.leading(SCHEDULE, steps, steps_offset=1, final_alpha=None)
    return grids.trailing(SCHEDULE, steps, final_alpha=None)


@cache
def law(bandwidth: float) -> problems.Empirical:
    """Return the digits as a distribution."""
    return problems.Empirical(problems.digits(), bandwidth=bandwidth)


@cache
def _model(bandwidth: float) -> Any:
    """Return the noise prediction of the digits, which remembers the levels of its times."""
    return law(bandwidth).model(SCHEDULE)


def images(config: Config) -> Array:
    """Return the images that are encoded, draws of the distribution, shape (images, 64)."""
    return law(config.bandwidth).sample(config.images, np.random.default_rng([config.seed, 1]))


@cache
def _times(spacings: tuple[str, ...], steps: tuple[int, ...]) -> tuple[float, ...]:
    """Return the first times of all grids, rising."""
    made = (make_grid(spacing, n) for spacing in spacings for n in steps)
    return tuple(sorted({float(g.t[g.n]) for g in made}))


def _steps(known: Contenders, config: Config, name: Any) -> set[int]:
    """Return the steps that a solver takes: those of all, and those that cost as many evaluations."""
    nfe = structure(_contender(known, name)[0]).nfe
    return {*config.steps, *(n // nfe for n in config.steps)}


def _dims(known: Contenders, config: Config) -> Mapping[str, Any]:
    steps = sorted(set().union(*(_steps(known, config, name) for name in config.solvers)))
    return {"spacing": config.spacings, "dtype": config.dtypes, "solver": config.solvers, "steps": tuple(steps)}


def _wanted(known: Contenders, config: Config, cell: Cell) -> bool:
    if cell["dtype"] != config.dtypes[-1]:
        return cell["steps"] in (config.steps[0], config.steps[-1])
    return cell["steps"] in _steps(known, config, cell["solver"])


def reference(config: Config, times: tuple[float, ...]) -> Trajectories:
    """Return the reference through rising times, from noise at the last one and from the images at t = 0."""
    return _reference(config.images, config.bandwidth, config.seed, config.rtol, times)


@cache
def _reference(count: int, bandwidth: float, seed: int, rtol: float, times: tuple[float, ...]) -> Trajectories:
    config = Config(images=count, bandwidth=bandwidth, seed=seed, rtol=rtol)
    noise = np.random.default_rng([seed, 0]).standard_normal((count, law(bandwidth).dimension))
    down, down_error = _trajectory(bandwidth, noise, (*times[::-1], 0.0), rtol)
    up, up_error = _trajectory(bandwidth, images(config), (0.0, *times), rtol)
    return Trajectories(down, down_error, up, up_error)


def _trajectory(
    bandwidth: float, start: Array, times: tuple[float, ...], rtol: float
) -> tuple[dict[float, Array], float]:
    states, error = {times[0]: start}, 0.0
    for begin, end in pairwise(times):
        piece = reference_flow(_model(bandwidth), SCHEDULE, states[begin], begin, end, rtol=rtol)
        states[end], error = piece.z, error + piece.rms
    return states, error


def _compute(known: Contenders, encode: Encode, config: Config, cell: Cell) -> Mapping[str, Any]:
    """Return both sides of the round trips of one solver on one grid in one dtype."""
    solver, method = _contender(known, cell["solver"])
    grid, model = make_grid(str(cell["spacing"]), int(cell["steps"])), _model(config.bandwidth)
    truth = reference(config, _times(config.spacings, _dims(known, config)["steps"]))
    last, dtype = float(grid.t[grid.n]), str(cell["dtype"])
    z, x = truth.noise[last].astype(dtype), images(config).astype(dtype)
    # An unstable inverse may overflow; the status says so, and the numbers are then infinite or not a number.
    with np.errstate(all="ignore"):
        sampled = solve(solver, model, grid, z)
        latent = encode(solver, model, grid, x, method)
        returned = back_to_data(solver, model, grid, latent)
        whole = sampled.status.ok and sampled.state is not None
        noise = back_to_noise(solver, model, grid, sampled, method) if whole else sampled
        latent_std = float(np.std(latent.z, dtype=np.float64))
    broken = [run for run in (sampled, latent, returned, noise) if not run.status.ok]
    return {
        "nfe": sampled.nfe,
        "error": rms(sampled.z - truth.noise[0.0]),
        "noise_round_trip": rms(noise.z - z),
        "encode_nfe": latent.nfe,
        "latent_distance": rms(latent.z - truth.latents[last]),
        "latent_std": latent_std,
        "data_round_trip": rms(returned.z - x),
        "reference_error": truth.noise_error,
        "latent_reference_error": truth.latent_error,
        "inversion": latent.inversion,
        "status": str(broken[0].status) if broken else "ok",
    }


def study_of(known: Contenders, encode: Encode = encode) -> Study:
    """Return the study of these solvers, whose images `encode` takes to noise."""
    return Study(
        "digits",
        "Both sides of round trips on handwritten digits, Stable Diffusion schedule",
        Config,
        dims=partial(_dims, known),
        wanted=partial(_wanted, known),
        compute=partial(_compute, known, encode),
        variables=_VARIABLES,
        caption="Digits, Stable Diffusion schedule, root mean squares over all pixels of {images} images",
        columns={
            "grid": "{spacing}",
            "dtype": "{dtype}",
            "solver": "",
            "steps": "",
            "NFE": "{nfe}",
            "x_0 to truth": "{error:.2g}",
            "latent to truth": "{latent_distance:.2g}",
            "latent std": "{latent_std:.2g}",
            "noise and back": "{noise_round_trip:.2g}",
            "data and back": "{data_round_trip:.2g}",
        },
        figure="digits:errors",
    )


_VARIABLES = {
    "error": Variable("rms of x_0 less the reference x_0"),
    "nfe": Variable("model evaluations from noise to data", whole=True),
    "noise_round_trip": Variable("rms of what came back less the noise that was sent to data"),
    "encode_nfe": Variable("model evaluations from data to noise", whole=True),
    "latent_distance": Variable("rms of the latent of the images less their reference latent"),
    "latent_std": Variable("standard deviation of the latent; that of the noise is 1"),
    "data_round_trip": Variable("rms of what came back less the images that were sent to noise"),
    "reference_error": Variable("estimated error of the reference x_0"),
    "latent_reference_error": Variable("estimated error of the reference latents"),
    "inversion": Variable("what ran from data to noise"),
    "status": Variable("status"),
}
DIGITS = study_of(contenders())


@cache
def study(config: Config | None = None) -> Dataset:
    """Return the dataset of the study; that of a configuration is made once."""
    return run(DIGITS, config)


@one_blas_thread()
def portraits(config: Config | None = None, *, steps: int = 10, image: int = 0) -> tuple[Portrait, ...]:
    """Return one image through DDIM inversion and through BDIA with gamma 1, on the trailing grid in float64."""
    config = config or Config()
    grid = make_grid("trailing", steps)
    model, x = _model(config.bandwidth), images(config)
    last = float(grid.t[grid.n])
    truth = reference(config, _times(config.spacings, _dims(contenders(), config)["steps"])).latents[last]
    found = []
    for label, solver in (("DDIM inversion", DDIM()), ("BDIA, gamma 1", BDIA(1))):
        latent = encode(solver, model, grid, x)
        returned = back_to_data(solver, model, grid, latent)
        arrays = (a[image].reshape(8, 8) for a in (x, latent.z, truth, returned.z))
        found.append(Portrait(label, steps, *arrays))
    return tuple(found)


@one_blas_thread()
def choices(config: Config | None = None) -> tuple[Choice, ...]:
    """Measure what the choice of distribution and images does to the latents that the ODE itself gives at the last time."""
    config = config or Config()
    last, size = float(SCHEDULE.t_max), config.images
    data = problems.digits()
    order = np.random.default_rng([config.seed, 2]).permutation(len(data))
    held, rest = data[order[:size]], data[order[size:]]
    blur = config.bandwidth * np.random.default_rng([config.seed, 3]).standard_normal(rest[:size].shape)
    cases = (
        ("atoms", "the atoms themselves", 0.0, rest[:size]),
        ("atoms", "digits left out of the distribution", 0.0, held),
        (f"bandwidth {config.bandwidth}", "the atoms themselves", config.bandwidth, rest[:size]),
        (f"bandwidth {config.bandwidth}", "digits left out of the distribution", config.bandwidth, held),
        (f"bandwidth {config.bandwidth}", "draws of the distribution", config.bandwidth, rest[:size] + blur),
    )
    found = []
    for name, what, width, x in cases:
        model = problems.Empirical(rest, bandwidth=width).model(SCHEDULE)
        latent = reference_flow(model, SCHEDULE, x, 0.0, last, rtol=1e-4).z  # which leaves 2e-5 of the largest
        found.append(Choice(name, what, float(latent.std())))
    return tuple(found)
