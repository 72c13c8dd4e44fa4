"""Convergence: errors against exact flows by the number of steps, and the order that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis import GridFamily, ObservedOrder, observed_order
from bdia_numerics.analysis.measurement.families import family_named
from bdia_numerics.analysis.measurement.observed import FIRST, PRECISE, RANDOM, OrderLevel
from bdia_numerics.formulas import solver_name
from bdia_numerics.studies.configuration import check
from bdia_numerics.studies.records import config_of
from bdia_numerics.studies.study import Cell, Study, Variable
from bdia_numerics.texts import ratio

if TYPE_CHECKING:
    from xarray import Dataset

SOLVERS = (
    "DDIM", "BDIA", "BDIA(gamma=1/2)", "EDICT", "CBDIA", "OBELM", "BDIA2", "Heun", "BDIAHeun", "ReversibleHeun", "ALF", "DPMSolverPP",
)  # fmt: skip


@dataclass(frozen=True)
class ConvergenceConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them.
    grids
        Kinds of `analysis.GridFamily`: "smooth", "alternating", "random".
    problem, schedule
        Names of `bdia_numerics.names`.
    variable, t_max, t_min
        What the steps are of, and the span; numbers like 9/10 or 0.9.
    start
        "exact", the first states of a multistep solver on the flow, or "own".
    steps
        Numbers of steps; found if none are given, up to `max_steps`.
    states, seeds
        States drawn at the noise end; random grids at each number of steps.
    arithmetic
        "auto", "float64" or "mpmath".
    """

    solvers: tuple[str, ...] = SOLVERS
    grids: tuple[str, ...] = ("smooth", "alternating")
    problem: str = "mixture"
    schedule: str = "vp_linear"
    variable: str = "asinh"
    t_max: str = "0.6"
    t_min: str = "0.1"
    start: str = "exact"
    steps: tuple[int, ...] = ()
    max_steps: int = 512
    states: int = 32
    seeds: int = 16
    arithmetic: str = "auto"

    def __post_init__(self) -> None:
        check(self, "solvers", "grids")
        names.distribution(self.problem)
        for kind in self.grids:
            family(self, kind)


def family(config: ConvergenceConfig, kind: str) -> GridFamily:
    """Return the grids of a kind."""
    ends = ratio("t_max", config.t_max), ratio("t_min", config.t_min)
    return family_named(kind, names.schedule(config.schedule), *ends, config.variable)


def measured(config: ConvergenceConfig, cell: Cell) -> ObservedOrder:
    """Return the observed order of a solver on a kind of grids."""
    return observed_order(
        names.solver(str(cell["solver"])), names.distribution(config.problem), family(config, str(cell["grid"])),
        steps=config.steps or None, states=config.states, start=config.start, seeds=config.seeds,
        arithmetic=config.arithmetic, max_steps=config.max_steps,
    )  # fmt: skip


def ladder(steps: Sequence[int], max_steps: int) -> tuple[int, ...]:
    """Return the numbers of steps that a measurement may take: those given, or all that are tried where none are."""
    if steps:
        return tuple(steps)
    chosen, pair = {*FIRST, *RANDOM, *PRECISE}, FIRST[-2:]
    while pair[-1] * 2 <= max_steps:
        pair = (pair[0] * 2, pair[1] * 2)
        chosen |= set(pair)
    return tuple(sorted(chosen))


def columns(found: ObservedOrder, steps: Sequence[int]) -> dict[str, Any]:
    """Return the values of `VARIABLES`, errors at each of `steps`: NaN where it was not taken, ValueError for any other."""
    levels = {level.steps: level for level in found.levels}
    if strange := levels.keys() - set(steps):
        raise ValueError(f"steps={sorted(strange)} were taken, which the dataset has no place for")
    places = [levels.get(n) for n in steps]
    made = {
        name: np.array([np.nan if level is None else float(getattr(level, name)) for level in places])
        for name in ("error", "rounding", "used")
    }
    words = ("order", "low", "high", "asymptotic", "decided", "arithmetic", "reason")
    return made | {name: getattr(found, name) for name in words} | {"status": "ok"}


def orders(found: Dataset) -> list[tuple[str, ObservedOrder]]:
    """Return the observed orders of a dataset, each with its solver's name in figures; what a cell does not hold are NaN and empty."""
    config, made = config_of(CONVERGENCE, found), []
    for text in found["solver"].values:
        for kind in found["grid"].values:
            cell = found.sel(solver=text, grid=kind)
            taken = np.isfinite(cell["used"].values)
            rows = zip(*(cell[name].values[taken] for name in ("steps", "error", "rounding", "used")), strict=True)
            fields: dict[str, Any] = {name: float(cell[name]) for name in ("order", "low", "high")}
            fields |= {name: cell[name].item() for name in ("arithmetic", "reason")}
            levels = tuple(OrderLevel(int(n), float(e), float(r), bool(u), "") for n, e, r, u in rows)
            order = ObservedOrder(
                solver=str(text), family=family(config, str(kind)).label, start=config.start, seeds=config.seeds,
                asymptotic=bool(cell["asymptotic"] == 1), levels=levels, **fields,
            )  # fmt: skip
            made.append((solver_name(str(text)), order))
    return made


VARIABLES = {
    "error": Variable("rms error at the data end", dims=("steps",)),
    "rounding": Variable("rms of what rounding does to the error", dims=("steps",)),
    "used": Variable("whether the order rests on it", dims=("steps",)),
    "order": Variable("observed order"),
    "low": Variable("lower end of the order's uncertainty band"),
    "high": Variable("upper end of the order's uncertainty band"),
    "asymptotic": Variable("whether the errors are consistent with one order"),
    "decided": Variable("whether they are, and the band is no wider than a half"),
    "arithmetic": Variable("arithmetic"),
    "reason": Variable("what the order rests on"),
    "status": Variable("status"),
}
"""Of an observed order."""


def compute(config: ConvergenceConfig, cell: Cell) -> Mapping[str, Any]:
    """Return an order with its band, and the errors that it rests on."""
    return columns(measured(config, cell), ladder(config.steps, config.max_steps))


CONVERGENCE = Study(
    "convergence",
    "Errors against exact flows by the number of steps, and observed orders",
    ConvergenceConfig,
    dims=lambda config: {"solver": config.solvers, "grid": config.grids},
    inner=lambda config: {"steps": ladder(config.steps, config.max_steps)},
    compute=compute,
    variables=VARIABLES,
    columns={
        "solver": "",
        "grid": "",
        "order": "{order:.2f}",
        "band": "{low:.2f} to {high:.2f}",
        "steps used": "{reason}",
    },
    figure="drawn:convergence",
)
