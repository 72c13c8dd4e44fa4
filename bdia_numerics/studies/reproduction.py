"""The published tables of image quality, made anew with somebody's weights: each solver's images, their features, FID over seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.frechet import frechet_of_moments, joined, scatter
from bdia_numerics.models import Predicting
from bdia_numerics.runs.encoding import solve
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import scipy
from bdia_numerics.studies import protocols
from bdia_numerics.studies.given import (
    ReproductionConfig,
    bytes_of,
    described,
    extractor_of,
    grid_of,
    network,
    noise_of,
    pipeline,
    reference,
)
from bdia_numerics.studies.network import networks, one_thread
from bdia_numerics.studies.protocols import PROTOCOLS, TableRow
from bdia_numerics.studies.study import Cell, Study, Variable


def data_of(config: ReproductionConfig) -> str:
    """Return what the weights are for; ValueError where the network does not tell, and none is said."""
    found = described(config)
    return protocols.data_of(config.protocol, found["side"], found["labels"], config.data)


def rows_of(config: ReproductionConfig) -> dict[str, TableRow]:
    """Return the rows of the table by their texts."""
    return {str(row): row for row in config.protocol.rows}


@one_thread
def compute(config: ReproductionConfig, cell: Cell) -> Mapping[str, Any]:
    """Return mean and scatter of the features of one part of a run's images."""
    start = int(cell["part"]) * config.piece
    left, batch, nfe = min(config.piece, config.count - start), config.batch, 0
    found: list[Array] = []
    while left:
        first = int(cell["seed"]) * config.count + min(start + config.piece, config.count) - left
        try:
            features, nfe = _featured(config, cell, range(first, first + min(batch, left)))
        except RuntimeError as error:
            if batch == 1 or not networks.models.is_out_of_memory(error):
                raise
            batch //= 2
            continue
        found.append(features)
        left -= len(features)
    mean, products = scatter(np.concatenate(found))
    return {
        "nfe": nfe,
        "count": sum(len(each) for each in found),
        "mean": mean,
        "scatter": products,
        "network": json.dumps(described(config)),
    }


def _featured(config: ReproductionConfig, cell: Cell, numbers: range) -> tuple[Array, int]:
    """Return the features of numbered images, and how often the network was evaluated for each; ArithmeticError if a run fails."""
    protocol = PROTOCOLS[config.table][str(cell["protocol"]).partition(":")[2]]
    row, loaded, steps = rows_of(config)[str(cell["solver"])], network(config), int(cell["steps"])
    grid = grid_of(config, row.grid or protocol.grid, steps)
    z, labels = noise_of(config, numbers, float(grid.sigma[grid.n]) if protocol.noise else 1.0)
    if config.prompts:
        pipe, prompts = pipeline(config)
        model = pipe.model([prompts[k % config.count] for k in numbers], protocol.guidance)
    else:
        model = loaded.model(labels)
    nfe = grid.n
    if row.clipped:
        z = networks.sampling.clipped_ddim(model, steps, z)
    else:
        told = Predicting(lambda x, t: model(x, t + protocol.told), model.prediction) if protocol.told else model
        runs = []
        for solver, part in (
            [(row.solver, grid[1 : grid.n]), (row.last, grid[0:1])] if row.last else [(row.solver, grid)]
        ):
            runs.append(solve(names.solver(solver), told, part, z))
            if not runs[-1].status.ok:
                raise ArithmeticError(str(runs[-1].status))
            z = runs[-1].z
        nfe = sum(run.nfe for run in runs)
    return networks.features.features_of(bytes_of(config, z), extractor_of(config), len(reference(config)[0])), nfe


def join(config: ReproductionConfig, cell: Cell, parts: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the FID of a run, beside the figure that is published for it."""
    last: dict[str, Any] = {}

    def sums() -> Iterator[tuple[int, Array, Array]]:
        for part in parts:
            last.update(part)
            yield int(part["count"]), part["mean"], part["scatter"]

    fid = frechet_of_moments(joined(sums()), reference(config))
    return {
        "fid": fid,
        "published": protocols.published(config.table, config.chosen, int(cell["steps"]), str(cell["solver"])),
        "nfe": last["nfe"],
        "departs": protocols.departures(config.protocol, config.chosen, json.loads(last["network"])),
        "status": "ok",
    }


FIGURE_1 = ("DDIM", "BDIA(gamma=1/2)", "EDICT(p=93/100)")
"""Columns of figure 1: gamma as the paper's repository has it at 10 steps, p as it is recommended for EDICT."""


def figure_1(config: ReproductionConfig, count: int) -> tuple[list[str], Array]:
    """Return the first prompts, and images of each by the solvers of `FIGURE_1` at 10 steps, bytes (prompts, solvers, height, width, 3)."""
    pipe, prompts = pipeline(config)
    grid, prompts = grid_of(config, config.protocol.grid, 10), prompts[:count]
    z, _ = noise_of(config, range(config.seeds[0], config.seeds[0] + len(prompts)), 1.0)
    columns = []
    for solver in FIGURE_1:
        ends = [
            solve(names.solver(solver), pipe.model([one], config.protocol.guidance), grid, z[k : k + 1]).z
            for k, one in enumerate(prompts)
        ]
        drawn = [networks.features.as_bytes(pipe.pixels(end)).permute(0, 2, 3, 1).cpu().numpy() for end in ends]
        columns.append(np.concatenate(drawn))
    return prompts, np.stack(columns, axis=1)


QUANTILE = 0.975
"""Upper end of an interval of 95%."""


def half_width(values: Array, *, of_mean: bool = False) -> Any:
    """Return half the 95% interval of one more run for normal values, or that of their mean, over the last axis; NaN for one value."""
    n = values.shape[-1]
    if n < 2:
        return np.full(values.shape[:-1], np.nan)[()]
    return scipy.stats.t.ppf(QUANTILE, n - 1) * values.std(-1, ddof=1) * np.sqrt(1 / n + (0 if of_mean else 1))


def widened(runs: int, figures: int) -> float:
    """Return the factor by which an interval from `runs` runs is widened so that all of `figures` figures lie in theirs with 95%.

    By Bonferroni: each interval is missed with 5% over the number of figures.

    >>> round(widened(3, 16), 2), widened(3, 1)
    (4.13, 1.0)
    """
    t = scipy.stats.t
    return float(t.ppf(1 - (1 - QUANTILE) / figures, runs - 1) / t.ppf(QUANTILE, runs - 1))


def rows(dataset: Any) -> list[dict[str, Any]]:
    """Return a row of the table for each protocol, number of steps and solver: the mean over seeds, its interval, and the figure published.

    `low` and `high` are those of one more run, since a published figure is one run; `gain_low` and `gain_high` those of the mean difference
    from the table's first solver on the same noise.
    """
    found, departs = [], str(max(dataset["departs"].values.ravel().tolist()))  # a run that failed does not say it
    for protocol in dataset["protocol"].values.tolist():
        for steps in dataset["steps"].values.tolist():
            block = dataset.sel(protocol=protocol, steps=steps)
            first = block["fid"].isel(solver=0).values
            for k, solver in enumerate(dataset["solver"].values.tolist()):
                one = block.isel(solver=k)
                fid, status = one["fid"].values, [text for text in one["status"].values.tolist() if text != "ok"]
                middle, half, gain = float(fid.mean()), half_width(fid), first - fid
                row = {
                    "protocol": protocol, "solver": solver, "steps": steps, "nfe": int(np.nan_to_num(one["nfe"].values).max()),
                    "runs": len(fid), "fid": middle, "least": float(fid.min()), "low": middle - half, "high": middle + half,
                    "published": float(np.fmax.reduce(one["published"].values)), "departs": departs,
                    "status": status[0] if status else "ok",
                }  # fmt: skip
                if k:
                    own = half_width(gain, of_mean=True)
                    row |= {
                        "gain": float(gain.mean()),
                        "gain_low": float(gain.mean()) - own,
                        "gain_high": float(gain.mean()) + own,
                    }
                found.append(row)
    return found


REPRODUCTION = Study(
    "reproduction",
    "Published tables of image quality, made anew",
    ReproductionConfig,
    dims=lambda config: {
        "protocol": [protocols.name(config.table, variant) for variant in config.variants],
        "steps": config.steps or tuple(protocols.FIGURES[config.table][config.chosen]),
        "solver": list(rows_of(config)),
        "seed": config.seeds,
    },
    compute=compute,
    lists=("steps", "seeds"),
    parts=lambda config: -(-config.count // config.piece),
    join=join,
    variables={
        "fid": Variable("squared Frechet distance of features to those of real images"),
        "published": Variable("the figure that is published"),
        "nfe": Variable("model evaluations", whole=True),
        "departs": Variable("where the run is not what is published"),
        "status": Variable("status"),
    },
    caption="FID over runs, with the 95% interval of one more run, beside the published figure",
    columns={
        "protocol": "{protocol}",
        "solver": "{solver}",
        "steps": "{steps}",
        "evaluations": "{nfe}",
        "runs": "{runs}",
        "FID": "{fid:.2f}",
        "95%": "{low:.2f} to {high:.2f}",
        "least": "{least:.2f}",
        "published": "{published:.2f}",
        "gain over the first": "{gain:+.2f}",
        "95% of that": "{gain_low:+.2f} to {gain_high:+.2f}",
    },
    rows=rows,
    said=lambda data, dataset: {**data, "rows": rows(dataset)},
)
