"""Images in rows: what solvers made of the same noise, or of the same image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bdia_numerics.plots.style import PAGE, STYLE

Array = np.ndarray[Any, Any]
_GAP = 2
"""White pixels between images."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Images in rows.

    Attributes
    ----------
    images
        Shape (rows, columns, height, width), black at `low` and white at `high`; an image with NaN is shown as missing.
    rows, columns, right
        Words before the rows, above the columns and behind the rows; () for none.
    heading
        Above the words behind the rows.
    title
        Above all of them.
    """

    images: Array
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    right: Sequence[str] = ()
    title: str = ""
    heading: str = ""
    low: float = 0.0
    high: float = 255.0


def mosaic(images: Array) -> Array:
    """Return images of shape (rows, columns, height, width, ...) as one, white between them; values from 0 to 1."""
    rows, columns, height, width = images.shape[:4]
    spaced = np.ones((rows, columns, height + _GAP, width + _GAP, *images.shape[4:]))
    spaced[:, :, 1:-1, 1:-1] = images
    return spaced.swapaxes(1, 2).reshape(rows * (height + _GAP), columns * (width + _GAP), *images.shape[4:])


def sheets(drawn: Sequence[Sheet], *, width: float = PAGE, margin: float = 1.2) -> Figure:
    """Draw sheets side by side, images of one size.

    Parameters
    ----------
    drawn
        With equally many rows.
    width, margin
        Of the figure, and what its words take of that, in inches.
    """
    columns = sum(one.images.shape[1] for one in drawn)
    rows = drawn[0].images.shape[0]
    words = [any(s.title for s in drawn), any(s.columns for s in drawn)]
    height = (width - margin) / columns * rows + 0.17 * sum(words)
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(rect=(0.01, 0, 0.98, 1))  # no label touches the edge
        figure = Figure(figsize=(width, height + 0.04), layout=layout)
        ratios = [one.images.shape[1] for one in drawn]
        axes: Any = figure.subplots(1, len(drawn), squeeze=False, width_ratios=ratios)[0]
        for ax, one in zip(axes, drawn, strict=True):
            _draw(ax, one)
    return figure


def _draw(ax: Any, one: Sheet) -> None:
    rows, columns, height, width = one.images.shape
    missing = ~np.isfinite(one.images).all(axis=(2, 3))
    scaled = np.clip((np.nan_to_num(one.images) - one.low) / (one.high - one.low), 0, 1)
    scaled[missing] = 0.9
    ax.imshow(mosaic(scaled), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for row, column in np.argwhere(missing):
        x, y = column * (width + _GAP), row * (height + _GAP)
        for ends in ((y + 1, y + height), (y + height, y + 1)):
            ax.plot((x + 1, x + width), ends, color="#D55E00", linestyle="-", linewidth=0.8, gid="missing")
    middles = [[(k + 0.5) * (size + _GAP) - 0.5 for k in range(n)] for n, size in ((rows, height), (columns, width))]
    ax.set(xlim=(-0.5, columns * (width + _GAP) - 0.5), ylim=(rows * (height + _GAP) - 0.5, -0.5), title=one.title)
    ax.set_yticks(middles[0] if one.rows else [], one.rows or None)
    ax.set_xticks(middles[1] if one.columns else [], one.columns or None)
    ax.tick_params(length=0, top=False, labeltop=bool(one.columns), bottom=False, labelbottom=False, pad=1)
    if one.right:
        behind = ax.secondary_yaxis("right")
        behind.set_yticks(middles[0], one.right)
        behind.tick_params(length=0, pad=1)
        behind.spines[:].set_visible(False)
        size = mpl.rcParams["ytick.labelsize"]
        ax.annotate(one.heading, (1, 1), (1, 2), xycoords="axes fraction", textcoords="offset points", fontsize=size)
    ax.grid(visible=False)
    ax.spines[:].set(visible=True, color="0.8")
