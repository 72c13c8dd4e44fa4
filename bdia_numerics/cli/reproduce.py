"""The command `bdia reproduce`: a published table, made anew with the weights that somebody has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import (
    AsJson,
    TrustPickle,
    claims,
    counting,
    engine,
    plots,
    put_json,
    require_torch,
    save_figure,
    studies,
)
from bdia_numerics.cli.studies import show_rows
from bdia_numerics.cli.sweep import pool_of
from bdia_numerics.texts import refuse, wholes

PICTURES = 4
"""Prompts of which figure-1 shows images, unless --images says how many."""
BATCH, PIECE = 100, 2500
_KNOWN = "figure-1, table-1, table-2:quad|cut|trailing|leading|pndm, table-3, belm:cifar10"


def reproduce(
    table: Annotated[
        str, typer.Argument(help=f"What to make: {_KNOWN}; a table without a protocol runs all of its protocols.")
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A checkpoint of DDIM's or PNDM's repository, a diffusers folder, or a pickle of EDM; without it the shipped network of "
            "digits stands in.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="STATS.npz",
            help="A file with mu and sigma of the features of real images; without it those of MNIST stand in.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.pt|MODULE:FUNCTION",
            help="A network that takes uint8 images (n, 3, height, width) and returns features (n, d); without it the shipped "
            "classifier of digits stands in.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set of the weights, if the network does not tell it: FFHQ or AFHQV2.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="FILE", help="For table-1 and figure-1: one prompt a line.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Images of a run; the number of the protocol by default.")] = None,
    steps: Annotated[
        str | None, typer.Option(help="Which of the table's numbers of steps to run, such as 10,20; all by default.")
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(help="Runs, each with its own noise; an interval needs two runs, and the verdict measured three."),
    ] = "0,1,2",
    batch: Annotated[int, typer.Option(help="Images at a time; halved where memory does not suffice.")] = BATCH,
    piece: Annotated[
        int, typer.Option(help="Images that are saved together; a process that is killed loses at most as many.")
    ] = PIECE,
    device: Annotated[str, typer.Option(help="Device of the network in each process, such as cuda.")] = "cpu",
    ema: Annotated[
        bool, typer.Option("--ema/--no-ema", help="Take the running mean where a checkpoint has both.")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the run is kept; results/TABLE-DATA by default."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine; one by default.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask cluster instead, such as tcp://host:8786, one process a device.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run again what failed before.")] = False,
    trust_pickle: TrustPickle = False,
    as_json: AsJson = False,
) -> None:
    """Sample by every solver of a published table, compute FID over seeds, and show it next to the published figures.

    Finished pieces are kept: if the command is stopped or killed, the same command continues the run. `bdia verify --results FOLDER`
    decides the claim by the result. The exit status is 1 if a run failed.
    """
    unused = {
        "--steps": steps, "--reference": reference, "--features": features, "--workers": workers, "--scheduler": scheduler,
        "--retry": retry, "--json": as_json, "--batch": batch != BATCH, "--piece": piece != PIECE,
    }  # fmt: skip
    refuse(
        (images is not None and images < 1, f"--images={images}: give 1 or more"),
        *(
            (
                table == "figure-1" and given is not None and given is not False,
                f"{name} has no meaning for figure-1, images at 10 steps: leave it out",
            )
            for name, given in unused.items()
        ),
    )
    require_torch()
    given, study, whole, running = studies.given, studies.reproduction, studies.study, engine.running
    name, variants = studies.protocols.protocols("table-1" if table == "figure-1" else table)
    config = given.ReproductionConfig(
        name, variants, data or "", absolute(weights), absolute(reference), absolute(features), absolute(prompts), images=images or 0,
        seeds=wholes("--seeds", seeds), steps=(), batch=batch, piece=piece, device=device, ema=ema, trust_pickle=trust_pickle,
    )  # fmt: skip
    if table == "figure-1":
        _draw_figure_1(config, out or Path("results"))
        return
    # Before files are read for their digests, which are all of a wrong folder.
    config = replace(config, data=study.data_of(config))
    config = replace(config, digests=given.digests(config))
    config = replace(config, steps=wholes("--steps", steps) if steps else ())
    given.checked(config)
    folder = out or Path("results") / f"{table.replace(':', '-')}-{config.data}"
    pool = pool_of(1 if workers is None and scheduler is None else workers, scheduler)
    kept = running.finished(folder, study.REPRODUCTION, config)
    left = sum(whole.key(task) not in kept for task in whole.work(study.REPRODUCTION, config))
    try:
        with counting(table, left) as advance:
            found = studies.run(
                study.REPRODUCTION, config, folder=folder, pool=pool, retry=retry, watch=lambda _: advance()
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on from here") from None
    rows, path = study.rows(found), running.dataset_path(folder, study.REPRODUCTION)
    if as_json:
        put_json({**studies.records.data(study.REPRODUCTION, found), "dataset": str(path)})
    else:
        show_rows(study.REPRODUCTION, found)
        if departs := rows[0]["departs"]:
            typer.echo(f"A stand-in, which decides nothing: {departs}.")
        typer.echo(f"{config.data}: {path}")
        if name in claims.ledger.statements():
            typer.echo(f"What it decides: bdia verify --only {name} --results {folder}")
    raise typer.Exit(int(found.attrs["failed"] > 0))


def _draw_figure_1(config: Any, folder: Path) -> None:
    plots.required()
    study, pictures = studies.reproduction, plots.pictures
    prompts, images = study.figure_1(config, config.images or PICTURES)
    path = folder / "figure-1.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    caption = f"10 steps, guidance {config.protocol.guidance:g}, seed {config.seeds[0]}"
    sheet = pictures.Sheet(
        images / 255, rows=[fill(prompt, 20) for prompt in prompts], columns=study.FIGURE_1, high=1.0, caption=caption
    )
    save_figure(path, pictures.sheets([sheet], width=6.5, margin=1.8))
    typer.echo(f"figure: {path}; its prompts are not those of the paper, which it does not list")


def absolute(text: str | None) -> str:
    """Return the absolute path of what is in this file system, and any other text as it is."""
    return str(Path(text).resolve()) if text and Path(text).exists() else text or ""
