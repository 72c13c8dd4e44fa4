"""The command `bdia datasheet`: what is known of one solver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import as_text, console, plain, progress, usage


def show_datasheet(
    solver: Annotated[str, typer.Argument(help="A solver of `bdia list`, or module:object, such as bdia:gamma=9/10.")],
    gamma: Annotated[str | None, typer.Option(help="gamma, such as 9/10.")] = None,
    gamma1: Annotated[str | None, typer.Option(help="gamma1, such as 19/20.")] = None,
    gamma2: Annotated[str | None, typer.Option(help="gamma2, such as 1/20.")] = None,
    p: Annotated[str | None, typer.Option(help="p, such as 93/100.")] = None,
    others: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other parameter, such as order=3.")
    ] = None,
    proved_only: Annotated[bool, typer.Option("--proved-only", help="Leave out what runs show.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write the page, with figures, to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what is proved of a solver, what its runs show (a few seconds), and where the two differ."""
    from bdia_numerics import spec
    from bdia_numerics.analysis.sheet.datasheet import datasheet
    from bdia_numerics.analysis.sheet.measured import PARTS

    given = {"gamma": gamma, "gamma1": gamma1, "gamma2": gamma2, "p": p}
    try:
        if html is not None and not html.absolute().parent.is_dir():
            raise ValueError(f"--html={html}: there is no folder {html.absolute().parent}, make it first")
        if html is not None and html.is_dir():
            raise ValueError(f"--html={html} is a folder: name a file in it")
        values = {k: v for k, v in given.items() if v is not None}
        for pair in others or ():
            name, sign, text = pair.partition("=")
            if not sign:
                raise ValueError(f"--set {pair}: write NAME=VALUE, such as order=3")
            values[name] = text
        chosen = spec.solver(solver, **values)
        with progress() as bar:
            task = bar.add_task("proving", total=None if proved_only else PARTS)
            found = datasheet(
                chosen,
                measured=not proved_only,
                progress=lambda part: bar.update(task, advance=1, description=part[:14]),
            )
    except (ValueError, TypeError, ArithmeticError) as error:
        usage(str(error))
    if html is not None:
        from bdia_numerics.pages.datasheet import render

        html.write_text(render(found, chosen), encoding="utf-8")
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
