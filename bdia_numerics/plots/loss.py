"""The loss of a training run."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.style import STYLE


def loss_curve(losses: np.ndarray[Any, Any], *, window: int = 100) -> Figure:
    """Draw the loss of every step, shape (steps,), and its mean over a window behind each."""
    steps = np.arange(1, len(losses) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 2.8), layout="constrained")
        ax = figure.subplots()
        ax.plot(steps, losses, color="0.75", linestyle="-", linewidth=0.5, label="one step")
        if len(losses) >= window:
            means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
            ax.plot(steps[window - 1 :], means, color="#0072B2", linestyle="-", label=f"mean of {window} steps")
        ax.set(yscale="log", xlabel="step", ylabel="mean squared error of eps")
        ax.legend()
    return figure
