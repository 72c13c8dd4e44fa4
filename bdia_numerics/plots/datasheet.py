"""Figures of a datasheet: orders, stability regions, work beside DDIM's."""

from __future__ import annotations

from matplotlib.figure import Figure

from bdia_numerics.analysis import ObservedOrder, StabilityRegion, WorkPrecision
from bdia_numerics.plots.curves import Panel, draw
from bdia_numerics.plots.orders import levels
from bdia_numerics.plots.stability import NAMES, region
from bdia_numerics.plots.style import canvas, looks, plain_ticks, styled

HEIGHT, WIDTH = 3.4, 4.4


@styled
def order_plot(orders: dict[str, ObservedOrder]) -> Figure:
    """Draw errors against steps by kind of grid; levels that the order does not rest on are hollow."""
    figure, ((ax,),) = canvas(HEIGHT, width=WIDTH)
    for (kind, found), look in zip(orders.items(), looks(list(orders)).values(), strict=True):
        levels(ax, kind, found, look)
    ax.set(xscale="log", yscale="log", xlabel="steps N", ylabel="root-mean-square error")
    plain_ticks(ax.xaxis)
    ax.legend()
    return figure


@styled
def region_plot(regions: dict[str, StabilityRegion]) -> Figure:
    """Draw where numerical solutions of dy/ds = J y stay bounded, in the plane of h J."""
    figure, ((ax,),) = canvas(HEIGHT, width=WIDTH)
    for (name, found), look in zip(regions.items(), looks(list(regions)).values(), strict=True):
        colour, dashes = look["color"], look["linestyle"]
        inside = region(ax, found.real, found.imaginary, found.radius, colour, dashes)
        empty = "" if inside else ": empty, or a line"
        ax.plot([], [], color=colour, linestyle=dashes, label=NAMES.get(name, name) + empty)
    ax.axhline(0, color="0.6", linewidth=0.6)
    ax.axvline(0, color="0.6", linewidth=0.6)
    ax.set(xlabel="real part of h J", ylabel="imaginary part of h J")
    ax.legend(loc="upper left")
    return figure


def work_plot(work: WorkPrecision, name: str) -> Figure:
    """Draw errors at equal numbers of evaluations beside DDIM's; `name` stands for the solver."""
    rows = {label: work.select(solver=solver) for label, solver in (("DDIM", "DDIM"), (name, "solver"))}
    curves = {label: ([r.nfe for r in own], [r.error for r in own]) for label, own in rows.items()}
    return draw(Panel("model evaluations", "root-mean-square error", curves, log="xy"), height=HEIGHT)
