"""The command `bdia lint`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bdia_numerics.cli.options import AsJson
from bdia_numerics.cli.show import as_text, console, plain, table, usage

COLOURS = {"error": "bold red", "warning": "yellow", "note": "default"}


def lint(
    config: Annotated[
        str | None,
        typer.Argument(
            help="scheduler_config.json, a pipeline's folder, or a CompVis YAML; without it, DDIMScheduler's defaults."
        ),
    ] = None,
    entries: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An entry, such as steps_offset=1; may be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps asked of the scheduler.")] = 50,
    solver: Annotated[str, typer.Option(help="The sampler that is to run, such as bdia:gamma=9/10.")] = "BDIA",
    dtype: Annotated[str, typer.Option(help="float16, float32, float64 or longdouble.")] = "float32",
    prediction: Annotated[
        str | None, typer.Option(help="What the code reads the network's output as: eps, x0, v or velocity.")
    ] = None,
    wanted_error: Annotated[
        float, typer.Option(help="What a round trip may come back wrong, in standard deviations of the data.")
    ] = 1e-4,
    as_json: AsJson = False,
) -> None:
    """Find the defects of a scheduler's configuration, what each costs, and its remedy.

    Costs are measured on a mixture on the line against its exact flow. The exit status is 1 if there is an error.
    """
    from bdia_numerics import analysis, configs, spec

    try:
        chosen = configs.read(config) if config is not None else configs.from_mapping({})
        if entries:
            chosen = chosen.changed(**dict(map(_entry, entries)))
        found = analysis.lint(
            chosen,
            steps=steps,
            solver=spec.solver(solver),
            dtype=dtype,
            prediction=prediction,
            wanted_error=wanted_error,
        )
    except (ValueError, TypeError) as error:
        usage(str(error))
    if as_json:
        typer.echo(as_text({"scheduler": chosen.name, "steps": steps, "findings": [asdict(f) for f in found]}))
    else:
        _print(chosen.name, steps, found)
    raise typer.Exit(int(any(f.severity == "error" for f in found)))


def _entry(text: str) -> tuple[str, Any]:
    import json

    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ValueError(f"--set={text} is no entry: write KEY=VALUE, such as steps_offset=1")
    try:
        return key, json.loads(value.lower() if value in ("True", "False") else value)
    except json.JSONDecodeError:
        return key, value


def _print(name: str, steps: int, found: Any) -> None:
    screen = console()
    if not found:
        screen.print(f"{name}, {steps} steps: nothing found")
        return
    rows = table("severity", "rule", "where", "what", "remedy", "cost", whole=("severity", "rule"))
    for f in found:
        cells = (f.rule, f.where, f.message, f.remedy, str(f.cost or ""))
        rows.add_row(f"[{COLOURS[f.severity]}]{f.severity}[/]", *map(plain, cells))
    screen.print(rows)
