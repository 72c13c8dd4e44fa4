"""One look for all figures: colours that colour-blind readers tell apart, with markers and dashes that survive in grey; ticks, marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
_LOOKS: Sequence[dict[str, Any]] = [
    {**look, "color": "#" + look["color"].lstrip("#"), "marker": marker}
    for look, marker in zip(STYLE["axes.prop_cycle"], _MARKERS, strict=True)
]
_FEW_DECADES = 2.0


def looks(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dashes by label, in the order given; beyond seven, colours come again with other markers and dashes."""
    again = [
        look | {"marker": more, "linestyle": _LOOKS[k - 1]["linestyle"]}
        for k, (look, more) in enumerate(zip(_LOOKS, _MORE, strict=True))
    ]
    return {label: (_LOOKS if k < len(_LOOKS) else again)[k % len(_LOOKS)] for k, label in enumerate(labels)}


def canvas(
    height: float, rows: int = 1, columns: int = 1, *, width: float = PAGE, layout: Any = "constrained", **options: Any
) -> tuple[Figure, Any]:
    """Return a figure of a size in inches, and its axes as an array (rows, columns); `options` are those of `subplots`."""
    figure = Figure(figsize=(width, height), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_outside(figure: Figure, columns: int, side: str = "lower") -> None:
    """Draw one legend for all axes of a figure, each label once, below them or at another side."""
    pairs = (pair for ax in figure.axes for pair in zip(*ax.get_legend_handles_labels(), strict=True))
    handles = {label: handle for handle, label in pairs}
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
