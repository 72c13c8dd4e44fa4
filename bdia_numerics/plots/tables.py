"""The paper's tables of FID beside what this toolkit measures on its own network: side by side, never in one column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.style import PAGE, styled
from bdia_numerics.studies import protocols
from bdia_numerics.studies.network_table import interval
from bdia_numerics.studies.study import Dataset


class Cell(NamedTuple):
    """A number of a table.

    Attributes
    ----------
    value
        The number.
    more, half
        How much larger it is than the number that it is compared with, and half the width of the 95% interval of that difference; None
        where there is no difference.
    best
        Whether it is smaller than all numbers that it is compared with, by such intervals.
    """

    value: float
    more: float | None = None
    half: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Block:
    """One table: rows of a head and its cells, of which the first `published` are the paper's and the rest are measured here.

    A cell is None where there is not a number.
    """

    title: str
    heads: tuple[str, ...]
    published: int
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


class Published(NamedTuple):
    """A row as published: its head, the paper's numbers, and what is its like here."""

    head: str
    fid: tuple[float, ...]
    solver: str
    evaluations: int


def _fid(table: str, row: int, steps: int = 0) -> tuple[float, ...]:
    """Return the published figures of a row, one for each data set; at the first numbers of steps by default."""
    found = protocols.FIGURES[table].values()
    return tuple((own[steps] if steps else next(iter(own.values())))[row] for own in found)


_TABLES: tuple[tuple[str, tuple[str, ...], tuple[Published, ...]], ...] = (
    (
        "Table 1: 10 time steps",
        ("COCO 2014, SD V2",),
        (
            Published("BDIA, γ = 0.5", _fid("table-1", 1), "BDIA(gamma=1/2)", 10),
            Published("DDIM", _fid("table-1", 0), "DDIM", 10),
            Published("DPM-Solver", _fid("table-1", 2), "DPMSolverPP", 10),
        ),
    ),
    (
        "Table 2: DDIM and BDIA, γ = 1",
        ("CIFAR10", "CelebA"),
        (
            Published("DDIM, 10", _fid("table-2", 0, 10), "DDIM", 10),
            Published("BDIA, 10", _fid("table-2", 1, 10), "BDIA(gamma=1)", 10),
            Published("DDIM, 20", _fid("table-2", 0, 20), "DDIM", 20),
            Published("BDIA, 20", _fid("table-2", 1, 20), "BDIA(gamma=1)", 20),
            Published("DDIM, 40", _fid("table-2", 0, 40), "DDIM", 40),
            Published("BDIA, 40", _fid("table-2", 1, 40), "BDIA(gamma=1)", 40),
        ),
    ),
    (
        "Table 3: EDM (Heun) and BDIA-EDM; 35 (CIFAR10) or 39 evaluations, here 40",
        ("CIFAR10", "FFHQ", "AFHQV2", "ImageNet64"),
        (
            Published("EDM", _fid("table-3", 0), "Heun", 40),
            Published("BDIA-EDM", _fid("table-3", 1), "BDIAHeun", 40),
        ),
    ),
)
"""Titles, columns and rows as published; table 3 at its first numbers of evaluations."""


def blocks(found: Dataset) -> tuple[Block, ...]:
    """Return the tables, with the columns of a measured grid each behind the published ones."""
    grids = found["grid"].values.tolist()
    made = []
    for title, columns, lines in _TABLES:
        measured = [_column(found.sel(grid=grid), lines) for grid in grids]
        rows = tuple((one.head, (*map(Cell, one.fid), *(own[one] for own in measured))) for one in lines)
        made.append(Block(title, (*columns, *grids), len(columns), rows))
    return tuple(made)


def _column(found: Dataset, lines: tuple[Published, ...]) -> dict[Published, Cell | None]:
    """Return the cells of one grid; rows of as many evaluations are compared, with DDIM or with the first of them."""
    cells: dict[Published, Cell | None] = {}
    for evaluations in dict.fromkeys(one.evaluations for one in lines):
        rows = [one for one in lines if one.evaluations == evaluations]
        cells |= dict.fromkeys(rows)
        if evaluations not in found["evaluations"]:
            continue
        at = found.sel(evaluations=evaluations)
        there = {one: at.sel(solver=one.solver) for one in rows if one.solver in found["solver"]}
        there = {one: here for one, here in there.items() if np.isfinite(here["frechet"])}
        base = min(there, key=lambda one: one.solver != "DDIM", default=None)
        for one, here in there.items():
            beside = {other: _difference(here, there[other]) for other in there if other is not one}
            best = bool(beside) and all(more + half < 0 for more, half in beside.values())
            more, half = beside.get(base or one, (None, None))
            cells[one] = Cell(float(here["frechet"]), more, half, best)
    return cells


def _difference(one: Dataset, other: Dataset) -> tuple[float, float]:
    """Return how much larger a distance is than another, and half the width of the interval of that by the same resamples."""
    more = np.array(float(one["frechet"]) - float(other["frechet"]))
    return float(more), float(interval(more, (one["resampled"] - other["resampled"]).values)[1] - more)


def texts(cell: Cell | None) -> str:
    """Return a cell's text."""
    if cell is None:
        return "failed"
    if cell.more is None:
        return f"{cell.value:.1f}" if cell.value != round(cell.value, 2) else f"{cell.value:.2f}"
    return f"{cell.value:.1f} ({cell.more:+.1f} ± {cell.half:.1f})".replace("-", "−")


@styled
def draw(found: Dataset) -> Figure:
    """Draw the tables one below the other; a number is bold where intervals show it to be smaller than those it is compared with."""
    made = blocks(found)
    lines = sum(len(block.rows) + 3.4 for block in made)
    figure = Figure(figsize=(PAGE, 0.165 * lines))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 1), ylim=(lines - 0.1, -0.7))
    ax.set_axis_off()
    top = 0.0
    for block in made:
        top = _block(ax, block, top)
    return figure


def _block(ax: Any, block: Block, top: float) -> float:
    word = partial(ax.text, ha="center", va="center", fontsize=7)
    places, bottom = _places(block), top + len(block.rows) + 2.4
    split = (places[block.published - 1] + places[block.published]) / 2
    ax.text(0.01, top, block.title, fontweight="bold", va="center")
    word(np.mean(places[: block.published]), top + 1, "published: FID", style="italic")
    words = "measured here, MNIST network: Frechet distance of features"
    word(np.mean(places[block.published :]), top + 1, words, style="italic")
    for x, head in zip(places, block.heads, strict=True):
        word(x, top + 2, head)
    for ends in (((0.01, 0.99), (top + 2.5, top + 2.5)), ((split, split), (top + 0.6, bottom))):
        ax.plot(*ends, color="0.3", linestyle="-", linewidth=0.6)
    for k, (head, cells) in enumerate(block.rows):
        word(0.01, top + 3 + k, head, ha="left")
        for x, cell in zip(places, cells, strict=True):
            weight = "bold" if cell and cell.best else "normal"
            mark = {"color": "#D55E00", "gid": "missing"} if cell is None else {}
            word(x, top + 3 + k, texts(cell), fontweight=weight, **mark)
    return bottom + 1


def _places(block: Block) -> list[float]:
    """Return the middles of the columns: the paper's are narrow, since they have no interval."""
    first = {1: 0.2, 2: 0.16}.get(block.published, 0.12)
    published = [first + 0.08 * k for k in range(block.published)]
    measured = np.linspace(published[-1] + 0.24 - 0.02 * block.published, 0.93, len(block.heads) - block.published)
    return [*published, *map(float, measured)]
