"""One look for all figures, and curves over one or several pairs of axes in it.

Colours are such that colour-blind readers tell them apart, with markers and dashes that survive in grey.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

STYLE: Any = mpl.rc_params_from_file(Path(__file__).with_name("bdia.mplstyle"), use_default_template=False)
"""What the style sheet sets; users have it by ``matplotlib.pyplot.style.use("bdia_numerics.plots.bdia")``."""
styled = mpl.rc_context(STYLE)
"""Decorates a function that draws: what it makes has this look, whatever the look of the caller's figures."""

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches of a column and of the page of a two-column paper: at these the sizes of the fonts are right."""

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_MORE = ("<", ">", "*", "h", "p", "d", "8")
_LOOKS: list[dict[str, Any]] = [
    {**look, "color": "#" + look["color"].lstrip("#"), "marker": marker}
    for look, marker in zip(STYLE["axes.prop_cycle"], _MARKERS, strict=True)
]
_LOOKS += [
    look | {"marker": more, "linestyle": _LOOKS[k - 1]["linestyle"]}
    for k, (look, more) in enumerate(zip(_LOOKS, _MORE, strict=True))
]
_OF_SOLVERS = {
    "DDIM": 0, "γ = 0": 0, "γ = 1/2": 1, "γ = 0.5": 1, "γ = 0.9": 2, "γ = 1": 3, "BDIA": 3, "EDICT, p = 0.93": 4, "EDICT": 4,
    "CBDIA": 5, "O-BELM": 6, "Heun": 7, "EDICT, p = 1": 8, "BDIA-EDM": 9, "DPM-Solver++": 11, "BDIA-DPM-Solver++": 12, "γ = 0.8": 13,
}  # fmt: skip
"""The look of a solver by its name, that of BDIA by its gamma; those of numbers 7 and more are the seven colours again."""
_FEW_DECADES = 2.0


def looks(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dashes by label: a solver has the same in every figure, and the others take what is left, in order.

    >>> looks(["EDICT", "BDIA, γ = 1"])["BDIA, γ = 1"] == looks(["γ = 1"])["γ = 1"]
    True
    """
    taken = {label: _OF_SOLVERS.get(re.sub(r"^BDIA, (?=γ)", "", label)) for label in labels}
    free = [k for k in range(len(_LOOKS)) if k not in taken.values()]
    others = [label for label, k in taken.items() if k is None]
    taken.update((label, free[k % len(free)]) for k, label in enumerate(others))
    return {label: _LOOKS[k] for label, k in taken.items() if k is not None}


def canvas(
    height: float, rows: int = 1, columns: int = 1, *, width: float = PAGE, layout: Any = "constrained", **options: Any
) -> tuple[Figure, Any]:
    """Return a figure of a size in inches, and its axes as an array (rows, columns); `options` are those of `subplots`."""
    figure = Figure(figsize=(width, height), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_outside(figure: Figure, columns: int, side: str = "lower") -> None:
    """Draw one legend for all axes of a figure, each label once, below them or at another side."""
    pairs = (pair for ax in figure.axes for pair in zip(*ax.get_legend_handles_labels(), strict=True))
    handles: Any = {label: handle for handle, label in pairs}
    place: Any = f"outside {side} center"
    figure.legend(list(handles.values()), list(handles), loc=place, ncols=columns)


def plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers 1, 2, 5, 10, ..."""
    axis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def error_ticks(axis: Any) -> None:
    """Label a logarithmic axis with powers of ten, or with plain numbers where it spans too few decades for them."""
    low, high = sorted(axis.get_view_interval())
    if np.log10(high / low) < _FEW_DECADES:
        plain_ticks(axis)
    else:
        axis.set_major_locator(LogLocator(10, numticks=7))
        axis.set_minor_locator(NullLocator())


def line(ax: Any, x: Iterable[Any], y: Iterable[Any], **look: Any) -> None:
    """Draw errors on a logarithmic axis; where there is none, or it is not a finite number, a cross stands at the upper edge.

    Parameters
    ----------
    ax, look
        The axes, and what `plot` takes.
    x, y
        Equally many numbers; an error of exactly 0 is left out without a cross.
    """
    places, values = np.array(list(x), float), np.array(list(y), float)
    bad = ~np.isfinite(values)
    ax.plot(places, np.where(bad | (values <= 0), np.nan, values), **look)
    if bad.any():
        mark = {"color": look.get("color"), "transform": ax.get_xaxis_transform(), "clip_on": False, "gid": "missing"}
        ax.plot(places[bad], np.full(bad.sum(), 0.98), "x", **mark)


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
    """Draw panels in rows, and one legend for all of them beside; a label has one look in all of them.

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
    if len(style) > 1 or any(panel.references for panel in panels):
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
