"""Work and precision: error against model evaluations, and against processor time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bdia_numerics import names
from bdia_numerics.analysis import GridFamily, work_precision
from bdia_numerics.analysis.measurement.families import family_named
from bdia_numerics.studies.configuration import check
from bdia_numerics.studies.engine.blas import one_blas_thread
from bdia_numerics.studies.study import Cell, Study, Variable
from bdia_numerics.texts import ratio

SOLVERS = ("DDIM", "BDIA", "BDIA(gamma=1/2)", "EDICT", "OBELM", "Heun", "DPMSolverPP")
TIMES = ("seconds", "model_seconds", "own_seconds", "setup")
"""The variables that a second run does not repeat."""
NOTHING = {"steps": 0, "nfe": 0, "error": float("nan"), **dict.fromkeys(TIMES, float("nan")), "status": "no step"}


@dataclass(frozen=True)
class WorkConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them.
    problems, schedule
        Names of `bdia_numerics.names`.
    grids
        Kinds of `analysis.GridFamily`.
    variable, t_max, t_min
        What the steps are of, and the span; numbers like 9/10 or 0.9.
    evaluations
        Of the model, that each solver may make.
    states, repeats, seed
        States of a run; timed runs, of which the median counts; seed of the states.
    start
        "own" or "exact".
    """

    solvers: tuple[str, ...] = SOLVERS
    problems: tuple[str, ...] = ("mixture",)
    grids: tuple[str, ...] = ("smooth",)
    evaluations: tuple[int, ...] = (10, 20, 40, 80, 160)
    schedule: str = "vp_linear"
    variable: str = "t"
    t_max: str = "1"
    t_min: str = "0.01"
    states: int = 256
    repeats: int = 3
    start: str = "own"
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "solvers", "problems", "grids", "evaluations", evaluations=1, states=1, repeats=1)
        for name in self.problems:
            names.distribution(name)
        for kind in self.grids:
            family(self, kind)


def family(config: WorkConfig, kind: str) -> GridFamily:
    """Return the grids of a kind."""
    ends = ratio("t_max", config.t_max), ratio("t_min", config.t_min)
    return family_named(kind, names.schedule(config.schedule), *ends, config.variable)


def compute(config: WorkConfig, cell: Cell) -> Mapping[str, Any]:
    """Return error, evaluations and processor times; "no step" if the evaluations pay for none."""
    solver, problem, kind = (str(cell[name]) for name in ("solver", "problem", "grid"))
    try:
        with one_blas_thread():  # threads of BLAS would count as processor time, and gain nothing here
            (row,) = work_precision(
                {solver: names.solver(solver)}, {problem: names.distribution(problem)}, {kind: family(config, kind)},
                [int(cell["evaluations"])], states=config.states, repeats=config.repeats, start=config.start,
                seed=config.seed, clock=time.process_time,
            ).rows  # fmt: skip
    except ValueError as error:
        if "pay for no step" not in str(error):
            raise
        return NOTHING
    found = asdict(row)
    return {name: found[name] for name in NOTHING}


WORK_PRECISION = Study(
    "work_precision",
    "Error against model evaluations and processor time",
    WorkConfig,
    dims=lambda config: {
        "problem": config.problems,
        "grid": config.grids,
        "solver": config.solvers,
        "evaluations": config.evaluations,
    },
    compute=compute,
    variables={
        "error": Variable("rms error at the data end"),
        "nfe": Variable("model evaluations", whole=True),
        "steps": Variable("slots of the grid", whole=True),
        "seconds": Variable("processor time of a run", "s"),
        "model_seconds": Variable("processor time in the model", "s"),
        "own_seconds": Variable("processor time outside the model", "s"),
        "setup": Variable("processor time of the first run beyond that of a later one", "s"),
        "status": Variable("status"),
    },
    figure="drawn:work_precision",
)
