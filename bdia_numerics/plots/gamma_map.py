"""Figures of the map of error over gamma, grid and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.axes import error_ticks, line
from bdia_numerics.plots.style import PAGE, STYLE, looks
from bdia_numerics.studies.gamma_map import GRIDS, best, measures, of_bdia

if TYPE_CHECKING:
    from xarray import Dataset

LABELS = {
    "error": "rms distance to the exact flow",
    "frechet": "Frechet distance of moments",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "energy": "energy distance",
}


_UNDER = {"linewidth": 2.4, "markersize": 6, "zorder": 1.9}
"""Of the line of "leading", which "leading+1" covers: it lies below and is broader."""


def curves(found: Dataset, what: str = "") -> Figure:
    """Draw a measure against gamma, one panel a number of steps, one line a grid.

    Parameters
    ----------
    found
        The dataset of the study "map".
    what
        "error", or the name of a distance; the first that there is by default.
    """
    part, what = of_bdia(found), what or measures(found)[0]
    styles, count = looks(tuple(GRIDS)), found.sizes["steps"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.9 if count < 4 else 3.0), layout="constrained")
        axes: Any = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for panel, steps in zip(axes, found["steps"].values, strict=True):
            for name in found["grid"].values:
                here = part.sel(grid=name, steps=steps)
                look = styles[name] | (_UNDER if name == "leading" else {})
                line(panel, here["gamma"].values, here[what].values, label=name, **look)
                top = best(here, what)
                mark = {"ms": 8, "mfc": "none", "mec": styles[name]["color"], "mew": 1}
                panel.plot(top, here[what].sel(gamma=top), "o", **mark)
            panel.set(yscale="log", xlabel="gamma", title=f"{steps} steps", xticks=[0, 0.5, 1], xlim=(-0.09, 1.09))
        axes[0].set_ylabel(LABELS[what])
        error_ticks(axes[0].yaxis)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=found.sizes["grid"])
    return figure


def last_slot(digits: Dataset, tight: Dataset) -> Figure:
    """Draw two maps at their first number of steps against gamma: sample quality of digits, and the error of tight modes."""
    styles = looks(tuple(GRIDS))
    steps = digits["steps"].values[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 3.3), layout="constrained")
        axes: Any = figure.subplots(1, 2)
        for panel, found, what, title in (
            (axes[0], digits, "frechet", f"handwritten digits, {steps} steps"),
            (axes[1], tight, "error", f"modes of width 0.003 on the line, {steps} steps"),
        ):
            part = of_bdia(found).sel(steps=steps)
            for name in found["grid"].values:
                label = "leading without its last slot" if name == "cut" else name
                line(panel, part["gamma"].values, part[what].sel(grid=name).values, label=label, **styles[name])
            panel.set(yscale="log", xlabel="gamma (0 is DDIM)", ylabel=LABELS[what], title=title)
            error_ticks(panel.yaxis)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def table(found: Dataset, what: str = "error") -> Figure:
    """Draw the best gamma of each grid and number of steps, with DDIM's measure over its own; in colour by that ratio."""
    part, rows, columns = of_bdia(found), found["grid"].values, found["steps"].values
    least = part[what].min("gamma")
    ddim = part[what].sel(gamma=0) if 0 in part["gamma"] else least
    with np.errstate(invalid="ignore"):  # where both are infinitely far
        gains = (ddim / least).transpose("grid", "steps").values
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(0.8 * len(columns) + 1.9, 0.34 * len(rows) + 0.9), layout="constrained")
        axes: Any = figure.subplots()
        image = axes.imshow(np.log10(gains), cmap="cividis", aspect="auto")
        for row, column in np.ndindex(*gains.shape):
            here, gain = part.sel(grid=rows[row], steps=columns[column]), gains[row, column]
            light = np.log10(gain) > np.nanmax(np.log10(gains)) / 2
            failed = not np.isfinite(gain)
            text = "failed" if failed else f"{best(here, what):g}\n{gain:.1f}x"
            look: dict[str, Any] = {"ha": "center", "va": "center", "color": "black" if light or failed else "white"}
            axes.text(column, row, text, gid="missing" if failed else None, **look)
        axes.set_xticks(range(len(columns)), [str(n) for n in columns])
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set(xlabel="steps", title="best gamma, and how much better than DDIM")
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label="log10 of the gain")
    return figure
