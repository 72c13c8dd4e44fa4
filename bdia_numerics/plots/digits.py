"""Figures of the study of handwritten digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import number
from bdia_numerics.plots.axes import plain_ticks
from bdia_numerics.plots.style import PAGE, STYLE, looks
from bdia_numerics.studies.digits import DIGITS, Portrait
from bdia_numerics.studies.records import records

if TYPE_CHECKING:
    from xarray import Dataset

_QUANTITIES = (
    ("error", "x₀: distance to the true x₀"),
    ("latent_distance", "latent: distance to the true latent"),
    ("data_round_trip", "data to noise and back: error"),
)
_STORY = ("DDIM", "BDIA, gamma 1", "EDICT, p 0.93")
_LATENT_LIMIT = 10.0
"""Where the axis ends: latents further off than ten times the noise are of no use, and the numbers say how far they are."""


def portraits(runs: Sequence[Portrait]) -> Figure:
    """Draw one image through several solvers: original, latent, what came back, and both sides of the error."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 1.85 * len(runs) + 0.15), layout="constrained")
        _draw_portraits(figure, runs)
    return figure


def errors(results: Dataset, spacing: str = "trailing", dtype: str = "float64") -> Figure:
    """Draw the error of samples, the distance of latents and the round-trip error against model evaluations."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 3.4), layout="constrained")
        _draw_errors(figure, results, spacing, dtype)
    return figure


def overview(results: Dataset) -> Figure:
    """Draw the same three errors for DDIM, BDIA and EDICT alone."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.45), layout="constrained")
        _draw_errors(figure, results, "trailing", "float64", _STORY)
    return figure


def _draw_portraits(figure: Any, runs: Sequence[Portrait]) -> None:
    widest = max(float(np.abs(r.latent - r.true_latent).max()) for r in runs)
    change = max(float(np.abs(r.returned - r.original).max()) for r in runs)
    axes = figure.subplots(len(runs), 5, squeeze=False)
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
            ax.set(xticks=[], yticks=[])
            ax.grid(visible=False)
            ax.spines[:].set(visible=True, color="0.6", linewidth=0.6)
            ax.set_xlabel(below)
            if k == 0:
                ax.set_title(title)
        line[0].set_ylabel(f"{r.solver}\n{r.steps} steps")


def _draw_errors(figure: Any, results: Dataset, spacing: str, dtype: str, only: Sequence[str] = ()) -> None:
    style = looks(results["solver"].values.tolist())
    labels = [label for label in style if label in only or not only]
    rows = [
        r for r in records(DIGITS, results) if (r["spacing"], r["dtype"]) == (spacing, dtype) and r["solver"] in labels
    ]
    for ax, (name, title) in zip(figure.subplots(1, len(_QUANTITIES)), _QUANTITIES, strict=True):
        limit = _LATENT_LIMIT if name == "latent_distance" else np.inf
        for label in labels:
            own = [r for r in rows if r["solver"] == label]
            nfe = [r["nfe"] if name == "error" else r["encode_nfe"] for r in own]
            ax.plot(nfe, [_drawable(r, name, limit) for r in own], label=label, **style[label])
        ax.set(xscale="log", yscale="log", xlabel="model evaluations")
        ax.set_title(title)
        plain_ticks(ax.xaxis)
        if name != "data_round_trip":
            plain_ticks(ax.yaxis)
        if beyond := [r for r in rows if not r[name] <= limit]:
            _say_beyond(ax, beyond, name, limit)
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(labels), 3))


def _drawable(r: Mapping[str, Any], name: str, limit: float) -> float:
    value = float(r[name])
    return value if np.isfinite(value) and 0 < value <= limit else np.nan


def _say_beyond(ax: Any, beyond: Sequence[Mapping[str, Any]], name: str, limit: float) -> None:
    if np.isfinite(limit):
        ax.set_ylim(top=limit)
    names = ", ".join(dict.fromkeys(r["solver"] for r in beyond))
    low, high = (number(f(r[name] for r in beyond)) for f in (min, max))
    ax.text(0.97, 0.97, f"↑ {names}:\n{low} to {high}", transform=ax.transAxes, ha="right", va="top")
