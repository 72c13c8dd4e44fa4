"""One look for all figures: colours that colour-blind readers tell apart, with markers and dashes that survive in grey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

STYLE: Any = mpl.rc_params_from_file(Path(__file__).with_name("bdia.mplstyle"), use_default_template=False)
"""What the style sheet sets; users have it by ``matplotlib.pyplot.style.use("bdia_numerics.plots.bdia")``."""

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches of a column and of the page of a two-column paper: at these the sizes of the fonts are right."""

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_MORE = ("<", ">", "*", "h", "p", "d", "8")
_LOOKS: Sequence[dict[str, Any]] = [
    {**look, "color": "#" + look["color"].lstrip("#"), "marker": marker}
    for look, marker in zip(STYLE["axes.prop_cycle"], _MARKERS, strict=True)
]


def looks(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dashes by label, in the order given; beyond seven, colours come again with other markers and dashes."""
    again = [
        look | {"marker": more, "linestyle": _LOOKS[k - 1]["linestyle"]}
        for k, (look, more) in enumerate(zip(_LOOKS, _MORE, strict=True))
    ]
    return {label: (_LOOKS if k < len(_LOOKS) else again)[k % len(_LOOKS)] for k, label in enumerate(labels)}
