"""Exact flows along a density, and errors over intervals that are enclosed with certainty."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from bdia_numerics.analysis import ErrorEnclosure
from bdia_numerics.plots.style import canvas, looks, styled
from bdia_numerics.spaces import Array


@styled
def transport(
    x: Array, z: Array, density: Array, paths: Array, *, xlabel: str, ylabel: str, ends: Mapping[str, Array]
) -> Figure:
    """Draw a density in the plane of noise level and state with paths over it, and the densities of both ends at its sides.

    Parameters
    ----------
    x
        Noise levels, shape (M,), from data to noise.
    z
        States, shape (K,).
    density
        Shape (M, K); each noise level is drawn relative to its own largest value.
    paths
        States on paths, shape (M, P).
    xlabel, ylabel
        What x and z are.
    ends
        By name, densities at both ends, shape (K,), drawn over z.
    """
    relative = density / density.max(axis=1, keepdims=True)
    figure, (axes,) = canvas(3.1, 1, 2, width_ratios=[3, 1], sharey=True)
    axes[0].pcolormesh(x, z, relative.T, cmap="Blues", vmax=1.4, shading="gouraud", rasterized=True)
    axes[0].plot(x, paths, color="black", linestyle="-", linewidth=0.8)
    axes[0].grid(visible=False)
    axes[0].set(xlabel=xlabel, ylabel=ylabel, xlim=(x.min(), x.max()), ylim=(z.min(), z.max()))
    for (name, values), dashes in zip(ends.items(), ("-", "--"), strict=False):
        axes[1].plot(values, z, color="black", linestyle=dashes, label=name)
    axes[1].set(xlabel="density")
    axes[1].legend()
    return figure


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
