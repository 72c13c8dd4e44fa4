"""What the commands share: one-line errors, tables, progress bars, JSON."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

import typer


def usage(message: str) -> NoReturn:
    """Print one line to standard error and end with status 2."""
    typer.echo(f"bdia: {message}", err=True)
    raise typer.Exit(2)


def plain(text: str) -> str:
    """Return text in which brackets are not markup."""
    from rich.markup import escape

    return escape(text)


def console(width: int = 160) -> Any:
    """Return a console; `width` holds where the output is not a terminal, since 80 columns would cut words."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, highlight=False)


def table(*columns: str, whole: tuple[str, ...] = ("claim", "verdict", "solver", "killed")) -> Any:
    """Return a table with these columns; those in `whole` are not wrapped."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(name, no_wrap=name in whole, overflow="fold")
    return made


def progress() -> Any:
    """Return a progress bar on standard error, silent where that is not a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    error = Console(stderr=True)
    counted = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn())
    columns = (*counted, TimeElapsedColumn(), TextColumn("so far,"), TimeRemainingColumn(), TextColumn("to go"))
    return Progress(*columns, console=error, transient=True, disable=not error.is_terminal)


def ints(name: str, text: str) -> tuple[int, ...]:
    """Return the integers that an option lists, such as 10,20,40; ValueError names the option."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ValueError(f"{name}={text} is not a list of ints: write 10,20,40") from None


def floats(name: str, text: str) -> tuple[float, ...]:
    """Return the numbers that an option lists, such as 1,2.5; ValueError names the option."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ValueError(f"{name}={text} is not a list of numbers: write 1,2.5") from None


def as_text(data: dict[str, Any]) -> str:
    """Return data as JSON; numbers that JSON lacks are null."""
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(x: Any) -> Any:
    if isinstance(x, dict):
        return {k: _finite(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def figure_path(path: Path | None, option: str = "--figure") -> None:
    """Raise ValueError, before anything is measured, for another kind of file, a missing folder, or without matplotlib."""
    from bdia_numerics.plots import MISSING, available

    if path is None:
        return
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"{option}={path}: end its name in .png, .pdf or .svg")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option}={path}: there is no folder {path.absolute().parent}, make it first")
    if not available():
        raise ValueError(MISSING)


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure in the format of its suffix."""
    from bdia_numerics.plots import image

    path.write_bytes(image(figure, format=path.suffix.lstrip(".").lower()))
