"""The figure of the study of encoding: errors of latents by solver, a panel a grid."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bdia_numerics.formulas import solver_name
from bdia_numerics.plots.style import canvas, error_ticks, intervals, legend_outside, looks, solver_rows, styled
from bdia_numerics.studies.study import Dataset


@styled
def errors(found: Dataset) -> Figure:
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
def edited(found: Dataset) -> Figure:
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
