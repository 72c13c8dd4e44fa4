"""The command `bdia map`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import as_text, console, progress, table, usage


def gamma_map(
    law: Annotated[str, typer.Option(help="mixture, broad, small, tight (on the line), or digits.")] = "mixture",
    schedule: Annotated[str, typer.Option(help="ddpm or sd.")] = "ddpm",
    grids: Annotated[
        str | None,
        typer.Option(help="Some of leading,cut,leading+1,trailing,quad,quadratic,asinh; all but cut by default."),
    ] = None,
    gammas: Annotated[str | None, typer.Option(help="Such as 0,0.5,1.")] = None,
    steps: Annotated[str | None, typer.Option(help="Such as 10,20,40.")] = None,
    states: Annotated[int, typer.Option(help="Number of states.")] = 1000,
    quality: Annotated[
        bool, typer.Option("--quality", help="Compare samples with draws of the distribution, too.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    figure: Annotated[Path | None, typer.Option(metavar="PATH", help="Write curves as PNG, PDF or SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Map the error of BDIA over gamma, grid and steps, and those of DDIM, O-BELM and EDICT.

    On the line errors are distances to the exact flow. Of digits, samples are compared with draws of the distribution.
    """
    from bdia_numerics.studies import gamma_map as study

    try:
        given: dict[str, Any] = {"grids": _list(grids, str), "gammas": _list(gammas, float), "steps": _list(steps, int)}
        chosen = {k: v for k, v in given.items() if v is not None}
        config = study.MapConfig(law, schedule, states=states, quality=quality, seed=seed, **chosen)
        with progress() as bar:
            task = bar.add_task("map", total=study.size(config))
            found = study.gamma_map(config, advance=lambda: bar.advance(task))
    except ValueError as error:
        usage(str(error))
    if as_json:
        cells = [asdict(cell) for cell in found.cells]
        typer.echo(as_text({"config": asdict(config), "floor": found.floor, "cells": cells}))
    else:
        for what in found.measures:
            _print(found, what)
    if figure is not None:
        _draw(found, figure)


def _list(text: str | None, kind: type) -> tuple[Any, ...] | None:
    try:
        return None if text is None else tuple(kind(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text} is not a list of numbers: write 0,0.5,1") from None


def _print(found: Any, what: str) -> None:
    from bdia_numerics.formulas import number

    config = found.config
    heads = [f"{g:g}" for g in config.gammas]
    rows = table("grid", "steps", *(f"gamma {h}" for h in heads), "O-BELM", "EDICT", "best gamma", whole=("grid",))
    floor = f", draws themselves {found.floor[what]:.3g}" if what in found.floor else ""
    rows.title = f"{what.replace('_', ' ')}, distribution {config.law}, schedule {config.schedule}{floor}"
    for name in config.grids:
        for steps in config.steps:
            values = [number(cell.value(what)) for cell in found.at(name, steps)]
            rows.add_row(name, str(steps), *values, f"{found.best(name, steps, what).gamma:g}")
    console().print(rows)


def _draw(found: Any, path: Path) -> None:
    from bdia_numerics import plots

    if not plots.available():
        usage(plots.MISSING)
    from bdia_numerics.plots.gamma_map import curves

    kind = path.suffix.lstrip(".").lower()
    if kind not in ("png", "pdf", "svg"):
        usage(f"--figure={path} ends in none of .png, .pdf, .svg")
    try:
        path.write_bytes(plots.image(curves(found, found.measures[0]), format=kind))
    except OSError as error:
        usage(f"--figure={path} cannot be written ({error.strerror}): give another path")
    typer.echo(f"figure: {path}", err=True)
