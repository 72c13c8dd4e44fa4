"""What a figure must not have: words that lie over one another, or beyond its edge."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

SLACK = 1.0
"""Pixels by which boxes of words may touch: they are rounded outwards."""


def words(figure):
    """Yield the visible texts of a drawn figure with their boxes in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and _shown(text):
            yield text, text.get_window_extent(renderer)


def _shown(text):
    """Labels of ticks beyond the axis exist, and are not drawn."""
    axes = text.axes
    if axes is None:
        return True
    if not (axes.get_visible() and axes.axison):
        return text not in {*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label}
    for axis, k in ((axes.xaxis, 0), (axes.yaxis, 1)):
        low, high = sorted(axis.get_view_interval())
        for tick in itertools.chain(axis.get_major_ticks(), axis.get_minor_ticks()):
            if text in (tick.label1, tick.label2):
                return low <= text.get_position()[k] <= high
    return True


def overlaps(figure):
    """Return pairs of words whose boxes overlap."""
    found = list(words(figure))
    return [
        (a.get_text(), b.get_text())
        for (a, first), (b, second) in itertools.combinations(found, 2)
        if min(first.x1, second.x1) - max(first.x0, second.x0) > SLACK
        and min(first.y1, second.y1) - max(first.y0, second.y0) > SLACK
    ]


def cut(figure):
    """Return words that leave the figure."""
    found = list(words(figure))
    width, height = figure.bbox.width, figure.bbox.height
    return [
        text.get_text()
        for text, box in found
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK
    ]
