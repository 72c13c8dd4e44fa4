"""Fig. 6: round-trip editing by solver, 40 time steps, strong guidance.

``python paper_figs/fig6.py`` writes fig6.pdf beside this file; `bdia figures --only fig6-editing` draws the same, with its caption.
"""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.network import editing
from bdia_numerics.studies import load

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = load(HERE / "data" / "editing.nc")  # edited images by guidance and solver
    (HERE / "fig6.pdf").write_bytes(image(editing(found), format="pdf"))
