"""The command `bdia design`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bdia_numerics import names, problems
from bdia_numerics.cli.options import (
    AsJson,
    Distribution,
    Figure,
    ScheduleName,
    analysis,
    counting,
    figure_path,
    plots,
    put_json,
    save_figure,
    show_table,
    visible,
)
from bdia_numerics.formulas import number
from bdia_numerics.texts import ratio, refuse


def design(
    template: Annotated[
        str,
        typer.Option(
            "--template",
            help="two-step, three-step, four-step, five-step, increments; or file.py:Class, a step program with sympy symbols.",
        ),
    ] = "four-step",
    order: Annotated[int, typer.Option(help="That the solvers shall have.")] = 4,
    stable: Annotated[str, typer.Option(help="Where the root condition holds: both, sample, encode or none.")] = "both",
    at_most_amplification: Annotated[
        float | None,
        typer.Option("--at-most-amplification", help="A bound on how many times a run enlarges errors of its start."),
    ] = None,
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Take the named template with symmetric weights.")
    ] = False,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Take steps without an exact inverse, too.")
    ] = False,
    order_on: Annotated[
        str, typer.Option(help="On which grids the order is asked for: uniform, smooth or rough.")
    ] = "uniform",
    variable: Annotated[
        str | None,
        typer.Option(
            help="What the steps of a named template are of: sigma_bar, t or angle.",
            show_default="angle, where that is, else sigma_bar, or t",
        ),
    ] = None,
    schedule: ScheduleName = "vp_linear",
    distribution: Distribution = "gaussian:0.5",
    steps: Annotated[int, typer.Option(help="Slots of the grid.")] = 40,
    t_max: Annotated[str | None, typer.Option(help="Noise end of the grid.")] = None,
    t_min: Annotated[str | None, typer.Option(help="Data end of the grid.")] = None,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Find the solvers of a template that have an order, and the best of them on a schedule: error against amplification.

    It prints the family in symbols, and of the solvers to which none is better in both respects the predicted error, that of a run, and
    how many times sampling and inverting enlarge errors of the first states.
    """
    figure_path(figure)
    law, levels = names.distribution(distribution), names.schedule(schedule)
    if not isinstance(law, problems.Gaussian) or law.dimension != 1 or law.mean.any():
        raise ValueError(f"--distribution={distribution} is not a Gaussian on the line with mean 0: write gaussian:0.5")
    ends = {
        name: ratio(f"--{name.replace('_', '-')}", text) for name, text in (("t_max", t_max), ("t_min", t_min)) if text
    }
    if names.module_of(template) is None:
        variable = variable or analysis.designing.search.natural(template, levels, **ends)
        given: Any = analysis.multistep(template, symmetric=symmetric, variable=variable)
    else:
        refuse(
            (symmetric, f"--symmetric: {template} has weights of its own: leave it out"),
            (variable, f"--variable={variable}: {template} has a variable of its own: leave it out"),
        )
        given = names.solver(template)
    with counting("members", None) as advance:
        found = analysis.design(
            given,
            order=order,
            schedule=levels,
            steps=steps,
            invertible=not approximate,
            stable=None if stable == "none" else stable,
            at_most_amplification=at_most_amplification,
            order_on=order_on,
            variance=float(law.cov.ravel()[0]),
            progress=advance,
            **ends,
        )
    if figure is not None:
        save_figure(figure, plots.results.figure(found))
    if as_json:
        put_json({"template": template, "schedule": schedule, **found.as_dict()})
        return
    _print(found)


def _print(found: Any) -> None:
    for about, text in found.said():
        typer.echo(visible(f"{about}: {text}"))
    rows = found.rows()
    show_table(tuple(rows[0]), [[number(x) if isinstance(x, float) else x for x in row.values()] for row in rows])
    typer.echo(visible(str(found)))
    if same := found.same():
        typer.echo(f"the same steps: {', '.join(same)}")
