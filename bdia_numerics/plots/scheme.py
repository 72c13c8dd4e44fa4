"""A solver's step as a picture, drawn from its recorded program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from bdia_numerics.analysis.scheme import Arrow, Scheme, Share, Value
from bdia_numerics.plots.style import canvas, styled

STATE, MODEL, FAINT = "#000000", "#0072B2", "0.72"
FORWARD, BACKWARD = "#0072B2", "#D55E00"
_BELOW = 0.34
"""How far from its state an evaluation stands, in lanes."""
_BEND = 0.62
"""Height of the arrow that jumps over a state, in lanes."""
_ON_A_LINE: dict[str, Any] = {
    "fontsize": 6.5, "ha": "center", "va": "center", "zorder": 4,
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6},
}  # fmt: skip
_SHOWN = 2
"""The slot that is drawn in full; the others are faint."""


@styled
def programs(drawn: Sequence[tuple[str, Scheme]]) -> Figure:
    """Draw the values of each solver's run and what feeds them, a row a solver: one slot in full, the others faint.

    Dots are states, diamonds evaluations of the model at them; full arrows carry states, dashed ones evaluations. Numbers are
    coefficients other than 1, for alpha = 1.
    """
    heights = [len(s.lanes) + 0.45 for _, s in drawn]
    figure, axes = canvas(0.5 * sum(heights) + 0.4, len(drawn), height_ratios=heights, sharex=True)
    for ax, (label, one) in zip(axes[:, 0], drawn, strict=True):
        _program(ax, one)
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    for ax in axes[:-1, 0]:
        ax.tick_params(length=0, labelbottom=False)
    axes[-1, 0].spines["bottom"].set_visible(True)
    n = drawn[0][1].slots
    axes[-1, 0].set_xticks(range(n + 1), [_name("t", n - k, n) for k in range(n + 1)])
    return figure


@styled
def interlaced(drawn: Sequence[tuple[str, Sequence[Share]]]) -> Figure:
    """Draw which update stands for the integral over which slot, a panel a solver, a row a state.

    An arrow to the right is a forward update, taken at the slot's noise end; one to the left a backward update, taken at its data end;
    a dot marks where the evaluation was taken if that is elsewhere. Widths are weights, written where they are not 1.
    """
    n = max(share.slot for _, shares in drawn for share in shares)
    figure, (axes,) = canvas(0.4 * n + 0.7, 1, len(drawn), sharey=True)
    for ax, (label, shares) in zip(axes, drawn, strict=True):
        for share in shares:
            _share(ax, share, n, alone=sum((s.state, s.slot) == (share.state, share.slot) for s in shares) == 1)
        for k in range(n + 1):
            ax.axvline(k, color="0.85", linewidth=0.5, zorder=0)
        ax.set(xlim=(-0.15, n + 0.15), ylim=(-0.6, n - 0.4), title=label)
        ax.set_xticks(range(n + 1), [_name("t", n - k, n) for k in range(n + 1)])
        ax.grid(visible=False)
        ax.spines["left"].set_visible(False)
        ax.tick_params(length=0)
    axes[0].set_yticks(range(n), [_name("z", i, n) for i in range(n)])
    return figure


def _program(ax: Any, drawn: Scheme) -> None:
    places = _places(drawn)
    by_number = {value.number: value for value in drawn.values}
    sources = {arrow.source for arrow in drawn.arrows if arrow.slot == _SHOWN}
    for arrow in drawn.arrows:
        _arrow(ax, arrow, by_number[arrow.target], places, drawn)
    for value in drawn.values:
        x, y = places[value.number]
        full = value.slot == _SHOWN or value.number in sources
        colour = STATE if full else FAINT
        ax.plot([x], [y], "o", markersize=4, color=colour, markerfacecolor="white" if value.inner else colour, zorder=3)
        if not value.inner:
            outwards = 1 if y >= 0 else -1
            name = _name(value.lane, int(value.time), drawn.slots)
            ax.annotate(
                name, (x, y), (0, 5 * outwards), textcoords="offset points", ha="center", color=colour if full else "0.45",
                va="bottom" if outwards > 0 else "top", fontsize=7,
            )  # fmt: skip
    ax.set(ylim=(-len(drawn.lanes) + 0.4, 0.85), xlim=(-0.35, drawn.slots + 0.35), yticks=[], xticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _places(drawn: Scheme) -> dict[int, tuple[float, float]]:
    """Return where each value is drawn: time to the right, lanes downwards, values of one slot and lane one behind the other."""
    lanes = {name: -float(k) for k, name in enumerate(drawn.lanes)}
    places = {}
    for value in drawn.values:
        inner = [v.number for v in drawn.values if v.inner and (v.slot, v.lane) == (value.slot, value.lane)]
        back = 0.55 * (1 - inner.index(value.number) / len(inner)) if value.inner else 0.0
        places[value.number] = drawn.slots - (value.slot - 1 + back if value.inner else value.time), lanes[value.lane]
    return places


def _arrow(ax: Any, arrow: Arrow, target: Value, places: dict[int, tuple[float, float]], drawn: Scheme) -> None:
    full = arrow.slot == _SHOWN
    (x0, y0), (x1, y1) = places[arrow.source], places[target.number]
    if arrow.told is None:
        bend = _BEND if y0 == y1 and x1 - x0 > 1.2 else 0.0
        _patch(ax, (x0, y0), (x1, y1), STATE if full else FAINT, "-", bend=bend)
        if full and abs(arrow.weight - 1) > 1e-12:
            share = 0.5 if y0 == y1 else 0.72
            ax.text(x0 + share * (x1 - x0), y0 + share * (y1 - y0) + bend, f"{arrow.weight:.2g}", **_ON_A_LINE)
        return
    place = x0, y0 + (_BELOW if y0 < 0 else -_BELOW)
    colour = MODEL if full else FAINT
    ax.plot([x0, x0], [y0, place[1]], color=colour, linestyle="-", linewidth=0.8, zorder=1)
    ax.plot(*place, "D", markersize=3.2, color=colour, zorder=3)
    _patch(ax, place, (x1, y1), colour, (0, (3, 1.5)), bend=-0.6 * _BELOW if y1 == y0 else 0.0)
    stands = next(v.time for v in drawn.values if v.number == arrow.source)
    if full and arrow.told != stands and arrow.told.is_integer():
        told = _name("t", int(arrow.told), drawn.slots)
        ax.annotate(told, place, (5, 0), textcoords="offset points", va="center", fontsize=6.5, color=MODEL)


def _share(ax: Any, share: Share, n: int, *, alone: bool) -> None:
    left, right = n - share.slot, n - share.slot + 1
    backward = share.taken_at < share.slot
    y = share.state + (0.0 if alone else -0.13 if backward else 0.13)
    ends = ((right, y), (left, y)) if backward else ((left, y), (right, y))
    colour = BACKWARD if backward else FORWARD
    weight = float(share.weight)
    _patch(ax, *ends, colour, "-", width=0.6 + 1.2 * min(abs(weight), 1.5))
    if share.taken_at not in (share.slot, share.slot - 1):
        ax.plot([n - share.taken_at], [y], "o", markersize=2.5, color=colour)
    if share.weight != 1:
        over = -0.17 if backward else 0.17
        ax.text((left + right) / 2, y + over, str(share.weight), fontsize=6, ha="center", va="center", color=colour)


def _patch(
    ax: Any,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    dashes: Any,
    *,
    bend: float = 0.0,
    width: float = 0.9,
) -> None:
    """Draw an arrow, straight or over a parabola whose top is `bend` above the middle of its ends."""
    line: dict[str, Any] = {"posA": start, "posB": end, "shrinkA": 2.5, "shrinkB": 3}
    if bend:
        a, c = np.array(start), np.array(end)
        b, t = (a + c) / 2 + [0, 2 * bend], 0.97  # cut before the end, where the dot is
        short = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
        line = {"path": Path([a, (1 - t) * a + t * b, short], [Path.MOVETO, Path.CURVE3, Path.CURVE3])}
    look = {"color": colour, "linestyle": dashes, "linewidth": width, "zorder": 1 if colour == FAINT else 2}
    ax.add_patch(FancyArrowPatch(**line, arrowstyle="-|>", mutation_scale=7, **look))


def _name(letter: str, i: int, n: int) -> str:
    """Return z_N, z_{N-1}, ..."""
    return f"${letter}_N$" if i == n else f"${letter}_{{N-{n - i}}}$"
