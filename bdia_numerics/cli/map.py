"""The command `bdia map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import figure_path, usage
from bdia_numerics.cli.studied import ran, show_study


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
    from bdia_numerics.studies.gamma_map import MAP, MapConfig

    try:
        figure_path(figure)
        given: dict[str, Any] = {"grids": _list(grids, str), "gammas": _list(gammas, float), "steps": _list(steps, int)}
        chosen = {k: v for k, v in given.items() if v is not None}
        found = ran(MAP, MapConfig(law, schedule, states=states, quality=quality, seed=seed, **chosen))
        show_study(MAP, found, figure, as_json)
    except ValueError as error:
        usage(str(error))


def _list(text: str | None, kind: type) -> tuple[Any, ...] | None:
    try:
        return None if text is None else tuple(kind(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text} is not a list of numbers: write 0,0.5,1") from None
