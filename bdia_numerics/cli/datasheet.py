"""The command `bdia datasheet`: what is known of one solver."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson, Html, Parameters, parameters
from bdia_numerics.cli.show import as_text, console, plain, progress
from bdia_numerics.runs.files import check, write


def show_datasheet(
    solver: Annotated[
        str,
        typer.Argument(help="A solver of `bdia list`, such as bdia:gamma=9/10, or module:object, which is imported."),
    ],
    others: Parameters = None,
    proved_only: Annotated[bool, typer.Option("--proved-only", help="Leave out what runs show.")] = False,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Print what is proved of a solver, what its runs show (a few seconds), and where the two differ."""
    from bdia_numerics import names
    from bdia_numerics.analysis.sheet.datasheet import datasheet
    from bdia_numerics.analysis.sheet.measured import PARTS
    from bdia_numerics.pages.template import require_pages

    require_pages(html)
    check("--html", html)
    chosen = names.solver(solver, **parameters(others))
    with progress() as bar:
        task = bar.add_task("proving", total=None if proved_only else PARTS)
        found = datasheet(
            chosen,
            measured=not proved_only,
            progress=lambda part: bar.update(task, advance=1, description=part[:14]),
        )
    if html is not None:
        from bdia_numerics.pages.datasheet import render

        write(html, render(found, chosen))
    if as_json:
        typer.echo(as_text(found.as_dict()))
        return
    _print(found)


def _print(found: Any) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    for title, rows in found.sections():
        out.print(f"[bold]{plain(title)}[/bold]")
        page = Table(box=box.SIMPLE, show_header=False, pad_edge=False, show_edge=False)
        page.add_column(no_wrap=True, style="dim")
        page.add_column(overflow="fold")
        for label, text in rows:
            page.add_row(plain(label), plain(text))
        out.print(page)
        out.print()
