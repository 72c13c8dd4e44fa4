"""The command `bdia work-precision`: error against model evaluations and time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bdia_numerics import names
from bdia_numerics.cli.options import (
    AsJson,
    DataEnd,
    Distribution,
    Families,
    Figure,
    Nfe,
    NoiseEnd,
    ScheduleName,
    Solvers,
    Variable,
    parts,
)
from bdia_numerics.cli.show import as_text, console, figure_path, plain, progress, save_figure, table
from bdia_numerics.texts import listed, ratio, wholes


def work_precision(
    solver: Solvers = None,
    distribution: Distribution = "mixture",
    family: Families = "smooth",
    schedule: ScheduleName = "vp_linear",
    variable: Variable = "t",
    t_max: NoiseEnd = "1",
    t_min: DataEnd = "0.01",
    nfe: Nfe = "10,20,40,80",
    steps: Annotated[str | None, typer.Option(help="Numbers of steps instead, the same for all.")] = None,
    states: Annotated[int, typer.Option(help="States of a run.")] = 256,
    repeats: Annotated[int, typer.Option(help="Timed runs, of which the median counts.")] = 5,
    start: Annotated[str, typer.Option(help="own or exact.")] = "own",
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Compare solvers by error at equal numbers of model evaluations, and by time apart from the model's."""
    from bdia_numerics.analysis import Work
    from bdia_numerics.analysis import work_precision as measure
    from bdia_numerics.analysis.measurement.families import family_named
    from bdia_numerics.studies.work_precision import SOLVERS

    figure_path(figure)
    named = {text: names.solver(text) for text in parts(solver, SOLVERS)}
    laws = {text: names.distribution(text) for text in listed(distribution)}
    ends = ratio("--t-max", t_max), ratio("--t-min", t_min)
    families = {text: family_named(text, names.schedule(schedule), *ends, variable) for text in listed(family)}
    counts = wholes("--steps", steps) if steps else wholes("--nfe", nfe)
    with progress() as bar:
        task = bar.add_task("running", total=len(named) * len(laws) * len(families) * len(counts))

        def shown(row: Work) -> None:
            bar.update(task, advance=1, description=row.solver[:14])

        found = measure(
            named, laws, families, None if steps else counts, slots=counts if steps else None, states=states, repeats=repeats,
            start=start, progress=shown,
        )  # fmt: skip
    if figure is not None:
        from bdia_numerics.plots.orders import work_precision as draw

        save_figure(figure, draw([asdict(row) for row in found.rows]))
    if as_json:
        typer.echo(as_text(asdict(found)))
        return
    rows = table("solver", "problem", "grid", "steps", "NFE", "error", "ms", "of it model", "setup ms", "status")
    for r in found.rows:
        times = (f"{1e3 * x:.2f}" for x in (r.seconds, r.model_seconds, r.setup))
        rows.add_row(
            *map(plain, (r.solver, r.problem, r.grid, str(r.steps), str(r.nfe), f"{r.error:.3g}", *times, r.status))
        )
    console().print(rows)
