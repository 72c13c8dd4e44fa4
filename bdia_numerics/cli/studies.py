"""The commands that run one study: `bdia converge`, `bdia work-precision`, `bdia map`, `bdia encode-table` and `bdia unet table`.

Each reads its options into the study's configuration. The table, the JSON and the figure are those that the study declares.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdia_numerics import names
from bdia_numerics.cli.options import (
    AsJson,
    DataEnd,
    Distribution,
    Families,
    Figure,
    Grids,
    Guidance,
    Nfe,
    NoiseEnd,
    ScheduleName,
    Solvers,
    Variable,
    counting,
    figure_path,
    parts,
    plots,
    put_json,
    require_torch,
    save_figure,
    show_table,
    studies,
)
from bdia_numerics.solvers import BDIA
from bdia_numerics.texts import listed, ratio, wholes

if TYPE_CHECKING:
    from bdia_numerics.studies import Study


ROWS = 40
"""Rows of a table that `bdia sweep` prints."""


def show(study: Study, config: Any, figure: Path | None, as_json: bool) -> None:
    """Run a study in this process, write its figure where a path is given, and print its table or its JSON."""
    figure_path(figure)
    with counting(study.name[:14], len(studies.study.work(study, config))) as advance:
        found = studies.run(study, config, advance=advance)
    if figure is not None:
        save_figure(figure, plots.figure_of(study, found))
        typer.echo(f"figure: {figure}", err=True)
    if as_json:
        put_json(studies.records.data(study, found))
    else:
        show_rows(study, found)


def show_rows(study: Study, found: Any, most: int | None = None) -> None:
    """Print a study's table, at most so many rows of it."""
    caption, heads, rows = studies.records.table(study, found)
    if not rows:
        return
    if caption:
        typer.echo(caption)
    show_table(heads, rows[:most], whole=[head for head in heads if head not in ("status", "inversion")])
    if most is not None and len(rows) > most:
        typer.echo(f"{len(rows) - most} more rows are in the dataset")


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
    config = studies.convergence.ConvergenceConfig(
        parts(solver, studies.convergence.SOLVERS), listed(family), distribution=distribution, schedule=schedule, variable=variable,
        t_max=str(ratio("--t-max", t_max)), t_min=str(ratio("--t-min", t_min)), start=start,
        steps=wholes("--steps", steps) if steps else (), max_steps=max_steps, states=states, seeds=seeds,
        arithmetic=dtype, proved=proved,
    )  # fmt: skip
    show(studies.convergence.CONVERGENCE, config, figure, as_json)


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
    """Compare solvers by error at equal numbers of model evaluations, and by processor time apart from the model's."""
    config = studies.work_precision.WorkConfig(
        parts(solver, studies.work_precision.SOLVERS), listed(distribution), listed(family), wholes("--nfe", nfe), schedule, variable,
        str(ratio("--t-max", t_max)), str(ratio("--t-min", t_min)), states, repeats, start,
        steps=wholes("--steps", steps) if steps else (),
    )  # fmt: skip
    show(studies.work_precision.WORK_PRECISION, config, figure, as_json)


def gamma_map(
    distribution: Distribution = "modes",
    schedule: ScheduleName = "ddpm",
    grid: Grids = None,
    solver: Annotated[
        list[str] | None, typer.Option("--solver", help="BDIA with a gamma, such as bdia:gamma=1/2; again for more.")
    ] = None,
    steps: Annotated[str | None, typer.Option(help="Such as 10,20,40.")] = None,
    states: Annotated[int, typer.Option(help="Number of states.")] = 1000,
    quality: Annotated[
        bool, typer.Option("--quality", help="Compare samples with draws of the distribution, too.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Map the error of BDIA over gamma, grid and steps, and those of DDIM, O-BELM and EDICT.

    On the line errors are distances to the exact flow. Of digits, samples are compared with draws of the distribution.
    """
    config = studies.gamma_map.MapConfig(
        distribution, schedule, parts(grid, studies.gamma_map.STANDARD), _gammas(solver) or studies.gamma_map.GAMMAS,
        wholes("--steps", steps) if steps else studies.gamma_map.STEPS, states, quality, seed,
    )  # fmt: skip
    show(studies.gamma_map.MAP, config, figure, as_json)


def _gammas(given: list[str] | None) -> tuple[float, ...]:
    """Return the gammas of the solvers that are named, all of them BDIA."""
    found: dict[str, Any] = {text: names.solver(text) for text in parts(given, ())}
    if other := next((text for text, made in found.items() if not isinstance(made, BDIA)), None):
        raise ValueError(
            f"--solver={other} is not BDIA: the map is of its gamma, and DDIM, O-BELM and EDICT are compared with it"
        )
    return tuple(float(made.gamma) for made in found.values())


def network_table(
    solver: Solvers = None,
    grid: Grids = None,
    nfe: Nfe = "10,20,40",
    images: Annotated[int, typer.Option(help="Samples.")] = 256,
    paired: Annotated[int, typer.Option(help="How many are compared with the network's own ODE; 0 for none.")] = 32,
    guidance: Guidance = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Compare solvers on the shipped network at equal numbers of evaluations, as the paper's table 2 does.

    Samples are compared with the test images of MNIST by the Frechet distance in the shipped classifier's features (which is not FID), and
    with the network's own ODE. The defaults take forty minutes of one core; `--grid cut --images 64 --nfe 10` takes one or two.
    """
    require_torch()

    default = studies.network_table.TableConfig()
    config = studies.network_table.TableConfig(
        parts(solver, default.solvers), parts(grid, default.grids), wholes("--nfe", nfe),
        images, paired=paired, guidance=guidance, seed=seed,
    )  # fmt: skip
    show(studies.network_table.NETWORK_TABLE, config, figure, as_json)


def encode_table(
    solver: Solvers = None,
    grid: Grids = None,
    nfe: Nfe = "20",
    distribution: Annotated[
        str, typer.Option(help="Distributions of the data, with an exact score; commas between them; or none.")
    ] = "mixture,tight",
    guidance: Annotated[
        str, typer.Option(help="Scales of the shipped network, there and back, such as 1,2,4; none leaves it out.")
    ] = "1",
    states: Annotated[int, typer.Option(help="States of one seed.")] = 16,
    images: Annotated[int, typer.Option(help="Images of one seed.")] = 3,
    seeds: Annotated[int, typer.Option(help="Seeds, at least 2, over which the intervals are.")] = 5,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Compare what takes data to noise: errors of latents, returns, amplification and edits, at equal evaluations with starts paid.

    A solver is ranked below another one only where their 95% intervals over the seeds do not overlap. The defaults are a small part of the
    table, of some two minutes of one core: 20 evaluations, 3 grids, 2 distributions, and the network without guidance. All of it is
    `bdia sweep examples/encode.toml`.
    """
    default = studies.encoding.EncodeConfig()
    laws, words = (() if text == "none" else listed(text) for text in (distribution, guidance))
    scales = tuple(float(ratio("--guidance", word)) for word in words)
    if scales:
        require_torch()
    config = studies.encoding.EncodeConfig(
        parts(solver, default.solvers), laws, scales, parts(grid, default.grids), wholes("--nfe", nfe),
        states, images, seeds,
    )  # fmt: skip
    show(studies.encoding.ENCODING, config, figure, as_json)
