"""The command `bdia pages`: the pages of the documentation that are made from saved data, the ledger and studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import as_text, console, plain, progress, table

if TYPE_CHECKING:
    from bdia_numerics.pages.documents import Document


def pages(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME ...]", help="Pages of --list; all by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write docs/... and README.md under it; in the checkout by default."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Also run what takes minutes and is not saved: the claims, the studies.")
    ] = False,
    as_list: Annotated[bool, typer.Option("--list", help="List the pages and what they come from, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the pages of a checkout's documentation that nobody types, from saved data, the ledger and studies.

    Without --recompute those that need runs are left as they are. `bdia figures --recompute --data paper_figs/data` runs the studies behind
    the saved data of figures.
    """
    from bdia_numerics import plots
    from bdia_numerics.pages.documents import DOCUMENTS, checkout, make

    if unknown := [name for name in names or () if name not in DOCUMENTS]:
        raise ValueError(f"{unknown[0]} is none of {', '.join(DOCUMENTS)}")
    chosen = {name: DOCUMENTS[name] for name in DOCUMENTS if not names or name in names}
    if as_list:
        _list(chosen, as_json)
        return
    left = {name: f"about {d.minutes:g} min of one core" for name, d in chosen.items() if d.runs_first(recompute)}
    if names and left:
        name, minutes = next(iter(left.items()))
        raise ValueError(f"{name} is made from runs, {minutes}: give --recompute")
    if not plots.available():
        raise ValueError(plots.MISSING)
    with progress() as bar:
        task = bar.add_task("pages", total=len(chosen) - len(left))
        found = make(
            list(chosen),
            root=checkout(),
            out=out,
            recompute=recompute,
            advance=lambda name: bar.update(task, advance=1, description=name),
        )
    if as_json:
        typer.echo(as_text({"pages": found, "left": left}))
        return
    rows = table("page", "file", "", whole=("page",))
    for name, files in found.items():
        for path, what in files.items():
            rows.add_row(name, path, what)
    console().print(rows)
    if left:
        typer.echo(f"bdia: left as they are, since they need --recompute: {', '.join(left)}", err=True)


def _list(chosen: dict[str, Document], as_json: bool) -> None:
    listed = {
        name: {"files": d.files, "source": d.source, "minutes": d.minutes, "saved": d.saved or not d.minutes}
        for name, d in chosen.items()
    }
    if as_json:
        typer.echo(as_text(listed))
        return
    rows = table("page", "writes", "from", "minutes of runs", whole=("page",))
    for name, d in chosen.items():
        runs = f"{d.minutes:g}{', saved' if d.saved else ''}" if d.minutes else ""
        rows.add_row(name, plain(d.files), plain(d.source), runs)
    console().print(rows)
