"""Errors enclosed over intervals of initial states."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from bdia_numerics.analysis import ErrorEnclosure
from bdia_numerics.plots.style import canvas, looks, styled


@styled
def bands(enclosed: Mapping[str, ErrorEnclosure]) -> Figure:
    """Draw, for each solver, the balls that hold its error over the pieces of an interval of initial states.

    Parameters
    ----------
    enclosed
        By label; states of one coordinate.
    """
    figure, ((ax,),) = canvas(3.4, width=6.4)
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
