"""Tables of docs/findings/network-sampling.md from saved data: ``python experiments/network_sampling.py``.

The data anew: ``bdia figures --recompute --data paper_figs/data`` (most of an hour).
"""

from pathlib import Path

from bdia_numerics.studies import load
from bdia_numerics.studies.network_page import by_edit, by_gamma, by_solver, written

ROOT = Path(__file__).resolve().parent.parent
PAGE, DATA = ROOT / "docs" / "findings" / "network-sampling.md", ROOT / "paper_figs" / "data"


def page(text):
    """Return the page with its tables from the data."""
    found = load(DATA / "network-table.nc")
    return written(
        text, gammas=by_gamma(found), solvers=by_solver(found, "trailing"), edits=by_edit(load(DATA / "editing.nc"))
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
