"""The tables of docs/findings/network-sampling.md: ``python experiments/network_sampling.py``.

That prints them, from the saved data of `bdia figures`, paper_figs/data/network-table.nc and editing.nc; `bdia pages network-sampling`
writes them into the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bdia_numerics.formulas import table
from bdia_numerics.studies import load

DATA = Path(__file__).resolve().parent.parent / "paper_figs" / "data"
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


def tables(data: Path = DATA) -> dict[str, str]:
    """Return the tables of the page, by their names, from network-table.nc and editing.nc in a folder."""
    found, edits = load(data / "network-table.nc"), load(data / "editing.nc")
    return {"gammas": by_gamma(found), "solvers": by_solver(found, "trailing"), "edits": by_edit(edits)}


def _cell(here: Any, best: bool) -> str:
    value = float(here["frechet"])
    text = f"{value:.3g}" if value < 100 else f"{value:.0f}"
    mark = " +" if float(here["gain_low"]) > 0 else " −" if float(here["gain_high"]) < 0 else ""
    return f"**{text}**{mark}" if best else f"{text}{mark}"


if __name__ == "__main__":
    print("\n\n".join(tables().values()))
