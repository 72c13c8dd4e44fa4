"""Figures: functions take data and return matplotlib figures. The only place that imports matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import Dataset

    from bdia_numerics.studies import Study

MISSING = "the figures are skipped, since matplotlib is not installed: pip install 'bdia_numerics[report]'"


def available() -> bool:
    """Say whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def required(asked: object = True) -> None:
    """Raise ImportError where a figure is asked for and matplotlib is not installed."""
    if asked and not available():
        raise ImportError(MISSING)


_PLACES = 6
"""Decimals of the places of axes, in parts of the figure: thousandths of a pixel."""


def image(figure: Any, *, format: str = "svg", dpi: int = 150) -> bytes:
    """Return a figure as a file's content; the same figure gives the same bytes."""
    import matplotlib as mpl

    from bdia_numerics.plots.style import STYLE

    buffer = BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    with mpl.rc_context(STYLE):
        _settle(figure, dpi)
        figure.savefig(buffer, format=format, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def _settle(figure: Any, dpi: int) -> None:
    """Lay a figure out once, and round the places of its axes.

    A constrained layout is found by a solver of linear constraints that takes them in the order of their addresses in memory, so that
    places differ in their last bits from one drawing to the next, and with them how lines are snapped to pixels.
    """
    if figure.get_layout_engine() is None:
        return
    before, figure.dpi = figure.dpi, dpi
    figure.draw_without_rendering()
    figure.dpi = before
    figure.set_layout_engine("none")
    for ax in figure.axes:
        ax.set_position([round(x, _PLACES) for x in ax.get_position(original=True).bounds])


def figure_of(study: Study, found: Dataset) -> Figure:
    """Return the figure that a study names, drawn from a dataset of it; ValueError for a study that names none."""
    if not study.figure:
        raise ValueError(
            f"study {study.name} has no figure: give one whose `figure` names a function of bdia_numerics.plots"
        )
    module, _, name = study.figure.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)(found)


@dataclass(frozen=True)
class Picture:
    """A figure as a notebook shows it, with the words for those who do not see it.

    Attributes
    ----------
    figure
        A matplotlib figure.
    alt
        What it shows.
    """

    figure: Any
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def _repr_svg_(self) -> str:
        return image(self.figure).decode()
