"""A distribution under the probability flow: its density over the noise level, and the paths of states."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from bdia_numerics.plots.style import canvas, styled
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
