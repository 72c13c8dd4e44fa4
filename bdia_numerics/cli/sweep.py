"""The command `bdia sweep`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics.cli.options import (
    AsJson,
    Figure,
    counting,
    engine,
    figure_path,
    plots,
    put_json,
    save_figure,
    show_table,
    studies,
)
from bdia_numerics.cli.studies import ROWS, show_rows
from bdia_numerics.texts import refuse

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
