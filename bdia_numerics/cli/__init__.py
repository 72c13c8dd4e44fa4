"""The command `bdia`: one module a command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bdia_numerics.cli.converge import converge
from bdia_numerics.cli.datasheet import show_datasheet
from bdia_numerics.cli.figures import figures
from bdia_numerics.cli.lint import lint
from bdia_numerics.cli.map import gamma_map
from bdia_numerics.cli.pages import pages
from bdia_numerics.cli.roundtrip import roundtrip
from bdia_numerics.cli.solvers import list_solvers
from bdia_numerics.cli.sweep import sweep
from bdia_numerics.cli.unet import unet
from bdia_numerics.cli.unet_edit import edit
from bdia_numerics.cli.unet_growth import show_growth
from bdia_numerics.cli.unet_table import show_table
from bdia_numerics.cli.verify import verify
from bdia_numerics.cli.work_precision import work_precision

app = typer.Typer(
    name="bdia",
    help="Exactly invertible diffusion ODE solvers: verified, measured, listed.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(verify)
app.command("list")(list_solvers)
app.command()(roundtrip)
app.command()(lint)
app.command()(converge)
app.command("work-precision")(work_precision)
app.command("map")(gamma_map)
app.command()(sweep)
unet.command("growth")(show_growth)
unet.command("table")(show_table)
unet.command("edit")(edit)
app.add_typer(unet, name="unet")
app.command("datasheet")(show_datasheet)
app.command()(figures)
app.command()(pages)


def main() -> None:
    """Run the command line."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bdia_numerics {sys.modules['bdia_numerics'].__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
