"""Convergence, and work against precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bdia_numerics.analysis import ObservedOrder, Work, WorkPrecision
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


def work_precision(found: WorkPrecision) -> Figure:
    """Draw errors against model evaluations and against seconds without the model, a row a problem and grid."""
    pairs = list(dict.fromkeys((r.problem, r.grid) for r in found.rows))
    labels = found.labels("solver")
    style = looks(labels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.5 * len(pairs) + 0.5), layout="constrained")
        for axes, (problem, grid) in zip(figure.subplots(len(pairs), 2, squeeze=False), pairs, strict=True):
            for label in labels:
                rows = found.select(solver=label, problem=problem, grid=grid)
                error = [r.error for r in rows]
                line(axes[0], [r.nfe for r in rows], error, label=label, **style[label])
                line(axes[1], [_ms(r) for r in rows], error, label=label, **style[label])
            for ax, name in zip(axes, ("model evaluations", "milliseconds, model left out"), strict=True):
                ax.set(xscale="log", yscale="log", xlabel=name)
                plain_ticks(ax.xaxis)
                error_ticks(ax.yaxis)
            counts = sorted({r.nfe for r in found.select(problem=problem, grid=grid)})
            if len(counts) <= 8:  # each number of evaluations that was run, where they fit
                axes[0].set_xticks(counts)
            axes[0].set_ylabel("root-mean-square error")
            for ax, name in zip(axes, ("evaluations", "processor time"), strict=True):
                ax.set_title(f"{problem}, {grid} grid: {name}")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def _ms(row: Work) -> float:
    return max(1e3 * row.own_seconds, 1e-3)
