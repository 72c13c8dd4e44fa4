"""What the commands share: tables, progress bars, JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from bdia_numerics.runs.files import check, write

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """Return text whose control characters are written out: a docstring or a name of a file moves no cursor and sets no colour."""
    return text.translate(_CONTROLS)


def console(width: int = 160) -> Any:
    """Return a console; `width` holds where the output is not a terminal, since 80 columns would cut words."""
    from rich.console import Console

    return Console(width=None if sys.stdout is not None and sys.stdout.isatty() else width, highlight=False)


def show_table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], whole: Sequence[str] = (), width: int = 160
) -> None:
    """Print a table; a cell is what prints as its text, or a pair of a text and its colour, and columns in `whole` are not wrapped."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in heads:
        made.add_column(name, no_wrap=name in whole, overflow="fold")
    for row in rows:
        pairs = (cell if isinstance(cell, tuple) else (str(cell), "") for cell in row)
        made.add_row(*(Text(visible(text), colour) for text, colour in pairs))
    console(width).print(made)


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
    # Half an hour, since a step of a long run takes longer than the half minute that rich remembers.
    return Progress(*columns, console=error, transient=True, disable=not error.is_terminal, speed_estimate_period=1800)


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a progress bar inside, and give a function that moves it on, and may say at what."""
    with progress() as bar:
        task = bar.add_task(what, total=total)

        def advance(said: str = "", by: int = 1) -> None:
            bar.update(task, advance=by, **({"description": said} if said else {}))

        yield advance


def as_text(data: dict[str, Any]) -> str:
    """Return data as JSON; numbers that JSON lacks are null."""
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False)


def say(found: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], as_json: bool) -> None:
    """Print what was found, as JSON or in lines."""
    typer.echo(as_text(found) if as_json else "\n".join(lines(found)))


def _finite(x: Any) -> Any:
    x = getattr(x, "tolist", lambda: x)()  # of an array
    if isinstance(x, dict):
        return {k: _finite(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def figure_path(path: Path | None, option: str = "--figure") -> None:
    """Raise ValueError, before anything is measured, for a figure that cannot be drawn or written."""
    from bdia_numerics.plots import MISSING, available

    check(option, path, (".png", ".pdf", ".svg"))
    if path is not None and not available():
        raise ValueError(MISSING)


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure in the format of its suffix."""
    from bdia_numerics.plots import image

    write(path, image(figure, format=path.suffix.lstrip(".").lower()))


def require_torch() -> None:
    """Raise ImportError with the extra's name unless the extra torch is installed."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "diffusers", "safetensors") if find_spec(name) is None]
    if missing:
        raise ImportError(f"unet needs {', '.join(missing)}: pip install 'bdia_numerics[torch]'")
