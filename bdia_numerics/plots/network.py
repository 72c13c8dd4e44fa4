"""Figures of the studies of the shipped network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import number, solver_name
from bdia_numerics.plots.axes import error_ticks
from bdia_numerics.plots.pictures import Sheet, sheets
from bdia_numerics.plots.style import PAGE, STYLE, looks

if TYPE_CHECKING:
    from xarray import Dataset


def bars(found: Dataset) -> Figure:
    """Draw the Frechet distance of every solver with its interval, a panel a grid, a colour a number of evaluations."""
    budgets, solvers, floor = found["evaluations"].values, found["solver"].values, float(found["floor"])
    styles = looks([str(n) for n in budgets])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.24 * len(solvers) + 0.9), layout="constrained")
        axes: Any = figure.subplots(1, found.sizes["grid"], sharey=True, sharex=True, squeeze=False)[0]
        rows = np.arange(len(solvers))
        for panel, name in zip(axes, found["grid"].values, strict=True):
            for k, budget in enumerate(budgets):
                middle, low, high = (
                    found[what].sel(grid=name, evaluations=budget).values for what in ("frechet", "low", "high")
                )
                style = {**styles[str(budget)], "linestyle": "none"}
                offset = 0.2 * (k - (len(budgets) - 1) / 2)
                ends = np.abs((low - middle, high - middle))
                panel.errorbar(middle, rows + offset, xerr=ends, label=f"{budget} evaluations", **style)
                failed = rows[~np.isfinite(middle)] + offset
                at = np.full(failed.size, 0.98), failed
                panel.plot(*at, "x", color=style["color"], transform=panel.get_yaxis_transform(), gid="missing")
            panel.axvline(floor, color="0.6", linewidth=0.8, label="training images")
            panel.set(xscale="log", xlabel="Frechet distance", title=name)
        # An interval of few images reaches to 0, which a logarithmic axis would follow without end.
        axes[0].set_xlim(left=float(np.nanmin([floor, *found["frechet"].values.ravel()])) / 2)
        for panel in axes:
            error_ticks(panel.xaxis)
        axes[0].set_yticks(rows, [solver_name(str(text)) for text in solvers])
        axes[0].invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(budgets) + 1)
    return figure


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
