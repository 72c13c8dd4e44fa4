"""The command `bdia unet edit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import figure_path, floats
from bdia_numerics.cli.studied import ran, show_study
from bdia_numerics.cli.unet import refusals, require_torch


def edit(
    solvers: Annotated[
        str | None,
        typer.Option(
            help="Such as 'BDIA(gamma=1);EDICT;DDIM by (23)'; DDIM by (10) and (23), BDIA and EDICT by default."
        ),
    ] = None,
    guidance: Annotated[str, typer.Option(help="Scales of classifier-free guidance, there and back.")] = "1,3,5",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 40,
    grid: Annotated[str, typer.Option(help="leading, cut, leading+1, trailing, quad, quadratic or asinh.")] = "cut",
    images: Annotated[int, typer.Option(help="Samples of the network that are edited.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of their noise.")] = 0,
    figure: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write a contact sheet as PNG, PDF or SVG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Encode digits under their label and decode them under another, with the shipped network (the paper's figures 4 and 6)."""
    require_torch()
    from bdia_numerics.studies.network_editing import EDITING, SOLVERS, EditConfig

    with refusals():
        figure_path(figure)
        chosen = SOLVERS if solvers is None else tuple(word.strip() for word in solvers.split(";"))
        found = ran(EDITING, EditConfig(chosen, floats("--guidance", guidance), steps, grid, images, seed))
    show_study(EDITING, found, figure, as_json)
