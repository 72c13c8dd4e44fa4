"""What `analysis.design` found: error against amplification."""

from __future__ import annotations

from matplotlib.figure import Figure

from bdia_numerics.analysis import Design
from bdia_numerics.plots.style import COLUMN, styled


@styled
def pareto(found: Design) -> Figure:
    """Draw all members that were looked at, the Pareto set among them, and the best."""
    figure = Figure(figsize=(COLUMN, 2.4), layout="constrained")
    ax, best = figure.subplots(), found.best
    others = [m for m in found.members if m not in found.pareto]
    ax.loglog([m.worst for m in others], [m.error for m in others], "o", color="0.75", markersize=3, label="others")
    ax.loglog(
        [m.worst for m in found.pareto],
        [m.error for m in found.pareto],
        "o-",
        markersize=3,
        label="none is better in both",
    )
    ax.loglog(
        [best.worst],
        [best.error],
        "*",
        markersize=9,
        label=f"chosen: {', '.join(f'{x} = {v}' for x, v in best.values.items()) or 'the only one'}",
    )
    if found.bound is not None:
        ax.axvline(found.bound, color="0.5", linestyle=":", label="bound")
    ax.set_xlabel("amplification of errors of the start")
    ax.set_ylabel(f"predicted error, {found.grid.n} steps")
    ax.legend()
    return figure
