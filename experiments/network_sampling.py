"""The tables of docs/findings/network-sampling.md: ``python experiments/network_sampling.py``.

They are written from the saved data of `bdia figures`, paper_figs/data/network-table.nc and editing.nc.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bdia_numerics.formulas import table
from bdia_numerics.studies import load

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- {} begin -->", "<!-- {} end -->"
FAMILY = {
    "DDIM": "DDIM ($\\gamma=0$)",
    "BDIA(gamma=1/10)": "0.1",
    "BDIA(gamma=1/2)": "0.5",
    "BDIA(gamma=9/10)": "0.9",
    "BDIA(gamma=1)": "1",
}


def by_gamma(found: Any) -> str:
    """Return Frechet distances by grid, evaluations and gamma, the best in bold, with a mark where DDIM's differs for sure."""
    rows = []
    for evaluations in found["evaluations"].values:
        for grid in found["grid"].values:
            here = found.sel(grid=grid, evaluations=evaluations)
            best = min(FAMILY, key=lambda solver: float(here["frechet"].sel(solver=solver)))
            cells = [_cell(here.sel(solver=solver), solver == best) for solver in FAMILY]
            rows.append([evaluations, grid, *cells, _cell(here.sel(solver="OBELM"), False)])
    return table(["evaluations", "grid", *FAMILY.values(), "O-BELM"], rows)


def by_solver(found: Any, grid: str) -> str:
    """Return Frechet distances with their intervals, distances to the network's ODE, and digits read, on one grid."""
    rows = []
    for solver in found["solver"].values:
        row = [f"`{solver}`"]
        for evaluations in found["evaluations"].values:
            here = found.sel(grid=grid, evaluations=evaluations, solver=solver)
            row.append(f"{_cell(here, False)}; {float(here['distance']):.2g}; {float(here['recognised']):.0f}")
        rows.append(row)
    return table(["solver", *(f"{n} evaluations" for n in found["evaluations"].values)], rows)


def by_edit(found: Any) -> str:
    """Return how round-trip editing went, by solver and guidance."""
    guidances, count = found["guidance"].values, found.sizes["image"]
    rows = []
    for solver in found["solver"].values:
        row = [f"`{solver}`"]
        for guidance in guidances:
            here = found.sel(solver=solver, guidance=guidance)
            row.append(
                f"{int(here['as_target'])} of {count}; {float(here['distance']):.2f}; {float(here['latent_std']):.2f}"
            )
        rows.append(row)
    return table(["solver", *(f"guidance {g:g}" for g in guidances)], rows)


def written(page: str, **tables: str) -> str:
    """Return a page with tables put between the marks of their names.

    Raises
    ------
    ValueError
        If a mark is missing.
    """
    for name, text in tables.items():
        begin, end = BEGIN.format(name), END.format(name)
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page has no single {begin} ... {end}: put both where the table goes")
        page = f"{page.partition(begin)[0]}{begin}\n{text}\n{end}{page.partition(end)[2]}"
    return page


def rewrite(page: Path, data: Path) -> None:
    """Write a page's tables anew from network-table.nc and editing.nc in the folder `data`."""
    found, edits = load(data / "network-table.nc"), load(data / "editing.nc")
    text = page.read_text(encoding="utf-8")
    tables = {"gammas": by_gamma(found), "solvers": by_solver(found, "trailing"), "edits": by_edit(edits)}
    page.write_text(written(text, **tables), encoding="utf-8")


def _cell(here: Any, best: bool) -> str:
    value = float(here["frechet"])
    text = f"{value:.3g}" if value < 100 else f"{value:.0f}"
    mark = " +" if float(here["gain_low"]) > 0 else " −" if float(here["gain_high"]) < 0 else ""
    return f"**{text}**{mark}" if best else f"{text}{mark}"


if __name__ == "__main__":
    rewrite(ROOT / "docs" / "findings" / "network-sampling.md", ROOT / "paper_figs" / "data")
