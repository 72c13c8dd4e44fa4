"""The map: error over gamma, grid and steps, for BDIA and of DDIM, O-BELM and EDICT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names, problems
from bdia_numerics.analysis.frechet import frechet_distance
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.grids import Grid
from bdia_numerics.program import structure
from bdia_numerics.runs.encoding import solve
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import scipy
from bdia_numerics.studies.study import (
    Cell,
    Dataset,
    Study,
    Variable,
    check,
    contender,
    once,
    over_gammas,
    shared,
    takes_gamma,
    to_clean,
)
from bdia_numerics.texts import refuse, shown

GAMMAS = (0.0, 0.1, 0.5, 0.9, 1.0)
STEPS = (10, 20, 40, 80)
SOLVERS = {"BDIA": "BDIA", "OBELM": "O-BELM", "EDICT(exchange=true)": "EDICT"}
"""With the names that they have in tables."""
STANDARD = ("leading", "leading+1", "trailing", "quad", "quadratic", "asinh")
GRIDS = ("leading", "cut", *STANDARD[1:])
"""Of which figures know the look. "leading" is "uniform" of the DDIM paper: times 0, T/n, 2T/n, ..., then clean data; its last slot is
tiny, and "cut" leaves it out."""


PROJECTIONS = 64


def sliced_wasserstein(a: Array, b: Array, seed: int = 0) -> float:
    """Return the mean Wasserstein-1 distance over `PROJECTIONS` random directions; in one dimension, the distance itself."""
    dimension = a.shape[1]
    if dimension == 1:
        return float(scipy.stats.wasserstein_distance(a[:, 0], b[:, 0]))
    directions = np.random.default_rng(seed).standard_normal((dimension, PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    pairs = zip((a @ directions).T, (b @ directions).T, strict=True)
    return float(np.mean([scipy.stats.wasserstein_distance(x, y) for x, y in pairs]))


def energy(a: Array, b: Array) -> float:
    """Return the squared energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Szekely and Rizzo 2013)."""
    between, within_a, within_b = (
        float(scipy.spatial.distance.cdist(x, y).mean()) for x, y in ((a, b), (a, a), (b, b))
    )
    return 2 * between - within_a - within_b


DISTANCES: dict[str, Callable[[Array, Array], float]] = {
    "frechet": frechet_distance,
    "sliced_wasserstein": sliced_wasserstein,
    "energy": energy,
}
"""Between two samples of a distribution: what a sampler's outputs are worth, which state belongs to which left aside."""


@dataclass(frozen=True)
class MapConfig:
    """What to run.

    Attributes
    ----------
    distribution, schedule, grids
        Names of `bdia_numerics.names`; a discrete schedule.
    gammas, steps
        Of BDIA, and of all solvers.
    states
        How many; on the line they are spread evenly over the probability of N(0, 1), else drawn.
    quality
        Whether samples are also compared with draws of the distribution.
    seed
        Of the draws.
    """

    distribution: str = "modes"
    schedule: str = "ddpm"
    grids: tuple[str, ...] = STANDARD
    gammas: tuple[float, ...] = GAMMAS
    steps: tuple[int, ...] = STEPS
    states: int = 1000
    quality: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "gammas", "steps", steps=3, states=2)
        counts, known = hasattr(names.schedule(self.schedule), "length"), " or ".join(names.DISCRETE)
        refuse(
            (not counts, f"schedule={shown(self.schedule)} has no training steps: use {known}"),
            (any(not 0 <= g <= 1 for g in self.gammas), f"gammas={self.gammas}: give numbers from 0 to 1"),
        )


def of_bdia(found: Dataset) -> Dataset:
    """Return the part of BDIA, of which gamma = 0 is DDIM; a cell that failed is infinitely far where others are not."""
    (solver,) = (text for text in found["solver"].values if str(text).startswith("BDIA"))
    part = found.sel(solver=solver)
    return part.assign({what: part[what].fillna(np.inf) for what in measures(found)})


def measures(found: Dataset) -> list[str]:
    """Return what a map holds: "error" where the flow is exact, and the names of distances."""
    return [what for what in ("error", *DISTANCES) if what in found and found[what].notnull().any()]


def best(part: Dataset, what: str) -> float:
    """Return the gamma with the smallest measure, of one grid and number of steps of `of_bdia`."""
    return float(part["gamma"].values[int(part[what].values.argmin())])


def _rows(found: Dataset) -> Iterator[Mapping[str, Any]]:
    ours, others = (
        of_bdia(found),
        {name: text for text, name in SOLVERS.items() if text != str(of_bdia(found)["solver"].item())},
    )
    for what in measures(found):
        floor = {"draws themselves": float(found[f"{what}_floor"])} if f"{what}_floor" in found else {}
        for name in found["grid"].values:
            for steps in found["steps"].values:
                here, part = found.sel(grid=name, steps=steps), ours.sel(grid=name, steps=steps)
                values = {f"gamma {gamma:g}": float(part[what].sel(gamma=gamma)) for gamma in part["gamma"].values}
                values |= {label: float(here[what].sel(solver=text)[0]) for label, text in others.items()}
                gamma = f"{best(part, what):g}"
                yield {
                    "grid": name,
                    "steps": int(steps),
                    "measure": what.replace("_", " "),
                    **values,
                    **floor,
                    "best gamma": gamma,
                }


def _said(found: dict[str, Any], dataset: Any) -> dict[str, Any]:
    points = []
    for cell in found["cells"]:
        open_gamma = takes_gamma(cell["solver"])
        name = "DDIM" if open_gamma and cell["gamma"] == 0 else SOLVERS[cell["solver"]]
        quality = {k: cell[k] for k in DISTANCES if k in cell}
        kept = {k: cell[k] for k in ("grid", "steps", "nfe", "error")}
        points.append(kept | {"solver": name, "gamma": cell["gamma"] if open_gamma else None, "quality": quality})
    floor = {k: found[f"{k}_floor"] for k in DISTANCES if f"{k}_floor" in found}
    return {"config": found["config"], "floor": floor, "cells": points}


@dataclass(frozen=True, eq=False)
class MapStates:
    """What all cells of a map share."""

    law: Any
    schedule: Any
    model: Any
    z: Array
    draws: Array
    floor: dict[str, float]
    wanted: dict[str, Callable[[Array, Array], float]]


@lru_cache(maxsize=4)
def _states(config: MapConfig) -> MapStates:
    law, schedule = names.distribution(config.distribution), names.schedule(config.schedule)
    if law.dimension > 1:
        z = np.random.default_rng(config.seed).standard_normal((config.states, law.dimension))
    else:
        z = problems.normal_quantiles(config.states)
    draws = [law.sample(config.states, np.random.default_rng([config.seed, k])) for k in (1, 2)]
    wanted = DISTANCES if config.quality or law.dimension > 1 else {}
    return MapStates(law, schedule, law.model(schedule), z, draws[0], {k: f(*draws) for k, f in wanted.items()}, wanted)


@lru_cache(maxsize=64)
def _grid(config: MapConfig, text: str, n: int) -> Grid:
    return to_clean(text, _states(config).schedule, n)


@lru_cache(maxsize=64)
def _truth(config: MapConfig, first: float, last: float) -> Array:
    common = _states(config)
    return np.asarray(common.law.flow(common.z, first, last, common.schedule))


def compute(config: MapConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the error, the distances and their floors of one solver on one grid."""
    common = _states(config)
    solver, grid = contender(cell), _grid(config, str(cell["grid"]), int(cell["steps"]))
    end, error = solve(solver, common.model, grid, common.z), np.nan
    if common.law.dimension == 1:
        away = end.z - _truth(config, float(grid.t[grid.n]), float(grid.t[0]))
        error = root_mean_square(away) if end.status.ok else np.inf
    quality = {k: f(end.z, common.draws) if end.status.ok else np.inf for k, f in common.wanted.items()}
    floors = {f"{k}_floor": value for k, value in common.floor.items()}
    return {"error": error, "nfe": structure(solver).nfe * grid.n, "status": str(end.status), **quality, **floors}


def _finish(dataset: Any) -> Any:
    dims = ("grid", "steps", "solver", "gamma")
    dataset = shared(over_gammas(dataset), dims, [f"{k}_floor" for k in DISTANCES])
    return dataset.drop_vars([k for k in dataset if str(k).startswith(tuple(DISTANCES)) and dataset[k].isnull().all()])


MAP = Study(
    "map",
    "Error over grid, steps and gamma",
    MapConfig,
    dims=lambda config: {
        "grid": config.grids,
        "steps": config.steps,
        "solver": tuple(SOLVERS),
        "gamma": config.gammas,
    },
    lists=("grids", "steps", "gammas"),
    wanted=once,
    compute=compute,
    variables={
        "error": Variable("rms distance to the exact flow"),
        "nfe": Variable("model evaluations", whole=True),
        "status": Variable("status"),
        "frechet": Variable("Frechet distance of moments to draws of the distribution"),
        "sliced_wasserstein": Variable("sliced Wasserstein distance to draws of the distribution"),
        "energy": Variable("energy distance to draws of the distribution"),
        **{
            f"{k}_floor": Variable(f"{k.replace('_', ' ')} distance between draws of the distribution")
            for k in DISTANCES
        },
    },
    finish=_finish,
    caption="distribution {distribution}, schedule {schedule}",
    rows=_rows,
    figure="gamma_map:curves",
    said=_said,
)
