"""Figures of the map of error over gamma, grid and steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.style import Panel, canvas, draw, looks, styled
from bdia_numerics.studies.gamma_map import GRIDS, best, measures, of_bdia
from bdia_numerics.studies.study import Dataset

LABELS = {
    "error": "rms distance to the exact flow",
    "frechet": "Frechet distance of moments",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "energy": "energy distance",
}


_UNDER = {"linewidth": 2.4, "markersize": 6, "zorder": 1.9}
"""Of the line of "leading", which "leading+1" covers: it lies below and is broader."""


@styled
def curves(found: Dataset, what: str = "") -> Figure:
    """Draw a measure against gamma, one panel a number of steps, one line a grid.

    Parameters
    ----------
    found
        The dataset of the study "map".
    what
        "error", or the name of a distance; the first that there is by default.
    """
    part, what, steps = of_bdia(found), what or measures(found)[0], found["steps"].values
    styles = looks(tuple(GRIDS))
    panels = [
        _panel(part.sel(steps=n), what, f"{n} steps", LABELS[what] if n == steps[0] else "", ticks=(0, 0.5, 1))
        for n in steps
    ]
    figure = draw(
        *panels, columns=len(steps), ncols=found.sizes["grid"], sharey=True,
        style=styles | {"leading": styles["leading"] | _UNDER},
    )  # fmt: skip
    for ax, n in zip(figure.axes, steps, strict=True):
        for name in found["grid"].values:
            here = part.sel(grid=name, steps=n)
            top = best(here, what)
            mark = {"ms": 8, "mfc": "none", "mec": styles[name]["color"], "mew": 1}
            ax.plot(top, here[what].sel(gamma=top), "o", **mark)
    return figure


def last_slot(digits: Dataset, tight: Dataset) -> Figure:
    """Draw two maps at their first number of steps against gamma: sample quality of digits, and the error of tight modes."""
    steps, styles = digits["steps"].values[0], looks(tuple(GRIDS))
    cut = "leading without its last slot"
    panels = []
    for found, what, title in (
        (digits, "frechet", f"handwritten digits, {steps} steps"),
        (tight, "error", f"modes of width 0.003 on the line, {steps} steps"),
    ):
        names = [cut if name == "cut" else name for name in found["grid"].values]
        part = of_bdia(found).sel(steps=steps).assign_coords(grid=names)
        panels.append(_panel(part, what, title, LABELS[what]))
    return draw(*panels, height=3.3, ncols=4, style=styles | {cut: styles["cut"]})


def _panel(part: Dataset, what: str, title: str, y: str, ticks: Sequence[float] = ()) -> Panel:
    lines = {str(name): (part["gamma"].values, part[what].sel(grid=name).values) for name in part["grid"].values}
    return Panel("gamma (0 is DDIM)", y, lines, title=title, log="y", ticks=ticks)


@styled
def table(found: Dataset, what: str = "error") -> Figure:
    """Draw `fill` as a figure of its own."""
    figure, ((ax,),) = canvas(0.34 * found.sizes["grid"] + 0.9, width=0.8 * found.sizes["steps"] + 1.9)
    fill(found, ax, what)
    return figure


def fill(found: Dataset, ax: Any, what: str = "error") -> None:
    """Draw the best gamma of each grid and number of steps, with DDIM's measure over its own, in colour by that ratio, if it was run."""
    part, rows, columns = of_bdia(found), found["grid"].values, found["steps"].values
    least = part[what].min("gamma")
    compared = 0 in part["gamma"]
    ddim = part[what].sel(gamma=0) if compared else least
    with np.errstate(invalid="ignore"):  # where both are infinitely far
        gains = (ddim / least).transpose("grid", "steps").values
    image = ax.imshow(np.log10(gains), cmap="cividis", aspect="auto")
    for row, column in np.ndindex(*gains.shape):
        here, gain = part.sel(grid=rows[row], steps=columns[column]), gains[row, column]
        light = image.norm(np.log10(gain)) > 0.5
        failed = not np.isfinite(gain)
        text = "failed" if failed else f"{best(here, what):g}" + f"\n{gain:.1f}x" * compared
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": "black" if light or failed else "white"}
        ax.text(column, row, text, gid="missing" if failed else None, **look)
    ax.set(xticks=range(len(columns)), xticklabels=columns, yticks=range(len(rows)), yticklabels=rows)
    ax.set(xlabel="steps", title="best gamma" + ", and how much better than DDIM" * compared)
    ax.grid(visible=False)
    if compared:
        ax.figure.colorbar(image, ax=ax, label="log10 of the gain")
