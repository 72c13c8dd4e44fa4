"""How much a ball's radius grows through a run, with the derivative carried along and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.style import PAGE, STYLE, looks

_LABELS = {"natural": "balls alone", "mean value": "mean-value form"}


def growth(panels: Sequence[Any]) -> Figure:
    """Draw radii of enclosed errors against half-widths of the interval of initial states, one panel a number of slots.

    Parameters
    ----------
    panels
        Each has `slots`, `widths`, `radii` (by form) and `sampled`.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
        axes: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        styles = looks(["sampled spread", *_LABELS.values()])
        for ax, panel in zip(axes, panels, strict=True):
            for form, label in _LABELS.items():
                radii = np.array(panel.radii[form])
                ax.plot(panel.widths, np.where(np.isfinite(radii), radii, np.nan), label=label, **styles[label])
            ax.plot(panel.widths, panel.sampled, label="sampled spread", **styles["sampled spread"])
            ax.set(
                xscale="log", yscale="log", xlabel="half-width of the interval of $z_N$", title=f"{panel.slots} slots"
            )
        axes[0].set_ylabel("radius of the error of $x_0$")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
