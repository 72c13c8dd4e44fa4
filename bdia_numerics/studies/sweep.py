"""Any product of solvers, parameters, grids, schedules, problems, steps, dtypes and seeds: error, latent, round trip, evaluations."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.grids import Grid
from bdia_numerics.program import NotInvertibleError, parameters
from bdia_numerics.runs.encoding import back_to_noise, encode, solve
from bdia_numerics.runs.inversion import split
from bdia_numerics.spaces import Array
from bdia_numerics.studies.study import (
    Cell,
    Study,
    Variable,
    affordable,
    among,
    check,
    leaves_open,
    solver_of,
    with_parameters,
)
from bdia_numerics.texts import ratio, refuse, shown

STEPS = (10, 20, 40)


@dataclass(frozen=True)
class SweepConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them: BDIA, 'McCallumFoster(base=RK4)', my_module:MySolver; with an inversion behind them if it is
        not the default of `encode`, such as 'DDIM by (23)'.
    parameters
        Values by name; each solver is run at all values of those that it has and that its text leaves open.
    problems, schedules, grids
        Names of `bdia_numerics.names`. Grids that count training steps are run on discrete schedules alone.
    steps, nfe
        Slots of a grid; or, in their place, model evaluations of a run, for which each solver takes as many steps as they pay for, its
        start included.
    dtypes
        Of the states: float16, float32, float64.
    seeds
        Of the states, and of random grids.
    states
        How many, drawn from the distribution at the noise end; so many others at the data end, for latents.
    t_max, t_min
        TrueStates of the grids that have them, as 9/10 or 0.9; empty for the schedule's own.
    """

    solvers: tuple[str, ...] = ("DDIM", "DDIM by (23)", "BDIA", "EDICT")
    parameters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    problems: tuple[str, ...] = ("mixture",)
    schedules: tuple[str, ...] = ("vp_linear",)
    grids: tuple[str, ...] = ("uniform",)
    steps: tuple[int, ...] = STEPS
    nfe: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ("float64",)
    seeds: tuple[int, ...] = (0,)
    states: int = 64
    t_max: str = ""
    t_min: str = ""

    def __post_init__(self) -> None:
        if self.nfe and self.steps != STEPS:
            raise ValueError(f"nfe={self.nfe} and steps={self.steps}: give one of the two")
        check(
            self,
            "solvers",
            "problems",
            "schedules",
            "grids",
            "steps",
            "dtypes",
            "seeds",
            encodes=True,
            steps=1,
            nfe=1,
            seeds=0,
            states=1,
        )
        among(self, dtypes=names.NUMPY_DTYPES)
        for text in self.grids:
            _can_be_made(self, text)
        labels(self)


def fits(grid: str, schedule: str) -> bool:
    """Return whether a grid can be made of a schedule: counting training steps takes a discrete one."""
    return not names.counts_steps(grid) or hasattr(names.schedule(schedule), "length")


def _can_be_made(config: SweepConfig, text: str) -> None:
    """Raise ValueError for a grid that none of the schedules has, before any cell is run."""
    make, ends, why = names.grid(text), span(config), ""
    fitting = [schedule for schedule in config.schedules if fits(text, schedule)]
    if not fitting:
        raise ValueError(
            f"grids={shown(text)} counts training steps: add one of {', '.join(names.DISCRETE)} to schedules"
        )
    for schedule in fitting:
        try:
            make(names.schedule(schedule), 4, seed=0, **ends)
            return
        except (ValueError, TypeError, ArithmeticError) as error:
            why = why or str(error)
    raise ValueError(f"grids={shown(text)} cannot be made on {', '.join(fitting)} ({why}): change its options or ends")


def span(config: SweepConfig) -> dict[str, Fraction]:
    """Return the ends that are given."""
    ends = {"t_max": config.t_max, "t_min": config.t_min}
    return {name: ratio(name, text) for name, text in ends.items() if text}


@cache
def labels(config: SweepConfig) -> tuple[str, ...]:
    """Return the solvers with their parameters, as texts; ValueError for a parameter or a value that no solver takes."""
    found: dict[str, None] = {}
    taken: set[str] = set()
    for text in config.solvers:
        free = [(name, values) for name, values in config.parameters if leaves_open(text, name)]
        taken |= {name for name, _ in free}
        for values in itertools.product(*(values for _, values in free)):
            label = _with(text, [f"{name}={value}" for (name, _), value in zip(free, values, strict=True)])
            solver_of(label)
            found[label] = None
    for name, values in config.parameters:
        said = f"parameters.{name}={list(values)}: none of {', '.join(config.solvers)} leaves it open, remove it"
        refuse((name not in taken, said), (not values, f"parameters.{name} is empty: give one value or more"))
    return tuple(found)


def _with(text: str, pairs: list[str]) -> str:
    if not pairs:
        return text
    text, by, way = text.partition(" by ")
    if by:
        return f"{_with(text, pairs)} by {way}"
    if text.endswith(")"):
        return text[:-1] + ("" if text.endswith("()") else ", ") + ", ".join(pairs) + ")"
    return ",".join([text, *pairs]) if re.search(r":\w+=", text) else f"{text}({', '.join(pairs)})"


def slots(cell: Cell) -> int:
    """Return the number of slots of a cell's grid; 0 if its evaluations pay for none."""
    return int(cell["steps"]) if "steps" in cell else affordable(str(cell["solver"]), int(cell["budget"]))


def wanted(config: SweepConfig, cell: Cell) -> bool:
    """Return whether a cell's grid can be made."""
    return fits(str(cell["grid"]), str(cell["schedule"])) and slots(cell) > 0


@dataclass(frozen=True, eq=False)
class TrueStates:
    """States at both ends of a grid, shape (states, D), and where the exact flow takes them.

    `uncertain` is the largest error of an element of these that their certificates state, 0 where rounding alone is left.
    """

    noise: Array
    its_data: Array
    data: Array
    its_noise: Array
    uncertain: float


@lru_cache(maxsize=64)
def ends(problem: str, schedule: str, far: float, near: float, dtype: str, seed: int, states: int) -> TrueStates:
    """Return states in a dtype between two times, drawn from the distribution at each."""
    law, times, rng = names.distribution(problem), names.schedule(schedule), np.random.default_rng(seed)
    z, x = (np.asarray(law.sample(states, rng, t, times), dtype) for t in (far, near))
    flows = [law.flow_certified(np.asarray(v, float), *way, times) for v, way in ((z, (far, near)), (x, (near, far)))]
    uncertain = float(np.max([f.certificate.uncertainty for f in flows]))
    return TrueStates(z, flows[0].z, x, flows[1].z, uncertain)


@lru_cache(maxsize=16)
def _made(text: str, schedule: str, n: int, seed: int, given: tuple[tuple[str, Fraction], ...]) -> Grid:
    """Return a grid; the same for all seeds and dtypes, since it keeps the solvers' collapsed steps."""
    return names.grid(text)(names.schedule(schedule), n, seed=seed, **dict(given))


def compute(config: SweepConfig, cell: Cell) -> Mapping[str, Any]:
    """Sample from the noise end, go back, and encode from the data end."""
    at, seed = {name: str(value) for name, value in cell.items()}, int(cell["seed"])
    solver, method = solver_of(at["solver"]), split(at["solver"])[1]
    own = seed if at["grid"].startswith("random") else 0
    grid = _made(at["grid"], at["schedule"], slots(cell), own, tuple(span(config).items()))
    model = names.distribution(at["problem"]).model(names.schedule(at["schedule"]))
    far, near = float(grid.t[grid.n]), float(grid.t[0])
    true = ends(at["problem"], at["schedule"], far, near, at["dtype"], seed, config.states)
    there = solve(solver, model, grid, true.noise)
    found = {"error": _distance(there, true.its_data), "nfe": there.nfe, "reference_error": true.uncertain}
    status = str(there.status)
    trips: dict[str, Any] = {"round_trip": np.nan, "latent_distance": np.nan, "inversion": ""}
    if there.status.ok:
        try:
            back = back_to_noise(solver, model, grid, there, method)
            latent = encode(solver, model, grid, true.data, method)
        except NotInvertibleError as refused:
            status = f"ok, no way back: {str(refused).splitlines()[0]}"
        else:
            trips = {"round_trip": _distance(back, true.noise), "latent_distance": _distance(latent, true.its_noise)}
            trips["inversion"] = latent.inversion
            status = next((str(run.status) for run in (back, latent) if not run.status.ok), status)
    return {**found, **trips, "slots": grid.n, "status": status}


def _distance(run: Any, truth: Array) -> float:
    return root_mean_square(np.asarray(run.z, float) - truth) if run.status.ok else float("nan")


def _finished(dataset: Any) -> Any:
    """Return the dataset with the numeric parameters of its solvers as coordinates beside their texts."""
    found = [parameters(solver_of(str(text))) for text in dataset["solver"].values]
    names = {name for given in found for name, value in given.items() if isinstance(value, int | float | Fraction)}
    return with_parameters(dataset, *sorted(names))


SWEEP = Study(
    "sweep",
    "Error, latent, round trip and evaluations over any product",
    SweepConfig,
    dims=lambda config: {
        "problem": config.problems,
        "schedule": config.schedules,
        "grid": config.grids,
        "solver": labels(config),
        **({"budget": config.nfe} if config.nfe else {"steps": config.steps}),
        "dtype": config.dtypes,
        "seed": config.seeds,
    },
    compute=compute,
    variables={
        "error": Variable("rms distance of the data end to the exact flow"),
        "latent_distance": Variable("rms distance of the latent to the exact flow"),
        "round_trip": Variable("rms of what returns from the data end, less what was sent"),
        "nfe": Variable("model evaluations from noise to data"),
        "inversion": Variable("what ran from data to noise"),
        "slots": Variable("slots of the grid"),
        "reference_error": Variable(
            "largest error of the flow that its certificate states, 0 where rounding alone is left"
        ),
        "status": Variable("status"),
    },
    wanted=wanted,
    finish=_finished,
    figure="orders:sweep",
    lists=("solvers", "parameters", "problems", "schedules", "grids", "steps", "nfe", "dtypes", "seeds"),
)
