"""Figures of the studies of the shipped network, and of how well solvers encode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bdia_numerics.formulas import number, solver_name
from bdia_numerics.plots.pictures import Sheet, sheets
from bdia_numerics.plots.style import canvas, error_ticks, intervals, legend_outside, looks, solver_rows, styled
from bdia_numerics.studies.study import Dataset


@styled
def bars(found: Dataset) -> Figure:
    """Draw the Frechet distance of every solver with its interval, a panel a grid, a colour a number of evaluations."""
    budgets, solvers, floor = found["evaluations"].values, found["solver"].values, float(found["floor"])
    styles = looks([str(n) for n in budgets])
    figure, axes = canvas(0.24 * len(solvers) + 0.9, 1, found.sizes["grid"], sharey=True, sharex=True)
    rows = np.arange(len(solvers))
    for panel, name in zip(axes[0], found["grid"].values, strict=True):
        for k, budget in enumerate(budgets):
            part = found.sel(grid=name, evaluations=budget)
            places = rows + 0.2 * (k - (len(budgets) - 1) / 2)
            intervals(panel, part, "frechet", places, f"{budget} evaluations", styles[str(budget)])
        panel.axvline(floor, color="0.6", linewidth=0.8, label="training images")
        panel.set(xscale="log", xlabel="Frechet distance", title=name)
    # An interval of few images reaches to 0, which a logarithmic axis would follow without end.
    axes[0, 0].set_xlim(left=float(np.nanmin([floor, *found["frechet"].values.ravel()])) / 2)
    for panel in axes[0]:
        error_ticks(panel.xaxis)
    solver_rows(axes[0, 0], solvers)
    legend_outside(figure, len(budgets) + 1)
    return figure


def samples(found: Dataset) -> Figure:
    """Draw the samples of each solver, a sheet a grid, at the first number of steps."""
    found = found.isel(steps=0)
    rows = [solver_name(str(text)) for text in found["solver"].values]
    return sheets(
        [
            Sheet(
                part["images"].values,
                rows if k == 0 else (),
                right=_distances(part["distance"].values),
                title=f"{part['grid'].item()} grid",
                heading="distance",
            )
            for k, part in enumerate(found.isel(grid=k) for k in range(found.sizes["grid"]))
        ]
    )


def returns(found: Dataset) -> Figure:
    """Draw what came back, and how far it is from its source, a row a solver and number of steps."""
    found = found.isel(grid=0)
    source = found["images"].isel(solver=0, steps=0).values
    kinds = [str(text) for text in found["solver"].values[1:]]
    images = [found["images"].sel(solver=kind, steps=n).values for n in found["steps"].values for kind in kinds]
    rms = [found["distance"].sel(solver=kind, steps=n).item() for n in found["steps"].values for kind in kinds]
    rows = [f"{solver_name(kind)}, {n} steps" for n in found["steps"].values for kind in kinds]
    away = np.abs(np.array(images) - source)
    return sheets(
        [
            Sheet(np.array([source, *images]), ["source", *rows], title="returned image"),
            Sheet(
                np.array([0 * source, *away]),
                right=["", *_distances(rms)],
                title="difference from the source",
                heading="distance",
                low=0.25 * 255,
                high=0,
            ),
        ],
        margin=1.8,
    )


def edits(found: Dataset, solvers: Sequence[Any] = (), guidances: Sequence[Any] = ()) -> Figure:
    """Draw edited images of the study "editing" below their sources, a row a solver, a sheet a scale of guidance; all by default.

    Behind each row: how many the classifier reads as the digit that was wanted, and the rms distance to the source.
    """
    pairs = [f"{int(a)}→{int(b)}" for a, b in zip(found["labels"], found["targets"], strict=True)]
    solvers = list(solvers or found["solver"].values.tolist())
    made = []
    for k, guidance in enumerate(guidances or found["guidance"].values.tolist()):
        part = found.sel(guidance=guidance, solver=solvers)
        behind = [f"{int(n)}, {number(float(d))}" for n, d in zip(part["as_target"], part["distance"], strict=True)]
        made.append(
            Sheet(
                np.array([found["sources"].values, *part["images"].values]),
                ["source", *(solver_name(s) for s in solvers)] if k == 0 else (),
                pairs,
                ["", *behind],
                f"guidance {guidance:g}",
                "read,\ndistance",
                low=-1,
                high=1,
            )
        )
    return sheets(made, margin=1.7)


def gamma_and_p(found: Dataset) -> Figure:
    """Draw the edits of BDIA by gamma and of EDICT by p, with strong guidance."""
    return edits(found, [s for s in found["solver"].values if not str(s).startswith("DDIM")])


def editing(found: Dataset) -> Figure:
    """Draw the edits of DDIM by both its inversions, of BDIA at three gammas, and of EDICT with its own p, with strong guidance."""
    kept = ("DDIM", "DDIM by (23)", "BDIA(gamma=1)", "BDIA(gamma=19/20)", "BDIA(gamma=9/10)", "EDICT(p=93/100)")
    return edits(found, kept, found["guidance"].values.tolist()[-1:])


def _distances(values: Any) -> list[str]:
    return [number(float(x)) if x else "" for x in values]


@styled
def latents(found: Dataset) -> Figure:
    """Draw the latent error of every solver with its interval, a panel a target, a colour a grid, at the first number of evaluations.

    A cross at the right edge is a run that was not finite, or a solver without a step from clean data.
    """
    found = found.isel(evaluations=0)
    solvers, grids, rows = found["solver"].values, found["grid"].values, np.arange(found.sizes["solver"])
    styles = looks([str(text) for text in grids])
    figure, axes = canvas(0.19 * len(solvers) + 1.2, 1, found.sizes["target"], sharey=True)
    for panel, target in zip(axes[0], found["target"].values, strict=True):
        for k, grid in enumerate(grids):
            part = found.sel(target=target, grid=grid)
            places = rows + 0.7 * ((k + 0.5) / len(grids) - 0.5)
            intervals(
                panel, part, "latent", places, str(grid).partition(":")[0], {**styles[str(grid)], "markersize": 3}
            )
        panel.set(xscale="log", xlabel="latent error", title=str(target))
        error_ticks(panel.xaxis, 5)
        low, high = np.log10(panel.get_xlim())  # no label at an end, where the next panel's would touch it
        panel.set_xticks([x for x in panel.get_xticks() if 0.06 < (np.log10(x) - low) / (high - low) < 0.94])
    solver_rows(axes[0, 0], solvers)
    legend_outside(figure, 4)
    return figure


@styled
def edits_by_growth(found: Dataset) -> Figure:
    """Draw the part of edits that succeed against the growth on the way to data, a panel a grid; open marks: z alone decoded by DDIM."""
    found = found.isel(evaluations=0, target=0)
    texts = [str(text) for text in found["solver"].values]
    styles = looks([solver_name(text) for text in texts])
    figure, axes = canvas(2.6, 1, found.sizes["grid"], sharey=True, sharex=True)
    for panel, grid in zip(axes[0], found["grid"].values, strict=True):
        for k, text in enumerate(texts):
            part, name = found.isel(solver=k).sel(grid=grid), solver_name(text)
            look = {**styles[name], "linestyle": "none"}
            x = float(part["growth_sample"])
            panel.plot([x], [float(part["mean_edits"])], label=name, **look)
            panel.plot([x], [float(part["mean_edits_alone"])], **look, markerfacecolor="none", alpha=0.6)
        panel.set(
            xscale="log",
            xlabel="growth of a perturbation, noise to data",
            title=str(grid).partition(":")[0],
            ylim=(-0.05, 1.05),
        )
        panel.set_xticks([1e-2, 1, 1e2, 1e4])  # none at an end, where the next panel's would touch it
        panel.xaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylabel("part read as wanted")
    legend_outside(figure, 4)
    return figure
