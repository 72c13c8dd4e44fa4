"""The tables of the page on sampling with the network are those of the saved data."""

from pathlib import Path

import numpy as np
import pytest
from network_sampling import by_gamma, by_solver

from bdia_numerics.studies import load

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "paper_figs" / "data"


@pytest.fixture(scope="module")
def found():
    return load(DATA / "network-table.nc")


def test_the_grid_flips_the_best_gamma(found):
    """On ten evaluations a large gamma is surely worse than DDIM on one grid and surely better on the others that end otherwise."""
    gamma_1 = found.sel(evaluations=10, solver="BDIA(gamma=1)")
    assert (gamma_1["gain_high"].sel(grid=["leading", "quad"]) < 0).all()
    assert (gamma_1["gain_low"].sel(grid=["cut", "trailing"]) > 0).all()
    assert (found["gain_low"].sel(evaluations=10, solver="BDIA(gamma=1/10)") > 0).all()
    o_belm = found.sel(evaluations=10, solver="OBELM")
    assert (o_belm["gain_low"] > 0).values.tolist() == [name in ("cut", "trailing") for name in found.grid.values]
    assert (o_belm["gain_high"] > 0).all()
    # With more evaluations nothing differs surely from DDIM.
    family = [name for name in found.solver.values if name.startswith("BDIA(")]
    marks = {
        (evaluations, str(grid), str(name))
        for evaluations in (20, 40)
        for grid in found.grid.values
        for name in (*family, "OBELM")
        if not (row := found.sel(evaluations=evaluations, grid=grid, solver=name))["gain_low"] < 0 < row["gain_high"]
    }
    assert marks == set()


def test_bdia_edm_is_nowhere_better_than_edm_for_sure(found):
    edm, bdia = (found.sel(solver=name) for name in ("Heun", "BDIAHeun"))
    assert not (bdia["gain_low"] > edm["gain_high"]).any()
    assert (bdia["frechet"] > edm["frechet"]).sel(evaluations=10).all()


def test_marks_and_bold(found):
    line = next(row for row in by_gamma(found).splitlines() if row.startswith("| 10 | leading"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][2:]
    assert [cell.endswith("−") for cell in cells] == [False, False, True, True, True, False]
    assert [cell.startswith("**") for cell in cells] == [False, True, False, False, False, False]


def test_a_cell_without_a_number_is_said(found):
    failed = found.copy(deep=True)
    failed["frechet"].loc[{"solver": "EDICT", "grid": "trailing", "evaluations": 10}] = np.nan
    row = next(line for line in by_solver(failed, "trailing").splitlines() if line.startswith("| `EDICT`"))
    assert "nan" in row.split("|")[2]
