"""The command `bdia lint`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bdia_numerics import configs, names
from bdia_numerics.cli.options import (
    AsJson,
    OneSolver,
    analysis,
    put_json,
    show_table,
)
from bdia_numerics.texts import distinct, reals

SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "default"}


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
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="An entry that nothing reads and that is known to do nothing; may be repeated."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps of the scheduler.", show_default="50")] = None,
    mu: Annotated[float | None, typer.Option(help="The shift of flows with use_dynamic_shifting.")] = None,
    timesteps: Annotated[
        str | None, typer.Option(help="Times passed to set_timesteps, such as 999,749,499,249.")
    ] = None,
    sigmas: Annotated[str | None, typer.Option(help="Levels passed to set_timesteps, such as 1,.75,.5,.25.")] = None,
    walk: Annotated[
        bool,
        typer.Option("--walk", help="Print the steps: the time told to the network, and sigma/alpha at both ends."),
    ] = False,
    solver: OneSolver = "BDIA",
    dtype: Annotated[str, typer.Option(help=f"Of the run: {', '.join(names.ARRAY_DTYPES)}.")] = "float32",
    prediction: Annotated[
        str | None, typer.Option(help="What the code reads the network's output as: eps, x0, v or velocity.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest round-trip error to accept, in standard deviations of the data.")
    ] = 1e-4,
    as_json: AsJson = False,
) -> None:
    """Find the defects of a scheduler's configuration, what each costs, and its remedy.

    Costs are measured on a mixture on the line against its exact flow. The exit status is 1 if there is an error.
    """
    known = frozenset(ignore or ())
    chosen = configs.read(config, ignore=known) if config is not None else configs.from_mapping({})
    if entries:
        pairs = list(map(_entry, entries))
        distinct("--set", [key for key, _ in pairs])
        chosen = chosen.changed(**{key: value for key, value in pairs if key not in known})
    asked: dict[str, Any] = {
        "mu": mu,
        "timesteps": timesteps and list(reals("--timesteps", timesteps)),
        "sigmas": sigmas and list(reals("--sigmas", sigmas)),
    }
    asked["n"] = 50 if steps is None and timesteps is None and sigmas is None else steps
    taken = _walk(chosen, asked) if walk or as_json else None
    found = analysis.lint(
        chosen,
        steps=asked["n"],
        mu=mu,
        timesteps=asked["timesteps"],
        sigmas=asked["sigmas"],
        solver=names.solver(solver),
        dtype=dtype,
        prediction=prediction,
        tolerance=tolerance,
    )
    count = asked["n"] or len(asked["timesteps"] or asked["sigmas"])
    if as_json:
        put_json({"scheduler": chosen.name, "steps": count, "walk": taken, "findings": [asdict(f) for f in found]})
    else:
        if taken is not None:
            _print_walk(taken)
        _print(chosen.name, count, found)
    raise typer.Exit(int(any(f.severity == "error" for f in found)))


def _walk(config: Any, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the steps of a walk by column; None where it is not read, which a finding says."""
    try:
        found = configs.layout(config, **asked)
    except ValueError as error:
        if config.known and not isinstance(error, configs.OutOfTableError):
            raise
        return None
    columns = {name: [getattr(step, name) for step in found.steps] for name in ("t", "s", "s_end")}
    return columns | {"told": list(found.told), "levels": found.levels.kind}


def _print_walk(taken: dict[str, Any]) -> None:
    steps = enumerate(zip(taken["t"], taken["s"], taken["s_end"], strict=True), 1)
    rows = ((k, f"{t:.10g}", f"{s:.6g}", f"{end:.6g}") for k, (t, s, end) in steps)
    show_table(("step", "time told", "sigma/alpha before", "after"), rows)


def _entry(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ValueError(f"--set={text} is not an entry: write KEY=VALUE, such as steps_offset=1")
    try:
        return key, json.loads(value.lower() if value in ("True", "False") else value)
    except json.JSONDecodeError:
        return key, value


def _print(name: str, steps: int, found: Any) -> None:
    if not found:
        typer.echo(f"{name}, {steps} steps: nothing found")
        return
    heads = ("severity", "rule", "where", "what", "remedy", "cost")
    rows = (((f.severity, SEVERITIES[f.severity]), f.rule, f.where, f.message, f.remedy, f.cost or "") for f in found)
    show_table(heads, rows, whole=("severity", "rule"))
