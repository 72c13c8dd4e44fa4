"""The command `bdia unet edit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson, Figure, OneGrid, Solvers, parts
from bdia_numerics.cli.show import as_text, console, figure_path, progress, save_figure, table
from bdia_numerics.cli.unet import require_torch
from bdia_numerics.texts import reals


def edit(
    solver: Solvers = None,
    guidance: Annotated[str, typer.Option(help="Scales of classifier-free guidance, there and back.")] = "1,3,5",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 40,
    grid: OneGrid = "cut",
    images: Annotated[int, typer.Option(help="Samples of the network that are edited.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of their noise.")] = 0,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Encode digits under their label and decode them under another, with the shipped network (the paper's figures 4 and 6)."""
    require_torch()
    from bdia_numerics.studies import network_editing as study

    figure_path(figure)
    scales = reals("--guidance", guidance)
    chosen = parts(solver, study.SOLVERS)
    config = study.EditConfig(chosen, scales, steps, grid or "cut", images, seed)
    with progress() as bar:
        task = bar.add_task("edit", total=len(chosen) * len(scales))
        found = study.editing(config, advance=lambda: bar.advance(task))
    if figure is not None:
        from bdia_numerics.plots.network import contact_sheet

        save_figure(figure, contact_sheet(found))
    if as_json:
        edits = [{k: v for k, v in vars(e).items() if k != "images"} for e in found.edits]
        typer.echo(as_text({"config": asdict(config), "targets": found.targets.tolist(), "edits": edits}))
        return
    _print(found)


def _print(found: Any) -> None:
    rows = table(
        "solver", "guidance", "evaluations", "comes back to", "from source", "read as wanted", "as before", "latent std",
        "inversion", whole=("solver",),
    )  # fmt: skip
    for e in found.edits:
        numbers = (
            f"{e.returned:.2g}",
            f"{e.distance:.3f}",
            str(e.as_target),
            str(e.as_source),
            f"{e.latent_std:.2f}",
            e.inversion,
        )
        rows.add_row(e.solver, f"{e.guidance:g}", str(e.nfe), *(numbers if e.status == "ok" else (e.status,)))
    rows.title = f"{found.config.images} images, {found.config.steps} steps, grid {found.config.grid}"
    console().print(rows)
