"""One look for all figures, and curves over one or several pairs of axes in it.

Colours are such that colour-blind readers tell them apart, with markers and dashes that survive in grey.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bdia_numerics.formulas import solver_name

STYLE: Any = mpl.rc_params_from_file(Path(__file__).with_name("bdia.mplstyle"), use_default_template=False)
"""What the style sheet sets; users have it by ``matplotlib.pyplot.style.use("bdia_numerics.plots.bdia")``."""
styled = mpl.rc_context(STYLE)
"""Decorates a function that draws: what it makes has this look, whatever the look of the caller's figures."""

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches of a column and of the page of a two-column paper: at these the sizes of the fonts are right."""

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_MORE = ("<", ">", "*", "h", "p", "d", "8")
_LOOKS: Sequence[dict[str, Any]] = [
    {**look, "color": "#" + look["color"].lstrip("#"), "marker": marker}
    for look, marker in zip(STYLE["axes.prop_cycle"], _MARKERS, strict=True)
]
_FEW_DECADES = 2.0


_OF_SOLVERS = dict(
    zip(
        (
            *("ddim", "bdia 0.5", "cbdia", "o-belm", "bdia 1", "edict", "dpm-solver++"),
            *("ddim by (23)", "leapfrog", "bdia-edm", "heun", "alf", "edict, exchanging", "bdia 0.9"),
        ),
        range(14),
        strict=True,
    )
)
"""Which look a solver has, in all figures."""
_GAMMA = re.compile(r"(?:bdia\W*)?(?:γ|gamma)\s*=?\s*(\d+(?:[./]\d+)?)\)?")
_SAME = {"bdia": "bdia 1", "bdia 0": "ddim", "obelm": "o-belm", "bdiaheun": "bdia-edm", "dpmsolverpp": "dpm-solver++"}


def _solver(label: str) -> str:
    """Return what a label calls a solver, in one of several ways, as `_OF_SOLVERS` names it."""
    text = label.lower()
    if found := _GAMMA.fullmatch(text):
        text = f"bdia {float(Fraction(found[1])):g}"
    for name in ("edict", "cbdia", "o-belm", "dpm-solver++"):
        if text.startswith(name) and "exchang" not in text:
            text = name
    return _SAME.get(text, text)


def looks(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dashes by label.

    A solver has the same look in every figure. Other labels take those that are free, in the order given; beyond fourteen they come again.
    """
    again = [
        look | {"marker": more, "linestyle": _LOOKS[k - 1]["linestyle"]}
        for k, (look, more) in enumerate(zip(_LOOKS, _MORE, strict=True))
    ]
    every = [*_LOOKS, *again]
    own: dict[str, int] = {}
    for label in labels:
        place = _OF_SOLVERS.get(_solver(label))
        if place is not None and place not in own.values():
            own[label] = place
    free = cycle([k for k in range(len(every)) if k not in own.values()] or range(len(every)))
    return {label: every[own[label] if label in own else next(free)] for label in labels}


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


def error_ticks(axis: Any, most: int = 7) -> None:
    """Label a logarithmic axis with so many powers of ten at most, or with plain numbers where it spans too few decades for them."""
    low, high = sorted(axis.get_view_interval())
    if np.log10(high / low) < _FEW_DECADES:
        plain_ticks(axis)
    else:
        axis.set_major_locator(LogLocator(10, numticks=most))
        axis.set_minor_locator(NullLocator())


def missing(ax: Any, rows: Any, look: Mapping[str, Any]) -> None:
    """Draw a cross at the right edge in each row whose value is not finite."""
    edge = ax.get_yaxis_transform()
    ax.plot(np.full(len(rows), 0.98), rows, "x", color=look["color"], transform=edge, gid="missing")


def intervals(ax: Any, part: Any, what: str, rows: Any, label: str, look: Mapping[str, Any]) -> None:
    """Draw the values of a part of a dataset with their intervals, `low` to `high`, one a row."""
    middle, low, high = (part[name].values for name in (what, "low", "high"))
    ends = np.abs((low - middle, high - middle))
    ax.errorbar(middle, rows, xerr=ends, label=label, **{**look, "linestyle": "none"})
    missing(ax, rows[~np.isfinite(middle)], look)


def solver_rows(ax: Any, solvers: Iterable[Any]) -> None:
    """Name the rows of solvers, the first one on top."""
    names = [solver_name(str(text)) for text in solvers]
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()


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
