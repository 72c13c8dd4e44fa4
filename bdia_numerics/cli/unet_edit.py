"""The command `bdia unet edit`."""

from __future__ import annotations

from typing import Annotated

import typer

from bdia_numerics.cli.options import AsJson, Figure, OneGrid, Solvers, parts
from bdia_numerics.cli.show import figure_path
from bdia_numerics.cli.studied import ran, show_study
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
    config = study.EditConfig(
        parts(solver, study.SOLVERS), reals("--guidance", guidance), steps, grid or "cut", images, seed
    )
    show_study(study.EDITING, ran(study.EDITING, config), figure, as_json)
