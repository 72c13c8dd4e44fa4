"""Figures of a datasheet: orders, stability regions, work beside DDIM's."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.analysis import ObservedOrder, StabilityRegion, WorkPrecision
from bdia_numerics.plots.axes import plain_ticks
from bdia_numerics.plots.stability import NAMES, region
from bdia_numerics.plots.style import STYLE, looks

SIZE = 4.4, 3.4


def order_plot(orders: dict[str, ObservedOrder]) -> Figure:
    """Draw errors against steps by kind of grid; levels that the order does not rest on are hollow."""
    style = looks(list(orders))
    with mpl.rc_context(STYLE):
        figure, ax = _axes()
        for kind, found in orders.items():
            shown = [level for level in found.levels if 0 < level.error < np.inf]
            doubt = "" if found.decided else ", undecided"
            label, look = f"{kind}: {found.number}{doubt}", {**style[kind], "markerfacecolor": "white"}
            ax.plot([x.steps for x in shown], [x.error for x in shown], label=label, **look)
            used = [level for level in shown if level.used]
            ax.plot([x.steps for x in used], [x.error for x in used], **{**style[kind], "linestyle": "none"})
        ax.set(xscale="log", yscale="log", xlabel="steps N", ylabel="root-mean-square error")
        plain_ticks(ax.xaxis)
        ax.legend()
    return figure


def region_plot(regions: dict[str, StabilityRegion]) -> Figure:
    """Draw where numerical solutions of dy/ds = J y stay bounded, in the plane of h J."""
    style = looks(list(regions))
    with mpl.rc_context(STYLE):
        figure, ax = _axes()
        for name, found in regions.items():
            colour, dashes = style[name]["color"], style[name]["linestyle"]
            inside = region(ax, found.real, found.imaginary, found.radius, colour, dashes)
            empty = "" if inside else ": empty, or a line"
            ax.plot([], [], color=colour, linestyle=dashes, label=NAMES.get(name, name) + empty)
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.axvline(0, color="0.6", linewidth=0.6)
        ax.set(xlabel="real part of h J", ylabel="imaginary part of h J")
        ax.legend(loc="upper left")
    return figure


def work_plot(work: WorkPrecision, name: str) -> Figure:
    """Draw errors at equal numbers of evaluations beside DDIM's; `name` stands for the solver."""
    style = looks(["DDIM", "solver"])
    with mpl.rc_context(STYLE):
        figure, ax = _axes()
        for label in ("DDIM", "solver"):
            rows = [row for row in work.select(solver=label) if 0 < row.error < np.inf]
            ax.plot(
                [r.nfe for r in rows],
                [r.error for r in rows],
                label=name if label == "solver" else label,
                **style[label],
            )
        ax.set(xscale="log", yscale="log", xlabel="model evaluations", ylabel="root-mean-square error")
        plain_ticks(ax.xaxis)
        ax.legend()
    return figure


def _axes() -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.subplots()
