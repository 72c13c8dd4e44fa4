"""One look for all figures: colours that colour-blind readers tell apart, with markers and dashes that survive in grey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "bdia_numerics",
}

# Okabe and Ito's colours, ordered so that neighbours differ in lightness too.
_LOOKS: Sequence[dict[str, Any]] = (
    {"color": "#000000", "marker": "o", "linestyle": "--"},
    {"color": "#E69F00", "marker": "^", "linestyle": ":"},
    {"color": "#56B4E9", "marker": "s", "linestyle": "-."},
    {"color": "#0072B2", "marker": "D", "linestyle": "-"},
    {"color": "#D55E00", "marker": "v", "linestyle": "--"},
    {"color": "#CC79A7", "marker": "P", "linestyle": "-."},
    {"color": "#009E73", "marker": "X", "linestyle": "-"},
)
_MORE = ("<", ">", "*", "h", "p", "d", "8")


def looks(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dashes by label, in the order given; beyond seven, colours come again with other markers."""
    return {
        label: _LOOKS[k % len(_LOOKS)] | ({"marker": _MORE[k % len(_MORE)]} if k >= len(_LOOKS) else {})
        for k, label in enumerate(labels)
    }
