"""Find the defects of a scheduler's configuration, or of a grid, before they cost a week."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bdia_numerics.analysis.lint import rules
from bdia_numerics.analysis.lint.grid_rules import GRID_RULES, SEVERITIES, Case, Cost, Finding, GridRun, no_run
from bdia_numerics.analysis.perturbation.precision import DTYPES
from bdia_numerics.configs import OutOfTableError, SchedulerConfig, from_mapping, layout, read
from bdia_numerics.grids import Grid
from bdia_numerics.models import PREDICTIONS
from bdia_numerics.program import Solver
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces import Listing, ordered
from bdia_numerics.texts import one_of, refuse

__all__ = ["Cost", "Finding", "lint"]


@ordered
def lint(
    target: Grid | SchedulerConfig | Mapping[str, Any] | str | Path,
    *,
    steps: int | None = None,
    mu: float | None = None,
    timesteps: Sequence[float] | None = None,
    sigmas: Sequence[float] | None = None,
    solver: Solver | None = None,
    dtype: str = "float32",
    prediction: str | None = None,
    tolerance: float = 1e-4,
) -> Listing[Finding]:
    """Return what is wrong with a configuration or a grid, with what it costs and the remedy.

    Costs are measured on a mixture on the line of mean 0 and variance 1, against its exact flow. What is said of the solver holds from
    the first finite sigma/alpha on: a step from pure noise is left out. Of configurations its t is that of `configs.Walk.grid`.

    Parameters
    ----------
    target
        A path of a scheduler_config.json, of a pipeline's folder or of a CompVis YAML; the same as a mapping or as
        `configs.SchedulerConfig`; or a grid with a schedule, for which only the rules on solver and grid apply.
    steps
        Number of steps asked of the scheduler, 50 by default; not of a grid, which has its own.
    mu, timesteps, sigmas
        Passed to its set_timesteps; see `configs.layout`. Not with a grid.
    solver
        The sampler that is to run on these times; BDIA() by default.
    dtype
        What it runs in: "float16", "float32", "float64" or "longdouble".
    prediction
        What the code reads the network's output as ("eps", "x0", "v", "velocity"); None if it is not known.
    tolerance
        Root mean square, in standard deviations of the data, that a round trip may come back wrong.

    Returns
    -------
    tuple of Finding
        The worst first; empty if nothing was found. It shows itself as a table in notebooks, by `to_pandas()` and by `to_html(path)`.

    Raises
    ------
    ValueError
        For arguments that are none of these, and as `configs.from_mapping` and `configs.layout`.
    """
    one_of("dtype", dtype, DTYPES)
    if prediction is not None:
        one_of("prediction", prediction, PREDICTIONS)
    sampler = BDIA() if solver is None else solver
    found: list[Finding] = []
    asked: dict[str, Any]
    if isinstance(target, Grid):
        asked = {"steps": steps, "mu": mu, "timesteps": timesteps, "sigmas": sigmas}
        given = [name for name, value in asked.items() if value is not None]
        refuse(
            (given, f"{', '.join(given)}: a grid has times of its own: leave it out, or pass a configuration"),
            (
                target.schedule is None,
                "this grid was made from values and has no schedule: make it by a named constructor of grids",
            ),
        )
        run = GridRun(sampler, target, dtype, tolerance)
    else:
        config = _config(target)
        if not config.known:
            return _sorted(list(rules.not_read(config)))
        asked = {"mu": mu, "timesteps": timesteps, "sigmas": sigmas}
        asked["n"] = 50 if steps is None and timesteps is None and sigmas is None else steps
        try:
            walk = layout(config, **asked)
        except OutOfTableError as error:
            return Listing([rules.beyond(config, str(error))])
        case = Case(config, asked, walk, prediction)
        found += [finding for rule in rules.RULES for finding in rule(case)]
        finite = tuple(step for step in walk.steps if math.isfinite(max(step.s, step.s_end)))
        try:
            grid = replace(walk, steps=finite).grid() if finite else None
        except ValueError:  # levels are out of order, which a rule has said
            grid = None
        if grid is None:
            return _sorted(found)
        run = GridRun(sampler, grid, dtype, tolerance, tensors=True)
    found += no_run(run) or [finding for rule in GRID_RULES for finding in rule(run)]
    return _sorted(found)


def _config(target: Any) -> SchedulerConfig:
    if isinstance(target, SchedulerConfig):
        return target
    return read(target) if isinstance(target, str | Path) else from_mapping(target)


def _sorted(found: list[Finding]) -> Listing[Finding]:
    return Listing(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))
