"""What `analysis.design` found: error against amplification."""

from __future__ import annotations

from matplotlib.figure import Figure

from bdia_numerics.analysis import Design
from bdia_numerics.plots.style import COLUMN, canvas, styled


@styled
def pareto(found: Design) -> Figure:
    """Draw all members that were looked at, the Pareto set among them, and the best."""
    figure, axes = canvas(2.4, width=COLUMN)
    ax, best, sets = axes[0, 0], found.best, found.pareto
    free = {x for family in found.families for x in family.free}
    chosen = ", ".join(f"${x} = {w}$" for x, w in best.weights.items() if x in free) or "the only one"
    looks = (
        ([m for m in found.members if m not in sets], "o", "0.75", 3, "others"),
        (sets, "o-", "#0072B2", 3, "none is better in both"),
        ([best], "*", "#D55E00", 9, f"chosen: {chosen}"),
    )
    for members, mark, colour, size, label in looks:
        ax.loglog(
            [m.worst for m in members], [m.error for m in members], mark, color=colour, markersize=size, label=label
        )
    if found.bound is not None:
        ax.axvline(found.bound, color="0.5", linestyle=":", label="bound")
    ax.set_xlabel("amplification of errors of the start")
    ax.set_ylabel(f"predicted error, {found.grid.n} steps")
    ax.legend()
    return figure
