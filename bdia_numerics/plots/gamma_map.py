"""Figures of the map of error over gamma, grid and steps."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.axes import error_ticks, line
from bdia_numerics.plots.style import PAGE, STYLE, looks
from bdia_numerics.studies.gamma_map import GRIDS, GammaMap

LABELS = {
    "error": "rms distance to the exact flow",
    "frechet": "Frechet distance of moments",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "energy": "energy distance",
}


_UNDER = {"linewidth": 2.4, "markersize": 6, "zorder": 1.9}
"""Of the line of "leading", which "leading+1" covers: it lies below and is broader."""


def curves(found: GammaMap, what: str, *, title: str = "") -> Figure:
    """Draw a measure against gamma, one panel a number of steps, one line a grid; dots at the left margin are O-BELM."""
    config = found.config
    styles = looks(tuple(GRIDS))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.9 if len(config.steps) < 4 else 3.0), layout="constrained")
        axes: Any = figure.subplots(1, len(config.steps), sharey=True, squeeze=False)[0]
        for panel, steps in zip(axes, config.steps, strict=True):
            for name in config.grids:
                cells = [c for c in found.at(name, steps) if c.gamma is not None]
                values = [c.value(what) for c in cells]
                look = styles[name] | (_UNDER if name == "leading" else {})
                line(panel, [c.gamma for c in cells], values, label=name, **look)
                best = int(np.argmin(np.nan_to_num(values, nan=np.inf)))
                panel.plot(cells[best].gamma, values[best], "o", ms=8, mfc="none", mec=styles[name]["color"], mew=1)
            panel.set(yscale="log", xlabel="gamma", title=f"{steps} steps", xticks=[0, 0.5, 1], xlim=(-0.09, 1.09))
        axes[0].set_ylabel(LABELS[what])
        error_ticks(axes[0].yaxis)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.grids))
        if title:
            figure.suptitle(title)
    return figure


def last_slot(digits: GammaMap, tight: GammaMap) -> Figure:
    """Draw two maps at their first number of steps against gamma: sample quality of digits, and the error of tight modes."""
    styles = looks(tuple(GRIDS))
    steps = digits.config.steps[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 3.3), layout="constrained")
        axes: Any = figure.subplots(1, 2)
        for panel, found, what, title in (
            (axes[0], digits, "frechet", f"handwritten digits, {steps} steps"),
            (axes[1], tight, "error", f"modes of width 0.003 on the line, {steps} steps"),
        ):
            for name in found.config.grids:
                cells = [c for c in found.at(name, steps) if c.gamma is not None]
                label = "leading without its last slot" if name == "cut" else name
                line(panel, [c.gamma for c in cells], [c.value(what) for c in cells], label=label, **styles[name])
            panel.set(yscale="log", xlabel="gamma (0 is DDIM)", ylabel=LABELS[what], title=title)
            error_ticks(panel.yaxis)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def table(found: GammaMap, what: str) -> Figure:
    """Draw the best gamma of each grid and number of steps, with DDIM's measure over its own; in colour by that ratio."""
    config = found.config
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(0.8 * len(config.steps) + 1.9, 0.34 * len(config.grids) + 0.9), layout="constrained")
        axes: Any = figure.subplots()
        gains = np.array([[_gain(found, g, n, what) for n in config.steps] for g in config.grids])
        image = axes.imshow(np.log10(gains), cmap="cividis", aspect="auto")
        for row, name in enumerate(config.grids):
            for column, steps in enumerate(config.steps):
                best = found.best(name, steps, what)
                light = np.log10(gains[row, column]) > np.nanmax(np.log10(gains)) / 2
                failed = not np.isfinite(gains[row, column])
                text = "failed" if failed else f"{best.gamma:g}\n{gains[row, column]:.1f}x"
                axes.text(
                    column,
                    row,
                    text,
                    ha="center",
                    va="center",
                    color="black" if light or failed else "white",
                    gid="missing" if failed else None,
                )
        axes.set_xticks(range(len(config.steps)), [str(n) for n in config.steps])
        axes.set_yticks(range(len(config.grids)), list(config.grids))
        axes.set(xlabel="steps", title="best gamma, and how much better than DDIM")
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label="log10 of the gain")
    return figure


def _gain(found: GammaMap, grid: str, steps: int, what: str) -> float:
    ddim = next((c for c in found.at(grid, steps) if c.gamma == 0), None)
    best = found.best(grid, steps, what)
    return (ddim or best).value(what) / best.value(what)
