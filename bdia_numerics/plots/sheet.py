"""A sheet of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.pictures import mosaic
from bdia_numerics.plots.style import STYLE

Array = np.ndarray[Any, Any]
_LETTER = 0.07
"""Inches that a letter of a caption takes at most, on average."""


def sheet(
    images: Array, *, columns: int, titles: Sequence[str] = (), caption: str = "", low: float = -1, high: float = 1
) -> Figure:
    """Draw images in rows, without space between their pixels and the figure's.

    Parameters
    ----------
    images
        Shape (n, channels, height, width), of one channel or three; other channels are averaged.
    columns
        Images in a row.
    titles
        Words above the columns of the first row.
    caption
        A line below.
    low, high
        The values of black and white; those beyond are cut off.
    """
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    padded = np.ones((rows * columns, height, width, 3))
    scaled = np.clip((np.nan_to_num(images, nan=low) - low) / (high - low), 0, 1)
    coloured = scaled if channels == 3 else np.repeat(scaled.mean(1, keepdims=True), 3, axis=1)
    padded[:n] = coloured.transpose(0, 2, 3, 1)
    whole = mosaic(padded.reshape(rows, columns, height, width, 3))
    inches = 0.62 * columns, 0.62 * columns * whole.shape[0] / whole.shape[1]
    with mpl.rc_context(STYLE):
        extra = 0.28 * (bool(titles) + bool(caption))
        # A caption is longer than a row of few images.
        figure = Figure(figsize=(max(inches[0], _LETTER * len(caption)), inches[1] + extra), layout="constrained")
        ax = figure.subplots()
        ax.imshow(whole, interpolation="nearest")
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set(yticks=[], xticks=[])
        if titles:
            ax.set_xticks([(k + 0.5) * (width + 2) - 0.5 for k in range(columns)], titles[:columns])
            ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        if caption:
            ax.set_xlabel(caption)
    return figure
