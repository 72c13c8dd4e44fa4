"""The commands `bdia sweep` and `bdia reproduce`: long runs of studies, kept in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics.cli.options import (
    AsJson,
    Figure,
    TrustPickle,
    claims,
    counting,
    engine,
    figure_path,
    plots,
    put_json,
    require_torch,
    save_figure,
    show_table,
    studies,
)
from bdia_numerics.cli.studies import ROWS, show_rows
from bdia_numerics.texts import refuse, wholes

if TYPE_CHECKING:
    from bdia_numerics.studies import Outcome, Pool, Study, Task


SHOWN = 10
"""Kinds of failures that are printed."""
SAMPLES = 4
"""Cells that a dry run times."""


def sweep(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG.toml",
            help="What to run, as in examples/sweep.toml. A module:object in it is imported, with --dry-run too.",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="A study by name, instead of the one in the file or of a product.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where journal and dataset are kept; results/ with the file's name."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine; one for each core by default.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="A Dask cluster instead, such as tcp://host:8786.")] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="For a cell; it is recorded as failed then. Not on a Dask cluster."),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run cells again that failed before.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many cells there are, and how long they take.")
    ] = False,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="Show the cells that were run, the slowest first; run none.")
    ] = False,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Run any product of solvers, parameters, grids, problems, steps, dtypes and seeds, or a study.

    Each cell is kept when it is finished. If the sweep is stopped or killed, the same command continues it, and the dataset is the same.
    With more solvers, steps or seeds in the file it computes the new cells alone. The exit status is 1 if a cell failed.
    """
    chosen, settings, folder = _chosen(config, study, out)
    if tasks:
        status = _show_tasks(studies.tasks(folder, chosen, settings), as_json)
    elif dry_run:
        status = _show_plan(chosen, settings, folder, workers, as_json)
    else:
        figure_path(figure)
        try:
            status = _go(chosen, settings, folder, pool_of(workers, scheduler, timeout), retry, figure, as_json)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; the same command goes on from here") from None
    raise typer.Exit(status)


def _chosen(path: Path | None, name: str | None, out: Path | None) -> tuple[Study, Any, Path]:
    """Return study, configuration and folder; ValueError says in which file what is wrong."""
    if path is None and name is None:
        raise ValueError(f"nothing to run: give a CONFIG.toml, or --study with one of {', '.join(studies.STUDIES)}")
    given = {} if path is None else engine.files.read(path)
    try:
        said = given.pop("study", None)
        if name and said and name != said:
            raise ValueError(f"study={said!r}, but --study={name}: give one of the two")
        study = engine.files.chosen(studies.STUDIES, name or said or "sweep")
        settings = engine.files.configured(study, given)
        studies.study.coordinates(study, settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}" if path else str(error)) from None
    return study, settings, out or Path("results") / (path.stem if path else study.name)


def pool_of(workers: int | None, scheduler: str | None, timeout: float | None = None) -> Any:
    """Return where a study's cells are computed; ValueError for both a number of processes, or a timeout, and a cluster."""
    for name, value, why in (
        ("timeout", timeout, "only processes of this machine can be ended, leave one out"),
        ("workers", workers, "a cluster has its own workers, give one of the two"),
    ):
        refuse((scheduler and value is not None, f"--{name}={value} and --scheduler={scheduler}: {why}"))
    if scheduler is not None:
        return studies.cluster(scheduler)
    return studies.serial if workers == 1 and timeout is None else studies.processes(workers, timeout=timeout)


def _go(study: Study, settings: Any, folder: Path, pool: Pool, retry: bool, figure: Path | None, as_json: bool) -> int:
    failed = 0

    def watch(outcome: Outcome) -> None:
        nonlocal failed
        failed += bool(outcome.failure)
        if failed:
            advance(f"{study.name}, {failed} failed", 0)

    with counting(study.name[:14], len(studies.study.work(study, settings))) as advance:
        dataset = studies.run(study, settings, folder=folder, pool=pool, retry=retry, advance=advance, watch=watch)
    path, done = engine.running.dataset_path(folder, study), studies.tasks(folder, study, settings)
    if figure is not None:
        save_figure(figure, plots.figure_of(study, dataset))
        typer.echo(f"figure: {figure}", err=True)
    failures = [t for t in done if t.failure]
    if as_json:
        head = {
            "study": study.name,
            "dataset": str(path),
            "data_hash": studies.data_hash(dataset),
            "failed": len(failures),
        }
        put_json({**head, "cells": [asdict(t) for t in done]})
        return int(bool(failures))
    show_rows(study, dataset, ROWS)
    seconds = sorted(t.seconds for t in done if t.seconds == t.seconds) or [0.0]
    times = f"{_time(sum(seconds))} in all, a median of {_time(seconds[len(seconds) // 2])} each, at most {_time(seconds[-1])}"
    typer.echo(f"{len(done)} cells, {times}: {path}")
    _show_failures([(t.cell, t.failure) for t in failures])
    return int(bool(failures))


def _show_failures(failures: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Print each kind of failure once, with the first cell."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for cell, failure in failures:
        kinds.setdefault(failure, []).append(cell)
    for failure, cells in list(kinds.items())[:SHOWN]:
        typer.echo(f"{len(cells)} failed: {failure}; the first: {_words(cells[0])}")
    if len(kinds) > SHOWN:
        typer.echo(f"and {len(kinds) - SHOWN} more kinds of failures: --tasks lists them")


def _show_tasks(done: list[Task], as_json: bool) -> int:
    if as_json:
        put_json({"cells": [asdict(t) for t in done]}, "--tasks")
    else:
        first = sorted(done, key=lambda t: (not t.failure, -t.seconds))[:ROWS]
        rows = ((_words(t.cell), f"{t.seconds:.3g}", t.attempts, t.worker, t.failure) for t in first)
        show_table(("cell", "seconds", "attempts", "worker", "failure"), rows, whole=("seconds", "attempts"))
        typer.echo(f"{len(done)} cells, {sum(bool(t.failure) for t in done)} failed; --json lists all of them")
    return 0


def _show_plan(study: Study, settings: Any, folder: Path, workers: int | None, as_json: bool) -> int:
    kept = engine.running.finished(folder, study, settings)
    missing = [cell for cell in studies.study.work(study, settings) if studies.study.key(cell) not in kept]
    apart, job = max(1, len(missing) // SAMPLES), engine.local.StudyJob(study, settings, "", "")
    tried = [engine.local.attempt(job, cell) for cell in [*missing[:1], *missing[apart // 2 :: apart][:SAMPLES]]]
    sample = tried[1:]  # the first one imports what all need
    each = sum(outcome.seconds for outcome in sample) / max(1, len(sample))
    count = workers or engine.local.cores()
    found = {
        "study": study.name,
        "cells": len(missing),
        "finished": len(kept),
        "seconds_a_cell": each,
        "workers": count,
    }
    if as_json:
        put_json({**found, "seconds": each * len(missing) / count}, "--dry-run")
        return 0
    typer.echo(f"study {study.name}: {len(missing)} cells to run, {len(kept)} finished in {folder}")
    typer.echo(
        f"about {_time(each)} a cell ({len(sample)} were tried): {_time(each * len(missing))} of one core, "
        f"{_time(each * len(missing) / count)} on {count}"
    )
    _show_failures([(outcome.cell, outcome.failure) for outcome in sample if outcome.failure])
    return 0


def _words(cell: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in cell.items())


def _time(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * size or (unit == "s" and seconds >= 1):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms"


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
    config = replace(config, digests=given.digests(config))
    config = replace(config, data=study.data_of(config))
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
