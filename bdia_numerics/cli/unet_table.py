"""The command `bdia unet table`."""

from __future__ import annotations

from typing import Annotated

import typer

from bdia_numerics.cli.options import AsJson, Figure, Grids, Guidance, Nfe, Solvers, parts
from bdia_numerics.cli.show import figure_path
from bdia_numerics.cli.studied import ran, show_study
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
    show_study(study.NETWORK_TABLE, ran(study.NETWORK_TABLE, config), figure, as_json)
