"""Errors against steps and against work: convergence, work and precision, misprints run as printed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.analysis import ObservedOrder
from bdia_numerics.formulas import solver_name
from bdia_numerics.plots.style import COLUMN, PAGE, Panel, canvas, draw, error_ticks, line, looks, plain_ticks, styled
from bdia_numerics.studies.convergence import orders as observed
from bdia_numerics.studies.study import Dataset, over_seeds


def of_study(found: Dataset) -> Figure:
    """Draw a dataset of the study "convergence": errors against steps, with the orders they show."""
    return convergence(observed(found))


@styled
def convergence(orders: Sequence[tuple[str, ObservedOrder]]) -> Figure:
    """Draw errors against steps, a panel a family of grids: hollow where a level does not count, with the order behind the name.

    Parameters
    ----------
    orders
        Pairs of a label and what was observed.
    """
    families = list(dict.fromkeys(order.family for _, order in orders))
    style = looks(list(dict.fromkeys(label for label, _ in orders)))
    # Two columns where there are many names and these fit side by side below one panel.
    columns = 2 if len(style) > 6 and max(map(len, style)) <= 16 else 1
    height = 2.7 + 0.16 * -(-len(style) // columns)
    figure, axes = canvas(height, 1, len(families), width=max(PAGE / 2 * len(families), 1.2 * COLUMN))
    for ax, family in zip(axes[0], families, strict=True):
        own = [(label, order) for label, order in orders if order.family == family]
        for label, order in own:
            levels(ax, label, order, style[label])
        precise = all(order.arithmetic == "mpmath" for _, order in own)
        ax.set(xscale="log", yscale="log", xlabel="steps N", title=family + " (mpmath)" * precise)
        plain_ticks(ax.xaxis)
        error_ticks(ax.yaxis)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns, columnspacing=1)
    axes[0, 0].set_ylabel("root-mean-square error at the data end")
    return figure


def levels(ax: Any, label: str, order: ObservedOrder, look: dict[str, Any]) -> None:
    """Draw the errors of an order into axes; those that it does not rest on are hollow."""
    n, e = [level.steps for level in order.levels], [level.error for level in order.levels]
    doubt = "" if order.decided else ", undecided"
    line(ax, n, e, label=f"{label}: {order.number}{doubt}", **{**look, "markerfacecolor": "white"})
    used = [level for level in order.levels if level.used and order.decided]
    ax.plot([x.steps for x in used], [x.error for x in used], **{**look, "linestyle": "none"})


def work_precision(found: Dataset) -> Figure:
    """Draw a dataset of the study "work_precision": errors against model evaluations and seconds, a row a problem and grid."""
    panels = []
    for problem in found["problem"].values:
        for grid in found["grid"].values:
            part = found.sel(problem=problem, grid=grid)
            solvers = {solver_name(str(text)): part.sel(solver=text) for text in part["solver"].values}
            # Without those whose evaluations pay for no step.
            taken = {name: one.isel({one["steps"].dims[0]: one["steps"].values > 0}) for name, one in solvers.items()}
            seconds = {
                k: ((1e3 * one["own_seconds"]).clip(1e-3).values, one["error"].values) for k, one in taken.items()
            }
            nfe = {name: (one["nfe"].values, one["error"].values) for name, one in taken.items()}
            counts = sorted({n for x, _ in nfe.values() for n in x})
            about, y = f"{problem}, {grid} grid", "root-mean-square error"
            ticks = counts if len(counts) <= 8 else ()  # each number of evaluations that was run, where they fit
            panels += [
                Panel("model evaluations", y, nfe, title=f"{about}: evaluations", log="xy", ticks=ticks),
                Panel(
                    "milliseconds, model left out",
                    "",
                    seconds,
                    title=f"{about}: processor time",
                    log="xy",
                ),
            ]
    return draw(*panels, height=3.0, ncols=4)


def sweep(found: Dataset) -> Figure:
    """Draw a dataset of the study "sweep": errors of samples and of latents against evaluations, a row a problem, grid, schedule and dtype.

    Where there are several seeds, the line is their median, to which a run without a finite error counts as farther off than all others.
    """
    rows = [d for d in ("problem", "schedule", "grid", "dtype") if d in found.dims]
    varying = [d for d in rows if found.sizes[d] > 1]
    numbers = over_seeds(found[["error", "latent_distance"]]).assign(nfe=found["nfe"].max("seed"))
    panels = []
    for place in itertools.product(*(found[d].values for d in rows)):
        part = numbers.sel(dict(zip(rows, place, strict=True)))
        about = ", ".join(str(v) for d, v in zip(rows, place, strict=True) if d in varying)
        for k, (what, y) in enumerate(
            {"error": "rms error of samples", "latent_distance": "rms error of latents"}.items()
        ):
            solvers = {solver_name(str(text)): part.sel(solver=text) for text in found["solver"].values}
            curves = {
                name: (one["nfe"].values, one[what].values)
                for name, one in solvers.items()
                if one["nfe"].notnull().any()
            }
            if curves:
                title = about if k == 0 else ""
                panels.append(Panel("model evaluations", y, curves, title=title, log="xy"))
    return draw(*panels, height=2.6)


def misprints(found: Dataset) -> Figure:
    """Draw errors as printed and right, a panel a misprint."""
    panels = []
    for claim in found["claim"].values:
        part = found.sel(claim=claim)
        part = part.isel(steps=np.isfinite(part["error"].values).any(axis=0))
        curves = {str(form): part["error"].sel(form=form).values for form in part["form"].values}
        label, quantity = (str(part[name].values[0]) for name in ("label", "quantity"))
        panels.append(misprint(label, quantity, part["steps"].values, curves))
    return draw(*panels, columns=3, height=1.9, side="upper")


def misprint(label: str, quantity: str, steps: Any, curves: dict[str, Any]) -> Panel:
    """Return the panel of one misprint: errors of a quantity at numbers of steps, by form; the second form's marks are open."""
    title = f"{label}: " + re.sub(r"\b([a-z])_(\w)\b", r"$\1_\2$", quantity)
    drawn = {form: (steps, errors) for form, errors in curves.items()}
    return Panel("steps N", "", drawn, title=title, log="xy", ticks=steps, around=list(curves)[1:])
