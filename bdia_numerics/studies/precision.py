"""Precision: what rounding becomes on the way back, measured, and predicted from the programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import names, problems, schedules
from bdia_numerics.analysis import amplification, gaussian_jacobian, round_trip_error
from bdia_numerics.runs.encoding import round_trip
from bdia_numerics.studies.configuration import among, check, contender, once, over_gammas
from bdia_numerics.studies.engine.blas import one_blas_thread
from bdia_numerics.studies.roundtrip import DTYPES, ENDS
from bdia_numerics.studies.study import Cell, Study, Variable


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
        if any(not 0 < g <= 1 for g in self.gammas):
            raise ValueError(f"gammas={self.gammas}: give numbers above 0, up to 1")
        if not 0 < self.data_rms < math.inf:
            raise ValueError(f"data_rms={self.data_rms}: give a positive number")


def compute(config: PrecisionConfig, cell: Cell) -> Mapping[str, Any]:
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
    wanted=once,
    compute=compute,
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
