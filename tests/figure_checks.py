"""What a figure must not have: words that lie over one another, or beyond its edge."""

import itertools

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

SLACK = 1.0
"""Pixels by which boxes of words may touch: they are rounded outwards."""


def words(figure):
    """Yield the visible texts of a drawn figure with their boxes in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    hidden = {text for axes in figure.findobj(Axes) for text in _hidden(axes)}
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text not in hidden:
            yield text, text.get_window_extent(renderer)


def _hidden(axes):
    """Yield words that exist and are not drawn: all of axes that are switched off, and labels of ticks beyond their ends."""
    for axis in (axes.xaxis, axes.yaxis):
        if not (axes.get_visible() and axes.axison):
            yield from axis.findobj(Text)
            continue
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        for tick in itertools.chain(axis.get_major_ticks(), axis.get_minor_ticks()):
            if not low - slack <= tick.get_loc() <= high + slack:
                yield from (tick.label1, tick.label2)


def faults(figure):
    """Return pairs of words whose boxes overlap, and words that leave the figure."""
    found = list(words(figure))
    width, height = figure.bbox.width, figure.bbox.height
    over = [
        (a.get_text(), b.get_text())
        for (a, first), (b, second) in itertools.combinations(found, 2)
        if min(first.x1, second.x1) - max(first.x0, second.x0) > SLACK
        and min(first.y1, second.y1) - max(first.y0, second.y0) > SLACK
    ]
    beyond = [
        text.get_text()
        for text, box in found
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK
    ]
    return over + beyond
