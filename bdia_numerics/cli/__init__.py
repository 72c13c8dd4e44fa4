"""The command `bdia`: one module a command. `options` is the vocabulary that they share, `handling` what becomes of failures."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from bdia_numerics.cli import schemas
from bdia_numerics.cli.certify import certify
from bdia_numerics.cli.design import design
from bdia_numerics.cli.edit import edit
from bdia_numerics.cli.handling import OneLine, status_of
from bdia_numerics.cli.lint import lint
from bdia_numerics.cli.options import Command
from bdia_numerics.cli.pages import explore, figures, pages
from bdia_numerics.cli.reproduce import reproduce
from bdia_numerics.cli.roundtrip import roundtrip
from bdia_numerics.cli.solvers import list_solvers, show_datasheet
from bdia_numerics.cli.studies import converge, encode_table, gamma_map, network_table, work_precision
from bdia_numerics.cli.sweep import sweep
from bdia_numerics.cli.unet import draw_samples, show_growth, unet
from bdia_numerics.cli.verify import verify

app = typer.Typer(
    name="bdia",
    cls=OneLine,
    help="Exactly invertible diffusion ODE solvers: verified, measured, listed.\n\n"
    "Options mean the same in every command: --solver name:parameter=value (again for more), --grid, --family (how grids are refined), "
    "--schedule, --distribution, --steps, --nfe (a budget of model evaluations), --dtype, --figure, --html, --json. Names of solvers, "
    "grids, schedules and distributions can be module:object, of a file in this folder. Numbers are read exactly: 9/10 and 0.9.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., Any]] = {
    "verify": verify, "list": list_solvers, "roundtrip": roundtrip, "lint": lint, "certify": certify, "converge": converge,
    "work-precision": work_precision, "map": gamma_map, "encode-table": encode_table, "sweep": sweep, "reproduce": reproduce,
    "edit": edit, "datasheet": show_datasheet, "design": design, "figures": figures, "explore": explore, "pages": pages,
}  # fmt: skip
for _name, _run in COMMANDS.items():
    app.command(_name, cls=Command)(_run)
_UNET: dict[str, Callable[..., Any]] = {
    "sample": draw_samples,
    "growth": show_growth,
    "table": network_table,
}
for _name, _run in _UNET.items():
    unet.command(_name, cls=Command)(_run)
app.add_typer(unet, name="unet")


def main() -> None:
    """Run the command line; it shares long work among all cores unless the environment says among how many processes."""
    gc.set_threshold(10_000)  # to look for cycles at every 700 objects takes a twentieth of a short command
    os.environ.setdefault("BDIA_WORKERS", "all")
    sys.exit(status_of(app))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bdia_numerics {sys.modules['bdia_numerics'].__version__}")
        raise typer.Exit


def _schema(output: str | None) -> None:
    if output is not None:
        typer.echo(json.dumps(schemas.schema(output), indent=2))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="COMMAND",
            callback=_schema,
            is_eager=True,
            help="Print the JSON Schema of a command's --json.",
        ),
    ] = None,
) -> None:
    pass
