"""Saved datasets, read back as what the studies' own functions return and the figures take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis import ObservedOrder, Work, WorkPrecision
from bdia_numerics.formulas import solver_name
from bdia_numerics.studies.convergence import ConvergenceConfig, family, observed
from bdia_numerics.studies.gamma_map import GammaMap, MapConfig, Point
from bdia_numerics.studies.network_table import Row, Table, TableConfig
from bdia_numerics.studies.quality import DISTANCES

if TYPE_CHECKING:
    from xarray import Dataset


def config_of(found: Dataset, kind: type[Any]) -> Any:
    """Return the configuration that a dataset was made with."""
    stored = json.loads(found.attrs["config"])
    if "law" in stored:  # datasets of before the names of distributions were the same everywhere
        law = stored.pop("law")
        stored["distribution"] = names.FORMER_DISTRIBUTIONS.get(law, law)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()})


def orders(found: Dataset) -> list[tuple[str, ObservedOrder]]:
    """Return the observed orders of a dataset of the study "convergence", each with its solver's name."""
    config = config_of(found, ConvergenceConfig)
    return [
        (
            solver_name(str(solver)),
            observed(
                found.sel(solver=solver, grid=grid),
                solver=str(solver), family=family(config, str(grid)).label, start=config.start, seeds=config.seeds,
            ),
        )
        for solver in found["solver"].values
        for grid in found["grid"].values
    ]  # fmt: skip


def work(found: Dataset) -> WorkPrecision:
    """Return the table of a dataset of the study "work_precision", without rows of too few evaluations for a step."""
    rows = []
    for place in np.ndindex(*found["error"].shape):
        cell = found.isel(dict(zip(found["error"].dims, place, strict=True)))
        if not cell["steps"] > 0:
            continue
        fields: dict[str, Any] = {
            k: float(cell[k]) for k in ("error", "setup", "seconds", "model_seconds", "own_seconds")
        }
        fields |= {k: int(cell[k]) for k in ("steps", "nfe")}
        fields |= {k: cell[k].item() for k in ("problem", "grid", "status")}
        rows.append(Work(solver=solver_name(cell["solver"].item()), **fields))
    return WorkPrecision(tuple(rows), "nfe", json.loads(found.attrs["config"])["states"])


def gamma_map(found: Dataset) -> GammaMap:
    """Return the points of BDIA, DDIM among them, of a dataset of the study "map"."""
    config = config_of(found, MapConfig)
    (solver,) = (s for s in found["solver"].values if str(s).startswith("BDIA"))
    measures = [k for k in DISTANCES if k in found]
    error = found["error"].sel(solver=solver)
    if np.isfinite(error).any():  # NaN is a cell that failed, and not a distribution without an exact flow
        error = error.fillna(np.inf)
    points = []
    for grid in config.grids:
        for steps in config.steps:
            for gamma in config.gammas:
                cell = found.sel(solver=solver, grid=grid, steps=steps, gamma=gamma)
                quality = {k: float(cell[k]) for k in measures}
                name = "BDIA" if gamma else "DDIM"
                value = float(error.sel(grid=grid, steps=steps, gamma=gamma))
                points.append(Point(grid, steps, name, gamma, int(np.nan_to_num(cell["nfe"])), value, quality))
    return GammaMap(config, tuple(points), {k: float(found[f"{k}_floor"]) for k in measures})


def network_table(found: Dataset) -> Table:
    """Return the rows of a dataset of the study "network_table"; those that failed have NaN."""
    config = config_of(found, TableConfig)
    numbers = ("frechet", "low", "high", "gain", "gain_low", "gain_high", "distance", "uncertainty", "recognised")
    rows = []
    for grid in config.grids:
        for budget in config.evaluations:
            for solver in config.solvers:
                cell = found.sel(grid=grid, evaluations=budget, solver=solver)
                fields: dict[str, Any] = {k: int(np.nan_to_num(cell[k])) for k in ("steps", "nfe")}
                fields |= {k: float(cell[k]) for k in numbers}
                rows.append(Row(solver, grid, budget, **fields, status=str(cell["status"].item())))
    return Table(config, tuple(rows), float(found["floor"]))
