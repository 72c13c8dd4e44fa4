"""Figures of saved datasets: what `plots.figures` lists, by the functions that draw a study's own results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.formulas import number, solver_name
from bdia_numerics.plots import network, orders
from bdia_numerics.plots.misprints import Panel, panels
from bdia_numerics.plots.pictures import Sheet, sheets
from bdia_numerics.studies.convergence import orders as observed
from bdia_numerics.studies.records import records
from bdia_numerics.studies.work_precision import WORK_PRECISION

if TYPE_CHECKING:
    from xarray import Dataset


def samples(found: Dataset) -> Figure:
    """Draw the samples of each solver, a sheet a grid, at the first number of steps."""
    found = found.isel(steps=0)
    rows = [solver_name(str(text)) for text in found["solver"].values]
    return sheets(
        [
            Sheet(
                part["images"].values,
                rows if k == 0 else (),
                right=_distances(part["distance"].values),
                title=f"{part['grid'].item()} grid",
                heading="distance",
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
    rows = [f"{solver_name(kind)}, {n} steps" for n in found["steps"].values for kind in kinds]
    away = np.abs(np.array(images) - source)
    return sheets(
        [
            Sheet(np.array([source, *images]), ["source", *rows], title="returned image"),
            Sheet(
                np.array([0 * source, *away]),
                right=["", *_distances(rms)],
                title="difference from the source",
                heading="distance",
                low=0.25 * 255,
                high=0,
            ),
        ],
        margin=1.8,
    )


def convergence(found: Dataset) -> Figure:
    """Draw errors against steps, with the orders they show."""
    return orders.convergence(observed(found))


def work_precision(found: Dataset) -> Figure:
    """Draw errors against evaluations and processor time."""
    rows = [r for r in records(WORK_PRECISION, found) if r["steps"] > 0]  # not those whose evaluations pay for no step
    return orders.work_precision([r | {"solver": solver_name(r["solver"])} for r in rows])


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


def gamma_and_p(found: Dataset) -> Figure:
    """Draw the edits of BDIA by gamma and of EDICT by p, with strong guidance."""
    return network.edits(found, [s for s in found["solver"].values if not str(s).startswith("DDIM")])


def editing(found: Dataset) -> Figure:
    """Draw the edits of DDIM by both its inversions, of BDIA at three gammas, and of EDICT with its own p, with strong guidance."""
    kept = ("DDIM", "DDIM by (23)", "BDIA(gamma=1)", "BDIA(gamma=19/20)", "BDIA(gamma=9/10)", "EDICT(p=93/100)")
    return network.edits(found, kept, found["guidance"].values.tolist()[-1:])


def _distances(values: Any) -> list[str]:
    return [number(float(x)) if x else "" for x in values]
