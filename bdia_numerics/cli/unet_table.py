"""The command `bdia unet table`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bdia_numerics.cli.options import AsJson, Guidance
from bdia_numerics.cli.show import figure_path, ints
from bdia_numerics.cli.studied import ran, show_study
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
    from bdia_numerics.studies.network_table import NETWORK_TABLE, SOLVERS, TableConfig

    with refusals():
        figure_path(figure)
        chosen = SOLVERS if solvers is None else tuple(word.strip() for word in solvers.split(";"))
        config = TableConfig(
            chosen, tuple(grids.split(",")), ints("--evaluations", evaluations), images, paired=paired, guidance=guidance, seed=seed,
        )  # fmt: skip
        found = ran(NETWORK_TABLE, config)
    show_study(NETWORK_TABLE, found, figure, as_json)
