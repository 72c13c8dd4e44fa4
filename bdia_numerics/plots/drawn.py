"""Figures of saved datasets: what `plots.figures` lists, by the functions that draw a study's own results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import number
from bdia_numerics.plots.misprints import Panel, panels
from bdia_numerics.plots.pictures import Sheet, sheets

if TYPE_CHECKING:
    from xarray import Dataset


def samples(found: Dataset) -> Figure:
    """Draw the samples of each solver, a sheet a grid, at the first number of steps."""
    found = found.isel(steps=0)
    rows = [name_of(text) for text in found["solver"].values]
    return sheets(
        [
            Sheet(
                part["images"].values,
                rows if k == 0 else (),
                right=_distances(part["distance"].values),
                title=f"{part['grid'].item()} grid",
            )
            for k, part in enumerate(found.isel(grid=k) for k in range(found.sizes["grid"]))
        ]
    )


def returns(found: Dataset) -> Figure:
    """Draw what came back, and how far it is from its source, a row a solver and number of steps."""
    found = found.isel(grid=0)
    source = found["images"].isel(solver=0, steps=0).values
    kinds = [str(text) for text in found["solver"].values[1:]]
    images = [found["images"].sel(solver=kind, steps=n).values for n in found["steps"].values for kind in kinds]
    rms = [found["distance"].sel(solver=kind, steps=n).item() for n in found["steps"].values for kind in kinds]
    rows = [f"{name_of(kind)}, {n} steps" for n in found["steps"].values for kind in kinds]
    away = np.abs(np.array(images) - source)
    return sheets(
        [
            Sheet(np.array([source, *images]), ["source", *rows]),
            Sheet(np.array([0 * source, *away]), right=["", *_distances(rms)], low=0.25 * 255, high=0),
        ],
        margin=1.6,
    )


def misprints(found: Dataset) -> Figure:
    """Draw errors as printed and right, a panel a misprint."""
    made = []
    for claim in found["claim"].values:
        part = found.sel(claim=claim)
        part = part.isel(steps=np.isfinite(part["error"].values).any(axis=0))
        curves = {str(form): part["error"].sel(form=form).values for form in part["form"].values}
        label, quantity = (str(part[name].values[0]) for name in ("label", "quantity"))
        made.append(Panel(label, quantity, part["steps"].values, curves))
    return panels(made)


def name_of(text: Any) -> str:
    """Return a solver's text as a figure has it: BDIA(gamma=1/2) as BDIA, γ = 1/2."""
    name, _, rest = str(text).rstrip(")").partition("(")
    if not rest:
        return name
    words = [word.strip().replace("gamma=", "γ = ").replace("p=", "p = ") for word in rest.split(",")]
    return f"{name}, {', '.join(words)}"


def _distances(values: Any) -> list[str]:
    return [number(float(x)) if x else "" for x in values]
