"""What every command that runs a study does: run it, then print its table or its JSON, and draw its figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bdia_numerics.cli.show import as_text, console, plain, progress, save_figure, table

if TYPE_CHECKING:
    from bdia_numerics.studies import Study

ROWS = 40
"""Rows of a table that `bdia sweep` prints."""


def ran(study: Study, config: Any) -> Any:
    """Return the dataset of a study, run in this process with a bar that shows how far it is."""
    from bdia_numerics.studies import run
    from bdia_numerics.studies.study import cells

    with progress() as bar:
        task = bar.add_task(study.name[:14], total=sum(1 for _ in cells(study, config)))
        return run(study, config, advance=lambda: bar.advance(task))


def show_study(study: Study, found: Any, figure: Path | None, as_json: bool) -> None:
    """Print a dataset as the study's table, or as its JSON, and write its figure where a path is given."""
    from bdia_numerics.studies.records import data

    if figure is not None:
        from bdia_numerics.plots import figure_of

        save_figure(figure, figure_of(study, found))
        typer.echo(f"figure: {figure}", err=True)
    if as_json:
        typer.echo(as_text(data(study, found)))
    else:
        show_rows(study, found)


def show_rows(study: Study, found: Any, most: int | None = None) -> None:
    """Print a study's table, at most so many rows of it."""
    from bdia_numerics.studies.records import table as texts

    caption, heads, rows = texts(study, found)
    if not rows:
        return
    shown = table(*heads, whole=("solver", "grid"))
    for row in rows[:most]:
        shown.add_row(*map(plain, row))
    if caption:
        typer.echo(caption)
    console().print(shown)
    if most is not None and len(rows) > most:
        typer.echo(f"{len(rows) - most} more rows are in the dataset")
