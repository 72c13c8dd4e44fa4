"""Solvers at equal numbers of evaluations on the shipped network: quality of samples, and distance to the network's own ODE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spec
from bdia_numerics.analysis.frechet import Moments, frechet_of_moments, moments
from bdia_numerics.grids import Grid
from bdia_numerics.integrate import solve
from bdia_numerics.program import Solver, structure
from bdia_numerics.studies.gamma_map import GRIDS
from bdia_numerics.torch.features import features, real, verdicts
from bdia_numerics.torch.loading import Loaded, load
from bdia_numerics.torch.sampling import noise, reference, rms

Array = np.ndarray[Any, Any]
GAMMAS = ("1/10", "1/2", "9/10", "1")
SOLVERS = (
    "DDIM", *(f"BDIA(gamma={g})" for g in GAMMAS), "EDICT", "OBELM", "Heun", "BDIAHeun", "DPMSolverPP", "BDIADPMSolverPP",
)  # fmt: skip
"""Those of the paper's tables 2 and 3 and of its appendix C, and O-BELM."""


@dataclass(frozen=True)
class TableConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.spec` reads them.
    grids
        Names of `studies.gamma_map.GRIDS`: "leading" ends with a tiny slot to clean data, "cut" is without it.
    evaluations
        Of the model, in a run; a solver with k evaluations a step takes k times fewer steps.
    images, batch
        Samples, of the labels 0 to 9 in turn, and how many at a time.
    paired
        How many of them are compared with the network's own ODE; 0 leaves that out.
    fine
        Slots of RK4 for that ODE.
    resamples
        Of the bootstrap.
    guidance, seed
        Scale of classifier-free guidance; seed of noise and bootstrap.
    """

    solvers: tuple[str, ...] = SOLVERS
    grids: tuple[str, ...] = ("leading", "cut", "trailing", "quad")
    evaluations: tuple[int, ...] = (10, 20, 40)
    images: int = 256
    batch: int = 64
    paired: int = 32
    fine: int = 40
    resamples: int = 100
    guidance: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.grids:
            if name not in GRIDS:
                raise ValueError(f"grids={name!r} is none of {', '.join(GRIDS)}")
        if not self.evaluations or min(self.evaluations) < 6:
            raise ValueError(f"evaluations={self.evaluations}: give numbers of 6 or more")
        if self.images < 2 or self.batch < 1 or not 0 <= self.paired <= self.images:
            raise ValueError(
                f"images={self.images}, batch={self.batch}, paired={self.paired}: give two images or more, and pair no more of them"
            )
        if self.resamples < 10 or (self.paired and self.fine < 2):
            raise ValueError(f"resamples={self.resamples}, fine={self.fine}: give 10 or more, and 2 or more")


@dataclass(frozen=True)
class Cell:
    """One solver on one grid.

    Attributes
    ----------
    solver, grid, evaluations
        As in the configuration.
    steps, nfe : int
        Slots, and evaluations of the model, which end effects of a method may move off the budget.
    frechet, low, high : float
        Squared Frechet distance of features to the other samples' source, with a 95% interval (normal, bootstrap over the images).
    gain, gain_low, gain_high : float
        Of DDIM's distance less this one, on the same resamples; positive is better than DDIM.
    distance, uncertainty : float
        Root mean square of the first `paired` images less the network's own ODE, and the error of that.
    recognised : int
        Images that the classifier reads as their label.
    status : str
        "ok", or what went wrong.
    """

    solver: str
    grid: str
    evaluations: int
    steps: int
    nfe: int
    frechet: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    distance: float
    uncertainty: float
    recognised: int
    status: str


@dataclass(frozen=True)
class Table:
    """The cells, and the distance of as many training images (1,000 at most) to the reference set."""

    config: TableConfig
    cells: tuple[Cell, ...]
    floor: float

    def at(self, grid: str, evaluations: int) -> tuple[Cell, ...]:
        """Return the cells of one grid and number of evaluations."""
        return tuple(c for c in self.cells if (c.grid, c.evaluations) == (grid, evaluations))

    def best(self, grid: str, evaluations: int, what: str = "frechet") -> Cell:
        """Return the best of DDIM (gamma = 0) and BDIA there."""
        own = [c for c in self.at(grid, evaluations) if c.solver == "DDIM" or c.solver.startswith("BDIA(")]
        return min(own, key=lambda c: np.nan_to_num(getattr(c, what), nan=np.inf))


def size(config: TableConfig) -> int:
    """Return the number of cells."""
    return len(config.solvers) * len(config.grids) * len(config.evaluations)


def table(config: TableConfig, *, advance: Callable[[], None] = lambda: None) -> Table:
    """Run the table on the shipped network.

    Parameters
    ----------
    config
        What to run.
    advance
        Called after each cell.
    """
    network, count = load(), config.images
    reference_set, training = real()
    floor = frechet_of_moments(moments(training[:count]), reference_set)
    draws = np.random.default_rng([config.seed, 1]).integers(count, size=(config.resamples, count))
    cells = []
    for name in config.grids:
        for budget in config.evaluations:
            base: Array | None = None
            truths: dict[float, tuple[Any, float]] = {}
            for text in config.solvers:
                solver = spec.solver(text)
                grid = GRIDS[name](network.schedule, budget // structure(solver).nfe)
                images, nfe, status = _sampled(network, solver, grid, config)
                own = (
                    _distances(images, reference_set, draws)
                    if status == "ok"
                    else np.full(config.resamples + 1, np.nan)
                )
                base = own if base is None else base
                away = _away(network, grid, images, truths, config)
                right = verdicts(images, np.arange(count) % 10) if status == "ok" else 0
                cells.append(
                    Cell(
                        text,
                        name,
                        budget,
                        grid.n,
                        nfe,
                        float(own[0]),
                        *_interval(own),
                        float(base[0] - own[0]),
                        *_interval(base - own),
                        *away,
                        right,
                        status,
                    )
                )
                advance()
    return Table(config, tuple(cells), floor)


def _sampled(network: Loaded, solver: Solver, grid: Grid, config: TableConfig) -> tuple[Array, int, str]:
    z = noise((config.images, *(network.shape or ())), grid, config.seed, dtype=_dtype(network))
    labels, made, nfe, status = np.arange(config.images) % 10, [], 0, "ok"
    for start in range(0, config.images, config.batch):
        part = slice(start, start + config.batch)
        run = solve(solver, network.model(labels[part], guidance=config.guidance), grid, z[part])
        made.append(run.z.double().numpy())
        nfe, status = run.nfe, status if run.status.ok else str(run.status)
    return np.concatenate(made), nfe, status


def _away(
    network: Loaded, grid: Grid, images: Array, truths: dict[float, tuple[Any, float]], config: TableConfig
) -> tuple[float, float]:
    """Return the distance to the network's own ODE from the same noise at the same first time, and that solution's error."""
    if not config.paired:
        return float("nan"), float("nan")
    first = float(grid.t[grid.n])
    if first not in truths:
        z = noise((config.images, *(network.shape or ())), grid, config.seed, dtype=_dtype(network))[: config.paired]
        model = network.model(np.arange(config.paired) % 10, guidance=config.guidance)
        truths[first] = reference(model, grid, z, config.fine)
    truth, uncertainty = truths[first]
    return rms(truth - truth.new_tensor(images[: config.paired])), uncertainty


def _dtype(network: Loaded) -> Any:
    return next(network.network.parameters()).dtype


def _distances(images: Array, real: Moments, draws: Array) -> Array:
    """Return the Frechet distance of the images, then of each resample, shape (1 + resamples,)."""
    own = features(images)
    return np.array([frechet_of_moments(moments(x), real) for x in (own, *(own[rows] for rows in draws))])


def _interval(values: Array) -> tuple[float, float]:
    """Return the 95% normal interval with the bootstrap's standard error; quantiles would mislead, since resampling adds a bias."""
    middle, half = float(values[0]), 1.96 * float(values[1:].std(ddof=1))
    return middle - half, middle + half
