"""Solvers at equal numbers of evaluations on the shipped network: quality of samples, and distance to the network's own ODE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.frechet import Moments, frechet_of_moments, moments
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, structure
from bdia_numerics.runs.encoding import solve
from bdia_numerics.studies.configuration import check, shared, to_clean
from bdia_numerics.studies.study import Cell, Study, Variable

Array = np.ndarray[Any, Any]
SOLVERS = (
    "DDIM", *(f"BDIA(gamma={g})" for g in ("1/10", "1/2", "9/10", "1")), "EDICT", "OBELM", "Heun", "BDIAHeun", "DPMSolverPP",
    "BDIADPMSolverPP",
)  # fmt: skip
"""Those of the paper's tables 2 and 3 and of its appendix C, and O-BELM."""


@dataclass(frozen=True)
class TableConfig:
    """What to run; by default forty minutes of one core.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them; the gain is over the first one.
    grids
        Names of `bdia_numerics.names`, of grids that count training steps: "leading" ends with a tiny
        slot to clean data, "cut" is without it.
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
        for text in self.grids:
            names.grid(text)
        check(self, "solvers", "grids", "evaluations", evaluations=6, resamples=10)
        if self.images < 2 or self.batch < 1 or not 0 <= self.paired <= self.images:
            raise ValueError(
                f"images={self.images}, batch={self.batch}, paired={self.paired}: give two images or more, and pair no more of them"
            )
        if self.paired and self.fine < 4:
            raise ValueError(f"fine={self.fine}: give 4 or more")


def interval(middle: Any, resampled: Any) -> tuple[Any, Any]:
    """Return the 95% normal interval by resamples along the last axis; quantiles would mislead, since resampling adds a bias."""
    half = 1.96 * resampled.std(axis=-1, ddof=1)
    return middle - half, middle + half


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all cells of a table share."""

    network: Any
    reference_set: Moments
    floor: float
    draws: Array
    truths: dict[tuple[float, float], Any] = field(default_factory=dict)


@lru_cache(maxsize=2)
def _setting(config: TableConfig) -> _Setting:
    from bdia_numerics.torch.networks.features import real
    from bdia_numerics.torch.networks.loading import load

    reference_set, training = real()
    floor = frechet_of_moments(moments(training[: config.images]), reference_set)
    draws = np.random.default_rng([config.seed, 1]).integers(config.images, size=(config.resamples, config.images))
    return _Setting(load(), reference_set, floor, draws)


def compute(config: TableConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the distance of one solver's samples, and of their resamples, to real images and to the network's own ODE."""
    from bdia_numerics.torch.networks.steadiness import one_thread

    with one_thread():
        return _measured(config, cell)


def _measured(config: TableConfig, cell: Cell) -> Mapping[str, Any]:
    from bdia_numerics.torch.networks.features import verdicts

    common, solver = _setting(config), names.solver(str(cell["solver"]))
    grid = to_clean(str(cell["grid"]), common.network.schedule, int(cell["evaluations"]) // structure(solver).nfe)
    images, nfe, status = _sampled(common.network, solver, grid, config)
    own = np.full(config.resamples + 1, np.nan)
    distance = uncertainty = recognised = float("nan")
    if status == "ok":
        own = _distances(images, common.reference_set, common.draws)
        distance, uncertainty = _away(common, grid, images, config)
        recognised = verdicts(images, np.arange(config.images) % 10)
    return {
        "steps": grid.n,
        "nfe": nfe,
        "frechet": float(own[0]),
        "resampled": own[1:],
        "floor": common.floor,
        "distance": distance,
        "uncertainty": uncertainty,
        "recognised": recognised,
        "status": status,
    }


def _sampled(network: Any, solver: Solver, grid: Grid, config: TableConfig) -> tuple[Array, int, str]:
    z, labels, made, nfe, status = _noise(network, grid, config), np.arange(config.images) % 10, [], 0, "ok"
    for start in range(0, config.images, config.batch):
        part = slice(start, start + config.batch)
        run = solve(solver, network.model(labels[part], guidance=config.guidance), grid, z[part])
        made.append(run.z.double().numpy())
        nfe, status = run.nfe, status if run.status.ok else str(run.status)
    return np.concatenate(made), nfe, status


def _away(common: _Setting, grid: Grid, images: Array, config: TableConfig) -> tuple[float, float]:
    """Return the distance to the network's own ODE between the same ends from the same noise, and that solution's error."""
    from bdia_numerics.torch.networks.sampling import reference, rms

    if not config.paired:
        return float("nan"), float("nan")
    ends = float(grid.t[grid.n]), float(grid.t[0])
    if ends not in common.truths:
        z = _noise(common.network, grid, config)[: config.paired]
        model = common.network.model(np.arange(config.paired) % 10, guidance=config.guidance)
        common.truths[ends] = reference(model, grid, z, config.fine)
    truth = common.truths[ends]
    return rms(truth.z - truth.z.new_tensor(images[: config.paired])), truth.error


def _noise(network: Any, grid: Grid, config: TableConfig) -> Any:
    from bdia_numerics.torch.networks.sampling import noise

    dtype = next(network.network.parameters()).dtype
    return noise((config.images, *(network.shape or ())), grid, config.seed, dtype=dtype)


def _distances(images: Array, real: Moments, draws: Array) -> Array:
    """Return the Frechet distance of the images, then of each resample, shape (1 + resamples,)."""
    from bdia_numerics.torch.networks.features import features

    own = features(images)
    return np.array([frechet_of_moments(moments(x), real) for x in (own, *(own[rows] for rows in draws))])


def _finish(dataset: Any) -> Any:
    """Derive the intervals, and the gain over the first solver on the same resamples."""
    dataset = shared(dataset, ("grid", "evaluations", "solver"), ("floor",))
    own, resampled = dataset["frechet"], dataset["resampled"]
    gain, gains = ((x.isel(solver=0, drop=True) - x).transpose(*x.dims) for x in (own, resampled))
    ends = (*interval(own.values, resampled.values), gain.values, *interval(gain.values, gains.values))
    return dataset.assign(
        {
            name: (own.dims, values, {"long_name": variable.long_name, "units": variable.units})
            for (name, variable), values in zip(_DERIVED.items(), ends, strict=True)
        }
    )


_DERIVED = {
    "low": Variable("lower end of the 95% interval of the Frechet distance"),
    "high": Variable("upper end of the 95% interval of the Frechet distance"),
    "gain": Variable("Frechet distance of the first solver less this one's"),
    "gain_low": Variable("lower end of the 95% interval of the gain"),
    "gain_high": Variable("upper end of the 95% interval of the gain"),
}

NETWORK_TABLE = Study(
    "network_table",
    "Solvers at equal numbers of evaluations on the shipped network of digits",
    TableConfig,
    dims=lambda config: {"grid": config.grids, "evaluations": config.evaluations, "solver": config.solvers},
    inner=lambda config: {"resample": tuple(range(config.resamples))},
    compute=compute,
    variables={
        "frechet": Variable("squared Frechet distance of features to those of real digits"),
        "resampled": Variable("the same of a resample of the images", dims=("resample",)),
        "floor": Variable("squared Frechet distance of as many training images"),
        "distance": Variable("rms of the images less the network's own ODE"),
        "uncertainty": Variable("rms error of the network's own ODE"),
        "recognised": Variable("images that the classifier reads as their label"),
        "steps": Variable("slots of the grid", whole=True),
        "nfe": Variable("model evaluations", whole=True),
        "status": Variable("status"),
    },
    finish=_finish,
    caption="{images} samples; as many training images are {floor:.2f} from the test images",
    columns={
        "grid": "{grid}",
        "solver": "{solver}",
        "steps": "{steps}",
        "evaluations": "{nfe}",
        "Frechet": "{frechet:.2f}",
        "95%": "{low:.2f} to {high:.2f}",
        "DDIM less it": "{gain:+.2f}",
        "95% of that": "{gain_low:+.2f} to {gain_high:+.2f}",
        "from own ODE": "{distance:.3f} ({uncertainty:.1g})",
        "read": "{recognised:.0f}",
    },
    figure="network:bars",
)
