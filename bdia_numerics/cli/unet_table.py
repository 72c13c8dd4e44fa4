"""The command `bdia unet table`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson, Guidance
from bdia_numerics.cli.show import as_text, console, figure_path, ints, progress, save_figure, table
from bdia_numerics.cli.unet import refusals, require_torch


def show_table(
    solvers: Annotated[
        str | None, typer.Option(help="Solvers of `bdia list`, such as 'DDIM;BDIA(gamma=1/2)'; those of the paper.")
    ] = None,
    grids: Annotated[str, typer.Option(help="Some of leading,cut,leading+1,trailing,quad,quadratic,asinh.")] = (
        "leading,cut,trailing,quad"
    ),
    evaluations: Annotated[str, typer.Option(help="Numbers of model evaluations in a run.")] = "10,20,40",
    images: Annotated[int, typer.Option(help="Samples.")] = 256,
    paired: Annotated[int, typer.Option(help="How many are compared with the network's own ODE; 0 for none.")] = 32,
    guidance: Guidance = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    figure: Annotated[Path | None, typer.Option(metavar="PATH", help="Write a figure as PNG, PDF or SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare solvers on the shipped network at equal numbers of evaluations, as the paper's table 2 does.

    Samples are compared with the test images of MNIST by the Frechet distance in the shipped classifier's features (which is not FID), and
    with the network's own ODE. The defaults take forty minutes of one core; `--grids cut --images 64 --evaluations 10` takes one or two.
    """
    require_torch()
    from bdia_numerics.studies import network_table as study

    with refusals():
        figure_path(figure)
        chosen = study.SOLVERS if solvers is None else tuple(word.strip() for word in solvers.split(";"))
        config = study.TableConfig(
            chosen, tuple(grids.split(",")), ints("--evaluations", evaluations), images, paired=paired, guidance=guidance, seed=seed,
        )  # fmt: skip
        with progress() as bar:
            task = bar.add_task("table", total=study.size(config))
            found = study.table(config, advance=lambda: bar.advance(task))
    if figure is not None:
        from bdia_numerics.plots.network import bars

        save_figure(figure, bars(found))
    if as_json:
        cells = [asdict(cell) for cell in found.cells]
        typer.echo(as_text({"config": asdict(config), "floor": found.floor, "cells": cells}))
        return
    _print(found)


def _print(found: Any) -> None:
    rows = table(
        "grid", "solver", "steps", "evaluations", "Frechet", "95%", "DDIM less it", "95%", "from own ODE", "read", whole=("solver",)
    )  # fmt: skip
    for c in found.cells:
        if c.status != "ok":
            rows.add_row(c.grid, c.solver, str(c.steps), str(c.nfe), c.status)
            continue
        own = f"{c.distance:.3f} ({c.uncertainty:.1g})" if c.distance == c.distance else ""
        rows.add_row(
            c.grid, c.solver, str(c.steps), str(c.nfe), f"{c.frechet:.2f}", f"{c.low:.2f} to {c.high:.2f}", f"{c.gain:+.2f}",
            f"{c.gain_low:+.2f} to {c.gain_high:+.2f}", own, f"{c.recognised:.0f}",
        )  # fmt: skip
    rows.title = f"{found.config.images} samples; as many training images are {found.floor:.2f} from the test images"
    console().print(rows)
