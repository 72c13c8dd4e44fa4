"""The command `bdia work-precision`: error against model evaluations and time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bdia_numerics import spec
from bdia_numerics.cli import choose
from bdia_numerics.cli.options import AsJson, DataEnd, Grids, NoiseEnd, ScheduleName, Variable
from bdia_numerics.cli.show import as_text, console, figure_path, plain, progress, save_figure, table, usage


def work_precision(
    solver: Annotated[
        list[str] | None, typer.Option(help="BDIA, 'BDIA(gamma=9/10)', module:name; give it again for more.")
    ] = None,
    problem: Annotated[str, typer.Option(help="mixture, tight, plane, gaussian:0.5: several with commas.")] = "mixture",
    grid: Grids = "smooth",
    schedule: ScheduleName = "vp_linear",
    variable: Variable = "t",
    t_max: NoiseEnd = "1",
    t_min: DataEnd = "0.01",
    nfe: Annotated[str, typer.Option(help="Model evaluations that each solver may make.")] = "10,20,40,80",
    steps: Annotated[str | None, typer.Option(help="Numbers of steps instead, the same for all.")] = None,
    states: Annotated[int, typer.Option(help="States of a run.")] = 256,
    repeats: Annotated[int, typer.Option(help="Timed runs, of which the median counts.")] = 5,
    start: Annotated[str, typer.Option(help="own or exact.")] = "own",
    figure: Annotated[Path | None, typer.Option(metavar="PATH", help="Draw it: .png, .pdf or .svg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare solvers by error at equal numbers of model evaluations, and by processor time without the model's."""
    from bdia_numerics.analysis import GridFamily, Work
    from bdia_numerics.analysis import work_precision as measure
    from bdia_numerics.studies import named as known
    from bdia_numerics.studies.work_precision import SOLVERS

    try:
        figure_path(figure)
        named = {text: spec.solver(text) for text in solver or SOLVERS}
        laws = {text: known.law(text) for text in problem.split(",")}
        ends = known.ratio("--t-max", t_max), known.ratio("--t-min", t_min)
        families = {kind: GridFamily(kind, known.schedule(schedule), *ends, variable) for kind in grid.split(",")}
        counts = choose.numbers("steps", steps) if steps else choose.numbers("nfe", nfe)
        with progress() as bar:
            task = bar.add_task("running", total=len(named) * len(laws) * len(families) * len(counts))

            def shown(row: Work) -> None:
                bar.update(task, advance=1, description=row.solver[:14])

            found = measure(
                named, laws, families, counts, by="steps" if steps else "nfe", states=states, repeats=repeats,
                start=start, progress=shown,
            )  # fmt: skip
        if figure is not None:
            from bdia_numerics.plots.orders import work_precision as draw

            save_figure(figure, draw([asdict(row) for row in found.rows]))
    except (ValueError, TypeError, ArithmeticError) as error:
        usage(str(error))
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
