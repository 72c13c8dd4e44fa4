"""The command `bdia map`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bdia_numerics import names
from bdia_numerics.cli.options import AsJson, Distribution, Figure, Grids, ScheduleName, parts
from bdia_numerics.cli.show import as_text, console, figure_path, progress, save_figure, table
from bdia_numerics.solvers import BDIA
from bdia_numerics.texts import wholes


def gamma_map(
    distribution: Distribution = "modes",
    schedule: ScheduleName = "ddpm",
    grid: Grids = None,
    solver: Annotated[
        list[str] | None, typer.Option("--solver", help="BDIA with a gamma, such as bdia:gamma=1/2; again for more.")
    ] = None,
    steps: Annotated[str | None, typer.Option(help="Such as 10,20,40.")] = None,
    states: Annotated[int, typer.Option(help="Number of states.")] = 1000,
    quality: Annotated[
        bool, typer.Option("--quality", help="Compare samples with draws of the distribution, too.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Map the error of BDIA over gamma, grid and steps, and those of DDIM, O-BELM and EDICT.

    On the line errors are distances to the exact flow. Of digits, samples are compared with draws of the distribution.
    """
    from bdia_numerics.studies import gamma_map as study

    figure_path(figure)
    config = study.MapConfig(
        distribution, schedule, parts(grid, study.STANDARD), _gammas(solver, study.GAMMAS),
        wholes("--steps", steps) if steps else study.STEPS, states=states, quality=quality, seed=seed,
    )  # fmt: skip
    with progress() as bar:
        task = bar.add_task("map", total=study.size(config))
        found = study.gamma_map(config, advance=lambda: bar.advance(task))
    if as_json:
        cells = [asdict(cell) for cell in found.cells]
        former = {new: old for old, new in names.FORMER_DISTRIBUTIONS.items()}
        said = asdict(config) | {"law": former.get(config.distribution, config.distribution)}
        typer.echo(as_text({"config": said, "floor": found.floor, "cells": cells}))
    else:
        for what in found.measures:
            _print(found, what)
    if figure is not None:
        from bdia_numerics.plots.gamma_map import curves

        save_figure(figure, curves(found, found.measures[0]))
        typer.echo(f"figure: {figure}", err=True)


def _gammas(given: list[str] | None, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return the gammas of the solvers that are named, all of them BDIA."""
    found = {text: names.solver(text) for text in parts(given, ())}
    if other := next((text for text, made in found.items() if not isinstance(made, BDIA)), None):
        raise ValueError(
            f"--solver={other} is not BDIA: the map is of its gamma, and DDIM, O-BELM and EDICT are compared with it"
        )
    gammas: list[Any] = [made.gamma for made in found.values() if isinstance(made, BDIA)]
    return tuple(map(float, gammas)) or default


def _print(found: Any, what: str) -> None:
    from bdia_numerics.formulas import number

    config = found.config
    heads = [f"{g:g}" for g in config.gammas]
    rows = table("grid", "steps", *(f"gamma {h}" for h in heads), "O-BELM", "EDICT", "best gamma", whole=("grid",))
    floor = f", draws themselves {found.floor[what]:.3g}" if what in found.floor else ""
    rows.title = f"{what.replace('_', ' ')}, distribution {config.distribution}, schedule {config.schedule}{floor}"
    for name in config.grids:
        for steps in config.steps:
            values = [number(cell.value(what)) for cell in found.at(name, steps)]
            rows.add_row(name, str(steps), *values, f"{found.best(name, steps, what).gamma:g}")
    console().print(rows)
