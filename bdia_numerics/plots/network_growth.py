"""BDIA's error on a network along two grids, and what is left of it when one cause is taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.style import PAGE, STYLE, looks

if TYPE_CHECKING:
    from xarray import Dataset


def network_growth(found: Dataset) -> Any:
    """Draw, for each grid, the error along the run by gamma, and bars of the error at the data end by variant.

    Parameters
    ----------
    found
        The dataset of the study "straying".

    Returns
    -------
    matplotlib.figure.Figure
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.9 * found.sizes["grid"]), layout="constrained")
        _draw(figure, found)
    return figure


def _draw(figure: Figure, dataset: Dataset) -> None:
    axes: Any = figure.subplots(dataset.sizes["grid"], 2, squeeze=False)
    gammas = dataset["gamma"].values
    for (left, right), name in zip(axes, dataset["grid"].values, strict=True):
        found = {str(key): values.values for key, values in dataset.sel(grid=name).items()}
        lines = looks([f"$\\gamma={g:g}$" for g in gammas])
        for gamma, path in zip(gammas, found["error"], strict=True):
            label = f"$\\gamma={gamma:g}$"
            left.loglog(found["sigma_bar"][:-1], path[:-1], label=label, **(lines[label] | {"markersize": 3}))
        left.invert_xaxis()
        left.set(xlabel=r"$\sigma/\alpha$ (the data end is right)", ylabel="error of $z_i$", title=f"{name} grid")
        left.legend()
        places = np.arange(len(gammas))
        rows = {
            "as it is": found["error"][:, 0],
            "exact second state": found["exact_start"],
            r"$\gamma=0$ in the last slot": found["damped_end"],
        }
        for k, ((label, values), look) in enumerate(zip(rows.items(), looks(list(rows)).values(), strict=True)):
            right.bar(
                places + (k - 1) / 4,
                values,
                1 / 4,
                label=label,
                color=look["color"],
                hatch=("", "//", "..")[k],
                edgecolor="white",
            )
        right.set(
            xticks=places, xticklabels=[f"$\\gamma={g:g}$" for g in gammas], title=f"{name} grid: error at the data end"
        )
        right.legend()
