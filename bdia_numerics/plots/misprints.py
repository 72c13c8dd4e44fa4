"""What misprints do when they are run as printed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bdia_numerics.plots.axes import error_ticks, line
from bdia_numerics.plots.style import PAGE, STYLE, looks

COLUMNS = 3
_AROUND: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none", "markeredgewidth": 1.1, "zorder": 2.5}
"""Of the second curve: its marks are open and larger, so that the first is seen where both are one."""


@dataclass(frozen=True)
class Panel:
    """Errors of one misprint: numbers of steps, shape (n,), and `curves` by label, each with as many errors."""

    title: str
    quantity: str
    steps: Any
    curves: Mapping[str, Any]


def panels(drawn: Sequence[Panel]) -> Figure:
    """Draw one panel a misprint, errors against steps, both axes logarithmic, with one legend."""
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE * columns / COLUMNS, 1.75 * rows + 0.3), layout="constrained")
        axes: Any = figure.subplots(rows, columns, squeeze=False)
        for ax, panel in zip(axes.flat, drawn, strict=False):
            for k, (label, look) in enumerate(looks(list(panel.curves)).items()):
                line(ax, panel.steps, panel.curves[label], label=label, **look, **(_AROUND if k else {}))
            words = re.sub(r"\b([a-z])_(\w)\b", r"$\1_\2$", panel.quantity)
            ax.set(xscale="log", yscale="log", title=f"{panel.title}: {words}")
            ax.set_xticks(panel.steps, labels=[str(n) for n in panel.steps])
            ax.minorticks_off()
            error_ticks(ax.yaxis)
        for ax in list(axes.flat)[len(drawn) :]:
            ax.set_axis_off()
        for ax in axes[-1]:
            ax.set_xlabel("steps N")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure
