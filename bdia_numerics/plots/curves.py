"""Curves over one or several pairs of axes, as the chapters draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from bdia_numerics.plots.style import PAGE, canvas, error_ticks, legend_outside, line, looks, plain_ticks, styled

Curve = tuple[Any, Any]
SPARSE = 24  # curves of more points than this are lines without markers
GREY = "0.55"
_AROUND: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none", "markeredgewidth": 1.1, "zorder": 2.5}
"""Of a curve whose marks are open and larger, so that one below is seen where both are one."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    x, y
        What the axes show.
    curves
        By label the two coordinates, arrays of one shape; markers stand at the points of curves of few points. On a logarithmic
        vertical axis a cross stands at the upper edge where a number is not finite.
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
    around
        Labels of curves whose marks are open and larger, so that one below is seen.
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
    around: Sequence[str] = ()


@styled
def draw(
    *panels: Panel,
    columns: int = 2,
    height: float = 3.0,
    style: Mapping[str, Mapping[str, Any]] | None = None,
    ncols: int = 3,
    side: str = "lower",
    **options: Any,
) -> Figure:
    """Draw panels in rows; a label has one look in all of them.

    Parameters
    ----------
    panels, columns, height
        What is drawn, how many side by side, and inches of each row.
    style
        By label, what `plot` takes; as `style.looks` by default.
    ncols, side
        Columns of the legend of all panels, and its side of the figure.
    options
        As `subplots` takes them, such as sharey=True.
    """
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    style = style or looks(list(dict.fromkeys(label for panel in panels for label in panel.curves)))
    width = {1: 4.8, 2: PAGE}.get(across, min(2.7 * across, PAGE))
    figure, axes = canvas(height * down, down, across, width=width, **options)
    for ax, panel in zip(axes.flat, panels, strict=False):
        fill(ax, panel, style)
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_axis_off()
    if not any(panel.legend for panel in panels):
        legend_outside(figure, ncols, side)
    return figure


def fill(ax: Any, panel: Panel, style: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Draw one panel's curves into given axes."""
    style = style or looks(list(panel.curves))
    plot = partial(line, ax) if "y" in panel.log else ax.plot
    for k, (label, (x, y)) in enumerate(panel.references.items()):
        ax.plot(x, y, color=GREY, linewidth=1, linestyle=("-", "--", ":", "-.")[k % 4], label=label)
    for label, (x, y) in panel.curves.items():
        marks = {"marker": ""} if len(x) > SPARSE else _AROUND if label in panel.around else {}
        plot(x, y, label=label, **{**style[label], **marks})
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
