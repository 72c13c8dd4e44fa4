"""The command `bdia unet table`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson, Figure, Grids, Guidance, Nfe, Solvers, parts
from bdia_numerics.cli.show import as_text, console, figure_path, progress, save_figure, table
from bdia_numerics.cli.unet import require_torch
from bdia_numerics.texts import wholes


def show_table(
    solver: Solvers = None,
    grid: Grids = None,
    nfe: Nfe = "10,20,40",
    images: Annotated[int, typer.Option(help="Samples.")] = 256,
    paired: Annotated[int, typer.Option(help="How many are compared with the network's own ODE; 0 for none.")] = 32,
    guidance: Guidance = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Compare solvers on the shipped network at equal numbers of evaluations, as the paper's table 2 does.

    Samples are compared with the test images of MNIST by the Frechet distance in the shipped classifier's features (which is not FID), and
    with the network's own ODE. The defaults take forty minutes of one core; `--grid cut --images 64 --nfe 10` takes one or two.
    """
    require_torch()
    from bdia_numerics.studies import network_table as study

    figure_path(figure)
    default = study.TableConfig()
    config = study.TableConfig(
        parts(solver, default.solvers), parts(grid, default.grids), wholes("--nfe", nfe),
        images, paired=paired, guidance=guidance, seed=seed,
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
