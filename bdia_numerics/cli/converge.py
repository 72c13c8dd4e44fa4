"""The command `bdia converge`: observed orders against exact flows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics import names
from bdia_numerics.cli.options import (
    AsJson,
    DataEnd,
    Distribution,
    Families,
    Figure,
    NoiseEnd,
    ScheduleName,
    Solvers,
    Variable,
    parts,
)
from bdia_numerics.cli.show import as_text, console, figure_path, plain, progress, save_figure, table
from bdia_numerics.texts import listed, ratio, wholes

if TYPE_CHECKING:
    from bdia_numerics.analysis import ObservedOrder

_VERDICTS = {True: "", False: " differs", None: " undecided"}


def converge(
    solver: Solvers = None,
    family: Families = "smooth,alternating",
    distribution: Distribution = "mixture",
    schedule: ScheduleName = "vp_linear",
    variable: Variable = "asinh",
    t_max: NoiseEnd = "0.6",
    t_min: DataEnd = "0.1",
    start: Annotated[str, typer.Option(help="exact (first states on the flow) or own.")] = "exact",
    steps: Annotated[
        str | None, typer.Option(help="Numbers of steps, such as 16,24,32,48,64; chosen by default.")
    ] = None,
    max_steps: Annotated[int, typer.Option(help="Largest number of steps that is tried.")] = 512,
    states: Annotated[int, typer.Option(help="States drawn at the noise end.")] = 32,
    seeds: Annotated[int, typer.Option(help="Random grids at each number of steps.")] = 16,
    dtype: Annotated[str, typer.Option(help="Of the states: auto, float64 or mpmath.")] = "auto",
    proved: Annotated[bool, typer.Option("--proved", help="Also print the orders that the programs prove.")] = False,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Measure orders of convergence on exact flows, with uncertainty bands and signs; what is not consistent is undecided."""
    from bdia_numerics.studies.convergence import CONVERGENCE, SOLVERS, ConvergenceConfig, measured
    from bdia_numerics.studies.study import cells

    figure_path(figure)
    config = ConvergenceConfig(
        solvers=parts(solver, SOLVERS),
        grids=listed(family),
        problem=distribution, schedule=schedule, variable=variable,
        t_max=str(ratio("--t-max", t_max)), t_min=str(ratio("--t-min", t_min)), start=start,
        steps=wholes("--steps", steps) if steps else (),
        max_steps=max_steps, states=states, seeds=seeds, arithmetic=dtype,
    )  # fmt: skip
    wanted = list(cells(CONVERGENCE, config))
    rows: list[dict[str, Any]] = []
    found: list[tuple[str, ObservedOrder]] = []
    with progress() as bar:
        task = bar.add_task("measuring", total=len(wanted))
        for cell in wanted:
            label, kind = str(cell["solver"]), str(cell["grid"])
            bar.update(task, description=label[:14])
            order = measured(config, cell)
            found.append((label, order))
            beside = _proved(names.solver(label), kind, order) if proved else {}
            rows.append({"label": label, **asdict(order), "decided": order.decided, "up_to": order.up_to, **beside})
            bar.advance(task)
    if figure is not None:
        from bdia_numerics.plots.orders import convergence

        save_figure(figure, convergence(found))
    if as_json:
        typer.echo(as_text({"problem": distribution, "schedule": schedule, "orders": rows}))
        return
    shown = table("solver", "grid", "order", "band", *(("proved",) if proved else ()), "steps used")
    for row in rows:
        value = f"{row['order']:.2f}" + ("" if row["decided"] else " undecided")
        texts = [row["label"], row["family"], value, f"[{row['low']:.2f}, {row['high']:.2f}]"]
        texts += [f"{row['proved']}{_VERDICTS[row['agrees']]}"] if proved else []
        where = f"{row['seeds']} seeds, " if row["seeds"] else ""
        where += "mpmath, " if row["arithmetic"] == "mpmath" else ""
        shown.add_row(*map(plain, (*texts, where + row["reason"])))
    console().print(shown)


def _proved(solver: Any, kind: str, order: ObservedOrder) -> dict[str, Any]:
    from bdia_numerics.analysis import order_on_pattern, symbolic_order
    from bdia_numerics.analysis.sheet.compared import proved_order

    alternating = order_on_pattern(solver, (1, 2)).order if kind == "alternating" else None
    text, agrees = proved_order(symbolic_order(solver), alternating, order, kind)
    return {"proved": int(text) if text.isdigit() else text, "agrees": agrees}
