"""The command `bdia map`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bdia_numerics import names
from bdia_numerics.cli.options import AsJson, Distribution, Figure, Grids, ScheduleName, parts
from bdia_numerics.cli.show import figure_path
from bdia_numerics.cli.studied import ran, show_study
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
    show_study(study.MAP, ran(study.MAP, config), figure, as_json)


def _gammas(given: list[str] | None, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return the gammas of the solvers that are named, all of them BDIA."""
    found = {text: names.solver(text) for text in parts(given, ())}
    if other := next((text for text, made in found.items() if not isinstance(made, BDIA)), None):
        raise ValueError(
            f"--solver={other} is not BDIA: the map is of its gamma, and DDIM, O-BELM and EDICT are compared with it"
        )
    gammas: list[Any] = [made.gamma for made in found.values() if isinstance(made, BDIA)]
    return tuple(map(float, gammas)) or default
