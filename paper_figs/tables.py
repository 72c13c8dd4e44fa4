"""Tables 1 to 3: the published FID, and the Frechet distances that are measured here.

``python paper_figs/tables.py`` writes tables.pdf beside this file; `bdia figures --only tables-1-2-3` draws the same, with its caption.
"""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.tables import draw
from bdia_numerics.studies import load

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = load(HERE / "data" / "network-table.nc")  # distances by grid, evaluations and solver
    (HERE / "tables.pdf").write_bytes(image(draw(found), format="pdf"))
