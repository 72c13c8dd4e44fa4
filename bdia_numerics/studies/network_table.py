"""Solvers at equal numbers of evaluations on the shipped network: quality of samples, and distance to the network's own ODE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.frechet import Moments, frechet_of_moments, moments
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import solve
from bdia_numerics.spaces import Array
from bdia_numerics.studies import network
from bdia_numerics.studies.network import networks, one_thread
from bdia_numerics.studies.study import Cell, Study, Variable, affordable, check, shared, to_clean
from bdia_numerics.texts import refuse

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
        Of the model, in a run; a solver with k evaluations a step takes k times fewer steps, and a start is paid.
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
        check(self, "solvers", "grids", "evaluations", evaluations=6, resamples=10, images=2, batch=1)
        refuse(
            (not 0 <= self.paired <= self.images, f"paired={self.paired}: pair none, or up to images={self.images}"),
            (self.paired and self.fine < 4, f"fine={self.fine}: give 4 or more"),
        )


def interval(middle: Any, resampled: Any) -> tuple[Any, Any]:
    """Return the 95% normal interval by resamples along the last axis; quantiles would mislead, since resampling adds a bias."""
    half = 1.96 * resampled.std(axis=-1, ddof=1)
    return middle - half, middle + half


@lru_cache(maxsize=2)
def _compared(config: TableConfig) -> tuple[Moments, float]:
    """Return the moments of the test images' features, and the distance of as many training images as there are samples, 1,000 at most."""
    reference_set, training = networks.features.real()
    return reference_set, frechet_of_moments(moments(training[: config.images]), reference_set)


@one_thread
def compute(config: TableConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the distance of one solver's samples, and of their resamples, to real images and to the network's own ODE."""
    solver, (reference_set, floor) = names.solver(str(cell["solver"])), _compared(config)
    slots = affordable(str(cell["solver"]), int(cell["evaluations"]))
    if not slots:
        return {"floor": floor, "status": f"{cell['evaluations']} evaluations pay for no step"}
    grid = to_clean(str(cell["grid"]), network.shipped().schedule, slots)
    images, nfe, status = _sampled(solver, grid, config)
    own = np.full(config.resamples + 1, np.nan)
    distance = uncertainty = recognised = float("nan")
    if status == "ok":
        own = _distances(images, reference_set, config)
        distance, uncertainty = _away(grid, images, config)
        recognised = networks.features.verdicts(images, network.labels(config.images))
    return {
        "steps": grid.n,
        "nfe": nfe,
        "frechet": float(own[0]),
        "resampled": own[1:],
        "floor": floor,
        "distance": distance,
        "uncertainty": uncertainty,
        "recognised": recognised,
        "status": status,
    }


def _sampled(solver: Solver, grid: Grid, config: TableConfig) -> tuple[Array, int, str]:
    z, labels, made, nfe, status = network.noise(config, grid), network.labels(config.images), [], 0, "ok"
    for start in range(0, config.images, config.batch):
        part = slice(start, start + config.batch)
        run = solve(solver, network.shipped().model(labels[part], guidance=config.guidance), grid, z[part])
        made.append(run.z.double().numpy())
        nfe, status = run.nfe, status if run.status.ok else str(run.status)
    return np.concatenate(made), nfe, status


_TRUTHS: dict[tuple[TableConfig, float, float], Any] = {}


def _away(grid: Grid, images: Array, config: TableConfig) -> tuple[float, float]:
    """Return the distance to the network's own ODE between the same ends from the same noise, and that solution's error."""
    if not config.paired:
        return float("nan"), float("nan")
    ends = config, float(grid.t[grid.n]), float(grid.t[0])
    if ends not in _TRUTHS:
        model = network.shipped().model(network.labels(config.paired), guidance=config.guidance)
        _TRUTHS[ends] = networks.sampling.reference(
            model, grid, network.noise(config, grid)[: config.paired], config.fine
        )
    truth = _TRUTHS[ends]
    return networks.sampling.rms(truth.z - truth.z.new_tensor(images[: config.paired])), truth.error


def _distances(images: Array, real: Moments, config: TableConfig) -> Array:
    """Return the Frechet distance of the images, then of each resample, shape (1 + resamples,)."""
    own, rng = networks.features.features(images), np.random.default_rng([config.seed, 1])
    draws = rng.integers(config.images, size=(config.resamples, config.images))
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
        "floor": Variable("squared Frechet distance of as many training images, 1,000 at most"),
        "distance": Variable("rms of the images less the network's own ODE"),
        "uncertainty": Variable("rms error of the network's own ODE"),
        "recognised": Variable("images that the classifier reads as their label"),
        "steps": Variable("slots of the grid", whole=True),
        "nfe": Variable("model evaluations", whole=True),
        "status": Variable("status"),
    },
    finish=_finish,
    caption="{images} samples; as many training images, 1,000 at most, are {floor:.2f} from the test images",
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
