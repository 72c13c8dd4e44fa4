"""What rounding and perturbations become: on an exact distribution and on a network, and for which steps solutions stay bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.analysis.stability.characteristic import nowhere_stable
from bdia_numerics.formulas import solver_name
from bdia_numerics.plots.style import (
    PAGE,
    Panel,
    canvas,
    draw,
    error_ticks,
    legend_outside,
    line,
    looks,
    missing,
    solver_rows,
    styled,
)
from bdia_numerics.studies.study import Dataset, contender

_UNIT = 1.0
"""An error of the size of the data: what comes back is of no use."""


@styled
def by_gamma(found: Dataset, *, solver: str = "BDIA", end: str = "noise") -> Figure:
    """Draw a dataset of the study "precision": errors against gamma, a panel a grid and number of steps, a line a dtype.

    Marks are measured, lines predicted from the program; the grey line is an error of the size of the data.
    """
    found = found.sel(solver=solver, end=end)
    places = [(grid, steps) for grid in found["grid"].values for steps in found["steps"].values]
    styles = looks([str(name) for name in found["dtype"].values])
    figure, axes = canvas(2.5, 1, len(places), sharey=True)
    for ax, (grid, steps) in zip(axes[0], places, strict=True):
        for dtype, look in styles.items():
            part = found.sel(grid=grid, steps=steps, dtype=dtype)
            plain = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 0.9}
            ax.plot(part["gamma"], part["predicted"].where(np.isfinite(part["predicted"])), **plain)
            line(ax, part["gamma"].values, part["error"].values, label=dtype, **(look | {"linestyle": "none"}))
        ax.axhline(_UNIT, color="0.6", linewidth=0.8)
        ax.set(yscale="log", xlabel="γ", title=f"{grid}, {steps} steps")
    axes[0, 0].set_ylabel("rms error of the round trip")
    error_ticks(axes[0, 0].yaxis)
    handles = [mpl.lines.Line2D([], [], label=name, **look) for name, look in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(styles))
    return figure


def both_sides(found: Dataset, *, end: str = "data", dtype: str = "float64") -> Figure:
    """Draw a dataset of the study "roundtrip": what comes back, and how far the other end is from the true state."""
    found = found.sel(end=end, dtype=dtype)
    runs = {}
    for solver in found["solver"].values:
        part = found.sel(solver=solver)
        same = all(np.array_equal(part["error"].values[0], one, equal_nan=True) for one in part["error"].values)
        for k, gamma in enumerate(part["gamma"].values[:1] if same else part["gamma"].values):
            runs[solver_name(str(solver)) + ("" if same else f", γ = {gamma:g}")] = part.isel(gamma=k)
    steps = found["steps"].values
    titles = {"error": "error of the round trip", "distance": "distance of the other end from the exact state"}
    curves = {name: {label: (steps, part[name].values) for label, part in runs.items()} for name in titles}
    common: dict[str, Any] = {"log": "xy", "ticks": steps}
    return draw(
        Panel("steps", "root mean square", curves["error"], title=titles["error"], **common),
        Panel("steps", "", curves["distance"], title=titles["distance"], **common),
        height=3.2,
        ncols=4,
    )


@styled
def on_network(found: Dataset) -> Figure:
    """Draw a dataset of the study "growth": the largest growth of a perturbation, and round trips by dtype, a row a solver."""
    solvers = [str(s) for s in found["solver"].values]
    rows, found = np.arange(len(solvers)), found.isel(steps=0)
    dtypes = [str(d) for d in found["dtype"].values]
    figure, ((left, right),) = canvas(0.3 * len(solvers) + 1.1, 1, 2, sharey=True)
    figure.set_layout_engine("constrained", w_pad=0.12)  # the last label of one axis is beside the first of the next
    wide = found.sel(dtype="float64" if "float64" in dtypes else dtypes[-1])
    kinds = {
        "measured": "amplification",
        "predicted, slopes of the network": "predicted",
        "predicted, slope 0": "bare",
    }
    for direction, over in (("sample", -0.17), ("invert", 0.17)):
        for (kind, name), look in zip(kinds.items(), looks(list(kinds)).values(), strict=True):
            values = wide[name].sel(direction=direction)
            shown = values.max("image") if "image" in values.dims else values
            face = look["color"] if direction == "invert" else "white"
            mark: dict[str, Any] = look | {"linestyle": "none", "markerfacecolor": face}
            left.plot(shown, rows + over, label=kind if direction == "invert" else None, **mark)
    left.set(xscale="log", xlabel="growth (open: sampling, full: inverting)")
    for (dtype, look), over in zip(looks(dtypes).items(), np.linspace(-0.24, 0.24, len(dtypes)), strict=True):
        errors = found["error"].sel(dtype=dtype).values
        right.plot(
            np.where(np.isfinite(errors), errors, np.nan),
            rows + over,
            label=dtype,
            **(look | {"linestyle": "none"}),
        )
        missing(right, rows[~np.isfinite(errors)] + over, look)
    right.set(xscale="log", xlabel="rms error of the noise that comes back")
    solver_rows(left, solvers)
    for ax in (left, right):
        error_ticks(ax.xaxis)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1 if ax is left else 2)
    return figure


_RUNS = {"sample": "solve", "invert": "invert"}


@styled
def perturbations(found: Mapping[str, Any]) -> Figure:
    """Draw what `bdia unet growth --json` prints.

    Parameters
    ----------
    found
        "sample" and "invert", each the fields of a `bdia_numerics.torch.networks.growth.Growth`; "trips", the fields of round trips.

    Returns
    -------
    matplotlib.figure.Figure
        Left the leading singular value of each step, its largest over the batch; right the round trips by dtype, measured and expected.
    """
    figure, ((left, right),) = canvas(2.7, 1, 2)
    for (key, name), look in zip(_RUNS.items(), looks([*_RUNS]).values(), strict=True):
        grown = found[key]
        total = np.max(grown["total"])
        left.semilogy(grown["slots"], np.max(grown["steps"], axis=1), label=f"{name}: run {total:.3g}", **look)
    left.invert_xaxis()
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set(
        xlabel="slot $i$ (the data end is right)", ylabel="singular value", title="growth in a step, and in the run"
    )
    error_ticks(left.yaxis)
    left.legend()
    _trips(right, found["trips"])
    return figure


def _trips(axes: Any, trips: list[Mapping[str, Any]]) -> None:
    places = np.arange(len(trips))
    rows = {"measured": "error", "expected on a unit Gaussian": "predicted"}
    for (name, key), look in zip(rows.items(), looks([*rows]).values(), strict=True):
        values = [np.nan if trip[key] is None else trip[key] for trip in trips]
        axes.semilogy(places, values, label=name, **look | {"linestyle": "none"})
    axes.set_xticks(places, [trip["dtype"] for trip in trips])
    axes.set(xlim=(-0.5, len(trips) - 0.5), ylabel="noise that came back", title="error of the round trip")
    axes.legend()


NAMES = {"sample": "sampling", "invert": "inverting"}
BOUNDARY = 1 + 1e-6
"""The exact value 1 on the boundary is blurred by rounding: the region is where no root exceeds this."""


def region(ax: Any, real: Any, imaginary: Any, radius: Any, colour: str, dashes: Any, *, alpha: float = 0.25) -> bool:
    """Draw one region into axes, and return whether it has an inside at all.

    Parameters
    ----------
    real, imaginary, radius
        Points of the plane of h J along each axis, and the largest modulus of a root, shape (imaginary, real).
    colour, dashes, alpha
        Of the boundary; opacity of the inside.
    """
    shown = np.where(np.isfinite(radius), radius, 1e3)
    inside = shown <= BOUNDARY
    if inside.any() and alpha:
        ax.contourf(real, imaginary, shown, levels=[0, BOUNDARY], colors=[colour], alpha=alpha)
    if 0 < inside.mean() < 1:
        ax.contour(real, imaginary, shown, levels=[BOUNDARY], colors=[colour], linestyles=[dashes])
    return bool(inside.any())


@styled
def regions(found: Dataset) -> Figure:
    """Draw the regions of a dataset of the study "stability", a row a direction, a column a solver, a line a gamma."""
    solvers, directions = found["solver"].values, found["direction"].values
    gammas = [float(g) for g in found["gamma"].values]
    styles = looks([f"γ = {g:g}" for g in gammas])
    # Axes of equal scales fill their places only where these have the shape of the plane.
    width = min((PAGE - 0.6) / len(solvers) - 0.1, 1.6)
    shape = np.ptp(found["imaginary"].values) / np.ptp(found["real"].values)
    height = width * shape * len(directions) + 0.95
    figure, axes = canvas(height, len(directions), len(solvers), layout="compressed", sharex=True, sharey=True)
    for row, direction in zip(axes, directions, strict=True):
        for ax, solver in zip(row, solvers, strict=True):
            _panel(ax, found.sel(direction=direction, solver=solver), list(styles.values()))
        row[0].set_ylabel(f"{NAMES.get(str(direction), direction)}\nIm $h\\,J$")
    for ax, solver in zip(axes[0], solvers, strict=True):
        ax.set_title(solver_name(str(solver)))
    for ax in axes[-1]:
        ax.set_xlabel("Re $h\\,J$")
    for label, look in styles.items():
        axes[0, 0].plot([], [], label=label, color=look["color"], linestyle=look["linestyle"])
    legend_outside(figure, len(gammas))
    return figure


def _panel(ax: Any, part: Dataset, styles: list[dict[str, Any]]) -> None:
    real, imaginary, radius = (part[name].values for name in ("real", "imaginary", "radius"))
    drawn: dict[float, bool] = {}
    same = all(np.array_equal(radius[0], one, equal_nan=True) for one in radius)  # gamma is none of its parameters
    for one, gamma, look in zip(radius[:1] if same else radius, part["gamma"].values, styles, strict=False):
        if np.isfinite(one).any():
            colour, dashes = ("0.4", "-") if same else (look["color"], look["linestyle"])
            drawn[float(gamma)] = region(ax, real, imaginary, one, colour, dashes, alpha=0.25 if same else 0.0)
    ax.axhline(0, color="0.6", linewidth=0.6, zorder=0.5)
    ax.axvline(0, color="0.6", linewidth=0.6, zorder=0.5)
    ax.set(xlim=(real[0], real[-1]), ylim=(imaginary[0], imaginary[-1]), aspect="equal")
    if not drawn:
        ax.text(0.5, 0.5, "no inverse", transform=ax.transAxes, ha="center", va="center", gid="missing")
    elif not any(drawn.values()):
        solver, direction = str(part["solver"].item()), str(part["direction"].item())
        solvers = [contender({"solver": solver, "gamma": gamma}) for gamma in drawn]
        empty = all(nowhere_stable(one, direction=direction) for one in solvers)
        words = "empty" if empty else "empty, or a line"  # which may pass between the points of the plane
        ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center")
