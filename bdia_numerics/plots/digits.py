"""Figures of the study of handwritten digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import number
from bdia_numerics.plots.style import Panel, canvas, draw, looks, plain_ticks, styled
from bdia_numerics.studies.digits import Portrait
from bdia_numerics.studies.study import Dataset

_QUANTITIES = {
    "error": "x₀: distance to the true x₀",
    "latent_distance": "latent: distance to the true latent",
    "data_round_trip": "data to noise and back: error",
}
_STORY = ("DDIM", "BDIA, gamma 1", "EDICT, p 0.93", "EDICT, exchanging")
_LATENT_LIMIT = 10.0
"""Where the axis ends: latents further off than ten times the noise are of no use, and the numbers say how far they are."""


@styled
def portraits(runs: Sequence[Portrait]) -> Figure:
    """Draw one image through several solvers: original, latent, what came back, and both sides of the error."""
    widest = max(float(np.abs(r.latent - r.true_latent).max()) for r in runs)
    change = max(float(np.abs(r.returned - r.original).max()) for r in runs)
    figure, axes = canvas(1.85 * len(runs) + 0.15, len(runs), 5)
    for k, (line, r) in enumerate(zip(axes, runs, strict=True)):
        panels = (
            (r.original, 1.0, "gray", "original", ""),
            (r.latent, 3.0, "gray", "latent", f"std {np.std(r.latent):.2f}"),
            (r.latent - r.true_latent, widest, "PuOr", "latent − true latent", f"RMS {number(r.latent_distance)}"),
            (r.returned, 1.0, "gray", "reconstruction", ""),
            (r.returned - r.original, change, "PuOr", "difference", f"RMS {number(r.round_trip)}"),
        )
        for ax, (image, limit, colours, title, below) in zip(line, panels, strict=True):
            ax.imshow(image, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
            ax.set(xticks=[], yticks=[], xlabel=below, title="" if k else title)
            ax.grid(visible=False)
            ax.spines[:].set(visible=True, color="0.6", linewidth=0.6)
        line[0].set_ylabel(f"{r.solver}\n{r.steps} steps")
    return figure


@styled
def errors(
    results: Dataset, spacing: str = "trailing", dtype: str = "float64", only: Sequence[str] = (), height: float = 3.4
) -> Figure:
    """Draw the error of samples, the distance of latents and the round-trip error against model evaluations, of some solvers or all."""
    names = results["solver"].values.tolist()
    parts = {
        label: results.sel(spacing=spacing, dtype=dtype, solver=label) for label in names if label in only or not only
    }
    own = {
        label: part.isel(steps=np.isfinite(part["nfe"].values)) for label, part in parts.items()
    }  # those that were run
    limits = dict.fromkeys(_QUANTITIES, np.inf) | {"latent_distance": _LATENT_LIMIT}
    panels = []
    for name, title in _QUANTITIES.items():
        cost = "nfe" if name == "error" else "encode_nfe"
        # What lies beyond the limit is not drawn, but said in words.
        curves = {k: (r[cost].values, r[name].where(_inside(r[name], limits[name]), 0).values) for k, r in own.items()}
        panels.append(Panel("model evaluations", "", curves, title=title, log="xy"))
    figure = draw(*panels, columns=3, height=height, style=looks(names), ncols=4)
    for ax, (name, limit) in zip(figure.axes, limits.items(), strict=True):
        if name != "data_round_trip":
            plain_ticks(ax.yaxis)
        beyond = {k: r[name].values[~_inside(r[name].values, limit)] for k, r in own.items()}
        if said := {k: values for k, values in beyond.items() if values.size}:
            ax.set_ylim(top=limit if np.isfinite(limit) else None)
            low, high = (number(float(f(np.concatenate(list(said.values()))))) for f in (np.min, np.max))
            ax.text(0.97, 0.97, f"↑ {', '.join(said)}:\n{low} to {high}", transform=ax.transAxes, ha="right", va="top")
    return figure


def _inside(values: Any, limit: float) -> Any:
    return np.isfinite(values) & (values <= limit)


def overview(results: Dataset) -> Figure:
    """Draw the same three errors for DDIM, BDIA, and EDICT as published and as its authors' program runs it."""
    return errors(results, only=_STORY, height=2.45)
