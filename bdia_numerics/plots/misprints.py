"""What a misprint does when it is run as printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bdia_numerics.plots.style import STYLE, looks


def convergence(steps: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Draw root-mean-square errors against the number of steps, one line a label, both axes logarithmic."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        ax: Any = figure.subplots()
        for label, look in looks(list(errors)).items():
            ax.plot(steps, errors[label], label=label, **look)
        ax.set(xscale="log", yscale="log", xlabel="steps N", ylabel="root-mean-square error of x₀")
        ax.set_xticks(steps, labels=[str(n) for n in steps])
        ax.minorticks_off()
        ax.legend()
    return figure
