"""Images in rows: what solvers made of the same noise, or of the same image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bdia_numerics.plots.style import PAGE, styled
from bdia_numerics.spaces import Array

_GAP = 2
"""White pixels between images."""
_LETTER = 0.07
"""Inches that a letter of a caption takes at most, on average."""
_IMAGE = 0.62
"""Inches of an image in `sheet`."""
_WORDS = {"title": 0.17, "columns": 0.17, "caption": 0.28}
"""Inches that words above and below take."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Images in rows.

    Attributes
    ----------
    images
        Shape (rows, columns, height, width), black at `low` and white at `high`, or (rows, columns, height, width, 3) in colours; an
        image with NaN is shown as missing.
    rows, columns, right
        Words before the rows, above the columns and behind the rows; () for none.
    heading
        Above the words behind the rows.
    title, caption
        Above all of them, and below.
    """

    images: Array
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    right: Sequence[str] = ()
    title: str = ""
    heading: str = ""
    low: float = 0.0
    high: float = 255.0
    caption: str = ""


def mosaic(images: Array) -> Array:
    """Return images of shape (rows, columns, height, width, ...) as one, white between them; values from 0 to 1."""
    rows, columns, height, width = images.shape[:4]
    spaced = np.ones((rows, columns, height + _GAP, width + _GAP, *images.shape[4:]))
    spaced[:, :, 1:-1, 1:-1] = images
    return spaced.swapaxes(1, 2).reshape(rows * (height + _GAP), columns * (width + _GAP), *images.shape[4:])


def sheet(
    images: Array, *, columns: int, titles: Sequence[str] = (), caption: str = "", low: float = -1, high: float = 1
) -> Figure:
    """Draw images in rows of equal length, the last one filled up with white.

    Parameters
    ----------
    images
        Shape (n, channels, height, width), of one channel or three; other channels are averaged.
    columns
        Images in a row.
    titles
        Words above the columns.
    caption
        A line below.
    low, high
        The values of black and white; those beyond are cut off.
    """
    n, channels, height, width = images.shape
    coloured = images if channels == 3 else images.mean(1, keepdims=True)
    rows = -(-n // columns)
    padded = np.full((rows * columns, height, width, coloured.shape[1]), high, float)
    padded[:n] = coloured.transpose(0, 2, 3, 1)
    places = padded.reshape(rows, columns, height, width, -1)
    drawn = Sheet(
        places if channels == 3 else places[..., 0], columns=titles[:columns], low=low, high=high, caption=caption
    )
    # A caption is longer than a row of few images.
    wide = max(_IMAGE * columns, _LETTER * len(caption))
    return sheets([drawn], width=wide, margin=wide - _IMAGE * columns)


def edits(
    images: Sequence[Sequence[Array]],
    rows: Sequence[str],
    columns: Sequence[str],
    right: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw what methods made of one image, a row each: the source, its reconstruction, and edits.

    Parameters
    ----------
    images
        By row and column, shape (height, width, 1 or 3), values from 0 to 1; all of one size.
    rows, columns, right
        Words before the rows, above the columns and behind the rows.
    title, caption
        A line above, and one below.
    """
    places = np.stack([np.stack(list(row)) for row in images]).astype(float)
    drawn = Sheet(
        places[..., 0] if places.shape[-1] == 1 else places,
        rows=[fill(word, 16) for word in rows],
        columns=[fill(word, 18) for word in columns],
        right=right,
        title=title,
        high=1.0,
        caption=caption,
    )
    margin = 2.6
    return sheets([drawn], width=min(1.15 * len(columns), 7.0) + margin, margin=margin)


@styled
def sheets(drawn: Sequence[Sheet], *, width: float = PAGE, margin: float = 1.2) -> Figure:
    """Draw sheets side by side, images of one size.

    Parameters
    ----------
    drawn
        With equally many rows.
    width, margin
        Of the figure, and what its words take of that, in inches.
    """
    ratios = [one.images.shape[1] for one in drawn]
    words = sum(inches for name, inches in _WORDS.items() if any(getattr(one, name) for one in drawn))
    rows, _, high, wide = drawn[0].images.shape[:4]
    height = (width - margin) / sum(ratios) * rows * (high + _GAP) / (wide + _GAP) + words
    layout = ConstrainedLayoutEngine(rect=(0.01, 0, 0.98, 1))  # no label touches the edge
    figure = Figure(figsize=(width, height + 0.04), layout=layout)
    axes: Any = figure.subplots(1, len(drawn), squeeze=False, width_ratios=ratios)[0]
    for ax, one in zip(axes, drawn, strict=True):
        _draw(ax, one)
    return figure


def _draw(ax: Any, one: Sheet) -> None:
    rows, columns, height, width = one.images.shape[:4]
    missing = ~np.isfinite(one.images).reshape(rows, columns, -1).all(axis=2)
    scaled = np.clip((np.nan_to_num(one.images) - one.low) / (one.high - one.low), 0, 1)
    scaled[missing] = 0.9
    ax.imshow(mosaic(scaled), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for row, column in np.argwhere(missing):
        x, y = column * (width + _GAP), row * (height + _GAP)
        cross = ((y + 1, y + height), (y + height, y + 1))
        ax.plot((x + 1, x + width), cross, color="#D55E00", linestyle="-", linewidth=0.8, gid="missing")
    middles = [[(k + 0.5) * (size + _GAP) - 0.5 for k in range(n)] for n, size in ((rows, height), (columns, width))]
    ax.set(
        xlim=(-0.5, columns * (width + _GAP) - 0.5),
        ylim=(rows * (height + _GAP) - 0.5, -0.5),
        title=one.title,
        xlabel=one.caption,
    )
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
