"""Errors enclosed over intervals, and how much a ball's radius grows through a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.analysis import ErrorEnclosure
from bdia_numerics.plots.style import PAGE, STYLE, looks

if TYPE_CHECKING:
    from xarray import Dataset

_LABELS = {"natural": "balls alone", "mean value": "mean-value form"}


def growth(found: Dataset) -> Figure:
    """Draw radii of enclosed errors against half-widths of the interval of initial states, one panel a number of slots.

    Parameters
    ----------
    found
        The dataset of the study "enclosures".
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
        axes: Any = figure.subplots(1, found.sizes["slots"], sharey=True, squeeze=False)[0]
        styles = looks(["sampled spread", *_LABELS.values()])
        for ax, slots in zip(axes, found["slots"].values, strict=True):
            panel = found.sel(slots=slots)
            for form, label in _LABELS.items():
                radii = panel["radius"].sel(form=form).values
                ax.plot(panel["width"], np.where(np.isfinite(radii), radii, np.nan), label=label, **styles[label])
            ax.plot(panel["width"], panel["spread"], label="sampled spread", **styles["sampled spread"])
            ax.set(xscale="log", yscale="log", xlabel="half-width of the interval of $z_N$", title=f"{slots} slots")
        axes[0].set_ylabel("radius of the error of $x_0$")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def bands(enclosed: Mapping[str, ErrorEnclosure]) -> Figure:
    """Draw, for each solver, the balls that hold its error over the pieces of an interval of initial states.

    Parameters
    ----------
    enclosed
        By label; states of one coordinate.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        ax = figure.subplots()
        styles = looks(list(enclosed))
        for label, found in enclosed.items():
            pieces = sorted((float(low), float(high), errors[0]) for ((low, high),), errors in found.pieces)
            for low, high, ball in pieces:
                middle, radius = float(ball.mid()), float(ball.rad())
                ax.fill_between([low, high], middle - radius, middle + radius, color=styles[label]["color"], lw=0)
            ax.fill_between([], [], color=styles[label]["color"], label=label)
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.set(xlabel="$z_N$", ylabel="error of $x_0$, enclosed")
        ax.legend()
    return figure
