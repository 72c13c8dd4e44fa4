"""Where numerical solutions of dy/ds = J y stay bounded, by solver, direction and gamma; and the figures of a datasheet."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.analysis.stability.characteristic import nowhere_stable
from bdia_numerics.formulas import solver_name
from bdia_numerics.plots.style import PAGE, canvas, legend_outside, looks, styled
from bdia_numerics.studies.study import Dataset, contender

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
