"""Convergence: errors against exact flows by the number of steps, and the order that they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis import ObservedOrder, observed_order, order_on_pattern, symbolic_order
from bdia_numerics.analysis.measurement.observed import FIRST, PRECISE, RANDOM, OrderLevel
from bdia_numerics.analysis.sheet.proved import Compared, proved_order
from bdia_numerics.formulas import solver_name
from bdia_numerics.program import identity
from bdia_numerics.studies.records import config_of
from bdia_numerics.studies.study import Cell, Dataset, Study, Variable, check, family

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
    distribution, schedule
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
    proved
        Whether the order that the program proves is found, too.
    """

    solvers: tuple[str, ...] = SOLVERS
    grids: tuple[str, ...] = ("smooth", "alternating")
    distribution: str = "mixture"
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
    proved: bool = False

    def __post_init__(self) -> None:
        check(self, "solvers", "grids")


def ladder(steps: Sequence[int], max_steps: int) -> tuple[int, ...]:
    """Return the numbers of steps that a measurement may take: those given, or all that are tried where none are."""
    if steps:
        return tuple(steps)
    chosen, pair = {*FIRST, *RANDOM, *PRECISE}, FIRST[-2:]
    while pair[-1] * 2 <= max_steps:
        pair = (pair[0] * 2, pair[1] * 2)
        chosen |= set(pair)
    return tuple(sorted(chosen))


def compute(config: ConvergenceConfig, cell: Cell) -> Mapping[str, Any]:
    """Return an order with its band, and the errors that it rests on: NaN at numbers of steps that were not taken."""
    solver, kind = names.solver(str(cell["solver"])), str(cell["grid"])
    found = observed_order(
        solver, names.distribution(config.distribution), family(config, kind),
        steps=config.steps or None, states=config.states, start=config.start, seeds=config.seeds,
        arithmetic=config.arithmetic, max_steps=config.max_steps,
    )  # fmt: skip
    steps, none = ladder(config.steps, config.max_steps), OrderLevel(0, np.nan, np.nan, False, "")
    taken = {level.steps: level for level in found.levels}
    if strange := taken.keys() - set(steps):
        raise ValueError(f"steps={sorted(strange)} were taken, which the dataset has no place for")
    places = [taken.get(n, none) for n in steps]
    made = {
        **{name: np.array([getattr(x, name) for x in places]) for name in ("error", "rounding", "note")},
        **{name: getattr(found, name) for name in _WORDS},
        "used": np.array([float(x.used) if x.steps else np.nan for x in places]),
        "status": "ok",
    }
    if config.proved:
        alternating = order_on_pattern(solver, (1, 2)).order if kind == "alternating" else None
        text, agrees = proved_order(symbolic_order(solver), alternating, found, kind)
        made |= {"proved": text, "verdict": Compared("", text, "", agrees).verdict}
    return made


_WORDS = ("order", "low", "high", "asymptotic", "decided", "arithmetic", "reason")


def orders(found: Dataset) -> list[tuple[str, ObservedOrder]]:
    """Return the observed orders of a dataset, each with its solver's name in figures; what a cell does not hold are NaN and empty."""
    return [(solver_name(text), order) for text, _, order in _observed(found)]


def _observed(found: Dataset) -> Iterator[tuple[str, Dataset, ObservedOrder]]:
    """Yield each cell: the text of its solver, the cell, and the order."""
    config = config_of(CONVERGENCE, found)
    for text in map(str, found["solver"].values):
        for kind in map(str, found["grid"].values):
            cell = found.sel(solver=text, grid=kind)
            taken = cell.isel(steps=np.isfinite(cell["used"].values))
            notes = taken["note"].values if "note" in taken else [""] * taken.sizes["steps"]
            rows = zip(*(taken[name].values for name in ("steps", "error", "rounding", "used")), notes, strict=True)
            fields: dict[str, Any] = {name: float(cell[name]) for name in ("order", "low", "high")}
            fields |= {name: cell[name].item() for name in ("arithmetic", "reason")}
            yield text, cell, ObservedOrder(
                solver=identity(names.solver(text)), family=family(config, kind).label, start=config.start,
                seeds=config.seeds if kind == "random" else 0, asymptotic=bool(cell["asymptotic"] == 1),
                levels=tuple(OrderLevel(int(n), float(e), float(r), bool(u), str(note)) for n, e, r, u, note in rows), **fields,
            )  # fmt: skip


def _rows(found: Dataset) -> Iterator[Mapping[str, Any]]:
    for text, cell, order in _observed(found):
        row = {
            "solver": text,
            "grid": order.family,
            "order": f"{order.order:.2f}{'' if order.decided else ' undecided'}",
            "band": f"[{order.low:.2f}, {order.high:.2f}]",
        }
        if "proved" in cell:
            verdict = cell["verdict"].item()
            row["proved"] = f"{cell['proved'].item()}{'' if verdict == 'agrees' else f' {verdict}'}"
        where = f"{order.seeds} seeds, " if order.seeds else ""
        where += "mpmath, " if order.arithmetic == "mpmath" else ""
        yield row | {"steps used": where + order.reason, "status": cell["status"].item()}


def _said(data: dict[str, Any], found: Dataset) -> dict[str, Any]:
    rows = []
    for text, cell, order in _observed(found):
        row = {"label": text, **asdict(order), "decided": order.decided, "up_to": order.up_to}
        if "proved" in cell:
            proved = cell["proved"].item()
            agrees = {"agrees": True, "differs": False}.get(cell["verdict"].item())
            row |= {"proved": int(proved) if proved.isdigit() else proved, "agrees": agrees}
        rows.append(row)
    return {"problem": data["config"]["distribution"], "schedule": data["config"]["schedule"], "orders": rows}


CONVERGENCE = Study(
    "convergence",
    "Errors against exact flows by the number of steps, and observed orders",
    ConvergenceConfig,
    dims=lambda config: {"solver": config.solvers, "grid": config.grids},
    lists=("solvers", "grids"),
    inner=lambda config: {"steps": ladder(config.steps, config.max_steps)},
    compute=compute,
    variables={
        "error": Variable("rms error at the data end", dims=("steps",)),
        "rounding": Variable("rms of what rounding does to the error", dims=("steps",)),
        "used": Variable("whether the order rests on it", dims=("steps",)),
        "note": Variable("why the order does not rest on it", dims=("steps",)),
        "order": Variable("observed order"),
        "low": Variable("lower end of the order's uncertainty band"),
        "high": Variable("upper end of the order's uncertainty band"),
        "asymptotic": Variable("whether the errors are consistent with one order"),
        "decided": Variable("whether they are, and the band is no wider than a half"),
        "arithmetic": Variable("arithmetic"),
        "reason": Variable("what the order rests on"),
        "proved": Variable("the order that the program proves"),
        "verdict": Variable("whether both agree"),
        "status": Variable("status"),
    },
    finish=lambda dataset: dataset.drop_vars([k for k in ("proved", "verdict") if dataset[k].dtype.kind == "f"]),
    rows=_rows,
    figure="orders:of_study",
    said=_said,
)
