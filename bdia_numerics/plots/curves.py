"""Curves over one or several pairs of axes, as the chapters draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bdia_numerics.plots.axes import error_ticks, plain_ticks
from bdia_numerics.plots.style import PAGE, STYLE, looks

Curve = tuple[Any, Any]
SPARSE = 24  # curves of more points than this are lines without markers
GREY = "0.55"


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    x, y
        What the axes show.
    curves
        By label the two coordinates, arrays of one shape; markers stand at the points of curves of few points.
    references
        By label what they are compared with: thin grey lines.
    title
        Above the axes.
    log
        Which axes are logarithmic: "", "x", "y" or "xy".
    limits
        Of the vertical axis, None where the curves decide.
    ticks
        Of the horizontal axis.
    legend
        Whether it has a legend of its own; where no panel has one, there is one for all of them below.
    """

    x: str
    y: str
    curves: Mapping[str, Curve]
    references: Mapping[str, Curve] = field(default_factory=dict)
    title: str = ""
    log: str = ""
    limits: tuple[float | None, float | None] | None = None
    ticks: Sequence[float] = ()
    legend: bool = True


def draw(*panels: Panel, columns: int = 2, height: float = 3.0) -> Figure:
    """Draw panels in rows; a label has one look in all of them."""
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    style = looks(list(dict.fromkeys(label for panel in panels for label in panel.curves)))
    with mpl.rc_context(STYLE):
        width = {1: 4.8, 2: PAGE}.get(across, 2.7 * across)
        figure = Figure(figsize=(width, height * down), layout="constrained")
        axes: Any = figure.subplots(down, across, squeeze=False)
        for ax, panel in zip(axes.flat, panels, strict=False):
            fill(ax, panel, style)
        for ax in list(axes.flat)[len(panels) :]:
            ax.set_axis_off()
        if not any(panel.legend for panel in panels):
            handles = {label: h for ax in axes.flat for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


def fill(ax: Any, panel: Panel, style: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Draw one panel's curves into given axes."""
    style = style or looks(list(panel.curves))
    for k, (label, (x, y)) in enumerate(panel.references.items()):
        ax.plot(x, y, color=GREY, linewidth=1, linestyle=("-", "--", ":", "-.")[k % 4], label=label)
    for label, (x, y) in panel.curves.items():
        marker = {"marker": ""} if len(x) > SPARSE else {"markersize": 4}
        ax.plot(x, y, label=label, **{**style[label], **marker})
    ax.set(xlabel=panel.x, ylabel=panel.y, title=panel.title)
    if "x" in panel.log:
        ax.set_xscale("log")
        plain_ticks(ax.xaxis)
    if "y" in panel.log:
        ax.set_yscale("log")
        error_ticks(ax.yaxis)
    if panel.limits:
        ax.set_ylim(*panel.limits)
    if len(panel.ticks):
        ax.set_xticks(panel.ticks, [f"{tick:g}" for tick in panel.ticks])
    shown = [label for label in (*panel.references, *panel.curves) if not label.startswith("_")]
    if panel.legend and (len(shown) > 1 or panel.references):
        ax.legend()
