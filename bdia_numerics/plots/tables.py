"""The paper's tables of FID beside what this toolkit measures on its own network: side by side, never in one column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from bdia_numerics.plots.style import PAGE, styled
from bdia_numerics.studies import protocols
from bdia_numerics.studies.study import Dataset


class Cell(NamedTuple):
    """A number, the half-width of its 95% interval, and "+" or "−" where it is better or worse than DDIM's on the same resamples."""

    value: float
    half: float | None = None
    mark: str = ""


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
        rows = []
        beside_ddim = any(one.solver == "DDIM" for one in lines)
        for one in lines:
            there = one.solver in found["solver"] and one.evaluations in found["evaluations"]
            at: dict[str, Any] = {"solver": one.solver, "evaluations": one.evaluations}
            own = (_cell(found.sel(grid=g, **at), beside_ddim) if there else None for g in grids)
            rows.append((one.head, (*map(Cell, one.fid), *own)))
        made.append(Block(title, (*columns, *grids), len(columns), tuple(rows)))
    return tuple(made)


def _cell(one: Dataset, beside_ddim: bool) -> Cell | None:
    value, low, high, *gain = (float(one[name]) for name in ("frechet", "low", "high", "gain_low", "gain_high"))
    if not np.isfinite(value):
        return None
    mark = "+" if gain[0] > 0 else "−" if gain[1] < 0 else ""
    return Cell(value, (high - low) / 2, mark if beside_ddim else "")


def texts(cell: Cell | None) -> str:
    """Return a cell's text."""
    if cell is None:
        return "failed"
    return f"{cell.value:.2f}" if cell.half is None else f"{cell.value:.1f} ± {cell.half:.1f} {cell.mark}".rstrip()


@styled
def draw(found: Dataset) -> Figure:
    """Draw the tables one below the other; the smallest number of a column's rows that are compared is bold."""
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
    best = best_rows(block)
    for k, (head, cells) in enumerate(block.rows):
        word(0.01, top + 3 + k, head, ha="left")
        for column, (x, cell) in enumerate(zip(places, cells, strict=True)):
            weight = "bold" if (k, column) in best else "normal"
            mark = {"color": "#D55E00", "gid": "missing"} if cell is None else {}
            word(x, top + 3 + k, texts(cell), fontweight=weight, **mark)
    return bottom + 1


def _places(block: Block) -> list[float]:
    """Return the middles of the columns: the paper's are narrow, since they have no interval."""
    first = 0.2 if block.published == 1 else 0.17
    published = [first + 0.09 * k for k in range(block.published)]
    measured = np.linspace(published[-1] + 0.16, 0.93, len(block.heads) - block.published)
    return [*published, *map(float, measured)]


def best_rows(block: Block) -> set[tuple[int, int]]:
    """Return the places (row, column) of the smallest numbers among rows that are compared: those of one number of steps."""
    groups: dict[str, list[int]] = {}
    for k, (head, _) in enumerate(block.rows):
        groups.setdefault(head.partition(", ")[2] if head.split(", ")[-1].isdigit() else "", []).append(k)
    found = set()
    for rows in groups.values():
        for column in range(len(block.heads)):
            values = [(cell.value, k) for k in rows if (cell := block.rows[k][1][column]) is not None]
            if values:
                found.add((min(values)[1], column))
    return found
