"""How perturbations grow on a network, step by step, and what round trips lose by dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.axes import error_ticks
from bdia_numerics.plots.style import PAGE, STYLE, looks

NAMES = {"sample": "solve", "invert": "invert"}


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
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (key, name), look in zip(NAMES.items(), looks([*NAMES]).values(), strict=True):
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
