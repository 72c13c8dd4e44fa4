"""Round trips: both sides of them, and what rounding becomes on the way back, measured and predicted from the programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import grids, names, problems, schedules
from bdia_numerics.analysis import amplification, gaussian_jacobian, round_trip_error
from bdia_numerics.runs.encoding import round_trip
from bdia_numerics.runs.inversion import split
from bdia_numerics.studies.engine.local import one_blas_thread
from bdia_numerics.studies.study import (
    Cell,
    Study,
    Variable,
    among,
    check,
    contender,
    gammas_with_inverse,
    once,
    over_gammas,
)
from bdia_numerics.texts import ratio

DTYPES = names.NUMPY_DTYPES
ENDS = ("noise", "data")


@dataclass(frozen=True)
class RoundtripConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them, with an inversion behind them if it is not the default of `encode`, such as "DDIM by (23)";
        one that leaves its gamma open is run with each of `gammas`.
    gammas
        Above 0, where there is no inverse.
    steps, dtypes
        Slots of the grid, and floats of the states: "float16", "float32", "float64".
    ends
        Where a round trip begins and ends. "noise": sample, then invert. "data": encode, then sample.
    distribution, schedule
        Names of `bdia_numerics.names`.
    t_max, t_min
        Ends of the grid, which is uniform in t; numbers like 9/10 or 0.9.
    states, seed
        How many states, and the seed that they are drawn from.
    """

    solvers: tuple[str, ...] = ("DDIM", "DDIM by (23)", "BDIA", "EDICT(p=93/100)", "EDICT(p=1)", "CBDIA", "OBELM")
    gammas: tuple[float, ...] = (0.5, 0.9, 1.0)
    steps: tuple[int, ...] = (10, 20, 40, 80)
    dtypes: tuple[str, ...] = ("float32", "float64")
    ends: tuple[str, ...] = ENDS
    distribution: str = "mixture"
    schedule: str = "vp_linear"
    t_max: str = "1"
    t_min: str = "0.01"
    states: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "solvers", "gammas", "steps", "dtypes", "ends", encodes=True, steps=3, states=1)
        among(self, dtypes=DTYPES, ends=ENDS)
        grid(self, 3)
        gammas_with_inverse(self)


def grid(config: RoundtripConfig, steps: int) -> grids.Grid:
    """Return the grid of a number of steps."""
    ends = {"t_max": ratio("t_max", config.t_max), "t_min": ratio("t_min", config.t_min)}
    return grids.uniform(names.schedule(config.schedule), steps, **ends)


def states(config: RoundtripConfig, end: str, steps: int) -> np.ndarray[Any, Any]:
    """Return the states of one end, shape (states, D): clean data with the noise of that end."""
    law, made, rng = names.distribution(config.distribution), grid(config, steps), np.random.default_rng(config.seed)
    x = np.asarray(law.sample(config.states, rng), dtype=float)
    i = made.n if end == "noise" else 0
    return float(made.alpha[i]) * x + float(made.sigma[i]) * rng.standard_normal(x.shape)


def both_sides(config: RoundtripConfig, cell: Cell) -> Mapping[str, Any]:
    """Return both sides of one round trip."""
    steps, end = int(cell["steps"]), str(cell["end"])
    law, made = names.distribution(config.distribution), grid(config, steps)
    z = states(config, end, steps).astype(str(cell["dtype"]))
    # What overflows is told by the status; the numbers are then infinite or none.
    with one_blas_thread(), np.errstate(all="ignore"):
        method = split(str(cell["solver"]))[1]
        trip = round_trip(contender(cell), law.model(made.schedule), made, z, end=end, reference=law, method=method)
    return {
        "error": float(trip.error),
        "distance": float(trip.latent),
        "reference_error": float(trip.reference_error),
        "nfe": trip.nfe,
        "inversion": trip.inversion,
        "status": str(trip.status),
    }


ROUNDTRIP = Study(
    "roundtrip",
    "Round trips: what comes back, and how far the other end is from the exact flow",
    RoundtripConfig,
    dims=lambda config: {
        "end": config.ends,
        "solver": config.solvers,
        "gamma": config.gammas,
        "steps": config.steps,
        "dtype": config.dtypes,
    },
    lists=("ends", "solvers", "gammas", "steps", "dtypes"),
    wanted=once,
    compute=both_sides,
    variables={
        "error": Variable("rms of what came back less what was sent"),
        "distance": Variable("rms of the other end less the exact flow"),
        "reference_error": Variable(
            "largest error of the flow that its certificate states, 0 where rounding alone is left"
        ),
        "nfe": Variable("model evaluations there and back"),
        "inversion": Variable("what ran from data to noise"),
        "status": Variable("status"),
    },
    finish=over_gammas,
)


@dataclass(frozen=True)
class PrecisionConfig:
    """What to run.

    Attributes
    ----------
    solvers
        Exactly invertible ones, as `bdia_numerics.names` reads them; one that leaves its gamma open is run with each of `gammas`.
    gammas
        Above 0, where there is no inverse.
    grids, steps
        Names of grids on the linear VP schedule from t = 1 to 0.01, and numbers of slots.
    dtypes
        Floats of the states: "float16", "float32", "float64".
    ends
        Where a round trip begins and ends. "noise": sample, then invert. "data": encode, then sample.
    data_rms
        Standard deviation of the data, which are Gaussian.
    states, seed
        How many states, and their seed.
    """

    solvers: tuple[str, ...] = ("BDIA", "EDICT(p=93/100)", "CBDIA")
    gammas: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    grids: tuple[str, ...] = ("uniform", "asinh")
    steps: tuple[int, ...] = (20, 50)
    dtypes: tuple[str, ...] = DTYPES
    ends: tuple[str, ...] = ENDS
    data_rms: float = 1.0
    states: int = 1200
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "solvers", "gammas", "grids", "steps", "dtypes", "ends", steps=3, states=1)
        among(self, dtypes=DTYPES, ends=ENDS)
        for text in self.grids:
            names.grid(text)(schedules.vp_linear(), 3, t_min=0.01)  # refused before any cell is run
        gammas_with_inverse(self)
        if not 0 < self.data_rms < math.inf:
            raise ValueError(f"data_rms={self.data_rms}: give a positive number")


def rounded(config: PrecisionConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the error of one round trip beside its prediction, both also in unit roundoffs of what is sent."""
    end, dtype, solver = str(cell["end"]), np.dtype(str(cell["dtype"])), contender(cell)
    schedule = schedules.vp_linear()
    grid = names.grid(str(cell["grid"]))(schedule, int(cell["steps"]), t_min=0.01)
    variance, i = config.data_rms**2, grid.n if end == "noise" else 0
    law = problems.Gaussian([0], variance)
    scale = math.hypot(float(grid.alpha[i]) * config.data_rms, float(grid.sigma[i]))
    z = (scale * np.random.default_rng(config.seed).standard_normal((config.states, 1))).astype(dtype)
    with one_blas_thread(), np.errstate(all="ignore"):
        trip = round_trip(solver, law.model(schedule), grid, z, end=end, reference=law)
    predicted = round_trip_error(solver, grid, end=end, data_rms=config.data_rms).errors[dtype.name]
    back = "invert" if end == "noise" else "sample"
    unit = scale * float(np.finfo(dtype).eps) / 2
    return {
        "error": float(trip.error),
        "predicted": predicted,
        "amplification": float(trip.error) / unit,
        "predicted_amplification": predicted / unit,
        "companion": amplification(solver, grid, back, J=gaussian_jacobian(variance)).total,
        "status": str(trip.status),
    }


PRECISION = Study(
    "precision",
    "Round trips in floating point: errors by rounding, measured and predicted",
    PrecisionConfig,
    dims=lambda config: {
        "end": config.ends,
        "solver": config.solvers,
        "gamma": config.gammas,
        "grid": config.grids,
        "steps": config.steps,
        "dtype": config.dtypes,
    },
    lists=("ends", "solvers", "gammas", "grids", "steps", "dtypes"),
    wanted=once,
    compute=rounded,
    variables={
        "error": Variable("rms of what came back less what was sent"),
        "predicted": Variable("predicted rms of what comes back less what was sent"),
        "amplification": Variable("error over the rounding of what was sent", "unit roundoffs"),
        "predicted_amplification": Variable("predicted error over the rounding of what was sent", "unit roundoffs"),
        "companion": Variable("largest growth of a perturbation on the way back, by companion matrices"),
        "status": Variable("status"),
    },
    finish=over_gammas,
)
