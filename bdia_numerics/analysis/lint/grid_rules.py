"""What rules look at and what they find, and the rules for a solver on a grid: whether it returns, and whether the spacing suits it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bdia_numerics import grids
from bdia_numerics.analysis.lint import measure
from bdia_numerics.analysis.perturbation.amplification import directed_run
from bdia_numerics.analysis.perturbation.growth import (
    BREAKS,
    LIMIT,
    NARROW,
    data_growth,
    inverse_growth,
    inverse_growths,
    listed,
)
from bdia_numerics.analysis.perturbation.precision import DTYPES, TENSORS, damping, required_dtype
from bdia_numerics.configs import SchedulerConfig, Walk, layout
from bdia_numerics.configs.tables import RatioLevels
from bdia_numerics.formulas import number
from bdia_numerics.program import Solver, identity, invertibility, parameters, refusal
from bdia_numerics.runs.solving import has_inverse, sampling
from bdia_numerics.solvers import ALF, BDIA, DDIM, OBELM
from bdia_numerics.spaces.showing import Shown
from bdia_numerics.texts import shown

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Cost:
    """A number measured on the reference distribution: as configured, and with the remedy.

    Attributes
    ----------
    what
        What was measured, with its unit.
    configured, remedied : float
        The number as configured, and where the remedy is followed; NaN where there is none to run.
    """

    what: str
    configured: float
    remedied: float

    def __str__(self) -> str:
        after = "" if self.remedied != self.remedied else f", {self.remedied:.2g} with the remedy"
        return f"{self.what}: {self.configured:.2g}{after}"


@dataclass(frozen=True, repr=False)
class Finding(Shown):
    """A defect.

    Attributes
    ----------
    rule
        Its name, such as "clip-sample".
    severity
        "error": the run is wrong, stops, or cannot be inverted; "warning": it loses accuracy; "note": worth knowing.
    where
        The entry of the configuration and its value, or the slot.
    message, remedy
        One sentence each.
    cost
        What it costs on the reference distribution, if that can be measured.
    """

    rule: str
    severity: str
    where: str
    message: str
    remedy: str
    cost: Cost | None = None

    def __str__(self) -> str:
        cost = f" [{self.cost}]" if self.cost else ""
        return f"{self.severity}: {self.rule} ({self.where}): {self.message}; {self.remedy}{cost}"


@dataclass(frozen=True)
class Case:
    """A configuration, what is passed to `configs.layout`, and what the model is read as."""

    config: SchedulerConfig
    asked: Mapping[str, Any]
    walk: Walk
    prediction: str | None

    @property
    def steps(self) -> int:
        """The number of steps asked for."""
        return len(self.walk.steps) if self.asked["n"] is None else int(self.asked["n"])

    @property
    def length(self) -> int:
        """Training steps T."""
        return int(self.config["num_train_timesteps"])

    @property
    def tabled(self) -> bool:
        """Whether the noise levels come from a table of T entries."""
        return self.walk.table is not None

    @property
    def passed(self) -> str:
        """What of one's own is passed in the place of a number of steps."""
        return next((key for key in ("sigmas", "timesteps") if self.asked[key] is not None), "")

    def entry(self, *keys: str) -> str:
        """Return the entries that the class takes, as text; its name if there are none."""
        taken = [f"{key}={shown(self.config[key])}" for key in keys if key in self.config.values]
        return ", ".join(taken) or f"_class_name={self.config.name!r}"

    def with_walk(self, **values: Any) -> Walk | None:
        """Return the walk with other entries; None where the class, or what is passed, does not leave that choice."""
        try:
            return layout(self.config.changed(**values), **self.asked)
        except ValueError:
            return None


Rule = Callable[[Case], Iterator[Finding]]


GAMMAS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
JUMP = 4.0
"""A slot is rough where alpha h^2, whose terms cancel at gamma = 1, changes by more than this factor from one slot to the next."""


@dataclass(frozen=True)
class GridRun:
    """A solver on a grid of a schedule, the dtype, of tensors or not, and the round-trip error that is allowed."""

    solver: Solver
    grid: grids.Grid
    dtype: str
    tolerance: float
    tensors: bool = False

    @property
    def schedule(self) -> Any:
        """The schedule of the grid."""
        return self.grid.schedule

    @cached_property
    def error(self) -> float:
        """The error of the run's end."""
        return measure.solver_error(self.solver, self.grid, self.schedule)

    @property
    def gamma(self) -> float | None:
        """gamma, if the solver has a constant one."""
        value = parameters(self.solver).get("gamma")
        return None if value is None or callable(value) else float(value)


GridRule = Callable[[GridRun], Iterator[Finding]]


def no_run(run: GridRun) -> list[Finding]:
    """Find solvers that have no start or no step on this grid, of which no other rule can say anything."""
    try:
        directed_run(run.solver, run.grid, "sample", "eps")
        sampling(run.solver, run.grid, "eps", run.grid.space)
    except ValueError as error:
        what, where = "the solver cannot run on this grid", f"solver={identity(run.solver)}, {run.grid.n} steps"
        return [Finding("no-run", "error", where, f"{what}: {refusal(error)}", "use another solver, or another grid")]
    return []


def not_invertible(run: GridRun) -> Iterator[Finding]:
    """Find solvers without an exact inverse."""
    if has_inverse(run.solver, run.grid, "eps", run.grid.space):
        return
    verdict = invertibility(run.solver)
    why = f"needs {verdict}" if verdict.invertible else verdict.reason
    yield Finding(
        "not-invertible",
        "warning",
        f"solver={identity(run.solver)}",
        f"no exact inverse: {why}",
        "use a solver with one, such as BDIA or ALF, or take data to noise by inversion.Reversed or an iterative inversion",
    )


def small_dtype(run: GridRun) -> Iterator[Finding]:
    """Find a dtype in which the round trip loses more than is allowed."""
    if not has_inverse(run.solver, run.grid, "eps", run.grid.space):
        return
    tensors = run.tensors and run.dtype in TENSORS
    need = required_dtype(run.solver, run.grid, run.tolerance, end="data", tensors=tensors)
    order = [*need.errors, "mpmath"]
    if order.index(need.dtype) <= order.index(run.dtype):
        return
    ways = [f"run in {need.dtype}"] if need.dtype in DTYPES else [] if tensors else ["run in mpmath"]
    ways += ["run exactly, on spaces.Lattice"] if need.dtype not in DTYPES else []
    ways += [f"take {damping(run.solver)}" if damping(run.solver) else "take fewer steps"]
    remedied = (
        measure.return_error(run.solver, run.grid, run.schedule, need.dtype) if need.dtype in DTYPES else math.nan
    )
    yield Finding(
        "small-dtype",
        "error" if need.errors[run.dtype] > 1 else "warning",
        f"dtype={run.dtype}",
        need.summary,
        ", or ".join(ways),
        Cost(
            "rms error of a round trip from the data, in standard deviations",
            measure.return_error(run.solver, run.grid, run.schedule, run.dtype),
            remedied,
        ),
    )


def inverse_amplification(run: GridRun) -> Iterator[Finding]:
    """Find solvers whose inverse enlarges errors on this grid, so that latents are far from those of the ODE; else on grids in use."""
    here = inverse_growth(run.solver, run.grid)
    if here is None:
        return
    elsewhere = {k: v for k, v in inverse_growths(run.solver, run.grid.n).items() if v > LIMIT}
    where, ways = f"solver={identity(run.solver)}, {run.grid.n} steps", "encode by a solver whose inverse does not"
    if here <= LIMIT:
        if elsewhere:
            yield Finding(
                "inverse-amplification",
                "note",
                where,
                f"the inverse enlarges errors {number(here)} times here, and on other grids in use: {listed(elsewhere)}",
                f"{ways}, if the grid is to be changed",
            )
        return
    others: dict[str, Solver] = {"ALF": ALF(), "BDIA with gamma = 1": BDIA(1), "DDIM inversion (10)": DDIM()}
    latents = {name: measure.latent_error(solver, run.grid, run.schedule) for name, solver in others.items()}
    own, best = measure.latent_error(run.solver, run.grid, run.schedule), min(latents, key=lambda name: latents[name])
    helps = latents[best] < own / 2
    yield Finding(
        "inverse-amplification",
        "error" if own > 1 else "warning",
        where,
        f"the inverse enlarges errors {number(here)} times on this grid, those of its own steps included: latents are far from the ODE's, "
        "however exactly they return",
        f"{ways}, such as {best}"
        if helps
        else f"take more steps, or another grid: here {', '.join(others)} come no nearer",
        Cost("rms error of latents, in standard deviations of the noise", own, latents[best] if helps else math.nan),
    )


def growth_to_data(run: GridRun) -> Iterator[Finding]:
    """Find solvers that enlarge a change of encoded states so much on the way to data that edits break."""
    if not has_inverse(run.solver, run.grid, "eps", run.grid.space):
        return
    here = data_growth(run.solver, run.grid)
    if here is None or here <= BREAKS:
        return
    better: dict[str, Solver] = {"BDIA with gamma = 1": BDIA(1), "ALF in the angle": ALF("angle")}
    found = {name: data_growth(solver, run.grid) for name, solver in better.items()}
    growths = {
        name: x for name, x in found.items() if x is not None and x <= BREAKS
    }  # one slot is BDIA's start, flows have no angle
    others = f", or take another solver (growth here: {listed(growths)})" if growths else ""
    yield Finding(
        "growth-to-data",
        "warning",
        f"solver={identity(run.solver)}, {run.grid.n} steps",
        f"the steps enlarge a change of encoded states {number(here)} times on the way to data, in a mode of variance {NARROW:g}: above "
        f"{BREAKS:,.0f} most edits fail (docs/findings/encoding.md)",
        f"decode edits from z alone by DDIM{others}",
        Cost("growth of a perturbation of the noise end", here, max(growths.values(), default=math.nan)),
    )


def rough_grid(run: GridRun) -> Iterator[Finding]:
    """Find slots at which gamma near 1 loses its second order: alpha h^2 jumps there."""
    if run.gamma is None or run.gamma < 0.95 or run.grid.n < 3:
        return
    q = _cancelling(run.grid)
    k = int(np.argmax(np.abs(np.log(q))))
    own = run.error
    ways = {
        "space the times evenly in asinh(sigma/alpha)": _smooth(run),
        f"use O-BELM, whose gamma follows the steps{_for_samples(run)}": measure.solver_error(
            OBELM(), run.grid, run.schedule
        ),
    }
    remedy = min(ways, key=lambda way: ways[way])
    if not 1 / JUMP <= q[k] <= JUMP and ways[remedy] < own / 2:
        i, what = (
            k + 1,
            "sigma/alpha" if isinstance(run.schedule, RatioLevels) else "t",
        )  # by which a walk's grid is indexed
        yield Finding(
            "rough-grid",
            "warning",
            f"{what}={run.grid.t[i + 1]:.4g} to {run.grid.t[i]:.4g} to {run.grid.t[i - 1]:.4g}, slots {i + 1} and {i}",
            f"alpha h^2 changes by the factor {q[k]:.2g} there, "
            f"so the first-order terms of the two slots do not cancel at gamma={run.gamma:g}",
            remedy,
            Cost(measure.ERROR, own, ways[remedy]),
        )


def _for_samples(run: GridRun) -> str:
    """Say what O-BELM's inverse costs on this grid, where it costs something."""
    growth = inverse_growth(OBELM(), run.grid)
    return (
        f", for samples alone: its inverse enlarges errors {number(growth)} times here"
        if growth and growth > LIMIT
        else ""
    )


def _cancelling(grid: grids.Grid) -> Any:
    """Return alpha_{i-1} h_i^2 / (alpha_{i+1} h_{i+1}^2) for i = 1..N-1, whose distance from 1 is BDIA's error at gamma = 1."""
    alpha = np.asarray(grid.alpha, float)
    h = np.diff(_sigma_bar(grid))
    return alpha[:-2] * h[:-1] ** 2 / (alpha[2:] * h[1:] ** 2)


def _sigma_bar(grid: grids.Grid) -> Any:
    return np.asarray(grid.sigma, float) / np.asarray(grid.alpha, float)


def _smooth(run: GridRun) -> float:
    """Return the error on the grid with the same ends, uniform in asinh(sigma/alpha)."""
    s, schedule = _sigma_bar(run.grid), run.schedule
    even = np.sinh(np.linspace(np.arcsinh(s[0]), np.arcsinh(s[-1]), run.grid.n + 1))
    t = np.array([run.grid.t[0], *schedule.time("sigma_bar", even[1:-1]), run.grid.t[-1]])
    made = grids.from_values(t, schedule.alpha(t), schedule.sigma(t), schedule=schedule)
    return measure.solver_error(run.solver, made, schedule)


def gamma_for_grid(run: GridRun) -> Iterator[Finding]:
    """Find a gamma that does clearly worse than another one on this grid."""
    if run.gamma is None or "gamma" not in parameters(run.solver):
        return
    own, others = run.error, [g for g in GAMMAS if g != run.gamma]
    errors = {g: measure.solver_error(_with(run.solver, g), run.grid, run.schedule) for g in others} | {run.gamma: own}
    best = min(errors, key=lambda g: errors[g])
    if errors[best] < own / 2:
        ddim = " DDIM itself (gamma = 0) does better." if errors[0.0] < own else ""
        yield Finding(
            "gamma-for-grid",
            "warning",
            f"gamma={run.gamma:g}, {run.grid.n} steps",
            f"on this grid gamma={best:g} comes nearest to the exact flow.{ddim}".rstrip("."),
            f"take gamma={best:g}, or a smoother grid",
            Cost(measure.ERROR, own, errors[best]),
        )


def _with(solver: Any, gamma: float) -> Any:
    return replace(solver, gamma=gamma)


GRID_RULES: tuple[GridRule, ...] = (
    not_invertible, inverse_amplification, growth_to_data, small_dtype, rough_grid, gamma_for_grid,
)  # fmt: skip
