"""Convergence, and work against precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bdia_numerics.analysis import ObservedOrder
from bdia_numerics.plots.axes import error_ticks, line, plain_ticks
from bdia_numerics.plots.style import COLUMN, PAGE, STYLE, looks


def convergence(orders: Sequence[tuple[str, ObservedOrder]]) -> Figure:
    """Draw errors against steps, a panel a family of grids: hollow where a level does not count, with the order behind the name.

    Parameters
    ----------
    orders
        Pairs of a label and what was observed.
    """
    families = list(dict.fromkeys(order.family for _, order in orders))
    labels = list(dict.fromkeys(label for label, _ in orders))
    style = looks(labels)
    with mpl.rc_context(STYLE):
        # Two columns where there are many names and these fit side by side below one panel.
        columns = 2 if len(labels) > 6 and max(map(len, labels)) <= 16 else 1
        height = 2.7 + 0.16 * -(-len(labels) // columns)
        figure = Figure(figsize=(max(PAGE / 2 * len(families), 1.2 * COLUMN), height), layout="constrained")
        for ax, family in zip(figure.subplots(1, len(families), squeeze=False)[0], families, strict=True):
            for label, order in orders:
                if order.family == family:
                    _line(ax, label, order, style[label])
            arithmetics = {order.arithmetic for _, order in orders if order.family == family}
            ax.set(
                xscale="log", yscale="log", xlabel="steps N", title=family + " (mpmath)" * (arithmetics == {"mpmath"})
            )
            plain_ticks(ax.xaxis)
            error_ticks(ax.yaxis)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns, columnspacing=1)
        figure.axes[0].set_ylabel("root-mean-square error at the data end")
    return figure


def _line(ax: Any, label: str, order: ObservedOrder, look: dict[str, Any]) -> None:
    n, e = [level.steps for level in order.levels], [level.error for level in order.levels]
    doubt = "" if order.decided else ", undecided"
    line(ax, n, e, label=f"{label}: {order.number}{doubt}", **{**look, "markerfacecolor": "white"})
    used = [level for level in order.levels if level.used and order.decided]
    ax.plot([x.steps for x in used], [x.error for x in used], **{**look, "linestyle": "none"})


def work_precision(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw errors against model evaluations and against seconds without the model, a row a problem and grid.

    Parameters
    ----------
    rows
        Runs, as `asdict` of `analysis.Work` or the records of the study "work_precision" have them.
    """
    places = list(dict.fromkeys((r["problem"], r["grid"]) for r in rows))
    labels = list(dict.fromkeys(r["solver"] for r in rows))
    style = looks(labels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.5 * len(places) + 0.5), layout="constrained")
        for axes, place in zip(figure.subplots(len(places), 2, squeeze=False), places, strict=True):
            here = [r for r in rows if (r["problem"], r["grid"]) == place]
            for label in labels:
                own = [r for r in here if r["solver"] == label]
                error = [r["error"] for r in own]
                line(axes[0], [r["nfe"] for r in own], error, label=label, **style[label])
                line(axes[1], [max(1e3 * r["own_seconds"], 1e-3) for r in own], error, label=label, **style[label])
            for ax, name in zip(axes, ("model evaluations", "milliseconds, model left out"), strict=True):
                ax.set(xscale="log", yscale="log", xlabel=name)
                plain_ticks(ax.xaxis)
                error_ticks(ax.yaxis)
            counts = sorted({r["nfe"] for r in here})
            if len(counts) <= 8:  # each number of evaluations that was run, where they fit
                axes[0].set_xticks(counts)
            axes[0].set_ylabel("root-mean-square error")
            for ax, name in zip(axes, ("evaluations", "processor time"), strict=True):
                ax.set_title(f"{place[0]}, {place[1]} grid: {name}")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure
