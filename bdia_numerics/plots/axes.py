"""Ticks, and marks for what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

_FEW_DECADES = 2.0


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
        edge = ax.get_xaxis_transform()
        ax.plot(
            places[bad],
            np.full(bad.sum(), 0.98),
            "x",
            color=look.get("color"),
            transform=edge,
            clip_on=False,
            gid="missing",
        )
