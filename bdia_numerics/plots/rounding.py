"""What rounding becomes on a round trip: by gamma, dtype and grid on an exact distribution, and on the shipped network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import solver_name
from bdia_numerics.plots.axes import error_ticks, line, plain_ticks
from bdia_numerics.plots.style import PAGE, STYLE, looks

if TYPE_CHECKING:
    from xarray import Dataset

_UNIT = 1.0
"""An error of the size of the data: what comes back is of no use."""


def by_gamma(found: Dataset, *, solver: str = "BDIA", end: str = "noise") -> Figure:
    """Draw a dataset of the study "precision": errors against gamma, a panel a grid and number of steps, a line a dtype.

    Marks are measured, lines predicted from the program; the grey line is an error of the size of the data.
    """
    found = found.sel(solver=solver, end=end)
    places = [(grid, steps) for grid in found["grid"].values for steps in found["steps"].values]
    dtypes = [str(name) for name in found["dtype"].values]
    styles = looks(dtypes)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
        axes: Any = figure.subplots(1, len(places), squeeze=False, sharey=True)[0]
        for ax, (grid, steps) in zip(axes, places, strict=True):
            for dtype in dtypes:
                part, look = found.sel(grid=grid, steps=steps, dtype=dtype), styles[dtype]
                plain = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 0.9}
                ax.plot(part["gamma"], part["predicted"].where(np.isfinite(part["predicted"])), **plain)
                line(ax, part["gamma"].values, part["error"].values, label=dtype, **(look | {"linestyle": "none"}))
            ax.axhline(_UNIT, color="0.6", linewidth=0.8)
            ax.set(yscale="log", xlabel="γ", title=f"{grid}, {steps} steps")
        axes[0].set_ylabel("rms error of the round trip")
        error_ticks(axes[0].yaxis)
        handles = [mpl.lines.Line2D([], [], label=name, **look) for name, look in styles.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(dtypes))
    return figure


def both_sides(found: Dataset, *, end: str = "data", dtype: str = "float64") -> Figure:
    """Draw a dataset of the study "roundtrip": what comes back, and how far the other end is from the true state."""
    found = found.sel(end=end, dtype=dtype)
    runs = {}
    for solver in found["solver"].values:
        part = found.sel(solver=solver)
        error = part["error"].values
        same = all(np.array_equal(error[0], one, equal_nan=True) for one in error)
        for k, gamma in enumerate(part["gamma"].values[:1] if same else part["gamma"].values):
            runs[solver_name(str(solver)) + ("" if same else f", γ = {gamma:g}")] = part.isel(gamma=k)
    styles = looks(list(runs))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
        axes: Any = figure.subplots(1, 2)
        titles = {"error": "error of the round trip", "distance": "distance of the other end from the exact state"}
        for ax, (name, title) in zip(axes, titles.items(), strict=True):
            for label, part in runs.items():
                line(ax, part["steps"].values, part[name].values, label=label, **styles[label])
            ax.set(xscale="log", yscale="log", xlabel="steps", title=title, xticks=found["steps"].values)
            plain_ticks(ax.xaxis)
            ax.set_xticks(found["steps"].values)
            error_ticks(ax.yaxis)
        axes[0].set_ylabel("root mean square")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def on_network(found: Dataset) -> Figure:
    """Draw a dataset of the study "growth": the largest growth of a perturbation, and round trips by dtype, a row a solver."""
    solvers = [str(s) for s in found["solver"].values]
    rows, found = np.arange(len(solvers)), found.isel(steps=0)
    dtypes = [str(d) for d in found["dtype"].values]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.3 * len(solvers) + 1.1), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        figure.set_layout_engine(
            "constrained", w_pad=0.12
        )  # the last label of one axis is beside the first of the next
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
            bad = ~np.isfinite(errors)
            edge = right.get_yaxis_transform()
            right.plot(
                np.full(bad.sum(), 0.99), rows[bad] + over, "x", color=look["color"], transform=edge, gid="missing"
            )
        right.set(xscale="log", xlabel="rms error of the noise that comes back")
        left.set_yticks(rows, [solver_name(s) for s in solvers])
        left.invert_yaxis()
        for ax in (left, right):
            error_ticks(ax.xaxis)
            ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1 if ax is left else 2)
    return figure
