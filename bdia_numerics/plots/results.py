"""One measured result in one pair of axes: what `.plot()` of results draws, and the figures of a datasheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.analysis import (
    Amplification,
    BestGamma,
    Design,
    ErrorBudget,
    ErrorEnclosure,
    GlobalError,
    LeadingError,
    LocalErrors,
    ObservedOrder,
    Requirement,
    RoundTripError,
    StabilityRegion,
    WorkPrecision,
)
from bdia_numerics.analysis.measurement.errors import ErrorRatio
from bdia_numerics.formulas import solver_name
from bdia_numerics.plots import Picture, figure_of, gamma_map
from bdia_numerics.plots.orders import levels
from bdia_numerics.plots.rounding import NAMES, region
from bdia_numerics.plots.style import GREY, Panel, canvas, error_ticks, fill, looks, plain_ticks, styled
from bdia_numerics.spaces import Array
from bdia_numerics.studies.records import StudyResult
from bdia_numerics.texts import shown

HEIGHT, WIDTH = 3.4, 4.4


@styled
def plot(found: Any, ax: Any = None) -> Any:
    """Draw a result into axes, those of a new figure of pyplot by default, and return them; of a study, its figure as a `Picture`."""
    if ax is None and isinstance(found, StudyResult):
        return Picture(figure(found), str(found))
    if ax is None:
        from matplotlib import pyplot as plt

        ax = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")[1]
    draw(found, ax)
    return ax


@styled
def figure(found: Any, drawer: Callable[[Any, Any], None] | None = None) -> Figure:
    """Return a figure of a result, or of what a function here draws."""
    if isinstance(found, StudyResult):
        return figure_of(found.study, found.dataset)
    made, ((ax,),) = canvas(HEIGHT, width=WIDTH)
    (drawer or draw)(found, ax)
    return made


@singledispatch
def draw(found: Any, ax: Any) -> None:
    """Draw a result into axes."""
    raise TypeError(f"found is a {type(found).__name__}, which has no figure: see its table, to_pandas()")


@draw.register
def _(found: ObservedOrder, ax: Any) -> None:
    """Draw the errors with the band of the order from the finest level on, and the slopes of the whole orders around it."""
    look = looks([found.family])[found.family]
    used = [x for x in found.levels if x.used and 0 < x.error < math.inf]
    if found.decided and used:
        n, end = np.array([x.steps for x in found.levels], float), used[-1]
        low, high = (end.error * (end.steps / n) ** slope for slope in (found.low, found.high))
        ax.fill_between(n, low, high, color=look["color"], alpha=0.2, linewidth=0, label="its interval")
        near, ends = max(1, math.floor(found.order + 0.5)), np.array([used[0].steps, end.steps])
        for slope, dashes in ((near, "--"), (near + 1, ":")):
            drawn = 0.6 * used[0].error * (used[0].steps / ends) ** slope
            ax.plot(ends, drawn, color=GREY, linewidth=1, linestyle=dashes, label=f"slope {slope}", zorder=1)
    orders({found.family: found}, ax)
    ax.set_title(solver_name(found.solver.replace(", allow_any=False", "")))


def orders(found: Mapping[str, ObservedOrder], ax: Any) -> None:
    """Draw errors against steps by kind of grid; levels that the order does not rest on are hollow."""
    for (kind, order), look in zip(found.items(), looks(list(found)).values(), strict=True):
        levels(ax, kind, order, look)
    ax.set(xscale="log", yscale="log", xlabel="steps N", ylabel="root-mean-square error")
    plain_ticks(ax.xaxis)
    error_ticks(ax.yaxis)
    ax.legend()


@draw.register
def _(found: StabilityRegion, ax: Any) -> None:
    regions({"": found}, ax)


def regions(found: Mapping[str, StabilityRegion], ax: Any) -> None:
    """Draw where numerical solutions of dy/ds = J y stay bounded, in the plane of h J, both axes in one scale."""
    for (name, one), look in zip(found.items(), looks(list(found)).values(), strict=True):
        colour, dashes = look["color"], look["linestyle"]
        empty = "" if region(ax, one.real, one.imaginary, one.radius, colour, dashes) else "empty, or a line"
        if label := ": ".join(filter(None, [NAMES.get(name, name), empty])):
            ax.plot([], [], color=colour, linestyle=dashes, label=label)
            ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(found))  # off the regions
    ax.axhline(0, color="0.6", linewidth=0.6)
    ax.axvline(0, color="0.6", linewidth=0.6)
    ax.set(xlabel="real part of $h\\,J$", ylabel="imaginary part of $h\\,J$", aspect="equal")
    ends = [
        (e.min(), e.max())
        for e in (np.concatenate([getattr(x, name) for x in found.values()]) for name in ("real", "imaginary"))
    ]
    ax.set(xlim=ends[0], ylim=ends[1])


@draw.register
def _(found: WorkPrecision, ax: Any) -> None:
    """Draw errors against evaluations, every row a point, a line a solver, problem and grid."""
    several = [len(found.labels(name)) > 1 for name in ("problem", "grid")]
    curves = {}
    for problem in found.labels("problem"):
        for grid in found.labels("grid"):
            about = ", ".join(word for word, one in zip((problem, grid), several, strict=True) if one)
            for solver in found.labels("solver"):
                rows = sorted(found.select(solver=solver, problem=problem, grid=grid), key=lambda r: r.nfe)
                label = ": ".join(filter(None, [solver_name(solver.replace(", allow_any=False", "")), about]))
                curves[label] = ([r.nfe for r in rows], [r.error for r in rows])
    fill(ax, Panel("model evaluations", "root-mean-square error", curves, log="xy"))
    ax.legend()


@draw.register
def _(found: ErrorBudget, ax: Any) -> None:
    ax.bar(found.slots, found.shares, width=0.8)
    ax.axhline(0, color="0.6", linewidth=0.6)
    ax.set(xlabel="slot, from the data end", ylabel="share of the error", title=f"start: {found.start_share:.2g}")


@draw.register
def _(found: GlobalError, ax: Any) -> None:
    curves = {"root mean square": (found.t, found.rms), "largest": (found.t, found.largest)}
    fill(ax, Panel("$t$", "error", curves, log="y"))
    ax.legend()


@draw.register
def _(found: LocalErrors, ax: Any) -> None:
    fill(ax, Panel("slot, from the data end", "error of one step", {"": (found.slots, found.rms)}, log="y"))


@draw.register
def _(found: Amplification, ax: Any) -> None:
    curves = {"of the first registers, so far": (found.slots, found.norms)}
    curves["of the slot's own, to the end"] = (found.slots, found.injected)
    fill(ax, Panel("slot, from the data end", "growth of a perturbation", curves, log="y"))
    ax.legend()


@draw.register
def _(found: LeadingError, ax: Any) -> None:
    fill(ax, Panel("$u = i/N$", f"part of the error times $N^{found.order}$", {"": (found.u, found.density)}))


@draw.register(RoundTripError)
@draw.register(Requirement)
def _(found: Any, ax: Any) -> None:
    """Draw the error in each format; one that overflows has none."""
    ax.plot(list(found.errors), list(found.errors.values()), marker="o", linestyle="")
    if isinstance(found, Requirement):
        ax.axhline(found.tolerance, color=GREY, linestyle="--", label="tolerance")
        ax.legend()
    ax.set(yscale="log", xlabel="format", ylabel="root-mean-square error")


@draw.register
def _(found: ErrorEnclosure, ax: Any) -> None:
    enclosures({"": found}, ax)


def enclosures(found: Mapping[str, ErrorEnclosure], ax: Any) -> None:
    """Draw boxes that hold the errors, over the first coordinate of the states; of several, each by its name."""
    parts = {name or f"coordinate {k + 1}": (one, k) for name, one in found.items() for k, _ in enumerate(one.error)}
    for (label, (one, k)), look in zip(parts.items(), looks(list(parts)).values(), strict=True):
        sides = np.array([[float(end) for end in box[0]] for box, _ in one.pieces])
        balls = [errors[k] for _, errors in one.pieces]
        middle, radius = (np.array([float(getattr(b, part)()) for b in balls]) for part in ("mid", "rad"))
        widths, lows = np.diff(sides)[:, 0], middle - radius
        ax.bar(sides[:, 0], 2 * radius, widths, lows, align="edge", color=look["color"], label=label)
    ax.set(xlabel="first coordinate of the state", ylabel="error, enclosed")
    ax.legend()


@draw.register
def _(found: ErrorRatio, ax: Any) -> None:
    ax.axhspan(found.limit - found.half_width, found.limit + found.half_width, color="0.8", label="extrapolated")
    ax.plot(found.steps, found.ratios, marker="o", label="measured")
    ax.set(xlabel="steps N", ylabel="error over DDIM's")
    ax.legend()


@draw.register
def _(found: StudyResult, ax: Any) -> None:
    if found.study.name != "map":
        raise ValueError(f"ax={shown(ax)}: the figure of study {found.study.name} has axes of its own, leave ax out")
    gamma_map.fill(found.dataset, ax)


@draw.register
def _(found: BestGamma, ax: Any) -> None:
    """Draw the trade-off: predicted errors of samples and of round trips against gamma, with the gamma that was chosen."""
    curves = {
        "samples": (found.gammas, found.sample),
        f"round trips in {found.dtype}": (found.gammas, found.round_trip),
    }
    fill(ax, Panel("gamma", "predicted root-mean-square error", curves, log="y"))
    ax.axvline(found.gamma, color=GREY, linewidth=1, linestyle="--", label=f"chosen: {found.gamma:.3g}")
    ax.legend()


@draw.register
def _(found: Design, ax: Any) -> None:
    """Draw error against amplification: all members that were looked at, the Pareto set among them, and the best."""
    best, front = found.best, found.pareto
    chosen = ", ".join(f"${x} = {best.weights[x]}$" for x in found.families[0].free) or "the only one"
    looks = (
        ([m for m in found.members if m not in front], "o", "0.75", 3, "others"),
        (front, "o-", "#0072B2", 3, "none is better in both"),
        ([best], "*", "#D55E00", 9, f"chosen: {chosen}"),
    )
    for members, mark, colour, size, label in looks:
        ax.plot(
            [m.worst for m in members], [m.error for m in members], mark, color=colour, markersize=size, label=label
        )
    if found.bound is not None:
        ax.axvline(found.bound, color=GREY, linewidth=1, linestyle=":", label="bound")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="amplification of errors of the start",
        ylabel=f"predicted error, {found.grid.n} steps",
    )
    ax.legend()


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
