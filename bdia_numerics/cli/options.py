"""The vocabulary of the command line: options that mean the same in every command, and what commands show: tables, progress, JSON."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bdia_numerics import names, solvers
from bdia_numerics.cli import schemas
from bdia_numerics.runs.files import check, write
from bdia_numerics.spaces.later import Later
from bdia_numerics.texts import listed, real, whole

# Rooms and libraries that take long to import: a command waits for those alone that it uses.
analysis = Later("bdia_numerics.analysis")
claims = Later("bdia_numerics.claims")
editing = Later("bdia_numerics.torch.editing")
engine = Later("bdia_numerics.studies.engine")
networks = Later("bdia_numerics.torch.networks")
plots = Later("bdia_numerics.plots")
rich = Later("rich")
runs = Later("bdia_numerics.runs")
site = Later("bdia_numerics.pages")
studies = Later("bdia_numerics.studies")
tensors = Later("bdia_numerics.torch.tensors")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
Figure = Annotated[Path | None, typer.Option("--figure", metavar="PATH", help="Draw it: .png, .pdf or .svg.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="PATH", help="Write the page, one file with its figures.")]
PAGE = (".html", ".htm")


def known_solvers() -> list[str]:
    """Return the words that a shell completes where a solver stands."""
    return [word.lower() for word in (*solvers.SOLVERS, *solvers.SECOND_ORDER)]


_TEXT = "`bdia list` names them; parameters behind it, bdia:gamma=9/10; or module:object of this folder"
Solvers = Annotated[
    list[str] | None, typer.Option("--solver", help=f"A solver; again for more. {_TEXT}.", autocompletion=known_solvers)
]
OneSolver = Annotated[str, typer.Option("--solver", help=f"The solver. {_TEXT}.", autocompletion=known_solvers)]
Grids = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        help=f"A grid; again or with commas for more: {', '.join(names.GRIDS)}, such as karras:rho=5; or module:object.",
    ),
]
OneGrid = Annotated[
    str | None,
    typer.Option("--grid", help=f"The grid: {', '.join(names.GRIDS)}, such as karras:rho=5; or module:object."),
]
Families = Annotated[
    str, typer.Option("--family", help=f"How grids are refined: {', '.join(names.FAMILIES)}; several with commas.")
]
ScheduleName = Annotated[
    str, typer.Option("--schedule", help=f"The schedule: {', '.join(names.SCHEDULES)}; or module:object.")
]
Distribution = Annotated[
    str,
    typer.Option(
        "--distribution", help=f"Of the data: {', '.join(names.DISTRIBUTIONS)}, such as gaussian:0.5; or module:object."
    ),
]
Nfe = Annotated[str, typer.Option("--nfe", help="Budgets of model evaluations, like 10,20,40.")]
Variable = Annotated[str, typer.Option(help="What the steps are of: asinh, sigma_bar, log_snr, angle or t.")]
NoiseEnd = Annotated[str, typer.Option(help="Noise end of the grids.")]
DataEnd = Annotated[str, typer.Option(help="Data end of the grids.")]
Guidance = Annotated[float, typer.Option(help="Scale of classifier-free guidance; 1 is none.")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="Open a pickle, which runs the code in it.")]
Inversion = Annotated[
    str,
    typer.Option(
        help="How to go from data to noise: default; (10) or (23), DDIM inversion whose network is told the time to which a step leads, or "
        "that of its state; reversed, the solver on the reversed grid; or fixed point, eq. (9) by three iterations a slot."
    ),
]


def parts(given: list[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return what an option names that stands more than once, or with commas, without repetitions; a default where it does not stand."""
    return tuple(dict.fromkeys(part for text in given or () for part in listed(text))) or default


_PARAMETERS = {f"--{name}": f"bdia:{name}=VALUE as the solver" for name in ("gamma", "gamma1", "gamma2", "p")}
_UNET = {
    "--spacing": "--grid",
    "--output": "--figure",
    "--solvers": "--solver, once for each",
    "--evaluations": "--nfe",
}
FORMER: Mapping[str, Mapping[str, str]] = {
    "converge": {"--grid": "--family", "--problem": "--distribution", "--arithmetic": "--dtype"},
    "lint": {"--wanted-error": "--tolerance"},
    "work-precision": {"--grid": "--family", "--problem": "--distribution"},
    "map": {
        "--law": "--distribution, where mixture is now modes, and tight sharp",
        "--grids": "--grid",
        "--gammas": "--solver bdia:gamma=VALUE, once for each",
    },
    "roundtrip": _PARAMETERS,
    "datasheet": {**_PARAMETERS, "--set": "the parameter behind the solver, name:VALUE"},
    "sample": _UNET,
    "growth": _UNET,
    "table": {**_UNET, "--grids": "--grid"},
}
"""By command and former option, what is written now."""


class Command(TyperCommand):
    """A command that refuses former options in words, and takes no number that no machine has memory for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words; ValueError for a former option, with what is written now, and for a second value where one is taken."""
        given = Counter(word.partition("=")[0] for word in args)
        for option in given:
            if (now := FORMER.get(str(ctx.info_name), {}).get(option)) is not None:
                raise ValueError(f"{option} is gone: write {now}")
        for param in self.params:
            twice = sum(given[option] for option in param.opts if option.startswith("-")) > 1
            if twice and not getattr(param, "multiple", False) and not getattr(param, "is_flag", False):
                raise ValueError(f"{param.opts[0]} is given twice, and takes one value: give it once")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ValueError for a number without bounds."""
        for name, value in ctx.params.items():
            option = f"--{name.replace('_', '-')}"
            if type(value) is int:
                whole(option, value, least=0 if name == "seed" else -(2**63))
            elif type(value) is float:
                real(option, value)
        _RUNNING.set(ctx.command_path.partition(" ")[2])
        long = (option for param in ctx.command.params for option in param.opts if option.startswith("--"))
        sources = [("source", word) for name, word in _SOURCES.items() if name in ctx.params]
        _OPTIONS.set(dict(sources) | {option[2:].replace("-", "_"): option for option in long})
        if not ctx.params.get("as_json"):
            return super().invoke(ctx)
        _RESULTS.set(sys.stdout)
        with redirect_stdout(sys.stderr):  # what a user's code prints is no part of the JSON
            return super().invoke(ctx)


_SOURCES = {"path": "PATH", "pipeline": "PIPELINE", "weights": "--weights"}
"""What names a network, by the name of the parameter; in messages of the library it is `source`."""
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """Return text whose control characters are written out: a docstring or a name of a file moves no cursor and sets no colour."""
    return text.translate(_CONTROLS)


def console(width: int = 160) -> Any:
    """Return a console; `width` holds where the output is not a terminal, since 80 columns would cut words."""
    return rich.console.Console(
        width=None if sys.stdout is not None and sys.stdout.isatty() else width, highlight=False
    )


Cells = Sequence[tuple[str, str]]
"""A row, each cell a text and its colour."""


def show_table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], whole: Sequence[str] = (), width: int = 160
) -> None:
    """Print a table; a cell is what prints as its text, or a pair of a text and its colour.

    Columns without any text are left out. Lines are broken at spaces, in columns of `whole` those of the head alone. A table that is wider
    yet becomes a block for each row if most rows have a text of more than half the width; and otherwise a table for each run of equal
    first cells, each in parts of as many columns as there is room for.
    """
    text_of = rich.text.Text
    pairs = ([(visible(c[0]), c[1]) if isinstance(c, tuple) else (visible(str(c)), "") for c in row] for row in rows)
    out = console(width)
    for title, titles, lines in _parts(heads, list(pairs), whole, out.width):
        widths, least = _widths(titles, lines, whole)
        while sum(widths) + GAP * (len(widths) - 1) > out.width and (
            loose := [k for k, w in enumerate(widths) if w > least[k]]
        ):
            widths[max(loose, key=lambda k: widths[k])] -= 1
        made = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=any(titles))
        for name, wide in zip(titles, widths, strict=True):
            made.add_column(name, width=wide, overflow="fold")
        for line in lines:
            made.add_row(*(text_of(text, colour) for text, colour in line))
        out.print(*filter(None, [title and text_of(f"\n{title}", "bold")]), made, sep="\n")


GAP = 3
"""Characters between two columns."""
RUN = 3
"""Rows that first cells are shared by, at least on the average, where a table is divided by them."""


def _parts(
    heads: Sequence[str], rows: Sequence[Cells], whole: Sequence[str], room: int
) -> Iterator[tuple[str, Sequence[str], Sequence[Cells]]]:
    """Yield the title, heads and rows of tables that have room."""
    kept = [k for k in range(len(heads)) if not rows or any(row[k][0] for row in rows)]
    heads, rows = [heads[k] for k in kept], [[row[k] for k in kept] for row in rows]
    _, least = _widths(heads, rows, whole)
    if sum(least) + GAP * (len(least) - 1) <= room:
        yield "", heads, rows
        return
    if sum(any(len(text) > room // 2 for text, _ in row) for row in rows) > len(rows) // 2:
        for row in rows:
            yield " ", ("", ""), [((head, "dim"), cell) for head, cell in zip(heads, row, strict=True) if cell[0]]
        return
    # Columns up to `last` tell the rows apart; those before `first` are in titles, and the others in each part.
    last = next((k for k in range(len(heads) - 1) if len({tuple(row[: k + 1]) for row in rows}) == len(rows)), 0)
    runs = [len([*_runs(rows, k)]) for k in range(last + 1)]
    first = max(k for k, count in enumerate(runs) if count == 1 or RUN * count <= len(rows))
    while first < last and sum(least[k] + GAP for k in range(first, last + 1)) > room * 2 // 3:
        first += 1
    for shared, block in _runs(rows, first):
        title, lines = ", ".join(f"{head} {text}" for head, (text, _) in zip(heads, shared, strict=False)), list(block)
        places = list(range(last + 1, len(heads)))
        while places:
            taken = [*range(first, last + 1)]
            while places and (taken[-1] == last or sum(least[k] + GAP for k in (*taken, places[0])) - GAP <= room):
                taken.append(places.pop(0))
            yield title or " ", [heads[k] for k in taken], [[row[k] for k in taken] for row in lines]
            title = ""


def _runs(rows: Sequence[Cells], count: int) -> Iterator[tuple[Cells, Iterator[Cells]]]:
    """Yield the rows in runs of equal first cells, so many of them."""
    return groupby(rows, lambda row: row[:count])


def _widths(heads: Sequence[str], rows: Iterable[Cells], whole: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the widths of columns without a break, and with all that may be."""

    def longest(parts: Iterable[str]) -> int:
        return max(map(rich.cells.cell_len, parts), default=0)

    widest, least = [], []
    for head, *cells in zip(heads, *([text for text, _ in row] for row in rows), strict=True):
        lines = [line for cell in cells for line in cell.splitlines()]
        widest.append(longest([head, *lines]))
        words = lines if head in whole else (word for line in lines for word in line.split())
        least.append(longest([*head.split(), *words]))
    return widest, least


def progress() -> Any:
    """Return a progress bar on standard error, silent where that is not a terminal."""
    bars, error = rich.progress, rich.console.Console(stderr=True)
    counted = (bars.TextColumn("{task.description:<14}"), bars.BarColumn(), bars.MofNCompleteColumn())
    times = (bars.TimeElapsedColumn(), bars.TextColumn("so far,"), bars.TimeRemainingColumn(), bars.TextColumn("to go"))
    # Half an hour, since a step of a long run takes longer than the half minute that rich remembers.
    return bars.Progress(
        *counted, *times, console=error, transient=True, disable=not error.is_terminal, speed_estimate_period=1800
    )


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a progress bar inside, and give a function that moves it on, and may say at what."""
    with progress() as bar:
        task = bar.add_task(what, total=total)

        def advance(said: str = "", by: int = 1) -> None:
            bar.update(task, advance=by, **({"description": said} if said else {}))

        yield advance


_RUNNING = ContextVar("_RUNNING", default="")
"""The words of the command that runs."""
_RESULTS: ContextVar[Any] = ContextVar("_RESULTS", default=None)
"""Where its JSON goes."""
_OPTIONS: ContextVar[Mapping[str, str] | None] = ContextVar("_OPTIONS", default=None)
"""Its options, by the name that a Python argument would have."""
_WITHIN = r"\((?:[^()]|\([^()]*\))*\)"
"""What is in brackets: parameters of a solver, of a grid."""


def in_options(said: str) -> str:
    """Return a message of the library with the options of the running command for the arguments that it names."""
    options = _OPTIONS.get() or {}
    words = "|".join(name if "_" in name else f"{name}(?==)" for name in options)
    if not words:
        return said
    text = re.sub(
        rf"{_WITHIN}|(?<![\w:,.'-])({words})(?!\w)", lambda found: options.get(found[1] or "", found[0]), said
    )
    for written, option in (
        (r"--([\w-]+)=None", r"--\1 none"),
        (r"--([\w-]+)=True", r"--\1"),
        (r"--([\w-]+)=False", r"--no-\1"),
    ):
        text = re.sub(rf"{written}\b", option, text)
    return text


def put_json(data: dict[str, Any], variant: str = "") -> None:
    """Print what the running command found as JSON, with its schema and version; numbers that JSON lacks are null."""
    data = schemas.marked(f"{_RUNNING.get()} {variant}".strip(), data)
    typer.echo(json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False), file=_RESULTS.get())


def say(
    found: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], as_json: bool, variant: str = ""
) -> None:
    """Print what was found, as JSON or in lines."""
    if as_json:
        put_json(found, variant)
    else:
        typer.echo("\n".join(lines(found)))


def _finite(x: Any) -> Any:
    x = getattr(x, "tolist", lambda: x)()  # of an array
    if isinstance(x, dict):
        return {k: _finite(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def figure_path(path: Path | None, option: str = "--figure") -> None:
    """Raise ValueError, before anything is measured, for a figure that cannot be drawn or written."""
    check(option, path, (".png", ".pdf", ".svg"))
    plots.required(asked=path)


def save_figure(path: Path, figure: Any) -> None:
    """Write a figure in the format of its suffix."""
    write(path, plots.image(figure, format=path.suffix.lstrip(".").lower()))


def require_torch() -> None:
    """Raise ImportError with the extra's name unless the extra torch is installed."""
    missing = [name for name in ("torch", "diffusers", "safetensors") if find_spec(name) is None]
    if missing:
        raise ImportError(f"{', '.join(missing)} is not installed: pip install 'bdia_numerics[torch]'")
