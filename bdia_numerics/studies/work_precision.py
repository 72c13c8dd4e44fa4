"""Work and precision: error against model evaluations, and against processor time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bdia_numerics import names
from bdia_numerics.analysis import work_precision
from bdia_numerics.studies.engine.local import one_blas_thread
from bdia_numerics.studies.records import records
from bdia_numerics.studies.study import Cell, Study, Variable, check, family

SOLVERS = ("DDIM", "BDIA", "BDIA(gamma=1/2)", "EDICT", "OBELM", "Heun", "DPMSolverPP")
TIMES = ("seconds", "model_seconds", "own_seconds", "setup")
"""The variables that a second run does not repeat."""
NOTHING = {
    "steps": 0,
    "nfe": 0,
    "error": float("nan"),
    **dict.fromkeys(TIMES, float("nan")),
    "status": "the evaluations pay for no step",
}


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
    evaluations, steps
        Of the model, that each solver may make; or, in their place, numbers of steps, the same for all solvers.
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
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(self, "solvers", "problems", "grids", "evaluations", evaluations=1, steps=1, states=1, repeats=1)


def compute(config: WorkConfig, cell: Cell) -> Mapping[str, Any]:
    """Return error, evaluations and processor times; a status alone if the evaluations pay for no step."""
    solver, problem, kind = (str(cell[name]) for name in ("solver", "problem", "grid"))
    slots, nfe = ([int(cell["count"])], None) if config.steps else (None, [int(cell["evaluations"])])
    try:
        with one_blas_thread():  # threads of BLAS would count as processor time, and gain nothing here
            (row,) = work_precision(
                {solver: names.solver(solver)}, {problem: names.distribution(problem)}, {kind: family(config, kind)},
                nfe, slots=slots, states=config.states, repeats=config.repeats, start=config.start, seed=config.seed,
                clock=time.process_time,
            ).rows  # fmt: skip
    except ValueError as error:
        if "pay for no step" not in str(error):
            raise
        return NOTHING
    found = asdict(row)
    return {name: found[name] for name in NOTHING}


def _finish(dataset: Any) -> Any:
    if not dataset["steps"].any():
        raise ValueError(
            f"evaluations={dataset['evaluations'].values.tolist()} pay for no step of any solver: allow more"
        )
    return dataset


def _rows(found: Any) -> list[dict[str, Any]]:
    times = {"ms": "seconds", "of it model": "model_seconds", "setup ms": "setup"}
    return [r | {head: 1e3 * r[name] for head, name in times.items()} for r in records(WORK_PRECISION, found)]


def _said(data: dict[str, Any], found: Any) -> dict[str, Any]:
    config = data["config"]
    names = ("solver", "problem", "grid", "steps", "nfe", "error", "setup", *TIMES[:3], "status")
    rows = [{name: row[name] for name in names} for row in data["cells"] if row["steps"]]
    return {"rows": rows, "by": "steps" if config["steps"] else "nfe", "states": config["states"]}


WORK_PRECISION = Study(
    "work_precision",
    "Error against model evaluations and processor time",
    WorkConfig,
    dims=lambda config: {
        "problem": config.problems,
        "grid": config.grids,
        "solver": config.solvers,
        **({"count": config.steps} if config.steps else {"evaluations": config.evaluations}),
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
    finish=_finish,
    lists=("solvers", "problems", "grids", "evaluations", "steps"),
    columns={
        "solver": "",
        "problem": "",
        "grid": "",
        "steps": "",
        "NFE": "{nfe}",
        "error": "{error:.3g}",
        "ms": "{ms:.2f}",
        "of it model": "{of it model:.2f}",
        "setup ms": "{setup ms:.2f}",
    },
    rows=_rows,
    figure="orders:work_precision",
    said=_said,
)
