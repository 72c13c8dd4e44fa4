"""Figures of the studies of the shipped network."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import solver_name
from bdia_numerics.plots.axes import error_ticks
from bdia_numerics.plots.pictures import Sheet, sheets
from bdia_numerics.plots.style import PAGE, STYLE, looks
from bdia_numerics.studies.network_editing import Editing
from bdia_numerics.studies.network_table import Table


def bars(found: Table) -> Figure:
    """Draw the Frechet distance of every solver with its interval, a panel a grid, a colour a number of evaluations."""
    config = found.config
    styles = looks([str(n) for n in config.evaluations])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.24 * len(config.solvers) + 0.9), layout="constrained")
        axes: Any = figure.subplots(1, len(config.grids), sharey=True, sharex=True, squeeze=False)[0]
        rows = np.arange(len(config.solvers))
        for panel, name in zip(axes, config.grids, strict=True):
            for k, budget in enumerate(config.evaluations):
                cells = found.at(name, budget)
                middle = np.array([c.frechet for c in cells])
                ends = np.abs(np.array([[c.low, c.high] for c in cells]).T - middle)
                style = {**styles[str(budget)], "linestyle": "none"}
                offset = 0.2 * (k - (len(config.evaluations) - 1) / 2)
                panel.errorbar(middle, rows + offset, xerr=ends, label=f"{budget} evaluations", **style)
                failed = rows[~np.isfinite(middle)] + offset
                at = np.full(failed.size, 0.98), failed
                panel.plot(*at, "x", color=style["color"], transform=panel.get_yaxis_transform(), gid="missing")
            panel.axvline(found.floor, color="0.6", linewidth=0.8, label="training images")
            panel.set(xscale="log", xlabel="Frechet distance", title=name)
        # An interval of few images reaches to 0, which a logarithmic axis would follow without end.
        axes[0].set_xlim(left=min([found.floor, *(c.frechet for c in found.cells if c.status == "ok")]) / 2)
        for panel in axes:
            error_ticks(panel.xaxis)
        axes[0].set_yticks(rows, [solver_name(text) for text in config.solvers])
        axes[0].invert_yaxis()
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.evaluations) + 1
        )
    return figure


def contact_sheet(found: Editing) -> Figure:
    """Draw the sources in the first row, and below them the edits, a row a solver and scale."""
    pairs = zip(found.labels, found.targets, strict=True)
    sheet = Sheet(
        np.array([found.sources[:, 0], *(e.images[:, 0] for e in found.edits)]),
        rows=["source", *(e.solver for e in found.edits)],
        columns=[f"{a} → {b}" for a, b in pairs],
        right=["", *(f"guidance {e.guidance:g}" for e in found.edits)],
        low=-1,
        high=1,
    )
    return sheets([sheet], margin=2)
